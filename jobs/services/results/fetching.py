"""Result files: fetch them from Zoho, keep our own copy, count what is in them."""

import hashlib
import logging
import tempfile
from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta
from io import BufferedIOBase
from typing import BinaryIO, cast

from django.conf import settings
from django.core.files import File
from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from jobs.models import (
    BulkWriteJob,
    CallSlot,
    Connection,
    JobEvent,
    Resource,
    Result,
    ResultFile,
    SkipReason,
    UndecryptableError,
)
from jobs.services import alerting
from jobs.services.connections.access import (
    CustomHostsForbiddenError,
    open_client,
    open_tokens,
    unusable,
)
from jobs.services.errors import error_as_json, own_error
from jobs.services.judging import judge_again
from jobs.services.limits import credits, slots
from jobs.services.observing import schedule, waiting
from jobs.services.observing.standing import (
    ConnectionNews,
    answers_lately,
    hold_back_for_credits,
    needs_person,
    note_download,
    pause_for,
)
from jobs.services.results import checks
from jobs.services.results.analysis import ROW_COUNT_FIELDS, FileAnalysis, analyse
from jobs.zoho.downloads import RESULT_KEPT_FOR
from jobs.zoho.errors import (
    RENEWABLE,
    ResultGoneError,
    ZohoError,
    ZohoRejectedError,
    ZohoSignInError,
    ZohoThrottledError,
)
from jobs.zoho.result_files import ResultFileError, UnsafeArchiveError

logger = logging.getLogger(__name__)

LEASE = timedelta(minutes=6)
# Downloads can be slow: they must leave a worker process for polling.
AT_A_TIME = 1
# Zoho keeps a result for seven days, so there is time to wait for better weather.
KEEP_TRYING = RESULT_KEPT_FOR
SLOW_RETRY = timedelta(minutes=30)
# For a refusal that may concern every call: polls show meanwhile whether it does. While the
# connection needs a person, nothing of it is fetched anyway.
REFUSED_RETRY = timedelta(minutes=1)
# Of a download for which no call was free.
SLOT_RETRY = timedelta(seconds=5)
# A ZIP that cannot be read may have been cut short on its way.
READ_ATTEMPTS = 3

UNREAD = "It could not be read."
ASK_ZOHO = (
    "Zoho was asked for the file and this is what it gave. “Refresh now” asks once more; if that "
    "gives the same, ask Zoho's support."
)
LATE = (
    "Zoho keeps a result for seven days, and these have passed. Once the cause is gone, "
    "“Refresh now” tries again."
)
MAKE_ROOM = (
    "Make room on the disks of DATA_DIR and of the folder for temporary files, and let this "
    "product write there. It is then fetched by itself."
)


def claim_due(among: QuerySet[Result] | None = None) -> list[int]:
    """Claim results that are due to be fetched; return their keys.

    Of all whose connections may be asked now, or of some, whatever their connections say.
    """
    now = timezone.now()
    claimed = []
    due = Result.objects.due(now)
    if among is None:
        free = max(AT_A_TIME - Result.objects.being_fetched(now).count(), 0)
        due = due.filter(job__connection__in=Connection.objects.pollable(now))[:free]
    else:
        due = due.filter(pk__in=among.values("pk"))
    for pk in due.values_list("pk", flat=True):
        if Result.objects.due(now).filter(pk=pk).update(lease_until=now + LEASE):
            claimed.append(pk)
    return claimed


def fetch(result_id: int) -> None:
    """Fetch a claimed result, keep it, and store what is in it.

    What can pass (no answer, throttling, a sign-in that is needed, a full disk) is tried again for
    as long as Zoho keeps the file; what cannot is noted on the result. While nothing may be asked
    of its connection, nothing is.
    """
    result = Result.objects.select_related("job__connection").get(pk=result_id)
    if result.state != Result.State.PENDING:
        return
    connection = result.job.connection
    if waiting.why_not(connection, timezone.now(), by_person=True):
        _put_off(result, connection.resume_at)
        return
    try:
        with slots.held(connection, good_for=_slot_good_for()) as slot:
            reserved = credits.reserve(connection, 1, slot=slot)
            if not reserved.calls:
                _put_off(result, hold_back_for_credits(connection, timezone.now()))
                return
            _attempt(result, slot, reserved)
    except slots.NoSlotError:
        _put_off(result, timezone.now() + SLOT_RETRY)


