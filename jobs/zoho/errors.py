"""What can go wrong with Zoho, sorted by who has to act.

An answer is judged by Zoho's ``code`` first and by its HTTP status second, because Zoho's own
pages disagree about the statuses (RESOURCE_NOT_FOUND: 404 or 400, OAUTH_SCOPE_MISMATCH: 401 or
403).
"""

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, ClassVar

from jobs.zoho.codes import CODES, ErrorHelp, Scope, describe

__all__ = [
    "RENEWABLE",
    "ErrorHelp",
    "MalformedAnswerError",
    "NotReachedError",
    "ResultGoneError",
    "TokensThrottledError",
    "TooLargeError",
    "UnsafeUrlError",
    "ZohoError",
    "ZohoRejectedError",
    "ZohoSignInError",
    "ZohoThrottledError",
    "ZohoUnavailableError",
    "clean_text",
    "describe",
    "excerpt_of",
    "from_answer",
    "is_error_envelope",
    "redact",
    "retry_after",
    "without_secrets",
]

# A new token cures these; a missing scope stays missing however new the token is.
RENEWABLE = frozenset({"INVALID_TOKEN", "AUTHENTICATION_FAILURE"})

EXCERPT_BYTES = 4096
# Of bytes: an error message of Zoho's has some hundreds.
LARGEST_ENVELOPE = 65_536
MESSAGE_CHARACTERS = 500
# So much of a text is looked through for secrets, a multiple of what is kept of it.
MOST_READ = 65_536
LONGEST_WAIT = 86_400.0

_SECRETS = re.compile(
    r"""(?ix)
    (Zoho-oauthtoken\s+|Bearer\s+) [^\s"',;]+
    | ((?:access_token|refresh_token|client_secret)["'\\]*\s*[=:]\s*["'\\]*) [^\s"'\\&,;}]+
    | \b1000\.[0-9a-f]{16,}\.[0-9a-f]{16,}
    """
)
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


def clean_text(text: str, length: int) -> str:
    """The text without NUL and lone surrogates, which PostgreSQL refuses, cut to ``length``."""
    text = text[:length]
    return _UNSTORABLE.sub("\ufffd", text) if _UNSTORABLE.search(text) else text


def redact(text: str, *secrets: str) -> str:
    """The text with anything that looks like a token, and the given secrets, blotted out.

    A secret of a few letters would blot out ordinary words, so those are left.
    """
    for secret in secrets:
        if len(secret) >= 6:
            text = text.replace(secret, "[hidden]")
    return _SECRETS.sub(lambda found: f"{found[1] or found[2] or ''}[hidden]", text)


def without_secrets(text: str, length: int, *secrets: str) -> str:
    """The text as `redact` and then `clean_text` leave it, cut to ``length``.

    In this order: of a token that is cut first, a part would be left that looks like none.
    """
    return clean_text(redact(text[:MOST_READ], *secrets), length)


def excerpt_of(body: bytes, *secrets: str) -> str:
    """The start of an answer, at most 4 KiB of UTF-8, without NUL and without secrets."""
    text = without_secrets(body[:MOST_READ].decode("utf-8", "replace"), EXCERPT_BYTES, *secrets)
    return text.encode()[:EXCERPT_BYTES].decode("utf-8", "ignore")


class ZohoError(Exception):
    """Something between this dashboard and Zoho went wrong.

    ``code`` is Zoho's code where there was one, ``resolution`` tells an administrator what to do,
    ``excerpt`` is the start of the answer (at most 4 KiB) for debugging, and ``scope`` says whether
    the one job or every job of the connection is concerned. No attribute holds a token.
    """

    kind: ClassVar[str] = "error"
    default_scope: ClassVar[Scope] = "job"
    default_resolution: ClassVar[str] = ""

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        http_status: int | None = None,
        resolution: str = "",
        excerpt: str = "",
        scope: Scope | None = None,
    ) -> None:
        self.message = without_secrets(message, MESSAGE_CHARACTERS)
        self.code = code
        self.http_status = http_status
        self.resolution = resolution or self.default_resolution
        self.excerpt = excerpt
        self.scope: Scope = scope or self.default_scope
        super().__init__(self.message)

    def __str__(self) -> str:
        return f"{self.code}: {self.message}" if self.code else self.message


class ZohoUnavailableError(ZohoError):
    """Temporary: no answer in time, HTTP 5xx, or an answer that is no JSON. Worth a retry."""

    kind = "unavailable"
    default_scope: ClassVar[Scope] = "connection"
    default_resolution = (
        "The dashboard tries again by itself. If it lasts, check the network, the proxy and "
        "status.zoho.com."
    )


