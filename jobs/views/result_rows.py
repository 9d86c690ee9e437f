"""The rows of a result file: filtered, searched, paged, all of it in the address."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple
from urllib.parse import urlencode

from django.core.paginator import Paginator
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, render
from django.views.decorators.http import require_safe
from django.views.decorators.vary import vary_on_headers

from jobs.forms.rows import RowFilterForm
from jobs.models import BulkWriteJob, Connection, Result, ResultFile
from jobs.services import reasons
from jobs.services.connections.access import region_of
from jobs.services.results.analysis import LEFT_OUT
from jobs.services.results.reading import (
    CHARACTERS_SHOWN,
    COLUMNS_SHOWN,
    ROW_STATUSES,
    NotKeptError,
    RowFilter,
    RowPage,
    page_of_rows,
    status_counts,
)
from jobs.views.requests import HtmxHttpRequest
from jobs.zoho.regions import organisation_in
from jobs.zoho.result_files import ResultFileError, ResultRow, RowError

PAGE_SIZE = 50
REASONS_OFFERED = 100
ERRORS_SHOWN = 10
SHORT = 120

# Word of ROW_STATUSES -> (label, tone, icon).
STATUS_LOOKS = {
    "left_out": ("Left out", "bad", "triangle-alert"),
    "added": ("Added", "good", "check"),
    "updated": ("Updated", "good", "refresh-cw"),
    "skipped": ("Skipped", "bad", "skip-forward"),
    "unprocessed": ("Unprocessed", "warn", "circle-slash"),
    "other": ("Other status", "neutral", "circle-question-mark"),
}


class Cell(NamedTuple):
    """A value as a page shows it: `whole` is set where `short` is not all of it."""

    short: str
    whole: str = ""
    is_cut: bool = False


class ShownRow(NamedTuple):
    """A row as a page shows it.

    `cells`: each with its column's name; `errors`: the reasons in words, each as Zoho wrote it.
    """

    number: int
    cells: list[tuple[str, Cell]]
    status: str
    tone: str
    icon: str
    errors: list[tuple[str, str]]
    more_errors: int
    record_id: str
    record_url: str | None


@require_safe
@vary_on_headers("HX-Request")
def rows(request: HtmxHttpRequest, pk: int) -> HttpResponse:
    job = get_object_or_404(BulkWriteJob.objects.select_related("connection"), pk=pk)
    result = Result.objects.filter(job=job).first()
    files = list(result.files.select_related("resource")) if result else []
    form = RowFilterForm(request.GET, files=files)
    asked_file, wanted = form.read()
    file = asked_file or _first(files)
    context: dict[str, Any] = {
        "job": job,
        "result": result,
        "files": files,
        "file": file,
        "wanted": wanted,
        "ignored": form.ignored,
        "has_rows_left_out": any(each.skipped_rows or each.unprocessed_rows for each in files),
        "is_live": result is not None and result.state == Result.State.PENDING,
    }
    if result is not None and result.is_archived and file is not None and not file.error:
        result.job = job
        try:
            found = page_of_rows(result, file, wanted, _page_number(request), PAGE_SIZE)
        except NotKeptError:
            context["is_gone"] = True
        except ResultFileError as error:
            context["reading_error"] = str(error)
        else:
            context |= _found(job, file, wanted, found)
    template = "jobs/_result_rows.html" if request.htmx else "jobs/result_rows.html"
    return render(request, template, context)


def _page_number(request: HtmxHttpRequest) -> int:
    asked = request.GET.get("page", "")
    return max(int(asked), 1) if asked.isdecimal() and len(asked) < 10 else 1


def _found(
    job: BulkWriteJob, file: ResultFile, wanted: RowFilter, found: RowPage
) -> dict[str, Any]:
    record_url = _record_addresses(job, file)
    said: dict[tuple[RowError, ...], list[tuple[str, str]]] = {}
    columns = file.columns[:COLUMNS_SHOWN]
    # Of the rows that match but for their status.
    counts = found.statuses
    if counts is None and not wanted.has_reason:
        counts = status_counts(file)
    listed = file.reasons.defer("samples", "first_rows", "facts")
    return {
        "page": Paginator(range(found.total), PAGE_SIZE).page(found.number),
        "rows": [_shown(row, columns, record_url, said) for row in found.rows],
        "columns": columns,
        "columns_left_out": max(len(file.columns) - COLUMNS_SHOWN, 0),
        "characters_shown": CHARACTERS_SHOWN,
        "pills": _pills(file, counts, wanted.status),
        "all_count": None if counts is None else counts[""],
        "reasons": [
            (
                reason,
                reasons.name_of(reason.code, reason.field),
                reasons.describe(reason.code).meaning,
            )
            for reason in listed[:REASONS_OFFERED]
        ],
        "download_query": _address(file, wanted),
        "is_filtered": wanted != RowFilter(),
    }


def _pills(
    file: ResultFile, counts: dict[str, int] | None, chosen: str
) -> list[tuple[str, str, str, str, int | None]]:
    """The chosen status and each that occurs in the file, as (word, label, tone, icon, rows)."""
    in_file = status_counts(file)
    return [
        (status, *STATUS_LOOKS[status], None if counts is None else counts.get(status, 0))
        for status in ROW_STATUSES
        if in_file.get(status) or status == chosen
    ]


def _shown(
    row: ResultRow,
    columns: Sequence[str],
    record_url: Callable[[str], str | None],
    said: dict[tuple[RowError, ...], list[tuple[str, str]]],
) -> ShownRow:
    errors = said.get(row.errors)
    if errors is None:
        errors = said[row.errors] = [
            (reasons.in_words(code, column), reasons.as_zoho_wrote(code, column))
            for code, column in row.errors[:ERRORS_SHOWN]
        ]
    if not errors and row.status in LEFT_OUT:
        errors = [(reasons.in_words(reasons.of_silence(row.status), ""), "")]
    label, tone, icon = STATUS_LOOKS.get(row.status, STATUS_LOOKS["other"])
    if row.status not in STATUS_LOOKS or row.status in ("left_out", "other"):
        label = _cell(row.status).short if row.status else "No status"
    return ShownRow(
        row.number,
        list(zip(columns, map(_cell, row.values), strict=False)),
        label,
        tone,
        icon,
        errors,
        len(row.errors) - ERRORS_SHOWN,
        row.record_id[:SHORT],
        record_url(row.record_id),
    )


def _cell(value: str) -> Cell:
    if len(value) <= SHORT and "\n" not in value and "\r" not in value:
        return Cell(value if not value or value.strip() else "(only spaces)")
    first = value.strip().partition("\n")[0].strip()[:SHORT]
    return Cell(f"{first}…", value[:CHARACTERS_SHOWN], len(value) > CHARACTERS_SHOWN)


def _record_addresses(job: BulkWriteJob, file: ResultFile) -> Callable[[str], str | None]:
    """From a record id to the record's page in Zoho CRM, where that is known."""
    module = file.resource.module if file.resource else ""
    if not module or job.connection.data_center == Connection.DataCenter.CUSTOM:
        return lambda _record_id: None
    region = region_of(job.connection)
    organisation = organisation_in(job.download_url)
    return lambda record_id: region.record_url(module, record_id, organisation)


def _address(file: ResultFile, wanted: RowFilter) -> str:
    """The query of an address with these rows, as RowFilterForm reads it."""
    parts = {"file": file.position, "status": wanted.status, "code": wanted.code}
    asked = {name: value for name, value in parts.items() if value != ""}
    if wanted.field is not None:
        asked["field"] = wanted.field
    return urlencode(asked | ({"q": wanted.text} if wanted.text else {}))


def _first(files: Sequence[ResultFile]) -> ResultFile | None:
    """The first file that can be read; where none can, the first."""
    return next((file for file in files if not file.error), files[0] if files else None)
