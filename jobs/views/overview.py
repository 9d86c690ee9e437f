"""The first page: what needs a person, what is running, and how the monitor itself is doing."""

from datetime import timedelta
from typing import Any

from django.http import HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_safe
from django.views.decorators.vary import vary_on_headers

from jobs import charts
from jobs.models import Alert, BulkWriteJob, Connection, Outcome, Resource, Result
from jobs.views.requests import HtmxHttpRequest

ROWS_SHOWN = 10
FINISHED_SHOWN = 8
CHART_DAYS = 14
MODULE_DAYS = 30
MODULES_SHOWN = 8


@require_safe
@vary_on_headers("HX-Request")
def overview(request: HtmxHttpRequest) -> HttpResponse:
    context = _live_part()
    if request.htmx:
        return render(request, "jobs/_overview_live.html", context)
    if not context["jobs_total"]:
        return render(request, "jobs/welcome.html", _first_steps())
    return render(request, "jobs/overview.html", context | _figures())


def _live_part() -> dict[str, Any]:
    """What changes while jobs run. It is asked for every few seconds: only cheap questions."""
    jobs = BulkWriteJob.objects.lean()
    outcome_counts = BulkWriteJob.objects.outcome_counts()
    attention = list(jobs.needing_attention().order_by("-pk")[: ROWS_SHOWN + 1])
    running = list(jobs.filter(outcome=Outcome.RUNNING).order_by("-pk")[:ROWS_SHOWN])
    alerts_waiting = Alert.objects.pending().count()
    unread = BulkWriteJob.objects.active().filter(outcome=Outcome.UNKNOWN).count()
    return {
        "outcome_counts": outcome_counts,
        "jobs_total": sum(outcome_counts.values()),
        "attention": attention[:ROWS_SHOWN],
        "attention_total": len(attention)
        if len(attention) <= ROWS_SHOWN
        else BulkWriteJob.objects.needing_attention().count(),
        "running": running,
        "running_total": outcome_counts[Outcome.RUNNING],
        "unread_total": unread,
        "finished": jobs.ended()[:FINISHED_SHOWN],
        "due_total": BulkWriteJob.objects.due(timezone.now()).count(),
        "alerts_waiting": alerts_waiting,
        "is_live": BulkWriteJob.objects.live().exists()
        or Result.objects.pending().exists()
        or bool(alerts_waiting),
    }


def _figures() -> dict[str, Any]:
    today = timezone.localdate()
    first_day = today - timedelta(days=CHART_DAYS - 1)
    midnight = timezone.localtime().replace(hour=0, minute=0, second=0, microsecond=0)
    known = {
        row["day"]: charts.Day(**row)
        for row in BulkWriteJob.objects.rows_per_day(midnight - timedelta(days=CHART_DAYS - 1))
    }
    days = [first_day + timedelta(days=number) for number in range(CHART_DAYS)]
    modules = Resource.objects.skips_by_module(timezone.now() - timedelta(days=MODULE_DAYS))
    return {
        "chart": charts.days_chart([known.get(day, charts.Day(day)) for day in days]),
        "modules": [row | {"ratio": row["skipped"] / row["total"]} for row in modules][
            :MODULES_SHOWN
        ],
        "module_days": MODULE_DAYS,
    }


def _first_steps() -> dict[str, Any]:
    connections = list(Connection.objects.all())
    working = [each for each in connections if each.is_signed_in and not each.is_blocked]
    unsigned = [each for each in connections if not each.is_signed_in]
    return {
        "connections": connections,
        "is_connected": bool(working),
        "unsigned": unsigned[0] if unsigned and not working else None,
        "recipients": sorted({name for item in connections for name in item.recipients}),
    }
