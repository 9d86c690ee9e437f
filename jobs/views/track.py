"""Registering jobs: one id or hundreds, and what became of each."""

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_http_methods, require_safe

from jobs.forms.jobs import TrackForm
from jobs.models import BulkWriteJob, Connection
from jobs.services import tracking
from jobs.services.tracking import Entry, Verdict
from jobs.views.requests import HtmxHttpRequest

LINES_SHOWN = 1_000
# As many jobs as are refreshed on an open report.
MOST_FOLLOWED = 200
SECONDS_WHILE_UNREAD = 3
SECONDS_WHILE_LIVE = 10


@require_http_methods(["GET", "HEAD", "POST"])
def track(request: HtmxHttpRequest) -> HttpResponse:
    if not Connection.objects.exists():
        return render(request, "jobs/track.html", {"has_connections": False})
    if request.method != "POST":
        return render(request, "jobs/track.html", {"has_connections": True, "form": TrackForm()})
    form = TrackForm(request.POST)
    if not form.is_valid():
        return render(request, "jobs/track.html", {"has_connections": True, "form": form})
    given = form.cleaned_data
    entries = tracking.track(
        given["connection"],
        given["ids"],
        label=given["label"],
        tags=given["tags"],
        alert_recipients=given["alert_recipients"],
        skip_threshold_percent=given["skip_threshold_percent"],
        user=request.user,
    )
    # What was no id stays in the box, to be corrected.
    left = [entry.text for entry in entries if entry.verdict == Verdict.NOT_AN_ID]
    rest = request.POST.copy()
    rest["ids"] = "\n".join(dict.fromkeys(left))
    jobs = list({entry.job.pk: entry.job for entry in entries if entry.job}.values())
    for job in jobs:
        job.connection = given["connection"]
    context = {
        "has_connections": True,
        "form": TrackForm(initial=rest.dict()),
        "report": _report(entries),
        "connection": given["connection"],
        **_followed(jobs[:MOST_FOLLOWED]),
    }
    return render(request, "jobs/track.html", context)


@require_safe
def states(request: HttpRequest) -> HttpResponse:
    """What has become of jobs since they were registered: the live part of a report."""
    asked = request.GET.get("jobs", "")[:4000].split(".")
    pks = [int(pk) for pk in asked if pk.isdecimal() and len(pk) < 19][:MOST_FOLLOWED]
    jobs = BulkWriteJob.objects.filter(pk__in=pks).select_related("connection")
    return render(request, "jobs/_track_states.html", _followed(list(jobs)))


def _followed(jobs: list[BulkWriteJob]) -> dict[str, Any]:
    """The jobs with their states, and which of them are worth another look, and how soon."""
    live = [job for job in jobs if job.can_change]
    unread = [job for job in live if job.last_polled_at is None]
    seconds = SECONDS_WHILE_UNREAD if unread else SECONDS_WHILE_LIVE
    return {
        "followed": jobs,
        "live_pks": ".".join(str(job.pk) for job in live),
        "unread": len(unread),
        "refused": sum(job.poll_error is not None for job in jobs),
        "seconds": seconds,
    }


def _report(entries: list[Entry]) -> dict[str, Any]:
    counted = dict.fromkeys(Verdict, 0)
    for entry in entries:
        counted[entry.verdict] += 1
    # What needs a person stands above what went well.
    order = {Verdict.NOT_AN_ID: 0, Verdict.TRACKED: 1, Verdict.ALREADY_TRACKED: 2}
    return {
        "entries": sorted(entries, key=lambda entry: order.get(entry.verdict, 3))[:LINES_SHOWN],
        "left_off": max(len(entries) - LINES_SHOWN, 0),
        "tracked": counted[Verdict.TRACKED],
        "already_tracked": counted[Verdict.ALREADY_TRACKED],
        "repeated": counted[Verdict.REPEATED],
        "not_ids": counted[Verdict.NOT_AN_ID],
    }
