"""Fetching a job's result file: which addresses to try, and what their answers mean.

Source: the v7 page "Download Result". Where a relative ``download_url`` belongs is documented
nowhere, so ``Region.resolve_download`` gives several addresses, tried in turn.
"""

import contextlib
import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import BinaryIO, Protocol

import requests

from jobs.zoho import wire
from jobs.zoho.errors import (
    RENEWABLE,
    MalformedAnswerError,
    ResultGoneError,
    TooLargeError,
    UnsafeUrlError,
    ZohoError,
    ZohoSignInError,
    ZohoThrottledError,
    ZohoUnavailableError,
    describe,
    from_answer,
)
from jobs.zoho.regions import Region, parse_address, shown_address

# From the job's end on; source: Zoho's OpenAPI 3.1 description of the v8 Bulk Write API.
RESULT_KEPT_FOR = timedelta(days=7)
MOST_REDIRECTS = 3
MAX_ERROR_BYTES = 65_536
PERMISSION_CODES = frozenset({"NO_PERMISSION", "AUTHORIZATION_FAILED"})
# Whether downloads need another scope than job details is documented nowhere.
MAY_NEED_A_SCOPE = (
    "If Zoho answers about jobs and refuses result files alone, these may need a scope of their "
    "own: sign in again with the grant code of a self client for both ZohoCRM.bulk.ALL and "
    "ZohoFiles.files.ALL. Or download the file from Zoho yourself."
)
_NO_FILE_TYPES = ("json", "text/html", "xml")


class Tokens(Protocol):
    """Access tokens, and the API address named with them: ``oauth.AccessTokens``."""

    @property
    def api_domain(self) -> str: ...

    def get(self) -> str: ...

    def renew(self, rejected: str) -> str: ...


class _MovedError(Exception):
    """The file is at another address, not judged yet."""

    def __init__(self, location: str) -> None:
        self.location = location


class Downloader:
    """One download for a connection, on a session that is handed in."""

    def __init__(
        self,
        session: requests.Session,
        region: Region,
        tokens: Tokens,
        proxies: Mapping[str, str] | None,
    ) -> None:
        self._session = session
        self._region = region
        self._tokens = tokens
        self._proxies = proxies
        self._calls = 0
        self._is_rejected_by_api = False

    @property
    def calls(self) -> int:
        """Requests for the file so far; those for tokens are not among them."""
        return self._calls

    def download(
        self, download_url: str, target: BinaryIO, *, max_bytes: int, seconds: float
    ) -> int:
        """Bytes written to ``target``; see ``BulkWriteClient.download``."""
        # Before a token is asked for: nothing is sent for an address that leads elsewhere.
        self._region.resolve_download(download_url)
        until = time.monotonic() + seconds
        start = target.tell()
        token = self._tokens.get()
        self._region = self._region.with_api_domain(self._tokens.api_domain)
        candidates = self._region.resolve_download(download_url)
        failures: dict[str, ZohoError] = {}
        is_renewed = False
        while True:
            for url in candidates:
                try:
                    return self._from(url, token, target, start, max_bytes, until)
                except (ZohoThrottledError, UnsafeUrlError):
                    raise
                except ZohoError as error:
                    _cut(target, start)
                    if isinstance(error, TooLargeError):
                        raise
                    failures[url] = error
            # A file host may take no token at all, however new: the API's own host takes good ones.
            if is_renewed or not self._is_rejected_by_api:
                raise _verdict(list(failures.values()))
            token, is_renewed = self._renewed(token), True
            candidates = [url for url, error in failures.items() if error.code in RENEWABLE]

    def _renewed(self, token: str) -> str:
        try:
            return self._tokens.renew(token)
        except ZohoThrottledError as error:
            # The polls may go on with the token that is held: whether it is good, they find out.
            raise ZohoUnavailableError(
                f"Zoho rejects the access token for the result file, and gives no other one for a "
                f"while: {error.message}",
                http_status=error.http_status,
                scope="job",
            ) from error

    def _is_api(self, url: str) -> bool:
        address, api = parse_address(url), parse_address(self._region.api_url)
        return address is not None and api is not None and address.origin == api.origin

    def _from(
        self, url: str, token: str, target: BinaryIO, start: int, max_bytes: int, until: float
    ) -> int:
        hops = 0
        while True:
            try:
                return self._attempt(url, token, target, start, max_bytes, until)
            except _MovedError as moved:
                hops += 1
                url = self._followed(moved.location, hops)
            except ZohoSignInError as error:
                self._is_rejected_by_api |= error.code in RENEWABLE and self._is_api(url)
                # Of the connection's other calls it says nothing.
                error.scope = "job"
                error.resolution = f"{error.resolution} {MAY_NEED_A_SCOPE}"
                raise

    def _followed(self, location: str, hops: int) -> str:
        """Where a redirect may lead: an absolute address of the connection's own hosts."""
        address = parse_address(location)
        if address is None or not self._region.may_receive_token(location):
            raise UnsafeUrlError(
                "Redirect refused: the result is said to be at an address that is not one of this "
                f"connection's hosts: {shown_address(location)}"
            )
        if hops > MOST_REDIRECTS:
            raise ZohoUnavailableError("Redirect refused: the download leads in circles.")
        return str(address)

    def _attempt(
        self, url: str, token: str, target: BinaryIO, start: int, max_bytes: int, until: float
    ) -> int:
        left = until - time.monotonic()
        if left <= 0:
            raise ZohoUnavailableError("The download did not end in time.")
        self._calls += 1
        with wire.open_stream(
            self._session,
            self._request(url, token),
            seconds=left,
            max_bytes=max_bytes,
            proxies=self._proxies,
        ) as stream:
            if stream.status in (301, 302, 303, 307, 308):
                raise _MovedError(stream.headers.get("Location", ""))
            content_type = stream.headers.get("Content-Type", "").lower()
            if stream.status != 200 or any(name in content_type for name in _NO_FILE_TYPES):
                raise _refusal(stream, token)
            length = stream.headers.get("Content-Length", "")
            if length.isascii() and length.isdigit() and int(length[:19]) > max_bytes:
                raise _too_large(max_bytes)
            return _copy(stream, target, start, max_bytes, token)

    def _request(self, url: str, token: str) -> requests.PreparedRequest:
        headers = {
            "User-Agent": wire.USER_AGENT,
            "Accept": "*/*",
            "Accept-Encoding": "identity",
        }
        if self._region.may_receive_token(url):
            headers["Authorization"] = f"Zoho-oauthtoken {token}"
        return requests.Request("GET", url, headers=headers).prepare()


