"""What a skip reason and the field mappings say together. Pure: no clock, no database.

Each sentence says no more than the result file and Zoho's answer support, or says where they end.
What could be is said as such; what a name means that fits several mappings is not guessed.
"""

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from jobs.models import FieldMapping, Resource, SkipReason
from jobs.services.field_names import FieldNames, loosely
from jobs.services.wording import rows as in_rows

LONGEST_VALUE = 60
VALUES_NAMED = 3
# A field with no more different values than this may be one to choose from.
FEW_VALUES = 5
# Of so few rows, all can be wrong each by itself.
FEW_ROWS = 10

_DATE = re.compile(r"\d{1,4}([./-])\d{1,2}\1\d{1,4}([ T].*)?")
_SHORTENED_NUMBER = re.compile(r"\d([.,]\d+)?[eE]\+\d+")
_DATE_PARTS = {
    "yyyy": "%Y", "yy": "%y", "MMM": "%b", "MM": "%m", "dd": "%d", "HH": "%H", "hh": "%I",
    "mm": "%M", "ss": "%S", "a": "%p",
}  # fmt: skip
# Values that no picklist offers: dates, numbers, addresses.
_NO_CHOICE = re.compile(r"@|^\s*[\d.,:/+eE-]+\s*$")
_LETTERS = re.compile(r"([A-Za-z])\1*")
# Codes whose cause can be how columns were mapped.
CODES_OF_MAPPINGS = (
    "MANDATORY_NOT_FOUND",
    "INVALID_DATA",
    "DUPLICATE_DATA",
    "RESOURCE_NOT_FOUND",
)
HIDDEN = "which Zoho's result file does not show"
ATTACH = "Attach the uploaded file to get these rows with all their columns."


@dataclass(slots=True)
class ImportedFile:
    """One file of a result, and how its rows were to be read.

    `rows`: of the whole file, None where it is not known. `mappings`: of the file's resource, ()
    where Zoho named none or the resource is not known. `parent`: the resource before it, to which
    rows of a subform belong.
    """

    columns: Sequence[str]
    rows: int | None
    operation: str = ""
    resource: Resource | None = None
    mappings: Sequence[FieldMapping] = ()
    parent: Resource | None = None
    names: FieldNames[FieldMapping] = field(init=False)

    def __post_init__(self) -> None:
        self.names = FieldNames(self.mappings, self.columns)

    @property
    def key(self) -> str:
        """The field by which records are found, named with the resource or with its mapping."""
        of_mappings = (
            mapping.api_name
            for mapping in self.mappings
            if mapping.find_by and mapping.find_by == mapping.api_name and not mapping.module
        )
        of_resource = self.resource.find_by if self.resource else ""
        return of_resource or next(of_mappings, "")

    @property
    def hides_columns(self) -> bool:
        """Whether columns were mapped whose headers the result file does not show."""
        mapped = {mapping.index for mapping in self.mappings if mapping.index is not None}
        return len(mapped) > len(self.columns)

    def hides(self, name: str) -> bool:
        """Whether a field's values came from a column that the result file does not show."""
        mapping = self.names.mapping_of(name)
        is_shown = self.names.column_of(name) is not None
        return mapping is not None and mapping.index is not None and not is_shown

    def has_no_mapping_for(self, name: str) -> bool:
        """Whether mappings are known, none is named like this and no shown column is."""
        if not name or not self.mappings or name in self.columns:
            return False
        return not any(loosely(mapping.api_name) == loosely(name) for mapping in self.mappings)


def diagnose(reason: SkipReason, file: ImportedFile) -> list[str]:
    """What is known of why these rows were left out, the most telling first; [] if nothing is."""
    case = _Case(reason, file)
    sentences = _BY_CODE[reason.code](case) if reason.code in _BY_CODE else []
    return [*sentences, *_all_rows(case)]


def default_text(value: Any) -> str:
    """A mapping's default value as people read it: of an object its value, else its name."""
    for name in ("value", "name"):
        if isinstance(value, dict) and value.get(name) is not None:
            value = value[name]
    return quoted(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))


