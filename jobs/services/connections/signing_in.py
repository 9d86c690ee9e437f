"""Signing a connection in to Zoho: by Zoho's consent page, a grant code, or a refresh token.

However it is done, what the connection has stays in use until Zoho has accepted what is new.
"""

import copy
import hashlib
import secrets
from dataclasses import dataclass
from datetime import datetime

from django.conf import settings
from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import Q
from django.utils import timezone
from django.views.decorators.debug import sensitive_variables

from jobs.models import Connection, SignIn, UndecryptableError
from jobs.services.connections.access import open_tokens, proxies, region_of
from jobs.services.connections.connecting import PLACE_FIELDS, end_wait, to_be_proven
from jobs.services.connections.testing import ask_about_one_job
from jobs.services.observing import leases, standing
from jobs.zoho import consent
from jobs.zoho.errors import (
    TokensThrottledError,
    ZohoError,
    ZohoSignInError,
    ZohoThrottledError,
    ZohoUnavailableError,
    clean_text,
)
from jobs.zoho.token_requests import Grant, exchange_code


class StateRefusedError(Exception):
    """What Zoho's redirect brought back is not of a sign-in that this session waits for."""


class ElsewhereError(Exception):
    """The browser comes back from another data centre than the connection's; `place` names it."""

    def __init__(self, place: str) -> None:
        super().__init__(place)
        self.place = place


class MovedError(Exception):
    """The connection was moved to another place while Zoho was asked; nothing was stored."""

    def __init__(self, connection: Connection) -> None:
        super().__init__(
            f"{connection.name} was changed meanwhile, and now names another place than the one "
            "that this sign-in was made for. Nothing was stored: sign in again."
        )


class UnprovenError(Exception):
    """Whether jobs can be read with a new sign-in could not be asked; nothing was stored."""

    def __init__(self, why: str) -> None:
        super().__init__(
            "Zoho accepts the refresh token, but whether bulk write jobs can be read with it could "
            f"not be asked now: {why} Nothing was stored, and the sign-in that the connection has "
            "stays in use. Try again later."
        )


@dataclass(frozen=True)
class Client:
    """A client of Zoho's API console."""

    client_id: str
    client_secret: str

    def __repr__(self) -> str:
        return f"Client({self.client_id!r}, secret hidden)"


@sensitive_variables()
def begin(
    connection: Connection,
    client: Client,
    *,
    user: User,
    session_secret: str,
    redirect_uri: str,
) -> str:
    """The address of the consent page to send the browser to.

    `session_secret` is a random value that the user's session keeps. What comes back is good for
    that session and user alone, once, and for 15 minutes. Errors: `access.region_of`.
    """
    region = region_of(connection)
    now = timezone.now()
    delete_old(now)
    state = secrets.token_urlsafe(32)
    SignIn.objects.create(
        connection=connection,
        user=user,
        state_digest=_digest(state),
        session_digest=_digest(session_secret),
        client_id=client.client_id,
        client_secret=client.client_secret,
        created_at=now,
    )
    return consent.consent_url(
        region, client_id=client.client_id, redirect_uri=redirect_uri, state=state
    )


@sensitive_variables()
def take(state: str, *, user: User, session_secret: str) -> SignIn:
    """The sign-in that a state belongs to, which is used up by that. Raises StateRefusedError."""
    found = SignIn.objects.select_related("connection").filter(state_digest=_digest(state)).first()
    if found is None:
        raise StateRefusedError("It is not known here, or was used before.")
    if found.user_id != user.pk or not secrets.compare_digest(
        found.session_digest, _digest(session_secret)
    ):
        raise StateRefusedError("It was begun in another browser, or by somebody else.")
    # Of two requests with the same state, the one that deletes the row may go on.
    waiting = SignIn.objects.filter(pk=found.pk, created_at__gt=timezone.now() - SignIn.GOOD_FOR)
    if not waiting.delete()[0]:
        raise StateRefusedError("It was begun more than 15 minutes ago, or was used before.")
    return found


@sensitive_variables()
def finish(
    sign_in: SignIn, code: str, *, redirect_uri: str, location: str = "", accounts_server: str = ""
) -> Connection:
    """Exchange the code that came back at the connection's own accounts host and store the rest.

    `location` and `accounts_server` are what Zoho's redirect names. Raises ElsewhereError where
    they name another data centre and consent.ForeignServerError where they name none of Zoho's;
    nothing is exchanged then. Else as `with_grant_code`.
    """
    connection = sign_in.connection
    place = consent.other_data_center(
        region_of(connection), location=location, accounts_server=accounts_server
    )
    if place:
        raise ElsewhereError(place)
    client = Client(sign_in.client_id, sign_in.client_secret)
    return with_grant_code(connection, client, code, redirect_uri=redirect_uri)


@sensitive_variables()
def with_grant_code(
    connection: Connection, client: Client, code: str, *, redirect_uri: str | None = None
) -> Connection:
    """Sign a stored connection in with a code of a self client or a redirect; the connection anew.

    Raises a kind of ZohoError, where the granted scope does not suffice too, and MovedError;
    nothing is stored then. Other errors: `access.region_of`.
    """
    grant = exchange(connection, client, code, redirect_uri=redirect_uri)
    stored = _store(connection, client, grant.refresh_token)
    keep_access_token(stored, grant)
    return stored


