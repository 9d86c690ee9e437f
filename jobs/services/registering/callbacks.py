"""Zoho's calls: the secret address of a connection, and what a call to it does.

Zoho posts a job's details to the address that the job was created with when it ends. Such a call
carries no signature, so its body is believed in nothing: it says which job to ask about now, or
that there is one that nobody has registered. The state always comes from asking Zoho.
"""

import hashlib
import ipaddress
import json
import logging
import math
import re
import secrets
from collections.abc import Sequence
from datetime import datetime, timedelta
from urllib.parse import urlsplit

from django.conf import settings
from django.db import transaction
from django.db.models import Exists, F, OuterRef, Q, QuerySet
from django.urls import reverse
from django.utils import timezone
from django.utils.crypto import constant_time_compare

from jobs.models import BulkWriteJob, Connection, JobEvent, Result
from jobs.services.connections.access import CustomHostsForbiddenError, region_of
from jobs.services.registering import callback_bodies, tracking

logger = logging.getLogger(__name__)

# Details of a job with many resources and mappings are some 100 kB.
MAX_BODY_BYTES = 1024 * 1024

CALLS_PER_MINUTE = 600
WINDOW = timedelta(minutes=1)
# Newly found ids of which Zoho has said nothing yet: no more are registered. Each may cost two
# credits, so this also bounds what somebody who has learned the address can use up in a day.
MOST_UNCONFIRMED = 1_000
FORGOTTEN_AFTER = timedelta(days=1)
# Of those that nobody could ask Zoho about, as the connection was paused or needed a person.
UNASKED_FORGOTTEN_AFTER = timedelta(days=30)
FORGOTTEN_AT_ONCE = 2_000

# However often Zoho calls, a job is not asked about again sooner than this after the last time,
# and one that is not watched any more (ended without a result, or refused) not sooner than that.
SOONEST = timedelta(seconds=5)
SOONEST_UNWATCHED = timedelta(minutes=1)
# A call like the one before is not noted again so soon.
NOTED_EVERY = timedelta(minutes=10)

# As long as Zoho's ids are: what is shorter would be asked about in vain.
_NEW_ID = re.compile(r"[0-9]{12,25}")


class TooManyCallsError(Exception):
    """More calls within a minute than a connection takes; again after `retry_after` seconds."""

    def __init__(self, retry_after: int) -> None:
        super().__init__(f"Too many calls: try again in {retry_after} s.")
        self.retry_after = retry_after


# --- The address


def connection_at(token: str) -> Connection | None:
    """The connection whose secret address ends in this token."""
    digest = _digest(token)
    connection = Connection.objects.filter(hook_digest=digest).first()
    if connection is None or not constant_time_compare(connection.hook_digest or "", digest):
        return None
    return connection


def ensure_address(connection: Connection) -> None:
    """Give the connection a secret address if it has none."""
    if connection.hook_digest is None:
        _set_new_token(connection, Connection.objects.filter(hook_digest=None))


def rotate_address(connection: Connection) -> None:
    """Give the connection another secret address; the old one stops working at once."""
    _set_new_token(connection, Connection.objects.all())


def address_of(connection: Connection) -> str:
    """The secret address, to be given to Zoho as `callback.url`.

    Raises UndecryptableError where none of the keys opens it.
    """
    return settings.SITE_URL + reverse("jobs:hook", args=[connection.hook_token])


def why_unreachable(site_url: str) -> str:
    """Why Zoho could not call an address of this site, in words; empty where it can."""
    parts = urlsplit(site_url)
    host = parts.hostname or ""
    try:
        is_private = not ipaddress.ip_address(host).is_global
    except ValueError:
        is_private = host == "localhost" or host.endswith((".localhost", ".local", ".internal"))
    if is_private or not host:
        return f"{site_url} leads to this machine or its own network only"
    if parts.scheme != "https":
        return f"{site_url} is not an https address"
    return ""


