"""``manage.py sandbox``: the stand-in for Zoho, in the foreground."""

import signal
import threading
from argparse import ArgumentParser
from datetime import UTC, datetime
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from jobs.sandbox.oauth import SAMPLE_CONNECTION
from jobs.sandbox.server import Sandbox


class Command(BaseCommand):
    help = "Run a local stand-in for Zoho CRM's Bulk Write API, with a sample organisation."
    # It needs neither database nor settings, and so starts in no time.
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--port", type=int, default=9009)
        parser.add_argument(
            "--epoch",
            type=moment,
            metavar="ISO",
            help="when the sample jobs' lives begin; the same epoch continues them (default: now)",
        )
        parser.add_argument("--latency-ms", type=float, default=0.0, help="for every API answer")
        parser.add_argument("--speed", type=float, default=1.0, help="how fast jobs move")

    def handle(self, *args: Any, **options: Any) -> None:
        sandbox = Sandbox(
            options["port"],
            epoch=options["epoch"],
            speed=options["speed"],
            latency=options["latency_ms"] / 1000,
        )
        try:
            sandbox.start()
        except (OSError, OverflowError) as error:
            raise CommandError(f"cannot listen on port {options['port']}: {error}") from error
        stop = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stop.set())
        self.stderr.write(introduction(sandbox.url))
        try:
            stop.wait()
        finally:
            sandbox.stop()


def moment(text: str) -> float:
    """Return an ISO time as seconds since 1970; one without an offset is UTC."""
    when = datetime.fromisoformat(text)
    return (when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp()


def introduction(url: str) -> str:
    connection = SAMPLE_CONNECTION
    return (
        f"Sandbox for Zoho CRM bulk write jobs: {url}\n"
        "To watch its sample organisation:\n"
        f"  ZOHO_CLIENT_SECRET={connection['client_secret']}"
        f" ZOHO_REFRESH_TOKEN={connection['refresh_token']} \\\n"
        "  python manage.py add_connection sample --data-center custom"
        f" --client-id {connection['client_id']} --api-url {url} --accounts-url {url}\n"
    )
