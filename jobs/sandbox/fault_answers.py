"""What a fault does to an answer: takes its place, or spoils it on the way."""

import io
import json
import zipfile
import zlib
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

from .errors import ERRORS, error_answer, link_not_valid
from .faults import TOKEN_KINDS, Fault
from .oauth import oauth_error, throttled
from .wire import HTML, JSON, Answer

MIB = 1024 * 1024
_CHUNK = 64 * 1024
MAINTENANCE = (
    "<!DOCTYPE html><html><head><title>Zoho</title></head><body><h1>We'll be back shortly</h1>"
    "<p>Our services are undergoing maintenance.</p></body></html>"
)


def replacement(fault: Fault) -> Answer | None:
    """Return the answer that takes the place of the proper one, if this fault has such."""
    answer = _replacement(fault)
    if answer is not None:
        answer.headers = {**answer.headers, **fault.headers}
    return answer


def _replacement(fault: Fault) -> Answer | None:
    kind = fault.kind
    if kind in ERRORS:
        return error_answer(kind, status=fault.status, message=fault.message)
    if kind == "token_throttled":
        return throttled(fault.language)
    if kind in TOKEN_KINDS:
        return oauth_error(kind)
    if kind in _SIMPLE:
        return _SIMPLE[kind](fault)
    return None


def _text(fault: Fault, default: str, content_type: str) -> Answer:
    body = fault.body if fault.body is not None else default
    return Answer(fault.status or 200, body.encode(), fault.content_type or content_type)


def _redirect(fault: Fault) -> Answer:
    return Answer(fault.status or 302, headers={"Location": fault.location})


def _envelope(fault: Fault) -> Answer:
    return error_answer(fault.code, status=200, message=fault.message)


def _not_zip(fault: Fault) -> Answer:
    answer = _text(fault, "STATUS,RECORD_ID,ERRORS\nadded,1,\n", "application/zip")
    answer.headers["Content-Disposition"] = 'attachment; filename="result.zip"'
    return answer


def _huge(fault: Fault) -> Answer:
    start, end = b'{"status": "COMPLETED", "padding": "', b'"}'
    length = len(start) + fault.mib * MIB + len(end)
    return Answer(fault.status or 200, start, stream=_padding(fault.mib * MIB, end), length=length)


def _padding(size: int, end: bytes) -> Iterator[bytes]:
    chunk = b"a" * _CHUNK
    for _ in range(size // _CHUNK):
        yield chunk
    yield end


def _gzip_bomb(fault: Fault) -> Answer:
    body = gzip_of_spaces(fault.mib)
    return Answer(fault.status or 200, body, headers={"Content-Encoding": "gzip"})


@lru_cache(maxsize=2)
def gzip_of_spaces(mib: int) -> bytes:
    """Return gzip data that unpacks to valid JSON after that many MiB of spaces."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    packed = b"".join(packer.compress(b" " * MIB) for _ in range(mib))
    return packed + packer.compress(b"{}") + packer.flush()


def _zip_bomb(fault: Fault) -> Answer:
    headers = {"Content-Disposition": 'attachment; filename="result.zip"'}
    return Answer(fault.status or 200, zip_of_zeros(fault.mib), "application/zip", headers)


@lru_cache(maxsize=2)
def zip_of_zeros(mib: int) -> bytes:
    """Return a ZIP whose one CSV unpacks to that many MiB."""
    buffer = io.BytesIO()
    with (
        zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive,
        archive.open("Leads-bomb.csv", "w", force_zip64=True) as member,
    ):
        member.write(b"Last_Name,STATUS,RECORD_ID,ERRORS\n")
        for _ in range(mib):
            member.write(b"0" * MIB)
    return buffer.getvalue()


_SIMPLE = {
    "html": lambda fault: _text(fault, MAINTENANCE, HTML),
    "body": lambda fault: _text(fault, "", JSON),
    "envelope_200": _envelope,
    "empty": lambda fault: Answer(fault.status or 200),
    "no_content": lambda fault: Answer(204),
    "not_modified": lambda fault: Answer(304),
    "redirect": _redirect,
    "huge_body": _huge,
    "gzip_bomb": _gzip_bomb,
    "zip_bomb": _zip_bomb,
    "invalid_utf8": lambda fault: Answer(200, b'{"status": "COMPL\xff\xfe\xc3\x28ETED"}'),
    "expired_link": lambda fault: link_not_valid(fault.status or 410),
    "result_not_zip": _not_zip,
}


def spoil(fault: Fault, answer: Answer) -> None:
    """Change a proper answer in place, if that is what this fault does."""
    if fault.kind in ("drip_headers", "drip_body"):
        answer.drip = fault.kind.removeprefix("drip_")
        answer.drip_seconds = fault.seconds
    elif fault.kind == "truncated":
        answer.truncate_at = len(answer.body) // 2 if fault.bytes is None else fault.bytes
    elif fault.kind == "wrong_types":
        answer.body = json.dumps(_wrong(json.loads(answer.body))).encode()


def _wrong(body: Any) -> Any:
    """Return job details in which hardly a value has the type it is documented with."""
    if not isinstance(body, dict):
        return body
    resource = (body.get("resource") or [{}])[0]
    file = resource.get("file", {})
    return body | {
        "id": int(body.get("id", 0)),
        "status": ["COMPLETED"],
        "created_by": "Patricia Boyle",
        "created_time": 1548857895,
        "result": "soon",
        "resource": resource
        | {
            "module": 7,
            "field_mappings": {"api_name": None},
            "file": file | {"added_count": "12", "skipped_count": -3.5, "total_count": None},
        },
    }
