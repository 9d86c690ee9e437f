"""What people do about a kept result: pin it, or delete our copy."""

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_POST

from jobs.forms.results import PinForm
from jobs.models import BulkWriteJob, Result
from jobs.services.results import retention
from jobs.views import job_page
from jobs.views.access import staff_required
from jobs.views.requests import HtmxHttpRequest


@require_POST
def pin(request: HtmxHttpRequest, pk: int) -> HttpResponse:
    """Pin or unpin, as said: a form that is sent twice does the same twice."""
    job = get_object_or_404(BulkWriteJob, pk=pk)
    form = PinForm(request.POST)
    if form.is_valid():
        retention.set_pinned(job, form.cleaned_data["pinned"], actor=request.user)
    else:
        messages.error(request, "Nothing was changed: neither pinned=yes nor pinned=no was sent.")
    return job_page.after_change(request, job.pk)


@staff_required
@require_http_methods(["GET", "HEAD", "POST"])
def result_delete(request: HtmxHttpRequest, pk: int) -> HttpResponse:
    """Say what goes and what stays; delete our copy when that is confirmed."""
    job = get_object_or_404(BulkWriteJob.objects.select_related("connection"), pk=pk)
    result = Result.objects.filter(job=job).first()
    if result is None or not result.is_archived:
        messages.info(request, "No copy of this job's result is kept here: nothing to delete.")
        return redirect(job)
    if request.method != "POST":
        lifetime = retention.lifetime(job, result, timezone.now())
        context = {"job": job, "result": result, "lifetime": lifetime}
        return render(request, "jobs/result_delete.html", context)
    try:
        are_files_gone = retention.delete_result(result, actor=request.user)
    except retention.NotDeletableError as error:
        messages.error(request, str(error))
        return redirect(job)
    if are_files_gone:
        messages.success(request, "Our copy of the result was deleted. Its figures stay.")
    else:
        messages.warning(
            request,
            "The result is deleted, but its file could not be removed from the storage yet. That "
            "is tried again every hour; the log names the reason.",
        )
    return redirect(job)
