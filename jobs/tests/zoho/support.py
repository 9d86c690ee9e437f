"""What the tests of this package share: a raw loopback server, a token store, a job's payload."""

import contextlib
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

JOB_ID = "111111000000541958"


def job_payload(**changes: Any) -> dict[str, Any]:
    """The "Completed" sample of the v7 page, its commas repaired."""
    job: dict[str, Any] = {
        "status": "COMPLETED",
        "character_encoding": "UTF-8",
        "resource": [
            {
                "status": "COMPLETED",
                "type": "data",
                "code": "SUCCESS",
                "module": {"api_name": "Deals", "id": "3652397000000002181"},
                "field_mappings": [
                    {
                        "api_name": "Deal_Name",
                        "index": 1,
                        "format": None,
                        "find_by": None,
                        "default_value": None,
                    },
                    {"api_name": "Stage", "default_value": {"value": "New"}},
                ],
                "file": {
                    "status": "COMPLETED",
                    "name": "Deals.csv",
                    "added_count": 0,
                    "skipped_count": 100,
                    "updated_count": 0,
                    "total_count": 100,
                },
            }
        ],
        "id": JOB_ID,
        "result": {"download_url": f"/v7/crm/org6196138/bulk-write/{JOB_ID}/{JOB_ID}.zip"},
        "created_by": {"id": "111111000000035795", "name": "Patricia Boyle "},
        "operation": "insert",
        "created_time": "2019-01-30T02:18:15-12:00",
    }
    return job | changes


class MemoryStore:
    """A token store like Django's local-memory cache, counting what is asked of it."""

    def __init__(self) -> None:
        self.values: dict[str, tuple[Any, float]] = {}
        self.lock = threading.Lock()

    def get(self, key: str) -> Any:
        with self.lock:
            value, until = self.values.get(key, (None, 0.0))
            return value if until > time.time() else None

    def set(self, key: str, value: dict[str, Any], timeout: float) -> None:
        with self.lock:
            self.values[key] = (json.loads(json.dumps(value)), time.time() + timeout)

    def add(self, key: str, value: dict[str, Any], timeout: float) -> bool:
        with self.lock:
            if self.values.get(key, (None, 0.0))[1] > time.time():
                return False
            self.values[key] = (value, time.time() + timeout)
            return True

    def delete(self, key: str) -> None:
        with self.lock:
            self.values.pop(key, None)


class FixedTokens:
    """Access tokens without a wire: "first", and "second" once it was renewed."""

    api_domain = ""

    def __init__(self) -> None:
        self.token = "first"
        self.renewals = 0

    def get(self) -> str:
        return self.token

    def renew(self, rejected: str) -> str:
        self.renewals += 1
        self.token = "second"
        return self.token


class RawServer:
    """A server that does with each request what ``handle(socket, head)`` says."""

    def __init__(self, handle: Callable[[socket.socket, bytes], None], *, reads: bool) -> None:
        self.handle = handle
        self.reads = reads
        self.heads: list[bytes] = []
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self.socket.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            connection.settimeout(10)
            if not self.reads:
                self.handle(connection, b"")
                return
            data = b""
            while True:
                while b"\r\n\r\n" not in data:
                    piece = connection.recv(65_536)
                    if not piece:
                        return
                    data += piece
                head, _, data = data.partition(b"\r\n\r\n")
                self.heads.append(head)
                self.handle(connection, head)


@contextlib.contextmanager
def raw_server(
    handle: Callable[[socket.socket, bytes], None], *, reads: bool = True
) -> Iterator[RawServer]:
    server = RawServer(handle, reads=reads)
    try:
        yield server
    finally:
        with contextlib.suppress(OSError):
            server.socket.shutdown(socket.SHUT_RDWR)
        server.socket.close()


def answer(
    connection: socket.socket, body: bytes, status: str = "200 OK", headers: str = ""
) -> None:
    """Send one complete answer and leave the connection open."""
    head = f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n{headers}\r\n"
    connection.sendall(head.encode() + body)