def _attempt(result: Result, slot: slots.Slot, reserved: credits.Reserved) -> None:
    result.attempts += 1
    # Noted before anything can go wrong, so that even what ends this process is counted.
    result.save(update_fields=["attempts"])
    ended_at = result.job.ended_at or timezone.now()
    if timezone.now() - ended_at >= KEEP_TRYING and result.attempts > 1:
        _settle(result, reserved, 0)
        _end(
            result, Result.State.FAILED, (result.error or own_error(UNREAD)) | {"resolution": LATE}
        )
    else:
        _fetch(result, slot, reserved)
    _delete_leftovers(result)


def _settle(result: Result, reserved: credits.Reserved, made: int) -> None:
    """Count what was asked: a file may take several requests, or none where there is no token."""
    credits.spend(result.job.connection, made - reserved.calls, hour=reserved.hour)


def _slot_good_for() -> timedelta:
    """Longer than a download can take, with a token to be had first: nobody renews it meanwhile."""
    seconds = settings.ZOHO_DOWNLOAD_TIMEOUT_SECONDS + 3 * settings.ZOHO_REQUEST_TIMEOUT_SECONDS
    return min(timedelta(seconds=seconds), CallSlot.LONGEST)


def _put_off(result: Result, until: datetime | None) -> None:
    """Leave a claimed result as it was, to be tried then; at once where nobody says when."""
    fields: dict[str, datetime | None] = {"lease_until": None}
    if until is not None:
        fields["next_attempt_at"] = until
    Result.objects.pending().filter(pk=result.pk).update(**fields)


def _fetch(result: Result, slot: slots.Slot, reserved: credits.Reserved) -> None:
    connection, asked_at = result.job.connection, timezone.now()
    try:
        if connection.is_blocked and not waiting.why_not(connection, asked_at):
            # It may have been repaired: Zoho is asked again, not what is remembered of it.
            open_tokens(connection).forget_refusal()
        opened = open_client(connection)
    except (CustomHostsForbiddenError, UndecryptableError, ValueError) as error:
        _settle(result, reserved, 0)
        _take_refusal(result, unusable(error), asked_at)
        return
    try:
        # On a full disk closing the file fails as well, so that too happens within the `try`.
        with opened as client, tempfile.TemporaryFile() as file:
            target = cast(BinaryIO, file)
            try:
                client.download(
                    result.job.download_url,
                    target,
                    max_bytes=settings.MAX_RESULT_MEGABYTES * 1024 * 1024,
                    seconds=settings.ZOHO_DOWNLOAD_TIMEOUT_SECONDS,
                )
            finally:
                _settle(result, reserved, client.calls)
            slot.release()
            _note_answer(connection, asked_at)
            _keep(result, target, _analyses(result, target))
    except ResultGoneError as error:
        _end(result, Result.State.EXPIRED, error_as_json(error))
    except (ZohoSignInError, ZohoRejectedError) as error:
        if needs_person(error) or isinstance(error, ZohoSignInError):
            _take_refusal(result, error, asked_at)
        else:
            _end(result, Result.State.REFUSED, error_as_json(error))
    except ZohoThrottledError as error:
        now = timezone.now()
        until = pause_for(result.job.connection, error, now)
        _try_later(result, error_as_json(error), until - now)
    except ZohoError as error:
        wait = schedule.seconds_to_retry(result.attempts)
        _try_later(result, error_as_json(error), timedelta(seconds=wait))
    except UnsafeArchiveError as error:
        _end(result, Result.State.REFUSED, own_error(f"{error} It was not kept.", ASK_ZOHO))
    except ResultFileError as error:
        _unreadable(result, str(error))
    except OSError as error:
        logger.warning("Result of job %s could not be stored: %s", result.job, error)
        message = f"It could not be stored here: {error.strerror or error}."
        _try_later(result, own_error(message, MAKE_ROOM), SLOW_RETRY)


