"""Tables in a paste: CSVs and what is copied from spreadsheets, with a column of ids."""

import csv
import io
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from jobs.services.registering.pastes import lines
from jobs.services.registering.pastes.answers import ID_NAMES, JOB_NAMES
from jobs.services.registering.pastes.pieces import (
    BULK_READ,
    FILE_ID,
    NO_ID,
    NOT_SHAPED,
    Piece,
    Verdict,
    is_long_id,
    is_time,
    piece_of,
    plain,
)

DELIMITERS = "\t;,|"
LABEL_NAMES = ("label", "joblabel", "name", "jobname")
MOST_NAMES = 8
MOST_COLUMNS = 1_000
# Fields of records, beside which an `id` is the record's: those that no list of jobs has.
RECORD_NAMES = frozenset((
    "accountname", "amount", "city", "closingdate", "company", "contactname", "country",
    "dealname", "email", "firstname", "fullname", "industry", "lastname", "leadsource",
    "leadstatus", "mobile", "modifiedby", "modifiedtime", "phone", "salutation", "stage",
    "street", "website", "zipcode",
))  # fmt: skip
OF_RECORDS = (
    "The columns beside it are those of records, so it is taken for the id of a record. If it is a "
    "job's, name its column “job_id”."
)

# Excel's own way to name the delimiter.
_SEPARATOR_LINE = re.compile(r"\"?sep=([\t;,|])\"?[ \t]*(?:\r\n|\r|\n)", re.I)
_LINE_END = re.compile(r"\r\n|\r|\n")


@dataclass(frozen=True, slots=True)
class Table:
    """The pieces of a table by line, and a sentence about the columns that were read."""

    pieces: list[tuple[int, Piece]]
    note: str


def read(text: str) -> Table | None:
    """The table that a text is; None where it is none, or none with a column of ids.

    The column is found by its name in the first row, else by its values. Where the ids are those
    of something else, such as files or records, the rows are left out with the reason.
    """
    begin = len(text) - len(text.lstrip("\r\n"))
    if separator := _SEPARATOR_LINE.match(text, begin):
        begin = separator.end()
    first_line = text[begin:].partition("\n")[0]
    # What has an object in its first row is no table, and would be misread as one.
    if "{" in first_line or max(map(first_line.count, DELIMITERS)) > MOST_COLUMNS:
        return None
    delimiters = separator[1] if separator else DELIMITERS
    by_name = [mark for mark in delimiters if _id_columns(_cells(first_line, mark))]
    by_values = [mark for mark in delimiters if mark in first_line and mark not in by_name]
    by_values.sort(key=first_line.count, reverse=True)
    for mark in [*by_name, *by_values]:
        rows = _rows(text, begin, mark)
        if rows and (table := _table(rows, is_named=mark in by_name)):
            return table
    if not any(mark in first_line for mark in DELIMITERS) and plain(first_line).endswith("id"):
        return _of_others(_rows(text, begin, "\t"))
    return None


def _cells(line: str, delimiter: str) -> list[str]:
    """The cells of a first row; none of one that this delimiter does not part."""
    if delimiter not in line:
        return []
    try:
        return next(csv.reader([line], delimiter=delimiter, skipinitialspace=True), [])
    except csv.Error:
        return []


def _rows(text: str, begin: int, delimiter: str) -> list[tuple[int, list[str]]]:
    """(line at which it begins, cells) of each row that is not empty; none of a broken table."""
    before = len(_LINE_END.findall(text[:begin]))
    # Strictly: where a quotation mark has no partner, nobody can say where rows end.
    reader = csv.reader(
        io.StringIO(text[begin:]), delimiter=delimiter, skipinitialspace=True, strict=True
    )
    rows = []
    line = before + 1
    try:
        for row in reader:
            # Those of dashes alone part the head of a table in Markdown from the rest.
            if any(cell.strip(" :-") for cell in row):
                rows.append((line, row))
            line = before + reader.line_num + 1
    except csv.Error:
        return []
    return rows


