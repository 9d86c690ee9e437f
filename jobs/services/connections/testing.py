"""Testing a connection: one of its jobs is asked about; what that proves is told and noted."""

from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone
from django.views.decorators.debug import sensitive_variables

from jobs.models import BulkWriteJob, CallSlot, Connection, UndecryptableError
from jobs.services import wording
from jobs.services.connections.access import (
    CustomHostsForbiddenError,
    open_client,
    open_tokens,
)
from jobs.services.limits import credits, slots
from jobs.services.observing import failures, leases, standing
from jobs.services.observing.batch import Batch
from jobs.services.observing.standing import ConnectionNews
from jobs.zoho.client import Answer, BulkWriteClient
from jobs.zoho.codes import CODES
from jobs.zoho.errors import (
    TokensThrottledError,
    ZohoError,
    ZohoRejectedError,
    ZohoThrottledError,
)

# Waits whose end Zoho has set.
SET_BY_ZOHO = (Connection.Waiting.THROTTLED, Connection.Waiting.TOKENS)
# What is asked about where no job is registered: no org has a job of this number.
NO_JOB = "100000000000000000"
CHECK_PLACE = "Check the environment and the org."


@dataclass(frozen=True, slots=True)
class TestResult:
    """What came of a test: whether jobs can be read, and in words what to do if not.

    `is_temporary`: it passes by itself, and nothing was changed; `until` is when, where Zoho has
    named a time. `is_doubtful`: jobs can be read, but not one that was asked about.
    """

    ok: bool
    message: str
    resolution: str = ""
    is_temporary: bool = False
    until: datetime | None = None
    is_doubtful: bool = False


@dataclass(frozen=True, slots=True)
class Asked:
    """What Zoho said when it was asked about one job: nothing against reading jobs where `error`
    is None.

    `error_of_job`: what it has against this job alone. `not_asked`: why it was not asked at all.
    """

    at: datetime
    job_id: str
    error: ZohoError | None = None
    error_of_job: ZohoError | None = None
    not_asked: TestResult | None = None


@sensitive_variables()
def test(connection: Connection) -> TestResult:
    """Ask Zoho for an access token where none is held, and for the details of one job.

    A success unblocks the connection, a refusal that needs a person blocks it, throttling pauses
    it, an outage leaves it as it is. What is asked, and when nothing is: `ask_about_one_job`.
    """
    if not connection.is_signed_in:
        return TestResult(False, "Nobody has signed in to Zoho for it yet.", "Sign in to Zoho.")
    try:
        asked = ask_about_one_job(connection)
    except (CustomHostsForbiddenError, UndecryptableError, ValueError) as error:
        return TestResult(False, str(error))
    if asked.not_asked is not None:
        return asked.not_asked
    if asked.error is not None:
        return _told(connection, asked.error, asked.at)
    if connection.blocked_at is not None:
        leases.make_due_from_now(connection)
    _note(connection, ConnectionNews(asked_at=asked.at, answered_at=asked.at))
    result = _works(connection, asked)
    if connection.paused:
        message = f"{result.message} Its jobs are not asked about while it is paused."
        return replace(result, message=message)
    return result


def _works(connection: Connection, asked: Asked) -> TestResult:
    """A success, with what stands against the jobs of the connection."""
    works = "Zoho accepts the sign-in and lets bulk write jobs be read."
    if asked.job_id == NO_JOB:
        return _works_without_job(connection, works)
    what = f"Asked about job {asked.job_id}."
    error = asked.error_of_job
    if error is None:
        return TestResult(True, f"{works} {what}")
    if failures.is_refusal(error):
        said = wording.error_in_words(error.code, error.message)
        return TestResult(
            True,
            f"{works} Asked about job {asked.job_id} and another: that job alone is refused. "
            f"{said}",
            "Nothing is to be done about the connection.",
            is_doubtful=True,
        )
    # It may have been removed meanwhile.
    job = BulkWriteJob.objects.filter(connection=connection, zoho_job_id=asked.job_id).first()
    return TestResult(
        True,
        f"{works} {what} Zoho does not know this job.",
        f"{CHECK_PLACE} Zoho may also have forgotten the job, as it does some time after the end."
        if job is not None and job.has_ended
        else CHECK_PLACE,
        is_doubtful=True,
    )


