"""Reading our own copy of a result: its rows, its CSVs."""

import contextlib
from collections.abc import Iterator, Sequence
from typing import BinaryIO, cast

from jobs.models import FieldMapping, Result
from jobs.services import reasons
from jobs.zoho.result_files import ResultArchive


def skipped_rows(result: Result) -> Iterator[list[str]]:
    """The rows that are not in the CRM, header first, each with its reason in words.

    Raises ResultFileError where the kept file cannot be read any more.
    """
    files = [file for file in result.files.all() if not file.error]
    with _archive(result) as archive:
        header_shown: Sequence[str] | None = None
        for file in files:
            reader = archive.rows(
                archive.members[file.position],
                encoding=result.job.character_encoding or None,
                mapped_columns=columns_mapped(result),
            )
            if reader.columns != header_shown:
                header_shown = reader.columns
                yield ["File", "Row", *reader.columns, "Status", "Reason", "Zoho's ERRORS"]
            for row in reader:
                if row.status in ("skipped", "unprocessed"):
                    reason = "; ".join(reasons.in_words(e.code, e.column) for e in row.errors)
                    yield [
                        file.name,
                        str(row.number),
                        *row.values,
                        row.status,
                        reason or "Zoho gave no reason",
                        row.errors_text,
                    ]


def open_member(result: Result, position: int) -> Iterator[bytes]:
    """The bytes of one CSV of a kept ZIP, exactly as Zoho wrote them, in chunks."""
    with _archive(result) as archive, archive.open(archive.members[position]) as member:
        while chunk := member.read(65_536):
            yield chunk


@contextlib.contextmanager
def _archive(result: Result) -> Iterator[ResultArchive]:
    """The kept ZIP of a result, open for reading."""
    with result.archive.open("rb") as stored, ResultArchive(cast(BinaryIO, stored)) as archive:
        yield archive


def columns_mapped(result: Result) -> list[str]:
    mappings = FieldMapping.objects.filter(resource__job_id=result.job_id)
    return list(mappings.exclude(api_name="").values_list("api_name", flat=True))
