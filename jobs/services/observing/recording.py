"""What Zoho answered becomes snapshots, jobs, events, alerts.

Here alone what Zoho said of a job changes; the verdict on it is `judging`'s.

Everything of one batch is written in one short transaction, and only for jobs that still carry
the batch's lease, so that a late answer changes nothing. An answer that the database does not take
counts as unreadable, and is no harm to the others.
"""

import logging
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta
from functools import partial

from django.db import DataError, IntegrityError, transaction
from django.utils import timezone

from jobs.models import (
    Alert,
    BulkWriteJob,
    Connection,
    JobEvent,
    Outcome,
    Result,
    Snapshot,
)
from jobs.services import judging, outcomes, wording
from jobs.services.observing import failures, leases, schedule, standing
from jobs.services.observing.batch import Batch
from jobs.services.observing.standing import ConnectionNews
from jobs.services.outcomes import ResourceState
from jobs.zoho import payloads
from jobs.zoho.client import Answer
from jobs.zoho.errors import MalformedAnswerError
from jobs.zoho.payloads import JobDetails

logger = logging.getLogger(__name__)

# What is wrong with an answer, not with the database.
NOT_TAKEN = (DataError, IntegrityError, ValueError, OverflowError)


def record(
    connection: Connection,
    lease_token: str,
    answers: Sequence[Answer],
    *,
    answered: bool = False,
    stretch: float = 1.0,
) -> Batch:
    """Store what Zoho answered about jobs claimed under `lease_token`, and free their leases.

    Jobs of the claim that are not among the answers stay claimed. Answers about jobs whose lease
    was lost meanwhile, and answers older than what is stored, change nothing. `answered`: Zoho has
    answered about other jobs of the batch before, so what failed is these jobs' own. `stretch`: of
    the time to the next polls. Returns what was written.
    """
    heard = [answer.asked_at for answer in answers if failures.is_answer(answer)]
    write = partial(
        _write,
        connection,
        lease_token,
        answered_at=max(heard, default=None),
        answered=answered or bool(heard),
        stretch=stretch,
    )
    try:
        return write(answers)
    except NOT_TAKEN:
        not_taken = _find_not_taken(write, answers)
    return write([not_taken.get(answer.job_id, answer) for answer in answers])


def _find_not_taken(
    write: Callable[[Sequence[Answer]], Batch], answers: Sequence[Answer]
) -> dict[str, Answer]:
    """The answers that cannot be stored, by their jobs' ids, as answers that cannot be read.

    Found by halves, of which nothing stays written.
    """
    try:
        with transaction.atomic():
            write(answers)
            transaction.set_rollback(True)
    except NOT_TAKEN as error:
        if len(answers) > 1:
            half = len(answers) // 2
            return _find_not_taken(write, answers[:half]) | _find_not_taken(write, answers[half:])
        [answer] = answers
        # No more of the error: the database's words hold what was to be stored.
        kind = type(error).__name__
        logger.error("The answer about job %s cannot be stored: %s", answer.job_id, kind)
        odd = MalformedAnswerError(
            f"Zoho's answer could not be stored: {kind}.",
            resolution="It is tried again by itself. If it lasts, report it as a bug of Bulkwatch.",
        )
        return {answer.job_id: Answer(answer.job_id, answer.asked_at, None, odd)}
    return {}


