"""Whether the product itself works: all that keeps it from seeing, or from telling.

Banners, the overview, `/readyz` and the mails of the lookout show what is found here.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from enum import StrEnum
from typing import Self

from django.db import Error
from django.db.models import Exists, OuterRef, Subquery
from django.utils import timezone

from jobs.models import Alert, BulkWriteJob, Connection, Heartbeat
from jobs.services.health import findings, told_of_connections
from jobs.services.health.findings import Finding, WatchedConnection
from jobs.services.health.operators import is_anybody_told
from jobs.services.limits.credits import Credits, credits_of

PARTS = (
    "database",
    "broker",
    "beat",
    "worker",
    "lookout",
    "polling",
    "connections",
    "mail",
    "disk",
)

# Without these nobody tries to send an alert.
NEEDED_TO_SEND = {"broker", "beat", "worker"}
ALERTS_LOOKED_AT = 100


class AgeState(StrEnum):
    IDLE = "idle"
    UNANSWERED = "unanswered"
    FRESH = "fresh"
    STALE = "stale"


@dataclass(frozen=True, slots=True)
class DataAge:
    """How old the data is that a page shows.

    Idle: no job is being watched. Unanswered: watching has begun, no answer came yet. Stale: a
    job of some connection is overdue, or nobody has signed in for it; `answered_at` is when that
    connection was last answered.

    Where one of several is stale: `stale` is its name, that of the longest unanswered of
    `stale_connections`, and `others_answered_at` is when Zoho last answered about the others.
    """

    state: AgeState
    answered_at: datetime | None = None
    stale: str = ""
    stale_connections: int = 0
    others_answered_at: datetime | None = None

    @property
    def more_stale(self) -> int:
        return max(self.stale_connections - 1, 0)


@dataclass(frozen=True, slots=True)
class Health:
    """What is wrong, the gravest first, and when each part was last seen."""

    findings: tuple[Finding, ...]
    age: DataAge
    ages: Mapping[int, DataAge] = field(default_factory=dict)
    last_answer_at: datetime | None = None
    beat_seen_at: datetime | None = None
    worker_seen_at: datetime | None = None
    lookout_seen_at: datetime | None = None

    @property
    def is_blind(self) -> bool:
        return any(finding.is_blind for finding in self.findings)

    @property
    def parts_that_fail(self) -> set[str]:
        return {part for finding in self.findings for part in finding.parts}

    def on_page_about(self, connection_id: int, *, is_its_own: bool) -> Self:
        """As a page about one connection, or about a job of it, shows it: with its age alone.

        The connection's own page says itself what is found of it, so that is left out there.
        """
        found = self.findings
        if is_its_own:
            found = tuple(each for each in found if each.connection_id != connection_id)
        return replace(self, findings=found, age=self.ages.get(connection_id, self.age))

    @property
    def banners_digest(self) -> str:
        """Changes when the banners do."""
        return _digest(*self.findings)

    @property
    def age_digest(self) -> str:
        return _digest(self.age)


def _digest(*what: object) -> str:
    return hashlib.sha256(repr(what).encode()).hexdigest()[:12]


def check(broker_answers: bool | None = None, *, is_starting: bool = False) -> Health:
    """What is wrong now. Costs two short questions to the database, some more where much is wrong.

    `broker_answers`: what the broker said if the caller has just asked it; otherwise it is asked
    here where a part was not seen lately, without keeping the caller waiting. `is_starting`: parts
    that were not seen lately are to be said to start.
    """
    now = timezone.now()
    try:
        seen = dict(Heartbeat.objects.values_list("part", "seen_at"))
        watches = _watches(now)
        late_alerts = _late_alerts(now) if any(watch.has_late_alert for watch in watches) else []
        is_nobody_told = any(watch.is_on for watch in watches) and not is_anybody_told(
            [watch.connection for watch in watches]
        )
    except Error:
        return without_database(broker_answers)
    of_parts = list(findings.of_parts(seen, broker_answers, now, is_starting=is_starting))
    parts_that_fail = {part for finding in of_parts for part in finding.parts}
    if parts_that_fail & NEEDED_TO_SEND:
        # The mail server is not to blame for what nobody has tried to send.
        late_alerts = [alert for alert in late_alerts if alert.attempts]
    found = [
        *of_parts,
        *findings.of_polling(seen, watches, now),
        *(finding for watch in watches for finding in findings.of_connection(watch, now)),
        *findings.of_mail(late_alerts),
        *([findings.nobody_told()] if is_nobody_told else ()),
        *findings.of_disk(),
    ]
    return Health(
        findings=tuple(sorted(found, key=lambda finding: not finding.is_blind)),
        age=_age(watches, now),
        ages={watch.connection.pk: _age([watch], now) for watch in watches},
        last_answer_at=_last_answer(watches),
        beat_seen_at=seen.get(Heartbeat.BEAT),
        worker_seen_at=seen.get(Heartbeat.WORKER),
        lookout_seen_at=seen.get(Heartbeat.LOOKOUT),
    )


def without_database(broker_answers: bool | None = None) -> Health:
    """What can be said while the database does not answer."""
    found = [findings.database_down()]
    if broker_answers is False:
        found.append(findings.broker_down((), None))
    return Health(findings=(*found, *findings.of_disk()), age=DataAge(AgeState.STALE))


def _watches(now: datetime) -> list[WatchedConnection]:
    active = BulkWriteJob.objects.active().filter(
        connection=OuterRef("pk"), next_poll_at__isnull=False
    )
    next_due = Subquery(active.order_by("next_poll_at").values("next_poll_at")[:1])
    late = Alert.objects.overdue(now, findings.MAIL_LATE_AFTER).filter(connection=OuterRef("pk"))
    connections = list(Connection.objects.annotate(next_due=next_due, has_late_alert=Exists(late)))
    told = told_of_connections.find(connections, now)
    return [
        WatchedConnection(
            connection,
            connection.next_due,
            connection.has_late_alert,
            credits=_credits_waited_for(connection, now),
            is_told=connection.pk in told,
        )
        for connection in connections
    ]


def _credits_waited_for(connection: Connection, now: datetime) -> Credits | None:
    is_waiting = connection.resume_at is not None and connection.resume_at > now
    if not is_waiting or connection.waiting_for != Connection.Waiting.CREDITS:
        return None
    return credits_of(connection, now)


def _late_alerts(now: datetime) -> list[Alert]:
    return list(Alert.objects.overdue(now, findings.MAIL_LATE_AFTER)[:ALERTS_LOOKED_AT])


def _age(watches: Sequence[WatchedConnection], now: datetime) -> DataAge:
    on = [watch for watch in watches if watch.is_on]
    if not on:
        return DataAge(AgeState.IDLE)
    overdue = [watch for watch in on if watch.is_overdue(now)]
    if overdue:
        stalest = min((watch.connection for watch in overdue), key=_answered_or_never)
        others = [watch for watch in on if watch not in overdue]
        return DataAge(
            AgeState.STALE,
            stalest.last_answer_at,
            stale=stalest.name if len(on) > 1 else "",
            stale_connections=len(overdue),
            others_answered_at=_last_answer(others),
        )
    answered_at = _last_answer(on)
    return DataAge(AgeState.FRESH if answered_at else AgeState.UNANSWERED, answered_at)


def _answered_or_never(connection: Connection) -> datetime:
    return connection.last_answer_at or datetime.min.replace(tzinfo=UTC)


def _last_answer(watches: Sequence[WatchedConnection]) -> datetime | None:
    answers = (watch.connection.last_answer_at for watch in watches)
    return max((at for at in answers if at is not None), default=None)
