"""The rows of one result CSV, read as a stream in bounded memory."""

import codecs
import contextlib
import csv
import io
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import BinaryIO, NamedTuple

from jobs.zoho.errors import clean_text
from jobs.zoho.result_codes import RowError, parse_errors
from jobs.zoho.result_text import UNDECODABLE, EndlessRowError, TextPieces, split_rows

DELIMITERS = (",", ";", "|", "\t")
HEAD_BYTES = 65_536
# Zoho takes 200 columns in an upload, and shows three of them.
MOST_COLUMNS = 250
# Padding must not make a few bytes many cells.
MOST_CELLS = 65_536
MOST_CACHED_CHARACTERS = 65_536
NUMBERS_NOTED = 20

_BOMS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
# Codecs of text only: others (utf-7, punycode, escapes) can make anything out of plain bytes.
_TEXT_CODECS = (
    *("ascii", "utf-8", "utf-16", "iso8859", "latin", "cp125", "cp437", "cp850", "koi8", "mac-"),
    *("cp874", "tis", "cp932", "shift", "euc", "cp936", "gb", "cp949", "johab", "cp950", "big5"),
)


class ResultFileError(Exception):
    """A result file cannot be read; the text is a sentence for a person."""


class ResultRow(NamedTuple):
    """One data row. ``number`` counts from 1; ``status`` is in lower case: "added", "skipped".

    ``values`` belong to the reader's ``columns``; ``errors_text`` is the ERRORS cell as it came.
    """

    number: int
    status: str
    record_id: str
    errors: tuple[RowError, ...]
    errors_text: str
    values: tuple[str, ...]


class Block(NamedTuple):
    """Some rows in one piece, ``first`` being the number of the first of them.

    ``cells`` holds them one after the other; ``stride`` is how far apart they begin.
    """

    first: int
    rows: int
    cells: list[str]
    stride: int

    def column(self, place: int) -> list[str]:
        """The cells of one column, whose place counts all columns of the file from 0."""
        return self.cells[place : self.rows * self.stride : self.stride]

    def pick(self, place: int, indices: Iterable[int]) -> list[str]:
        """The cells of one column in some rows, the first row of the block having the index 0."""
        return [self.cells[index * self.stride + place] for index in indices]

    def row(self, index: int) -> list[str]:
        """The cells of one row, by its index."""
        return self.cells[index * self.stride : (index + 1) * self.stride - 1]


