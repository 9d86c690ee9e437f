import json
from collections.abc import Iterator
from typing import Any

import pytest
import requests

from jobs.sandbox.server import Sandbox

EPOCH = 1_795_500_000.0


class MovableClock:
    def __init__(self, now: float = EPOCH) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now

    def forward(self, seconds: float) -> None:
        self.now += seconds


class Client:
    """Asks a sandbox as a program that knows Zoho would."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox = sandbox
        self.session = requests.Session()
        self.token = sandbox.issue_token()

    def get(self, path: str, **options: Any) -> requests.Response:
        return self.request("GET", path, **options)

    def request(self, method: str, path: str, **options: Any) -> requests.Response:
        headers = {"Authorization": f"Zoho-oauthtoken {self.token}", **options.pop("headers", {})}
        headers = {name: value for name, value in headers.items() if value is not None}
        return self.session.request(
            method,
            self.sandbox.url + path,
            headers=headers,
            timeout=options.pop("timeout", 5),
            allow_redirects=False,
            **options,
        )

    def details(self, job_id: str, version: str = "v7", **options: Any) -> requests.Response:
        return self.get(f"/crm/bulk/{version}/write/{job_id}", **options)

    def job(self, job_id: str) -> Any:
        response = self.details(job_id)
        assert response.status_code == 200, response.text
        return response.json()

    def control(self, method: str, path: str, order: Any = None) -> Any:
        body = None if order is None else json.dumps(order)
        response = self.session.request(
            method, f"{self.sandbox.url}/__sandbox__/{path}", data=body, timeout=5
        )
        response.raise_for_status()
        return response.json()


@pytest.fixture
def clock() -> MovableClock:
    return MovableClock()


@pytest.fixture
def sandbox(clock: MovableClock) -> Iterator[Sandbox]:
    with Sandbox(clock=clock) as running:
        yield running


@pytest.fixture
def client(sandbox: Sandbox) -> Iterator[Client]:
    asking = Client(sandbox)
    yield asking
    asking.session.close()
