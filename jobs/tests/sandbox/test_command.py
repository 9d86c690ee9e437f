import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import requests
from django.core.management import CommandError, call_command

from jobs.management.commands.sandbox import moment

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_runs_in_the_foreground_and_stops_when_told(number, tmp_path):
    command = [sys.executable, "manage.py", "sandbox", "--port", "0", "--speed", "100"]
    environment = {**os.environ, "DATA_DIR": str(tmp_path)}
    with subprocess.Popen(
        command, cwd=ROOT, env=environment, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            url = re.search(r"http://127\.0\.0\.1:\d+", process.stderr.readline()).group()
            assert requests.get(f"{url}/__sandbox__/health", timeout=5).json()["speed"] == 100
            lines = [process.stderr.readline() for _ in range(3)]
        finally:
            started = time.monotonic()
            process.send_signal(number)
            status = process.wait(10)
    assert status == 0
    assert time.monotonic() - started < 2
    assert "ZOHO_REFRESH_TOKEN=1000." in lines[1]
    assert f"--api-url {url} --accounts-url {url}" in lines[2]


def test_a_port_in_use_is_said_in_one_line():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(CommandError, match=f"port {port}: .*in use"):
            call_command("sandbox", port=port)


def test_an_epoch_without_an_offset_is_utc():
    assert moment("2026-11-24T10:00:00") == moment("2026-11-24T11:00:00+01:00")
    assert moment("2026-11-24T10:00:00Z") == moment("2026-11-24T10:00:00")
