"""Requests to Zoho's token endpoint, and what its answers mean.

Source: zoho.com/accounts/protocol/oauth. The HTTP status does not tell success from failure: a
revoked refresh token is answered with 200, throttling with 400, its words in any language.
"""

import contextlib
import json
import re
import string
from datetime import UTC, datetime
from typing import Any, NamedTuple

import requests

from jobs.zoho import wire
from jobs.zoho.codes import CODES
from jobs.zoho.errors import (
    MalformedAnswerError,
    TokensThrottledError,
    ZohoSignInError,
    ZohoUnavailableError,
    describe,
    retry_after,
    without_secrets,
)
from jobs.zoho.regions import Region

USUAL_LIFE = 3600.0
LONGEST_LIFE = 86_400.0
WINDOW = 600.0
MAX_ANSWER_BYTES = 65_536

_VISIBLE = frozenset(string.ascii_letters + string.digits + string.punctuation)
_TEMPORARY = {"server_error", "temporarily_unavailable", "internal_error", "general_error"}


def post_token(
    session: requests.Session,
    region: Region,
    form: dict[str, str],
    *,
    timeout: float,
    proxies: dict[str, str] | None = None,
) -> dict[str, Any]:
    """Zoho's answer to a token request; it holds a well-formed ``access_token``.

    The secrets travel in the form body. Raises ZohoSignInError, TokensThrottledError or
    ZohoUnavailableError, which Zoho's HTTP status does not tell apart.
    """
    request = requests.Request(
        "POST",
        f"{region.accounts_url}/oauth/v2/token",
        data=form,
        headers={
            "User-Agent": wire.USER_AGENT,
            "Accept": "application/json",
            "Accept-Encoding": "gzip",
        },
    ).prepare()
    reply = wire.fetch(
        session, request, seconds=timeout, max_bytes=MAX_ANSWER_BYTES, proxies=proxies
    )
    hidden = tuple(form[name] for name in form if name not in ("grant_type", "redirect_uri"))
    return _judged(reply, hidden)


def _judged(reply: wire.Reply, hidden: tuple[str, ...]) -> dict[str, Any]:
    answer: Any = None
    with contextlib.suppress(ValueError, RecursionError):
        answer = json.loads(reply.body.decode("utf-8", "replace").lstrip("\ufeff"))
    status = reply.status
    if isinstance(answer, dict) and status < 300:
        token = answer.get("access_token")
        if isinstance(token, str) and token:
            if len(token) > 2048 or not _VISIBLE.issuperset(token):
                raise MalformedAnswerError("Zoho's access token is not well-formed.")
            return answer
    if 300 <= status < 400:
        raise ZohoUnavailableError(
            f"Redirect refused: the sign-in address answered with HTTP {status}.",
            http_status=status,
        )
    wait = retry_after(reply.headers, datetime.now(UTC))
    if status == 429:
        raise _throttled("", status, wait)
    if not isinstance(answer, dict) or status >= 500:
        raise ZohoUnavailableError(
            f"Zoho's sign-in service gave no usable answer (HTTP {status}).", http_status=status
        )
    error, said = (
        without_secrets(value.strip(), 300, *hidden) if isinstance(value, str) else ""
        for value in (answer.get("error"), answer.get("error_description"))
    )
    code = error.lower()
    if code in _TEMPORARY:
        raise ZohoUnavailableError(
            f"Zoho's sign-in service has an error: {error}.", http_status=status
        )
    # The words may be in any language, but not the status.
    if code.replace("_", " ") == "access denied" or answer.get("status") == "failure":
        raise _throttled(said, status, wait)
    help_ = describe(error)
    raise ZohoSignInError(
        help_.meaning if error else "Zoho gave no access token and no reason.",
        code=error or None,
        http_status=status,
        resolution=help_.resolution if error.upper() in CODES else "",
    )


def _throttled(said: str, status: int, wait: float | None) -> TokensThrottledError:
    known = CODES["ACCESS DENIED"].help
    return TokensThrottledError(
        said or known.meaning,
        retry_after=wait or WINDOW,
        code="Access Denied",
        http_status=status,
    )


def lifetime(answer: dict[str, Any]) -> float:
    """Seconds a token lives. Old answers give milliseconds, with seconds in expires_in_sec."""
    seconds = _number(answer.get("expires_in_sec"))
    if seconds is None:
        seconds = _number(answer.get("expires_in"))
        if seconds is not None and seconds > LONGEST_LIFE:
            seconds /= 1000
    if seconds is None or seconds <= 0:
        seconds = USUAL_LIFE
    return min(max(seconds, 30.0), LONGEST_LIFE)


def _number(value: object) -> float | None:
    if isinstance(value, str) and value.strip().isascii() and value.strip().isdigit():
        value = int(value.strip()[:15])
    if isinstance(value, int | float) and not isinstance(value, bool) and value < 1e15:
        return float(value)
    return None


class Grant(NamedTuple):
    """What a grant code was exchanged for.

    ``scopes`` is empty where Zoho does not name them; ``answer`` is Zoho's whole answer, whose
    access token is good for as long as ``lifetime`` says.
    """

    refresh_token: str
    scopes: frozenset[str]
    answer: dict[str, Any]

    def __repr__(self) -> str:
        return f"Grant(scopes={sorted(self.scopes)}, tokens hidden)"


def exchange_code(
    region: Region,
    *,
    client_id: str,
    client_secret: str,
    code: str,
    redirect_uri: str | None = None,
    timeout: float = 20.0,
    proxies: dict[str, str] | None = None,
) -> Grant:
    """What a grant code is good for, as a self client or a redirect from Zoho gives it.

    Raises as ``post_token`` does; a code lives for some minutes and is good for one exchange. With
    the ``redirect_uri`` that Zoho's consent page has sent it to, else it is a self client's.
    """
    form = {
        "grant_type": "authorization_code",
        "client_id": client_id,
        "client_secret": client_secret,
        "code": code,
    }
    if redirect_uri:
        form["redirect_uri"] = redirect_uri
    with wire.new_session(1) as session:
        try:
            answer = post_token(session, region, form, timeout=timeout, proxies=proxies)
        except ZohoSignInError as error:
            if (error.code or "").lower() != "invalid_code":
                raise
            raise ZohoSignInError(
                "Zoho does not accept this grant code: it has expired, was used before, or "
                "belongs to another client or data centre.",
                code=error.code,
                http_status=error.http_status,
                resolution="Sign in again, and choose Accept."
                if redirect_uri
                else "Make a new code and use it within its few minutes.",
            ) from error
    refresh_token = answer.get("refresh_token")
    if not isinstance(refresh_token, str) or not refresh_token:
        raise ZohoSignInError(
            "Zoho gave no refresh token for this code.",
            resolution="Sign in again, and choose Accept."
            if redirect_uri
            else "Make a new code, of a self client, and use it within its few minutes.",
        )
    scope = answer.get("scope")
    scopes = (
        frozenset(re.split(r"[\s,]+", scope.strip())) if isinstance(scope, str) else frozenset()
    )
    return Grant(refresh_token, scopes - {""}, answer)
