"""Reading our own copy of a result: its rows, filtered, page by page or all of them."""

import contextlib
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from typing import BinaryIO, cast

from jobs.models import FieldMapping, Result, ResultFile
from jobs.services import reasons
from jobs.services.result_analysis import ROW_COUNT_FIELDS
from jobs.zoho.result_files import ResultArchive, ResultRow, RowReader

LEFT_OUT = ("skipped", "unprocessed")
# What rows are filtered by: one of Zoho's statuses, what is not in the CRM, or any other word.
ROW_STATUSES = ("left_out", *ROW_COUNT_FIELDS, "other")
# What a page shows of a row at most: a hostile file has ten thousand columns, or cells of
# megabytes.
COLUMNS_SHOWN = 30
CHARACTERS_SHOWN = 2000


class NotKeptError(Exception):
    """The copy of a result is not where it was kept."""


@dataclass(frozen=True)
class RowFilter:
    """Which rows of a result file are wanted; all of them where nothing is said.

    `status` is one of ROW_STATUSES. `code` and `field` are one skip reason, each alone any with
    that code or on that field; an empty `field` is a reason that names none, None is any field.
    `text`: each of its words stands in a value or in the record id, whatever the case.
    """

    status: str = ""
    code: str = ""
    field: str | None = None
    text: str = ""

    def __str__(self) -> str:
        words = {"": "all rows", "left_out": "rows that were left out", "other": "other rows"}
        said = words.get(self.status, f"{self.status} rows")
        if self.has_reason:
            said += f" with {self.reason}"
        return f"{said} holding {' '.join(self.words)}" if self.words else said

    @cached_property
    def words(self) -> tuple[str, ...]:
        return tuple(self.text.casefold().split())

    @property
    def has_reason(self) -> bool:
        return bool(self.code) or self.field is not None

    @property
    def reason(self) -> str:
        """The skip reason as Zoho writes it."""
        return "-".join(filter(None, (self.code, self.field)))

    def has_status(self, status: str) -> bool:
        if self.status == "left_out":
            return status in LEFT_OUT
        if self.status == "other":
            return status not in ROW_COUNT_FIELDS
        return not self.status or status == self.status


@dataclass(frozen=True)
class RowPage:
    """One page of rows; `total` rows match in all.

    `statuses`: how many match but for the status, by the words of ROW_STATUSES, "" for all; None
    where that was not counted.
    """

    rows: list[ResultRow]
    number: int
    total: int
    statuses: dict[str, int] | None


def matching_rows(result: Result, file: ResultFile, wanted: RowFilter) -> Iterator[ResultRow]:
    """The rows of a kept file that are wanted, in the file's order.

    Raises NotKeptError where the copy is gone, ResultFileError where it cannot be read.
    """
    with open_file(result, file) as reader:
        for row in _matching(reader, file, wanted):
            if wanted.has_status(row.status):
                yield row


