"""What is wrong with the monitor: each rule here, and nowhere else.

`monitoring` asks the questions that these rules judge.
"""

import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from django.conf import settings

from jobs.models import Alert, Connection, Heartbeat
from jobs.services import wording
from jobs.services.connections.connection_states import (
    LATE_AFTER,
    UNANSWERED_IS_BAD_AFTER,
    Key,
    silence_of,
    state_of,
)
from jobs.services.health import broker
from jobs.services.limits.credits import Credits
from jobs.services.observing.standing import PROMISED

# With the ten to twenty-five seconds after which an open page asks again, about a minute.
SILENT_AFTER = timedelta(seconds=45)
# A wait that Zoho asked for is worth a banner after this, and an alarm after half an hour.
WAIT_LASTS_AFTER = timedelta(minutes=5)
WAIT_BLINDS_AFTER = timedelta(minutes=30)
# It looks every 15 seconds, and a mail server may keep it for as long again.
LOOKOUT_LOST_AFTER = timedelta(seconds=60)
MAIL_LATE_AFTER = timedelta(minutes=10)
# A share of a large disk is a lot of room, and no reason to worry anybody.
DISK_SHARE, DISK_SHARE_UP_TO_BYTES = 0.02, 10 * 1024**3
DISK_LOW_BYTES = 200 * 1024**2
DISK_FULL_BYTES = 20 * 1024**2
NOTHING_FITS = "no answer of Zoho and no result file can be stored."


