"""`manage.py up` as a process, seen from outside."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from types import TracebackType

from config.local_secrets import BASE_DIR
from jobs.tests.plugins import environment

START_SECONDS = 60
STOP_SECONDS = 30
# The product's own variables that a test run sets; `up` is to find none of them.
NOT_INHERITED = {
    "ALLOWED_HOSTS",
    "DATABASE_URL",
    "DATA_DIR",
    "DJANGO_ALLOW_ASYNC_UNSAFE",
    "EMAIL_URL",
    "ENCRYPTION_KEYS",
    "SECRET_KEY",
    "SITE_URL",
}


def unused_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_until(condition, seconds: float, what: str) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(0.02)


def processes_in_sessions(sessions: set[int]) -> dict[int, str]:
    """The living processes of these sessions: process id to command line."""
    found = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            # After the name, which may hold spaces: state, parent, group, session.
            state, _, _, session = (entry / "stat").read_text().rpartition(")")[2].split()[:4]
            command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if state not in "ZX" and int(session) in sessions:
            found[int(entry.name)] = command
    return found


def children_of(parent: int) -> dict[int, str]:
    found = {}
    for pid in Path(f"/proc/{parent}/task/{parent}/children").read_text().split():
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
        found[int(pid)] = command.replace(b"\0", b" ").decode()
    return found


class Up:
    """A running `manage.py up`; leaving the context kills all that is left of it."""

    def __init__(self, data_dir: Path, *arguments: str, port: int | None = None, **env: str):
        self.data_dir = data_dir
        self.port = port or unused_port()
        self.output_path = environment.run_folder / f"up.{self.port}.output"
        inherited = {k: v for k, v in os.environ.items() if k not in NOT_INHERITED}
        with self.output_path.open("w") as output:
            self.process = subprocess.Popen(
                [sys.executable, "manage.py", "up", "--port", str(self.port), *arguments],
                cwd=BASE_DIR,
                env=inherited | {"DATA_DIR": str(data_dir)} | env,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.sessions = {self.process.pid}

    def __enter__(self) -> "Up":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.note_sessions()
        self.kill_all()
        self.process.wait()

    @property
    def output(self) -> str:
        return self.output_path.read_text()

    def wait_ready(self) -> "Up":
        """Wait until everything runs, and remember which sessions that is."""

        def ready() -> bool:
            assert self.process.poll() is None, self.output
            return "is running at" in self.output

        wait_until(ready, START_SECONDS, "up says that it runs")
        wait_until(lambda: len(self.parts()) == 6, START_SECONDS, "all parts are started")
        worker = {self.parts()["worker"]}
        wait_until(
            lambda: len(processes_in_sessions(worker)) == 3, START_SECONDS, "the worker's processes"
        )
        self.note_sessions()
        return self

    def note_sessions(self) -> None:
        if self.process.poll() is None:
            self.sessions |= set(children_of(self.process.pid))

    def parts(self) -> dict[str, int]:
        """Process id of each part by name."""
        signs = {
            "watchdog": "watchdog.py",
            "broker": "valkey-server",
            "web": "supervisor.web",
            "worker": "config worker",
            "beat": "config beat",
            "lookout": "manage.py lookout",
        }
        found = {}
        for pid, command in children_of(self.process.pid).items():
            for name, sign in signs.items():
                if sign in command:
                    found[name] = pid
        return found

    def get(self, path: str = "/healthz") -> int:
        """The status of a page."""
        try:
            url = f"http://127.0.0.1:{self.port}{path}"
            with urllib.request.urlopen(url, timeout=10) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            return error.code

    def stop(self, number: int = signal.SIGINT) -> int:
        """Send a signal and return the exit status."""
        self.note_sessions()
        self.process.send_signal(number)
        return self.process.wait(STOP_SECONDS)

    def left_over(self) -> dict[int, str]:
        return processes_in_sessions(self.sessions)

    def kill_all(self) -> None:
        for pid in self.left_over():
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass


def copy_data(prepared: Path, to: Path) -> Path:
    shutil.copytree(prepared, to, ignore=shutil.ignore_patterns("*.sock", "logs"))
    return to
