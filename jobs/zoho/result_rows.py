"""The rows of one result CSV, read as a stream in bounded memory."""

import codecs
import contextlib
import csv
import io
import itertools
import operator
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any, BinaryIO, NamedTuple, cast

from jobs.zoho.errors import clean_text
from jobs.zoho.result_codes import RowError, parse_errors

DELIMITERS = (",", ";", "|", "\t")
HEAD_BYTES = 65_536
LONGEST_LINE_BYTES = 1024 * 1024
LONGEST_ROW_BYTES = 4 * 1024 * 1024
MOST_CACHED = 5_000
BATCH_ROWS = 16
OTHER = "(other reasons)"

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


class Tally(NamedTuple):
    """How often each pair of lower-case status and ERRORS text occurs; the rows in all."""

    rows: int
    reasons: dict[tuple[str, str], int]


class RowReader:
    """The rows of one CSV; each iteration reads it from the start.

    ``columns`` are the data columns of the header, in its order. ``ragged`` is, after an iteration,
    how many rows had more or fewer cells than the header. Raises ResultFileError, when made or
    while iterating, for what is no result CSV.
    """

    def __init__(
        self,
        open_stream: Callable[[], BinaryIO],
        encoding: str | None = None,
        mapped_columns: Sequence[str] = (),
    ) -> None:
        self._open = open_stream
        with contextlib.closing(open_stream()) as stream:
            head = stream.read(HEAD_BYTES)
        if not head.strip():
            raise ResultFileError("The result CSV is empty.")
        self.encoding = choose_encoding(head, encoding)
        text = head.decode(self.encoding, "replace")
        self.delimiter, header = _header(text)
        names = [_clean(name).strip()[:255] for name in header]
        places = {name.upper(): place for place, name in reversed(list(enumerate(names)))}
        if "STATUS" not in places or "ERRORS" not in places:
            shown = ", ".join(name[:50] for name in names[:20])
            raise ResultFileError(
                f"The result CSV has no STATUS and ERRORS columns; its columns are: {shown}"
            )
        self._status = places["STATUS"]
        self._errors = places["ERRORS"]
        self._record_id = places.get("RECORD_ID", places.get("ID") if len(names) == 3 else None)
        own = {self._status, self._errors, self._record_id}
        self._data = [place for place in range(len(names)) if place not in own]
        self._width = len(names)
        self.columns: tuple[str, ...] = tuple(names[place] for place in self._data)
        self._known_columns = tuple(dict.fromkeys((*mapped_columns, *self.columns)))
        self.ragged = 0
        self._progress = 0

    def __iter__(self) -> Iterator[ResultRow]:
        """The rows one by one."""
        parsed: dict[str, tuple[RowError, ...]] = {}
        status, errors, record_id = self._status, self._errors, self._record_id
        for number, cells in enumerate(self._records(), start=1):
            errors_text = cells[errors]
            reasons = parsed.get(errors_text)
            if reasons is None:
                reasons = parse_errors(errors_text, self._known_columns)
                if len(parsed) < MOST_CACHED:
                    parsed[errors_text] = reasons
            yield ResultRow(
                number,
                cells[status].strip().lower(),
                "" if record_id is None else cells[record_id].strip(),
                reasons,
                errors_text,
                tuple([cells[place] for place in self._data]),
            )

    def tally(self) -> Tally:
        """Count the rows by status and reason, faster than by iterating over them.

        Beyond some thousands of different reasons further ones are counted as "(other reasons)".
        """
        counts: Counter[tuple[str, str]] = Counter()
        pick = operator.itemgetter(self._status, self._errors)
        rows = 0
        records = self._records()
        # Batches are counted faster than rows; small ones, since each row may hold megabytes.
        while batch := list(itertools.islice(records, BATCH_ROWS)):
            rows += len(batch)
            counts.update(map(pick, batch))
            if len(counts) > 2 * MOST_CACHED:
                counts = _folded(counts)
        merged: Counter[tuple[str, str]] = Counter()
        for (status, text), count in counts.items():
            merged[status.strip().lower(), text.strip()] += count
        return Tally(rows, dict(merged))

    def errors_of(self, errors_text: str) -> tuple[RowError, ...]:
        """The errors that a text of the ERRORS column names, with this file's columns known."""
        return parse_errors(errors_text, self._known_columns)

    def _records(self) -> Iterator[list[str]]:
        """The cells of each data row, as many as the header has."""
        width = self._width
        self.ragged = 0
        self._progress = 0
        with contextlib.closing(self._open()) as stream:
            source = _Guarded(stream, self, strip_nul=not self.encoding.startswith("utf-16"))
            lines = io.TextIOWrapper(
                cast("Any", io.BufferedReader(source, 65_536)),
                encoding=self.encoding,
                errors="replace",
                newline="",
            )
            records = csv.reader(self._lines(lines), delimiter=self.delimiter)
            try:
                next(records, None)
                for cells in records:
                    self._progress += 1
                    if len(cells) == width:
                        yield cells
                    elif cells:
                        self.ragged += 1
                        yield (cells + [""] * width)[:width]
            except csv.Error as exc:
                raise ResultFileError(
                    f"The result CSV cannot be read near row {self._progress}: {exc}."
                ) from exc
            except UnicodeError as exc:
                raise ResultFileError("The result CSV's characters cannot be read.") from exc

    def _lines(self, lines: io.TextIOWrapper) -> Iterator[str]:
        if not self.encoding.startswith("utf-16"):
            return lines
        return (line.replace("\0", "") for line in lines)


