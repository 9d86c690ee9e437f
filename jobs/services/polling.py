"""Which jobs are due, who polls them, and how a job is made due."""

import logging
import math
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from jobs.models import BulkWriteJob, Connection, JobEvent, Result, UndecryptableError
from jobs.services.access import CustomHostsForbiddenError, open_client
from jobs.services.batch import Batch
from jobs.services.recording import record
from jobs.zoho.client import Answer
from jobs.zoho.errors import ZohoSignInError

logger = logging.getLogger(__name__)

MAX_BATCH = 500
# Threads of one batch; more concurrency than this is spread over batches, hence processes.
MAX_THREADS = 50
# A batch asks for no further job after this, and every request has a deadline of its own, so
# that the answers are recorded well before the lease ends.
BATCH_SECONDS = 40.0
LEASE = timedelta(seconds=120)


@dataclass(frozen=True, slots=True)
class Claim:
    """Jobs of one connection that one worker may poll, until the lease ends."""

    connection_id: int
    lease_token: str
    jobs: int

    @property
    def is_full(self) -> bool:
        return self.jobs >= MAX_BATCH


def claim_due(now: datetime | None = None) -> list[Claim]:
    """Claim the jobs that are due, in batches, for all connections that may be polled.

    No connection gets more batches at a time than its concurrency allows; what is left over stays
    due. Any number of dispatchers may do this at the same time.
    """
    now = now or timezone.now()
    claims = []
    for connection in Connection.objects.pollable(now):
        due = BulkWriteJob.objects.filter(connection=connection).due(now)
        for _ in range(_lanes(connection) - _batches_under_way(connection, now)):
            claim = _claim(connection, list(due.values_list("pk", flat=True)[:MAX_BATCH]), now)
            if claim is None:
                break
            if _batches_under_way(connection, now) > _lanes(connection):
                # Another dispatcher counted at the same moment: whoever sees too many steps back.
                _release(claim)
                break
            claims.append(claim)
    return claims


def poll_claim(connection_id: int, lease_token: str) -> Batch | None:
    """Ask Zoho about the jobs of a claim and record what it answers.

    None where the lease is gone: somebody else has the jobs then.
    """
    connection = Connection.objects.get(pk=connection_id)
    now = timezone.now()
    claimed = BulkWriteJob.objects.filter(connection=connection, lease_token=lease_token)
    # A claim may have waited in the queue for most of its lease, which must outlast the polling.
    claimed.filter(lease_until__gt=now).update(lease_until=now + LEASE)
    claimed = claimed.filter(lease_until__gt=now)
    job_ids = list(claimed.order_by("next_poll_at").values_list("zoho_job_id", flat=True))
    if not job_ids:
        return None
    answers = _ask(connection, job_ids)
    return record(connection, lease_token, answers)


def poll_now(jobs: Sequence[BulkWriteJob]) -> list[Batch]:
    """Poll these jobs of any connections at once, in this process, whether they are due or not."""
    batches = []
    by_connection: dict[int, list[int]] = {}
    for job in jobs:
        by_connection.setdefault(job.connection_id, []).append(job.pk)
    for connection_id, pks in by_connection.items():
        connection = Connection.objects.get(pk=connection_id)
        for start in range(0, len(pks), MAX_BATCH):
            claim = _claim(
                connection, pks[start : start + MAX_BATCH], timezone.now(), only_due=False
            )
            if claim is None:
                continue
            batch = poll_claim(claim.connection_id, claim.lease_token)
            if batch is not None:
                batches.append(batch)
    return batches


def effective_poll_state(job: BulkWriteJob) -> tuple[str, dict[str, object] | None]:
    """The poll state and error that hold for a job, its connection's included.

    An active job of a connection that needs a person is as blocked as one that Zoho refuses.
    """
    connection = job.connection
    if connection.blocked_at and job.poll_state == BulkWriteJob.PollState.ACTIVE:
        return BulkWriteJob.PollState.BLOCKED, connection.last_error or job.poll_error
    if connection.paused and job.poll_state == BulkWriteJob.PollState.ACTIVE:
        return BulkWriteJob.PollState.PAUSED, job.poll_error
    return job.poll_state, job.poll_error


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
        JobEvent(job_id=pk, at=now, kind=JobEvent.Kind.REFRESHED, actor=actor) for pk in pks
    )


def _claim(
    connection: Connection, pks: Sequence[int], now: datetime, *, only_due: bool = True
) -> Claim | None:
    """Take a lease on those of these jobs that nobody else holds; None if none is left."""
    if not pks:
        return None
    token = uuid.uuid4().hex
    # The conditions stand in the UPDATE itself: of two dispatchers that chose the same jobs, the
    # second finds them leased.
    free = BulkWriteJob.objects.filter(Q(lease_until=None) | Q(lease_until__lte=now), pk__in=pks)
    if only_due:
        free = free.filter(poll_state=BulkWriteJob.PollState.ACTIVE, next_poll_at__lte=now)
    claimed = free.update(lease_token=token, lease_until=now + LEASE)
    return Claim(connection.pk, token, claimed) if claimed else None


def _release(claim: Claim) -> None:
    BulkWriteJob.objects.filter(
        connection=claim.connection_id, lease_until__isnull=False, lease_token=claim.lease_token
    ).update(lease_token="", lease_until=None)


def _lanes(connection: Connection) -> int:
    return math.ceil(connection.max_concurrency / MAX_THREADS)


def _batches_under_way(connection: Connection, now: datetime) -> int:
    leased = BulkWriteJob.objects.filter(connection=connection).leased(now)
    return leased.order_by().values("lease_token").distinct().count()


def _ask(connection: Connection, job_ids: Sequence[str]) -> list[Answer]:
    threads = math.ceil(connection.max_concurrency / _lanes(connection))
    asked_at = timezone.now()
    try:
        opened = open_client(connection, threads=threads)
    except (CustomHostsForbiddenError, UndecryptableError, ValueError) as error:
        # The connection itself cannot be used: that needs a person, and no request was made.
        return [Answer(job_ids[0], asked_at, None, ZohoSignInError(str(error)), 0.0)]
    with opened as client:
        answers = client.job_details_many(job_ids, threads=threads, seconds=BATCH_SECONDS)
        return [answer for answer in answers if answer is not None]
