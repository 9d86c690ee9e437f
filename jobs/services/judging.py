"""What we make of a job: its verdict, from Zoho's answers and from the rows of its result."""

from collections.abc import Sequence
from datetime import timedelta

from django.utils import timezone

from jobs.models import BulkWriteJob, JobEvent, Outcome, Result
from jobs.services import alerting, outcomes
from jobs.services.batch import Batch
from jobs.services.bulk import update_rows
from jobs.services.outcomes import Counts, ResourceState


def judge(
    batch: Batch, job: BulkWriteJob, states: Sequence[ResourceState], *, rows: Counts | None
) -> None:
    """Set the verdict on a job and tell of a bad end; the caller stores both."""
    verdict = outcomes.judge(job.status, states, threshold_percent=job.threshold_percent, rows=rows)
    set_outcome(batch, job, verdict.outcome)
    job.needs_attention = verdict.needs_attention
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


def row_counts(result: Result) -> Counts | None:
    """The counts of a result's rows; None where its files could not be read."""
    if result.added_rows is None:
        return None
    known = (result.added_rows, result.updated_rows, result.skipped_rows)
    others = (result.unprocessed_rows or 0) + (result.other_rows or 0)
    return Counts(*known, total=sum(count or 0 for count in known) + others)


def need_somebody(job_id: int) -> None:
    """Mark a job whose rows nobody could check: while Zoho keeps the result, somebody can help."""
    BulkWriteJob.objects.filter(pk=job_id).update(needs_attention=True)


def settle_from_rows(result: Result, rows: Counts) -> None:
    """Judge a job anew with the rows of its result file. To be called in a transaction.

    They settle the outcome where Zoho gave no counts, and are checked against them where it did.
    A resource without any counts of Zoho's gets those of its file's rows.
    """
    job = (
        BulkWriteJob.objects.select_for_update(of=("self",))
        .select_related("connection")
        .get(pk=result.job_id)
    )
    if not job.has_ended:
        return
    batch = Batch(job.connection, timezone.now())
    states = [outcomes.state_of_stored(resource) for resource in job.resources.all()]
    judge(batch, job, states, rows=rows)
    _count_resources(job, result)
    update_rows(
        [job],
        [
            "outcome",
            "needs_attention",
            "skip_ratio",
            "warnings",
            "added_count",
            "updated_count",
            "skipped_count",
            "total_count",
        ],
    )
    batch.write()


def _count_resources(job: BulkWriteJob, result: Result) -> None:
    files = {file.resource_id: file for file in result.files.exclude(resource=None)}
    for resource in job.resources.filter(
        added_count=None, updated_count=None, skipped_count=None, total_count=None
    ):
        file = files.get(resource.pk)
        if file is not None and file.rows is not None:
            resource.added_count, resource.updated_count = file.added_rows, file.updated_rows
            resource.skipped_count, resource.total_count = file.skipped_rows, file.rows
            update_rows(
                [resource], ["added_count", "updated_count", "skipped_count", "total_count"]
            )


def rows_known(job: BulkWriteJob) -> Counts | None:
    """The rows of the job's result file, where a terminal state changes after it was read."""
    if not job.has_ended:
        return None
    read = (Result.State.ARCHIVED, Result.State.DELETED)
    result = Result.objects.filter(job=job, state__in=read).first()
    return row_counts(result) if result is not None else None