def _table(rows: list[tuple[int, list[str]]], *, is_named: bool) -> Table | None:
    if not rows:
        return None
    header = rows[0][1]
    named = _id_columns(header) if is_named else []
    column = _believed(named, header, [row for _, row in rows])
    if column is None:
        return _of_others(rows)
    has_header = is_named or _id_of(header, column) is None
    names = header if has_header else []
    if record := _record_field(names, column):
        note = (
            f"Read as a table of records, as a column is named “{_shown(record)}”: its ids are not "
            "taken. If they are those of jobs, name their column “job_id”."
        )
        return Table(_left_out(rows[1:], column, OF_RECORDS), note)
    label = next(
        (
            at
            for wanted in LABEL_NAMES
            for at, name in enumerate(names)
            if plain(name) == wanted and at != column
        ),
        None,
    )
    is_told = column in named
    kinds = [at for at, name in enumerate(names) if plain(name) in ("operation", "jobtype")]
    pieces = [
        (line, _piece(row, column, label, kinds, is_named=is_told))
        for line, row in rows[1 if has_header else 0 :]
    ]
    if not pieces:
        return None
    return Table(pieces, _note(rows, names, column, label))


def _id_columns(header: Sequence[str]) -> list[int]:
    """The columns whose names say that they hold ids, the surest first."""
    names = [plain(name) for name in header]
    return [names.index(wanted) for wanted in ID_NAMES if wanted in names]


def _believed(named: list[int], header: list[str], rows: list[list[str]]) -> int | None:
    """The column of ids: a name is believed only where ids stand below it.

    "Job" may head names, and "id" may number the rows while the ids of jobs stand elsewhere.
    """
    shares = {at: _shares(rows[1:], at) for at in named}
    if long := [at for at in named if shares[at][0] >= 0.5]:
        return long[0]
    if told := [at for at in named if shares[at][1] >= 0.5 and plain(header[at]) in JOB_NAMES]:
        return told[0]
    if (by_values := _column_by_values(rows)) is not None:
        return by_values
    if _columns_of_others(rows):
        return None
    any_ids = [at for at in named if shares[at][1] >= 0.5] or [
        at for at in named if shares[at][1] > 0
    ]
    return any_ids[0] if any_ids else None


def _other(name: str) -> str:
    """Whose ids a column holds by its name: "file", "record"; empty for a job's, or nobody's."""
    kind = lines.kind_of(name)
    return "" if kind == "job" else kind


def _record_field(names: list[str], column: int) -> str:
    """The name of a column that shows the ids to be those of records; empty where none does."""
    kinds = [lines.kind_of(name) for name in names]
    is_bare = [plain(name) in ("id", "ids") for name in names]
    # What only jobs have: a name of theirs, or the module and the file that they are about.
    hints = (
        kind in ("file", "module") or (kind == "job" and not bare)
        for kind, bare in zip(kinds, is_bare, strict=True)
    )
    if any(hints):
        return ""
    # Exports name the record that a lookup leads to "Account Name.id".
    fields = (
        name
        for at, name in enumerate(names)
        if at != column and plain(name).removesuffix("id") in RECORD_NAMES
    )
    return next(fields, "")


def _of_others(rows: list[tuple[int, list[str]]]) -> Table | None:
    """A table whose ids are all those of something else; None where it has no such column."""
    if len(rows) < 2:
        return None
    of_others = _columns_of_others([row for _, row in rows])
    if not of_others:
        return None
    column = of_others[0]
    name = _shown(rows[0][1][column])
    is_file = _other(rows[0][1][column]) == "file"
    why = FILE_ID if is_file else f"Its column is named “{name}”: no job's."
    note = (
        f"Read as a table: the ids in column “{name}” are not those of jobs, and no other column "
        "has any."
    )
    return Table(_left_out(rows[1:], column, why), note)


def _columns_of_others(rows: list[list[str]]) -> list[int]:
    """The columns of ids whose names say that the ids are not those of jobs."""
    named = (at for at, name in enumerate(rows[0]) if _other(name))
    return [at for at in named if _shares(rows[1:], at)[0] >= 0.5]


