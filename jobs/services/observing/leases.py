"""Leases on jobs: while one worker has a job, no other asks about it."""

import uuid
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.utils import timezone

from jobs.models import BulkWriteJob, Connection
from jobs.models.job import BulkWriteJobQuerySet
from jobs.models.leases import is_free

# Extended while its batch lives, so that the jobs of a worker that died are due again soon.
LEASE = timedelta(seconds=45)
# Rows locked at a time where a connection has many.
AT_ONCE = 1_000
# How the token of a claim begins that only waits for slow answers; all others are hexadecimal.
ASIDE = "-"


@dataclass(frozen=True, slots=True)
class Claim:
    """Jobs of one connection that one worker may poll, until the lease ends.

    `is_full`: there may be more of them due than the claim was allowed to take.
    """

    connection_id: int
    lease_token: str
    jobs: int
    is_full: bool = False


def claim(
    connection: Connection,
    pks: Sequence[int],
    now: datetime,
    *,
    only_due: bool = True,
    is_full: bool = False,
) -> Claim | None:
    """Take a lease on those of these jobs that nobody else holds; None if none is left."""
    if not pks:
        return None
    token = uuid.uuid4().hex
    free = BulkWriteJob.objects.filter(is_free(now, BulkWriteJob.LONGEST_LEASE), pk__in=pks)
    if only_due:
        free = free.filter(poll_state=BulkWriteJob.PollState.ACTIVE, next_poll_at__lte=now)
    # What somebody has locked is about to change, and comes with a later claim.
    claimed = _update(free, skip_locked=True, lease_token=token, lease_until=now + LEASE)
    return Claim(connection.pk, token, claimed, is_full) if claimed else None


def held(connection: Connection, lease_token: str) -> BulkWriteJobQuerySet:
    """The jobs that are still claimed under this token."""
    # That a lease has an end tells the database to look among the leased jobs alone.
    return BulkWriteJob.objects.filter(
        connection=connection, lease_until__isnull=False, lease_token=lease_token
    )


def extend(connection: Connection, lease_token: str) -> BulkWriteJobQuerySet:
    """Give a claim a whole lease anew, and return its jobs; none where the lease has ended."""
    now = timezone.now()
    _update(held(connection, lease_token).leased(now), lease_until=now + LEASE)
    return held(connection, lease_token).leased(now)


def release(connection: Connection, lease_token: str) -> None:
    """Free what is still claimed under this token; it is as due as it was."""
    _update(held(connection, lease_token), lease_token="", lease_until=None)


def set_aside(connection: Connection, lease_token: str, job_ids: Collection[str]) -> str:
    """Keep a claim on some of its jobs under another token, and release the others.

    What is set aside is no batch under way any more: another may begin beside it.
    """
    aside = ASIDE + lease_token[len(ASIDE) :]
    kept = held(connection, lease_token).filter(zoho_job_id__in=job_ids)
    _update(kept, lease_token=aside)
    release(connection, lease_token)
    return aside


def batches_under_way(connection: Connection, now: datetime) -> int:
    leased = BulkWriteJob.objects.filter(connection=connection).leased(now)
    batches = leased.exclude(lease_token__startswith=ASIDE)
    return batches.order_by().values("lease_token").distinct().count()


def make_due_from_now(connection: Connection) -> None:
    """Count how late the polls of a connection are anew, as nobody could ask until now.

    To be called before it may be asked again, and outside a transaction that has locked it.
    """
    now = timezone.now()
    overdue = BulkWriteJob.objects.filter(connection=connection, next_poll_at__lt=now).active()
    pks = list(overdue.order_by("pk").values_list("pk", flat=True))
    for start in range(0, len(pks), AT_ONCE):
        _update(overdue.filter(pk__in=pks[start : start + AT_ONCE]), next_poll_at=now)


@transaction.atomic
def _update(jobs: BulkWriteJobQuerySet, *, skip_locked: bool = False, **fields: Any) -> int:
    """Update these jobs and return how many; the conditions hold when each is written.

    Locked in the order of their keys first, as whoever else writes many jobs does: PostgreSQL
    updates rows as they lie in the table, and two that meet crosswise would be a deadlock.
    """
    locked = jobs.order_by("pk").select_for_update(skip_locked=skip_locked)
    pks = list(locked.values_list("pk", flat=True))
    # Where rows are not locked, as in SQLite, the transaction alone may write.
    return BulkWriteJob.objects.filter(pk__in=pks).update(**fields) if pks else 0
