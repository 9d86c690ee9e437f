"""The connections to Zoho orgs: how each is doing."""

from dataclasses import dataclass

from django.db.models import Count
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_safe

from jobs.models import BulkWriteJob, Connection
from jobs.services.connection_states import ConnectionState, state_of


@dataclass(frozen=True, slots=True)
class ConnectionRow:
    """A connection as the list shows it, with the numbers of its jobs."""

    connection: Connection
    state: ConnectionState
    jobs: int
    active: int
    needing_attention: int


@require_safe
def connection_list(request: HttpRequest) -> HttpResponse:
    now = timezone.now()
    jobs = BulkWriteJob.objects.order_by()
    totals, active, attention = (
        dict(found.values_list("connection").annotate(Count("pk")))
        for found in (jobs, jobs.active(), jobs.needing_attention())
    )
    rows = [
        ConnectionRow(
            connection,
            state_of(connection, now),
            totals.get(connection.pk, 0),
            active.get(connection.pk, 0),
            attention.get(connection.pk, 0),
        )
        for connection in Connection.objects.all()
    ]
    return render(request, "connections/connection_list.html", {"rows": rows})
