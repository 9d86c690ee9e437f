"""How a connection is doing, in words."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from jobs.models import Connection

# Polls that bring no job's details for this long are worth a word.
SILENT_AFTER = timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class ConnectionState:
    """`tone` is good, warn, bad or neutral; `until` is when a wait ends."""

    word: str
    tone: str
    text: str
    what_to_do: str = ""
    until: datetime | None = None


def state_of(connection: Connection, now: datetime) -> ConnectionState:
    """The state of a connection, the one that needs a person most first."""
    if connection.blocked_at is not None:
        error = connection.last_error or {}
        said = " ".join(filter(None, (error.get("message"), _code(error.get("code")))))
        return ConnectionState(
            "Needs you",
            "bad",
            said or "Zoho does not accept the sign-in.",
            error.get("resolution") or "Correct the connection, then test it.",
        )
    if connection.paused:
        return ConnectionState(
            "Paused", "neutral", "Nothing is asked about its jobs until it is resumed."
        )
    if connection.resume_at is not None and connection.resume_at > now:
        return ConnectionState(
            "Waiting",
            "warn",
            "Zoho asked to slow down. Its jobs are asked about again",
            until=connection.resume_at,
        )
    if connection.last_polled_at is None:
        return ConnectionState(
            "Not polled yet", "neutral", "Nothing was asked yet: it begins with the first job."
        )
    if _is_silent(connection):
        return ConnectionState(
            "No answers",
            "warn",
            "Zoho was asked, but gave no job's details lately.",
            "Test the connection; the poll logs of its jobs say what Zoho answers.",
        )
    return ConnectionState("Working", "good", "Zoho answers about its jobs.")


def _is_silent(connection: Connection) -> bool:
    asked, answered = connection.last_polled_at, connection.last_answer_at
    if answered is None:
        return True
    return asked is not None and asked - answered > SILENT_AFTER


def _code(code: str | None) -> str:
    return f"({code})" if code else ""
