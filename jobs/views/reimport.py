"""The page that gives left-out rows back, to be imported again; and the files it gives."""

from collections.abc import Sequence
from itertools import chain
from typing import Any

from django.conf import settings
from django.contrib import messages
from django.http import FileResponse, HttpResponse, HttpResponseBase, StreamingHttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.http import content_disposition_header
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from jobs.forms.reimport import OriginalForm
from jobs.models import BulkWriteJob, OriginalFile, Result, ResultFile
from jobs.models.result import OriginalFileQuerySet
from jobs.services import wording
from jobs.services.reimport import keeping
from jobs.services.reimport.originals import OriginalFileError
from jobs.services.reimport.report import Report
from jobs.services.results.reading import NotKeptError
from jobs.views.downloads import file_name, private
from jobs.views.requests import HtmxHttpRequest

GONE = (
    "The attached file is no longer here, or no longer fits the kept result. Attach it again to "
    "get its rows."
)


@require_http_methods(["GET", "HEAD", "POST"])
def reimport(request: HtmxHttpRequest, pk: int) -> HttpResponse:
    """Attach the file that was uploaded to Zoho, and see which of its rows were left out."""
    job = _job(pk)
    result = Result.objects.filter(job=job).first()
    if request.method != "POST":
        return _page(request, job, result)
    if result is None or not result.is_archived:
        messages.error(request, "No copy of this job’s result is kept here to compare a file with.")  # noqa: RUF001
        return redirect("jobs:reimport", pk)
    result.job = job
    files = result.files.filter(error="")
    form = OriginalForm(request.POST, request.FILES, result_files=files)
    if not form.is_valid():
        return _page(request, job, result, form)
    given = form.cleaned_data
    try:
        attached = keeping.attach(
            result, given["upload"], position=given["position"], user=request.user
        )
    except OriginalFileError as error:
        form.add_error("upload", str(error))
        return _page(request, job, result, form)
    for original in attached.originals:
        matched, left_out = original.report["matched"], original.report["left_out"]
        level = messages.SUCCESS if Report(**original.report).tone == "good" else messages.WARNING
        found = f"{matched:,} of {wording.rows(left_out)} that were left out are found in it"
        messages.add_message(request, level, f"{original.name} is attached: {found}.")
    for sentence in attached.left_aside:
        messages.warning(request, sentence)
    first = attached.originals[0].file.position
    return redirect(f"{reverse('jobs:reimport', args=[pk])}#file-{first}")


@require_safe
def reimport_csv(request: HtmxHttpRequest, pk: int, position: int) -> HttpResponseBase:
    """The attached file's left-out rows as they are in it, as a CSV or in a ZIP."""
    original = get_object_or_404(_originals(pk, position).kept(timezone.now()))
    with_reasons = request.GET.get("reasons") == "1"
    stem = original.name.rpartition(".")[0] or original.name
    name = f"{stem}-to-import-again{'-with-reasons' if with_reasons else ''}"
    result = original.file.result
    response: HttpResponseBase
    try:
        if request.GET.get("as") == "zip":
            packed = keeping.zip_to_import_again(original, with_reasons=with_reasons)
            response = FileResponse(packed, content_type="application/zip")
            name = f"{name}.zip"
        else:
            rows = keeping.rows_to_import_again(original, with_reasons=with_reasons)
            # The first piece is read before the answer begins, so that what is gone is a 404.
            response = StreamingHttpResponse(chain([next(rows)], rows), content_type="text/csv")
            name = f"{name}.csv"
    except NotKeptError:
        return _page(request, result.job, result, missing=True)
    if request.method == "GET":
        keeping.note_download(original, request.user, with_reasons=with_reasons)
    disposition = content_disposition_header(as_attachment=True, filename=file_name(result, name))
    response["Content-Disposition"] = disposition or "attachment"
    return private(response)


@require_POST
def reimport_delete(request: HtmxHttpRequest, pk: int, position: int) -> HttpResponse:
    """Delete an attached file now; a second time changes nothing."""
    found = _originals(pk, position).first()
    if found is not None:
        keeping.delete(found, actor=request.user)
        messages.success(request, f"{found.name} is deleted.")
    return redirect("jobs:reimport", pk)


def form_context(job: BulkWriteJob, files: Sequence[ResultFile]) -> dict[str, Any]:
    """What `_reimport_form.html` expects, of a job with these files in its kept result."""
    return {
        "offers_choice": len(files) > 1,
        "left_out_files": [file for file in files if file.left_out_rows],
        "has_attached": any(hasattr(file, "original") for file in files),
        "shows_sample_uploads": settings.DEMO and job.connection.is_sample,
    }


def _job(pk: int) -> BulkWriteJob:
    return get_object_or_404(BulkWriteJob.objects.select_related("connection"), pk=pk)


def _originals(job_pk: int, position: int) -> OriginalFileQuerySet:
    found = OriginalFile.objects.select_related("file__result__job__connection", "file__resource")
    return found.filter(file__result__job=job_pk, file__position=position)


def _page(
    request: HtmxHttpRequest,
    job: BulkWriteJob,
    result: Result | None,
    form: OriginalForm | None = None,
    *,
    missing: bool = False,
) -> HttpResponse:
    files = list(result.files.with_originals(timezone.now()) if result else [])
    context = {
        "job": job,
        "result": result,
        "unreadable_files": [file for file in files if file.error],
        "has_untold_rows": any(file.other_rows for file in files),
        "form": form,
        "missing": GONE if missing else "",
        "kept_hours": settings.ORIGINAL_KEPT_HOURS,
        **form_context(job, files),
    }
    return render(request, "jobs/reimport.html", context, status=404 if missing else 200)
