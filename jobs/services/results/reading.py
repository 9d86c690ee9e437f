"""Reading our own copy of a result: its rows, filtered, page by page or all of them."""

import contextlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import BinaryIO, cast
from unicodedata import normalize

from django.contrib.auth.models import User

from jobs.models import JobEvent, Result, ResultFile
from jobs.services import reasons
from jobs.services.results.analysis import LEFT_OUT, ROW_COUNT_FIELDS, WRITTEN
from jobs.services.results.resources import names_known
from jobs.zoho.result_files import Block, ResultArchive, ResultRow, RowReader

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
        # Not with the words: they are values of rows, and what is noted outlives a result.
        return f"{said} found by a search" if self.words else said

    @cached_property
    def words(self) -> tuple[str, ...]:
        return tuple(_folded(self.text).split())

    @property
    def has_reason(self) -> bool:
        return bool(self.code) or self.field is not None

    @property
    def reason(self) -> str:
        """What the skip reason is called (`reasons.name_of`)."""
        return reasons.name_of(self.code, self.field or "")

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


def note_download(result: Result, what: str, actor: User) -> None:
    """Tell on the job who took what of our copy of its result."""
    JobEvent.objects.note(result.job_id, JobEvent.Kind.DOWNLOADED, what, actor=actor)


@contextlib.contextmanager
def open_file(result: Result, file: ResultFile) -> Iterator[RowReader]:
    """A reader of one CSV of a kept ZIP.

    Raises NotKeptError where the copy is gone, ResultFileError where it cannot be read.
    """
    with _archive(result) as archive:
        if file.position >= len(archive.members):
            raise NotKeptError
        yield archive.rows(
            archive.members[file.position],
            encoding=result.job.character_encoding or None,
            mapped_columns=_names_known(result, file),
        )


def matching_rows(reader: RowReader, file: ResultFile, wanted: RowFilter) -> Iterator[ResultRow]:
    """The rows of an open file that are wanted, in the file's order. Errors: as `open_file`."""
    search = _Search(reader, file, wanted)
    for block in reader.blocks():
        for index in search.of_status(block, search.in_block(block)):
            yield search.row(block, index)


def page_of_rows(
    result: Result, file: ResultFile, wanted: RowFilter, number: int, size: int
) -> RowPage:
    """A page of the rows that are wanted, the last one where there are fewer.

    Reads no further than it must: to the page's end where the stored figures tell how many rows
    match. Long values are cut, and further columns left out (CHARACTERS_SHOWN, COLUMNS_SHOWN).
    Errors: as `open_file`.
    """
    total = known_total(file, wanted)
    if total is not None:
        number = min(number, _pages(total, size))
    statuses: Counter[str] = Counter()
    shown: list[ResultRow] = []
    seen = 0
    with open_file(result, file) as reader:
        search = _Search(reader, file, wanted)
        for block in reader.blocks():
            found = search.in_block(block)
            if total is None:
                statuses.update(search.statuses(block, found))
            found = search.of_status(block, found)
            # The last page reached so far is kept, as nobody knows yet whether there is a further.
            end = min(seen + len(found), number * size)
            if end > (seen if total is None else max(seen, (number - 1) * size)):
                start = (end - 1) // size * size
                if start >= seen:
                    shown = []
                places = found[max(start - seen, 0) : end - seen]
                shown += [_bounded(search.row(block, index)) for index in places]
            seen += len(found)
            if total is not None and seen >= number * size:
                break
    if total is not None:
        return RowPage(shown, number, total, None)
    counted = {"": statuses.total(), "left_out": sum(statuses[status] for status in LEFT_OUT)}
    return RowPage(shown, min(number, _pages(seen, size)), seen, dict(statuses) | counted)