class Severity(StrEnum):
    """Blind: something is not seen, or nobody is told of it. Hindered: seen late, or soon not."""

    BLIND = "blind"
    HINDERED = "hindered"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong.

    `key` names it for as long as it lasts; `parts` are the entries of `/readyz` that it makes
    false. `is_told_by_alert`: an alert of the outbox tells its people about it.
    """

    key: str
    parts: tuple[str, ...]
    severity: Severity
    title: str
    text: str
    what_to_do: str
    since: datetime | None = None
    connection_id: int | None = None
    is_told_by_alert: bool = False

    @property
    def is_blind(self) -> bool:
        return self.severity == Severity.BLIND

    @property
    def tone(self) -> str:
        return "bad" if self.is_blind else "warn"


@dataclass(frozen=True, slots=True)
class WatchedConnection:
    """A connection, when the first of its next polls is or was due, whether an alert is late.

    `credits` where it waits for them. `is_told`: an alert of what keeps it from being read went
    out or will.
    """

    connection: Connection
    next_due: datetime | None
    has_late_alert: bool = False
    credits: Credits | None = None
    is_told: bool = False

    @property
    def is_on(self) -> bool:
        """Whether jobs of it wait for a poll; of a paused one nobody expects any."""
        return not self.connection.paused and self.next_due is not None

    def is_overdue(self, now: datetime) -> bool:
        """Whether a poll is late; where nobody has signed in, each is."""
        if self.next_due is None:
            return False
        return not self.connection.is_signed_in or now - self.next_due > LATE_AFTER


def of_parts(
    seen: Mapping[str, datetime],
    broker_answers: bool | None,
    now: datetime,
    *,
    is_starting: bool = False,
) -> Iterator[Finding]:
    """Beat, the worker and what both stand on; where one is the cause, it alone is named.

    `is_starting`: what was not seen lately has not had the time to be.
    """
    lost = [part for part in (Heartbeat.BEAT, Heartbeat.WORKER) if _is_lost(seen.get(part), now)]
    is_lookout_lost = _is_lost(seen.get(Heartbeat.LOOKOUT), now, LOOKOUT_LOST_AFTER)
    if lost and broker_answers is None:
        broker_answers = broker.last_known()
    since = min((seen[part] for part in lost if part in seen), default=None)
    if broker_answers is False:
        yield broker_down(tuple(lost), since)
    elif is_starting and (lost or is_lookout_lost):
        yield _starting((*lost, *([Heartbeat.LOOKOUT] if is_lookout_lost else ())))
    elif Heartbeat.BEAT in lost and broker_answers is None:
        yield _cause_unknown(tuple(lost), since)
    elif Heartbeat.BEAT in lost:
        yield _part_lost("beat", tuple(lost), "Beat, the schedule,", seen.get(Heartbeat.BEAT))
    elif lost:
        yield _part_lost("worker", tuple(lost), "The worker", since)
    if is_lookout_lost and not is_starting:
        was_seen = Heartbeat.LOOKOUT in seen
        yield Finding(
            "lookout",
            ("lookout",),
            Severity.HINDERED,
            "The lookout is not running." if was_seen else "The lookout was not seen yet.",
            "Nobody would be told by mail if Bulkwatch went blind.",
            "Start manage.py lookout (manage.py up and docker-compose.yml both run it).",
            since=seen.get(Heartbeat.LOOKOUT),
        )


def _starting(parts: tuple[str, ...]) -> Finding:
    return Finding(
        "starting",
        parts,
        Severity.HINDERED,
        "Bulkwatch is starting.",
        "Not all of its parts were seen yet.",
        "Nothing: what is still missing in a minute is named here.",
    )


def _cause_unknown(lost: tuple[str, ...], since: datetime | None) -> Finding:
    """Beat hangs where the broker is mute, which takes a second to find out: longer than a page."""
    return Finding(
        "cause-unknown",
        lost,
        Severity.BLIND,
        "Nothing is being polled.",
        "No alert is sent either: the monitor is blind. The cause is being looked for.",
        "Nothing yet: the cause is named here within seconds.",
        since=since,
    )


def _part_lost(key: str, parts: tuple[str, ...], name: str, seen_at: datetime | None) -> Finding:
    runs = f"Start {key if key == 'beat' else 'the worker'} (manage.py up and docker-compose.yml "
    return Finding(
        key,
        parts,
        Severity.BLIND,
        f"{name} is not running." if seen_at else f"{name} was not seen yet.",
        "Nothing is being polled and no alert is sent: the monitor is blind.",
        f"{runs}both run it); its log says why it ended."
        if seen_at
        else f"{runs}both run it). One that has just been started is seen within seconds.",
        since=seen_at,
    )


def _is_lost(seen_at: datetime | None, now: datetime, after: timedelta | None = None) -> bool:
    # One from the future is from before the clock was set back.
    return seen_at is None or abs(now - seen_at) > (after or Heartbeat.MAX_AGE)


def database_down() -> Finding:
    """What the other rules would say stands in the database, so this is all that is known."""
    return Finding(
        "database",
        ("database", "beat", "worker", "lookout", "polling", "connections", "mail"),
        Severity.BLIND,
        "The database does not answer.",
        "Nothing can be read or stored: the monitor is blind.",
        "Start the database, or correct DATABASE_URL. Bulkwatch then goes on by itself.",
    )


def broker_down(lost: tuple[str, ...], since: datetime | None) -> Finding:
    return Finding(
        "broker",
        ("broker", *lost),
        Severity.BLIND,
        "The broker does not answer.",
        "The worker gets no work, so nothing is being polled: the monitor is blind.",
        "Start Redis, or correct REDIS_URL (where manage.py up runs, start that anew). "
        "Bulkwatch then goes on by itself.",
        since=since,
    )


def of_polling(
    seen: Mapping[str, datetime], watches: Sequence[WatchedConnection], now: datetime
) -> Iterator[Finding]:
    if _is_lost(seen.get(Heartbeat.WORKER), now) or _is_lost(seen.get(Heartbeat.BEAT), now):
        return
    since = [
        # What waited until then is asked about from then on.
        max(watch.next_due, watch.connection.resume_at or watch.next_due)
        for watch in watches
        if watch.is_on
        and watch.next_due is not None
        # These three have findings of their own, and are tried with one job at a time.
        and watch.connection.is_signed_in
        and watch.connection.blocked_at is None
        and watch.connection.unanswered_since is None
    ]
    if not since or now - min(since) <= LATE_AFTER:
        return
    yield Finding(
        "polling",
        ("polling",),
        Severity.HINDERED,
        "Polling is late.",
        "Jobs were due more than two minutes ago and have not been asked about yet.",
        "After an outage this passes by itself. If it lasts, start more worker processes "
        "(WORKER_PROCESSES), or allow the connection more calls at a time.",
        since=min(since),
    )


def of_connection(watch: WatchedConnection, now: datetime) -> Iterator[Finding]:
    connection = watch.connection
    if connection.paused:
        return
    error = connection.last_error or {}
    if not connection.is_signed_in:
        if watch.is_on:
            yield _unsigned(watch, now)
    elif connection.blocked_at is not None:
        yield Finding(
            f"connection-{connection.pk}-blocked",
            ("connections",),
            Severity.BLIND,
            f"Connection {connection} needs you.",
            "Its jobs are not read. "
            + (
                wording.error_in_words(error.get("code"), error.get("message"))
                or "Zoho refuses the sign-in."
            ),
            error.get("resolution") or "Sign in to Zoho again.",
            since=connection.blocked_at,
            connection_id=connection.pk,
            is_told_by_alert=watch.is_told,
        )
    elif not watch.is_on:
        return
    elif connection.waiting_for in PROMISED and connection.resume_at is not None:
        # A wait with a known end is an answer of Zoho or our own choice, and no silence.
        if connection.resume_at > now:
            yield from _waiting(watch, now)
    elif _lasts(connection.unanswered_since, now, SILENT_AFTER):
        is_long = _lasts(connection.unanswered_since, now, UNANSWERED_IS_BAD_AFTER)
        silence = silence_of(connection)
        yield Finding(
            f"connection-{connection.pk}-silent",
            ("connections",),
            Severity.BLIND if is_long else Severity.HINDERED,
            f"Zoho {silence.does} for {connection}.",
            f"Its jobs are not read, and it is tried again and again by itself. {silence.said}",
            silence.what_to_do,
            since=connection.unanswered_since,
            connection_id=connection.pk,
            is_told_by_alert=watch.is_told,
        )
    elif connection.resume_at is not None and connection.resume_at > now:
        yield from _waiting(watch, now)


def _unsigned(watch: WatchedConnection, now: datetime) -> Finding:
    connection = watch.connection
    is_due = watch.next_due is not None and watch.next_due <= now
    return Finding(
        f"connection-{connection.pk}-unsigned",
        ("connections",),
        Severity.BLIND,
        f"Nobody has signed in to Zoho for {connection}.",
        "It has jobs to watch, and nothing is asked about them.",
        "Sign in to Zoho on the connection's page, or pause the connection.",
        since=watch.next_due if is_due else None,
        connection_id=connection.pk,
    )


def _waiting(watch: WatchedConnection, now: datetime) -> Iterator[Finding]:
    """What a connection waits for, in the words of its page."""
    connection = watch.connection
    last_heard = connection.last_answer_at or connection.created_at
    if connection.waiting_for == Connection.Waiting.CREDITS:
        is_worth_telling = True
    elif connection.waiting_for == Connection.Waiting.TOKENS:
        # Without one nothing at all is read: as good as a silence.
        silent_since = connection.unanswered_since or last_heard
        is_worth_telling = _lasts(silent_since, now, SILENT_AFTER)
    else:
        is_worth_telling = _lasts(last_heard, now, WAIT_LASTS_AFTER)
    if not is_worth_telling:
        return
    state = state_of(connection, now, watch.credits)
    if state.key != Key.WAITING:
        return
    yield Finding(
        f"connection-{connection.pk}-waits",
        ("connections",),
        Severity.BLIND if _lasts(last_heard, now, WAIT_BLINDS_AFTER) else Severity.HINDERED,
        f"Connection {connection} waits.",
        f"{state.text} Its jobs are not read meanwhile; it goes on by itself.",
        state.what_to_do,
        since=connection.last_answer_at,
        connection_id=connection.pk,
        is_told_by_alert=watch.is_told,
    )


def _lasts(since: datetime | None, now: datetime, after: timedelta) -> bool:
    return since is not None and now - since > after


def nobody_told() -> Finding:
    return Finding(
        "nobody",
        ("mail",),
        Severity.HINDERED,
        "Nobody would be told by mail.",
        "Jobs are watched, but no connection has recipients of alerts, and nobody is named to be "
        "told when Bulkwatch is blind.",
        "Name recipients on the connection's page, and set OPERATORS to the addresses of those "
        "who run Bulkwatch, or give an administrator a mail address.",
    )


def of_mail(late: Sequence[Alert]) -> Iterator[Finding]:
    if not late:
        return
    oldest = min(late, key=lambda alert: alert.created_at)
    waiting = "One alert waits" if len(late) == 1 else f"{len(late)} alerts wait"
    error = next((alert.error for alert in late if alert.error), "")
    yield Finding(
        "mail",
        ("mail",),
        Severity.BLIND,
        "Alerts cannot be sent.",
        f"{waiting} to be mailed. {error}".strip(),
        "Check EMAIL_URL and the mail server; the page of alerts sends a test mail. What waits is "
        "sent as soon as it can be.",
        since=oldest.created_at,
    )


def of_disk() -> Iterator[Finding]:
    try:
        disk = shutil.disk_usage(settings.DATA_DIR)
    except OSError:
        yield Finding(
            "disk",
            ("disk",),
            Severity.BLIND,
            "The folder of all data cannot be read.",
            "DATA_DIR is gone, or this user may not read it: nothing can be stored.",
            "Bring the folder back, or correct DATA_DIR.",
        )
        return
    share = min(disk.total * DISK_SHARE, DISK_SHARE_UP_TO_BYTES)
    if disk.free >= max(share, DISK_LOW_BYTES):
        return
    is_full = disk.free < DISK_FULL_BYTES
    # Rounded down in steps, so that a banner does not change with every byte.
    left = f"{disk.free // (10 * 1024**2) * 10:,} MB"
    yield Finding(
        "disk",
        ("disk",),
        Severity.BLIND if is_full else Severity.HINDERED,
        "The disk is full." if is_full else "The disk is nearly full.",
        f"Less than 20 MB are left for DATA_DIR: {NOTHING_FITS}"
        if is_full
        else f"About {left} are left for DATA_DIR. When it is full, {NOTHING_FITS}",
        "Make room, or let RESULT_RETENTION_DAYS delete old result files.",
    )
