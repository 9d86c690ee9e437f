"""Connections to Zoho orgs: add or change one, test it, bring a blocked one back."""

from dataclasses import dataclass

from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.utils import timezone

from jobs.models import Connection, UndecryptableError
from jobs.services.access import CustomHostsForbiddenError, open_tokens, region_of
from jobs.services.recording import error_as_json
from jobs.zoho.errors import ZohoError, ZohoSignInError

SIGN_IN_FIELDS = (
    "data_center",
    "environment",
    "api_url",
    "accounts_url",
    "client_id",
    "client_secret",
    "refresh_token",
)
STATE_FIELDS = {"blocked_at", "resume_at", "last_error", "last_polled_at", "last_answer_at"}


@dataclass(frozen=True, slots=True)
class TestResult:
    """What came of a test: whether Zoho gave an access token, and in words what to do if not."""

    ok: bool
    message: str
    resolution: str = ""


def check_addresses(connection: Connection) -> None:
    """Raise ValidationError where the connection's addresses cannot be used, saying why."""
    try:
        region_of(connection)
    except (CustomHostsForbiddenError, ValueError) as error:
        raise ValidationError(str(error)) from error


def save(connection: Connection) -> None:
    """Store a new or changed connection.

    Where it signs in otherwise than before, a blocked or throttled one may be polled again at
    once; other changes leave its state alone. Raises ValidationError for values that cannot be.
    """
    check_addresses(connection)
    for address in connection.recipients:
        try:
            validate_email(address)
        except ValidationError as error:
            raise ValidationError(f"{address[:100]} is no mail address.") from error
    try:
        connection.full_clean()
        if connection.refresh_token and not (connection.client_id and connection.client_secret):
            raise ValidationError("A refresh token goes with a client ID and its client secret.")
    except UndecryptableError as error:
        raise ValidationError(f"{error} Or give both secrets anew.") from error
    stored = Connection.objects.filter(pk=connection.pk).first()
    if stored is None:
        connection.save()
        return
    # Workers write the state meanwhile: what was read with the form must not overwrite it.
    fields = {field.name for field in Connection._meta.concrete_fields} - {"id"} - STATE_FIELDS
    if _signs_in_otherwise(stored, connection):
        connection.blocked_at = connection.resume_at = connection.last_error = None
        fields |= {"blocked_at", "resume_at", "last_error"}
    connection.save(update_fields=fields)


def _signs_in_otherwise(stored: Connection, changed: Connection) -> bool:
    try:
        return any(getattr(stored, name) != getattr(changed, name) for name in SIGN_IN_FIELDS)
    except UndecryptableError:
        return True


def set_paused(connection: Connection, paused: bool) -> None:
    """Ask nothing about a connection's jobs any more, or go on with it."""
    Connection.objects.filter(pk=connection.pk).update(paused=paused)


def test(connection: Connection) -> TestResult:
    """Ask Zoho for an access token with the connection's secrets; no credit is spent on that.

    A success unblocks the connection, a refusal that needs a person blocks it.
    """
    connections = Connection.objects.filter(pk=connection.pk)
    try:
        tokens = open_tokens(connection)
        tokens.forget_refusal()
        tokens.get()
    except ZohoSignInError as error:
        connections.update(
            blocked_at=connection.blocked_at or timezone.now(), last_error=error_as_json(error)
        )
        return TestResult(False, str(error), error.resolution)
    except ZohoError as error:
        return TestResult(False, str(error), error.resolution)
    except (CustomHostsForbiddenError, UndecryptableError, ValueError) as error:
        return TestResult(False, str(error))
    connections.update(blocked_at=None, last_error=None)
    return TestResult(
        True, "Zoho accepted the sign-in. Whether a job can be read shows with the first one."
    )
