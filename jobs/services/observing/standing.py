"""How a connection stands with Zoho: what the answers of a batch say of it as a whole.

It is asked again at `resume_at`; `waiting_for` says why not before. Until Zoho has answered about
one of its jobs again, one job is tried at a time.
"""

import logging
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import transaction
from django.utils import timezone

from jobs.models import Alert, BulkWriteJob, Connection
from jobs.models.leases import is_free
from jobs.services import wording
from jobs.services.errors import error_as_json
from jobs.services.limits import credits
from jobs.services.observing import long_waits, schedule
from jobs.services.observing.batch import Batch
from jobs.zoho.errors import (
    TokensThrottledError,
    ZohoError,
    ZohoRejectedError,
    ZohoSignInError,
    ZohoThrottledError,
)

logger = logging.getLogger(__name__)

# A connection that needs a person is tried by itself so often: it may be repaired at Zoho's end.
TRY_AGAIN = timedelta(hours=1)
UNANSWERED_TOLD_AFTER = timedelta(minutes=30)
# One that answered so lately is not refused as a whole because one job is.
ANSWERS_FOR = timedelta(hours=1)
# Longer than an unanswered connection is left alone by itself, once it may be asked again.
UNASKED_AFTER = timedelta(minutes=30)
# Waits whose end Zoho or the budget has set: neither an answer that was under way nor a person
# shortens them.
PROMISED = (Connection.Waiting.THROTTLED, Connection.Waiting.TOKENS, Connection.Waiting.CREDITS)
FIELDS = [
    "blocked_at",
    "last_error",
    "resume_at",
    "waiting_for",
    "failures",
    "unanswered_since",
    "last_polled_at",
    "last_answer_at",
]


@dataclass(slots=True)
class ConnectionNews:
    """What the answers recorded together say of the connection, nothing where they say nothing.

    `answered_at`: when the latest question was asked that Zoho answered; `refusal` needs a person;
    `outage` is why there was no answer about any job of the batch; `is_silent`: there was none,
    but that may be the one job's own; `suspect` is the key of a job that alone was refused, where
    nobody knows yet whether the connection is. `is_poll` is off where no job was asked about.
    """

    asked_at: datetime | None = None
    answered_at: datetime | None = None
    refusal: ZohoError | None = None
    throttling: ZohoThrottledError | None = None
    outage: ZohoError | None = None
    is_silent: bool = False
    suspect: int | None = None
    is_poll: bool = True


def needs_person(error: ZohoError) -> bool:
    """Whether every job of the connection is refused until somebody acts."""
    is_refusal = isinstance(error, ZohoSignInError | ZohoRejectedError)
    return is_refusal and error.scope == "connection"


def answers_lately(connection: Connection, now: datetime) -> bool:
    """Whether Zoho has answered about one of its jobs within the last hour."""
    answered_at = connection.last_answer_at
    return answered_at is not None and now - answered_at < ANSWERS_FOR


def note(batch: Batch, news: ConnectionNews, *, answered: bool) -> None:
    """Store what the answers say of the connection. To be called in a transaction.

    `answered`: Zoho has answered about some job of the batch, now or before.
    """
    if news.asked_at is None:
        return
    # Last of the rows that a batch locks: its jobs come first.
    connection = Connection.objects.select_for_update(no_key=True).get(pk=batch.connection.pk)
    _forget_unasked_time(batch, connection, news.asked_at)
    if news.answered_at is not None:
        _take_answer(batch, connection, news.answered_at)
    if news.is_poll:
        connection.last_polled_at = _later(connection.last_polled_at, news.asked_at, batch.at)
    is_silent = news.is_silent or news.outage or news.throttling
    if is_silent and not answered and connection.unanswered_since is None:
        connection.unanswered_since = news.asked_at
    if news.refusal is not None:
        _block(batch, connection, news.refusal)
    elif news.throttling is not None:
        _slow_down(batch, connection, news.throttling, answered=answered)
    elif news.outage is not None:
        _note_outage(batch, connection, news.outage)
    elif news.suspect is not None and not answered:
        _try_another(batch, connection, news.suspect)
    connection.save(update_fields=FIELDS)


