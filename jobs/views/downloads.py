"""Our own copies of result files, handed out to who is signed in."""

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import TypeVar

from django.http import (
    FileResponse,
    Http404,
    HttpResponseBadRequest,
    HttpResponseBase,
    StreamingHttpResponse,
)
from django.shortcuts import get_object_or_404
from django.utils.http import content_disposition_header
from django.views.decorators.http import require_safe

from jobs.forms.rows import RowFilterForm
from jobs.models import Result
from jobs.services import csv_export
from jobs.services.results import tables
from jobs.services.results.reading import NotKeptError, RowFilter, note_download
from jobs.views.requests import HtmxHttpRequest
from jobs.zoho.result_files import ResultFileError

T = TypeVar("T")

NOT_KEPT = "This result file is not kept here."
LEFT_OUT_ROWS = RowFilter(status="left_out")
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
        filename=file_name(result, "result.zip"),
        content_type="application/zip",
    )
    return private(response)


@require_safe
def result_csv(request: HtmxHttpRequest, pk: int, position: int) -> HttpResponseBase:
    """One CSV of the result with all its rows and columns, safe to open in a spreadsheet."""
    result = _kept(pk)
    file = get_object_or_404(result.files.all(), position=position)
    return _table(request, result, file.name, file.name, tables.whole_file(result, file))


@require_safe
def rows_csv(request: HtmxHttpRequest, pk: int) -> HttpResponseBase:
    """The rows that the address asks for, as the rows page does; of all files if it names none."""
    result = _kept(pk)
    files = list(result.files.all())
    form = RowFilterForm(request.GET, files=files)
    file, wanted = form.read()
    if form.ignored:
        # A page can say what it left out; a file with other rows than asked for could not.
        return HttpResponseBadRequest(
            f"This part of the address makes no sense: {', '.join(form.ignored)}.\n",
            content_type="text/plain; charset=utf-8",
        )
    table = tables.rows(result, [file] if file else files, wanted)
    what = f"{wanted}{f' of {file.name}' if file else ''}"
    of_file = file.name.removesuffix(".csv") if file else ""
    parts = filter(None, (of_file, wanted.status, wanted.code, wanted.field, "rows"))
    return _table(request, result, what, "-".join(parts), table)


@require_safe
def skipped_csv(request: HtmxHttpRequest, pk: int) -> HttpResponseBase:
    """The rows that are not in the CRM, of all files, each with its reason in words."""
    result = _kept(pk)
    table = tables.rows(result, list(result.files.all()), LEFT_OUT_ROWS)
    return _table(request, result, str(LEFT_OUT_ROWS), "left-out-rows", table)


@require_safe
def summary_csv(request: HtmxHttpRequest, pk: int) -> HttpResponseBase:
    """The figures of a result and its skip reasons; also of one whose copy was deleted."""
    result = get_object_or_404(Result.objects.select_related("job"), job=pk)
    if not result.files.exists():
        raise Http404(NOT_KEPT)
    return _table(request, result, "the summary", "summary", tables.figures(result))


def _table(
    request: HtmxHttpRequest, result: Result, what: str, name: str, rows: Iterator[Sequence[str]]
) -> HttpResponseBase:
    """A table as a CSV, noted by `what` it was; only looked for if the request is a HEAD."""
    content: Iterable[bytes] = ()
    if request.method == "GET":
        content = csv_export.stream(_begun(rows))
        _note(request, result, what)
    return _attachment(content, file_name(result, f"{name.removesuffix('.csv')}.csv"))


def _kept(job_pk: int) -> Result:
    result = get_object_or_404(Result.objects.select_related("job"), job=job_pk)
    stored = result.archive
    if not result.is_archived or not stored or not stored.storage.exists(str(stored.name)):
        raise Http404(NOT_KEPT)
    return result


def _begun(items: Iterator[T]) -> Iterable[T]:
    """The items, the first of them read already: what is not there shows before the answer."""
    try:
        first = next(items, None)
    except (NotKeptError, ResultFileError) as error:
        raise Http404(NOT_KEPT) from error
    return chain([] if first is None else [first], items)


def _note(request: HtmxHttpRequest, result: Result, what: str) -> None:
    if request.method == "GET":
        note_download(result, what, request.user)


def _attachment(content: Iterable[bytes], name: str) -> HttpResponseBase:
    response = StreamingHttpResponse(content, content_type="text/csv; charset=utf-8")
    disposition = content_disposition_header(as_attachment=True, filename=name)
    response["Content-Disposition"] = disposition or "attachment"
    return private(response)


def private(response: HttpResponseBase) -> HttpResponseBase:
    """The answer, kept by no cache and taken for nothing but what it says it is."""
    response["X-Content-Type-Options"] = "nosniff"
    response["Cache-Control"] = "private, no-store"
    return response


def file_name(result: Result, last_part: str) -> str:
    """A file name that says whose it is; what file systems or headers dislike is replaced."""
    job = result.job
    stem, dot, extension = last_part.rpartition(".")
    parts = [job.modules, job.zoho_job_id, stem if dot else last_part]
    name = "-".join(filter(None, (_UNSAFE.sub("_", part).strip(" ._-") for part in parts)))
    extension = extension if dot and extension.lower() in ("csv", "zip") else "csv"
    return f"{name[:LONGEST_NAME]}.{extension}"
