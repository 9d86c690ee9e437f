"""Registering jobs: one id or thousands, and what became of each."""

import logging
from collections.abc import Iterable, Sequence
from typing import Any

from django.db.models import Count
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_safe
from kombu.exceptions import OperationalError

from jobs import tasks
from jobs.forms.jobs import TrackForm
from jobs.models import BulkWriteJob, Connection, IdCheck
from jobs.services.health import broker
from jobs.services.limits.credits import Credits, credits_of
from jobs.services.observing import waiting
from jobs.services.registering import id_checks, job_ids, tracking
from jobs.services.registering.job_ids import Entry, Verdict
from jobs.views import key_spans
from jobs.views.requests import HtmxHttpRequest

logger = logging.getLogger(__name__)

LINES_SHOWN = 1_000
# As many jobs as are refreshed on an open report.
MOST_FOLLOWED = 200
# An address has to hold them.
MOST_SPANS = 100
SECONDS_WHILE_UNREAD = 3
SECONDS_WHILE_LIVE = 10
# The schedule asks for the same two seconds later anyway.
WAKE_EXPIRES_SECONDS = 10
MOST_CREDITS_SHOWN = 5
# Keys have no more.
MOST_DIGITS = 18


@require_http_methods(["GET", "HEAD", "POST"])
def track(request: HtmxHttpRequest) -> HttpResponse:
    """Register what was pasted, or begin to check it with Zoho first."""
    connections = list(Connection.objects.all())
    if not connections:
        return render(request, "jobs/track.html", {"connections": []})
    check = None if request.method == "POST" else _check_to_paste_anew(request)
    initial = _initial_of(check) if check else None
    form = TrackForm(request.POST if request.method == "POST" else None, initial=initial)
    if form.is_bound and form.is_valid():
        given = form.cleaned_data
        if "check" not in request.POST:
            return _registered(request, form)
        try:
            check = id_checks.start(
                given["connection"], given["ids"], for_all=form.for_all, user=request.user
            )
        except id_checks.NotCheckableError as error:
            form.add_error(None, str(error))
        else:
            wake_checkers()
            return redirect("jobs:id_check", check.pk)
    context = {"form": form, "connections": _with_credits(connections), "check": check}
    return render(request, "jobs/track.html", context)


def _check_to_paste_anew(request: HtmxHttpRequest) -> IdCheck | None:
    """The check that `?check=` names, if there is one that this person may see."""
    asked = request.GET.get("check", "")
    if not key_spans.is_key(asked):
        return None
    return IdCheck.objects.visible_to(request.user).filter(pk=int(asked)).first()


def _initial_of(check: IdCheck) -> dict[str, Any]:
    """A check's paste as far as it is not registered, with what was to hold for all its jobs."""
    for_all = check.options["for_all"]
    return {
        **for_all,
        "tags": ", ".join(for_all["tags"]),
        "ids": id_checks.not_registered(check),
        "connection": check.connection_id,
    }


def _registered(request: HtmxHttpRequest, form: TrackForm) -> HttpResponse:
    given = form.cleaned_data
    paste = given["ids"]
    entries = tracking.track(given["connection"], paste.entries, user=request.user, **form.for_all)
    left = job_ids.to_correct(entry.text for entry in entries if entry.verdict in job_ids.SLIPS)
    rest = request.POST.copy()
    rest["ids"] = "\n".join(left)
    context = {
        "form": TrackForm(initial=rest.dict()),
        "connections": _with_credits(list(Connection.objects.all())),
        **_report_of(given["connection"], entries, notes=paste.notes),
        "to_correct": len(left),
    }
    return render(request, "jobs/track.html", context)


def _report_of(
    connection: Connection, entries: list[Entry], *, notes: Sequence[str] = ()
) -> dict[str, Any]:
    """What `_track_report.html` expects: what became of each line, and the states of the jobs."""
    jobs = list({entry.job.pk: entry.job for entry in entries if entry.job}.values())
    for job in jobs:
        job.connection = connection
    return {
        "report": _report(entries) | {"notes": notes},
        "connection": connection,
        **followed(jobs[:MOST_FOLLOWED], [job.pk for job in jobs]),
    }


