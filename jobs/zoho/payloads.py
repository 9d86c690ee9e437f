"""Zoho's job details as dataclasses: tolerant of every shape Zoho has been seen to send.

Source: the v7 page "Bulk Write Job Details", Zoho's OpenAPI files and the models of its SDKs,
which contradict each other. Hence nothing is required, absent stays absent (None, never 0), and
the answer's own text is kept beside what was read from it. No clock, no network.
"""

import contextlib
import hashlib
import json
import math
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, NoReturn

from jobs.zoho.errors import MalformedAnswerError, excerpt_of, is_error_envelope

# Far above the 25,000 rows that Zoho takes in a file, and far below where sums over jobs overflow a
# database's BIGINT.
LARGEST_COUNT = 10**12
LARGEST_ID = 2**63 - 1
# Braces, brackets, commas and colons, some fourteen for a field mapping: what takes three bytes in
# an answer takes sixty and more in memory.
MOST_PIECES = 50_000
MOST_RESOURCES = 200
MOST_MAPPINGS = 1000
MOST_FILE_NAMES = 100
DEEPEST_DEFAULT = 20

TERMINAL_STATUSES = frozenset({"COMPLETED", "FAILED", "SKIPPED", "FAILURE", "ABORTED"})


@lru_cache(maxsize=256)
def _normalised(text: str) -> str:
    return "".join(letter for letter in text.upper() if letter.isalpha())[:50]


def normalise_status(text: str | None) -> str:
    """The status in upper case, letters only: "IN PROGRESS" and "In-Progress" are "INPROGRESS".

    Zoho spells it three ways. "" when absent; an unknown status comes through as it is.
    """
    return _normalised(text[:100]) if text else ""


def is_terminal(status: str) -> bool:
    """Whether a normalised status is one after which Zoho changes the job no more."""
    return status in TERMINAL_STATUSES


@dataclass(frozen=True, slots=True)
class Person:
    """A Zoho user: the one who created the job."""

    id: str | None
    name: str | None


@dataclass(frozen=True, slots=True)
class FieldMapping:
    """One field of the module and the zero-based column of the CSV it is read from."""

    api_name: str | None
    index: int | None
    find_by: str | None
    format: str | None
    default_value: Any
    module: str | None
    parent_column_index: int | None


@dataclass(frozen=True, slots=True)
class FileDetails:
    """The CSV of one module: its own status and, once Zoho tells them, its counts of records."""

    status: str
    status_raw: str
    name: str | None
    added_count: int | None
    updated_count: int | None
    skipped_count: int | None
    total_count: int | None


@dataclass(frozen=True, slots=True)
class Resource:
    """One module of the job: a job with parent and child records has several."""

    status: str
    status_raw: str
    code: str | None
    type: str | None
    module: str | None
    module_id: str | None
    ignore_empty: bool | None
    find_by: str | None
    file_names: tuple[str, ...]
    field_mappings: tuple[FieldMapping, ...]
    file: FileDetails | None


@dataclass(frozen=True, slots=True)
class JobDetails:
    """What Zoho says about a bulk write job at one moment.

    ``status`` is normalised, ``status_raw`` as Zoho spelled it, both "" when absent; ``job_id`` is
    "" when absent. ``created_time`` is in UTC. ``raw`` is the answer's JSON, safe for PostgreSQL.
    """

    job_id: str
    status: str
    status_raw: str
    operation: str | None
    character_encoding: str | None
    created_time: datetime | None
    created_by: Person | None
    download_url: str | None
    resources: tuple[Resource, ...]
    raw: str


