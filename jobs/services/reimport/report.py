"""How the left-out rows of a result file were found in an upload, and what is told of it."""

from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from jobs.models import ResultFile
from jobs.services import reasons
from jobs.services.field_names import FieldNames
from jobs.services.reimport.matching import (
    Doubt,
    Fate,
    Match,
    OriginalRows,
    ResultRows,
    find_columns,
    key_of,
    match,
    plain,
)
from jobs.services.reimport.originals import MOST_ROWS, Original, OriginalFileError
from jobs.services.results.analysis import LEFT_OUT, WRITTEN
from jobs.services.results.tables import reason_in_words
from jobs.zoho.result_files import RowReader

WHY = "Bulkwatch: why"
# What Zoho takes at most in one file.
MOST_COLUMNS = 200
MOST_REASONS = 5_000
LONGEST_REASON = 500
LONGEST_VALUE = 200
LONGEST_STATUS = 50
MOST_STATUSES = 10
DELIMITER_NAMES = {",": "comma", ";": "semicolon", "|": "vertical bar", "\t": "tab"}


@dataclass(frozen=True)
class Report:
    """What a page says of an attached file; stored as JSON, so it has only numbers, texts, lists.

    The counts are those of `matching.Match`. `columns` are the names by which rows were matched,
    `columns_not_found` those of the result that the upload does not have. The examples are
    `{"rows": numbers from 1, "count", "others", "found", "values": [[column, value], …]}`, of
    changed rows `{"row": number, "changes": [[column, value in the result, in the upload], …]}`.
    `untold` rows have a STATUS that is none of Zoho's four: `untold_statuses` are the first of
    these, in upper case, "" where a row has none.
    """

    method: str
    columns: list[str]
    columns_not_found: list[str]
    result_rows: int
    original_rows: int
    left_out: int
    matched: int
    ambiguous: int
    missing: int
    changed: int
    by_order_alone: int
    unknown: int
    written_lost: int
    untold: int
    untold_statuses: list[str]
    encoding: str
    delimiter: str
    offers_reasons: bool
    ambiguous_examples: list[dict[str, Any]]
    missing_examples: list[dict[str, Any]]
    changed_examples: list[dict[str, Any]]

    @property
    def tone(self) -> str:
        """How well the left-out rows were found: good, warn or bad."""
        if not self.matched:
            return "bad"
        doubts = (
            *(self.left_out - self.matched, self.by_order_alone, self.unknown, self.written_lost),
            *(self.untold, len(self.columns_not_found)),
        )
        return "warn" if any(doubts) else "good"

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass
class Found:
    """A match, and of each row of the upload where its bytes begin and end, and its cells.

    `places` are the upload's columns by the result's; `why` the reasons that the match numbers.
    """

    places: list[int | None]
    match: Match
    result_rows: int = 0
    left_out: int = 0
    untold: int = 0
    untold_statuses: list[str] = field(default_factory=list)
    why: list[str] = field(default_factory=list)
    starts: "array[int]" = field(default_factory=lambda: array("Q"))
    ends: "array[int]" = field(default_factory=lambda: array("Q"))
    widths: "array[int]" = field(default_factory=lambda: array("L"))


def column_indexes(file: ResultFile) -> list[int | None]:
    """The upload's column that each column of a result file comes from, by the mappings."""
    mappings = list(file.resource.field_mappings.all()) if file.resource else []
    names = FieldNames(mappings, file.columns)
    shown = [names.mapping_shown(place) for place in range(len(file.columns))]
    return [mapping.index if mapping else None for mapping in shown]


def find(reader: RowReader, original: Original, indexes: Sequence[int | None]) -> Found:
    """Find the rows that a result left out in the upload.

    `indexes` as `column_indexes` gives them. Raises OriginalFileError where the files cannot be
    compared, ResultFileError where the result cannot be read.
    """
    places = find_columns(reader.columns, original.header, indexes)
    if all(place is None for place in places):
        looked_for = ", ".join(f"“{name[:60]}”" for name in reader.columns)
        raise OriginalFileError(
            f"The file has none of the columns that Zoho's result shows: {looked_for or 'none'}. "
            "Attach the CSV that was uploaded to Zoho for this job, with its header."
        )
    found = Found(places, Match(""))
    result = _result_rows(reader, found)
    originals = OriginalRows()
    for record in original.records():
        originals.keys.append(key_of(_shown(record.cells, places)))
        originals.contents.append(record.content)
        found.starts.append(record.start)
        found.ends.append(record.end)
        found.widths.append(len(record.cells))
    if not found.starts:
        raise OriginalFileError("The file holds a header and no rows.")
    found.match = match(result, originals)
    return found