def wake_checkers() -> None:
    """Have a worker begin to check ids now rather than at the next tick of the schedule."""
    if broker.last_known() is False:
        return
    try:
        tasks.check_ids.apply_async(expires=WAKE_EXPIRES_SECONDS, retry=False)
    except OperationalError:
        # The schedule asks for the same as soon as there is a broker again.
        logger.warning("The broker does not answer: the check waits for the schedule.")


def _with_credits(connections: list[Connection]) -> list[tuple[Connection, Credits]]:
    """The connections with what they may spend on checks, unless there are too many to list."""
    now = timezone.now()
    shown = connections if len(connections) <= MOST_CREDITS_SHOWN else []
    return [(connection, credits_of(connection, now)) for connection in shown]


@require_safe
def states(request: HttpRequest) -> HttpResponse:
    """What has become of jobs since they were registered: the live part of a report."""
    asked = request.GET.get("jobs", "")[:4000].split(".")
    pks = [int(pk) for pk in asked if key_spans.is_key(pk)][:MOST_FOLLOWED]
    jobs = list(BulkWriteJob.objects.filter(pk__in=pks).select_related("connection"))
    spans = key_spans.read(request.GET.get("of", "")) or key_spans.of(job.pk for job in jobs)
    return render(request, "jobs/_track_states.html", _followed(jobs, spans))


def followed(shown: list[BulkWriteJob], pks: Iterable[int]) -> dict[str, Any]:
    """What `_track_states.html` expects: which jobs are worth another look, and how soon.

    `shown` are those whose states stand on the page, `pks` the keys of all that are counted.
    """
    return _followed(shown, key_spans.of(pks))


def _followed(shown: list[BulkWriteJob], spans: key_spans.Spans) -> dict[str, Any]:
    asked_for = key_spans.lookup(spans)
    unread = BulkWriteJob.objects.active().filter(asked_for, last_polled_at=None).order_by()
    numbers = dict(unread.values_list("connection_id").annotate(Count("pk")))
    now = timezone.now()
    why_not = {
        connection.pk: text
        for connection in Connection.objects.filter(pk__in=numbers)
        if (text := waiting.why_not(connection, now))
    }
    held_back = sum(numbers[pk] for pk in why_not)
    asked_about = sum(numbers.values()) - held_back
    live_pks = ".".join(str(job.pk) for job in shown if job.is_live)
    return {
        "followed": shown,
        "live_pks": live_pks,
        "of": key_spans.write(spans),
        "is_one": key_spans.number_of_keys(spans) == 1,
        "is_live": bool(live_pks or asked_about),
        "unread": asked_about,
        "held_back": held_back,
        "why_not": list(why_not.values()),
        "seconds": SECONDS_WHILE_UNREAD if asked_about else SECONDS_WHILE_LIVE,
    }


def _report(entries: list[Entry]) -> dict[str, Any]:
    counted = dict.fromkeys(Verdict, 0)
    for entry in entries:
        counted[entry.verdict] += 1
    # What is left out stands right above the box in which it may be corrected.
    order = {Verdict.TRACKED: 1, Verdict.ALREADY_TRACKED: 2, Verdict.REPEATED: 4}
    in_order = sorted(entries, key=lambda entry: order.get(entry.verdict, 3))
    watched = counted[Verdict.TRACKED] + counted[Verdict.ALREADY_TRACKED]
    others = in_order[watched:]
    return {
        "entries": in_order[:watched][:LINES_SHOWN] + others[:LINES_SHOWN],
        "watched_left_off": max(watched - LINES_SHOWN, 0),
        "others_left_off": max(len(others) - LINES_SHOWN, 0),
        "tracked": counted[Verdict.TRACKED],
        "already_tracked": counted[Verdict.ALREADY_TRACKED],
        "repeated": counted[Verdict.REPEATED],
        "bulk_reads": counted[Verdict.BULK_READ],
        "slips": sum(counted[verdict] for verdict in job_ids.SLIPS),
        "no_jobs": counted[Verdict.NO_JOB],
    }