class _Guarded(io.RawIOBase):
    """A CSV's bytes without NULs, refusing lines and rows that would fill the memory."""

    def __init__(self, stream: BinaryIO, reader: RowReader, *, strip_nul: bool) -> None:
        self._stream = stream
        self._reader = reader
        self._strip_nul = strip_nul
        self._line = 0
        self._row = 0
        self._progress = -1

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        data = self._stream.read(len(buffer))
        while self._strip_nul and b"\0" in data:
            data = data.replace(b"\0", b"") or self._stream.read(len(buffer))
        newline = max(data.rfind(b"\n"), data.rfind(b"\r"))
        self._line = self._line + len(data) if newline < 0 else len(data) - newline
        progress = self._reader._progress
        self._row = self._row + len(data) if progress == self._progress else len(data)
        self._progress = progress
        if self._line > LONGEST_LINE_BYTES or self._row > LONGEST_ROW_BYTES:
            raise ResultFileError(f"The result CSV has an endless row after row {progress}.")
        buffer[: len(data)] = data
        return len(data)


def choose_encoding(head: bytes, declared: str | None) -> str:
    """The codec for a CSV that starts with ``head``: never one that fails or escapes.

    What the bytes themselves show wins, then the declared encoding, then UTF-8.
    """
    for bom, codec in _BOMS:
        if head.startswith(bom):
            return codec
    given = _text_codec(declared)
    if given is not None and given.startswith("utf-16"):
        given = given if b"\0" in head[:200] else None
    elif not head.isascii() and _is_utf8(head):
        return "utf-8"
    return given or "utf-8"


def _text_codec(name: str | None) -> str | None:
    if not name or len(name) > 40 or not name.isascii() or "\0" in name:
        return None
    try:
        found = codecs.lookup(name).name
    except LookupError:
        return None
    return found if found.startswith(_TEXT_CODECS) else None


def _is_utf8(head: bytes) -> bool:
    try:
        codecs.getincrementaldecoder("utf-8")().decode(head, final=False)
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


def _clean(cell: str) -> str:
    return clean_text(cell.replace("\0", "").lstrip("\ufeff"), 1000)


def _folded(counts: Counter[tuple[str, str]]) -> Counter[tuple[str, str]]:
    """The most frequent reasons, the rest as one per status."""
    folded = Counter(dict(counts.most_common(MOST_CACHED)))
    for key, count in counts.items():
        if key not in folded:
            folded[key[0].strip().lower()[:20], OTHER] += count
    return folded
