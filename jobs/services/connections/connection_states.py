"""How a connection is doing, in words."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, NamedTuple

from jobs.models import Connection
from jobs.services import wording
from jobs.services.limits.credits import Credits, free_again_at
from jobs.services.limits.forecast import Shortage, shortage_of
from jobs.zoho.codes import CODES

# An outage is short so often that it is no alarm before.
UNANSWERED_IS_BAD_AFTER = timedelta(minutes=5)
# Polls that bring no job's details for this long are worth a word.
SILENT_AFTER = timedelta(minutes=10)
# A due job that nobody has asked about for this long means that polling does not keep up.
LATE_AFTER = timedelta(minutes=2)

Waiting = Connection.Waiting


class Key(StrEnum):
    BLOCKED = "blocked"
    UNSIGNED = "unsigned"
    PAUSED = "paused"
    WAITING = "waiting"
    LATE = "late"
    SILENT = "silent"
    SLOWED = "slowed"
    UNPOLLED = "unpolled"
    IDLE = "idle"
    WORKING = "working"


class Repair(StrEnum):
    """Where a person goes first, once what is wrong is known."""

    SIGN_IN = "sign-in"
    EDIT = "edit"
    TEST = "test"


# Of a refusal with another code, a new sign-in is what helps.
REPAIRS = {
    "INVALID_TOKEN": Repair.EDIT,
    "AUTHENTICATION_FAILURE": Repair.EDIT,
    "INVALID_URL_PATTERN": Repair.EDIT,
    "INVALID_REQUEST_METHOD": Repair.EDIT,
    "METHOD_NOT_ALLOWED": Repair.EDIT,
    "API_NOT_SUPPORTED": Repair.EDIT,
    "NO_PERMISSION": Repair.TEST,
    "AUTHORIZATION_FAILED": Repair.TEST,
}


@dataclass(frozen=True, slots=True)
class ConnectionState:
    """`tone` is good, warn, bad or neutral.

    `text` is a sentence; `until` is the moment that `and_then`, the begun sentence after it, ends
    with; `since` is when it began; `repair` is None where no page of the connection's helps.
    """

    key: Key
    word: str
    tone: str
    text: str
    what_to_do: str = ""
    and_then: str = ""
    until: datetime | None = None
    since: datetime | None = None
    repair: Repair | None = None


def state_of(
    connection: Connection,
    now: datetime,
    credits: Credits | None = None,
    *,
    next_due: datetime | None = None,
) -> ConnectionState:
    """The state of a connection, what needs a person most first.

    Without its credits, neither is told that they run low nor that no job is being watched;
    without `next_due`, when the first of its next polls is or was due, not that polls are late.
    """
    until = connection.resume_at
    is_waiting = until is not None and until > now
    if connection.blocked_at is not None:
        return _blocked(connection, until if is_waiting and not connection.paused else None)
    if not connection.is_signed_in:
        return ConnectionState(
            Key.UNSIGNED,
            "Not signed in",
            "warn",
            "Nobody has signed in to Zoho for it yet, so nothing is asked about its jobs.",
            "Sign in to Zoho.",
            repair=Repair.SIGN_IN,
        )
    if connection.paused:
        return ConnectionState(
            Key.PAUSED, "Paused", "neutral", "Nothing is asked about its jobs until it is resumed."
        )
    if is_waiting:
        return _waiting(connection, credits, now)
    if connection.unanswered_since is not None:
        return _unanswered(connection, now)
    # What waited until then is asked about from then on.
    due = max(next_due, until or next_due) if next_due is not None else None
    if due is not None and now - due > LATE_AFTER:
        return ConnectionState(
            Key.LATE,
            "Not asked lately",
            "warn",
            "Some of its jobs are due, and Zoho was not asked about them yet.",
            "The banner at the top of this page says what is wrong.",
            and_then="The first was due",
            until=due,
        )
    if connection.last_polled_at is None:
        return ConnectionState(
            Key.UNPOLLED,
            "Not polled yet",
            "neutral",
            "Nothing was asked yet: it begins with the first job.",
        )
    if _is_silent(connection):
        return ConnectionState(
            Key.SILENT,
            "No answers",
            "warn",
            "Zoho was asked, but gave no job's details lately.",
            "Test the connection; the pages of its jobs say what Zoho answered last.",
        )
    if credits is not None and not credits.left:
        return _out_of_credits(credits, free_again_at(connection, credits, now))
    if credits is not None and credits.is_stretched:
        return _slowed(connection, credits)
    if credits is not None and not credits.demand:
        return ConnectionState(
            Key.IDLE,
            "Idle",
            "neutral",
            "No job is being watched, so Zoho is not asked.",
            and_then="It answered last",
            until=connection.last_answer_at,
        )
    return ConnectionState(Key.WORKING, "Working", "good", "Zoho answers about its jobs.")


def _blocked(connection: Connection, next_try: datetime | None) -> ConnectionState:
    error = connection.last_error or {}
    said = wording.error_in_words(error.get("code"), error.get("message"))
    return ConnectionState(
        Key.BLOCKED,
        "Needs you",
        "bad",
        said or "Zoho does not accept the sign-in.",
        error.get("resolution") or "Correct the connection, then test it.",
        and_then="It is tried again by itself" if next_try else "",
        until=next_try,
        since=connection.blocked_at,
        repair=_repair_of(error),
    )


def _repair_of(error: Mapping[str, Any]) -> Repair:
    if error and not error.get("code") and error.get("http_status") is None:
        # Not refused by Zoho: a person has changed something, and what Zoho says is not known yet.
        return Repair.TEST
    return REPAIRS.get(str(error.get("code")).upper(), Repair.SIGN_IN)


def _waiting(connection: Connection, credits: Credits | None, now: datetime) -> ConnectionState:
    what_to_do = ""
    and_then = "Its jobs are asked about again"
    match connection.waiting_for:
        case Waiting.TOKENS:
            text = "Zoho gives no access tokens for a while: too many were asked for."
            what_to_do = (
                "Nobody needs to sign in again. If this comes back, see whether another program "
                "uses the same refresh token: it allows 10 access tokens in 10 minutes."
            )
        case Waiting.CREDITS:
            return _out_of_credits(credits, connection.resume_at)
        case Waiting.UNAVAILABLE:
            return _unanswered(connection, now, until=connection.resume_at)
        case Waiting.REPAIR:
            text = "Zoho refused it."
            and_then = "It is tried again"
            what_to_do = "Test the connection."
        case _:
            text = "Zoho asked to slow down."
            what_to_do = CODES["TOO_MANY_REQUESTS"].help.resolution
    return ConnectionState(
        Key.WAITING,
        "Waiting",
        "warn",
        text,
        what_to_do,
        and_then=and_then,
        until=connection.resume_at,
    )


def _out_of_credits(credits: Credits | None, until: datetime | None) -> ConnectionState:
    if credits is not None and credits.is_org_short:
        text = "The org has hardly any API credits left; the rest is for its other programs."
        what_to_do = "See which other program uses up the org's API credits."
    else:
        text = "The API credits that polling may use within 24 hours are used up."
        what_to_do = "Give polling more credits a day."
        if credits is not None and credits.demand > credits.budget:
            what_to_do = "Give polling more credits a day, or a longer interval."
    return ConnectionState(
        Key.WAITING,
        "Out of credits",
        "warn",
        text,
        what_to_do,
        and_then="Its jobs are asked about again",
        until=until,
    )


def _unanswered(
    connection: Connection, now: datetime, *, until: datetime | None = None
) -> ConnectionState:
    since = connection.unanswered_since
    lasts = since is not None and now - since > UNANSWERED_IS_BAD_AFTER
    silence = silence_of(connection)
    return ConnectionState(
        Key.SILENT,
        "No answers",
        "bad" if lasts else "warn",
        f"Zoho {silence.does} about its jobs. {silence.said}",
        silence.what_to_do,
        and_then="The next try is" if until else "",
        until=until,
        since=since,
    )


class Silence(NamedTuple):
    """What an unanswered connection gets from Zoho: what Zoho does, what was seen, what helps."""

    does: str
    said: str
    what_to_do: str


def silence_of(connection: Connection) -> Silence:
    """In words, by the error that was stored last."""
    error = connection.last_error or {}
    # Only what was answered has a status.
    was_answered = error.get("http_status") is not None
    return Silence(
        "gives no usable answer" if was_answered else "does not answer",
        wording.error_in_words(error.get("code"), error.get("message"))
        or "No request was answered.",
        error.get("resolution")
        or "If Zoho itself is up, look at the network and the proxy (ZOHO_PROXY_URL), and test "
        "the connection.",
    )


def _slowed(connection: Connection, credits: Credits) -> ConnectionState:
    text = {
        Shortage.ORG: "Zoho says that the org's API credits run low.",
        Shortage.BUDGET: f"{wording.percent(credits.used_share)} of the API credits "
        "that polling may use within 24 hours are used, and the rest has to last.",
        Shortage.DEMAND: "The jobs being watched need more API credits a day than polling may use.",
    }[shortage_of(credits) or Shortage.BUDGET]
    longest = wording.interval(connection.longest_interval_seconds * credits.stretch)
    return ConnectionState(
        Key.SLOWED,
        "Slowed down",
        "warn",
        f"{text} So its jobs are asked about {wording.times(credits.stretch)} less often: after "
        f"up to {longest}.",
        "Nothing, if that is soon enough. Otherwise give polling more credits a day.",
    )


def _is_silent(connection: Connection) -> bool:
    asked, answered = connection.last_polled_at, connection.last_answer_at
    if answered is None:
        return True
    return asked is not None and asked - answered > SILENT_AFTER