def parse_job_details(body: bytes) -> JobDetails:
    """The job that an answer describes.

    Raises MalformedAnswerError for what is no JSON object, is an error message, or has neither
    status nor resource. The caller bounds the size of ``body``.
    """
    if sum(body.count(mark) for mark in _MARKS) > MOST_PIECES:
        raise MalformedAnswerError("Zoho's answer has too many pieces.", excerpt=excerpt_of(body))
    raw = _storable(body)
    job = _load(raw)
    status_raw = _text(job.get("status"), 100) or ""
    job_id = _id(job.get("id")) or ""
    resources = _objects(job.get("resource"), MOST_RESOURCES)
    if is_error_envelope(job) or not (status_raw or resources):
        raise _malformed("Zoho's answer does not describe a bulk write job.", raw)
    result = _object(job.get("result"))
    return JobDetails(
        job_id=job_id,
        status=normalise_status(status_raw),
        status_raw=status_raw,
        operation=_text(job.get("operation"), 100),
        character_encoding=_text(job.get("character_encoding"), 100),
        created_time=_time(job.get("created_time")),
        created_by=_person(job.get("created_by")),
        download_url=_url(result.get("download_url")),
        resources=tuple([_resource(item) for item in resources]),
        raw=raw,
    )


def canonical_digest(details_or_raw: JobDetails | str | bytes) -> str:
    """SHA-256 (hex) of the payload, the same however Zoho orders its keys and spaces.

    Text that is no JSON has the digest of its own characters.
    """
    if isinstance(details_or_raw, JobDetails):
        text = details_or_raw.raw
    elif isinstance(details_or_raw, bytes):
        text = _storable(details_or_raw)
    else:
        text = details_or_raw
    with contextlib.suppress(ValueError, RecursionError):
        text = json.dumps(json.loads(text), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()


_MARKS = (b"{", b"[", b",", b":")

# An escaped character of a JSON string; a surrogate pair is one match.
_ESCAPE = re.compile(r"\\(?:u(d[89ab][0-9a-f]{2})\\u(d[c-f][0-9a-f]{2})|u([0-9a-f]{4})|.)", re.I)


def _storable(body: bytes) -> str:
    """The body as text in which no string holds NUL or half a surrogate pair."""
    text = body.decode("utf-8", "replace").lstrip("\ufeff")
    if "\0" in text:
        text = text.replace("\0", "\ufffd")
    if "\\u" in text:
        text = _ESCAPE.sub(_safe_escape, text)
    return text


def _safe_escape(found: re.Match[str]) -> str:
    alone = found[3]
    if alone and (alone == "0000" or "d800" <= alone.lower() <= "dfff"):
        return "\\ufffd"
    return found[0]


def _load(raw: str) -> dict[str, Any]:
    try:
        job = json.loads(raw, parse_float=_finite, parse_constant=_refuse_constant)
    except RecursionError as exc:
        raise _malformed("Zoho's answer is nested too deeply.", raw) from exc
    except ValueError as exc:
        raise _malformed("Zoho's answer is not valid JSON.", raw) from exc
    if not isinstance(job, dict):
        raise _malformed("Zoho's answer is not a JSON object.", raw)
    return job


def _finite(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise ValueError("number out of range")
    return number


def _refuse_constant(text: str) -> NoReturn:
    raise ValueError(f"{text} is not JSON")


def _malformed(message: str, raw: str) -> MalformedAnswerError:
    return MalformedAnswerError(message, excerpt=excerpt_of(raw.encode()))


def _resource(item: dict[str, Any]) -> Resource:
    file_object = item.get("file")
    file = _file(file_object) if isinstance(file_object, dict) else None
    module, module_id = _module(item.get("module"))
    if module is None:
        module = _text(item.get("module_name"), 255)
    if module is None and isinstance(file_object, dict):
        module, module_id = _module(file_object.get("module"))
    status_raw = _text(item.get("status"), 100) or ""
    names = item.get("file_names")
    if isinstance(names, str):
        names = [names]
    file_names = names[:MOST_FILE_NAMES] if isinstance(names, list) else []
    mappings = _objects(item.get("field_mappings"), MOST_MAPPINGS)
    return Resource(
        status=normalise_status(status_raw),
        status_raw=status_raw,
        code=_text(item.get("code"), 100),
        type=_text(item.get("type"), 100),
        module=module,
        module_id=module_id,
        ignore_empty=_flag(item.get("ignore_empty")),
        find_by=_text(item.get("find_by"), 255),
        file_names=tuple([name for name in (_text(n, 255) for n in file_names) if name]),
        field_mappings=tuple([_mapping(mapping) for mapping in mappings]),
        file=file,
    )


def _file(item: dict[str, Any]) -> FileDetails:
    status_raw = _text(item.get("status"), 100) or ""
    return FileDetails(
        status=normalise_status(status_raw),
        status_raw=status_raw,
        name=_text(item.get("name"), 255),
        added_count=_count(item.get("added_count")),
        updated_count=_count(item.get("updated_count")),
        skipped_count=_count(item.get("skipped_count")),
        total_count=_count(item.get("total_count")),
    )


def _mapping(item: dict[str, Any]) -> FieldMapping:
    default_value = item.get("default_value")
    if default_value is not None and not _shallow(default_value, DEEPEST_DEFAULT):
        default_value = None
    return FieldMapping(
        api_name=_text(item.get("api_name"), 255),
        index=_count(item.get("index")),
        find_by=_text(item.get("find_by"), 255),
        format=_text(item.get("format"), 255),
        default_value=default_value,
        module=_module(item.get("module"))[0],
        parent_column_index=_count(item.get("parent_column_index")),
    )


def _module(value: object) -> tuple[str | None, str | None]:
    """API name and id: an object since v2.1, a plain string before and in the prose of v7."""
    if not isinstance(value, dict):
        return _text(value, 255), None
    for key in ("api_name", "module", "module_name"):
        name = _text(value.get(key), 255)
        if name:
            return name, _id(value.get("id"))
    return None, _id(value.get("id"))


def _person(value: object) -> Person | None:
    if isinstance(value, dict):
        person = Person(_id(value.get("id")), _text(value.get("name"), 255))
        return person if person.id or person.name else None
    name = _text(value, 255)
    return Person(None, name) if name else None


def _object(value: object) -> dict[str, Any]:
    if isinstance(value, list) and value:
        value = value[0]
    return value if isinstance(value, dict) else {}


def _objects(value: object, most: int) -> list[dict[str, Any]]:
    """The objects of what is documented both as an object and as an array of them."""
    if isinstance(value, dict):
        return [value]
    if isinstance(value, list):
        return [item for item in value[:most] if isinstance(item, dict)]
    return []


def _text(value: object, length: int) -> str | None:
    if not isinstance(value, str):
        return None
    return value[:length].strip() or None


def _url(value: object) -> str | None:
    """An address unchanged, blanks and all, for ``regions`` to judge; a cut one would be wrong."""
    if not isinstance(value, str) or not value.strip() or len(value) > 2000:
        return None
    return value


def _id(value: object) -> str | None:
    """An id as text. Ids exceed 2**53, so one that came as a float has lost digits already."""
    if isinstance(value, str):
        value = value.strip()
        return value if 0 < len(value) <= 100 else None
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= LARGEST_ID:
        return str(value)
    return None


def _count(value: object) -> int | None:
    if isinstance(value, str):
        digits = value.strip()
        if not (digits.isascii() and digits.isdigit() and len(digits) <= 30):
            return None
        value = int(digits)
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= LARGEST_COUNT:
        return value
    return None


def _flag(value: object) -> bool | None:
    if isinstance(value, bool):
        return value
    return (
        {"true": True, "false": False}.get(value.strip().lower())
        if isinstance(value, str)
        else None
    )


def _time(value: object) -> datetime | None:
    """A moment in UTC; None for what is no ISO 8601 time or does not name its offset."""
    if not isinstance(value, str) or len(value) > 64:
        return None
    try:
        moment = datetime.fromisoformat(value.strip())
        # Other years are no time of a job, and the first and last ones overflow in some zones.
        if moment.tzinfo is None or not 1990 <= moment.year <= 2200:
            return None
        return moment.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _shallow(value: object, depth: int) -> bool:
    if isinstance(value, dict):
        return depth > 0 and all(_shallow(item, depth - 1) for item in value.values())
    if isinstance(value, list):
        return depth > 0 and all(_shallow(item, depth - 1) for item in value)
    return True
