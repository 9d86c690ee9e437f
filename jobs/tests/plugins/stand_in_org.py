"""Fixtures with a running stand-in for Zoho, and connections to it."""

from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any

import pytest

from jobs.models import BulkWriteJob, Connection
from jobs.sandbox.samples import SAMPLE_CONNECTION
from jobs.sandbox.server import Sandbox
from jobs.services.connections import connecting
from jobs.services.registering import job_ids, tracking


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    """The stand-in, with its sample org."""
    with Sandbox(port=0) as running:
        yield running


@pytest.fixture
def connect(sandbox: Sandbox, settings: Any, monkeypatch: Any) -> Callable[..., Connection]:
    """Makes a connection to the sandbox, with room for as many polls as a test wants."""
    settings.ALLOW_CUSTOM_ZOHO_HOSTS = True
    monkeypatch.setenv("ALLOW_CUSTOM_ZOHO_HOSTS", "true")

    def make(name: str = "sandbox", **fields: Any) -> Connection:
        connection = Connection(
            **{
                "name": name,
                "data_center": "custom",
                "api_url": sandbox.url,
                "accounts_url": sandbox.url,
                "daily_credits": 1_000_000,
                "alert_recipients": "admin@example.com",
                **SAMPLE_CONNECTION,
            }
            | fields
        )
        connecting.save(connection)
        return connection

    return make


def all_polled(times: int = 1) -> bool:
    """Whether each job was polled so often."""
    return not BulkWriteJob.objects.filter(polls__lt=times).exists()


def all_polled_since(moment: datetime) -> bool:
    """Whether the last poll of each job is no older."""
    return not BulkWriteJob.objects.filter(last_polled_at__lt=moment).exists()


def asked_at(sandbox: Sandbox, route: str = "details", status: int | None = None) -> list[float]:
    """When the sandbox answered the latest requests of a route, with one status or any."""
    return [
        request["at"]
        for request in sandbox.requests.recent()
        if request["route"] == route and status in (None, request["status"])
    ]


def track(connection: Connection, ids: list[str]) -> None:
    tracking.track(connection, job_ids.read("\n".join(ids)).entries)
