"""A check of ids before they are registered: what Zoho says of each, and what to do with them."""

from datetime import datetime
from typing import Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.core.paginator import Paginator
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_POST, require_safe
from django.views.decorators.vary import vary_on_headers

from jobs.models import BulkWriteJob, CheckedId, IdCheck
from jobs.services.limits.credits import credits_of
from jobs.services.registering import id_checks
from jobs.services.registering.job_ids import Entry, Verdict
from jobs.views.requests import HtmxHttpRequest
from jobs.views.track import followed, wake_checkers

ROWS_PER_PAGE = 100
KINDS = {
    "found": ("Zoho knows", CheckedId.objects.found),
    "unknown": ("Unknown to Zoho", CheckedId.objects.unknown),
    "no_answer": ("No answer", CheckedId.objects.no_answer),
    "waiting": ("Not asked yet", CheckedId.objects.waiting),
    "tracked": ("Already tracked", CheckedId.objects.tracked),
    "repeated": ("Named before", CheckedId.objects.repeated),
    "left_out": ("No job id", CheckedId.objects.left_out),
}


@require_safe
@vary_on_headers("HX-Request")
def id_check(request: HtmxHttpRequest, pk: int) -> HttpResponse:
    check = _check(request, pk)
    template = "jobs/_id_check_live.html" if request.htmx else "jobs/id_check.html"
    return render(request, template, _context(request, check))


@require_http_methods(["GET", "HEAD", "POST"])
def id_check_register(request: HtmxHttpRequest, pk: int) -> HttpResponse:
    """Register what Zoho knows; the check's page then follows the jobs."""
    check = _check(request, pk)
    if request.method == "POST":
        try:
            entries = id_checks.register(
                check, user=request.user, with_unanswered=request.POST.get("unanswered") == "yes"
            )
        except id_checks.NotCheckableError as error:
            messages.error(request, str(error))
        else:
            messages.add_message(request, *_report(check, entries))
    return redirect("jobs:id_check", check.pk)


@require_POST
def id_check_stop(request: HtmxHttpRequest, pk: int) -> HttpResponse:
    check = _check(request, pk)
    id_checks.stop(check)
    return redirect("jobs:id_check", check.pk)


@require_POST
def id_check_go_on(request: HtmxHttpRequest, pk: int) -> HttpResponse:
    """Ask about what is not answered yet."""
    check = _check(request, pk)
    try:
        id_checks.go_on(check)
    except id_checks.NotCheckableError as error:
        messages.error(request, str(error))
    else:
        wake_checkers()
    return redirect("jobs:id_check", check.pk)


def _check(request: HtmxHttpRequest, pk: int) -> IdCheck:
    check = get_object_or_404(IdCheck.objects.select_related("connection"), pk=pk)
    if not IdCheck.objects.visible_to(request.user).filter(pk=pk).exists():
        raise PermissionDenied(
            "This check of ids belongs to somebody else. Whoever began it can see it, and so can "
            "the administrators of Bulkwatch."
        )
    return check


def _context(request: HtmxHttpRequest, check: IdCheck) -> dict[str, Any]:
    tally = check.ids.tally()
    tally["unanswered"] = tally["no_answer"] + tally["waiting"]
    to_ask = tally["found"] + tally["unknown"] + tally["unanswered"]
    show = request.GET.get("show", "")
    show = show if show in KINDS else ""
    rows = KINDS[show][1]().filter(check_of=check) if show else check.ids.all()
    page = Paginator(rows.order_by("position"), ROWS_PER_PAGE).get_page(request.GET.get("page"))
    found = list(page.object_list)
    known = _jobs(check, [row.job_id for row in found if row.job_id])
    is_registered = check.state == IdCheck.State.REGISTERED
    asked = {row.job_id for row in found if row.answer != CheckedId.Answer.NOT_ASKED}
    labels = check.options["labels"]
    return {
        "check": check,
        "connection": check.connection,
        "tally": tally,
        "verdict": _verdict(check, tally, to_ask),
        "open": tally["unanswered"] + tally["unknown"],
        "to_ask": to_ask,
        "asked": to_ask - tally["waiting"],
        "is_running": check.state == IdCheck.State.RUNNING,
        "is_registered": is_registered,
        "waits_until": _waits_until(check),
        "credits": credits_of(check.connection, timezone.now()),
        "kinds": [(kind, words, tally[kind]) for kind, (words, _) in KINDS.items()],
        "show": show,
        "page": page,
        "rows": [(row, known.get(row.job_id), labels.get(row.job_id, "")) for row in found],
        **followed(
            [job for job in known.values() if is_registered and job.zoho_job_id in asked],
            _registered_keys(check) if is_registered else [],
        ),
    }