class NotReachedError(ZohoUnavailableError):
    """Temporary: no connection came about, so the request was not sent."""


class MalformedAnswerError(ZohoUnavailableError):
    """Zoho answered, but not with what was asked for. Worth a retry; nothing is believed."""

    kind = "malformed"
    default_scope: ClassVar[Scope] = "job"
    default_resolution = (
        "The dashboard tries again by itself. If it lasts, check that no proxy or sign-in page "
        "stands between this dashboard and Zoho."
    )


class ZohoThrottledError(ZohoError):
    """Zoho asks to slow down: wait ``retry_after`` seconds, or as long as seems fit if None."""

    kind = "throttled"
    default_scope: ClassVar[Scope] = "connection"
    default_resolution = CODES["TOO_MANY_REQUESTS"].help.resolution

    def __init__(self, message: str, *, retry_after: float | None = None, **details: Any) -> None:
        super().__init__(message, **details)
        self.retry_after = retry_after


class TokensThrottledError(ZohoThrottledError):
    """No access token is given for a while, to whoever asks; the sign-in itself is in order."""

    kind = "tokens_throttled"
    default_resolution = CODES["ACCESS DENIED"].help.resolution


class ZohoRejectedError(ZohoError):
    """Permanent for this job: asking again in the same way gives the same answer."""

    kind = "rejected"
    default_resolution = (
        "Read Zoho's message; the dashboard does not ask again until somebody refreshes the job."
    )


class ZohoSignInError(ZohoError):
    """The connection needs a person: its client, its refresh token or its scope is not accepted."""

    kind = "sign_in"
    default_scope: ClassVar[Scope] = "connection"
    default_resolution = "Sign in to Zoho again for this connection."


class ResultGoneError(ZohoRejectedError):
    """The result file cannot be had any more; Zoho keeps it for 7 days after the job's end."""

    kind = "result_gone"
    default_resolution = CODES["LINK_NOT_VALID"].help.resolution


class UnsafeUrlError(ZohoRejectedError):
    """An address outside the connection's own hosts; nothing was sent to it."""

    kind = "unsafe_url"
    default_resolution = (
        "Check that the connection names the right data centre. The access token is only ever "
        "sent to that data centre's own hosts."
    )


class TooLargeError(ZohoRejectedError):
    """The result file is larger than this dashboard accepts."""

    kind = "too_large"
    default_resolution = (
        "Download the file from Zoho yourself, or raise this dashboard's limit for result files."
    )


_KINDS: dict[str, type[ZohoError]] = {
    "unavailable": ZohoUnavailableError,
    "rejected": ZohoRejectedError,
    "sign_in": ZohoSignInError,
    "result_gone": ResultGoneError,
}
_FILE_DIALECT = ("info", "x-info", "x-error", "ERROR_CODE", "ERROR_MESSAGE")


def is_error_envelope(obj: object) -> bool:
    """Whether a parsed answer is one of Zoho's error messages rather than a job.

    ``status`` alone does not tell: "error" stands where a job has its status, so an object with
    a job's own keys is a job whatever its status says.
    """
    if not isinstance(obj, dict) or "resource" in obj or "operation" in obj:
        return False
    status = obj.get("status")
    if isinstance(status, str) and status.strip().lower() in ("error", "failure"):
        return "code" in obj or "message" in obj or "error" in obj
    if status is None and "id" not in obj:
        return any(key in obj for key in ("code", "error", *_FILE_DIALECT))
    return False


def retry_after(headers: Mapping[str, str], now: datetime) -> float | None:
    """Seconds that a Retry-After header asks to wait, 0 to one day; None without a sensible one.

    Zoho documents no such header; where it is sent it may be seconds or an HTTP date (RFC 9110).
    """
    text = _header(headers, "retry-after").strip()
    if not text or len(text) > 64:
        return None
    if text.isascii() and text.isdigit():
        return min(float(text), LONGEST_WAIT)
    try:
        date = parsedate_to_datetime(text)
        if date.tzinfo is None:
            date = date.replace(tzinfo=UTC)
        seconds = (date - now).total_seconds()
    except (ValueError, TypeError, OverflowError, IndexError):
        return None
    return min(max(seconds, 0.0), LONGEST_WAIT)


