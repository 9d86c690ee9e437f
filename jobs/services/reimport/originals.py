"""Reading the CSV that was once uploaded to Zoho: its rows, and the bytes that each is made of.

The file stays where it is: what is kept of a row is where it begins and ends. A file of which that
cannot be told for sure is refused, for its rows go back into a CRM.
"""

import codecs
import csv
import io
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import BinaryIO, NamedTuple

from jobs.services.reimport.matching import digest, name_of
from jobs.zoho.result_rows import DELIMITERS, choose_encoding, read_head

MOST_ROWS = 250_000
# Zoho takes 200.
MOST_COLUMNS = 250
# Cells cost memory before they can be counted, so delimiters are; quoted text has some, too.
MOST_DELIMITERS = 65_536
LONGEST_ROW_BYTES = 4 * 1024 * 1024
CHUNK_BYTES = 256 * 1024
FALLBACK = "cp1252"
ATTACH_WHAT = "Attach the CSV that was uploaded to Zoho, or the ZIP with it."
OWN_COLUMNS = {"STATUS", "RECORD_ID", "ERRORS"}
NO_CSV = "The file is no CSV: it holds other data than text."
CORRECT_IT = "Correct this in a copy of the file, then attach the copy."
# What a file that is no CSV begins with, and what it is then.
_OTHER_FILES = (
    (b"PK\x03\x04", "a ZIP file within another file"),
    (b"%PDF", "a PDF"),
    (b"\xd0\xcf\x11\xe0", "an old Excel workbook or another Office file"),
    (b"\x1f\x8b", "a gzip file"),
    (b"7z\xbc\xaf", "a 7z file"),
    (b"Rar!", "a RAR file"),
    (b"{\\rtf", "a text document"),
    (b"<!doctype", "a web page"),
    (b"<html", "a web page"),
    (b"<?xml", "an XML file"),
)
_UTF16_BOMS = {codecs.BOM_UTF16_LE: "utf-16-le", codecs.BOM_UTF16_BE: "utf-16-be"}
# Of text, even one in seven may be a stray NUL; of UTF-16 read as something else, half are.
_NULS_IN_TEXT = 1 / 7


class OriginalFileError(Exception):
    """An attached file cannot be used; the text is a sentence for the person who attached it."""


class _TooManyColumnsError(OriginalFileError):
    def __init__(self, found: str) -> None:
        super().__init__(f"{found}; Zoho takes no file with more than 200 columns. {ATTACH_WHAT}")


class Record(NamedTuple):
    """One row: the bytes from `start` to `end`, its line end among them, and its cells."""

    start: int
    end: int
    cells: list[str]
    content: bytes