def _take_refusal(result: Result, error: ZohoError, asked_at: datetime) -> None:
    """Take what Zoho refuses as it may every call: the connection needs a person, or this result.

    A sign-in that fails before the file is asked for is the connection's. What is said of the file
    is the result's own where it was refused in the same way before and Zoho has answered about
    jobs since, or answers and there is no other job by which to tell.
    """
    connection = Connection.objects.get(pk=result.job.connection_id)
    known = result.error or {}
    was_refused = (known.get("code"), known.get("message")) == (error.code, error.message)
    refused_at = (result.next_attempt_at or asked_at) - REFUSED_RETRY
    answered_at = connection.last_answer_at
    is_of_file = not isinstance(error, ZohoSignInError) or error.scope == "job"
    wait = REFUSED_RETRY
    is_own = is_of_file and was_refused and answered_at is not None and answered_at > refused_at
    if not is_own:
        if not (is_of_file and answers_lately(connection, asked_at)):
            note_download(connection, ConnectionNews(asked_at, refusal=error))
        elif BulkWriteJob.objects.filter(connection=connection).active().exists():
            note_download(connection, ConnectionNews(asked_at, suspect=result.job_id))
        elif error.code in RENEWABLE:
            # No poll renews the token meanwhile: it may be a dead one, and ends within the hour.
            retry = timedelta(seconds=schedule.seconds_to_retry(result.attempts))
            wait = max(wait, retry)
        else:
            is_own = was_refused
    if is_own:
        _end(result, Result.State.REFUSED, error_as_json(error))
    else:
        _try_later(result, error_as_json(error), wait)


def _note_answer(connection: Connection, asked_at: datetime) -> None:
    """Say that a connection works again, where no job is watched by which that would show."""
    if not connection.is_blocked:
        return
    if not BulkWriteJob.objects.filter(connection=connection).active().exists():
        note_download(connection, ConnectionNews(asked_at, answered_at=asked_at))


def _analyses(result: Result, file: BinaryIO) -> Sequence[FileAnalysis]:
    file.seek(0)
    try:
        analyses = analyse(file, result.job.character_encoding, resources_of(result.job))
    except (ResultFileError, OSError):
        raise
    except Exception as error:
        # Whatever a file does to its reader, the next ones wait for their turn.
        logger.exception("Result of job %s could not be read", result.job)
        raise ResultFileError("The result file could not be read.") from error
    damage = next((analysis.error for analysis in analyses if analysis.error), "")
    if damage and result.unreadable_attempts + 1 < READ_ATTEMPTS:
        # Zoho may give the whole file next time; the last attempt keeps what can be read.
        raise ResultFileError(damage)
    return analyses


def resources_of(job: BulkWriteJob) -> list[Resource]:
    """A job's resources as `analysis.analyse` wants them."""
    return list(job.resources.prefetch_related("field_mappings"))


def _keep(result: Result, file: BinaryIO, analyses: Sequence[FileAnalysis]) -> None:
    file.seek(0)
    digest = hashlib.file_digest(cast(BufferedIOBase, file), "sha256").hexdigest()
    size = file.tell()
    file.seek(0)
    # Under a name of its own: what another worker has kept meanwhile stays as it is.
    name = result.archive.field.generate_filename(result, "")
    storage = result.archive.storage
    try:
        kept_as = storage.save(name, File(file))
    except OSError:
        # As much of it as there was room for.
        storage.delete(name)
        raise
    with transaction.atomic():
        # The job before its result, as in `recording`: the other way round they could deadlock.
        BulkWriteJob.objects.select_for_update().get(pk=result.job_id)
        pending = Result.objects.pending().select_for_update()
        if not pending.filter(pk=result.pk).exists():
            storage.delete(kept_as)
            return
        result.archive.name = kept_as
        result.size, result.sha256 = size, digest
        result.fetched_at = timezone.now()
        _store_analysis(result, analyses)
        _end(result, Result.State.ARCHIVED, None)
    logger.info("Result of job %s kept: %s bytes", result.job.zoho_job_id, size)