def from_answer(
    http_status: int,
    headers: Mapping[str, str],
    body: bytes,
    *,
    now: datetime,
    secrets: tuple[str, ...] = (),
) -> ZohoError:
    """The error that an answer of Zoho stands for, ready to be raised.

    ``now`` (aware) is what an HTTP date in Retry-After is measured from; ``secrets`` are blotted
    out of everything the error keeps.
    """
    envelope = _envelope(body)
    excerpt = excerpt_of(body, *secrets)
    code, said = _code_and_message(envelope or {}, secrets)
    if envelope is not None and http_status < 400:
        http_status = _inner_status(envelope) or http_status
    known = CODES.get((code or "").upper())
    if code is not None and known is not None:
        # Whoever asks for a code compares it with Zoho's own spelling.
        code = code.upper()

    if http_status == 429 or (known is not None and known.kind == "throttled"):
        return ZohoThrottledError(
            said or "Zoho asks to slow down.",
            retry_after=retry_after(headers, now),
            code=code,
            http_status=http_status,
            resolution=known.help.resolution if known and known.kind == "throttled" else "",
            excerpt=excerpt,
        )
    if known is not None:
        return _KINDS[known.kind](
            said or known.help.meaning,
            code=code,
            http_status=http_status,
            resolution=known.help.resolution + _named_version(envelope or {}, secrets),
            excerpt=excerpt,
            scope=known.scope,
        )
    kind, fallback = _judge_by_status(http_status, readable=envelope is not None)
    return kind(
        said or fallback,
        code=code,
        http_status=http_status,
        resolution=describe(code).resolution if code and kind is ZohoRejectedError else "",
        excerpt=excerpt,
    )


def _judge_by_status(http_status: int, *, readable: bool) -> tuple[type[ZohoError], str]:
    if http_status == 401 and readable:
        return ZohoSignInError, "Zoho does not accept the sign-in (HTTP 401)."
    if http_status >= 500 or http_status == 408:
        return ZohoUnavailableError, f"Zoho is not available (HTTP {http_status})."
    if 300 <= http_status < 400:
        return ZohoUnavailableError, f"Zoho answered with a redirect (HTTP {http_status})."
    if http_status >= 400 and readable:
        return ZohoRejectedError, f"Zoho rejected the call (HTTP {http_status}) without a reason."
    if http_status >= 400:
        # A page of a gateway or firewall says nothing about the job.
        return MalformedAnswerError, f"The answer (HTTP {http_status}) is not one of Zoho's API."
    return MalformedAnswerError, f"Zoho answered something unexpected (HTTP {http_status})."


def _envelope(body: bytes) -> dict[str, Any] | None:
    if len(body) > LARGEST_ENVELOPE:
        return None
    try:
        obj = json.loads(body.decode("utf-8", "replace").lstrip("\ufeff"))
    except (ValueError, RecursionError):
        return None
    if isinstance(obj, dict) and isinstance(obj.get("data"), list) and len(obj["data"]) == 1:
        obj = obj["data"][0]
    if isinstance(obj, list) and len(obj) == 1:
        obj = obj[0]
    return obj if isinstance(obj, dict) else None


def _code_and_message(
    envelope: Mapping[str, Any], secrets: tuple[str, ...]
) -> tuple[str | None, str]:
    def said(*keys: str, limit: int = MESSAGE_CHARACTERS) -> str:
        return without_secrets(_text(envelope, *keys), limit, *secrets)

    code = said("code", "ERROR_CODE", "error", limit=100)
    message = said("message", "ERROR_MESSAGE", "x-error", "error_description", "info", "x-info")
    file_words = f"{said('info')} {said('x-info')}".lower()
    if "link not valid" in file_words or (not code and "forbidden" in file_words):
        return "LINK_NOT_VALID", said("x-info", "info") or message
    return code or None, message


def _named_version(envelope: Mapping[str, Any], secrets: tuple[str, ...]) -> str:
    """What Zoho says of the API versions that it supports, as a sentence; empty without it."""
    details = envelope.get("details")
    version = _text(details, "supported_version") if isinstance(details, dict) else ""
    version = without_secrets(version, 20, *secrets)
    return f" Zoho says that it supports {version}." if version else ""


def _text(envelope: Mapping[str, Any], *keys: str) -> str:
    for key in keys:
        value = envelope.get(key)
        if isinstance(value, str) and value.strip():
            return value.strip()
    return ""


def _inner_status(envelope: Mapping[str, Any]) -> int | None:
    value = envelope.get("http_status")
    if isinstance(value, str) and value.isascii() and value.isdigit():
        value = int(value[:4])
    if isinstance(value, int) and not isinstance(value, bool) and 400 <= value < 600:
        return value
    return None


def _header(headers: Mapping[str, str], name: str) -> str:
    for key, value in headers.items():
        if key.lower() == name:
            return value
    return ""
