"""Start, watch and stop the parts of the product."""

import logging
import os
import queue
import re
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from logging.handlers import RotatingFileHandler
from pathlib import Path
from types import FrameType
from typing import IO

from config.supervisor import watchdog

LAST_LINES = 15
LOG_BYTES = 2 * 1024 * 1024
LOG_FILES_KEPT = 2
READY_CHECK_SECONDS = 0.02
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

# Says its process id to the watchdog (standard input is the watchdog's pipe), then becomes the
# part. The part never holds the pipe, or the pipe would outlive the supervisor.
ANNOUNCE_AND_EXEC = 'echo "+$$" >&0 && exec "$@" </dev/null'

RECORD_START = re.compile(r"^\[?\d{4}-\d\d-\d\d")
RECORD_OF_ERROR = re.compile(r"\b(ERROR|CRITICAL)\b")


class StopRequestedError(Exception):
    """A signal asked for the end of everything."""


class PartEndedError(Exception):
    """A part ended by itself, or did not become ready.

    `what` says in one line which and how; the message goes on with the end of its log.
    """

    def __init__(self, what: str, message: str) -> None:
        super().__init__(message)
        self.what = what


@dataclass(frozen=True)
class Part:
    """One process that the supervisor runs, in a session of its own."""

    name: str
    argv: Sequence[str]
    is_ready: Callable[[], bool] = lambda: True
    ready_seconds: float = 60.0
    stop_seconds: float = 5.0


@dataclass
class RunningPart:
    part: Part
    process: subprocess.Popen[str]
    last_lines: deque[str] = field(default_factory=lambda: deque(maxlen=LAST_LINES))
    log_keeper: threading.Thread | None = None

    @property
    def how_it_ended(self) -> str:
        code = self.process.wait()
        if code < 0:
            return f"was killed by {signal.Signals(-code).name}"
        return f"ended with status {code}"


class Supervisor:
    """Runs parts until a signal comes or one of them ends, then stops all, last started first.

    Use as a context manager: leaving it stops every part. Should this process be killed, a
    watchdog stops them in its place; it inherits `inherited_fds` and keeps them open until then.
    """

    def __init__(
        self,
        *,
        folder: Path,
        environment: Mapping[str, str],
        logs: Path,
        show: Callable[[str], None],
        inherited_fds: Sequence[int] = (),
    ) -> None:
        self.folder = folder
        self.environment = dict(environment)
        self.logs = logs
        self.show = show
        self.inherited_fds = inherited_fds
        self.running: list[RunningPart] = []
        # SimpleQueue, because its put() is safe inside a signal handler.
        self.events: queue.SimpleQueue[RunningPart | signal.Signals] = queue.SimpleQueue()

    def __enter__(self) -> "Supervisor":
        for number in STOP_SIGNALS:
            signal.signal(number, self._on_signal)
        reader, self.announcements = os.pipe()
        self.watchdog = subprocess.Popen(
            [sys.executable, "-I", "-S", watchdog.__file__],
            stdin=reader,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            text=True,
            start_new_session=True,
            pass_fds=self.inherited_fds,
        )
        os.close(reader)
        self._watch(RunningPart(Part("watchdog", ()), self.watchdog))
        return self

    def __exit__(self, *exc_info: object) -> None:
        while self.running:
            self._stop(self.running.pop())
        os.close(self.announcements)
        self.watchdog.wait()

    def start(self, part: Part) -> None:
        """Start a part; `wait_ready` says when it is of use."""
        process = subprocess.Popen(
            ["/bin/sh", "-c", ANNOUNCE_AND_EXEC, "sh", *part.argv],
            cwd=self.folder,
            env=self.environment,
            stdin=self.announcements,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
            errors="replace",
            start_new_session=True,
        )
        running = RunningPart(part, process)
        self.running.append(running)
        assert process.stdout is not None
        running.log_keeper = threading.Thread(
            target=self._keep_log, args=(running, process.stdout), daemon=True
        )
        running.log_keeper.start()
        self._watch(running)

    def wait_ready(self, name: str) -> None:
        """Wait until the part is ready.

        Raises `PartEndedError` if it takes too long or any part ends, `StopRequestedError` on a
        signal.
        """
        running = next(candidate for candidate in self.running if candidate.part.name == name)
        deadline = time.monotonic() + running.part.ready_seconds
        while not running.part.is_ready():
            self._raise_next_event(timeout=READY_CHECK_SECONDS)
            if time.monotonic() > deadline:
                raise self._ended(
                    running, f"was not ready after {running.part.ready_seconds:.0f} s"
                )

    def run(self) -> None:
        """Watch the parts for ever: always ends by `PartEndedError` or `StopRequestedError`."""
        while True:
            self._raise_next_event(timeout=None)

    def _raise_next_event(self, timeout: float | None) -> None:
        try:
            event = self.events.get(timeout=timeout)
        except queue.Empty:
            return
        if isinstance(event, signal.Signals):
            raise StopRequestedError
        raise self._ended(event, event.how_it_ended)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        self.events.put(signal.Signals(number))

    def _watch(self, running: RunningPart) -> None:
        def wait() -> None:
            running.process.wait()
            self.events.put(running)

        threading.Thread(target=wait, daemon=True).start()

    def _stop(self, running: RunningPart) -> None:
        """Ask the part to end, then kill what is left of it; a further signal shortens the wait."""
        process = running.process
        if process.poll() is None:
            process.terminate()
            deadline = time.monotonic() + running.part.stop_seconds
            while process.poll() is None and (left := deadline - time.monotonic()) > 0:
                try:
                    event = self.events.get(timeout=left)
                except queue.Empty:
                    break
                if isinstance(event, signal.Signals):
                    break
        watchdog.signal_quietly(os.killpg, process.pid, signal.SIGKILL)
        process.wait()
        try:
            os.write(self.announcements, f"-{process.pid}\n".encode())
        except BrokenPipeError:  # the watchdog is what died
            pass

    def _keep_log(self, running: RunningPart, lines: IO[str]) -> None:
        """Keep a part's output in its bounded log, and show its errors as they come."""
        name = running.part.name
        log = BoundedLog(self.logs / f"{name}.log")
        shown = False
        for line in lines:
            line = line.rstrip("\n")
            running.last_lines.append(line)
            log.write(line)
            # A record's further lines (a traceback) belong to its first.
            if RECORD_START.match(line):
                shown = RECORD_OF_ERROR.search(line) is not None
            if shown:
                self.show(f"{name} | {line}")

    def _ended(self, running: RunningPart, how: str) -> PartEndedError:
        name = running.part.name
        what = f"{name} {how}"
        if running.log_keeper:
            # The last words may still be on their way; a grandchild may hold the pipe for longer.
            running.log_keeper.join(timeout=0.5)
        if not running.last_lines:
            return PartEndedError(what, f"{what}.")
        last = "\n".join(f"  {line}" for line in running.last_lines)
        log = self.logs / f"{name}.log"
        return PartEndedError(what, f"{what}. The end of {log}:\n{last}")


class BoundedLog(RotatingFileHandler):
    """A text file that starts anew when it has grown long; a full disk does not stop the writer."""

    def __init__(self, path: Path) -> None:
        super().__init__(
            path, maxBytes=LOG_BYTES, backupCount=LOG_FILES_KEPT, encoding="utf-8", delay=True
        )

    def write(self, line: str) -> None:
        self.emit(logging.makeLogRecord({"msg": line}))

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802
        pass
