"""Why Zoho is not asked about a connection's jobs now, and when that is over, in words."""

from datetime import datetime

from django.utils import timezone

from jobs.models import Connection

Waiting = Connection.Waiting
# What a person may try before its time: only Zoho's own word and the budget forbid that.
_TRIED_BY_PERSONS = (Waiting.UNAVAILABLE, Waiting.REPAIR)


def why_not(connection: Connection, now: datetime, *, by_person: bool = False) -> str:
    """A sentence that says why nothing may be asked about its jobs now, and until when.

    Empty where it may be asked. A person need not wait for the next try after an outage, nor for
    that of a connection that has been repaired.
    """
    if not connection.is_signed_in:
        return f"Nobody has signed in to Zoho for the connection {connection.name} yet."
    if connection.paused:
        return f"The connection {connection.name} is paused: Zoho is asked once it is resumed."
    if connection.resume_at is None or connection.resume_at <= now:
        return ""
    if by_person and connection.waiting_for in _TRIED_BY_PERSONS:
        return ""
    until = moment(connection.resume_at, now)
    match connection.waiting_for:
        case Waiting.REPAIR:
            said = (connection.last_error or {}).get("message") or "Zoho refuses it."
            return f"The connection {connection.name} needs a person: {said} Next try {until}."
        case Waiting.TOKENS:
            return (
                f"Zoho gives the connection {connection.name} no access token for a while: its "
                f"jobs are asked about again {until}."
            )
        case Waiting.CREDITS:
            return (
                f"The API credits for polling {connection.name} are used up: its jobs are asked "
                f"about again {until}."
            )
        case Waiting.UNAVAILABLE:
            return f"Zoho does not answer for the connection {connection.name}: next try {until}."
        case _:
            return f"Zoho asked to slow down: {connection.name} is asked again {until}."


def moment(at: datetime, now: datetime) -> str:
    """A time to come in the installation's zone: "at 14:05:30", with its day if that is another."""
    local = timezone.localtime(at)
    clock = f"at {local:%H:%M:%S}"
    if local.date() == timezone.localtime(now).date():
        return clock
    return f"on {local.day} {local:%b} {clock}"
