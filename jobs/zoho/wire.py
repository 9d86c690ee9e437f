"""HTTP with limits that hold: a total deadline, a cap on decoded bytes, no redirects."""

import contextlib
import socket
import zlib
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import requests
import urllib3
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.poolmanager import PoolManager

from jobs.zoho.deadlines import Deadline, current_deadline, watched
from jobs.zoho.errors import MalformedAnswerError, NotReachedError, ZohoUnavailableError

USER_AGENT = "Bulkwatch"
CHUNK_BYTES = 65_536


class TooManyBytesError(Exception):
    """The answer, as sent or as inflated, is larger than the caller accepts."""


class _GuardedHTTPConnection(HTTPConnection):
    def _new_conn(self) -> socket.socket:
        return _guarded_socket(self, super()._new_conn)

    def request(self, *args: Any, **kwargs: Any) -> None:
        _guard_used(self)
        super().request(*args, **kwargs)


class _GuardedHTTPSConnection(HTTPSConnection):
    def _new_conn(self) -> socket.socket:
        return _guarded_socket(self, super()._new_conn)

    def request(self, *args: Any, **kwargs: Any) -> None:
        _guard_used(self)
        super().request(*args, **kwargs)


def _guarded_socket(connection: Any, new_conn: Any) -> socket.socket:
    sock: socket.socket = new_conn()
    deadline = current_deadline()
    if deadline is not None:
        deadline.guard_new(connection, sock)
    return sock


def _guard_used(connection: Any) -> None:
    deadline = current_deadline()
    if deadline is not None and connection.sock is not None:
        deadline.guard(connection, connection.sock)


class _GuardedHTTPPool(HTTPConnectionPool):
    ConnectionCls = _GuardedHTTPConnection


class _GuardedHTTPSPool(HTTPSConnectionPool):
    ConnectionCls = _GuardedHTTPSConnection


def _guard(manager: PoolManager) -> PoolManager:
    manager.pool_classes_by_scheme = {"http": _GuardedHTTPPool, "https": _GuardedHTTPSPool}
    return manager


class GuardedAdapter(HTTPAdapter):
    """The adapter of ``requests`` on connections that the watchdog can shut down."""

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        _guard(self.poolmanager)

    def proxy_manager_for(self, proxy: str, **kwargs: Any) -> Any:
        return _guard(super().proxy_manager_for(proxy, **kwargs))


def new_session(pool_size: int) -> requests.Session:
    """A keep-alive session that ignores proxies and netrc of the environment."""
    session = requests.Session()
    session.trust_env = False
    session.cookies.clear()
    for prefix in ("https://", "http://"):
        session.mount(prefix, GuardedAdapter(pool_connections=4, pool_maxsize=pool_size))
    return session


