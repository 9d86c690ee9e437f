"""What is wrong with a create request's mappings, and how its CSV reads.

Source: "Possible Errors" of the v7 page "Create Bulk Write Job".
"""

import csv
import io
from typing import Any

from .decisions import Plan, date_format
from .errors import ZohoError
from .modules import MODULES, Module

MAX_COLUMNS = 200
DELIMITERS = ",;|\t"
MAPPING_KEYS = ("format", "find_by", "default_value")


def read_csv(data: bytes, encoding: str | None) -> tuple[list[str], list[list[str]]]:
    """Return header and lines; the encoding is found out unless it is given."""
    text = _decoded(data, encoding)
    first = text.partition("\n")[0]
    delimiter = max(DELIMITERS, key=first.count)
    try:
        lines = [line for line in csv.reader(io.StringIO(text), delimiter=delimiter) if line]
    except csv.Error as error:
        raise ZohoError("FILE_NOT_SUPPORTED") from error
    if not lines or "\0" in text:
        raise ZohoError("FILE_NOT_SUPPORTED")
    columns = [header.strip() for header in lines[0]]
    if len(columns) > MAX_COLUMNS:
        raise ZohoError("HEADER_LIMIT_EXCEEDED", {"limit": MAX_COLUMNS})
    return columns, lines[1:]


def _decoded(data: bytes, encoding: str | None) -> str:
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        tries = ["utf-16"]
    else:
        tries = [encoding] if encoding and encoding.upper() != "UTF-8" else []
        tries += ["utf-8-sig", "cp1252"]
    for name in tries:
        try:
            return data.decode(name)
        except (UnicodeDecodeError, LookupError):
            continue
    raise ZohoError("FILE_NOT_SUPPORTED")


def checked_plan(
    name: str, order: dict[str, Any], resource: dict[str, Any], columns: list[str]
) -> Plan:
    """Return how the resource is to be read, or raise the documented error."""
    module = MODULES[name]
    given = resource.get("field_mappings")
    if given is None:
        # Without mappings the headers are taken for api names.
        given = [
            {"api_name": header, "index": index}
            for index, header in enumerate(columns)
            if header in module.fields
        ]
    mappings = [_checked(mapping, module, columns) for mapping in given]
    mapped = {mapping["api_name"] for mapping in mappings}
    operation = order["operation"]
    if operation != "update" and not set(module.mandatory) <= mapped:
        missing = [field for field in module.mandatory if field not in mapped]
        raise ZohoError("MANDATORY_FIELDS_NOT_MAPPED", {"fields": missing})
    find_by = _find_by(resource, mappings, module, mapped)
    if operation == "update" and find_by is None:
        raise ZohoError(
            "MISSING_REQUIRED_KEY", {"json_path": "$.resource[0].field_mappings[0].find_by"},
            key="find_by",
        )  # fmt: skip
    ignore_empty = bool(resource.get("ignore_empty", order.get("ignore_empty")))
    return Plan(name, operation, mappings, columns, find_by, ignore_empty)


def _checked(mapping: Any, module: Module, columns: list[str]) -> dict[str, Any]:
    """Return the mapping as job details show it."""
    if not isinstance(mapping, dict) or not isinstance(mapping.get("api_name"), str):
        raise ZohoError(
            "MISSING_REQUIRED_KEY", {"json_path": "$.resource[0].field_mappings[0].api_name"},
            key="api_name",
        )  # fmt: skip
    name = mapping["api_name"]
    if name not in module.fields:
        raise ZohoError("INVALID_FIELD", {"api_name": name}, field=name)
    shown: dict[str, Any] = {"api_name": name}
    index = mapping.get("index")
    if index is None and mapping.get("default_value") is None:
        raise ZohoError("COLUMN_INDEX_NOT_FOUND", {"api_name": name}, field=name)
    if index is not None:
        if not isinstance(index, int) or not 0 <= index < len(columns):
            raise ZohoError("COLUMN_INDEX_NOT_FOUND", {"api_name": name}, field=name)
        shown["index"] = index
    shown |= {key: mapping.get(key) for key in MAPPING_KEYS}
    if shown["format"] is not None and date_format(str(shown["format"])) is None:
        raise ZohoError("INVALID_FORMAT", {"api_name": name}, format=str(shown["format"]))
    for key in ("module", "parent_column_index"):
        if mapping.get(key) is not None:
            shown[key] = mapping[key]
    return shown


def _find_by(
    resource: dict[str, Any], mappings: list[dict[str, Any]], module: Module, mapped: set[str]
) -> str | None:
    """Return the field that existing records are found by; it must be mapped."""
    named = [resource.get("find_by")] + [mapping["find_by"] for mapping in mappings]
    for name in named:
        if name:
            if name not in mapped:
                raise ZohoError("INVALID_FIELD", {"find_by": name}, field=str(name))
            return str(name)
    return next((name for name in ["id", *module.unique] if name in mapped), None)
