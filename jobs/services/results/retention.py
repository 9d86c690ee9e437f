"""How long our copies of result files stay: by age, by hand, pinned; and what is told of it."""

import logging
import time
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.contrib.auth.models import User
from django.db import transaction
from django.utils import timezone

from jobs.models import BulkWriteJob, JobEvent, OriginalFile, Result, SkipReason
from jobs.services.bulk import update_rows
from jobs.services.reimport import keeping
from jobs.zoho.downloads import RESULT_KEPT_FOR

logger = logging.getLogger(__name__)

# A run ends soon and leaves the rest to the next: polling needs the worker too.
RUN_SECONDS = 5.0
AT_ONCE = 500


class NotDeletableError(Exception):
    """A result cannot be deleted; the text says why, and what to do."""


@dataclass(frozen=True, slots=True)
class Lifetime:
    """Until when a result file exists, here and at Zoho.

    Zoho keeps one for seven days after the job's end. That end lies between `created_time` and the
    moment at which it was seen here, so there are two dates: `zoho_keeps_from`, before which Zoho
    deletes nothing (None where Zoho did not tell `created_time`), and `zoho_keeps_until`.
    """

    zoho_keeps_from: datetime | None
    zoho_keeps_until: datetime | None
    at_zoho: str
    deleted_here_at: datetime | None
    is_lost: bool
    deletion: JobEvent | None


def lifetime(job: BulkWriteJob, result: Result | None, now: datetime) -> Lifetime:
    """What a page says about how long a job's result file stays.

    `at_zoho`: "kept", "perhaps" or "gone", by Zoho's documentation; "unknown" where no end was
    seen. `is_lost`: our copy should be there, but the storage does not hold it as it was kept.
    """
    first = job.created_time + RESULT_KEPT_FOR if job.created_time else None
    last = job.ended_at + RESULT_KEPT_FOR if job.ended_at else None
    at_zoho = "perhaps"
    if last is None:
        at_zoho = "unknown"
    elif now >= last:
        at_zoho = "gone"
    elif first is not None and now < first:
        at_zoho = "kept"
    return Lifetime(
        zoho_keeps_from=first,
        zoho_keeps_until=last,
        at_zoho=at_zoho,
        deleted_here_at=_deleted_here_at(job, result),
        is_lost=result is not None and result.is_archived and _is_lost(result),
        deletion=_deletion(result),
    )


def _deleted_here_at(job: BulkWriteJob, result: Result | None) -> datetime | None:
    days = settings.RESULT_RETENTION_DAYS
    if not days or job.pinned or result is None or not result.is_archived:
        return None
    return result.fetched_at + timedelta(days=days) if result.fetched_at else None


def _is_lost(result: Result) -> bool:
    try:
        size: int = result.archive.storage.size(str(result.archive.name))
    except (OSError, ValueError):
        return True
    return size != result.size


def _deletion(result: Result | None) -> JobEvent | None:
    if result is None or result.state != Result.State.DELETED:
        return None
    events = JobEvent.objects.filter(job=result.job_id, kind=JobEvent.Kind.RESULT_DELETED)
    return events.select_related("actor").order_by("-at", "-pk").first()


def set_pinned(job: BulkWriteJob, pinned: bool, *, actor: User) -> None:
    """Keep a job's result whatever its age, or no longer; doing it twice does it once."""
    with transaction.atomic():
        if not BulkWriteJob.objects.filter(pk=job.pk).exclude(pinned=pinned).update(pinned=pinned):
            return
        kind = JobEvent.Kind.PINNED if pinned else JobEvent.Kind.UNPINNED
        JobEvent.objects.note(job.pk, kind, actor=actor)


def delete_result(result: Result, *, actor: User | None = None, why: str = "") -> bool:
    """Delete our copy of a result and the rows' values; its figures stay.

    `why` names the rule where no person did it. Returns whether the files are gone as well: those
    that the storage holds on to go with a later `tidy_up`. Raises NotDeletableError where the job
    is pinned or no copy is kept. A download under way ends undisturbed.
    """
    now = timezone.now()
    # The row says so first and the file goes after the commit: the other way round, a crash would
    # leave a result that is said to be kept and is not.
    with transaction.atomic(durable=True):
        # The job before its result, as in `recording`: the other way round they could deadlock.
        job = BulkWriteJob.objects.select_for_update().get(pk=result.job_id)
        if job.pinned:
            raise NotDeletableError(
                "This job is pinned, so its result is kept. Unpin it first, then delete."
            )
        kept = Result.objects.select_for_update().filter(state=Result.State.ARCHIVED)
        if not kept.filter(pk=result.pk).update(state=Result.State.DELETED, deleted_at=now):
            raise NotDeletableError("No copy of this job's result is kept here.")
        _forget_values(result)
        JobEvent.objects.note(job.pk, JobEvent.Kind.RESULT_DELETED, why, actor=actor, at=now)
    logger.info("Result of job %s deleted: %s", job.zoho_job_id, why or actor)
    return _remove_files(Result.objects.get(pk=result.pk))


def _forget_values(result: Result) -> None:
    """Empty what holds values of rows; the numbers of the rows stay."""
    reasons = list(SkipReason.objects.filter(file__result=result))
    for reason in reasons:
        if not reason.first_rows:
            reason.first_rows = [sample["row"] for sample in reason.samples]
        reason.samples = []
        if reason.facts and "values" in reason.facts:
            reason.facts = reason.facts | {"values": []}
    update_rows(reasons, ["first_rows", "samples", "facts"])


def _remove_files(result: Result) -> bool:
    """Remove what a deleted result has in the storage; whether its own file is gone."""
    attached = OriginalFile.objects.filter(file__result=result).select_related("file__result")
    for original in attached:
        keeping.delete(original, why="its result was deleted")
    try:
        if result.archive:
            result.archive.storage.delete(str(result.archive.name))
    except OSError as error:
        logger.warning("The file of the deleted result %s stays for now: %s", result.pk, error)
        return False
    # Its name in the row is the note that a file may be left.
    Result.objects.filter(pk=result.pk).update(archive="")
    return True


def delete_aged(now: datetime) -> bool:
    """Delete results older than RESULT_RETENTION_DAYS; whether more are left for another run.

    Where the setting is 0, results are kept until somebody deletes them.
    """
    days = settings.RESULT_RETENTION_DAYS
    if not days:
        return False
    until = time.monotonic() + RUN_SECONDS
    aged = Result.objects.kept_before(now - timedelta(days=days)).filter(job__pinned=False)
    chosen = list(aged[: AT_ONCE + 1])
    for number, result in enumerate(chosen):
        if number == AT_ONCE or time.monotonic() >= until:
            return True
        try:
            delete_result(result, why=f"by the rule that results are kept for {days} days")
        except NotDeletableError:
            logger.info("Result %s was pinned or deleted meanwhile", result.pk)
    return False


def remove_leftovers() -> None:
    """Remove what deleted results still have in the storage."""
    until = time.monotonic() + RUN_SECONDS
    for result in Result.objects.deleted_with_leftovers()[:AT_ONCE]:
        _remove_files(result)
        if time.monotonic() >= until:
            break


def tidy_up(now: datetime) -> bool:
    """Delete what is to be kept no longer, attached uploads too; whether more results are left."""
    remove_leftovers()
    keeping.delete_expired(now)
    return delete_aged(now)
