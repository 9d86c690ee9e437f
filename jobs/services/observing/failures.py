"""What a poll without details means: for its job alone, or for the whole connection.

Zoho's word on one job is that job's. Where no job of a batch is answered, the connection is at
fault: it waits as a whole, and its jobs keep their places. Where others are answered, a job that
is not backs off by itself.

A refusal that names the whole connection may still be meant for one job. That job is a suspect:
it is asked about again after a minute, and what is said of others meanwhile tells who is meant.
"""

import logging
from collections.abc import Sequence
from datetime import datetime, timedelta

from jobs.models import Alert, BulkWriteJob, JobEvent, Snapshot
from jobs.services import wording
from jobs.services.errors import error_as_json
from jobs.services.observing import schedule, standing
from jobs.services.observing.batch import Batch
from jobs.services.observing.standing import ConnectionNews, needs_person
from jobs.zoho.client import Answer
from jobs.zoho.codes import CODES
from jobs.zoho.errors import ZohoError, ZohoRejectedError, ZohoSignInError, ZohoThrottledError

logger = logging.getLogger(__name__)

UNREACHABLE_AFTER = timedelta(hours=6)
# So many failures in a row take half an hour: below that nobody needs to look.
UNREACHABLE_FAILURES = 14
REFUSALS = [
    code for code, known in CODES.items() if (known.kind, known.scope) == ("rejected", "connection")
]

Failed = tuple[BulkWriteJob, ZohoError, datetime]


def is_answer(answer: Answer) -> bool:
    """Whether Zoho has said something about the job: its details, or that it has none to give."""
    error = answer.error
    if answer.details is not None:
        return True
    if not isinstance(error, ZohoRejectedError) or error.scope == "connection":
        return False
    return error.http_status is not None


def is_refusal(error: ZohoError | None) -> bool:
    """Whether Zoho refuses the connection as it seems, though it may be this job alone."""
    return isinstance(error, ZohoRejectedError) and error.scope == "connection"


def is_outage(error: ZohoError | None) -> bool:
    """Whether there was no answer, or none that can be read."""
    return error is not None and not isinstance(
        error, ZohoRejectedError | ZohoSignInError | ZohoThrottledError
    )


def take(batch: Batch, news: ConnectionNews, failed: Sequence[Failed], *, answered: bool) -> None:
    """Note on jobs what came of asking about them, and in `news` what is not theirs.

    `failed`: jobs with errors and when they were asked about. `answered`: Zoho has answered about
    other jobs meanwhile, so what failed is these jobs' own.
    """
    own, is_all = _judge_refusals(batch, failed, answered=answered)
    silent = [one for one in failed if is_outage(one[1])]
    is_outage_of_all = bool(silent) and not answered and _is_connections_fault(batch, silent)
    for job, error, asked_at in failed:
        logger.info("Job %s could not be read: %s", job.zoho_job_id, error)
        batch.unchanged.append(job)
        if isinstance(error, ZohoThrottledError):
            news.throttling = _longer(news.throttling, error)
        elif is_refusal(error) and not is_all:
            if not (answered or job.pk in own):
                news.suspect = job.pk
            _suspect(batch, job, error, asked_at, is_own=answered or job.pk in own)
        elif needs_person(error):
            if is_refusal(error) and news.refusal is None and job.pk not in own:
                # Should it be this job's alone, that shows once others are answered.
                _note(batch, job, error)
            news.refusal = news.refusal or error
        elif isinstance(error, ZohoRejectedError):
            _take_rejection(batch, job, error, asked_at)
        else:
            _note(batch, job, error)
            if is_outage_of_all:
                news.outage = error
            else:
                _back_off(batch, job, asked_at)
                news.is_silent = not answered
        job.last_polled_at = asked_at
        job.polls += 1
        if job.poll_state != BulkWriteJob.PollState.ACTIVE:
            job.next_poll_at = None
    if not is_outage_of_all:
        _tell_unreachable(batch, [job for job, _, _ in silent])


def _judge_refusals(
    batch: Batch, failed: Sequence[Failed], *, answered: bool
) -> tuple[set[int], bool]:
    """The keys of jobs refused as before while others were answered since; whether all are meant.

    All are meant where several are refused and none is answered, and where there is no other job to
    be asked, or none that has been answered about since the last suspect.
    """
    refused = [one for one in failed if is_refusal(one[1])]
    own = {job.pk for job, error, _ in refused if _was_refused(job, error) and _fails_alone(job)}
    others = [job for job, _, _ in refused if job.pk not in own]
    if answered:
        return own, False
    if batch.connection.is_blocked or len(others) > 1:
        return own, True
    return own, bool(others) and not _may_be_alone(batch, others[0])


def _may_be_alone(batch: Batch, job: BulkWriteJob) -> bool:
    """Whether another job can tell if the connection is refused or this job alone."""
    connection = batch.connection
    if not standing.answers_lately(connection, batch.at):
        return False
    others = BulkWriteJob.objects.filter(connection=connection).active().exclude(pk=job.pk)
    suspects = others.filter(
        last_polled_at__gt=connection.last_answer_at,
        last_polled_at__lte=batch.at,
        poll_error__code__in=REFUSALS,
    )
    return others.exists() and not suspects.exists()