class Original:
    """An attached CSV, read from the start by each iteration over `records()`.

    `shown` are the names of the columns that the result file shows; they settle the delimiter.
    `encoding` and `delimiter` are what was found, `header` the header's cells, `header_end` where
    its bytes end. Raises OriginalFileError for what is no such CSV, here and while iterating.
    """

    def __init__(
        self, open_stream: Callable[[], BinaryIO], declared: str, shown: Sequence[str]
    ) -> None:
        self._open = open_stream
        with open_stream() as stream:
            head, telling = read_head(stream, declared)
        _refuse_other_files(head)
        # A lone carriage return ends lines only where the file holds no line feed at all.
        self._line_end = "\r"
        self._start, self.encoding = self._choose_encoding(head, telling, declared)
        self.delimiter, header = self._read_header(shown)
        self.header = tuple(header.cells)
        self.header_end = header.end
        _refuse_results(self.header, shown)

    def records(self) -> Iterator[Record]:
        """The rows below the header. Blank lines are none."""
        records = self._records(self.delimiter)
        next(records)
        for number, record in enumerate(records, start=1):
            if number > MOST_ROWS:
                raise OriginalFileError(
                    f"The file has more than {MOST_ROWS:,} rows; no more can be matched."
                )
            yield record

    def cells(self, start: int, end: int) -> list[str]:
        """The cells of the row whose bytes begin and end there."""
        with self._open() as stream:
            stream.seek(start)
            text = stream.read(end - start).decode(self.encoding).replace("\0", "")
        return next(csv.reader(io.StringIO(text, newline=""), delimiter=self.delimiter), [])

    def encoded(self, text: str) -> bytes:
        """Text as bytes of this file; "?" for what its encoding does not hold."""
        return text.encode(self.encoding, "replace")

    def without_line_end(self, row: bytes) -> tuple[bytes, bytes]:
        """The bytes of a row, and those that end its line."""
        cut = _length_without_line_end(row, self.encoding)
        return row[:cut], row[cut:]

    def _choose_encoding(self, head: bytes, telling: bytes, declared: str) -> tuple[int, str]:
        """Where the text starts behind a byte order mark, and how it is encoded."""
        # What looks like a mark further on is none.
        chosen = choose_encoding(telling, declared or None).removesuffix("-sig")
        if head.startswith(codecs.BOM_UTF8):
            candidates = [(len(codecs.BOM_UTF8), "utf-8")]
        elif head[:2] in _UTF16_BOMS:
            candidates = [(2, _UTF16_BOMS[head[:2]])]
        else:
            candidates = [(0, chosen), (0, FALLBACK)]
        for start, encoding in candidates:
            if self._decodes(start, encoding):
                return start, encoding
        if b"\0" in head:
            raise OriginalFileError(f"{NO_CSV} {ATTACH_WHAT}")
        names = " or ".join(dict.fromkeys(encoding for _, encoding in candidates))
        raise OriginalFileError(
            f"The characters of the file cannot be read as {names}. Attach the file as it was "
            "uploaded to Zoho, not saved anew."
        )

    def _decodes(self, start: int, encoding: str) -> bool:
        decoder = codecs.getincrementaldecoder(encoding)()
        characters = nuls = 0
        try:
            with self._open() as stream:
                stream.seek(start)
                while chunk := stream.read(CHUNK_BYTES):
                    text = decoder.decode(chunk)
                    characters, nuls = characters + len(text), nuls + text.count("\0")
                    if "\n" in text:
                        self._line_end = "\n"
                decoder.decode(b"", final=True)
        except UnicodeDecodeError:
            return False
        if nuls > characters * _NULS_IN_TEXT:
            raise OriginalFileError(f"{NO_CSV} {ATTACH_WHAT}")
        return True

    def _read_header(self, shown: Sequence[str]) -> tuple[str, Record]:
        """The delimiter under which most of the columns looked for, then most cells, show."""
        wanted = set(map(name_of, shown))
        best: tuple[tuple[int, int], str, Record] | None = None
        refusal: OriginalFileError | None = None
        for delimiter in DELIMITERS:
            try:
                header = next(self._records(delimiter), None)
            except _TooManyColumnsError:
                raise
            except OriginalFileError as error:
                refusal = refusal or error
                continue
            if header is None:
                raise OriginalFileError("The file is empty.")
            names = set(map(name_of, header.cells))
            score = len(wanted & names), len(header.cells)
            if best is None or score > best[0]:
                best = score, delimiter, header
        if best is None:
            raise refusal or OriginalFileError("The file is empty.")
        columns = len(best[2].cells)
        if columns > MOST_COLUMNS:
            raise _TooManyColumnsError(f"The header has {columns:,} columns")
        return best[1], best[2]

    def _records(self, delimiter: str) -> Iterator[Record]:
        """The header and the rows. What a quotation mark leaves open is refused, not guessed."""
        number = width = 0
        usual_widths: set[int] = set()
        with self._open() as stream:
            stream.seek(self._start)
            lines = _Lines(
                _split(stream, self._line_end.encode(self.encoding)),
                self.encoding,
                self._start,
                delimiter,
            )
            reader = csv.reader(lines, delimiter=delimiter, strict=True)
            start = self._start
            while True:
                where = f"row {number}" if number else "the header"
                try:
                    cells = next(reader)
                except StopIteration:
                    return
                except _RowTooLongError as error:
                    raise OriginalFileError(
                        f"In {where}, a quoted cell does not end, or the row is longer than "
                        f"{LONGEST_ROW_BYTES:,} bytes."
                    ) from error
                except _TooManyCellsError as error:
                    raise _TooManyColumnsError(
                        f"In {where} stand more than {MOST_DELIMITERS:,} delimiters"
                    ) from error
                except csv.Error as error:
                    raise OriginalFileError(_csv_error(str(error), where)) from error
                if cells:
                    width = width or len(cells)
                    if lines.taken > 1 and len(cells) not in usual_widths and number:
                        raise OriginalFileError(_runs_on(where, len(cells), width))
                    usual_widths.add(len(cells))
                    yield Record(start, lines.position, cells, lines.content())
                    number += 1
                start = lines.position
                lines.forget()


