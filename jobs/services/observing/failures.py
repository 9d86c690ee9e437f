"""What a poll without details means: for its job alone, or for the whole connection.

Zoho's word on one job is that job's. Where no job of a batch is answered, the connection is at
fault: it waits as a whole, and its jobs keep their places. Where others are answered, a job that
is not backs off by itself.
"""

import logging
from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import takewhile

from jobs.models import Alert, BulkWriteJob, JobEvent, Snapshot
from jobs.services import wording
from jobs.services.observing import schedule
from jobs.services.observing.batch import Batch
from jobs.services.observing.standing import Concern, error_as_json, needs_person
from jobs.zoho.client import Answer
from jobs.zoho.errors import ZohoError, ZohoRejectedError, ZohoSignInError, ZohoThrottledError

logger = logging.getLogger(__name__)

UNREACHABLE_AFTER = timedelta(hours=6)
# So many failures in a row take half an hour: below that nobody needs to look.
UNREACHABLE_FAILURES = 14

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


def take(batch: Batch, concern: Concern, failed: Sequence[Failed], *, answered: bool) -> None:
    """Note on jobs what came of asking about them, and in `concern` what is not theirs.

    `failed`: jobs with errors and when they were asked about, in the order in which these came.
    `answered`: Zoho has answered about other jobs of the batch.
    """
    refused = [one for one in failed if is_refusal(one[1])]
    is_suspect = answered and not _stand_at_the_end(failed, refused)
    silent = [one for one in failed if is_outage(one[1])]
    is_outage_of_all = bool(silent) and not answered and _is_everybodys(batch, silent)
    for job, error, asked_at in failed:
        logger.info("Job %s could not be read: %s", job.zoho_job_id, error)
        batch.unchanged.append(job)
        if isinstance(error, ZohoThrottledError):
            concern.throttling = _longer(concern.throttling, error)
        elif is_refusal(error) and (is_suspect or _was_suspect(job, error)):
            _suspect(batch, job, error, asked_at, answered=answered)
        elif needs_person(error):
            concern.refusal = concern.refusal or error
        elif isinstance(error, ZohoRejectedError):
            _take_rejection(batch, job, error, asked_at)
        else:
            _note(batch, job, error)
            if is_outage_of_all:
                concern.outage = error
            else:
                _back_off(batch, job)
                concern.is_silent = not answered
        job.last_polled_at = asked_at
        job.polls += 1
        if job.poll_state != BulkWriteJob.PollState.ACTIVE:
            job.next_poll_at = None
    if not is_outage_of_all:
        _tell_unreachable(batch, [job for job, _, _ in silent])


def _stand_at_the_end(failed: Sequence[Failed], refused: Sequence[Failed]) -> bool:
    """Whether Zoho has begun to refuse one job after the other, which is no one job's matter."""
    last = list(takewhile(lambda one: is_refusal(one[1]), reversed(failed)))
    return len(refused) > 1 and len(last) == len(refused)


def _is_everybodys(batch: Batch, silent: Sequence[Failed]) -> bool:
    """Whether nobody's being answered is the connection's fault.

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


def _back_off(batch: Batch, job: BulkWriteJob) -> None:
    job.failures += 1
    seconds = schedule.seconds_to_poll_again(job.failures) * batch.stretch
    job.next_poll_at = batch.at + timedelta(seconds=seconds)


def _was_suspect(job: BulkWriteJob, error: ZohoError) -> bool:
    """Whether it was refused before while others were answered, and these can tell who is meant."""
    if (job.poll_error or {}).get("code") != error.code:
        return False
    others = BulkWriteJob.objects.filter(connection=job.connection).active().exclude(pk=job.pk)
    return _fails_alone(job) or others.exists()


def _suspect(
    batch: Batch, job: BulkWriteJob, error: ZohoError, asked_at: datetime, *, answered: bool
) -> None:
    """Try a job again that alone was refused while others were answered; block it in the end."""
    was_refused = (job.poll_error or {}).get("code") == error.code
    is_alone = answered or _fails_alone(job)
    _note(batch, job, error)
    if was_refused and is_alone:
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
        batch.tell(Alert.Kind.BLOCKED, str(error), job=job, about=about)


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