def quoted(value: str) -> str:
    """A value in quotation marks, on one line, cut where it is long."""
    line = " ".join(value.split())
    return f"“{line[:LONGEST_VALUE]}…”" if len(line) > LONGEST_VALUE else f"“{line}”"


@dataclass(slots=True)
class _Case:
    """One reason, and its field's column as far as the result file shows it."""

    reason: SkipReason
    file: ImportedFile
    mapping: FieldMapping | None = field(init=False)
    place: int | None = field(init=False)
    facts: dict[str, Any] = field(init=False)

    def __post_init__(self) -> None:
        self.mapping = self.file.names.mapping_of(self.reason.field)
        self.place = self.file.names.column_of(self.reason.field)
        self.facts = self.reason.facts or {}

    @property
    def name(self) -> str:
        return self.mapping.api_name if self.mapping else self.reason.field

    @property
    def rows(self) -> int:
        return self.reason.rows

    @property
    def source(self) -> str:
        """Where the values came from, as a sentence begins; "" where that is not known."""
        header = self.file.columns[self.place] if self.place is not None else ""
        if self.mapping is None or self.mapping.index is None:
            return f"{self.name} is a column of the file" if header else ""
        shown_as = f", {quoted(header)}" if header and header != self.name else ""
        return f"{self.name} came from column {self.mapping.index + 1}{shown_as}"

    @property
    def is_hidden(self) -> bool:
        return self.file.hides(self.reason.field)

    @property
    def default(self) -> Any:
        return self.mapping.default_value if self.mapping else None

    @property
    def values(self) -> list[tuple[str, int]]:
        """The most frequent values with their rows; [] where they were not counted."""
        return [(str(value), rows) for value, rows in self.facts.get("values") or []]

    def of_the_hit(self, number: int) -> str:
        """A number of the rows hit: "312 of the 500 rows hit", "all 500 rows hit"."""
        if self.rows == 1:
            return "the one row hit"
        if number == self.rows:
            return f"all {self.rows:,} rows hit"
        return f"{number:,} of the {self.rows:,} rows hit"


def _mandatory(case: _Case) -> list[str]:
    name, file = case.name, case.file
    if file.has_no_mapping_for(name):
        if not file.hides_columns:
            return [f"{name} is mandatory and was not mapped."]
        return [
            f"{name} is mandatory and was not mapped: no mapping is named so. Should {name} be the "
            f"header of a column {HIDDEN}, then that column was empty in these rows."
        ]
    if without_column := _without_column(case):
        return [*without_column, "Zoho found the field empty all the same."]
    sentences = _emptiness(case)
    if case.default is not None:
        sentences.append(
            f"{name} has the default value {default_text(case.default)} in the mapping, which Zoho "
            "did not use for these rows."
        )
    return sentences


def _without_column(case: _Case) -> list[str]:
    if case.mapping is None or case.mapping.index is not None:
        return []
    if case.default is None:
        return [f"{case.name} is mapped, but to no column, and without a default value."]
    given = default_text(case.default)
    return [f"{case.name} has no column: its mapping gives every row the default value {given}."]


def _unknown_source(case: _Case) -> list[str]:
    """That it cannot be told where a field's values came from, and why."""
    if not case.reason.field:
        return []
    if not case.file.mappings:
        why = "no field mappings are known for this file"
    elif case.file.has_no_mapping_for(case.name):
        why = "no mapping is named so"
    else:
        why = "several mappings could be meant"
    return [f"Where {case.name} came from can't be told: {why}."]


def _emptiness(case: _Case) -> list[str]:
    if case.is_hidden:
        return [f"{case.source}, {HIDDEN}, so whether it was empty can't be seen here. {ATTACH}"]
    if not case.source:
        return _unknown_source(case)
    empty = case.facts.get("empty")
    if empty is None:
        return [f"{case.source}."]
    if empty == case.rows:
        return [f"{case.source} and is empty in {case.of_the_hit(empty)}."]
    example = f", such as {quoted(case.values[0][0])}" if case.values else ""
    filled = f"holds a value{example}: perhaps one that leads to no record or user in Zoho CRM"
    if not empty:
        return [f"{case.source} and is not empty: in {case.of_the_hit(case.rows)} it {filled}."]
    return [
        f"{case.source} and is empty in {case.of_the_hit(empty)}.",
        f"In the other {case.rows - empty:,} it {filled}.",
    ]


