"""Rows for the sample jobs: made from their number alone, so that every restart makes the same.

A row that is said to be skipped looks the part: its mandatory cell is empty, its e-mail address is
no address, its unique value is that of a row above it.
"""

import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache, partial
from math import gcd

from .lives import PLAIN, Dialect, Row, Tally


def _words(*lines: str) -> list[str]:
    return " ".join(lines).split()


FIRST_NAMES = _words(
    "Ana Ben Carla Daniel Elif Farid Grace Hanna Ivo Jana Kofi Lena Marco Nadia Oskar Priya",
    "Quentin Rosa Stefan Tereza Umar Vera Wanda Xavier Yuki Zoë Amélie Björn Chiara Dmitri",
)
LAST_NAMES = _words(
    "Andersen Boyle Castillo Dvořák Eriksen Fischer García Horváth Ito Jansen Kowalski Lindqvist",
    "Müller Novák Okafor Petrov Quinn Rossi Schmidt Tanaka Ueda Vargas Weber Yilmaz Zimmer",
    "O'Connor Nguyen Öztürk Brandt Silva Haddad",
)
FIRMS = _words(
    "Altair Birchwood Cobalt Driftwood Eastgate Fernhill Granite Harbour Ironbridge Juniper",
    "Kestrel Lakeside Meridian Northwind Orchard Pinnacle Quarry Redwood Summit Tidewater Umbra",
    "Vantage Westfield Yarrow Zephyr",
)
TRADES = _words("Foods Logistics Medical Optics Partners Plastics Software Supply Systems Tools")
LEGAL = ("GmbH", "Ltd", "s.r.o.", "Inc", "AB", "S.A.", "Kft", "BV")
CITIES = _words(
    "Aarhus Bratislava Chicago Debrecen Eindhoven Freiburg Gdańsk Helsinki Izmir Jena Kraków",
    "Lyon Malmö Nantes Oulu Porto Reading Sevilla Turin Utrecht Vienna Wrocław Zürich",
)
SOURCES = ("Web form", "Trade fair", "Referral", "Cold call", "Partner", "Webinar")
STAGES = ("Qualification", "Needs Analysis", "Proposal", "Negotiation", "Closed Won", "Closed Lost")
THINGS = _words("Bracket Cable Filter Gasket Hinge Lamp Motor Panel Sensor Switch Valve Washer")
LEVELS = ("Basic", "Silver", "Gold")


def _first(n: int) -> str:
    return FIRST_NAMES[n * 7 % len(FIRST_NAMES)]


