"""Waits with a known end, so long that people are told of them."""

from datetime import timedelta

from django.db.models import Max

from jobs.models import Alert, Connection
from jobs.services.connections.connection_states import Key, state_of
from jobs.services.observing.batch import Batch
from jobs.services.observing.waiting import moment

# As long as a connection without answers is not told of either.
TOLD_FROM = timedelta(minutes=30)
# A budget that is too small ends and begins a wait each hour: nobody wants two mails of each.
# A wait for something else is told nevertheless.
TOLD_AGAIN_AFTER = timedelta(hours=24)
# How an alert's `about` begins that tells of a wait; what follows is for what, and when it began.
ABOUT = "wait for "


def tell(batch: Batch, connection: Connection) -> None:
    """Tell that nothing is asked about a connection's jobs, where that is long and not yet told."""
    until = connection.resume_at
    if until is None or until - batch.at <= TOLD_FROM:
        return
    is_being_told = any(
        alert.kind == Alert.Kind.UNREACHABLE and alert.job_id is None for alert in batch.alerts
    )
    if is_being_told or about_of_open_alert(connection) or _was_told_lately(batch, connection):
        return
    state = state_of(connection, batch.at)
    if state.key == Key.WAITING:
        batch.tell(
            Alert.Kind.UNREACHABLE,
            f"{state.text} {state.and_then} {moment(until, batch.at)}.",
            about=f"{about_reason(connection)}{batch.at.isoformat()}",
        )


def _was_told_lately(batch: Batch, connection: Connection) -> bool:
    told = Alert.objects.of_connections().filter(connection=connection)
    since = batch.at - TOLD_AGAIN_AFTER
    waits = told.filter(kind=Alert.Kind.UNREACHABLE)
    return waits.filter(about__startswith=about_reason(connection), created_at__gt=since).exists()


def about_reason(connection: Connection) -> str:
    """The beginning of `about` in alerts of the wait that this connection is in now."""
    return f"{ABOUT}{connection.waiting_for} from "


def is_about_wait(alert: Alert) -> bool:
    return alert.about.startswith(ABOUT)


def about_of_open_alert(connection: Connection) -> str:
    """The `about` of the latest alert that this connection is not read.

    "" where there is none, or a recovery was told since.
    """
    told = Alert.objects.of_connections().filter(connection=connection)
    kinds = (Alert.Kind.UNREACHABLE, Alert.Kind.RECOVERED)
    of_kinds = told.filter(kind__in=kinds).order_by().values_list("kind").annotate(Max("pk"))
    latest = dict(of_kinds)
    pk = latest.get(Alert.Kind.UNREACHABLE, 0)
    if pk <= latest.get(Alert.Kind.RECOVERED, 0):
        return ""
    return told.values_list("about", flat=True).get(pk=pk)
