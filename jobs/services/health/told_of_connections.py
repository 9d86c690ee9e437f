"""Which connections' troubles are told by an alert of the outbox."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from django.db.models import Max

from jobs.models import Alert, Connection
from jobs.services.observing.schedule import OUTAGE_MAX_SECONDS
from jobs.services.observing.standing import UNANSWERED_TOLD_AFTER

# The alert is written by the first try after the half hour.
UNANSWERED_TOLD_BY = UNANSWERED_TOLD_AFTER + timedelta(seconds=OUTAGE_MAX_SECONDS + 60)


def find(connections: Sequence[Connection], now: datetime) -> set[int]:
    """The keys of those whose present trouble an alert has told to somebody, or will tell.

    Asks nothing where there is no trouble.
    """
    troubled = {each.pk: each for each in connections if _began(each, now) is not None}
    if not troubled:
        return set()
    latest = (
        Alert.objects.filter(connection__in=troubled, job=None)
        .exclude(kind=Alert.Kind.RECOVERED)
        .exclude(state__in=(Alert.State.FAILED, Alert.State.NO_RECIPIENT))
        .values_list("connection", "kind", "state")
        .annotate(Max("created_at"))
        .order_by()
    )
    told = set()
    for pk, kind, state, created_at in latest:
        each = troubled[pk]
        began = _began(each, now)
        goes_out = state == Alert.State.SENT or bool(each.recipients)
        if kind == _kind(each) and goes_out and began is not None and created_at >= began:
            told.add(pk)
    return told | {pk for pk, each in troubled.items() if _is_to_come(each, now)}


def _kind(connection: Connection) -> Alert.Kind:
    is_blocked = connection.blocked_at is not None
    return Alert.Kind.CONNECTION_BLOCKED if is_blocked else Alert.Kind.UNREACHABLE


def _began(connection: Connection, now: datetime) -> datetime | None:
    """Since when the connection has not been read; None where all may be well."""
    if connection.blocked_at is not None or connection.unanswered_since is not None:
        return connection.blocked_at or connection.unanswered_since
    if connection.resume_at is None or connection.resume_at <= now:
        return None
    return connection.last_answer_at or connection.created_at


def _is_to_come(connection: Connection, now: datetime) -> bool:
    """Whether an outage is still too short for its alert, which somebody will get."""
    since = connection.unanswered_since
    if connection.blocked_at is not None or since is None or not connection.recipients:
        return False
    return now - since <= UNANSWERED_TOLD_BY
