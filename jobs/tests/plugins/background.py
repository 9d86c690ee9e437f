"""Fixtures with real background work: the embedded broker, and Celery workers on it."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from celery.contrib.testing.worker import start_worker
from celery.signals import task_postrun
from django.conf import settings
from django.db import connection, connections

from config.celery import app
from config.supervisor import parts, prepare

START_SECONDS = 10
IN_TIME_SECONDS = 30


@pytest.fixture(scope="session")
def valkey_server() -> Iterator[str]:
    """The embedded broker, where the settings of the tests say it is; its `REDIS_URL`."""
    unix_socket = settings.EMBEDDED_BROKER_SOCKET
    folder = settings.DATA_DIR / "broker"
    folder.mkdir()
    prepare.make_socket_folder(unix_socket)
    part = parts.broker(unix_socket, folder)
    process = subprocess.Popen(part.argv, stdout=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + START_SECONDS
        while not part.is_ready():
            assert time.monotonic() < deadline, "the embedded broker did not start"
            time.sleep(0.01)
        yield settings.REDIS_URL
    finally:
        process.terminate()
        process.wait()


@pytest.fixture
def embedded_broker(valkey_server: str) -> str:
    """The embedded broker, empty; Celery uses it already. Its `REDIS_URL`."""
    parts.broker_says(settings.EMBEDDED_BROKER_SOCKET, "FLUSHALL")
    return valkey_server


@pytest.fixture
def live_worker(transactional_db: None, embedded_broker: str) -> Iterator[object]:
    """A real Celery worker in a thread, on the test's database; what is queued gets done."""

    def close_connections(**kwargs: object) -> None:
        connections.close_all()

    task_postrun.connect(close_connections)
    try:
        with start_worker(app, pool="solo", perform_ping_check=False) as worker:
            yield worker
    finally:
        task_postrun.disconnect(close_connections)


def tick_until(condition: Callable[[], bool]) -> None:
    """Queue what beat queues, until the condition holds."""
    # The tasks are models' users, and those are not to be imported before Django is set up.
    from jobs import tasks

    deadline = time.monotonic() + IN_TIME_SECONDS
    while not condition():
        assert time.monotonic() < deadline, "not in time"
        tasks.dispatch_due_polls.delay()
        tasks.fetch_due_results.delay()
        tasks.deliver_alerts.delay()
        time.sleep(0.2)


class Background:
    """A Celery worker of several processes and beat, as on a server, on the test's database."""

    def __init__(self, folder: Path) -> None:
        self.log = folder / "background.log"
        self.processes: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, workers: int = 2, **env: str) -> None:
        """Start the worker with so many processes, and beat. Returns before they are ready."""
        self.start_worker(workers, **env)
        self.start_beat(**env)

    def start_beat(self, **env: str) -> None:
        schedule = self.log.with_name("beat-schedule")
        self.start_part("beat", [*parts.beat().argv, "--schedule", str(schedule)], **env)

    def start_worker(self, workers: int = 2, **env: str) -> None:
        self.start_part("worker", parts.worker(workers).argv, **env)

    def run(self, *arguments: str) -> "subprocess.Popen[bytes]":
        """A command of `manage.py` under way; its output goes to the log."""
        self.start_part(arguments[0], [sys.executable, "manage.py", *arguments])
        return self.processes[arguments[0]]

    def environment(self, **env: str) -> dict[str, str]:
        """What a process of the product needs to work on the test's database and broker."""
        return os.environ | {"DATABASE_URL": _url_of_test_database()} | env

    def start_part(self, name: str, argv: Any, **env: str) -> None:
        with self.log.open("ab") as log:
            self.processes[name] = subprocess.Popen(
                argv,
                cwd=settings.BASE_DIR,
                env=self.environment(**env),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def kill(self, name: str) -> None:
        """End a part and all its processes at once, as a power cut would."""
        process = self.processes.pop(name)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    def stop(self) -> None:
        for process in self.processes.values():
            process.terminate()
        for name, process in list(self.processes.items()):
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                pass
            try:
                self.kill(name)
            except ProcessLookupError:
                pass

    def wait_until(self, condition: Callable[[], object], seconds: float = 60.0) -> None:
        """Wait until the condition holds; fail with the end of the log otherwise."""
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, self.log.read_text(errors="replace")[-6000:]
            time.sleep(0.1)


def _url_of_test_database() -> str:
    database = connection.settings_dict
    if connection.vendor == "sqlite":
        return f"sqlite:///{database['NAME']}"
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_database()")
        name = cursor.fetchone()[0]
    base = os.environ["DATABASE_URL"]
    head, _, query = base.partition("?")
    return f"{head.rpartition('/')[0]}/{name}" + (f"?{query}" if query else "")


@pytest.fixture
def background(
    transactional_db: None, embedded_broker: str, tmp_path: Path
) -> Iterator[Background]:
    """Worker processes and beat that a test may start and kill; none is left afterwards."""
    running = Background(tmp_path)
    try:
        yield running
    finally:
        running.stop()