class _RowTooLongError(Exception):
    pass


class _TooManyCellsError(Exception):
    pass


class _Lines:
    """Decoded lines for csv.reader, which takes no line before it needs it; and their bytes."""

    def __init__(
        self, lines: Iterable[bytes], encoding: str, position: int, delimiter: str
    ) -> None:
        self._lines = iter(lines)
        self._encoding = encoding
        self._delimiter = delimiter
        self._delimiters = 0
        self._taken: list[bytes] = []
        self._size = 0
        self.position = position

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = next(self._lines)
        self.position += len(line)
        self._taken.append(line)
        self._size += len(line)
        if self._size > LONGEST_ROW_BYTES:
            raise _RowTooLongError
        text = line.decode(self._encoding).replace("\0", "")
        self._delimiters += text.count(self._delimiter)
        if self._delimiters > MOST_DELIMITERS:
            raise _TooManyCellsError
        return text

    @property
    def taken(self) -> int:
        """How many lines the row has so far."""
        return len(self._taken)

    def content(self) -> bytes:
        """A digest of the row that was taken, however its line ends."""
        row = b"".join(self._taken)
        return digest(row[: _length_without_line_end(row, self._encoding)])

    def forget(self) -> None:
        """Begin a row."""
        self._taken.clear()
        self._size = self._delimiters = 0


def _split(stream: BinaryIO, line_end: bytes) -> Iterator[bytes]:
    """The lines of a stream, each with its end."""
    unit = len(line_end)
    rest = b""
    while chunk := stream.read(CHUNK_BYTES):
        data = rest + chunk
        start = looked = 0
        while (found := data.find(line_end, looked)) >= 0:
            looked = found + 1
            # Within UTF-16, halves of two characters can look like a line end.
            if found % unit == 0:
                looked = found + unit
                yield data[start:looked]
                start = looked
        rest = data[start:]
        if len(rest) > LONGEST_ROW_BYTES:
            raise _RowTooLongError
    if rest:
        yield rest


def _length_without_line_end(row: bytes, encoding: str) -> int:
    if not encoding.startswith("utf-16"):
        return len(row.rstrip(b"\r\n"))
    ends = tuple(end.encode(encoding) for end in "\r\n")
    length = len(row)
    while row.endswith(ends, 0, length):
        length -= len(ends[0])
    return length


def _csv_error(message: str, where: str) -> str:
    if "field limit" in message:
        most = f"{csv.field_size_limit():,} characters"
        return (
            f"In {where}, a cell is longer than {most}, or a quotation mark is missing at its end."
        )
    if "new-line" in message:
        return (
            f"In {where}, a line break is of another kind than those of the other lines, so where "
            f"rows end cannot be told. {CORRECT_IT}"
        )
    return (
        f"In {where}, quotation marks do not pair up, so where that row ends cannot be told. "
        f"Within a quoted cell each mark must be doubled. {CORRECT_IT}"
    )


def _runs_on(where: str, cells: int, width: int) -> str:
    """A mark that is missing somewhere can make one row of two, and it still reads as a CSV."""
    return (
        f"In {where}, a quoted cell runs over a line break, and the row's cells number {cells:,}, "
        f"the header's {width:,}: a quotation mark may be missing. {CORRECT_IT}"
    )


def _refuse_other_files(head: bytes) -> None:
    if not head.strip(b"\0 \t\r\n"):
        raise OriginalFileError("The file is empty.")
    for beginning, what in _OTHER_FILES:
        if head.lstrip()[:20].lower().startswith(beginning.lower()):
            raise OriginalFileError(f"The file is no CSV but {what}. {ATTACH_WHAT}")


def _refuse_results(header: Sequence[str], shown: Sequence[str]) -> None:
    names = set(map(name_of, header))
    if {"STATUS", "ERRORS"} <= names and names - OWN_COLUMNS <= set(map(name_of, shown)):
        raise OriginalFileError(
            "This is Zoho's result file; attach the file that was uploaded to Zoho."
        )
    if {"Status", "Zoho's ERRORS"} <= names:
        raise OriginalFileError(
            "This is a list of rows made by Bulkwatch; attach the file that was uploaded to Zoho."
        )
