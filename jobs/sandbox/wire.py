"""Requests and answers as the sandbox's rooms see them, and how they cross the socket."""

import contextlib
import json
import re
import socket
import struct
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

if TYPE_CHECKING:
    from .listener import Listener

JSON = "application/json;charset=UTF-8"
HTML = "text/html;charset=UTF-8"
MAX_BODY_BYTES = 64 * 1024 * 1024
_TOKEN = re.compile(r"^(?:Zoho-oauthtoken|Bearer)\s+(\S+)$", re.IGNORECASE)


class ConnectionDropped(Exception):  # noqa: N818  (an outcome somebody asked for, not an error)
    """Raised to end a connection without a proper answer."""


@dataclass
class Request:
    method: str
    target: str
    headers: Any
    body: bytes

    @cached_property
    def segments(self) -> list[str]:
        """The path's parts; repeated slashes count as one, as Zoho's own SDK needs them to."""
        return [part for part in self.target.partition("?")[0].split("/") if part]

    @cached_property
    def query(self) -> dict[str, str]:
        return dict(parse_qsl(self.target.partition("?")[2], keep_blank_values=True))

    @cached_property
    def form(self) -> dict[str, str]:
        """Parameters of the query string and of a form body; the body wins."""
        values = dict(self.query)
        if "form-urlencoded" in (self.headers.get("Content-Type") or ""):
            values.update(parse_qsl(self.body.decode("utf-8", "replace"), keep_blank_values=True))
        return values

    @property
    def token(self) -> str | None:
        match = _TOKEN.match(self.headers.get("Authorization") or "")
        return match.group(1) if match else None

    def json(self) -> Any:
        """The body as JSON; ``ValueError`` when it is none."""
        return json.loads(self.body or b"null")


@dataclass
class Answer:
    status: int = 200
    body: bytes = b""
    content_type: str | None = JSON
    headers: dict[str, str] = field(default_factory=dict)
    #: Sent after ``body``; ``Content-Length`` then is ``length``.
    stream: Iterable[bytes] = ()
    length: int | None = None
    #: "headers" or "body": from there on one byte every ``drip_seconds``.
    drip: str | None = None
    drip_seconds: float = 0.5
    #: Close the connection after this many bytes of the body.
    truncate_at: int | None = None

    def head(self, *, close: bool) -> bytes:
        length = self.length if self.length is not None else len(self.body)
        lines = [
            f"HTTP/1.1 {self.status} {_reason(self.status)}",
            "Server: ZGS",
            f"Date: {_http_date()}",
        ]
        if self.status not in (204, 304):
            lines.append(f"Content-Length: {length}")
            if self.content_type:
                lines.append(f"Content-Type: {self.content_type}")
        lines += [f"{name}: {value}" for name, value in self.headers.items()]
        if close:
            lines.append("Connection: close")
        return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1", "replace")


def json_answer(value: Any, status: int = 200, **headers: str) -> Answer:
    body = json.dumps(value, ensure_ascii=False).encode()
    return Answer(status, body, headers={k.replace("_", "-"): v for k, v in headers.items()})


def html_answer(markup: str, status: int = 200) -> Answer:
    return Answer(status, markup.encode(), content_type=HTML)


def _reason(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Unknown"


_date_cache: tuple[int, str] = (0, "")


def _http_date() -> str:
    global _date_cache
    second = int(time.time())
    if _date_cache[0] != second:
        _date_cache = second, time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(second))
    return _date_cache[1]


class Handler(BaseHTTPRequestHandler):
    """One connection: reads requests, asks the sandbox for the answers, sends them."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: "Listener"

    def serve(self) -> None:
        body = self._read_body()
        if body is None:
            return
        request = Request(self.command, self.path, self.headers, body)
        try:
            self.server.exchange(request, self.send)
        except ConnectionDropped:
            self._reset()
        except (ConnectionError, TimeoutError):
            self.close_connection = True

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = do_OPTIONS = serve  # noqa: N815

    def _read_body(self) -> bytes | None:
        length = self.headers.get("Content-Length")
        if length is None or not length.isdigit():
            if self.headers.get("Transfer-Encoding"):
                self.close_connection = True
                self.send(Answer(411))
                return None
            return b""
        if int(length) > MAX_BODY_BYTES:
            self.close_connection = True
            self.send(Answer(413))
            return None
        return self.rfile.read(int(length))

    def send(self, answer: Answer) -> None:
        """Send headers and body in one go, so that no answer waits for a delayed ACK."""
        close = answer.truncate_at is not None or self.close_connection
        head = answer.head(close=close)
        body = b"" if self.command == "HEAD" or answer.status in (204, 304) else answer.body
        if answer.truncate_at is not None:
            body = body[: answer.truncate_at]
            self.close_connection = True
        if answer.drip:
            slow = head + body if answer.drip == "headers" else body
            if answer.drip == "body":
                self.connection.sendall(head)
            self._drip(slow, answer.drip_seconds)
        else:
            self.connection.sendall(head + body)
        for chunk in answer.stream:
            self.connection.sendall(chunk)

    def _drip(self, data: bytes, seconds: float) -> None:
        for index in range(len(data)):
            if self.server.stopping.wait(seconds):
                raise ConnectionDropped
            self.connection.sendall(data[index : index + 1])

    def _reset(self) -> None:
        """Close with RST instead of FIN."""
        self.close_connection = True
        with contextlib.suppress(OSError):
            linger = struct.pack("ii", 1, 0)
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            self.server.forget(self.connection)
            self.connection.close()

    def log_message(self, format: str, *args: Any) -> None:
        """Stay quiet; ``/__sandbox__/requests`` tells."""