def create_call(connection: Connection, address: str) -> tuple[str, str]:
    """(address, JSON body) of a call that creates a job and names this callback address.

    The address is a path alone where the connection's hosts cannot be told.
    """
    path = f"/crm/bulk/{connection.api_version}/write"
    try:
        url = region_of(connection).api_url + path
    except (CustomHostsForbiddenError, ValueError):
        url = path
    # Version 2 takes the module's name, later ones an object.
    module = "Leads" if connection.api_version == "v2" else {"api_name": "Leads"}
    body = {
        "operation": "insert",
        "callback": {"url": address, "method": "post"},
        "resource": [
            {
                "type": "data",
                "module": module,
                "file_id": "the file_id that the upload gave you",
                "field_mappings": [{"api_name": "Last_Name", "index": 0}],
            }
        ],
    }
    return url, json.dumps(body, indent=2)


def _set_new_token(connection: Connection, connections: QuerySet[Connection]) -> None:
    token = secrets.token_urlsafe(32)
    connections.filter(pk=connection.pk).update(hook_token=token, hook_digest=_digest(token))
    connection.refresh_from_db(fields=["hook_token", "hook_digest"])


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "replace")).hexdigest()


def set_registers(connection: Connection, registers: bool) -> None:
    """Whether a call about an id that nobody has registered registers it."""
    Connection.objects.filter(pk=connection.pk).update(hook_registers=registers)


# --- A call


def check_rate(connection: Connection, now: datetime) -> None:
    """Raise TooManyCallsError where this minute's calls are used up, as the row at hand says."""
    begun = connection.hook_window_at
    if begun is None or not begun <= now < begun + WINDOW:
        return
    if connection.hook_calls >= CALLS_PER_MINUTE:
        raise TooManyCallsError(_seconds_left(begun, now))


def take_call(connection: Connection, body: bytes) -> None:
    """Do what a call asks for: its job is due at once, and registered before where it is unknown.

    The same call twice has one effect. Raises TooManyCallsError, and then nothing was done.
    """
    now = timezone.now()
    _count(connection, now)
    ids = callback_bodies.job_ids(body)
    if not ids:
        logger.info("A callback for %s named no bulk write job.", connection)
        return
    # Not in one transaction with the count: who records answers locks jobs first.
    with transaction.atomic():
        known = BulkWriteJob.objects.filter(connection=connection, zoho_job_id__in=ids)
        jobs = {job.zoho_job_id: job for job in known.order_by("pk")}
        new = [job_id for job_id in ids if job_id not in jobs]
        registered = _register(connection, new)
        due = [job for job in jobs.values() if _make_due(job, now)]
        paused = [job for job in jobs.values() if job.poll_state == BulkWriteJob.PollState.PAUSED]
        _note(registered, now, "It was not registered: it is now.")
        _note(due, now, _what_follows(connection))
        _note(paused, now, "Nothing is asked: the job is paused.")


def forget_unconfirmed(now: datetime) -> int:
    """Delete jobs found by callback that Zoho does not know, a day after; return how many.

    Those that Zoho could not be asked about are kept for longer, as they may be real. In short
    runs: what is left over waits for the next.
    """
    unknown = BulkWriteJob.objects.unconfirmed().filter(
        Q(tracked_at__lt=now - FORGOTTEN_AFTER, poll_state=BulkWriteJob.PollState.BLOCKED)
        | Q(tracked_at__lt=now - UNASKED_FORGOTTEN_AFTER)
    )
    some = list(unknown.order_by("tracked_at").values_list("pk", flat=True)[:FORGOTTEN_AT_ONCE])
    _, deleted = unknown.filter(pk__in=some).delete()
    return deleted.get(BulkWriteJob._meta.label, 0)


def is_full_of_unconfirmed(connection: Connection) -> bool:
    """Whether so many newly found ids wait for Zoho's word that no more are registered."""
    return _unconfirmed(connection) >= MOST_UNCONFIRMED


