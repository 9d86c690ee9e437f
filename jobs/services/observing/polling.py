"""Which jobs are due, who polls them, and how a job is made due."""

import time
from collections.abc import Sequence
from datetime import datetime, timedelta

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import Exists, F, OuterRef
from django.utils import timezone

from jobs.models import BulkWriteJob, Connection, JobEvent, Result
from jobs.services.limits import credits
from jobs.services.limits.slots import NoSlotError
from jobs.services.observing import asking, leases, waiting
from jobs.services.observing.asking import Polled
from jobs.services.observing.leases import Claim

MAX_BATCH = 500
# A batch asks for no further job after this: long enough for most, short enough that a connection
# with thousands of due jobs does not keep the worker's processes from one with five.
BATCH_SECONDS = 15.0
# Somebody waits for these; and there is nobody to keep from their turn.
BATCH_SECONDS_OF_PERSON = 120.0
SLOT_PATIENCE_SECONDS = 10.0
# Clocks of several machines may differ by less.
CLOCK_TOLERANCE = timedelta(seconds=60)


def claim_due(now: datetime | None = None) -> list[Claim]:
    """Claim the jobs that are due, in batches, for all connections that may be polled.

    The connection that was asked least recently comes first. None gets more batches at a time than
    its concurrency allows, nor more jobs than it has credits for; of one that Zoho did not answer
    last time, one job is tried. What is left over stays due. Any number of dispatchers may do this
    at the same time.
    """
    now = now or timezone.now()
    _undo_clock_change(now)
    claims = []
    in_turn = F("last_polled_at").asc(nulls_first=True)
    due = BulkWriteJob.objects.due(now).order_by().filter(connection=OuterRef("pk"))
    # Most of many connections have nothing due at a tick, and cost it nothing this way.
    pollable = Connection.objects.pollable(now).filter(Exists(due))
    for connection in pollable.order_by(in_turn, "pk"):
        free = _lanes(connection) - leases.batches_under_way(connection, now)
        for _ in range(free):
            claim = _claim_some(connection, now)
            if claim is None:
                break
            if leases.batches_under_way(connection, now) > _lanes(connection):
                # Another dispatcher counted at the same moment: whoever sees too many steps back.
                leases.release(connection, claim.lease_token)
                break
            claims.append(claim)
    return claims


def poll_claim(connection_id: int, lease_token: str) -> Polled | None:
    """Ask Zoho about the jobs of a claim and record what it answers.

    None where the lease is gone, since somebody else has the jobs then, and where all calls that
    the connection allows at a time are under way.
    """
    connection = Connection.objects.get(pk=connection_id)
    try:
        return _poll(connection, lease_token, seconds=BATCH_SECONDS)
    except NoSlotError:
        return None
    finally:
        leases.release(connection, lease_token)


def poll_now(jobs: Sequence[BulkWriteJob]) -> list[Polled]:
    """Poll these jobs of any connections at once, in this process, whether they are due or not.

    What a worker has is left to it. Nothing is asked of a connection that is paused, that Zoho
    throttles or that has no credits left, and no more of one that does not answer or needs a
    person; `Polled.why_not` says so.
    """
    polled = []
    by_connection: dict[int, list[int]] = {}
    for job in jobs:
        by_connection.setdefault(job.connection_id, []).append(job.pk)
    for connection_id, pks in by_connection.items():
        while pks:
            connection = Connection.objects.get(pk=connection_id)
            limit = MAX_BATCH if connection.is_proven else 1
            chosen, pks = pks[:limit], pks[limit:]
            claim = leases.claim(connection, chosen, timezone.now(), only_due=False)
            if claim is None:
                continue
            polled.append(_poll_for_person(connection, claim.lease_token))
            connection = Connection.objects.get(pk=connection_id)
            polled[-1].why_not = polled[-1].why_not or waiting.why_not(connection, timezone.now())
            if polled[-1].why_not:
                break
    return polled


def effective_poll_state(job: BulkWriteJob) -> tuple[str, dict[str, object] | None]:
    """The poll state and error that hold for a job, its connection's included.

    An active job of a connection that needs a person is as blocked as one that Zoho refuses; that
    of one without answers shares its error.
    """
    connection = job.connection
    if job.poll_state != BulkWriteJob.PollState.ACTIVE:
        return job.poll_state, job.poll_error
    if connection.blocked_at:
        return BulkWriteJob.PollState.BLOCKED, connection.last_error or job.poll_error
    if connection.paused:
        return BulkWriteJob.PollState.PAUSED, job.poll_error
    return job.poll_state, connection.last_error or job.poll_error