def _pages(total: int, size: int) -> int:
    return max(-(-total // size), 1)


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


def _names_known(result: Result, file: ResultFile) -> list[str]:
    """The names that the file's ERRORS were parsed with when they were counted."""
    resources = []
    if file.resource is None:
        resources = list(result.job.resources.prefetch_related("field_mappings"))
    return names_known(file.resource, resources)


@contextlib.contextmanager
def _archive(result: Result) -> Iterator[ResultArchive]:
    """The kept ZIP of a result, open for reading."""
    try:
        stored = result.archive.open("rb")
    except (OSError, ValueError) as error:
        raise NotKeptError from error
    with stored, ResultArchive(cast(BinaryIO, stored)) as archive:
        yield archive


class _Search:
    """A RowFilter at work on the blocks of one file; rows are told by their index in a block."""

    def __init__(self, reader: RowReader, file: ResultFile, wanted: RowFilter) -> None:
        self._reader = reader
        self._wanted = wanted
        self._listed: set[tuple[str, str]] = set()
        if wanted.code == reasons.OTHER_REASONS:
            self._listed = set(file.reasons.values_list("code", "field"))

    def row(self, block: Block, index: int) -> ResultRow:
        reader = self._reader
        cells = block.row(index)
        errors_text = cells[reader.errors_place]
        return ResultRow(
            block.first + index,
            _status(cells[reader.status_place]),
            "" if reader.record_id_place is None else cells[reader.record_id_place].strip(),
            reader.errors_of(errors_text),
            errors_text,
            tuple([cells[place] for place in reader.places]),
        )

    def in_block(self, block: Block) -> Sequence[int]:
        """The rows that match but for their status."""
        found: Sequence[int] = range(block.rows)
        if self._wanted.has_reason:
            statuses = block.column(self._reader.status_place)
            pairs = list(zip(statuses, block.column(self._reader.errors_place), strict=True))
            matching = {pair for pair in set(pairs) if self._has_reason(*pair)}
            found = [index for index, pair in enumerate(pairs) if pair in matching]
        if self._wanted.words and found:
            found = self._holding_the_words(block, found)
        return found

    def of_status(self, block: Block, found: Sequence[int]) -> Sequence[int]:
        """Those of the rows that have the wanted status."""
        if not self._wanted.status or not found:
            return found
        column = block.column(self._reader.status_place)
        matching = {word for word in set(column) if self._wanted.has_status(_status(word))}
        return [index for index in found if column[index] in matching]

    def statuses(self, block: Block, found: Sequence[int]) -> Iterator[str]:
        """The status of each of the rows, as a word of ROW_STATUSES."""
        column = block.column(self._reader.status_place)
        known = {word: _status(word) for word in set(column)}
        for index in found:
            status = known[column[index]]
            yield status if status in ROW_COUNT_FIELDS else "other"

    def _has_reason(self, status: str, errors_text: str) -> bool:
        wanted = self._wanted
        errors = self._reader.errors_of(errors_text)
        found = {(error.code[:100], error.column[:255]) for error in errors}
        if _status(status) in WRITTEN:
            # As when reasons were counted: what is in the CRM was kept out by none.
            return False
        if not found and _status(status) in LEFT_OUT:
            found = {(reasons.of_silence(_status(status)), "")}
        if wanted.code == reasons.OTHER_REASONS:
            return bool(found - self._listed)
        return any(
            wanted.code in ("", code) and wanted.field in (None, field) for code, field in found
        )

    def _holding_the_words(self, block: Block, found: Sequence[int]) -> Sequence[int]:
        places = list(self._reader.places)
        if self._reader.record_id_place is not None:
            places.append(self._reader.record_id_place)
        columns = [block.column(place) for place in places]
        # A word holds no white space, so none is found across two values.
        texts = [_folded(text) for text in map("\n".join, zip(*columns, strict=True))]
        for word in self._wanted.words:
            found = [index for index in found if word in texts[index]]
        return found


def _folded(text: str) -> str:
    """Text as it is searched: whatever the case, and whether accents are letters of their own."""
    return (text if text.isascii() else normalize("NFC", text)).casefold()


def _status(cell: str) -> str:
    return cell.strip().lower()


def _bounded(row: ResultRow) -> ResultRow:
    """The row with what a page shows of it, and one character more of a value that is cut."""
    values = tuple([value[: CHARACTERS_SHOWN + 1] for value in row.values[:COLUMNS_SHOWN]])
    return row._replace(values=values, errors_text="")