def _write(
    connection: Connection,
    lease_token: str,
    answers: Sequence[Answer],
    *,
    answered_at: datetime | None,
    answered: bool,
    stretch: float,
) -> Batch:
    # As it is now: what is known of it decides whose fault a failure is.
    connection = Connection.objects.get(pk=connection.pk)
    batch = Batch(connection, timezone.now(), stretch)
    asked_at = max((answer.asked_at for answer in answers), default=None)
    news = ConnectionNews(asked_at, answered_at)
    failed: list[failures.Failed] = []
    with transaction.atomic():
        claimed = leases.held(connection, lease_token).filter(
            zoho_job_id__in=[answer.job_id for answer in answers]
        )
        jobs = {job.zoho_job_id: job for job in claimed.select_for_update().order_by("pk")}
        for answer in answers:
            job = jobs.pop(answer.job_id, None)
            if job is None:
                continue
            job.connection = connection
            if _is_late(job, answer, batch.at):
                batch.unchanged.append(job)
            elif answer.details is not None:
                _take_details(batch, job, answer.details, answer.asked_at)
            elif answer.error is not None:
                failed.append((job, answer.error, answer.asked_at))
            job.lease_token, job.lease_until = "", None
        failures.take(batch, news, failed, answered=answered)
        batch.write_rows()
        standing.note(batch, news, answered=answered)
        batch.write_alerts()
    return batch


def _is_late(job: BulkWriteJob, answer: Answer, now: datetime) -> bool:
    """Whether something newer than this answer is stored.

    What is stored under a time still to come was so before the clock was set back: it says
    nothing, and waiting for it would mean polling in vain until then.
    """
    seen = job.last_polled_at
    return seen is not None and answer.asked_at <= seen <= now


def _take_details(batch: Batch, job: BulkWriteJob, details: JobDetails, asked_at: datetime) -> None:
    unreadable_since, job.unreadable_since = job.unreadable_since, None
    _polled(batch, job, asked_at)
    states = outcomes.states_of_answer(details)
    ended = outcomes.has_ended(details.status, states)
    if job.has_ended and not ended:
        _note_reopening(batch, job, details)
        _plan_after_end(batch, job, asked_at)
        batch.unchanged.append(job)
        return

    digest = payloads.canonical_digest(details)
    if digest == job.state_digest:
        if unreadable_since and job.outcome != Outcome.STUCK:
            judging.judge(batch, job, states)
        _take_unchanged(batch, job, asked_at)
    else:
        _take_changed(batch, job, details, digest, states, asked_at)

    if unreadable_since and not job.needs_attention:
        batch.tell(
            Alert.Kind.RECOVERED,
            "Zoho answers about it again.",
            job=job,
            about=f"unreadable since {unreadable_since.isoformat()}",
        )
    if job.has_ended:
        _plan_after_end(batch, job, asked_at)
    else:
        _plan_while_running(batch, job, asked_at)


def _take_unchanged(batch: Batch, job: BulkWriteJob, asked_at: datetime) -> None:
    batch.unchanged.append(job)
    if job.current_snapshot_id is not None:
        batch.seen_again.append((job.current_snapshot_id, asked_at))
    if job.outcome == Outcome.RUNNING and _is_stuck(job, asked_at):
        judging.set_outcome(batch, job, Outcome.STUCK)
        job.needs_attention = True
        limit = wording.minutes(batch.connection.stuck_after_minutes)
        batch.tell(
            Alert.Kind.STUCK,
            f"Nothing about it has changed for more than {limit}.",
            job=job,
            about=str(job.current_snapshot_id),
        )


def _take_changed(
    batch: Batch,
    job: BulkWriteJob,
    details: JobDetails,
    digest: str,
    states: Sequence[ResourceState],
    asked_at: datetime,
) -> None:
    before = outcomes.counts_of(job)
    was, was_seen_as = job.outcome, job.current_snapshot_id
    for warning in outcomes.falls(before, outcomes.add_up(state.counts for state in states)):
        _warn_lastingly(batch, job, warning)

    job.state_digest = digest
    job.status, job.status_raw = details.status, details.status_raw
    job.operation = details.operation or job.operation
    job.character_encoding = details.character_encoding or job.character_encoding
    if details.created_by is not None:
        job.created_by_id = details.created_by.id or ""
        job.created_by_name = details.created_by.name or ""
    job.created_time = details.created_time or job.created_time
    job.download_url = details.download_url or job.download_url
    job.modules = _joined(item.module for item in details.resources)[:500]
    job.file_names = _joined(item.file.name for item in details.resources if item.file)[:1000]
    job.search_text = job.make_search_text()
    job.last_changed_at = asked_at
    if job.ended_at is None and outcomes.has_ended(details.status, states):
        job.ended_at = asked_at

    judging.judge(batch, job, states)
    batch.changed.append(job)
    batch.details[job.pk] = details
    batch.snapshots.append(
        Snapshot(
            job=job,
            first_seen_at=asked_at,
            last_seen_at=asked_at,
            status=job.status,
            status_raw=job.status_raw,
            outcome=job.outcome,
            added_count=job.added_count,
            updated_count=job.updated_count,
            skipped_count=job.skipped_count,
            total_count=job.total_count,
            digest=digest,
            raw=details.raw,
        )
    )
    if was == Outcome.STUCK and not job.needs_attention:
        batch.tell(
            Alert.Kind.RECOVERED,
            f"It was stuck and goes on: {job.get_outcome_display().lower()}.",
            job=job,
            about=f"stuck {was_seen_as}",
        )