def awaits_result(job: BulkWriteJob, result: Result | None) -> bool:
    """Whether an ended job is still polled, as Zoho has not offered its result file yet."""
    return result is None and job.has_ended and job.is_live


@transaction.atomic
def make_due(jobs: Sequence[BulkWriteJob], *, actor: User | None = None) -> None:
    """Have these jobs polled at the next tick, ended and blocked ones included.

    A result that could not be fetched is tried again too.
    """
    now = timezone.now()
    # In the order in which `recording` locks them: in any other they could deadlock.
    chosen = BulkWriteJob.objects.filter(pk__in=[job.pk for job in jobs])
    pks = list(chosen.select_for_update().order_by("pk").values_list("pk", flat=True))
    BulkWriteJob.objects.filter(pk__in=pks).exclude(
        poll_state=BulkWriteJob.PollState.PAUSED
    ).update(poll_state=BulkWriteJob.PollState.ACTIVE, next_poll_at=now)
    Result.objects.filter(
        job__in=pks, state__in=[Result.State.FAILED, Result.State.REFUSED, Result.State.PENDING]
    ).update(
        state=Result.State.PENDING,
        next_attempt_at=now,
        attempts=0,
        unreadable_attempts=0,
        error=None,
        warnings=[],
    )
    JobEvent.objects.bulk_create(
        JobEvent.of(pk, JobEvent.Kind.REFRESHED, at=now, actor=actor) for pk in pks
    )


def _claim_some(connection: Connection, now: datetime) -> Claim | None:
    due = BulkWriteJob.objects.filter(connection=connection).due(now)
    if not connection.is_proven:
        # The one that was not tried lately: what fails by its own fault must not stand in the way.
        due = due.order_by(F("last_polled_at").asc(nulls_first=True), "next_poll_at")
        chosen = list(due.values_list("pk", flat=True)[:1])
        return leases.claim(connection, chosen, now, is_full=True)
    chosen = list(due.values_list("pk", flat=True)[:MAX_BATCH])
    is_full = len(chosen) == MAX_BATCH
    if chosen:
        # Without credits one job is claimed: its batch finds out until when, and waits.
        chosen = chosen[: max(credits.credits_of(connection, now).left, 1)]
    return leases.claim(connection, chosen, now, is_full=is_full)


def _poll(
    connection: Connection, lease_token: str, *, seconds: float, by_person: bool = False
) -> Polled | None:
    claimed = leases.extend(connection, lease_token).order_by("next_poll_at")
    known = claimed.values_list("zoho_job_id", "poll_error")
    # What failed last time comes last: it may keep all calls busy until they time out.
    job_ids = [job_id for job_id, _ in sorted(known, key=lambda one: one[1] is not None)]
    if not job_ids:
        return None
    return asking.ask(connection, lease_token, job_ids, seconds=seconds, by_person=by_person)


def _poll_for_person(connection: Connection, lease_token: str) -> Polled:
    """Poll a claim, waiting a little for workers to give back a slot."""
    give_up = time.monotonic() + SLOT_PATIENCE_SECONDS
    try:
        while True:
            try:
                polled = _poll(
                    connection, lease_token, seconds=BATCH_SECONDS_OF_PERSON, by_person=True
                )
            except NoSlotError as error:
                if time.monotonic() >= give_up:
                    return Polled(why_not=f"{error} Try again in a moment.")
                time.sleep(0.2)
            else:
                return polled or Polled()
    finally:
        leases.release(connection, lease_token)


def _undo_clock_change(now: datetime) -> None:
    """Have jobs polled that were last polled in the future: the clock was set back.

    Otherwise nobody would ask about them until the clock has come round again.
    """
    for connection in Connection.objects.filter(last_polled_at__gt=now + CLOCK_TOLERANCE):
        jobs = BulkWriteJob.objects.filter(connection=connection, last_polled_at__gt=now)
        jobs.active().filter(next_poll_at__gt=now).update(next_poll_at=now)
        if connection.resume_at is not None and connection.last_polled_at is not None:
            connection.resume_at -= connection.last_polled_at - now
        connection.last_polled_at = now
        connection.save(update_fields=["last_polled_at", "resume_at"])
        for name in ("blocked_at", "unanswered_since", "last_answer_at"):
            later = Connection.objects.filter(**{"pk": connection.pk, f"{name}__gt": now})
            later.update(**{name: now})


def _lanes(connection: Connection) -> int:
    return asking.lanes(connection) if connection.is_proven else 1
