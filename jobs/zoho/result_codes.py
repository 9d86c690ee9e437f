"""The ERRORS column of a result CSV: its grammar, and what each code means.

Source: the v7 page "Download Result": ``<code>-<column>[,<column>...]``, several joined by a colon,
with eight documented codes.
"""

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType
from typing import NamedTuple

UNKNOWN = "UNKNOWN"
MOST_ERRORS = 200
LONGEST_TEXT = 20_000
LONGEST_COLUMN = 500


class RowError(NamedTuple):
    """One reason why a row was not imported, and the column it is about ("" if none is named)."""

    code: str
    column: str


@dataclass(frozen=True, slots=True)
class ResultCode:
    """Help for one code, in sentences for an administrator of this dashboard."""

    code: str
    meaning: str
    what_to_do: str


RESULT_CODES: Mapping[str, ResultCode] = MappingProxyType(
    {
        item.code: item
        for item in (
            ResultCode(
                "MANDATORY_NOT_FOUND",
                "A mandatory field has no value: its column is empty in the row, or no column was "
                "mapped to it.",
                "Map a column to the field and fill it in every row, or give the field a default "
                "value in the mapping.",
            ),
            ResultCode(
                "INVALID_DATA",
                "The value does not suit the field: wrong type, format, length or choice.",
                "Compare the values with the field in Zoho CRM: dates in the format that the "
                "mapping names, plain numbers, choices of a picklist, the maximum length, IDs of "
                "linked records.",
            ),
            ResultCode(
                "DUPLICATE_DATA",
                "The field must be unique, and the row's value is taken: by another row of the "
                "file or by a record in the CRM.",
                "Keep one row for each value. For records that are in the CRM already, import with "
                "upsert or update and that field as find_by.",
            ),
            ResultCode(
                "NOT_APPROVED",
                "The record waits for approval in Zoho CRM and cannot be changed until then.",
                "Approve or reject the record in Zoho CRM, then import the row again.",
            ),
            ResultCode(
                "BLOCKED_RECORD",
                "The record is blocked in Zoho CRM and cannot be changed.",
                "Unblock the record in Zoho CRM, then import the row again.",
            ),
            ResultCode(
                "CANNOT_PROCESS",
                "Zoho could not process the row and does not say why.",
                "Compare the row with one that was imported, import it again alone, and ask Zoho's "
                "support if it fails again.",
            ),
            ResultCode(
                "LIMIT_EXCEEDED",
                "A limit was exceeded, for example of the module, of subform rows or of storage. "
                "Zoho does not say which.",
                "Compare the row with the limits of the module, the field and the organisation's "
                "storage in Zoho CRM; split the import where it holds too many rows.",
            ),
            ResultCode(
                "RESOURCE_NOT_FOUND",
                "The record to update, or a record the row refers to, was not found.",
                "Look up the values in Zoho CRM: the records may be deleted, named otherwise, or "
                "in another organisation. Import records that others refer to first.",
            ),
        )
    }
)


def describe_result_code(code: str) -> ResultCode:
    """Help for a code of the ERRORS column; an honest text for one that Zoho does not document."""
    known = RESULT_CODES.get(code.strip().upper())
    if known is not None:
        return known
    if code == UNKNOWN:
        return ResultCode(
            UNKNOWN,
            "The reason is not written in the form that Zoho documents.",
            "Read the text as Zoho wrote it.",
        )
    return ResultCode(
        code[:100],
        f"Zoho gave the reason {code[:100]}, which its documentation does not explain.",
        "Compare the row with one that was imported, or ask Zoho's support about the code.",
    )


_CODE = re.compile(r"\s*([A-Z][A-Z_]+)(?=-)")
_DOCUMENTED = "|".join(sorted(RESULT_CODES, key=len, reverse=True))
_DOCUMENTED_CODE = re.compile(rf"\s*({_DOCUMENTED})(?=-)")
_BARE_CODE = re.compile(rf"\s*({_DOCUMENTED})(?=:|$)")
# Where a colon parts two errors, and is not a character of a column's name.
_NEXT = re.compile(rf":(?=[A-Z][A-Z_]+-|\s*(?:{_DOCUMENTED})(?:-|:|$))")
_ONLY_CODE = re.compile(r"[A-Z][A-Z_]+")


