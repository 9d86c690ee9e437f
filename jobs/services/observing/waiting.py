"""Why Zoho is not asked about a connection's jobs now, and when it is, in words."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from django.utils import timezone

from jobs.models import BulkWriteJob, Connection
from jobs.services.connections.connection_states import ConnectionState, state_of
from jobs.services.limits.credits import credits_of

# What a person may try before its time: only Zoho's own word and the budget forbid that.
_TRIED_BY_PERSONS = (Connection.Waiting.UNAVAILABLE, Connection.Waiting.REPAIR)


@dataclass(frozen=True, slots=True)
class NextCheck:
    """When a job is asked about next, None where that is never or cannot be told, and why then."""

    at: datetime | None = None
    note: str = ""


def why_not(connection: Connection, now: datetime, *, by_person: bool = False) -> str:
    """A sentence that says why nothing may be asked about its jobs now, and until when.

    Empty where it may be asked. A person need not wait for the next try after an outage, nor for
    that of a connection that has been repaired.
    """
    if _may_be_asked(connection, now, by_person=by_person):
        return ""
    state = _state(connection, now)
    said = f"{connection.name}: {state.text}"
    if state.until is not None and state.and_then:
        said += f" {state.and_then} {moment(state.until, now)}."
    return said


def why_not_in_a_word(connection: Connection, now: datetime) -> str:
    """As `why_not`, in the few words that a chip holds: "Not asked: paused"."""
    if _may_be_asked(connection, now):
        return ""
    word = state_of(connection, now).word
    return f"Not asked: {word[0].lower()}{word[1:]}"


def _may_be_asked(connection: Connection, now: datetime, *, by_person: bool = False) -> bool:
    if not connection.is_signed_in or connection.paused:
        return False
    if connection.resume_at is None or connection.resume_at <= now:
        return True
    return by_person and connection.waiting_for in _TRIED_BY_PERSONS


def _state(connection: Connection, now: datetime) -> ConnectionState:
    """With its credits where it waits for them: whose shortage it is depends on them."""
    waits_for_credits = connection.waiting_for == Connection.Waiting.CREDITS
    return state_of(connection, now, credits_of(connection, now) if waits_for_credits else None)


def why_not_about(jobs: Iterable[BulkWriteJob], now: datetime) -> dict[int, str]:
    """Why nothing is asked now, by the keys of those connections of jobs that have to wait."""
    connections = {job.connection_id: job.connection for job in jobs}
    said = {pk: why_not(connection, now) for pk, connection in connections.items()}
    return {pk: text for pk, text in said.items() if text}


def next_check(job: BulkWriteJob, now: datetime) -> NextCheck:
    """When a job is asked about next: what it and its connection wait for."""
    connection = job.connection
    match job.poll_state:
        case BulkWriteJob.PollState.DONE:
            return NextCheck(note="none: it is over")
        case BulkWriteJob.PollState.PAUSED:
            return NextCheck(note="none: paused")
        case BulkWriteJob.PollState.BLOCKED:
            return NextCheck(
                note="none: unknown to Zoho" if job.is_unknown_to_zoho else "none: Zoho refuses"
            )
    if not connection.is_signed_in:
        return NextCheck(note="none: nobody has signed in to Zoho for the connection")
    if connection.paused:
        return NextCheck(note="none: the connection is paused")
    if connection.resume_at is not None and connection.resume_at > now:
        at = max(connection.resume_at, job.next_poll_at or connection.resume_at)
        if connection.is_blocked:
            return NextCheck(at, "the connection needs a person and is tried by itself")
        return NextCheck(at, _state(connection, now).text)
    if job.next_poll_at is not None and credits_of(connection, now).is_stretched:
        return NextCheck(job.next_poll_at, "less often than usual, to spare API credits")
    return NextCheck(job.next_poll_at, "" if job.next_poll_at else "soon")


def moment(at: datetime, now: datetime) -> str:
    """A time to come in the installation's zone: "at 14:05:30 CET"; its day as well if another."""
    local = timezone.localtime(at)
    clock = f"at {local:%H:%M:%S %Z}"
    if local.date() == timezone.localtime(now).date():
        return clock
    return f"on {local.day} {local:%b} {clock}"