def _works_without_job(connection: Connection, works: str) -> TestResult:
    jobs = BulkWriteJob.objects.filter(connection=connection)
    if not jobs.exists():
        return TestResult(
            True, f"{works} Asked about an id that no job has, as there is none to ask about yet."
        )
    unknown = jobs.filter(poll_error__code="RESOURCE_NOT_FOUND").count()
    return TestResult(
        True,
        f"{works} Asked about an id that no job has, as no registered job could be read when it "
        "was asked about last: its page says why.",
        f"Zoho does not know {unknown:,} of them. {CHECK_PLACE}" if unknown else "",
        # Other errors may have been the connection's, and over by now.
        is_doubtful=jobs.filter(poll_state=BulkWriteJob.PollState.BLOCKED).exists() or unknown > 0,
    )


@sensitive_variables()
def ask_about_one_job(
    connection: Connection, *, heeds: Collection[Connection.Waiting] = SET_BY_ZOHO
) -> Asked:
    """Ask about the newest job that Zoho has answered about, by the connection's sign-in.

    Where there is none, about one that does not exist: that Zoho knows no such job proves as
    much. Costs one API credit. Where that job is refused, another is asked about, for one more:
    only a refusal of both is one of the connection. While Zoho wants no calls (waits that it
    `heeds`), or no credit or slot is left, nothing is asked. Errors: `access.region_of`,
    UndecryptableError.
    """
    job_id, other_id = _ids_to_ask(connection)
    at = timezone.now()
    if pause := pause_wanted_by_zoho(connection, heeds):
        return Asked(at, job_id, not_asked=pause)
    try:
        with (
            slots.held(connection, good_for=_slot_good_for()) as slot,
            open_client(connection) as client,
        ):
            # One of them for another job, should this one be refused.
            calls, budget, hour = credits.reserve(connection, 2, slot=slot)
            if not calls:
                return Asked(at, job_id, not_asked=_no_credits(connection, budget))
            try:
                open_tokens(connection).forget_refusal()
                answer = _ask(client, job_id)
                other = None
                if failures.is_refusal(answer.error) and job_id != NO_JOB and calls > 1:
                    other = _ask(client, other_id)
            finally:
                credits.spend(connection, client.calls - calls, hour=hour)
                if client.knows_credits:
                    credits.note_remaining(connection, client.credits_remaining)
    except slots.NoSlotError as no_slot:
        wait = TestResult(False, str(no_slot), "Test it again in a moment.", is_temporary=True)
        return Asked(at, job_id, not_asked=wait)
    error = answer.error
    if error is not None and error.code == "RESOURCE_NOT_FOUND":
        return Asked(at, job_id, error_of_job=error)
    if error is None or not failures.is_refusal(error) or job_id == NO_JOB:
        return Asked(at, job_id, error)
    if other is None:
        not_known = _not_known_of_others(error, job_id, _no_credits(connection, budget))
        return Asked(at, job_id, not_asked=not_known)
    if failures.is_answer(other):
        return Asked(at, job_id, error_of_job=error)
    return Asked(at, job_id, error if failures.is_refusal(other.error) else other.error)


def _slot_good_for() -> timedelta:
    """Longer than a test can take, as nobody renews the slot meanwhile.

    That is a token, then two jobs, for each a call, another token and the call again. A token takes
    two timeouts and some seconds where another process asks for it and fails.
    """
    token = 2 * settings.ZOHO_REQUEST_TIMEOUT_SECONDS + 5
    seconds = 3 * token + 4 * settings.ZOHO_REQUEST_TIMEOUT_SECONDS
    return min(timedelta(seconds=seconds), CallSlot.LONGEST)


def _ids_to_ask(connection: Connection) -> tuple[str, str]:
    """The ids of the job to ask about and of one to compare it with; NO_JOB where there is none."""
    # Not one that Zoho may refuse by itself.
    jobs = BulkWriteJob.objects.filter(connection=connection, poll_error__isnull=True)
    newest = jobs.exclude(poll_state=BulkWriteJob.PollState.BLOCKED).order_by("-pk")
    answered = newest.filter(last_changed_at__isnull=False)
    ids = [*dict.fromkeys([*_first_ids(answered), *_first_ids(newest)]), NO_JOB, NO_JOB]
    return ids[0], ids[1]


