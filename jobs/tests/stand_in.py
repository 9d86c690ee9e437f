"""The wire to Zoho, stubbed with `responses`: what a test does not say is not answered."""

import csv
import io
import json
import zipfile
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest
import responses
from requests import PreparedRequest

from jobs.models import BulkWriteJob
from jobs.tests.factories import STAND_IN

TOKEN_URL = f"{STAND_IN}/oauth/v2/token"


class StandIn:
    """Zoho as `factories.make_connection` sees it; `mock` takes what has no method here."""

    def __init__(self, mock: responses.RequestsMock) -> None:
        self.mock = mock

    def gives_tokens(self, *tokens: str) -> None:
        """Access tokens in this order, the last one again and again."""
        for token in tokens or ("token-one",):
            self.mock.post(TOKEN_URL, json={"access_token": token, "expires_in": 3600})

    def says(self, job: BulkWriteJob, what: dict[str, Any] | bytes, status: int = 200) -> None:
        """The next answer about a job; the last one is given again and again."""
        content = what if isinstance(what, bytes) else json.dumps(what).encode()
        self.mock.get(
            details_url(job), body=content, status=status, content_type="application/json"
        )

    def does(self, job: BulkWriteJob, answer: Callable[[PreparedRequest], Any]) -> None:
        """Answer about a job by a function of the request."""
        self.mock.add_callback(responses.GET, details_url(job), answer)

    def offers(self, job: BulkWriteJob, content: bytes, status: int = 200, **options: Any) -> None:
        """The result file of a job, at the address that `factories.completed` names."""
        options.setdefault("content_type", "application/zip")
        self.mock.get(result_url(job), body=content, status=status, **options)

    def asked(self, url: str = "") -> list[PreparedRequest]:
        """The requests whose address begins so."""
        return [
            call.request for call in self.mock.calls if (call.request.url or "").startswith(url)
        ]


def details_url(job: BulkWriteJob) -> str:
    return f"{STAND_IN}/crm/bulk/v7/write/{job.zoho_job_id}"


def result_url(job: BulkWriteJob) -> str:
    return f"{STAND_IN}/v7/crm/org1/bulk-write/{job.zoho_job_id}/{job.zoho_job_id}.zip"


def csv_of(*rows: Sequence[str], columns: Sequence[str] = ("Last_Name",)) -> bytes:
    """A result CSV; each row is its values, STATUS, RECORD_ID, ERRORS."""
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow([*columns, "STATUS", "RECORD_ID", "ERRORS"])
    writer.writerows(rows)
    return text.getvalue().encode()


def zip_of(**files: bytes) -> bytes:
    """A ZIP of these files, each name with ".csv" behind it."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(f"{name}.csv", content)
    return packed.getvalue()


def error_body(code: str, message: str = "said") -> dict[str, Any]:
    return {"code": code, "details": {}, "message": message, "status": "error"}


@pytest.fixture
def zoho(settings: Any) -> Iterator[StandIn]:
    """The stubbed wire; connections may name addresses of their own."""
    settings.ALLOW_CUSTOM_ZOHO_HOSTS = True
    with responses.RequestsMock(assert_all_requests_are_fired=False) as mock:
        yield StandIn(mock)