def _delete_leftovers(result: Result) -> None:
    """Delete copies that a crash left without their row. Only the kept one can be wanted now."""
    result.refresh_from_db(fields=["state", "archive"])
    if result.state == Result.State.PENDING:
        return
    storage = result.archive.storage
    folder = result.archive.field.generate_filename(result, "").rpartition("/")[0]
    try:
        for name in storage.listdir(folder)[1]:
            path = f"{folder}/{name}"
            if path != result.archive.name and name.startswith(f"{result.job.zoho_job_id}-"):
                storage.delete(path)
    except FileNotFoundError:
        pass  # no result of any such job was ever kept
    except OSError as error:
        logger.warning("Copies left of job %s could not be deleted: %s", result.job, error)


def _store_analysis(result: Result, analyses: Sequence[FileAnalysis]) -> None:
    # A poll in the meantime may have changed or removed what the files were assigned to.
    resources = list(result.job.resources.all())
    result.files.all().delete()
    totals: Counter[str] = Counter()
    # Some files' rows are not the result's: sums over them would make a job look complete.
    readable = not any(analysis.error for analysis in analyses)
    for analysis in analyses:
        counts = analysis.row_counts()
        stored = ResultFile.objects.create(
            result=result,
            resource=analysis.resource if analysis.resource in resources else None,
            position=analysis.member.index,
            name=analysis.member.name[:255],
            size=analysis.member.size,
            rows=analysis.rows,
            columns=list(analysis.columns),
            error=analysis.error,
            **counts,
        )
        totals.update({name: count for name, count in counts.items() if count})
        SkipReason.objects.bulk_create(
            SkipReason(
                file=stored,
                code=code,
                field=field,
                rows=reason.rows,
                samples=reason.samples,
                first_rows=reason.first_rows,
                facts=reason.facts and reason.facts.as_json(),
            )
            for (code, field), reason in analysis.reasons.items()
        )
    result.warnings = checks.warnings(analyses, resources)
    for name in [*ROW_COUNT_FIELDS.values(), "other_rows"]:
        setattr(result, name, totals[name] if readable else None)


def _unreadable(result: Result, message: str) -> None:
    error = own_error(message, ASK_ZOHO)
    result.unreadable_attempts += 1
    if result.unreadable_attempts >= READ_ATTEMPTS:
        _end(result, Result.State.FAILED, error)
        return
    result.save(update_fields=["unreadable_attempts"])
    wait = schedule.seconds_to_retry(result.unreadable_attempts)
    _try_later(result, error, timedelta(seconds=wait))


def _try_later(result: Result, error: dict[str, object], wait: timedelta) -> None:
    # Only what is still to be fetched: another worker may have kept it meanwhile.
    Result.objects.pending().filter(pk=result.pk).update(
        error=error, next_attempt_at=timezone.now() + wait, lease_until=None
    )


@transaction.atomic
def _end(result: Result, state: Result.State, error: dict[str, object] | None) -> None:
    BulkWriteJob.objects.select_for_update().get(pk=result.job_id)
    if not Result.objects.pending().filter(pk=result.pk).exists():
        return
    result.state, result.error = state, error
    if state != Result.State.ARCHIVED:
        result.warnings = []
    if error and state in (Result.State.FAILED, Result.State.REFUSED):
        result.warnings = [f"No result is kept, so the rows are not checked: {error['message']}"]
    result.next_attempt_at = result.lease_until = None
    result.save()
    judge_again(result.job_id)
    text = Result.State(state).label
    if error:
        text = f"{text}: {error['message']}"
    JobEvent.objects.note(result.job_id, JobEvent.Kind.RESULT, text)
    alerting.release_held(result.job_id)
