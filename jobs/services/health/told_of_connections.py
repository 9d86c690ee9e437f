"""Which connections' troubles are told by an alert of the outbox."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from django.db.models import Max

from jobs.models import Alert, Connection
from jobs.services.observing import long_waits
from jobs.services.observing.schedule import OUTAGE_MAX_SECONDS
from jobs.services.observing.standing import PROMISED, UNANSWERED_TOLD_AFTER

# The alert is written by the first try after the half hour.
UNANSWERED_TOLD_BY = UNANSWERED_TOLD_AFTER + timedelta(seconds=OUTAGE_MAX_SECONDS + 60)


def find(connections: Sequence[Connection], now: datetime) -> set[int]:
    """The keys of those whose present trouble an alert has told to somebody, or will tell.

    A block is told by the alert written with it. A silence or a wait is told by the latest alert
    without a recovery after it, as in `long_waits.about_of_open_alert`; a wait that keeps coming
    back, by one of its kind within 24 hours. Asks nothing where there is no trouble.
    """
    troubled = {each.pk: each for each in connections if _is_troubled(each, now)}
    if not troubled:
        return set()
    latest = (
        Alert.objects.of_connections()
        .filter(connection__in=troubled)
        .values_list("connection", "kind", "state")
        .annotate(Max("pk"), Max("created_at"))
        .order_by()
    )
    recovered = {pk: newest for pk, kind, _, newest, _ in latest if kind == Alert.Kind.RECOVERED}
    told = set()
    for pk, kind, state, newest, created_at in latest:
        each = troubled[pk]
        if each.blocked_at is not None:
            is_of_this = kind == Alert.Kind.CONNECTION_BLOCKED and created_at >= each.blocked_at
        else:
            is_of_this = kind == Alert.Kind.UNREACHABLE and newest > recovered.get(pk, 0)
        if is_of_this and _goes_out(each, state):
            told.add(pk)
    told |= _told_of_waits([each for pk, each in troubled.items() if pk not in told], now)
    return told | {pk for pk, each in troubled.items() if _is_to_come(each, now)}


def _told_of_waits(connections: Sequence[Connection], now: datetime) -> set[int]:
    waiting = {
        each.pk: each
        for each in connections
        if each.waiting_for in PROMISED
        and each.blocked_at is None
        and each.unanswered_since is None
    }
    if not waiting:
        return set()
    since = now - long_waits.TOLD_AGAIN_AFTER
    lately = Alert.objects.of_connections().filter(connection__in=waiting, created_at__gt=since)
    of_waits = lately.filter(kind=Alert.Kind.UNREACHABLE, about__startswith=long_waits.ABOUT)
    return {
        pk
        for pk, about, state in of_waits.values_list("connection", "about", "state")
        if about.startswith(long_waits.about_reason(waiting[pk])) and _goes_out(waiting[pk], state)
    }


def _goes_out(connection: Connection, state: str) -> bool:
    if state in (Alert.State.FAILED, Alert.State.NO_RECIPIENT):
        return False
    return state == Alert.State.SENT or bool(connection.recipients)


def _is_troubled(connection: Connection, now: datetime) -> bool:
    if connection.blocked_at is not None or connection.unanswered_since is not None:
        return True
    return connection.resume_at is not None and connection.resume_at > now


def _is_to_come(connection: Connection, now: datetime) -> bool:
    """Whether an outage is still too short for its alert, which somebody will get."""
    since = connection.unanswered_since
    if connection.blocked_at is not None or since is None or not connection.recipients:
        return False
    return now - since <= UNANSWERED_TOLD_BY