@sensitive_variables()
def exchange(
    connection: Connection, client: Client, code: str, *, redirect_uri: str | None = None
) -> Grant:
    """What a code is good for, at the connection's accounts host; errors as `with_grant_code`."""
    grant = exchange_code(
        region_of(connection),
        client_id=client.client_id,
        client_secret=client.client_secret,
        code=code,
        redirect_uri=redirect_uri,
        timeout=settings.ZOHO_REQUEST_TIMEOUT_SECONDS,
        proxies=proxies(),
    )
    if not consent.suffices(grant.scopes):
        granted = clean_text(", ".join(sorted(grant.scopes)), 200)
        raise ZohoSignInError(
            f"Zoho granted the scope {granted}, with which nobody can read bulk write jobs.",
            code="OAUTH_SCOPE_MISMATCH",
            resolution="Sign in again, and choose Accept for all that is asked."
            if redirect_uri
            else f"Make a new code, for the scope {consent.SCOPE}.",
        )
    return grant


def cure_of(error: ZohoError) -> str:
    """What to do about an error that ended a sign-in, which nothing tries again by itself."""
    if isinstance(error, ZohoThrottledError):
        return (
            "Try again later. If it happens often, see whether another program uses the same "
            "client or refresh token."
        )
    if isinstance(error, ZohoUnavailableError):
        return (
            "Try again in a moment. If it lasts, check the network, the proxy and status.zoho.com."
        )
    return error.resolution


@sensitive_variables()
def keep_access_token(connection: Connection, grant: Grant) -> None:
    """Use the access token that came with a stored grant, for as long as it lives."""
    open_tokens(connection).adopt(grant.answer)


@sensitive_variables()
def with_refresh_token(connection: Connection, client: Client, refresh_token: str) -> Connection:
    """Sign a stored connection in with a refresh token that bulk write jobs can be read with.

    The connection anew. Costs one API credit. Where jobs cannot be asked about for now, a token
    that Zoho accepts is stored nevertheless, unless it would replace a sign-in that works. Raises
    a kind of ZohoError, UnprovenError and MovedError, and nothing is stored then. Other errors:
    `access.region_of`.
    """
    trial = copy.copy(connection)
    trial.client_id, trial.client_secret = client.client_id, client.client_secret
    trial.refresh_token = refresh_token
    tokens = open_tokens(trial)
    tokens.forget_refusal()
    tokens.get()
    unproven = _why_unproven(trial)
    if unproven and _works(connection):
        raise UnprovenError(unproven)
    return _store(connection, client, refresh_token)


@sensitive_variables()
def _why_unproven(trial: Connection) -> str:
    """Why nobody knows whether jobs can be read with a trial sign-in; empty where they can.

    Raises a kind of ZohoError where they cannot. A wait for access tokens is that of the sign-in
    there is, and does not bind a new one.
    """
    asked = ask_about_one_job(trial, heeds=(Connection.Waiting.THROTTLED,))
    if asked.not_asked is not None:
        return asked.not_asked.message
    if asked.error is None:
        return ""
    if standing.needs_person(asked.error):
        raise asked.error
    is_of_tokens = isinstance(asked.error, TokensThrottledError)
    if isinstance(asked.error, ZohoThrottledError) and not is_of_tokens:
        standing.pause_for(trial, asked.error, timezone.now())
    return str(asked.error)


def _is_another(connection: Connection, client: Client, refresh_token: str) -> bool:
    try:
        return (connection.client_id, connection.refresh_token) != (client.client_id, refresh_token)
    except UndecryptableError:
        return True


def _works(connection: Connection) -> bool:
    """Whether a connection has a sign-in that nothing is known against."""
    try:
        return bool(connection.refresh_token) and connection.blocked_at is None
    except UndecryptableError:
        return False


@sensitive_variables()
@transaction.atomic
def _store(connection: Connection, client: Client, refresh_token: str) -> Connection:
    connections = Connection.objects.filter(pk=connection.pk)
    if connections.filter(Q(refresh_token="") | Q(blocked_at__isnull=False)).exists():
        leases.make_due_from_now(connection)
    # Secrets are never kept for another place than the one that has accepted them.
    place = {name: getattr(connection, name) for name in PLACE_FIELDS}
    is_stored = connections.filter(**place).update(
        client_id=client.client_id,
        client_secret=client.client_secret,
        refresh_token=refresh_token,
    )
    if not is_stored:
        raise MovedError(connection)
    # Tried at once; that it works, the first answer about a job shows.
    ended = {Connection.Waiting.REPAIR}
    if _is_another(connection, client, refresh_token):
        # Zoho's limit of access tokens is that of the refresh token.
        ended.add(Connection.Waiting.TOKENS)
    end_wait(connection, ended)
    to_be_proven(connection, "Somebody has signed in to Zoho again.")
    return connections.get()


def delete_old(now: datetime) -> None:
    """Delete what nobody has come back for in time, with the secrets that wait in it."""
    SignIn.objects.filter(created_at__lte=now - SignIn.GOOD_FOR).delete()


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
