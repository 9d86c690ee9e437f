"""Which jobs the body of a callback names. Pure; any bytes may come.

Zoho documents that a job's details are posted to the callback's address when it ends ("Create Bulk
Write Job", v7), and neither the content type nor an example: JSON and forms are read, whatever
the request says of itself, and nothing but ids is taken from them.
"""

import json
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qsl

from jobs.services.registering.job_ids import ids_in_json

# Zoho calls about one job at a time.
MOST_IDS = 10
_MOST_FIELDS = 100
_LONGEST_NUMBER = 40

_NESTED = re.compile(r"[{\[]")
_FIELD_NAME = re.compile(r'\bname="?([^";\r\n]*)')


def job_ids(body: bytes) -> list[str]:
    """The ids of bulk write jobs that a callback's body names, each once, ten at most.

    They are looked for where Zoho's answers have them, in the body or in the fields of a form. A
    Bulk Read job's are left out. Empty where there is none.
    """
    text = body.decode("utf-8-sig", "replace").strip()
    whole = _from_json(text)
    if whole is not None:
        return ids_in_json(whole)[:MOST_IDS]
    fields = dict(_fields(text))
    plain = {name: value for name, value in fields.items() if not _NESTED.search(value)}
    found = ids_in_json(plain)
    if not found:
        # The name of a field may be all there is: a form whose only field is a JSON text. With an
        # id of its own, a form has others in its fields: of who made the job, of its module.
        parts = filter(None, map(_from_json, [*fields.values(), *fields.keys()]))
        found = [job_id for part in parts for job_id in ids_in_json(part)]
    return list(dict.fromkeys(found))[:MOST_IDS]


def _from_json(text: str) -> Any:
    """The object or array that the text is; None where it is none."""
    text = text.strip()
    if not text.startswith(("{", "[")):
        return None
    try:
        return json.loads(text, parse_int=_number)
    except (ValueError, RecursionError):
        return None


def _number(digits: str) -> int | None:
    # Python refuses numbers of thousands of digits, and with them all that stands around them.
    return int(digits) if len(digits) <= _LONGEST_NUMBER else None


def _fields(text: str) -> Iterator[tuple[str, str]]:
    """(name, value) of the fields of a form, url-encoded or in parts."""
    if text.startswith("--"):
        boundary = text.split("\n", 1)[0].strip()
        for part in text.split(boundary)[1 : _MOST_FIELDS + 1]:
            head, _, value = part.replace("\r\n", "\n").partition("\n\n")
            name = _FIELD_NAME.search(head)
            if name:
                yield name.group(1), value.strip()
        return
    try:
        yield from parse_qsl(text, keep_blank_values=True, max_num_fields=_MOST_FIELDS)
    except ValueError:
        return