class RowReader:
    """The rows of one CSV; each iteration, over rows or over blocks, reads it from the start.

    ``columns`` are the data columns of the header, in its order, and ``places`` where they stand
    among all columns, whose names are ``header``; ``status_place``, ``errors_place`` and
    ``record_id_place`` (None where there is none) are those of Zoho's own. After an iteration,
    ``ragged`` is how many rows had more or fewer cells than the header, ``undecodable`` how many
    characters could not be read in ``encoding`` and became U+FFFD, and ``ragged_rows`` and
    ``undecodable_rows`` are the numbers of the first 20 such rows. Raises
    ResultFileError, when made or while iterating, for what is no result CSV.
    """

    def __init__(
        self,
        open_stream: Callable[[], BinaryIO],
        encoding: str | None = None,
        mapped_columns: Sequence[str] = (),
    ) -> None:
        self._open = open_stream
        with contextlib.closing(open_stream()) as stream:
            head, telling = read_head(stream, encoding)
        if not head.strip(b"\0 \t\r\n"):
            raise ResultFileError("The result CSV is empty.")
        if head.lstrip().startswith(b"<"):
            raise ResultFileError("The file in the ZIP is a web page or XML, not a result CSV.")
        self.encoding = choose_encoding(telling, encoding)
        self.delimiter, header = _header(head.decode(self.encoding, "replace"))
        names = [_clean(name).strip()[:255] for name in header]
        places = _places(names)
        _check_header(names, places)
        self.status_place = places["STATUS"]
        self.errors_place = places["ERRORS"]
        self.record_id_place = places.get(
            "RECORD_ID", places.get("ID") if len(names) == 3 else None
        )
        own = {self.status_place, self.errors_place, self.record_id_place}
        self.places = tuple(place for place in range(len(names)) if place not in own)
        self._width = len(names)
        self.header: tuple[str, ...] = tuple(names)
        self.columns: tuple[str, ...] = tuple(names[place] for place in self.places)
        self._known_columns = tuple(dict.fromkeys((*mapped_columns, *self.columns)))
        self._parsed: dict[str, tuple[RowError, ...]] = {}
        self._cached_characters = 0
        self._begin()

    def __iter__(self) -> Iterator[ResultRow]:
        """The rows one by one."""
        for block in self.blocks():
            blank = [""] * block.rows
            columns = [block.column(place) for place in self.places]
            record_ids = (
                blank if self.record_id_place is None else block.column(self.record_id_place)
            )
            for number, status, record_id, text, values in zip(
                range(block.first, block.first + block.rows),
                block.column(self.status_place),
                record_ids,
                block.column(self.errors_place),
                zip(*columns, strict=True) if columns else ((),) * block.rows,
                strict=True,
            ):
                yield ResultRow(
                    number,
                    status.strip().lower(),
                    record_id.strip(),
                    self.errors_of(text),
                    text,
                    values,
                )

    def blocks(self) -> Iterator[Block]:
        """The rows by some hundreds, for whoever looks at few columns of many rows."""
        self._begin()
        with contextlib.closing(self._open()) as stream:
            pieces = TextPieces(stream, self.encoding)
            try:
                for cells in self._cells(pieces):
                    rows = len(cells) // (self._width + 1)
                    block = Block(self._done + 1, rows, cells, self._width + 1)
                    if pieces.has_undecodable:
                        self._replace_undecodable(block)
                    self._done += rows
                    yield block
            except EndlessRowError as exc:
                raise ResultFileError(
                    f"The result CSV has an endless row after row {self._row:,}."
                ) from exc
            except csv.Error as exc:
                raise ResultFileError(
                    f"The result CSV cannot be read after row {self._row:,}: {exc}."
                ) from exc
            except UnicodeError as exc:
                raise ResultFileError("The result CSV's characters cannot be read.") from exc

    def errors_of(self, errors_text: str) -> tuple[RowError, ...]:
        """The errors that a text of the ERRORS column names, with this file's columns known."""
        if not errors_text:
            return ()
        errors = self._parsed.get(errors_text)
        if errors is None:
            errors = parse_errors(errors_text, self._known_columns)
            self._cached_characters += len(errors_text)
            if self._cached_characters < MOST_CACHED_CHARACTERS:
                self._parsed[errors_text] = errors
        return errors

    def _begin(self) -> None:
        self.ragged = self.undecodable = 0
        self.ragged_rows: list[int] = []
        self.undecodable_rows: list[int] = []
        self._done = self._row = 0

    def _cells(self, pieces: TextPieces) -> Iterator[list[str]]:
        """The cells of some rows, as `split_rows` gives them."""
        records = csv.reader(pieces, delimiter=self.delimiter)
        next(records, None)
        while pieces.fill():
            text = pieces.text[pieces.at :]
            cells = split_rows(text, self.delimiter, self._width)
            if cells is None:
                yield from self._cells_of_odd_rows(pieces, records)
                continue
            pieces.at = len(pieces.text)
            self._row = self._done + len(cells) // (self._width + 1)
            yield cells

    def _cells_of_odd_rows(
        self, pieces: TextPieces, records: Iterator[list[str]]
    ) -> Iterator[list[str]]:
        """The cells of the rows that start in this piece, by Python's csv, with as many each."""
        cells: list[str] = []
        number = pieces.number
        while pieces.number == number and pieces.at < len(pieces.text):
            pieces.begin_row()
            record = next(records, [])
            if not record:
                continue
            self._row += 1
            if len(record) != self._width:
                self.ragged += 1
                if len(self.ragged_rows) < NUMBERS_NOTED:
                    self.ragged_rows.append(self._row)
                record = (record + [""] * self._width)[: self._width]
            cells += record
            cells.append("\n")
            if len(cells) > MOST_CELLS:
                yield cells
                cells = []
        if cells:
            yield cells

    def _replace_undecodable(self, block: Block) -> None:
        for index, cell in enumerate(block.cells):
            if UNDECODABLE not in cell:
                continue
            block.cells[index] = cell.replace(UNDECODABLE, "\ufffd")
            self.undecodable += cell.count(UNDECODABLE)
            row = block.first + index // block.stride
            if row not in self.undecodable_rows[-1:] and len(self.undecodable_rows) < NUMBERS_NOTED:
                self.undecodable_rows.append(row)