def _invalid(case: _Case) -> list[str]:
    return [*_values(case), *_spreadsheet(case), *_dates(case), *_choices(case)]


def _values(case: _Case) -> list[str]:
    """What stood in the column of a field, in one sentence."""
    if case.is_hidden:
        return [f"{case.source}, {HIDDEN}, so its values can't be seen here. {ATTACH}"]
    if not case.source:
        return _without_column(case) or _unknown_source(case)
    counts = _counted(case, case.values[:VALUES_NAMED])
    if empty := case.facts.get("empty"):
        number = f"{empty:,}" if counts else case.of_the_hit(empty)
        counts.append(f"{number} {'is' if empty == 1 else 'are'} empty")
    return [f"{case.source}: {', '.join(counts)}." if counts else f"{case.source}."]


def _counted(case: _Case, values: list[tuple[str, int]]) -> list[str]:
    if len(values) > 1 and values[0][1] == 1:
        number = case.facts.get("different") or "many"
        named = ", ".join(quoted(value) for value, _ in values)
        return [f"{number:,} different values, such as {named}"]
    if not values:
        return []
    frequent = [(value, rows) for value, rows in values[1:] if rows > 1]
    counts = [f"{quoted(values[0][0])} stands in {case.of_the_hit(values[0][1])}"]
    counts += [f"{quoted(value)} in {rows:,}" for value, rows in frequent]
    others = case.rows - (case.facts.get("empty") or 0) - values[0][1]
    others -= sum(rows for _, rows in frequent)
    if others > 0:
        counts.append(f"{others:,} {'holds another value' if others == 1 else 'hold other values'}")
    return counts


def _spreadsheet(case: _Case) -> list[str]:
    shortened = [value for value, _ in case.values if _SHORTENED_NUMBER.fullmatch(value.strip())]
    if not shortened:
        return []
    return [
        f"{quoted(shortened[0])} is how a spreadsheet shortens a long number: its digits are lost. "
        "Write the column as text from the source."
    ]


def _dates(case: _Case) -> list[str]:
    pattern = case.mapping.format if case.mapping else None
    values = [value.strip() for value, _ in case.values]
    if pattern:
        wrong = [value for value in values if not _fits(value, pattern)]
        no_date = f"; {quoted(wrong[0])} is no date in that form" if wrong else ""
        return [f"Zoho was told to read {case.name} as {pattern}{no_date}."]
    alike = [value for value in values if _DATE.fullmatch(value)]
    if not alike or case.mapping is None:
        return []
    return [
        f"{quoted(alike[0])} looks like a date, and the mapping names no format for {case.name}: "
        "Zoho may read it in another order of day, month and year."
    ]


def _fits(value: str, pattern: str) -> bool:
    """Whether a value is a date of a pattern such as dd/MM/yyyy; True where that is not known."""
    words = {match[0] for match in _LETTERS.finditer(pattern)}
    if not words or words - _DATE_PARTS.keys():
        return True
    ours = _LETTERS.sub(lambda match: _DATE_PARTS[match[0]], pattern.replace("%", "%%"))
    try:
        datetime.strptime(value, ours)  # noqa: DTZ007 - a date has no zone
    except ValueError:
        return False
    except re.error:
        # The pattern names a part twice.
        return True
    return True


def _choices(case: _Case) -> list[str]:
    different, values = case.facts.get("different"), [value for value, _ in case.values]
    # Values that were deleted since may have been dates or addresses for all that is known.
    if not values or not different or different > FEW_VALUES or different >= case.rows:
        return []
    if (case.mapping and case.mapping.format) or any(_NO_CHOICE.search(value) for value in values):
        return []
    return [f"If {case.name} is a picklist, it may not have these choices in Zoho CRM."]


def _duplicate(case: _Case) -> list[str]:
    if not case.reason.field:
        return []
    return [*(_without_column(case) or _repetitions(case)), *_find_by(case)]


