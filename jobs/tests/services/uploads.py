"""Uploads and the results that Zoho would make of them, written without the product's own code."""

import csv
import io
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from hypothesis import strategies as st

SHOWN = ("Last Name", "E-Mail", "Firm, legal")
HEADER = ("Id", "Firm, legal", "Notes", "Last Name", "E-Mail")
# Few enough that rows are often alike in what a result shows.
VALUES = (
    "",
    "a",
    "b",
    "ä",
    'say "x"',
    "1;2|3,4\t5",
    "two\nlines",
    " b ",
    "=1+1",
    "'",
    "\r\n",
    "'\"'",
)
STATUSES = ("ADDED", "updated", "SKIPPED", "Unprocessed", "FAILED")
LEFT_OUT = ("SKIPPED", "Unprocessed")


@dataclass(frozen=True)
class Row:
    """One uploaded row. No two of one upload have the same id, which no result shows."""

    id: int
    last_name: str
    email: str
    firm: str
    notes: str
    status: str

    @property
    def cells(self) -> list[str]:
        return [f"#{self.id}", self.firm, self.notes, self.last_name, self.email]

    @property
    def key(self) -> tuple[str, ...]:
        return self.key_in(SHOWN)

    def key_in(self, columns: Collection[str]) -> tuple[str, ...]:
        """What the row has in those of the columns shown."""
        values = zip(SHOWN, (self.last_name, self.email, self.firm), strict=True)
        return tuple(value.strip() for column, value in values if column in columns)

    @property
    def is_left_out(self) -> bool:
        return self.status in LEFT_OUT


@dataclass(frozen=True)
class Format:
    """How an upload is written."""

    delimiter: str = ","
    line_end: str = "\n"
    encoding: str = "utf-8"
    quotes_all: bool = False
    ends_with_line_end: bool = True

    def line(self, cells: Sequence[str]) -> str:
        return self.delimiter.join(map(self._cell, cells)) + self.line_end

    def _cell(self, cell: str) -> str:
        if self.quotes_all or set(cell) & set(' "\r\n,;|\t'):
            return '"{}"'.format(cell.replace('"', '""'))
        return cell

    def file(self, rows: Sequence[Row], header: Sequence[str] = HEADER) -> list[bytes]:
        """The upload's header and rows, each as its bytes."""
        lines = [self.line(header), *(self.line(row.cells) for row in rows)]
        if not self.ends_with_line_end:
            lines[-1] = lines[-1].removesuffix(self.line_end)
        if self.line_end == "\r":
            # Lone carriage returns end lines only where there is no line feed at all.
            lines = [line.replace("\n", "\r") for line in lines]
        codec = {"utf-8-sig": "utf-8", "utf-16": "utf-16-le"}.get(self.encoding, self.encoding)
        mark = "\ufeff" if codec != self.encoding else ""
        return [(mark + lines[0]).encode(codec), *(line.encode(codec) for line in lines[1:])]


def result_csv(rows: Sequence[Row], *, line_end: str = "\n") -> bytes:
    """What Zoho would say of these rows, in their order."""
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow([*SHOWN, "STATUS", "RECORD_ID", "ERRORS"])
    for row in rows:
        shown = [row.last_name, row.email, row.firm]
        if line_end == "\r":
            shown = [value.replace("\n", "\r") for value in shown]
        why = f"INVALID_DATA-{SHOWN[row.id % 3]}" if row.is_left_out else ""
        writer.writerow([*shown, row.status, "" if row.is_left_out else str(row.id), why])
    return text.getvalue().encode()


values = st.sampled_from(VALUES)
rows = st.lists(
    st.tuples(values, values, values, values, st.sampled_from(STATUSES)), min_size=1, max_size=12
).map(lambda found: [Row(number, *cells) for number, cells in enumerate(found)])
formats = st.builds(
    Format,
    delimiter=st.sampled_from(",;|\t"),
    line_end=st.sampled_from(("\n", "\r\n", "\r")),
    encoding=st.sampled_from(("utf-8", "utf-8-sig", "utf-16", "cp1252")),
    quotes_all=st.booleans(),
    ends_with_line_end=st.booleans(),
)


@st.composite
def edited(draw: st.DrawFn, uploaded: list[Row]) -> list[Row]:
    """The upload as somebody may attach it: sorted, with rows lost, repeated, changed, added."""
    file = list(uploaded)
    for number in range(draw(st.integers(0, 4))):
        place = draw(st.integers(0, max(len(file) - 1, 0)))
        new = 100 + number
        match draw(st.sampled_from(("shuffle", "lose", "repeat", "change", "add"))):
            case "shuffle":
                file = draw(st.permutations(file))
            case "lose" if file:
                del file[place]
            case "repeat" if file:
                file.insert(draw(st.integers(0, len(file))), file[place])
            case "change" if file:
                old = file[place]
                email = draw(st.sampled_from((*VALUES, f"new-{number}")))
                file[place] = Row(old.id, old.last_name, email, old.firm, old.notes, old.status)
            case "add":
                like = draw(st.sampled_from(uploaded))
                shown = like.last_name, draw(st.sampled_from((like.email, "a"))), like.firm
                file.insert(place, Row(new, *shown, "added later", "ADDED"))
    return file