class Reply(NamedTuple):
    """An answer whose body has been read and inflated; its headers know no case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Stream:
    """An answer whose body is still to be read, within its deadline and a cap on its size."""

    def __init__(self, response: requests.Response, deadline: Deadline, max_bytes: int) -> None:
        self.status = response.status_code
        self.headers: Mapping[str, str] = response.headers
        self._response = response
        self._deadline = deadline
        self._max_bytes = max_bytes

    def read(self) -> bytes:
        """The whole body."""
        raw = self._read_raw(self._max_bytes + 1)
        if len(raw) > self._max_bytes:
            raise TooManyBytesError
        # A keep-alive connection goes back to the pool at the body's end.
        if self._read_raw(1):
            raise TooManyBytesError
        if self._inflates():
            return b"".join(self._inflated(iter([raw])))
        return raw

    def chunks(self) -> Iterator[bytes]:
        """The body piece by piece, never more than the cap in all."""
        pieces = iter(lambda: self._read_raw(CHUNK_BYTES), b"")
        if self._inflates():
            yield from self._inflated(pieces)
            return
        total = 0
        for piece in pieces:
            total += len(piece)
            if total > self._max_bytes:
                raise TooManyBytesError
            yield piece

    def _read_raw(self, amount: int) -> bytes:
        try:
            data: bytes = self._response.raw.read(amount, decode_content=False)
        except (urllib3.exceptions.HTTPError, OSError, ValueError) as exc:
            raise _no_answer(exc, self._deadline, self._response.url) from exc
        if self._deadline.passed:
            raise _too_slow(self._response.url)
        return data

    def _inflates(self) -> bool:
        encoding = self.headers.get("Content-Encoding", "").strip().lower()
        if encoding in ("", "identity"):
            return False
        if encoding in ("gzip", "x-gzip"):
            return True
        raise MalformedAnswerError("The answer is compressed in a way that was not asked for.")

    def _inflated(self, pieces: Iterator[bytes]) -> Iterator[bytes]:
        inflater = zlib.decompressobj(zlib.MAX_WBITS | 16)
        total = 0
        try:
            for piece in pieces:
                data = piece
                while data:
                    if inflater.eof:
                        inflater = zlib.decompressobj(zlib.MAX_WBITS | 16)
                    out = inflater.decompress(data, CHUNK_BYTES)
                    total += len(out)
                    if total > self._max_bytes:
                        raise TooManyBytesError
                    if out:
                        yield out
                    data = inflater.unused_data if inflater.eof else inflater.unconsumed_tail
                    if self._deadline.passed:
                        raise _too_slow(self._response.url)
        except zlib.error as exc:
            raise MalformedAnswerError("The answer's compression is damaged.") from exc
        if not inflater.eof and total:
            raise MalformedAnswerError("The answer's compressed body is cut off.")


@contextlib.contextmanager
def open_stream(
    session: requests.Session,
    request: requests.PreparedRequest,
    *,
    seconds: float,
    max_bytes: int,
    proxies: Mapping[str, str] | None = None,
) -> Iterator[Stream]:
    """Send the request and yield its answer, all of it within ``seconds``.

    The session's adapter is called directly: Session.send() reads the whole body of a redirect,
    however large, and takes a fifth of the time. Raises ZohoUnavailableError without an answer.
    """
    url = request.url or ""
    # A name may have several addresses, each tried for this long.
    connecting = max(seconds / 4, min(seconds, 3.0))
    with watched(seconds) as deadline:
        response: requests.Response | None = None
        try:
            try:
                response = session.get_adapter(url).send(
                    request,
                    stream=True,
                    timeout=(connecting, seconds),
                    verify=True,
                    proxies=dict(proxies or {}),
                )
            except (
                requests.RequestException,
                urllib3.exceptions.HTTPError,
                OSError,
                ValueError,
            ) as exc:
                raise _no_answer(exc, deadline, url) from exc
            if deadline.passed:
                raise _too_slow(url)
            yield Stream(response, deadline, max_bytes)
        finally:
            if response is not None:
                _finish(response)


def _finish(response: requests.Response) -> None:
    """Give the connection back if its body was read to the end, else close it."""
    raw = response.raw
    original = getattr(raw, "_original_response", None)
    if original is not None and not original.isclosed():
        raw.close()
    response.close()


def fetch(
    session: requests.Session,
    request: requests.PreparedRequest,
    *,
    seconds: float,
    max_bytes: int,
    proxies: Mapping[str, str] | None = None,
) -> Reply:
    """The answer with its body read; raises ZohoUnavailableError, or its kind Malformed."""
    with open_stream(
        session, request, seconds=seconds, max_bytes=max_bytes, proxies=proxies
    ) as stream:
        try:
            return Reply(stream.status, stream.headers, stream.read())
        except TooManyBytesError as exc:
            raise MalformedAnswerError(
                f"The answer is larger than {max_bytes:,} bytes.", http_status=stream.status
            ) from exc


def _too_slow(url: str) -> ZohoUnavailableError:
    return ZohoUnavailableError(f"{_host(url)} did not answer in time.")


def _no_answer(exc: Exception, deadline: Deadline, url: str) -> ZohoUnavailableError:
    # The texts of these exceptions can hold a proxy's password; their types say enough.
    host = _host(url)
    reasons = {type(item).__name__ for item in _causes(exc)}
    if "ConnectTimeoutError" in reasons:
        return NotReachedError(_too_slow(url).message)
    if deadline.passed or any("Timeout" in name for name in reasons):
        return _too_slow(url)
    if any("NameResolution" in name or name == "gaierror" for name in reasons):
        return NotReachedError(f"The name {host} could not be resolved.")
    if any("Proxy" in name for name in reasons):
        return NotReachedError(f"The proxy on the way to {host} did not answer.")
    if any("SSL" in name or "Certificate" in name for name in reasons):
        return ZohoUnavailableError(f"No trusted TLS connection to {host} could be made.")
    if "ConnectionRefusedError" in reasons:
        return NotReachedError(f"{host} refused the connection.")
    if "NewConnectionError" in reasons:
        return NotReachedError(f"No connection to {host} could be made.")
    return ZohoUnavailableError(
        f"The connection to {host} broke off ({type(exc).__name__}) before the answer was complete."
    )


def _causes(exc: BaseException, depth: int = 8) -> Iterator[BaseException]:
    yield exc
    if depth:
        inner = [exc.__cause__, exc.__context__, getattr(exc, "reason", None), *exc.args]
        for item in inner:
            if isinstance(item, BaseException) and item is not exc:
                yield from _causes(item, depth - 1)


def _host(url: str) -> str:
    return url.partition("://")[2].partition("/")[0][:200] or "the server"
