"""The text of a result CSV, piece by piece, in bounded memory."""

import codecs
import re
from typing import BinaryIO, Self, cast

PIECE_BYTES = 65_536
# What Python's csv takes as one cell.
LONGEST_CELL = 131_072
LONGEST_ROW = 256 * 1024
# Stands for what could not be decoded, until its row is known. Decoders never make it themselves.
UNDECODABLE = "\udcff"
# Stands for a cell that cannot be split by delimiters. The text is free of it.
HELD = "\0"

_LINE = re.compile(r"[^\r\n]*(?:\r\n|\r|\n)?")
_HANDLER = "jobs.zoho.undecodable"


def _stand_in(error: UnicodeError) -> tuple[str, int]:
    return UNDECODABLE, cast(UnicodeDecodeError, error).end


codecs.register_error(_HANDLER, _stand_in)


class EndlessRowError(Exception):
    """A row is longer than any that Zoho would write."""


class TextPieces:
    """A CSV's text: `text` from `at` on is a piece of whole lines, without NULs, not yet taken.

    Iterating takes line by line over the ends of pieces; `begin_row` says that a row starts.
    `number` counts the pieces. What could not be decoded is UNDECODABLE in the text. Raises
    EndlessRowError for a line, or a row of several lines, of more than 256 Ki characters.
    """

    def __init__(self, stream: BinaryIO, encoding: str) -> None:
        self._stream = stream
        self._decoder = codecs.getincrementaldecoder(encoding)(_HANDLER)
        self._rest = ""
        self._ended = False
        self._row_length = 0
        self.text = ""
        self.at = 0
        self.number = 0
        self.has_undecodable = False

    def fill(self) -> bool:
        """Read the next piece where this one was taken; whether there is anything to take."""
        while self.at >= len(self.text) and not self._ended:
            data = self._stream.read(PIECE_BYTES)
            self._ended = not data
            text = self._decoder.decode(data, final=self._ended)
            if "\0" in text:
                text = text.replace("\0", "")
            self.has_undecodable = self.has_undecodable or UNDECODABLE in text
            text = self._rest + text
            # Between "\r" and "\n" as well: what follows is then a blank line, which is no row.
            end = max(text.rfind("\n"), text.rfind("\r")) + 1
            cut = len(text) if self._ended else end
            self.text, self._rest, self.at = text[:cut], text[cut:], 0
            self.number += 1
            if len(self._rest) > LONGEST_ROW:
                raise EndlessRowError
        return self.at < len(self.text)

    def begin_row(self) -> None:
        self._row_length = 0

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> str:
        if not self.fill():
            raise StopIteration
        found = _LINE.match(self.text, self.at)
        line = found[0] if found else ""
        self.at += len(line)
        self._row_length += len(line)
        if self._row_length > LONGEST_ROW:
            raise EndlessRowError
        return line


def split_rows(text: str, delimiter: str, width: int) -> list[str] | None:
    """The cells of whole rows one after the other, each row's followed by the cell "\\n".

    Exactly what Python's csv reads, several times faster, for rows of `width` (at least 2) cells;
    cells in quotes may hold anything but quotes. None for everything else. The text is free of NULs
    and starts where a row does. One cell more stands at the end.
    """
    if len(text) > LONGEST_CELL:
        return None
    held: list[str] = []
    if '"' in text:
        unquoted = _unquoted(text, delimiter, held)
        if unquoted is None:
            return None
        text = unquoted
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    if not text.endswith("\n"):
        text += "\n"
    cells = text.replace("\n", f"{delimiter}\n{delimiter}").split(delimiter)
    stride = width + 1
    # No cell but the added ones is a line's end: in place, they show that no row is ragged.
    rows = cells.count("\n")
    if len(cells) != rows * stride + 1 or cells[width::stride].count("\n") != rows:
        return None
    at = -1
    for content in held:
        at = cells.index(HELD, at + 1)
        cells[at] = content
    return cells


def _unquoted(text: str, delimiter: str, held: list[str]) -> str | None:
    """The text with its quotes taken off; None unless they stand around whole cells alone.

    What they held and bare cells cannot hold is put into `held`, and HELD into its place.
    """
    parts = text.split('"')
    if len(parts) % 2 == 0:
        return None
    if "\r" in text:
        outside = '"'.join(parts[::2]).replace("\r\n", "\n").replace("\r", "\n")
        parts[::2] = outside.split('"')
    edges = {parts[0][-1:] or "\n", parts[-1][:1] or "\n"}
    edges.update([part[:1] for part in parts[2:-1:2]], [part[-1:] for part in parts[2:-1:2]])
    if not edges <= {delimiter, "\n"}:
        return None
    for place in range(1, len(parts), 2):
        part = parts[place]
        if delimiter in part or "\n" in part or "\r" in part:
            held.append(part)
            parts[place] = HELD
    return "".join(parts)