def _repetitions(case: _Case) -> list[str]:
    """Whether the file itself repeats the values, or another import brought them."""
    name, repeated = case.name, case.facts.get("repeated")
    if case.is_hidden:
        return [
            f"{case.source}, {HIDDEN}, so whether this file repeats its values or the CRM had them "
            f"before can't be seen here. {ATTACH}"
        ]
    if repeated is None:
        return [
            f"Whether this file repeats its values of {name} or the CRM had them before is not "
            "known: they were not followed through the file."
        ]
    written = case.facts.get("repeated_written")
    sentences = []
    if written:
        sentences.append(
            f"The same {name} stands in another row of this file that was imported, for "
            f"{case.of_the_hit(written)}: the file itself repeats it."
        )
    if written is None and repeated:
        sentences.append(
            f"The same {name} stands in another row of this file, for {case.of_the_hit(repeated)}."
        )
    elif repeated > (written or 0):
        sentences.append(
            f"The same {name} stands in other rows of this file, none of them imported, for "
            f"{case.of_the_hit(repeated - (written or 0))}: a record may have had it before."
        )
    once = case.rows - repeated - (case.facts.get("empty") or 0)
    if once > 0:
        sentences.append(
            f"The {name} stands only once in this file, for {case.of_the_hit(once)}: a record in "
            "the CRM had it before, or another import brought it."
        )
    return sentences


def _find_by(case: _Case) -> list[str]:
    """What the operation has to do with a value that another record has."""
    operation, key = case.file.operation.lower(), case.file.key
    if operation == "insert":
        return [
            f"The job only inserts. With upsert and {case.name} as find_by, Zoho would update the "
            "record that has the value."
        ]
    if operation not in ("update", "upsert") or not key or _is_named(case, key):
        return []
    return [
        f"The job finds records by {key}; {case.name} is another field that must be unique, and "
        "another record has its value."
    ]


def _is_named(case: _Case, name: str) -> bool:
    return loosely(name) in (loosely(case.name), loosely(case.reason.field))


def _not_found(case: _Case) -> list[str]:
    return [*_looked_for(case), *_values(case), *_spreadsheet(case)]


def _looked_for(case: _Case) -> list[str]:
    """Which record was not found."""
    mapping, file, name = case.mapping, case.file, case.name
    if mapping is not None and mapping.parent_column_index is not None:
        module = mapping.module or (file.parent.module if file.parent else "")
        of_parent = f"{module} record" if module else "record"
        parents = (file.parent.file_name if file.parent else "") or "the parents' file"
        sentence = (
            f"{name} leads to the row's parent, a {of_parent}: its value was looked for in column "
            f"{mapping.parent_column_index + 1} of {parents}."
        )
        left_out = file.parent.skipped_count if file.parent else None
        if not left_out:
            return [sentence]
        return [
            sentence,
            f"Of {file.parent}, {in_rows(left_out)} were skipped: rows that belong to those may "
            "have no parent.",
        ]
    if mapping is not None and mapping.module:
        by = f"by {mapping.find_by}" if mapping.find_by else "by its record ID"
        return [f"{name} refers to a record of {mapping.module}, which was looked for {by}."]
    is_key = not case.reason.field or _is_named(case, "id") or _is_named(case, file.key or "id")
    if file.operation.lower() != "update" or not is_key:
        return []
    found_by = name or file.key
    by = f" by {found_by}" if found_by else ""
    return [f"The record to update was looked for{by} and not found."]


def _all_rows(case: _Case) -> list[str]:
    """What a reason that all rows have can come from."""
    total = case.file.rows
    if case.reason.code not in CODES_OF_MAPPINGS or total is None or total < FEW_ROWS:
        return []
    if case.rows != total:
        return []
    points_at = "that can come from the mapping rather than from the rows"
    if case.reason.code == "DUPLICATE_DATA":
        points_at = "the file may have been imported before, or a wrong column is mapped"
    return [f"All {total:,} rows of the file were hit: {points_at}."]


_BY_CODE: dict[str, Callable[[_Case], list[str]]] = {
    "MANDATORY_NOT_FOUND": _mandatory,
    "INVALID_DATA": _invalid,
    "DUPLICATE_DATA": _duplicate,
    "RESOURCE_NOT_FOUND": _not_found,
}