def _is_connections_fault(batch: Batch, silent: Sequence[Failed]) -> bool:
    """Whether it is the connection's fault that no job was answered.

    It is not where each of the jobs failed the last time too while others were answered since, nor
    where one answer, of a connection that answers, could not be read.
    """
    connection = batch.connection
    if all(_fails_alone(job) for job, _, _ in silent):
        return False
    if len(silent) > 1 or not connection.is_proven:
        return True
    return silent[0][1].scope == "connection"


def _fails_alone(job: BulkWriteJob) -> bool:
    answered_at = job.connection.last_answer_at
    if job.poll_error is None or job.last_polled_at is None or answered_at is None:
        return False
    return answered_at > job.last_polled_at


def _longer(one: ZohoThrottledError | None, other: ZohoThrottledError) -> ZohoThrottledError:
    if one is None:
        return other
    return max(one, other, key=lambda error: error.retry_after or schedule.PAUSE_BASE_SECONDS)


def _note(batch: Batch, job: BulkWriteJob, error: ZohoError) -> None:
    known = job.poll_error or {}
    if (known.get("code"), known.get("message")) != (error.code, error.message):
        batch.note(job, JobEvent.Kind.POLL_FAILED, str(error), excerpt=error.excerpt)
    job.poll_error = error_as_json(error)


def _back_off(batch: Batch, job: BulkWriteJob, asked_at: datetime) -> None:
    job.failures += 1
    seconds = schedule.seconds_to_poll_again(job.failures) * batch.stretch
    planned = batch.at + timedelta(seconds=seconds)
    job.next_poll_at = schedule.unless_made_due(planned, job.next_poll_at, asked_at, batch.at)


def _was_refused(job: BulkWriteJob, error: ZohoError) -> bool:
    return (job.poll_error or {}).get("code") == error.code


def _suspect(
    batch: Batch, job: BulkWriteJob, error: ZohoError, asked_at: datetime, *, is_own: bool
) -> None:
    """Try a job again that alone was refused; block it if that is so while others are answered."""
    was_refused = _was_refused(job, error)
    _note(batch, job, error)
    if was_refused and is_own:
        _block(batch, job, error, asked_at)
    else:
        job.next_poll_at = batch.at + timedelta(seconds=schedule.SUSPECT_RETRY_SECONDS)


def _take_rejection(
    batch: Batch, job: BulkWriteJob, error: ZohoRejectedError, asked_at: datetime
) -> None:
    was_unknown = (job.poll_error or {}).get("code") == "RESOURCE_NOT_FOUND"
    _note(batch, job, error)
    if error.code == "RESOURCE_NOT_FOUND" and not was_unknown and not job.has_ended:
        job.next_poll_at = batch.at + timedelta(seconds=schedule.UNKNOWN_RETRY_SECONDS)
        return
    _block(batch, job, error, asked_at)


def _block(batch: Batch, job: BulkWriteJob, error: ZohoError, asked_at: datetime) -> None:
    if job.poll_state == BulkWriteJob.PollState.PAUSED:
        return
    if job.has_ended:
        # Zoho forgets jobs some time after their end; what was seen of it stands.
        job.poll_state = BulkWriteJob.PollState.DONE
        return
    job.poll_state = BulkWriteJob.PollState.BLOCKED
    batch.note(job, JobEvent.Kind.BLOCKED, error.resolution)
    if job.found_by == BulkWriteJob.FoundBy.CALLBACK and not job.state_digest:
        # Anybody may have named it: nobody here has, and Zoho does not know it.
        return
    job.needs_attention = True
    if job.unreadable_since is None:
        job.unreadable_since = asked_at
        about = f"{asked_at.isoformat()} {error.code or error.http_status}"
        said = wording.error_in_words(error.code, error.message)
        batch.tell(Alert.Kind.BLOCKED, said, job=job, about=about)


def _tell_unreachable(batch: Batch, jobs: Sequence[BulkWriteJob]) -> None:
    """Tell of jobs that alone have not been answered about for hours."""
    failing = [
        job
        for job in jobs
        if job.failures >= UNREACHABLE_FAILURES
        and job.unreadable_since is None
        and job.poll_state == BulkWriteJob.PollState.ACTIVE
        and not job.has_ended
    ]
    if not failing:
        return
    current = [job.current_snapshot_id for job in failing if job.current_snapshot_id]
    snapshots = Snapshot.objects.filter(pk__in=current)
    seen = dict(snapshots.values_list("job_id", "last_seen_at"))
    for job in failing:
        lasted = batch.at - seen.get(job.pk, job.tracked_at)
        if lasted < UNREACHABLE_AFTER:
            continue
        job.unreadable_since = batch.at
        job.needs_attention = True
        hours = wording.hours(int(lasted.total_seconds() // 3600))
        said = (job.poll_error or {}).get("message", "")
        batch.tell(
            Alert.Kind.UNREACHABLE,
            f"No answer about it for {hours}, while other jobs are answered. {said}",
            job=job,
            about=batch.at.isoformat(),
        )