def note_download(connection: Connection, news: ConnectionNews) -> None:
    """Store and tell what the answer to a download says of its connection as a whole."""
    news.is_poll = False
    with transaction.atomic():
        batch = Batch(connection, timezone.now())
        note(batch, news, answered=news.answered_at is not None)
        batch.write_alerts()


def pause_for(connection: Connection, error: ZohoThrottledError, now: datetime) -> datetime:
    """Ask nothing of a connection that Zoho throttles, for as long as it wants; until when."""
    until = now + timedelta(seconds=schedule.seconds_of_pause(0, error.retry_after))
    hold_back(connection, until, _waits_for(error))
    return until


def hold_back(connection: Connection, until: datetime, waiting_for: Connection.Waiting) -> None:
    """Ask nothing about a connection's jobs before `until`, as far as `_hold` lets that stand.

    A long wait is told.
    """
    with transaction.atomic():
        stored = Connection.objects.select_for_update(no_key=True).get(pk=connection.pk)
        batch = Batch(stored, timezone.now())
        if not _hold(batch, stored, until, waiting_for):
            return
        stored.save(update_fields=["resume_at", "waiting_for"])
        long_waits.tell(batch, stored)
        batch.write_alerts()


def hold_back_for_credits(connection: Connection, now: datetime) -> datetime:
    """Ask nothing of a connection without credits until some are free again; until when."""
    until = credits.free_again_at(connection, credits.credits_of(connection, now), now)
    hold_back(connection, until, Connection.Waiting.CREDITS)
    return until


def _hold(
    batch: Batch, connection: Connection, until: datetime, waiting_for: Connection.Waiting
) -> bool:
    """Have a connection wait until then, unless what it waits for already goes before that.

    The longer wait wins; but one set by Zoho or the budget wins over one that is only reckoned
    here, which a person may end early. Returns whether the new wait holds.
    """
    if connection.resume_at is not None and connection.resume_at > batch.at:
        was_promised, is_promised = connection.waiting_for in PROMISED, waiting_for in PROMISED
        is_longer = connection.resume_at < until
        if not (is_longer if was_promised == is_promised else is_promised):
            return False
    connection.resume_at, connection.waiting_for = until, waiting_for
    return True


def _waits_for(error: ZohoThrottledError) -> Connection.Waiting:
    if isinstance(error, TokensThrottledError):
        return Connection.Waiting.TOKENS
    return Connection.Waiting.THROTTLED


def _take_answer(batch: Batch, connection: Connection, answered_at: datetime) -> None:
    before, failed_at = connection.last_answer_at, connection.last_polled_at
    connection.last_answer_at = _later(before, answered_at, batch.at)
    blocked_at = connection.blocked_at
    # There is hardly ever something to recover from: looked up once a minute, not for each portion.
    is_first = before is None or _minute(before) != _minute(answered_at)
    looks = is_first or connection.failures > 0
    is_waiting = connection.resume_at is not None and connection.resume_at > answered_at
    is_held = is_waiting and connection.waiting_for in PROMISED
    if blocked_at is not None and answered_at <= blocked_at <= batch.at:
        return
    if connection.failures and failed_at is not None and answered_at < failed_at <= batch.at:
        # It was under way when the trouble began, so it doesn't end it.
        return
    if blocked_at is not None:
        batch.tell(
            Alert.Kind.RECOVERED,
            "Zoho answers about its jobs again.",
            about=blocked_at.isoformat(),
        )
    elif not is_held and looks and (about := long_waits.about_of_open_alert(connection)):
        batch.tell(
            Alert.Kind.RECOVERED,
            "Zoho answers about its jobs again.",
            about=f"unanswered {about}",
        )
    connection.blocked_at = connection.last_error = connection.unanswered_since = None
    connection.failures = 0
    if not is_held:
        connection.waiting_for = ""
        # Kept as the time since when it may be asked: no poll is late for what was before.
        if connection.resume_at is not None:
            connection.resume_at = min(connection.resume_at, batch.at)


def _later(stored: datetime | None, at: datetime, now: datetime) -> datetime:
    """The later of two times; one still to come was stored before the clock was set back."""
    return at if stored is None or stored > now else max(stored, at)


