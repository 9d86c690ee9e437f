"""Asking Zoho about ids that nobody has registered: what it says is told and changes no job.

Calls keep to the connection's slots and API credits as polls do, and leave half of each to these.
"""

import logging
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.utils import timezone

from jobs.models import CheckedId, Connection, UndecryptableError
from jobs.services.connections.access import CustomHostsForbiddenError, open_client
from jobs.services.errors import error_as_json, own_error
from jobs.services.limits import credits, slots
from jobs.services.limits.booking import Booking
from jobs.services.observing import asking, failures, standing, waiting
from jobs.zoho.client import Answer, BulkWriteClient
from jobs.zoho.errors import ZohoError, ZohoRejectedError, ZohoThrottledError
from jobs.zoho.payloads import LARGEST_COUNT, JobDetails

logger = logging.getLogger(__name__)

Said = CheckedId.Answer

MAX_THREADS = 25
# Waits that end by themselves, and soon enough to be waited for.
_SHORT_WAITS = (
    Connection.Waiting.THROTTLED,
    Connection.Waiting.TOKENS,
    Connection.Waiting.UNAVAILABLE,
)


class CannotAskError(Exception):
    """Zoho cannot be asked any more; `error` says why, in the form in which errors are stored.

    `until` is when asking may go on by itself; None where somebody has to do something first, or
    where it would take too long.
    """

    def __init__(self, error: dict[str, Any], until: datetime | None = None) -> None:
        super().__init__(error["message"])
        self.error = error
        self.until = until


@dataclass(frozen=True, slots=True)
class Finding:
    """What Zoho says about one id. `rows` is None where Zoho names no counts that can be."""

    said: CheckedId.Answer
    status: str = ""
    modules: str = ""
    rows: int | None = None
    created_time: datetime | None = None
    error: dict[str, Any] | None = None


def finding_of(answer: Answer) -> Finding:
    """What an answer says about its id."""
    if answer.details is not None:
        return _found(answer.details)
    error = answer.error
    assert error is not None  # noqa: S101 - there is one or the other
    is_unknown = isinstance(error, ZohoRejectedError) and error.code == "RESOURCE_NOT_FOUND"
    return Finding(Said.UNKNOWN if is_unknown else Said.NO_ANSWER, error=error_as_json(error))


def _found(details: JobDetails) -> Finding:
    modules = dict.fromkeys(item.module for item in details.resources if item.module)
    counts = [item.file.total_count for item in details.resources if item.file]
    known = [count for count in counts if count is not None]
    total = sum(known) if known else None
    if total is not None and not (min(known) >= 0 and total <= LARGEST_COUNT):
        total = None
    return Finding(
        Said.FOUND,
        status=details.status_raw[:100],
        modules=", ".join(modules)[:500],
        rows=total,
        created_time=details.created_time,
    )


def ask(
    connection: Connection,
    job_ids: Sequence[str],
    *,
    seconds: float,
    stop: threading.Event | None = None,
) -> Iterator[Answer | None]:
    """Ask about ids, for so many seconds or until `stop` is set; answers come as they arrive.

    None comes at least twice a second: the caller's turn. Ids that are not asked about in the end
    do not come. A refusal that may be meant for its id alone is an answer, unless another follows
    before Zoho has answered about any id. Raises NoSlotError where all calls that the connection
    allows are under way, and CannotAskError, also after some answers.
    """
    connection = Connection.objects.get(pk=connection.pk)
    check_askable(connection)
    wanted = min(MAX_THREADS, connection.max_concurrency, len(job_ids))
    with slots.held(connection, wanted, slots.Use.CHECK) as slot:
        booking = Booking(connection, len(job_ids), slot, for_check=True)
        made = 0
        try:
            if booking.is_empty:
                raise no_credits(connection, booking.credits)
            client = _open(connection, slot.calls)
            with client:
                try:
                    yield from _answers(connection, client, slot, booking, job_ids, seconds, stop)
                finally:
                    made = client.calls
                    if client.knows_credits:
                        credits.note_remaining(connection, client.credits_remaining)
        finally:
            booking.settle(made)


def check_askable(connection: Connection) -> None:
    """Raise CannotAskError where nothing may be asked of the connection now."""
    if connection.is_blocked:
        raise CannotAskError(_needs_person(connection))
    if not connection.is_signed_in:
        message = f"Nobody has signed in to Zoho for the connection {connection.name} yet."
        raise CannotAskError(own_error(message, "Sign in to Zoho first."))
    if connection.paused:
        message = f"The connection {connection.name} is paused."
        raise CannotAskError(own_error(message, "Resume it first."))
    if why_not := waiting.why_not(connection, timezone.now()):
        is_short = connection.waiting_for in _SHORT_WAITS
        raise CannotAskError(own_error(why_not), connection.resume_at if is_short else None)


