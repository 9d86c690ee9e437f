"""A total time for one exchange over HTTP, whichever part of it is slow.

The timeouts of ``requests`` count from one received byte to the next, so a server that sends a
byte a second is never timed out. Here a watchdog shuts the socket down when the time is over:
connecting, TLS, headers and body alike. Only the resolver of names cannot be interrupted.
"""

import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

IDLE_SECONDS = 30.0

_current = threading.local()


def current_deadline() -> "Deadline | None":
    """The deadline under which this thread is talking."""
    deadline: Deadline | None = getattr(_current, "deadline", None)
    return deadline


class Deadline:
    """The end of one exchange; when it passes, the connection in use is shut down."""

    __slots__ = ("_duplicate", "at", "connection", "passed", "sock")

    def __init__(self, seconds: float) -> None:
        self.at = time.monotonic() + seconds
        self.passed = False
        self.connection: Any = None
        self.sock: socket.socket | None = None
        self._duplicate: socket.socket | None = None

    def remaining(self) -> float:
        return self.at - time.monotonic()

    def guard(self, connection: Any, sock: Any) -> None:
        """Watch over this socket from now on, until another exchange uses the connection."""
        self.release()
        self.sock = sock
        self.connection = connection
        connection.bulkwatch_deadline = self
        if self.passed or self.remaining() <= 0:
            self.passed = True
            raise TimeoutError("deadline passed")

    def guard_new(self, connection: Any, sock: socket.socket) -> None:
        """Watch over a socket whose TLS is still to come.

        TLS takes the socket's descriptor over; a duplicate reaches the same connection.
        """
        self.guard(connection, sock.dup())
        self._duplicate = self.sock

    def release(self) -> None:
        """Watch over nothing any more."""
        duplicate, self._duplicate = self._duplicate, None
        self.sock = self.connection = None
        if duplicate is not None:
            duplicate.close()

    def enforce(self) -> None:
        self.passed = True
        sock, connection = self.sock, self.connection
        if sock is None or getattr(connection, "bulkwatch_deadline", None) is not self:
            return
        # TLS inside a proxy's TLS wraps the socket; SSLSocket.shutdown() would drop its TLS state
        # under the reading thread, so the plain socket's is called.
        sock = getattr(sock, "socket", sock)
        with contextlib.suppress(OSError, AttributeError):
            socket.socket.shutdown(sock, socket.SHUT_RDWR)


class Watchdog:
    """One thread per process that enforces deadlines; it ends itself when nothing is under way."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._active: set[Deadline] = set()
        self._thread: threading.Thread | None = None
        self._wakes_at = 0.0

    def add(self, deadline: Deadline) -> None:
        with self._changed:
            self._active.add(deadline)
            # A fork leaves the thread behind in the parent.
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(
                    target=self._run, name="zoho-deadlines", daemon=True
                )
                self._wakes_at = deadline.at
                self._thread.start()
            elif deadline.at < self._wakes_at:
                self._changed.notify()

    def remove(self, deadline: Deadline) -> None:
        with self._changed:
            self._active.discard(deadline)

    def _run(self) -> None:
        while True:
            with self._changed:
                now = time.monotonic()
                overdue = [item for item in self._active if item.at <= now]
                self._active.difference_update(overdue)
                if not overdue:
                    idle = not self._active
                    self._wakes_at = min([item.at for item in self._active] or [now + IDLE_SECONDS])
                    notified = self._changed.wait(self._wakes_at - now)
                    if idle and not notified and not self._active:
                        self._thread = None
                        return
            for item in overdue:
                item.enforce()


_watchdog = Watchdog()


@contextlib.contextmanager
def watched(seconds: float) -> Iterator[Deadline]:
    """A deadline for the exchanges of this thread, enforced while the block runs."""
    deadline = Deadline(seconds)
    _current.deadline = deadline
    _watchdog.add(deadline)
    try:
        yield deadline
    finally:
        _watchdog.remove(deadline)
        _current.deadline = None
        deadline.release()
