"""Run the whole product on this machine."""

import os
import signal
import subprocess
import sys
from argparse import ArgumentParser
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from environs import Env, EnvError

from config.supervisor import parts, prepare
from config.supervisor.processes import PartEndedError, StopRequestedError, Supervisor

SANDBOX_PORT = 9009
# A mail server that is slow must not keep the command, which may be about to be started anew.
TELLING_SECONDS = 20.0
DEMO_ENVIRONMENT = {"BULKWATCH_DEMO": "1", "ALLOW_CUSTOM_ZOHO_HOSTS": "1"}


class Command(BaseCommand):
    help = (
        "Run the broker, the worker, beat, the lookout and the web server here; Ctrl-C stops them "
        "all."
    )
    # The checks that matter run with `migrate`; here they would only delay the first page.
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--port", type=int, default=8000, help="of the web server (8000)")
        parser.add_argument(
            "--demo", action="store_true", help="run the Zoho stand-in with a sample org too"
        )

    def handle(self, *, port: int, demo: bool, **options: Any) -> None:
        if demo and not (settings.DEMO and settings.ALLOW_CUSTOM_ZOHO_HOSTS):
            # Settings are read once, so what changes them starts this command anew.
            os.environ.update(DEMO_ENVIRONMENT)
            os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])
        # Until the supervisor takes the signals over, they end the command where it stands.
        signal.signal(signal.SIGTERM, interrupt)
        signal.signal(signal.SIGHUP, interrupt)
        # All that is made here, by the parts too, is for this user alone.
        os.umask(0o077)
        try:
            self.run(port, demo)
        except prepare.NotReadyError as error:
            raise CommandError(str(error)) from error
        except PartEndedError as error:
            tell_operators(error.what, site_url=f"http://{prepare.HOST}:{port}")
            raise CommandError(f"{error}\nEverything has been stopped.") from error
        except (StopRequestedError, KeyboardInterrupt):
            self.say("Bulkwatch has stopped.")

    def run(self, port: int, demo: bool) -> None:
        data_dir = Path(settings.DATA_DIR)
        web_processes = process_count("WEB_PROCESSES")
        worker_processes = process_count("WORKER_PROCESSES")
        prepare.make_folders(data_dir)
        lock = prepare.take_lock(data_dir / "run" / "up.lock")
        prepare.check_port(port)
        prepare.migrate()
        prepare.collect_static(data_dir / "run" / "static-sources")
        password = prepare.make_first_user()

        address = f"http://{prepare.HOST}:{port}"
        environment = {"SITE_URL": address, **os.environ, "PYTHONUNBUFFERED": "1"}
        with Supervisor(
            folder=settings.BASE_DIR,
            environment=environment,
            logs=data_dir / "logs",
            show=self.stderr.write,
            inherited_fds=[lock],
        ) as supervisor:
            unix_socket = settings.EMBEDDED_BROKER_SOCKET
            if unix_socket:
                prepare.make_socket_folder(unix_socket)
                parts.stop_orphaned_broker(unix_socket)
                supervisor.start(parts.broker(unix_socket, data_dir / "broker"))
            if demo:
                sandbox_port = prepare.free_port(SANDBOX_PORT)
                supervisor.start(parts.sandbox(sandbox_port, demo_epoch(data_dir)))
            supervisor.start(parts.web(port, web_processes))
            if unix_socket:
                supervisor.wait_ready("broker")
            if demo:
                supervisor.wait_ready("sandbox")
                load_sample_org(f"http://{prepare.HOST}:{sandbox_port}")
            supervisor.wait_ready("web")
            # After the first page, which they would only slow down.
            remove_beat_schedule(Path(settings.CELERY_BEAT_SCHEDULE_FILENAME))
            supervisor.start(parts.worker(worker_processes))
            supervisor.start(parts.beat())
            supervisor.start(parts.lookout())

            self.say(f"Bulkwatch is running at {address}/")
            if password:
                self.say(
                    f"Sign in as {prepare.FIRST_USER} with the password {password} (shown this "
                    f"once; change it at {address}/accounts/password/)"
                )
            self.say("Ctrl-C stops it.")
            supervisor.run()

    def say(self, line: str) -> None:
        self.stdout.write(line)
        self.stdout.flush()


def tell_operators(what: str, *, site_url: str) -> None:
    """Have it mailed that everything was stopped; it is said on the console in any case."""
    try:
        subprocess.run(
            parts.lookout_argv("--stopped", what),
            cwd=settings.BASE_DIR,
            env={"SITE_URL": site_url, **os.environ},
            stdin=subprocess.DEVNULL,
            timeout=TELLING_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        pass


def interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def process_count(name: str) -> int:
    """How many processes the environment wants of a part; 2 unless it says."""
    try:
        count = Env().int(name, 2)
    except EnvError as error:
        raise CommandError(f"{name}: {error}") from error
    if count < 1:
        raise CommandError(f"{name} must be 1 or more, not {count}.")
    return count


def demo_epoch(data_dir: Path) -> str:
    """When this demo began, the same at every start, so that its jobs go on where they were."""
    path = data_dir / "demo-epoch"
    if not path.exists():
        path.write_text(datetime.now(UTC).isoformat(timespec="seconds"))
    return path.read_text().strip()


def load_sample_org(sandbox_url: str) -> None:
    # Imported here, because the demo alone needs it and it would delay every start.
    from jobs.services import demo

    demo.load_sample_org(sandbox_url)


def remove_beat_schedule(path: Path) -> None:
    """Forget when beat last ticked: seconds ago at most, and a power cut can tear the file."""
    for leftover in path.parent.glob(f"{path.name}*"):
        leftover.unlink()
