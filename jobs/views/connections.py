"""The connections to Zoho orgs: how each is doing, and what it uses of its limits."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import Count, Min
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, render
from django.utils import timezone
from django.views.decorators.http import require_safe
from django.views.decorators.vary import vary_on_headers

from jobs import charts
from jobs.context_processors import on_page_about
from jobs.models import BulkWriteJob, Connection
from jobs.models.job import BulkWriteJobQuerySet
from jobs.services.connections.connection_states import ConnectionState, state_of
from jobs.services.limits import credits, forecast
from jobs.services.limits.credits import Credits
from jobs.views.requests import HtmxHttpRequest


@dataclass(frozen=True, slots=True)
class ConnectionRow:
    """A connection as pages show it, with the numbers of its jobs and how its credits stand."""

    connection: Connection
    state: ConnectionState
    credits: Credits
    use: dict[datetime, int]
    jobs: int
    active: int
    needing_attention: int


@require_safe
@vary_on_headers("HX-Request")
def connection_list(request: HtmxHttpRequest) -> HttpResponse:
    rows = _rows(list(Connection.objects.all()), BulkWriteJob.objects.all())
    template = "_connection_list.html" if request.htmx else "connection_list.html"
    return render(request, f"connections/{template}", {"rows": rows})


@require_safe
@vary_on_headers("HX-Request")
def connection(request: HtmxHttpRequest, pk: int) -> HttpResponse:
    found = get_object_or_404(Connection, pk=pk)
    template = "_connection_live.html" if request.htmx else "connection.html"
    context = _context(found) | on_page_about(request, found.pk, is_its_own=True)
    return render(request, f"connections/{template}", context)


def _context(connection: Connection) -> dict[str, Any]:
    [row] = _rows([connection], BulkWriteJob.objects.filter(connection=connection))
    outlook = forecast.forecast(
        connection, row.credits, row.use, watched=row.active, now=timezone.now()
    )
    return {
        "row": row,
        "connection": connection,
        "state": row.state,
        "outlook": outlook,
        "chart": charts.hours_chart([(each.hour, each.calls) for each in outlook.hours]),
        "edition": credits.edition_of(connection),
    }


def _rows(connections: list[Connection], jobs: BulkWriteJobQuerySet) -> list[ConnectionRow]:
    """These connections, whose jobs are among those; as many questions for one as for many."""
    now = timezone.now()
    totals, attention = (
        dict(found.order_by().values_list("connection").annotate(Count("pk")))
        for found in (jobs, jobs.needing_attention())
    )
    polls = jobs.active().order_by().values_list("connection")
    active = {
        pk: (number, next_due)
        for pk, number, next_due in polls.annotate(Count("pk"), Min("next_poll_at"))
    }
    uses = forecast.use_of(connections, now)
    rows = []
    for each in connections:
        use = uses.get(each.pk, {})
        watched, next_due = active.get(each.pk, (0, None))
        standing = credits.credits_from(each, now, use=use, watched=watched)
        rows.append(
            ConnectionRow(
                each,
                state_of(each, now, standing, next_due=next_due),
                standing,
                use,
                totals.get(each.pk, 0),
                watched,
                attention.get(each.pk, 0),
            )
        )
    return rows
