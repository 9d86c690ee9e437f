"""CSV files of our own making: safe to open in a spreadsheet, streamed row by row."""

import csv
from collections.abc import Iterable, Iterator, Sequence

BOM = "\ufeff"
# What a spreadsheet takes for the beginning of a formula, or drops before looking for one.
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", "\0", "＝", "＋", "－", "＠")  # noqa: RUF001


class _Line:
    """A file that hands back what is written to it."""

    def write(self, text: str) -> str:
        return text


def defuse(cell: str) -> str:
    """The cell as text that no spreadsheet runs: a formula gets an apostrophe before it."""
    text = cell.replace("\0", "")
    starts = cell.startswith(FORMULA_STARTS) or text.lstrip(" ").startswith(FORMULA_STARTS)
    return f"'{text}" if starts else text


def stream(rows: Iterable[Sequence[str]]) -> Iterator[bytes]:
    """The rows as a CSV file: UTF-8 with a byte order mark, every cell defused and quoted."""
    writer = csv.writer(_Line(), quoting=csv.QUOTE_ALL)
    yield BOM.encode()
    for row in rows:
        line = writer.writerow([defuse(cell) for cell in row])
        # A lone surrogate, as a broken file can hold one, has no UTF-8.
        yield str(line).encode("utf-8", "replace")
