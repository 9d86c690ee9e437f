"""What we make of a job: its verdict, from Zoho's answers and from the rows of its result."""

from collections.abc import Sequence
from datetime import timedelta

from django.utils import timezone

from jobs.models import BulkWriteJob, JobEvent, Outcome, Result
from jobs.services import alerting, outcomes
from jobs.services.bulk import update_rows
from jobs.services.observing.batch import Batch
from jobs.services.outcomes import Counts, ResourceState

HAS_ROWS = (Result.State.ARCHIVED, Result.State.DELETED)
VERDICT_FIELDS = [
    "outcome",
    "needs_attention",
    "skip_ratio",
    "warnings",
    "added_count",
    "updated_count",
    "skipped_count",
    "total_count",
]


def judge(batch: Batch, job: BulkWriteJob, states: Sequence[ResourceState]) -> None:
    """Set the verdict on a job and tell of a bad end; the caller stores both."""
    # A result is there only once a job has ended.
    result = Result.objects.filter(job=job).first() if job.has_ended else None
    rows = _row_counts(result) if result is not None else None
    verdict = outcomes.judge(job.status, states, threshold_percent=job.threshold_percent, rows=rows)
    set_outcome(batch, job, verdict.outcome)
    job.needs_attention = verdict.needs_attention or (result is not None and _is_unchecked(result))
    job.skip_ratio = verdict.skip_ratio
    job.warnings = list(verdict.warnings)
    job.added_count = verdict.counts.added
    job.updated_count = verdict.counts.updated
    job.skipped_count = verdict.counts.skipped
    job.total_count = verdict.counts.total
    if not job.has_ended:
        return
    fact = alerting.fact_of_end(job, verdict, states)
    if fact is not None:
        kind, text = fact
        # The mail names the reasons, which the result file tells: it waits for that, a while.
        batch.tell(
            kind, text, job=job, hold=alerting.HOLD_FOR_RESULT if job.download_url else timedelta()
        )


def set_outcome(batch: Batch, job: BulkWriteJob, outcome: Outcome) -> None:
    if job.outcome != outcome:
        job.outcome = outcome
        batch.note(job, JobEvent.Kind.OUTCOME, Outcome(outcome).label)


def _is_unchecked(result: Result) -> bool:
    """Whether nobody could check the rows, though Zoho may give the file yet."""
    if result.state in (Result.State.FAILED, Result.State.REFUSED):
        return True
    return result.is_archived and result.added_rows is None


def _row_counts(result: Result) -> Counts | None:
    """The counts of a result's rows; None where they were not read, or not as a whole."""
    if result.state not in HAS_ROWS or result.added_rows is None:
        return None
    known = (result.added_rows, result.updated_rows, result.skipped_rows)
    others = (result.unprocessed_rows or 0) + (result.other_rows or 0)
    return Counts(*known, total=sum(count or 0 for count in known) + others)


def judge_again(job_id: int) -> None:
    """Judge an ended job with what is known of its result by now. To be called in a transaction.

    The rows settle the outcome where Zoho gave no counts, and are checked against them where it
    did; where nobody could check them, the job needs somebody while Zoho may still have the file.
    """
    job = (
        BulkWriteJob.objects.select_for_update(of=("self",))
        .select_related("connection")
        .get(pk=job_id)
    )
    if not job.has_ended:
        return
    batch = Batch(job.connection, timezone.now())
    states = [outcomes.state_of_stored(resource) for resource in job.resources.all()]
    judge(batch, job, states)
    update_rows([job], VERDICT_FIELDS)
    batch.write()