def _minute(moment: datetime) -> datetime:
    return moment.replace(second=0, microsecond=0)


def _forget_unasked_time(batch: Batch, connection: Connection, asked_at: datetime) -> None:
    """Count time without answers anew where nobody has asked: nothing ran here, or it was paused.

    What was told goes on, so that its end is told too; a time still to come was stored before the
    clock was set back.
    """
    since, asked_before = connection.unanswered_since, connection.last_polled_at
    if since is None:
        return
    if since > batch.at:
        connection.unanswered_since = asked_at
    elif asked_before is not None and not _was_told(connection, since):
        could_ask_at = max(asked_before, connection.resume_at or asked_before)
        if asked_at - could_ask_at > UNASKED_AFTER:
            connection.unanswered_since = None


def _was_told(connection: Connection, since: datetime) -> bool:
    told = Alert.objects.of_connections().filter(connection=connection)
    return told.filter(kind=Alert.Kind.UNREACHABLE, about=since.isoformat()).exists()


def _block(batch: Batch, connection: Connection, error: ZohoError) -> None:
    connection.last_error = error_as_json(error)
    _hold(batch, connection, batch.at + TRY_AGAIN, Connection.Waiting.REPAIR)
    if connection.blocked_at is not None:
        return
    connection.blocked_at = batch.at
    logger.warning("Connection %s needs a person: %s", connection, error)
    batch.tell(Alert.Kind.CONNECTION_BLOCKED, str(error), about=batch.at.isoformat())


def _try_another(batch: Batch, connection: Connection, suspect: int) -> None:
    """Have one other job asked about at once, and no more until it is answered about."""
    connection.failures = max(connection.failures, 1)
    others = BulkWriteJob.objects.filter(connection=connection).active().exclude(pk=suspect)
    free = is_free(batch.at, BulkWriteJob.LONGEST_LEASE)
    others = others.filter(free, poll_error__isnull=True)
    if others.filter(next_poll_at__lte=batch.at).exists():
        return
    # Whoever has locked one is about to learn what Zoho says of it: waiting could deadlock.
    another = others.select_for_update(skip_locked=True).order_by("next_poll_at", "pk").first()
    if another is not None:
        others.filter(pk=another.pk).update(next_poll_at=batch.at)


def _slow_down(
    batch: Batch, connection: Connection, error: ZohoThrottledError, *, answered: bool
) -> None:
    seconds = schedule.seconds_of_pause(connection.failures, error.retry_after)
    _hold(batch, connection, batch.at + timedelta(seconds=seconds), _waits_for(error))
    if not answered:
        _count_failure(batch, connection, error)
    long_waits.tell(batch, connection)


def _note_outage(batch: Batch, connection: Connection, error: ZohoError) -> None:
    if connection.blocked_at is not None:
        _hold(batch, connection, batch.at + TRY_AGAIN, Connection.Waiting.REPAIR)
        return
    _count_failure(batch, connection, error)
    seconds = schedule.seconds_of_outage(connection.failures)
    _hold(batch, connection, batch.at + timedelta(seconds=seconds), Connection.Waiting.UNAVAILABLE)


def _count_failure(batch: Batch, connection: Connection, error: ZohoError) -> None:
    # The column holds no more; by then the wait is as long as it gets anyway.
    connection.failures = min(connection.failures + 1, 32_767)
    since = connection.unanswered_since
    if connection.blocked_at is not None or since is None:
        return
    connection.last_error = error_as_json(error)
    lasted = batch.at - since
    if lasted < UNANSWERED_TOLD_AFTER:
        return
    told = long_waits.about_of_open_alert(connection)
    # What was told of a wait promised that it would go on by then, and did not tell of an outage.
    is_news = told.startswith(long_waits.ABOUT) and not isinstance(error, ZohoThrottledError)
    if not told or is_news:
        minutes = wording.minutes(int(lasted.total_seconds() // 60))
        batch.tell(
            Alert.Kind.UNREACHABLE,
            f"No answer about any of its jobs for {minutes}. {error}",
            about=since.isoformat(),
        )
