"""Zoho calls when a job ends: from the sandbox's call to a kept result, by a real worker."""

import io
import zipfile
from collections.abc import Callable, Iterator
from urllib.parse import urlsplit

import pytest
import requests

from jobs.models import BulkWriteJob, Connection, JobEvent, Result
from jobs.sandbox.imports import Manner
from jobs.sandbox.server import Sandbox
from jobs.services.registering import callbacks, job_ids, tracking
from jobs.tests.plugins.background import tick_until

pytestmark = [pytest.mark.worker, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(port=0, speed=5) as running:
        yield running


@pytest.fixture
def connection(connect) -> Connection:
    made = connect()
    callbacks.ensure_address(made)
    return made


@pytest.fixture
def create_job(sandbox: Sandbox, connection: Connection, live_server) -> Callable[[], str]:
    """Creates a job with our callback address as a loader does; returns its id."""
    headers = {"Authorization": f"Zoho-oauthtoken {sandbox.issue_token()}"}

    def create() -> str:
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w") as archive:
            archive.writestr("leads.csv", "Last_Name,Company\nWeber,Altair\n,Birch\n")
        uploaded = requests.post(
            f"{sandbox.url}/crm/v7/upload",
            files={"file": ("leads.zip", packed.getvalue())},
            headers=headers | {"feature": "bulk-write", "X-CRM-ORG": "6196138"},
            timeout=5,
        )
        path = urlsplit(callbacks.address_of(connection)).path
        mappings = [{"api_name": "Last_Name", "index": 0}, {"api_name": "Company", "index": 1}]
        created = requests.post(
            f"{sandbox.url}/crm/bulk/v7/write",
            json={
                "operation": "insert",
                "callback": {"url": live_server.url + path, "method": "post"},
                "resource": [
                    {
                        "type": "data",
                        "module": {"api_name": "Leads"},
                        "file_id": uploaded.json()["details"]["file_id"],
                        "field_mappings": mappings,
                    }
                ],
            },
            headers=headers,
            timeout=5,
        )
        return created.json()["details"]["id"]

    return create


@pytest.mark.parametrize("manner", [Manner(), Manner("field", times=2), Manner("fields")])
def test_a_job_that_nobody_registered_is_found_and_read_to_its_result(
    live_worker, sandbox, create_job, manner
):
    sandbox.imports.manner = manner
    job_id = create_job()

    tick_until(lambda: Result.objects.filter(state=Result.State.ARCHIVED).exists())

    job = BulkWriteJob.objects.get()
    assert (job.zoho_job_id, job.found_by) == (job_id, BulkWriteJob.FoundBy.CALLBACK)
    assert (job.added_count, job.skipped_count, job.outcome) == (1, 1, "partial")
    assert job.events.filter(kind=JobEvent.Kind.CALLBACK).count() == 1
    # Found at its end, it took no more than that end's poll or two.
    assert len(sandbox.requests.polls(job_id)) <= 2


def test_a_registered_job_is_asked_at_its_end_and_not_when_its_turn_would_come(
    live_worker, sandbox, connection, create_job
):
    job_id = create_job()
    tracking.track(connection, job_ids.read(job_id).entries)
    BulkWriteJob.objects.update(next_poll_at="2099-01-01T00:00:00Z")

    tick_until(lambda: Result.objects.filter(state=Result.State.ARCHIVED).exists())

    job = BulkWriteJob.objects.get()
    assert job.found_by == BulkWriteJob.FoundBy.PERSON
    assert job.outcome == "partial"