def page_of_rows(
    result: Result, file: ResultFile, wanted: RowFilter, number: int, size: int
) -> RowPage:
    """A page of the rows that are wanted, the last one where there are fewer.

    Reads no further than it must: to the page's end where the stored figures tell how many rows
    match. Long values are cut, and further columns left out (CHARACTERS_SHOWN, COLUMNS_SHOWN).
    Errors: as `matching_rows`.
    """
    total = known_total(file, wanted)
    if total is not None:
        number = min(number, max(-(-total // size), 1))
        found = islice(matching_rows(result, file, wanted), (number - 1) * size, number * size)
        return RowPage([_bounded(row) for row in found], number, total, None)
    statuses: Counter[str] = Counter()
    shown: list[ResultRow] = []
    total = 0
    with open_file(result, file) as reader:
        for row in _matching(reader, file, wanted):
            statuses[row.status if row.status in ROW_COUNT_FIELDS else "other"] += 1
            if not wanted.has_status(row.status):
                continue
            if total < number * size:
                if total % size == 0:
                    shown = []
                shown.append(_bounded(row))
            total += 1
    counted = {"": statuses.total(), "left_out": sum(statuses[status] for status in LEFT_OUT)}
    last = max(-(-total // size), 1)
    return RowPage(shown, min(number, last), total, dict(statuses) | counted)


def known_total(file: ResultFile, wanted: RowFilter) -> int | None:
    """How many rows of a file are wanted, where its stored figures tell."""
    if wanted.words or (wanted.has_reason and wanted.status):
        return None
    if wanted.has_reason:
        if wanted.field is None or not wanted.code or wanted.code == reasons.OTHER_REASONS:
            return None
        reason = file.reasons.filter(code=wanted.code, field=wanted.field).first()
        return reason.rows if reason else None
    return status_counts(file).get(wanted.status)


def status_counts(file: ResultFile) -> dict[str, int]:
    """The stored figures of a file by the words of ROW_STATUSES, "" for all; none unless read."""
    if file.rows is None:
        return {}
    counts = {status: getattr(file, name) or 0 for status, name in ROW_COUNT_FIELDS.items()}
    return counts | {
        "": file.rows,
        "left_out": sum(counts[status] for status in LEFT_OUT),
        "other": file.other_rows or 0,
    }


def row_reasons(row: ResultRow) -> set[tuple[str, str]]:
    """Why a row was left out, as (code, field); empty for a row about which Zoho says nothing."""
    found = {(error.code[:100], error.column[:255]) for error in row.errors}
    if not found and row.status in LEFT_OUT:
        return {(reasons.NO_REASON, "")}
    return found


@contextlib.contextmanager
def open_file(result: Result, file: ResultFile) -> Iterator[RowReader]:
    """A reader of one CSV of a kept ZIP. Errors: as `matching_rows`."""
    with _archive(result) as archive:
        if file.position >= len(archive.members):
            raise NotKeptError
        yield archive.rows(
            archive.members[file.position],
            encoding=result.job.character_encoding or None,
            mapped_columns=columns_mapped(result),
        )


def columns_mapped(result: Result) -> list[str]:
    mappings = FieldMapping.objects.filter(resource__job_id=result.job_id)
    return list(mappings.exclude(api_name="").values_list("api_name", flat=True))


@contextlib.contextmanager
def _archive(result: Result) -> Iterator[ResultArchive]:
    """The kept ZIP of a result, open for reading."""
    try:
        stored = result.archive.open("rb")
    except (OSError, ValueError) as error:
        raise NotKeptError from error
    with stored, ResultArchive(cast(BinaryIO, stored)) as archive:
        yield archive


def _matching(reader: RowReader, file: ResultFile, wanted: RowFilter) -> Iterable[ResultRow]:
    """The rows that are wanted but for their status."""
    found: Iterable[ResultRow] = reader
    if wanted.code == reasons.OTHER_REASONS:
        listed = set(file.reasons.values_list("code", "field"))
        found = (row for row in found if row_reasons(row) - listed)
    elif wanted.has_reason:
        found = (row for row in found if _has_reason(row, wanted))
    if wanted.words:
        found = (row for row in found if _holds(row, wanted.words))
    return found


def _has_reason(row: ResultRow, wanted: RowFilter) -> bool:
    return any(
        wanted.code in ("", code) and wanted.field in (None, field)
        for code, field in row_reasons(row)
    )


def _holds(row: ResultRow, words: Iterable[str]) -> bool:
    # A word holds no white space, so none is found across two values.
    text = "\n".join((*row.values, row.record_id)).casefold()
    return all(word in text for word in words)


def _bounded(row: ResultRow) -> ResultRow:
    """The row with what a page shows of it, and one character more of a value that is cut."""
    values = tuple([value[: CHARACTERS_SHOWN + 1] for value in row.values[:COLUMNS_SHOWN]])
    return row._replace(values=values, errors_text="")