def _jobs(check: IdCheck, ids: list[str]) -> dict[str, BulkWriteJob]:
    """The jobs that are registered under these ids."""
    jobs = BulkWriteJob.objects.filter(connection=check.connection, zoho_job_id__in=ids)
    known = {job.zoho_job_id: job for job in jobs}
    for job in known.values():
        job.connection = check.connection
    return known


def _registered_keys(check: IdCheck) -> list[int]:
    """The keys of the jobs that are registered of those that Zoho was asked about."""
    asked = check.ids.exclude(answer=CheckedId.Answer.NOT_ASKED).order_by().values("job_id")
    jobs = BulkWriteJob.objects.filter(connection=check.connection, zoho_job_id__in=asked)
    return list(jobs.values_list("pk", flat=True))


def _report(check: IdCheck, entries: list[Entry]) -> tuple[int, str]:
    """What became of a check's ids, with the level of the message that says so."""
    new = sum(entry.verdict == Verdict.TRACKED for entry in entries)
    old = len(entries) - new
    tally = check.ids.tally()
    left_out = tally["all"] - len(entries) - tally["tracked"] - tally["repeated"]
    said = "No new job was registered."
    if new:
        said = f"{new:,} {'job is' if new == 1 else 'jobs are'} registered."
    if old:
        said += f" {old:,} {'was' if old == 1 else 'were'} tracked already."
    if left_out:
        were = "line was" if left_out == 1 else "lines were"
        return messages.WARNING, f"{said} {left_out:,} {were} left out. Below it says why."
    return messages.SUCCESS if new else messages.INFO, said


def _verdict(check: IdCheck, tally: dict[str, int], to_ask: int) -> dict[str, str]:
    """The check in one sentence, with the name of its colour and an icon."""
    found, asked = tally["found"], to_ask - tally["waiting"]
    if check.state == IdCheck.State.RUNNING:
        text = f"Asking Zoho: {asked:,} of {to_ask:,} ids"
        return {"tone": "running", "icon": "loader-circle", "text": text}
    if check.state == IdCheck.State.STOPPED:
        text = f"Stopped after {asked:,} of {to_ask:,} ids"
        return {"tone": "warn", "icon": "circle-pause", "text": text}
    left_out = tally["left_out"]
    is_or_are = "line is no job id" if left_out == 1 else "lines are no job ids"
    rest = f"; {left_out:,} {is_or_are}" if left_out else ""
    if not to_ask:
        tone = "warn" if left_out else "neutral"
        return {"tone": tone, "icon": "info", "text": f"There is nothing to ask Zoho{rest}"}
    if found == to_ask:
        text = "Zoho knows the id" if found == 1 else f"Zoho knows all {found:,} ids"
        tone, icon = ("warn", "triangle-alert") if left_out else ("good", "circle-check")
        return {"tone": tone, "icon": icon, "text": text + rest}
    tone = "warn" if found else "bad"
    text = f"Zoho knows {found:,} of {to_ask:,} ids" if found else "Zoho knows none of the ids"
    return {"tone": tone, "icon": "triangle-alert", "text": text + rest}


def _waits_until(check: IdCheck) -> datetime | None:
    """When asking goes on, where it waits for long enough to be worth a word."""
    if check.state != IdCheck.State.RUNNING or check.error is None:
        return None
    return check.next_attempt_at
