"""Row by row: what Zoho CRM would do with an uploaded line.

Source: "Download Result" (v7) for the codes and the grammar of ERRORS; which value is refused is
this sandbox's own, plain reading of a field's type.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from .lives import Row, Tally
from .modules import MODULES, Field, Module

_EMAIL = re.compile(r"^[^@\s]+@[^@\s]+\.[^@\s.]+$")
_NUMBER = re.compile(r"^-?\d{1,16}([.,]\d+)?$")
_DATE_PARTS = (
    ("yyyy", "%Y"), ("yy", "%y"), ("MMM", "%b"), ("MM", "%m"), ("dd", "%d"), ("HH", "%H"),
    ("hh", "%I"), ("mm", "%M"), ("ss", "%S"),
)  # fmt: skip
DEFAULT_DATE_FORMAT = "yyyy-MM-dd"


@dataclass
class Crm:
    """The organisation's records, as far as bulk write has to know them: ids by unique value."""

    next_id: int = 365239700900000001
    #: Values whose rows are refused whatever they hold, such as those of a blocked record:
    #: (module, api name, value) -> code of ERRORS.
    refusals: dict[tuple[str, str, str], str] = field(default_factory=dict)
    _records: dict[tuple[str, str], dict[str, str]] = field(default_factory=dict)

    def find(self, module: str, api_name: str, value: str) -> str | None:
        return self._records.get((module, api_name), {}).get(value.casefold())

    def write(self, module: str, values: dict[str, str], record_id: str | None) -> str:
        """Remember a record's values; return its id."""
        if record_id is None:
            record_id = str(self.next_id)
            self.next_id += 1
        for api_name, value in (values | {"id": record_id}).items():
            if value:
                self._records.setdefault((module, api_name), {})[value.casefold()] = record_id
        return record_id


def date_format(pattern: str) -> str | None:
    """Return Zoho's date pattern for ``strptime``, or ``None`` when it is no such pattern."""
    for theirs, ours in _DATE_PARTS:
        pattern = pattern.replace(theirs, ours)
    return None if re.search(r"(?<!%)[A-Za-z]", pattern.replace("%b", "")) else pattern


@dataclass
class Plan:
    """How a resource's lines are to be read."""

    module_name: str
    operation: str
    mappings: list[dict[str, Any]]
    columns: list[str]
    find_by: str | None
    ignore_empty: bool = False

    @property
    def module(self) -> Module:
        return MODULES[self.module_name]

    def header(self, mapping: dict[str, Any]) -> str:
        """Return the column header that ERRORS names for a mapping."""
        index = mapping.get("index")
        return self.columns[index] if index is not None else mapping["api_name"]

    def values(self, line: list[str]) -> dict[str, str]:
        found = {}
        for mapping in self.mappings:
            index = mapping.get("index")
            value = line[index].strip() if index is not None and index < len(line) else ""
            default = mapping.get("default_value")
            if not value and isinstance(default, dict):
                value = str(default.get("value") or "")
            found[mapping["api_name"]] = value
        return found


Parents = dict[tuple[int, str], str]


def decide(plan: Plan, lines: list[list[str]], crm: Crm, parents: Parents) -> Iterator[Row]:
    """Yield what becomes of each line, writing to ``crm`` as it goes.

    ``parents`` gives the record id of a parent's row by (column index, value) for subforms.
    """
    for line in lines:
        padded = tuple(line) + ("",) * (len(plan.columns) - len(line))
        values = plan.values(line)
        existing = _existing(plan, values, crm)
        errors = _errors(plan, values, crm, parents, existing)
        if errors:
            text = ":".join(f"{code}-{','.join(names)}" for code, names in errors.items())
            yield Row(padded, "skipped", "", text)
            continue
        record_id = crm.write(plan.module_name, values, existing)
        yield Row(padded, "updated" if existing else "added", record_id)


def _existing(plan: Plan, values: dict[str, str], crm: Crm) -> str | None:
    if plan.operation == "insert" or plan.find_by is None:
        return None
    value = values.get(plan.find_by, "")
    return crm.find(plan.module_name, plan.find_by, value) if value else None


def _errors(
    plan: Plan, values: dict[str, str], crm: Crm, parents: Parents, existing: str | None
) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for mapping in plan.mappings:
        name = mapping["api_name"]
        value = values[name]
        spec = plan.module.fields[name]
        code = None
        if not value:
            left_alone = existing and plan.ignore_empty
            code = "MANDATORY_NOT_FOUND" if spec.mandatory and not left_alone else None
        elif not _fits(value, spec, mapping):
            code = "INVALID_DATA"
        elif spec.type == "lookup":
            known = (mapping.get("parent_column_index") or 0, value) in parents
            code = None if known else "RESOURCE_NOT_FOUND"
        elif spec.unique:
            holder = crm.find(plan.module_name, name, value)
            code = "DUPLICATE_DATA" if holder not in (None, existing) else None
        code = code or crm.refusals.get((plan.module_name, name, value))
        if code:
            found.setdefault(code, []).append(plan.header(mapping))
    if plan.operation == "update" and existing is None and not found:
        names = [plan.header(m) for m in plan.mappings if m["api_name"] == plan.find_by]
        found["RESOURCE_NOT_FOUND"] = names or ["id"]
    return found


def _fits(value: str, spec: Field, mapping: dict[str, Any]) -> bool:
    match spec.type:
        case "email":
            return _EMAIL.match(value) is not None
        case "number":
            return _NUMBER.match(value) is not None
        case "boolean":
            return value.lower() in ("true", "false", "yes", "no", "0", "1")
        case "id":
            return value.isdigit()
        case "date":
            return _is_date(value, mapping.get("format") or DEFAULT_DATE_FORMAT)
    return True


def _is_date(value: str, pattern: str) -> bool:
    try:
        datetime.strptime(value, date_format(pattern) or "")  # noqa: DTZ007  (a date has no zone)
    except ValueError:
        return False
    return True


def tally_of(rows: list[Row]) -> Tally:
    counts = dict.fromkeys(("added", "updated", "skipped"), 0)
    for row in rows:
        counts[row.status] += 1
    return Tally(counts["added"], counts["updated"], counts["skipped"])