def report(found: Found, reader: RowReader, original: Original) -> Report:
    """What is told of a match. Reads the rows that are shown as examples once more."""
    matched = found.match
    doubts = [*matched.ambiguous_rows, *matched.missing_rows]
    values = _values_of(reader, {*(doubt.rows[0] for doubt in doubts), *matched.changed_rows})
    places = zip(reader.columns, found.places, strict=True)
    used = [name for name, place in places if place is not None]

    def examples(doubts: Iterable[Doubt]) -> list[dict[str, Any]]:
        return [
            {
                "rows": [row + 1 for row in doubt.rows],
                "count": doubt.count,
                "others": doubt.others,
                "found": doubt.found,
                "values": _named(reader.columns, values.get(doubt.rows[0], ())),
            }
            for doubt in doubts
        ]

    return Report(
        method=matched.method,
        columns=used,
        columns_not_found=[name for name in reader.columns if name not in used],
        result_rows=found.result_rows,
        original_rows=len(found.starts),
        left_out=found.left_out,
        matched=matched.matched,
        ambiguous=matched.ambiguous,
        missing=matched.missing,
        changed=matched.changed,
        by_order_alone=matched.by_order_alone,
        unknown=matched.unknown,
        written_lost=matched.written_lost,
        untold=found.untold,
        untold_statuses=found.untold_statuses,
        encoding=_encoding_name(original.encoding),
        delimiter=DELIMITER_NAMES[original.delimiter],
        offers_reasons=len(original.header) < MOST_COLUMNS and WHY not in original.header,
        ambiguous_examples=examples(matched.ambiguous_rows),
        missing_examples=examples(matched.missing_rows),
        changed_examples=[
            {"row": row + 1, "changes": _changes(row, found, reader, original, values.get(row, ()))}
            for row in matched.changed_rows
        ],
    )


def _encoding_name(codec: str) -> str:
    if codec.startswith("utf-16"):
        return "UTF-16"
    return codec.replace("cp125", "Windows-125") if codec.startswith("cp125") else codec.upper()


def _result_rows(reader: RowReader, found: Found) -> ResultRows:
    compared = [place for place, other in enumerate(found.places) if other is not None]
    rows = ResultRows(shows_all=len(compared) == len(found.places))
    numbers: dict[str, int] = {}
    untold: dict[str, None] = {}
    too_many = reasons.in_words(reasons.OTHER_REASONS, "")
    for row in reader:
        if row.number > MOST_ROWS:
            raise OriginalFileError(
                f"This result has more than {MOST_ROWS:,} rows; no more can be matched."
            )
        fate = Fate.UNTOLD
        number = 0
        if row.status in LEFT_OUT:
            fate = Fate.LEFT_OUT
            why = reason_in_words(row)[:LONGEST_REASON]
            if why not in numbers and len(numbers) >= MOST_REASONS:
                why = too_many
            number = numbers.setdefault(why, len(numbers))
        elif row.status in WRITTEN:
            fate = Fate.WRITTEN
        elif len(untold) < MOST_STATUSES:
            untold.setdefault(row.status[:LONGEST_STATUS].upper())
        rows.keys.append(key_of(row.values[place] for place in compared))
        rows.fates.append(fate)
        rows.reasons.append(number)
    found.result_rows = len(rows.keys)
    found.left_out = rows.fates.count(Fate.LEFT_OUT)
    found.untold = rows.fates.count(Fate.UNTOLD)
    found.untold_statuses = list(untold)
    found.why = list(numbers)
    return rows


def _shown(cells: Sequence[str], places: Iterable[int | None]) -> Iterator[str]:
    """The cells of an upload's row that the result shows; a short row has empty ones."""
    return (cells[place] if place < len(cells) else "" for place in places if place is not None)


def _values_of(reader: RowReader, wanted: set[int]) -> dict[int, Sequence[str]]:
    values: dict[int, Sequence[str]] = {}
    if wanted:
        for row in reader:
            if row.number - 1 in wanted:
                values[row.number - 1] = row.values
                if len(values) == len(wanted):
                    break
    return values


def _changes(
    row: int, found: Found, reader: RowReader, original: Original, values: Sequence[str]
) -> list[list[str]]:
    cells = original.cells(found.starts[row], found.ends[row])
    changes = []
    for name, value, place in zip(reader.columns, values, found.places, strict=False):
        here = cells[place] if place is not None and place < len(cells) else ""
        if place is not None and plain(here) != plain(value):
            changes.append([name, value[:LONGEST_VALUE], here[:LONGEST_VALUE]])
    return changes


def _named(columns: Sequence[str], values: Sequence[str]) -> list[list[str]]:
    return [[name, value[:LONGEST_VALUE]] for name, value in zip(columns, values, strict=False)]
