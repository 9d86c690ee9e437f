"""Fixtures with real background work: the embedded broker, and a Celery worker on it."""

import subprocess
import time
from collections.abc import Iterator

import pytest
from celery.contrib.testing.worker import start_worker
from celery.signals import task_postrun
from django.conf import settings
from django.db import connections

from config.celery import app
from config.supervisor import parts, prepare

START_SECONDS = 10


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
