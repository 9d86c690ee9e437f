"""The page of one job, its live part, and the raw answers behind it."""

import json
from datetime import timedelta
from typing import Any

from django.contrib import messages
from django.core.paginator import Paginator
from django.db.models import Prefetch
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_POST, require_safe
from django.views.decorators.vary import vary_on_headers

from jobs.context_processors import on_page_about
from jobs.models import Alert, BulkWriteJob, Result, ResultFile, Snapshot
from jobs.services import job_story
from jobs.services.mapping_changes import JOBS_LOOKED_AT
from jobs.services.observing import polling, waiting
from jobs.services.registering import removing
from jobs.services.results import retention
from jobs.views import reimport
from jobs.views.requests import HtmxHttpRequest

SNAPSHOTS_SHOWN = 20
SNAPSHOTS_PER_PAGE = 50
REASONS_SHOWN = 100
REASONS_READ = 2_000
ALERTS_SHOWN = 50

# A page whose next news is near is refreshed this often, others less often.
SOON = timedelta(seconds=60)
SECONDS_WHEN_SOON = 3
SECONDS_WHEN_LATER = 15


@require_safe
@vary_on_headers("HX-Request")
def detail(request: HtmxHttpRequest, pk: int) -> HttpResponse:
    job = get_object_or_404(BulkWriteJob.objects.select_related("connection", "tracked_by"), pk=pk)
    template = "jobs/_job_live.html" if request.htmx else "jobs/job_page.html"
    return render(request, template, _context(request, job))


@require_POST
def refresh(request: HtmxHttpRequest, pk: int) -> HttpResponse:
    """Have Zoho asked about the job at the next tick, ended and blocked ones included."""
    job = get_object_or_404(BulkWriteJob.objects.select_related("connection"), pk=pk)
    polling.make_due([job], actor=request.user)
    why_not = waiting.why_not(job.connection, timezone.now())
    if why_not:
        messages.warning(request, f"Zoho is not asked about this job now. {why_not}")
    else:
        messages.success(request, "Zoho is being asked about this job now.")
    return after_change(request, pk)


@require_http_methods(["GET", "HEAD", "POST"])
def remove(request: HtmxHttpRequest, pk: int) -> HttpResponse:
    """Say what goes with a job that Zoho never knew; remove it when that is confirmed."""
    job = get_object_or_404(BulkWriteJob.objects.select_related("connection"), pk=pk)
    try:
        if request.method != "POST":
            removing.check(job)
            context = {"job": job, **on_page_about(request, job.connection_id)}
            return render(request, "jobs/job_remove.html", context)
        unsent = removing.remove(job, actor=request.user)
    except removing.NotRemovableError as error:
        messages.error(request, str(error))
        return redirect(job)
    said = f"Job {job.zoho_job_id} was removed from {job.connection}."
    if unsent:
        said += f" {unsent:,} {'alert' if unsent == 1 else 'alerts'} that nobody got went with it."
    messages.success(request, said)
    return redirect("jobs:list")


def after_change(request: HtmxHttpRequest, pk: int) -> HttpResponse:
    """Where a form on the page leads: the live part as it is now, or the page without htmx."""
    job = BulkWriteJob.objects.select_related("connection", "tracked_by").get(pk=pk)
    if not request.htmx:
        return redirect(job)
    return render(request, "jobs/_job_live.html", _context(request, job) | {"was_refreshed": True})


@require_safe
def snapshots(request: HttpRequest, pk: int) -> HttpResponse:
    """All states of a job as Zoho reported them, the latest first."""
    job = get_object_or_404(BulkWriteJob.objects.select_related("connection"), pk=pk)
    pages = Paginator(job.snapshots.defer("raw").order_by("-pk"), SNAPSHOTS_PER_PAGE)
    page = pages.get_page(request.GET.get("page"))
    return render(request, "jobs/snapshots.html", {"job": job, "page": page})


@require_safe
@vary_on_headers("HX-Request")
def snapshot_raw(request: HtmxHttpRequest, pk: int, snapshot_pk: int) -> HttpResponse:
    """One answer of Zoho, indented: a page of its own, or the part that a row opens."""
    snapshot = get_object_or_404(
        Snapshot.objects.select_related("job__connection"), pk=snapshot_pk, job=pk
    )
    template = "jobs/_snapshot_raw.html" if request.htmx else "jobs/snapshot.html"
    context = {"job": snapshot.job, "snapshot": snapshot, "raw": _indented(snapshot.raw)}
    return render(request, template, context)


def _context(request: HtmxHttpRequest, job: BulkWriteJob) -> dict[str, Any]:
    with_originals = Prefetch("files", ResultFile.objects.with_originals(timezone.now()))
    result = Result.objects.filter(job=job).prefetch_related(with_originals).first()
    result_files = list(result.files.all()) if result else []
    alerts = list(job.alerts.order_by("-pk")[:ALERTS_SHOWN])
    poll_state, poll_error = polling.effective_poll_state(job)
    resources = list(job.resources.prefetch_related("field_mappings"))
    files = job_story.imported_files(job, result, resources)
    reasons = job_story.skip_reasons(result, files, REASONS_READ)
    job_story.count_from_rows(resources, result_files)
    return {
        "job": job,
        "result": result,
        "result_files": result_files,
        "is_unreadable": any(file.error for file in result_files),
        **reimport.form_context(job, result_files if result and result.is_archived else []),
        "lifetime": retention.lifetime(job, result, timezone.now()),
        "awaits_result": polling.awaits_result(job, result),
        "poll_state": poll_state,
        "poll_error": poll_error,
        "is_removable": removing.is_removable(job),
        "next_check": waiting.next_check(job, timezone.now()),
        "warnings": job_story.warnings(job, result),
        "parts": job_story.parts(resources, files, reasons),
        "jobs_looked_at": JOBS_LOOKED_AT,
        "reasons": reasons[:REASONS_SHOWN],
        "more_reasons": max(len(reasons) - REASONS_SHOWN, 0),
        "all_reasons_read": len(reasons) < REASONS_READ,
        "alerts": alerts,
        "timeline": job_story.timeline(job, timezone.now()),
        "snapshots": job.snapshots.defer("raw").order_by("-pk")[:SNAPSHOTS_SHOWN],
        "refresh_seconds": _refresh_seconds(job, result, alerts),
        **on_page_about(request, job.connection_id),
    }


def _refresh_seconds(job: BulkWriteJob, result: Result | None, alerts: list[Alert]) -> int | None:
    """How often the page is to look again; None where nothing on it can change by itself."""
    moments = []
    if job.is_live:
        moments.append(job.next_poll_at)
    if result is not None and result.state == Result.State.PENDING:
        moments.append(result.next_attempt_at)
    pending = (alert for alert in alerts if alert.state == Alert.State.PENDING)
    moments.extend(alert.next_attempt_at for alert in pending)
    if not moments:
        return None
    soon = timezone.now() + SOON
    is_soon = any(moment is not None and moment <= soon for moment in moments)
    return SECONDS_WHEN_SOON if is_soon else SECONDS_WHEN_LATER


def _indented(raw: str) -> str:
    try:
        return json.dumps(json.loads(raw), indent=2, ensure_ascii=False)
    except (ValueError, RecursionError):
        return raw
