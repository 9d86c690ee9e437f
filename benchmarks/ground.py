"""What the benchmarks share: a data folder of their own, and parts of the product as processes."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import requests

ROOT = Path(__file__).resolve().parent.parent
MANAGE = [sys.executable, str(ROOT / "manage.py")]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def data_folder() -> Iterator[Path]:
    """A fresh `DATA_DIR`, set in the environment of this process and those that it starts."""
    with tempfile.TemporaryDirectory(prefix="bulkwatch-bench-") as folder:
        os.environ.update(
            DATA_DIR=folder,
            ALLOW_CUSTOM_ZOHO_HOSTS="1",
            DJANGO_SETTINGS_MODULE="config.settings",
            LOG_LEVEL="WARNING",
        )
        yield Path(folder)


@contextlib.contextmanager
def running(*command: str, ready_url: str) -> Iterator[subprocess.Popen[bytes]]:
    """A command of `manage.py` as a process, once `ready_url` answers; interrupted at the end."""
    process = subprocess.Popen([*MANAGE, *command], stdout=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 60
        while True:
            with contextlib.suppress(requests.RequestException):
                if requests.get(ready_url, timeout=2).ok:
                    break
            if process.poll() is not None or time.monotonic() > deadline:
                raise SystemExit(f"{command[0]} did not start")
            time.sleep(0.1)
        yield process
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(timeout=30)