def read_head(stream: BinaryIO, declared: str | None) -> tuple[bytes, bytes]:
    """The beginning of a CSV, and the first part of it that shows how it is encoded.

    Plain ASCII shows nothing, and letters beyond it may come late: only where another encoding
    than UTF-8 is declared does that make a difference that is worth reading on for.
    """
    head = part = stream.read(HEAD_BYTES)
    matters = _text_codec(declared) not in (None, "utf-8", "ascii")
    while matters and part.isascii() and b"\0" not in part:
        part = stream.read(HEAD_BYTES)
        if not part:
            return head, head
    return head, part


def choose_encoding(head: bytes, declared: str | None) -> str:
    """The codec for a CSV of which ``head`` is the first telling part: never one that escapes.

    What the bytes themselves show wins, then the declared encoding, then UTF-8.
    """
    for bom, codec in _BOMS:
        if head.startswith(bom):
            return codec
    given = _text_codec(declared)
    if given is not None and given.startswith("utf-16"):
        given = _utf_16_of(head[:200])
    elif not head.isascii() and _is_utf8(head, is_whole=len(head) < HEAD_BYTES):
        return "utf-8"
    return given or "utf-8"


def _utf_16_of(head: bytes) -> str | None:
    """UTF-16 without a byte order mark, by where the zeros of ASCII characters are; None if not."""
    if b"\0" not in head:
        return None
    return "utf-16-le" if head[1::2].count(0) >= head[::2].count(0) else "utf-16-be"


def _text_codec(name: str | None) -> str | None:
    if not name or len(name) > 40 or not name.isascii() or "\0" in name:
        return None
    try:
        found = codecs.lookup(name).name
    except LookupError:
        return None
    return found if found.startswith(_TEXT_CODECS) else None


def _is_utf8(head: bytes, *, is_whole: bool) -> bool:
    try:
        codecs.getincrementaldecoder("utf-8")().decode(head, final=is_whole)
    except UnicodeDecodeError:
        return False
    return True


def _header(text: str) -> tuple[str, list[str]]:
    """The delimiter and the header's cells: the delimiter under which STATUS and ERRORS show."""
    best: tuple[str, list[str]] = (",", [])
    for delimiter in DELIMITERS:
        try:
            cells = next(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter), [])
        except csv.Error:
            continue
        if {"STATUS", "ERRORS"} <= {_clean(cell).strip().upper() for cell in cells}:
            return delimiter, cells
        if len(cells) > len(best[1]):
            best = delimiter, cells
    if not best[1]:
        raise ResultFileError("The result CSV has no header that can be read.")
    return best


def _places(names: Sequence[str]) -> dict[str, int]:
    """Where each name stands, by its upper case.

    Zoho's own columns are in upper case and follow those of the upload, which can have the same
    names: so a name in upper case goes before others, and the last of these before the first.
    """
    places = {name.upper(): place for place, name in enumerate(names)}
    return places | {name: place for place, name in enumerate(names) if name == name.upper()}


def _check_header(names: Sequence[str], places: Mapping[str, int]) -> None:
    if "STATUS" in places and "ERRORS" in places and len(names) <= MOST_COLUMNS:
        return
    if len(names) > MOST_COLUMNS:
        raise ResultFileError(
            f"The result CSV has {len(names):,} columns or more; at most {MOST_COLUMNS} are read."
        )
    # Without naming its columns: a file without a header has somebody's row there.
    raise ResultFileError(
        "The CSV has no STATUS and ERRORS columns in its first line: it is no result of Zoho's."
    )


def _clean(cell: str) -> str:
    return clean_text(cell.replace("\0", "").lstrip("\ufeff"), 1000)
