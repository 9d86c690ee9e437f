"""Our own copies of result files, handed out to who is signed in."""

import re
import zipfile
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import TypeVar

from django.http import (
    FileResponse,
    Http404,
    HttpResponseBase,
    StreamingHttpResponse,
)
from django.shortcuts import get_object_or_404
from django.utils import timezone
from django.utils.http import content_disposition_header
from django.views.decorators.http import require_safe

from jobs.models import JobEvent, Result
from jobs.services import csv_export, result_reading
from jobs.views.requests import HtmxHttpRequest
from jobs.zoho.result_files import ResultFileError

T = TypeVar("T")

NOT_KEPT = "This result file is not kept here."
LONGEST_NAME = 120
_UNSAFE = re.compile(r"[^\w.()\- ]+")


@require_safe
def result_zip(request: HtmxHttpRequest, pk: int) -> HttpResponseBase:
    """Zoho's ZIP, byte for byte as it came."""
    result = _kept(pk)
    try:
        stored = result.archive.open("rb")
    except OSError as error:
        raise Http404(NOT_KEPT) from error
    _note(request, result, "the result ZIP")
    response = FileResponse(
        stored,
        as_attachment=True,
        filename=_name(result, "result.zip"),
        content_type="application/zip",
    )
    return _private(response)


@require_safe
def result_csv(request: HtmxHttpRequest, pk: int, position: int) -> HttpResponseBase:
    """One CSV of the result, byte for byte as Zoho wrote it."""
    result = _kept(pk)
    file = get_object_or_404(result.files.all(), position=position)
    chunks = _begun(result_reading.open_member(result, position))
    _note(request, result, file.name)
    return _attachment(chunks, _name(result, file.name))


@require_safe
def skipped_csv(request: HtmxHttpRequest, pk: int) -> HttpResponseBase:
    """The rows that are not in the CRM, each with its reason in words."""
    result = _kept(pk)
    rows = _begun(result_reading.skipped_rows(result))
    _note(request, result, "rows that were left out")
    return _attachment(csv_export.stream(rows), _name(result, "left-out-rows.csv"))


def _kept(job_pk: int) -> Result:
    result = get_object_or_404(Result.objects.select_related("job"), job=job_pk)
    if not result.is_archived:
        raise Http404(NOT_KEPT)
    return result


def _begun(items: Iterator[T]) -> Iterable[T]:
    """The items, the first of them read already: what is not there shows before the answer."""
    try:
        first = next(items, None)
    except (OSError, IndexError, ResultFileError, zipfile.BadZipFile) as error:
        raise Http404(NOT_KEPT) from error
    return chain([] if first is None else [first], items)


def _note(request: HtmxHttpRequest, result: Result, what: str) -> None:
    if request.method != "GET":
        return
    JobEvent.objects.create(
        job_id=result.job_id,
        at=timezone.now(),
        kind=JobEvent.Kind.DOWNLOADED,
        text=what[:500],
        actor=request.user,
    )


def _attachment(content: Iterable[bytes], name: str) -> HttpResponseBase:
    response = StreamingHttpResponse(content, content_type="text/csv; charset=utf-8")
    disposition = content_disposition_header(as_attachment=True, filename=name)
    response["Content-Disposition"] = disposition or "attachment"
    return _private(response)


def _private(response: HttpResponseBase) -> HttpResponseBase:
    response["X-Content-Type-Options"] = "nosniff"
    response["Cache-Control"] = "private, no-store"
    return response


def _name(result: Result, last_part: str) -> str:
    """A file name that says whose it is; what file systems or headers dislike is replaced."""
    job = result.job
    stem, dot, extension = last_part.rpartition(".")
    parts = [job.modules, job.zoho_job_id, stem if dot else last_part]
    name = "-".join(filter(None, (_UNSAFE.sub("_", part).strip(" ._-") for part in parts)))
    extension = extension if dot and extension.lower() in ("csv", "zip") else "csv"
    return f"{name[:LONGEST_NAME]}.{extension}"