def _last(n: int) -> str:
    return LAST_NAMES[(n * 11 + n // 31) % len(LAST_NAMES)]


def _ascii(text: str) -> str:
    plain = unicodedata.normalize("NFKD", text.lower())
    return "".join(ch for ch in plain if ch.isascii() and ch.isalnum())


def _firm(n: int) -> str:
    number = f" {n // 2000 + 1}" if n >= 2000 else ""
    trade = TRADES[n // len(FIRMS) % len(TRADES)]
    return f"{FIRMS[n % len(FIRMS)]} {trade}{number} {LEGAL[n // 250 % len(LEGAL)]}"


def _email(n: int) -> str:
    return f"{_ascii(_first(n))}.{_ascii(_last(n))}{n}@{_ascii(FIRMS[n % len(FIRMS)])}.example"


def _date(n: int, pattern: str = "{y}-{m:02}-{d:02}") -> str:
    return pattern.format(y=2026 + n % 2, m=n * 5 % 12 + 1, d=n * 3 % 28 + 1)


def _price(n: int) -> str:
    return f"{(n * 37 % 9000) / 4 + 5:.2f}"


CELLS: dict[str, Callable[[int], str]] = {
    "First_Name": _first,
    "Last_Name": _last,
    "Email": _email,
    "Member_Email": _email,
    "Company": _firm,
    "Account_Name": _firm,
    "Phone": lambda n: f"+49 30 55{n * 271 % 100000:05}",
    "Lead_Source": lambda n: SOURCES[n % len(SOURCES)],
    "Website": lambda n: f"https://www.{_ascii(FIRMS[n % len(FIRMS)])}{n}.example",
    "City": lambda n: CITIES[n * 5 % len(CITIES)],
    "Billing_City": lambda n: CITIES[n * 5 % len(CITIES)],
    "Mailing_City": lambda n: CITIES[n * 5 % len(CITIES)],
    "Employees": lambda n: str(n * 13 % 4000 + 2),
    "Newsletter_Since": partial(_date, pattern="{d:02}/{m:02}/{y}"),
    "Deal_Name": lambda n: f"{FIRMS[n % len(FIRMS)]} renewal {n + 1}",
    "Stage": lambda n: STAGES[n % len(STAGES)],
    "Closing_Date": _date,
    "Amount": lambda n: str(n * 731 % 90000 + 500),
    "Product_Name": lambda n: f"{THINGS[n % len(THINGS)]} {n * 17 % 900 + 100}",
    "Product_Code": lambda n: f"PRD-{n + 1:05}",
    "Parent_Id": lambda n: f"PRD-{n // 3 + 1:05}",
    "Unit_Price": _price,
    "Tier_Price": _price,
    "From_Quantity": lambda n: str((1, 10, 100)[n % 3]),
    "Product_Active": lambda n: "true" if n % 9 else "false",
    "Name": lambda n: f"{_first(n)} {_last(n)}",
    "Membership_Number": lambda n: f"M-{2026000000 + n}",
    "Valid_Until": partial(_date, pattern="{m:02}-{d:02}-{y}"),
    "Level": lambda n: LEVELS[n % 3],
    "id": lambda n: f"{365239700001000000 + n * 7}",
    "Owner": lambda n: ("sales@zylker.example", "inside@zylker.example")[n % 2],
    "External_Id": lambda n: f"EXT{n * 3 + 100000}",
}


def _unparsable(field: str, value: str, n: int) -> str:
    if "Email" in field:
        return (value.replace("@", " at "), value.partition("@")[0], "n/a")[n % 3]
    if field in ("Closing_Date", "Newsletter_Since", "Valid_Until"):
        return ("31/02/2026", "next week", "00-00-0000")[n % 3]
    return ("n/a", "—", "tbd")[n % 3]


@dataclass(frozen=True, slots=True)
class Skip:
    """A number of rows that share their errors: (code, api names) pairs."""

    rows: int
    errors: tuple[tuple[str, tuple[str, ...]], ...]


def skip(rows: int, *errors: str) -> Skip:
    """Return a ``Skip`` from texts such as ``MANDATORY_NOT_FOUND-Company,Last_Name``."""
    pairs = (error.partition("-") for error in errors)
    return Skip(rows, tuple((code, tuple(fields.split(","))) for code, _, fields in pairs))


@dataclass(frozen=True, slots=True)
class Upload:
    """An uploaded CSV: (api name, header) of each column, and what happened to its rows."""

    fields: tuple[tuple[str, str], ...]
    added: int = 0
    updated: int = 0
    skips: tuple[Skip, ...] = ()
    unprocessed: int = 0
    first_number: int = 0
    first_record_id: int = 365239700002000000
    dialect: Dialect = PLAIN

    @property
    def columns(self) -> tuple[str, ...]:
        return tuple(header for _, header in self.fields)

    @property
    def tally(self) -> Tally:
        skipped = sum(group.rows for group in self.skips)
        return Tally(self.added, self.updated, skipped, self.unprocessed)

    def rows(self) -> Iterator[Row]:
        """Yield the rows in the file's order, the kinds mixed among each other."""
        processed = self.tally.total - self.unprocessed
        stride = _coprime_stride(processed)
        for position in range(processed):
            yield self._row(position, position * stride % processed)
        for position in range(processed, processed + self.unprocessed):
            yield Row(self._values(position), "unprocessed")

    def _row(self, position: int, lot: int) -> Row:
        values = self._values(position)
        record_id = str(self.first_record_id + position * 3)
        if lot < self.added:
            return Row(values, "added", record_id)
        lot -= self.added
        if lot < self.updated:
            return Row(values, "updated", record_id)
        lot -= self.updated
        for group in self.skips:
            if lot < group.rows:
                return self._skipped(values, group, position)
            lot -= group.rows
        raise AssertionError("more rows than were planned")

    def _written_before(self, position: int) -> int:
        """Return the number of the nearest row above that was written, or of the row itself.

        The latter is a duplicate of what was in the CRM before.
        """
        processed = self.tally.total - self.unprocessed
        stride = _coprime_stride(processed)
        for above in range(position - 1, -1, -1):
            if above * stride % processed < self.added + self.updated:
                return self.first_number + above
        return self.first_number + position

    def _values(self, position: int) -> tuple[str, ...]:
        return tuple(CELLS[field](self.first_number + position) for field, _ in self.fields)

    def _skipped(self, values: tuple[str, ...], group: Skip, position: int) -> Row:
        cells = list(values)
        headers = dict(self.fields)
        number = self.first_number + position
        for code, names in group.errors:
            for index, (field, _) in enumerate(self.fields):
                if field not in names:
                    continue
                if code == "MANDATORY_NOT_FOUND":
                    cells[index] = ""
                elif code == "INVALID_DATA":
                    cells[index] = _unparsable(field, cells[index], number)
                elif code == "DUPLICATE_DATA":
                    cells[index] = CELLS[field](self._written_before(position))
        errors = ":".join(
            f"{code}-{','.join(headers.get(name, name) for name in names)}"
            for code, names in group.errors
        )
        return Row(tuple(cells), "skipped", "", errors)


@lru_cache(maxsize=64)
def _coprime_stride(count: int) -> int:
    """Return a step that visits each of ``count`` places once and spreads neighbours far apart."""
    stride = max(1, int(count * 0.618))
    while count and gcd(stride, count) != 1:
        stride += 1
    return stride
