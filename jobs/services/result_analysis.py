"""What a result ZIP holds: its rows by STATUS, and why rows were left out."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import BinaryIO

from jobs.services import reasons
from jobs.zoho.result_files import Member, ResultArchive, ResultFileError

SAMPLES_PER_REASON = 5
MAX_REASONS_PER_FILE = 500
MAX_STATUSES = 100

ROW_COUNT_FIELDS = {
    "added": "added_rows",
    "updated": "updated_rows",
    "skipped": "skipped_rows",
    "unprocessed": "unprocessed_rows",
}


@dataclass
class Reason:
    rows: int = 0
    samples: list[dict[str, object]] = field(default_factory=list)


@dataclass
class FileAnalysis:
    """What one CSV of a result holds. `statuses`: rows by lower-case STATUS."""

    member: Member
    columns: Sequence[str] = ()
    statuses: Counter[str] = field(default_factory=Counter)
    reasons: dict[tuple[str, str], Reason] = field(default_factory=dict)
    error: str = ""

    def row_counts(self) -> dict[str, int | None]:
        """The counts as the fields of `RowCountsMixin`; null where the file was not readable."""
        if self.error:
            return dict.fromkeys([*ROW_COUNT_FIELDS.values(), "other_rows"])
        known = {name: self.statuses[status] for status, name in ROW_COUNT_FIELDS.items()}
        return {**known, "other_rows": self.statuses.total() - sum(known.values())}


def analyse(
    file: BinaryIO, encoding: str = "", mapped_columns: Sequence[str] = ()
) -> list[FileAnalysis]:
    """Count rows by STATUS and skip reasons by (code, field) in each CSV of a result ZIP.

    Raises ResultFileError where the ZIP as a whole cannot be read; a CSV that cannot be has its
    `error` set instead.
    """
    analyses = []
    with ResultArchive(file) as archive:
        for member in archive.members:
            analysis = FileAnalysis(member)
            try:
                _read_rows(archive, analysis, encoding, mapped_columns)
            except ResultFileError as error:
                analysis.error = str(error)[:500]
                analysis.reasons.clear()
            analyses.append(analysis)
    if not analyses:
        raise ResultFileError("The ZIP file from Zoho holds no CSV file.")
    return analyses


def _read_rows(
    archive: ResultArchive, analysis: FileAnalysis, encoding: str, mapped_columns: Sequence[str]
) -> None:
    reader = archive.rows(analysis.member, encoding=encoding or None, mapped_columns=mapped_columns)
    analysis.columns = reader.columns
    for row in reader:
        known = row.status in analysis.statuses or len(analysis.statuses) < MAX_STATUSES
        analysis.statuses[row.status if known else "other"] += 1
        if row.status not in ("skipped", "unprocessed") and not row.errors:
            continue
        found = {(error.code, error.column) for error in row.errors} or {(reasons.NO_REASON, "")}
        for code, column in found:
            key = (code[:100], column[:255])
            if key not in analysis.reasons and len(analysis.reasons) >= MAX_REASONS_PER_FILE:
                key = (reasons.OTHER_REASONS, "")
            reason = analysis.reasons.setdefault(key, Reason())
            reason.rows += 1
            if len(reason.samples) < SAMPLES_PER_REASON:
                values = [value[:200] for value in row.values]
                reason.samples.append({"row": row.number, "values": values})