def parse_errors(text: str, known_columns: Collection[str] = ()) -> tuple[RowError, ...]:
    """The errors named in one cell of the ERRORS column, in its order; () for an empty cell.

    Column names may themselves hold "-", ":" and ",". A reading of the whole text in which all
    codes are documented and all columns known wins. There can be several, as "A,B" is one column or
    two where "A", "B" and "A,B" are known; then the longer name is taken, from the left on. Where
    there is none, known columns are taken as far as they go, and the rest is parted at commas and
    at colons before a code. Text that fits nothing comes back whole as the column of one error
    with the code UNKNOWN. At most 200 errors are told, and 500 characters of a name.
    """
    text = text[:LONGEST_TEXT].strip()
    if not text:
        return ()
    columns = known_columns if isinstance(known_columns, tuple) else tuple(known_columns)
    names = _names(columns)
    found = _known_reading(text, names) or _parsed(text, names)
    return found or (RowError(UNKNOWN, text[:LONGEST_COLUMN]),)


class _Names(NamedTuple):
    """Known columns, and the lengths they have, longest first."""

    names: frozenset[str]
    lengths: tuple[int, ...]

    def ends(self, text: str, at: int) -> Iterator[int]:
        """Where known names end that stand at a place, and an error or the next column may."""
        for length in self.lengths:
            stop = at + length
            if (stop == len(text) or text[stop : stop + 1] in (",", ":")) and (
                text[at:stop] in self.names
            ):
                yield stop


@lru_cache(maxsize=64)
def _names(columns: tuple[str, ...]) -> _Names:
    names = frozenset(filter(None, columns))
    return _Names(names, tuple(sorted({len(name) for name in names}, reverse=True)))


def _known_reading(text: str, names: _Names) -> tuple[RowError, ...]:
    """The reading of a text by documented codes and known columns alone; () if there is none."""
    found: list[RowError] = []
    untried = [_steps(text, "", 0, names)]
    seen: set[int] = set()
    while untried:
        step = next(untried[-1], None)
        if step is None:
            untried.pop()
            del found[-1:]
            continue
        error, code, at = step
        # A place that was seen is a dead end: else the reading would have gone on from there.
        if at in seen:
            continue
        seen.add(at)
        found.append(error)
        if at > len(text) or len(found) == MOST_ERRORS:
            return tuple(found)
        untried.append(_steps(text, code, at, names))
    return ()


def _steps(text: str, code: str, at: int, names: _Names) -> Iterator[tuple[RowError, str, int]]:
    """What can stand at a place: an error, the code that goes on after it ("" if none), and where.

    At the place is a column of a code or, without one, the start of an error.
    """
    if not code:
        if bare := _BARE_CODE.match(text, at):
            yield RowError(bare[1], ""), "", bare.end() + 1
            return
        documented = _DOCUMENTED_CODE.match(text, at)
        if documented is None:
            return
        code, at = documented[1], documented.end() + 1
    for stop in names.ends(text, at):
        yield RowError(code, text[at:stop]), code if text[stop : stop + 1] == "," else "", stop + 1


def _parsed(text: str, names: _Names) -> tuple[RowError, ...]:
    found: list[RowError] = []
    at, end = 0, len(text)
    while at < end and len(found) < MOST_ERRORS:
        if bare := _BARE_CODE.match(text, at):
            found.append(RowError(bare[1], ""))
            at = bare.end() + 1
            continue
        code = _CODE.match(text, at)
        if code is None:
            if not found and _ONLY_CODE.fullmatch(text):
                return (RowError(text, ""),)
            return ()
        columns, at = _columns(text, code.end() + 1, names)
        found.extend(RowError(code[1], column) for column in columns)
    return tuple(found[:MOST_ERRORS])


def _columns(text: str, at: int, names: _Names) -> tuple[list[str], int]:
    """The columns from ``at`` to the end of their error, and where the next error starts."""
    columns: list[str] = []
    end = len(text)
    while True:
        stop = _known_end(text, at, names)
        if stop is None:
            parting = _NEXT.search(text, at)
            error_end = parting.start() if parting else end
            comma = text.find(",", at, error_end)
            stop = comma if comma >= 0 else error_end
        columns.append(text[at:stop].strip()[:LONGEST_COLUMN])
        if stop >= end or text[stop] == ":" or len(columns) >= MOST_ERRORS:
            return [name for name in columns if name] or [""], stop + 1
        at = stop + 1


def _known_end(text: str, at: int, names: _Names) -> int | None:
    """Where the longest known name ends that stands at ``at``."""
    for stop in names.ends(text, at):
        if text[stop : stop + 1] != ":" or _NEXT.match(text, stop):
            return stop
    return None
