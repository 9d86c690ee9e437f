"""CSV files of our own making: safe to open in a spreadsheet, streamed row by row.

Source: OWASP ASVS 5.0 1.2.10 and OWASP's page on CSV injection.
"""

import csv
import re
from collections.abc import Iterable, Iterator, Sequence

BOM = "\ufeff"
# What begins a formula: the ASVS's four, the full-width, small and raised forms that some
# spreadsheets read as these, and the minus sign.
_SIGNS = "=+\\-@＝＋－＠\ufe66\ufe62\ufe63\ufe6b\u207c\u207a\u207b\u2212"  # noqa: RUF001
# What a spreadsheet drops, or does not show, before it looks for a formula.
_UNSEEN = (
    '"\\s\\x00-\\x1f\\x7f-\\x9f\u00ad\u061c\u115f\u180e\u200b-\u200f\u2028-\u202f\u2060-\u206f'
    "\u3164\ufe00-\ufe0f\ufeff\uffa0"
)
# Where the list separator is a semicolon, as in most of Europe, a spreadsheet does not split our
# lines at commas: it then reads on without quotes, and parts in the middle of a value where a
# semicolon or a line break stands.
_PARTS = ";|\\t\\n\\v\\f\\r\\x1c-\\x1e\\x85\u2028\u2029"
_FORMULA = re.compile(
    f"^(?=[\\t\\r\\n]|[{_UNSEEN}]*[{_SIGNS}])"
    # No second part within: from each the search would run to the end again.
    f"|(?<=[{_PARTS}])(?=(?:(?![{_PARTS}])[{_UNSEEN}])*[{_SIGNS}])"
)


class _Line:
    """A file that hands back what is written to it."""

    def write(self, text: str) -> str:
        return text


def defuse(cell: str) -> str:
    """The cell as text that no spreadsheet runs: a formula gets an apostrophe before it.

    Also one in the middle of the cell, where a spreadsheet may part it. NULs are left out.
    """
    return _FORMULA.sub("'", cell.replace("\0", ""))


def stream(rows: Iterable[Sequence[str]]) -> Iterator[bytes]:
    """The rows as a CSV file: UTF-8 with a byte order mark, every cell defused and quoted."""
    writer = csv.writer(_Line(), quoting=csv.QUOTE_ALL)
    yield BOM.encode()
    for row in rows:
        line = writer.writerow([defuse(cell) for cell in row])
        # A lone surrogate, as a broken file can hold one, has no UTF-8.
        yield str(line).encode("utf-8", "replace")
