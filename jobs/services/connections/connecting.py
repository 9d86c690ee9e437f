"""Connections to Zoho orgs: add or change one, pause it, have it proven anew."""

from collections.abc import Collection

from django.core.exceptions import ValidationError
from django.db.models.functions import Greatest
from django.utils import timezone

from jobs.models import Connection, SignIn, UndecryptableError, checked_addresses
from jobs.models.fields import Sealed
from jobs.services.connections.access import CustomHostsForbiddenError, region_of
from jobs.services.errors import own_error
from jobs.services.limits import credits
from jobs.services.observing import leases
from jobs.zoho.regions import AddressError

PLACE_FIELDS = ("data_center", "environment", "api_url", "accounts_url", "download_url")
SIGN_IN_FIELDS = (*PLACE_FIELDS, "client_id", "client_secret", "refresh_token")
# What decides whether Zoho answers: what it said before holds no longer where one is changed.
ANSWERED_BY_FIELDS = (*SIGN_IN_FIELDS, "api_version")
CREDIT_FIELDS = ("daily_credits", "edition", "paid_users")


def check_addresses(connection: Connection) -> None:
    """Raise ValidationError where the connection's addresses cannot be used, of the field at fault.

    That is its data centre where it is none of the addresses; two where both are missing.
    """
    try:
        region_of(connection)
    except AddressError as error:
        missing = [name for name in ("api_url", "accounts_url") if not getattr(connection, name)]
        raise ValidationError(dict.fromkeys(missing or [error.which], str(error))) from error
    except (CustomHostsForbiddenError, ValueError) as error:
        raise ValidationError({"data_center": str(error)}) from error


def prepare(connection: Connection) -> Connection | None:
    """Make a new or changed connection ready to be stored; the stored one, None if it is new.

    One that has moved to other hosts or another org loses the sign-in that it had and was not
    given anew: no secret is ever sent to another place than it was given for. Raises
    ValidationError for what cannot be, of a field where it is one's fault.
    """
    stored = Connection.objects.filter(pk=connection.pk).first()
    if stored is not None and has_moved(stored, connection):
        _forget_sign_in(stored, connection)
    check_addresses(connection)
    checked_addresses(connection.alert_recipients)
    try:
        connection.full_clean(exclude=_untouched_secrets(connection))
        if connection.refresh_token and not (connection.client_id and connection.client_secret):
            raise ValidationError("A refresh token goes with a client ID and its client secret.")
    except UndecryptableError as error:
        raise ValidationError(f"{error} Or sign in to Zoho again.") from error
    if wrong := above_limits(connection):
        raise ValidationError(dict(wrong))
    return stored


def above_limits(connection: Connection) -> dict[str, str]:
    """What asks for more than Zoho allows the connection's edition: a sentence for each field."""
    most = calls_allowed(connection)
    if most is None:
        return {}
    wrong = {}
    if connection.max_concurrency > most:
        wrong["max_concurrency"] = (
            f"Zoho allows the edition {connection.get_edition_display()} {most} calls at a time."
        )
    allowance = credits.allowance_of(connection)
    if connection.daily_credits and connection.daily_credits > allowance:
        wrong["daily_credits"] = (
            f"Zoho gives the org {allowance:,} API credits in 24 hours, by its edition and paid "
            "users."
        )
    return wrong


def calls_allowed(connection: Connection) -> int | None:
    """Calls at a time that Zoho allows the connection's edition; None where Zoho is not asked."""
    if connection.data_center == Connection.DataCenter.CUSTOM:
        return None
    return credits.edition_of(connection).calls_at_a_time


def has_moved(stored: Connection, changed: Connection) -> bool:
    """Whether a change leads to other hosts or another org, where the sign-in is worth nothing."""
    return any(getattr(stored, name) != getattr(changed, name) for name in PLACE_FIELDS)


def save(connection: Connection) -> None:
    """Store a new or changed connection, see `prepare`; errors likewise.

    One that is asked otherwise than before, or has other credits, is tried at once where it was
    blocked, or waited for credits: that it works, the first answer shows. What Zoho wants it to
    wait for stays, unless it asks another org now; a limit of access tokens is that of the refresh
    token. Other changes leave its state alone.
    """
    stored = prepare(connection)
    if stored is None:
        connection.save()
        return
    if has_moved(stored, connection):
        SignIn.objects.filter(connection=stored).delete()
    # Workers write the state meanwhile: what was read with the form must not overwrite it.
    fields = {field.name for field in Connection._meta.concrete_fields if field.editable}
    fields = fields - {"id", "paused"} | {"is_sample"}
    # Somebody may have signed in meanwhile.
    fields -= _untouched_secrets(connection)
    ended: set[Connection.Waiting] = set()
    is_asked_otherwise = _differ(stored, connection, ANSWERED_BY_FIELDS)
    if is_asked_otherwise:
        ended = set(Connection.Waiting)
        if not has_moved(stored, connection):
            ended.remove(Connection.Waiting.THROTTLED)
        if not _differ(stored, connection, (*PLACE_FIELDS, "client_id", "refresh_token")):
            ended.remove(Connection.Waiting.TOKENS)
    elif _differ(stored, connection, CREDIT_FIELDS):
        # If they still do not suffice, the next poll finds that out.
        ended = {Connection.Waiting.CREDITS}
    if stored.blocked_at is not None and is_asked_otherwise:
        leases.make_due_from_now(stored)
    connection.save(update_fields=fields)
    end_wait(connection, ended)
    if is_asked_otherwise:
        to_be_proven(connection, "The connection was changed.")


def end_wait(connection: Connection, ended: Collection[Connection.Waiting]) -> None:
    """Let a connection that waits for one of these be asked from now on."""
    waiting = Connection.objects.filter(pk=connection.pk, waiting_for__in=ended)
    waiting.filter(resume_at__gt=timezone.now()).update(resume_at=timezone.now())
    waiting.update(waiting_for="")
    connection.refresh_from_db(fields=["resume_at", "waiting_for"])


def to_be_proven(connection: Connection, why: str) -> None:
    """Say of a connection that something was done about it, and have one job tried first.

    A blocked one stays so until Zoho answers, so that its recovery is told, and no second refusal.
    """
    stored = Connection.objects.filter(pk=connection.pk)
    stored.update(failures=Greatest("failures", 1), unanswered_since=None, last_error=None)
    stored.exclude(blocked_at=None).update(
        last_error=own_error(f"{why} Whether it works is not known yet.", "Test the connection.")
    )
    connection.refresh_from_db(fields=["failures", "unanswered_since", "last_error", "blocked_at"])


def _forget_sign_in(stored: Connection, moved: Connection) -> None:
    names = ["refresh_token"]
    if stored.data_center != moved.data_center or stored.accounts_url != moved.accounts_url:
        names.append("client_secret")
    # One that was given with this change is for the new place.
    for name in _untouched_secrets(moved).intersection(names):
        setattr(moved, name, "")


def _untouched_secrets(connection: Connection) -> set[str]:
    """The fields whose secrets are as they were read from the database."""
    return {name for name, value in vars(connection).items() if isinstance(value, Sealed)}


def _differ(stored: Connection, changed: Connection, names: tuple[str, ...]) -> bool:
    try:
        return any(getattr(stored, name) != getattr(changed, name) for name in names)
    except UndecryptableError:
        return True


def set_paused(connection: Connection, paused: bool) -> None:
    """Ask nothing about a connection's jobs any more, or go on with it."""
    if not paused and Connection.objects.filter(pk=connection.pk, paused=True).exists():
        leases.make_due_from_now(connection)
    Connection.objects.filter(pk=connection.pk).update(paused=paused)