def _count(connection: Connection, now: datetime) -> None:
    """Count a call within its minute, which begins with the first one. Raises TooManyCallsError."""
    this = Connection.objects.filter(pk=connection.pk)
    # A window that begins in the future was opened before the clock was set back.
    closed = (
        Q(hook_window_at=None) | Q(hook_window_at__lte=now - WINDOW) | Q(hook_window_at__gt=now)
    )
    if this.filter(closed).update(hook_window_at=now, hook_calls=1, last_callback_at=now):
        return
    if this.filter(hook_calls__lt=CALLS_PER_MINUTE).update(
        hook_calls=F("hook_calls") + 1, last_callback_at=now
    ):
        return
    begun = this.values_list("hook_window_at", flat=True).get() or now
    logger.warning(
        "Callbacks for %s come too often: refused for the rest of the minute.", connection
    )
    raise TooManyCallsError(_seconds_left(begun, now))


def _seconds_left(begun: datetime, now: datetime) -> int:
    return max(math.ceil((begun + WINDOW - now).total_seconds()), 1)


def _register(connection: Connection, job_ids: Sequence[str]) -> Sequence[BulkWriteJob]:
    """Register the ids that nobody has; none where the connection forbids or has too many."""
    # In one order, whoever calls: two calls that insert the same ids crosswise would deadlock.
    new = sorted(job_id for job_id in job_ids if _NEW_ID.fullmatch(job_id))
    if not new or not connection.hook_registers:
        return []
    if _unconfirmed(connection) + len(new) > MOST_UNCONFIRMED:
        logger.warning(
            "Callbacks for %s name too many ids that Zoho has not confirmed: no more are "
            "registered for now.",
            connection,
        )
        return []
    entries = [tracking.Entry(1, job_id, tracking.Verdict.TRACKED, job_id) for job_id in new]
    tracked = tracking.track(connection, entries, found_by=BulkWriteJob.FoundBy.CALLBACK)
    return [
        entry.job
        for entry in tracked
        if entry.job is not None and entry.verdict == tracking.Verdict.TRACKED
    ]


def _unconfirmed(connection: Connection) -> int:
    return BulkWriteJob.objects.filter(connection=connection).unconfirmed().count()


def _make_due(job: BulkWriteJob, now: datetime) -> bool:
    """Have the job asked about as soon as may be; say whether that changed anything.

    The conditions stand in the UPDATE: a worker may record the job's end meanwhile.
    """
    state = BulkWriteJob.PollState
    this = BulkWriteJob.objects.filter(pk=job.pk)
    if job.poll_state == state.ACTIVE:
        at = _not_before(job, SOONEST, now)
        # An answer that is being awaited may be older than the end: `recording` then plans anew.
        later = Q(next_poll_at=None) | Q(next_poll_at__gt=at) | Q(lease_until__gt=now)
        return bool(this.active().filter(later).update(next_poll_at=at))
    if job.poll_state == state.BLOCKED:
        waiting = this.filter(poll_state=state.BLOCKED)
    elif job.poll_state == state.DONE:
        has_result = Exists(Result.objects.filter(job=OuterRef("pk")))
        waiting = this.filter(~has_result, poll_state=state.DONE)
    else:
        return False
    at = _not_before(job, SOONEST_UNWATCHED, now)
    return bool(waiting.update(poll_state=state.ACTIVE, next_poll_at=at))


def _not_before(job: BulkWriteJob, soonest: timedelta, now: datetime) -> datetime:
    asked = job.last_polled_at
    # A time still to come was stored before the clock was set back.
    return max(now, asked + soonest) if asked is not None and asked <= now else now


def _what_follows(connection: Connection) -> str:
    if connection.paused:
        return "Nothing is asked: the connection is paused."
    return "The job is asked about next."


def _note(jobs: Sequence[BulkWriteJob], now: datetime, text: str) -> None:
    if not jobs:
        return
    kind = JobEvent.Kind.CALLBACK
    lately = JobEvent.objects.filter(job__in=jobs, kind=kind, at__gt=now - NOTED_EVERY)
    noted = set(lately.values_list("job_id", flat=True))
    JobEvent.objects.bulk_create(
        JobEvent.of(job.pk, kind, text, at=now) for job in jobs if job.pk not in noted
    )
