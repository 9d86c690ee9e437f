"""Fixtures with a running stand-in for Zoho, and connections to it."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from jobs.models import Connection
from jobs.sandbox.samples import SAMPLE_CONNECTION
from jobs.sandbox.server import Sandbox
from jobs.services.connections import connecting
from jobs.services.registering import tracking


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


def track(connection: Connection, job_ids: list[str]) -> None:
    tracking.track(connection, tracking.read_ids("\n".join(job_ids)))