def _cut(target: BinaryIO, start: int) -> None:
    """Take away what was written from ``start`` on."""
    target.seek(start)
    target.truncate(start)


def _copy(stream: wire.Stream, target: BinaryIO, start: int, max_bytes: int, token: str) -> int:
    _cut(target, start)
    written = 0
    try:
        for chunk in stream.chunks():
            if not written and _is_error_body(chunk):
                raise _judged(stream, chunk, token)
            target.write(chunk)
            written += len(chunk)
    except wire.TooManyBytesError as exc:
        raise _too_large(max_bytes) from exc
    if not written:
        raise MalformedAnswerError("Zoho's result file is empty.", http_status=stream.status)
    return written


def _is_error_body(chunk: bytes) -> bool:
    """Whether the start of a "file" is an error's text or a page: a ZIP starts with PK."""
    start = chunk.lstrip(b"\xef\xbb\xbf \t\r\n")
    return start[:1] in (b"{", b"[", b"<") or (start[:2] != b"PK" and _names_dead_link(start))


def _names_dead_link(body: bytes) -> bool:
    """Whether a body has the words that the download servers use of a link that has expired."""
    return b"link not valid" in body[:MAX_ERROR_BYTES].lower()


def _judged(stream: wire.Stream, body: bytes, token: str) -> ZohoError:
    """The error that an answer in place of a file stands for."""
    error = from_answer(
        stream.status, stream.headers, body, now=datetime.now(UTC), secrets=(token,)
    )
    if isinstance(error, ResultGoneError | ZohoThrottledError | ZohoSignInError):
        return error
    if isinstance(error, MalformedAnswerError) and _names_dead_link(body):
        # Said in a page or as plain text, in place of the JSON that `from_answer` reads.
        return _gone("Link not valid", "LINK_NOT_VALID", error)
    if error.http_status in (404, 410):
        message = f"The result is not available at its address (HTTP {error.http_status})."
        return _gone(message, error.code, error)
    return error


def _gone(message: str, code: str | None, error: ZohoError) -> ResultGoneError:
    return ResultGoneError(
        message,
        code=code,
        http_status=error.http_status,
        resolution=describe("LINK_NOT_VALID").resolution,
        excerpt=error.excerpt,
    )


def _refusal(stream: wire.Stream, token: str) -> ZohoError:
    body = b""
    with contextlib.suppress(wire.TooManyBytesError):
        for chunk in stream.chunks():
            body += chunk
            if len(body) >= MAX_ERROR_BYTES:
                break
    return _judged(stream, body, token)


def _too_large(max_bytes: int) -> TooLargeError:
    return TooLargeError(f"The result file is larger than {max_bytes / 1_048_576:,.1f} MiB.")


def _verdict(failures: list[ZohoError]) -> ZohoError:
    """What several addresses' answers mean together.

    One that could not answer, or took no token, may still hold the file, so the result counts as
    gone only if all of them said no. An address that is unknown to one host says less than the
    refusal of the other.
    """
    for kind in (ZohoUnavailableError, ZohoSignInError):
        for failure in failures:
            if isinstance(failure, kind):
                return failure
    return min(failures, key=_rank)


def _rank(failure: ZohoError) -> int:
    if isinstance(failure, ResultGoneError):
        return 0 if failure.code == "LINK_NOT_VALID" else 2
    return 1 if failure.code in PERMISSION_CODES else 3