def _left_out(rows: list[tuple[int, list[str]]], column: int, why: str) -> list[tuple[int, Piece]]:
    return [
        (line, Piece(" ".join(row[column : column + 1]).strip(), Verdict.NO_JOB, why=why))
        for line, row in rows
    ]


def _shares(rows: list[list[str]], at: int) -> tuple[float, float]:
    """Which shares of a column's filled cells are shaped like Zoho's ids, and may be ids at all."""
    filled = [row[at].strip() for row in rows if at < len(row) and row[at].strip()]
    pieces = [piece_of(cell) or next(iter(lines.addresses_in(cell)), None) for cell in filled]
    found = [piece for piece in pieces if piece is not None]
    long = [piece for piece in found if not piece.job_id or is_long_id(piece.job_id)]
    return len(long) / max(len(filled), 1), len(found) / max(len(filled), 1)


def _column_by_values(rows: list[list[str]]) -> int | None:
    """The column most of whose values are ids, where others are not; each value once.

    None whose name says whose ids they are instead.
    """
    of_others = [at for at, name in enumerate(rows[0]) if _other(name)]
    width, with_it = Counter(len(row) for row in rows).most_common(1)[0]
    if width < 2 or len(rows) < 2 or with_it < 0.8 * len(rows):
        return None
    rows = [row for row in rows if len(row) == width]
    found = {}
    for at in range(width):
        ids = [cell for row in rows if (cell := _id_of(row, at))]
        if len(ids) >= 0.5 * len(rows):
            found[at] = len(set(ids))
    own = [at for at in found if at not in of_others]
    # A list of ids is no table, and an org's number is the same in each row.
    if not own or len(own) == width:
        return None
    return max(own, key=lambda at: (found[at], -at))


def _id_of(row: list[str], at: int) -> str | None:
    piece = piece_of(row[at]) if at < len(row) else None
    if piece is None or is_time(piece.job_id):
        return None
    return piece.text if piece.verdict == Verdict.ROUNDED or is_long_id(piece.job_id) else None


def _piece(
    row: list[str], column: int, label: int | None, kinds: list[int], *, is_named: bool
) -> Piece:
    cell = row[column].strip() if column < len(row) else ""
    shown = cell or " ".join(part.strip() for part in row if part.strip())
    piece = piece_of(cell) if cell else None
    if piece is None and cell:
        piece = next(iter(lines.addresses_in(cell)), None)
    if piece is None:
        if not cell:
            why = "The column of ids is empty in this row."
            return Piece(shown, Verdict.NO_JOB, why=why)
        return Piece(shown, Verdict.NOT_AN_ID, why=NO_ID)
    if not is_named and piece.job_id and not is_long_id(piece.job_id):
        return Piece(shown, Verdict.NO_JOB, why=NOT_SHAPED)
    if any(at < len(row) and plain(row[at]) in ("read", "bulkread") for at in kinds):
        return Piece(shown, Verdict.BULK_READ, piece.job_id, BULK_READ)
    text = row[label].strip() if label is not None and label < len(row) else ""
    return Piece(piece.text, piece.verdict, piece.job_id, piece.why, " ".join(text.split())[:200])


def _note(
    rows: list[tuple[int, list[str]]], names: list[str], column: int, label: int | None
) -> str:
    def called(at: int) -> str:
        name = _shown(names[at]) if at < len(names) else ""
        return f"“{name}”" if name else f"{at + 1}"

    width = max(len(row) for _, row in rows)
    note = f"Read as a table: the ids stand in column {called(column)}"
    if label is not None:
        note += f", the labels in {called(label)}"
    others = [called(at) for at in range(width) if at not in (column, label)]
    if not others:
        return f"{note}."
    more = len(others) - MOST_NAMES
    listed = ", ".join(others[:MOST_NAMES]) + (f" and {more} more" if more > 0 else "")
    if len(others) == 1:
        return f"{note}. The other column is not used: {listed}."
    return f"{note}. The other columns are not used: {listed}."


def _shown(name: str) -> str:
    return " ".join(name.split())[:60]