def _first_ids(jobs: QuerySet[BulkWriteJob]) -> list[str]:
    return list(jobs.values_list("zoho_job_id", flat=True)[:2])


def _ask(client: BulkWriteClient, job_id: str) -> Answer:
    asked_at = timezone.now()
    try:
        return Answer(job_id, asked_at, client.job_details(job_id), None)
    except ZohoError as error:
        return Answer(job_id, asked_at, None, error)


def _not_known_of_others(error: ZohoError, job_id: str, why_not: TestResult) -> TestResult:
    said = wording.error_in_words(error.code, error.message)
    return replace(
        why_not,
        message=f"Zoho refuses job {job_id}: {said} Whether it refuses others as well is not "
        "known: the API credits that Bulkwatch may use within 24 hours are used up.",
    )


def pause_wanted_by_zoho(
    connection: Connection, heeds: Collection[Connection.Waiting]
) -> TestResult | None:
    """That Zoho has asked for a pause which is not over: asking meanwhile makes it last longer."""
    stored = Connection.objects.get(pk=connection.pk)
    if stored.waiting_for not in heeds:
        return None
    if stored.resume_at is None or stored.resume_at <= timezone.now():
        return None
    why = Connection.Waiting(stored.waiting_for).label
    return TestResult(
        False,
        f"{why}, so nothing was asked now.",
        "Test it again then.",
        is_temporary=True,
        until=stored.resume_at,
    )


def _no_credits(connection: Connection, budget: credits.Credits) -> TestResult:
    return TestResult(
        False,
        "The API credits that Bulkwatch may use within 24 hours are used up, so nothing was asked.",
        "Test it again then, or give the connection more credits a day.",
        is_temporary=True,
        until=credits.free_again_at(connection, budget, timezone.now()),
    )


def _told(connection: Connection, error: ZohoError, asked_at: datetime) -> TestResult:
    if standing.needs_person(error):
        _note(connection, ConnectionNews(asked_at=asked_at, refusal=error))
        said = wording.error_in_words(error.code, error.message)
        return TestResult(False, said, error.resolution)
    if isinstance(error, ZohoThrottledError):
        _note(connection, ConnectionNews(asked_at=asked_at))
        # Polls are to pause as well.
        standing.pause_for(connection, error, timezone.now())
        return throttled(error)
    said = wording.error_in_words(error.code, error.message)
    is_temporary = not isinstance(error, ZohoRejectedError)
    if is_temporary:
        _note_outage(connection, error, asked_at)
    return TestResult(False, said, error.resolution, is_temporary=is_temporary)


def _note_outage(connection: Connection, error: ZohoError, asked_at: datetime) -> None:
    """Have the connection stand as if a poll had found no answer, and a poll find out if it lasts.

    That poll tells who is to be told: whoever tests sees it.
    """
    with transaction.atomic():
        batch = Batch(connection, timezone.now())
        standing.note(batch, ConnectionNews(asked_at=asked_at, outage=error), answered=False)
    watched = BulkWriteJob.objects.filter(connection=connection).active()
    soonest = watched.filter(next_poll_at__gt=asked_at).order_by("next_poll_at", "pk").first()
    if soonest is not None:
        watched.filter(pk=soonest.pk).update(next_poll_at=timezone.now())


@transaction.atomic
def _note(connection: Connection, news: ConnectionNews) -> None:
    """Have the connection stand as if a poll had been answered so."""
    batch = Batch(connection, timezone.now())
    standing.note(batch, news, answered=news.answered_at is not None)
    batch.write()


def throttled(error: ZohoThrottledError) -> TestResult:
    """What to say when Zoho asks to slow down, whose words may be in any language."""
    is_for_tokens = isinstance(error, TokensThrottledError)
    meaning = CODES["ACCESS DENIED" if is_for_tokens else "TOO_MANY_REQUESTS"].help.meaning
    said = f" Zoho's words: “{error.message}”" if error.message != meaning else ""
    until = timezone.now() + timedelta(seconds=error.retry_after) if error.retry_after else None
    return TestResult(False, meaning + said, error.resolution, is_temporary=True, until=until)