def no_credits(connection: Connection, budget: credits.Credits) -> CannotAskError:
    """The error for a connection without credits; it says until when."""
    now = timezone.now()
    until = waiting.moment(credits.free_again_at(connection, budget, now, for_check=True), now)
    return CannotAskError(
        own_error(
            f"The API credits that checks on {connection.name} may use within 24 hours are used "
            f"up, as half of all is kept for polling: some are free again {until}.",
            "Go on with this check then, or give the connection a larger budget.",
        )
    )


def _open(connection: Connection, threads: int) -> BulkWriteClient:
    try:
        return open_client(connection, threads=threads)
    except (CustomHostsForbiddenError, UndecryptableError, ValueError) as error:
        raise CannotAskError(
            own_error(str(error), "Correct the connection, then go on.")
        ) from error


def _answers(
    connection: Connection,
    client: BulkWriteClient,
    slot: slots.Slot,
    booking: Booking,
    job_ids: Sequence[str],
    seconds: float,
    stop: threading.Event | None,
) -> Iterator[Answer | None]:
    stop = stop or threading.Event()
    limit = max(2 * slot.calls, asking.HOPELESS_FAILURES)
    failed_on_end = 0
    until: datetime | None = None
    refusal: ZohoError | None = None
    cannot: CannotAskError | None = None
    refused: list[Answer] = []
    looked_at = kept_at = time.monotonic()
    for answer in _past_lone_refusals(
        client,
        job_ids,
        refused,
        seconds=seconds,
        stop=stop,
        threads=slot.calls,
        tick=asking.TICK_SECONDS,
        most_failures=limit,
        may_ask=booking.take,
    ):
        if stop.is_set():
            booking.close()
        else:
            booking.top_up()
        now = time.monotonic()
        if now - looked_at >= asking.LOOK_SECONDS and not stop.is_set():
            # As polls do: others may have learnt that nothing more may be asked.
            cannot = _why_not(connection)
            if cannot is not None:
                stop.set()
            looked_at = now
        if now - kept_at >= asking.KEEP_SECONDS:
            if not slot.renew():
                logger.warning("A check on %s stops asking: its calls are others'.", connection)
                stop.set()
            kept_at = now
        error = answer.error if answer is not None else None
        if isinstance(error, ZohoThrottledError):
            # At once, so that polls pause as well.
            until = standing.pause_for(connection, error, timezone.now())
            refusal = error
            stop.set()
            continue
        if error is not None and standing.needs_person(error) and not failures.is_refusal(error):
            refusal = error
            stop.set()
            continue
        if answer is not None:
            failed_on_end = failed_on_end + 1 if failures.is_outage(error) else 0
            if failed_on_end >= limit:
                refusal = refusal or error
                stop.set()
        yield answer
    if len(refused) > 1:
        refusal = refusal or refused[0].error
    if refusal is not None:
        raise CannotAskError(error_as_json(refusal), until)
    if cannot is not None:
        raise cannot
    if not stop.is_set():
        yield from refused


def _past_lone_refusals(
    client: BulkWriteClient,
    job_ids: Sequence[str],
    refused: list[Answer],
    *,
    seconds: float,
    stop: threading.Event,
    **options: Any,
) -> Iterator[Answer | None]:
    """What `job_details_many` yields, which asks no further once an id is refused; this does.

    It ends with two refusals and no answer between, as Zoho means all ids then. A refusal comes
    once Zoho has answered about another id; those that none followed are in `refused` in the end.
    """
    asked = set[str]()
    until = time.monotonic() + seconds
    is_refused = True
    while is_refused and len(refused) < 2 and not stop.is_set():
        is_refused = False
        for answer in client.job_details_many(
            [job_id for job_id in job_ids if job_id not in asked],
            seconds=until - time.monotonic(),
            stop=_EndOfRound(stop),
            asked=asked,
            **options,
        ):
            if answer is not None and failures.is_refusal(answer.error):
                refused.append(answer)
                is_refused = True
                continue
            if answer is not None and failures.is_answer(answer):
                yield from refused
                refused.clear()
            yield answer


class _EndOfRound(threading.Event):
    """Set by the client where it asks no further, and by whoever ends the whole bout."""

    def __init__(self, stop: threading.Event) -> None:
        super().__init__()
        self._stop = stop

    def is_set(self) -> bool:
        return super().is_set() or self._stop.is_set()


def _why_not(connection: Connection) -> CannotAskError | None:
    try:
        check_askable(Connection.objects.get(pk=connection.pk))
    except CannotAskError as error:
        return error
    return None


def _needs_person(connection: Connection) -> dict[str, Any]:
    known = connection.last_error or {}
    return {
        "code": known.get("code"),
        "http_status": known.get("http_status"),
        "message": known.get("message") or f"Zoho refuses the connection {connection.name}.",
        "resolution": known.get("resolution") or "Repair the connection, then go on.",
    }
