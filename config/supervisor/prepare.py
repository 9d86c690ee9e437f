"""What must be true before anything starts: the folder, its lock, the port, files, a user."""

import errno
import fcntl
import hashlib
import os
import secrets
import socket
import stat
import tempfile
import time
from pathlib import Path

from django.conf import settings
from django.contrib.auth import get_user_model
from django.contrib.staticfiles.finders import get_finders
from django.core.management import call_command
from django.db import DatabaseError

from config.local_secrets import cannot_be_written

HOST = "127.0.0.1"
FIRST_USER = "admin"
# Longer than the watchdog of a killed supervisor takes: it holds the lock until it has cleaned up.
LOCK_WAIT_SECONDS = 15.0


class NotReadyError(Exception):
    """This machine is not ready to run the product; the message says what to do."""


def make_folders(data_dir: Path) -> None:
    """Make the folders below `DATA_DIR`, or raise `NotReadyError` where nothing can be written."""
    try:
        for name in ("run", "logs", "broker"):
            (data_dir / name).mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=data_dir / "run") as probe:
            probe.write(b"\0" * 4096)
    except OSError as error:
        raise NotReadyError(cannot_be_written(data_dir, error)) from error


def take_lock(path: Path) -> int:
    """Lock this `DATA_DIR` for as long as the returned descriptor is open anywhere.

    Waits for what a killed supervisor left to go away; raises `NotReadyError` where another one
    is alive.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    deadline = time.monotonic() + LOCK_WAIT_SECONDS
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            break
        except OSError as error:
            if error.errno not in (errno.EWOULDBLOCK, errno.EACCES):
                raise NotReadyError(f"{path} cannot be locked: {error.strerror}.") from error
        holder = os.pread(descriptor, 32, 0).decode("ascii", "replace").strip()
        if _is_alive(holder) or time.monotonic() > deadline:
            os.close(descriptor)
            raise NotReadyError(
                f"Bulkwatch is already running on this data (process {holder or 'unknown'}, "
                f"DATA_DIR {path.parent.parent}): stop it first, or set another DATA_DIR."
            )
        time.sleep(0.1)
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
    return descriptor


def _is_alive(pid: str) -> bool:
    try:
        os.kill(int(pid), 0)
    except (ValueError, ProcessLookupError):
        return False
    except PermissionError:
        pass
    return True


def check_port(port: int) -> None:
    """Raise `NotReadyError` where the web server could not listen on this port."""
    if not 0 < port < 65536:
        raise NotReadyError(f"{port} is no port: choose one from 1 to 65535 with --port.")
    with socket.socket() as probe:
        # As servers do, so that connections of an earlier run that still linger do not count.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            raise NotReadyError(
                f"Port {port} cannot be used ({error.strerror}): choose another one with --port."
            ) from error


def free_port(preferred: int) -> int:
    """The preferred port if it is free, otherwise any that is."""
    for port in (preferred, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((HOST, port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise NotReadyError("No port is free on this machine.")


def make_socket_folder(path: Path) -> None:
    """Make the folder of a unix socket, for this user alone."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = path.parent.stat(follow_symlinks=False)
    # Below the shared temporary folder, somebody else could have made it first.
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
        raise NotReadyError(f"{path.parent} belongs to somebody else: choose a shorter DATA_DIR.")
    path.parent.chmod(0o700)


def migrate() -> None:
    """Bring the database up to date, or raise `NotReadyError` with what the database said."""
    try:
        call_command("migrate", verbosity=0, interactive=False)
    except DatabaseError as error:
        reason = str(error).strip().replace("\n", " ")
        raise NotReadyError(f"The database could not be prepared: {reason}") from error


def collect_static(stamp: Path) -> None:
    """Collect the static files if any source changed since the collection that `stamp` tells of."""
    wanted = _static_sources()
    if stamp.exists() and stamp.read_text() == wanted and Path(settings.STATIC_ROOT).is_dir():
        return
    stamp.unlink(missing_ok=True)
    try:
        call_command("collectstatic", verbosity=0, interactive=False)
        stamp.write_text(wanted)
    except OSError as error:
        raise NotReadyError(f"The static files could not be written: {error}") from error


def _static_sources() -> str:
    """A digest of where the static files are, how large and how old, and how they are stored."""
    digest = hashlib.sha256(repr(settings.STORAGES["staticfiles"]).encode())
    for finder in get_finders():
        for name, storage in finder.list(None):
            found = os.stat(storage.path(name))
            digest.update(f"{name}\0{found.st_size}\0{found.st_mtime_ns}\n".encode())
    return digest.hexdigest()


def make_first_user() -> str | None:
    """Make the first user where there is none, and return the password made for it."""
    users = get_user_model()._default_manager
    if users.exists():
        return None
    password = secrets.token_urlsafe(12)
    users.create_superuser(FIRST_USER, password=password)
    return password