def _polled(batch: Batch, job: BulkWriteJob, asked_at: datetime) -> None:
    job.last_polled_at = asked_at
    job.polls += 1
    if job.poll_error is not None:
        batch.note(job, JobEvent.Kind.POLL_RECOVERED, "Zoho answers about this job again.")
    if job.poll_state == BulkWriteJob.PollState.BLOCKED:
        job.poll_state = BulkWriteJob.PollState.ACTIVE
    job.poll_error, job.failures = None, 0


def _note_reopening(batch: Batch, job: BulkWriteJob, details: JobDetails) -> None:
    status = details.status_raw or "no status"
    _warn_lastingly(
        batch, job, f"Zoho reported {status} after {job.status_raw}. The end that was seen stands."
    )


def _warn_lastingly(batch: Batch, job: BulkWriteJob, warning: str) -> None:
    if warning not in job.lasting_warnings and len(job.lasting_warnings) < 20:
        job.lasting_warnings = [*job.lasting_warnings, warning]
        batch.note(job, JobEvent.Kind.CONTRADICTION, warning)


def _is_stuck(job: BulkWriteJob, asked_at: datetime) -> bool:
    limit = timedelta(minutes=job.connection.stuck_after_minutes)
    return job.last_changed_at is not None and asked_at - job.last_changed_at >= limit


def _plan_while_running(batch: Batch, job: BulkWriteJob, asked_at: datetime) -> None:
    if job.poll_state != BulkWriteJob.PollState.ACTIVE:
        return
    born = job.created_time or job.tracked_at
    changed = job.last_changed_at or asked_at
    seconds = schedule.seconds_to_next_poll(
        age=(asked_at - born).total_seconds(),
        quiet=(asked_at - changed).total_seconds(),
        stuck_after=job.connection.stuck_after_minutes * 60,
        longest=job.connection.longest_interval_seconds,
        stretch=batch.stretch,
    )
    planned = asked_at + timedelta(seconds=seconds)
    job.next_poll_at = schedule.unless_made_due(planned, job.next_poll_at, asked_at, batch.at)


def _plan_after_end(batch: Batch, job: BulkWriteJob, asked_at: datetime) -> None:
    """Stop polling, unless the result is still to come and was not waited for long enough."""
    seconds = None
    if job.download_url:
        batch.results.append(Result(job=job, next_attempt_at=batch.at))
    else:
        seconds = schedule.seconds_to_poll_after_end(
            job.polls_after_end, is_completed=job.status == "COMPLETED"
        )
    if job.poll_state == BulkWriteJob.PollState.PAUSED:
        return
    if seconds is None or job.poll_state == BulkWriteJob.PollState.DONE:
        job.poll_state, job.next_poll_at = BulkWriteJob.PollState.DONE, None
    else:
        job.polls_after_end += 1
        job.next_poll_at = asked_at + timedelta(seconds=seconds)


def _joined(names: Iterable[str | None]) -> str:
    return ", ".join(dict.fromkeys(name for name in names if name))
