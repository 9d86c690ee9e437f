"""Valid rows and answers for tests, each stating only what the test is about."""

import json
from datetime import datetime, timedelta
from itertools import count
from tempfile import TemporaryFile
from typing import Any
from zipfile import ZipFile

from django.contrib.auth.models import User
from django.utils import timezone

from jobs.models import BulkWriteJob, Connection, Result
from jobs.services.observing import leases
from jobs.services.observing.batch import Batch
from jobs.services.observing.recording import record
from jobs.services.results import analysis, fetching
from jobs.zoho.client import Answer
from jobs.zoho.errors import ZohoError
from jobs.zoho.payloads import parse_job_details

_numbers = count(1)
STAND_IN = "http://127.0.0.1:9"


def from_now(fields: dict[str, Any]) -> dict[str, Any]:
    """Fields of a row, with the time so far from now in place of each span of time.

    For parameters: what is told from the time at which tests are collected is over when they run.
    """
    now = timezone.now()
    return {
        name: now + value if isinstance(value, timedelta) else value
        for name, value in fields.items()
    }


def us_connection(**fields: Any) -> Connection:
    """A connection to Zoho's own data centre in the US."""
    place = {"data_center": "us", "api_url": "", "accounts_url": ""}
    return make_connection(**place | {"name": "production"} | fields)


def make_connection(**fields: Any) -> Connection:
    """A connection to a stand-in at which nobody listens."""
    return Connection.objects.create(
        **{
            "name": f"org-{next(_numbers)}",
            "data_center": Connection.DataCenter.CUSTOM,
            "api_url": STAND_IN,
            "accounts_url": STAND_IN,
            "client_id": "1000.CLIENT",
            "client_secret": "canary-client-secret",
            "refresh_token": "canary-refresh-token",
            "alert_recipients": "admin@example.com",
        }
        | fields
    )


def make_proven(**fields: Any) -> Connection:
    """A connection that Zoho has answered, so that no single job is tried first."""
    return make_connection(**{"last_answer_at": timezone.now() - timedelta(minutes=1)} | fields)


def make_job(connection: Connection | None = None, **fields: Any) -> BulkWriteJob:
    """A job that was just registered and is due."""
    now = timezone.now()
    job = BulkWriteJob(
        connection=connection or make_connection(),
        **{
            "zoho_job_id": str(111111000000000000 + next(_numbers)),
            "tracked_at": now,
            "next_poll_at": now,
        }
        | fields,
    )
    job.search_text = job.make_search_text()
    job.save()
    return job


def resource(
    status: str = "COMPLETED", module: str = "Leads", file: str | None = None, **counts: int
) -> dict[str, Any]:
    """A resource of an answer; `added=…, updated=…, skipped=…, total=…` are its counts."""
    return {
        "status": status,
        "type": "data",
        "code": "SUCCESS",
        "module": {"api_name": module, "id": "3652397000000002181"},
        "field_mappings": [
            {"api_name": "Last_Name", "index": 0, "format": None, "find_by": None},
            {"api_name": "Company", "index": 1, "format": None, "find_by": None},
        ],
        "file": {"status": status, "name": file or f"{module}.csv"}
        | {f"{name}_count": number for name, number in counts.items()},
    }


def body(
    job: BulkWriteJob, status: str = "INPROGRESS", *resources: dict[str, Any], **fields: Any
) -> dict[str, Any]:
    """An answer about a job."""
    return {
        "status": status,
        "character_encoding": "UTF-8",
        "resource": list(resources),
        "id": job.zoho_job_id,
        "created_by": {"id": "111111000000035795", "name": "Patricia Boyle"},
        "operation": "insert",
        "created_time": (timezone.now() - timedelta(minutes=1)).isoformat(),
    } | fields


def completed(job: BulkWriteJob, **counts: int) -> dict[str, Any]:
    """An answer about a job that has ended, whose result is there."""
    path = f"/v7/crm/org1/bulk-write/{job.zoho_job_id}/{job.zoho_job_id}.zip"
    return body(job, "COMPLETED", resource(**counts), result={"download_url": path})


def answer(
    job: BulkWriteJob, what: dict[str, Any] | ZohoError, *, asked_at: datetime | None = None
) -> Answer:
    at = asked_at or timezone.now()
    if isinstance(what, ZohoError):
        return Answer(job.zoho_job_id, at, None, what)
    details = parse_job_details(json.dumps(what).encode())
    return Answer(job.zoho_job_id, at, details, None)


def observe(
    job: BulkWriteJob, what: dict[str, Any] | ZohoError, *, asked_at: datetime | None = None
) -> Batch:
    """Record an answer about a job as a worker does that has claimed it; the job is refreshed."""
    return observe_together((job, what), asked_at=asked_at)


def observe_together(
    *answered: tuple[BulkWriteJob, dict[str, Any] | ZohoError], asked_at: datetime | None = None
) -> Batch:
    """Record answers about jobs of one connection that came in one batch, in this order."""
    connection = Connection.objects.get(pk=answered[0][0].connection_id)
    pks = [job.pk for job, _ in answered]
    claim = leases.claim(connection, pks, timezone.now(), only_due=False)
    assert claim is not None
    answers = [answer(job, what, asked_at=asked_at) for job, what in answered]
    batch = record(connection, claim.lease_token, answers)
    for job, _ in answered:
        job.refresh_from_db()
    return batch


def make_user(name: str = "alice", **fields: Any) -> User:
    return User.objects.create_user(name, **{"password": "correct horse"} | fields)


def make_result(job: BulkWriteJob, files: dict[str, str]) -> Result:
    """The kept and analysed result of a job: CSV texts by their names in the ZIP."""
    result, _ = Result.objects.get_or_create(job=job)
    with TemporaryFile() as file:
        with ZipFile(file, "w") as archive:
            for name, text in files.items():
                archive.writestr(name, text)
        analyses = analysis.analyse(file, resources=fetching.resources_of(job))
        fetching._keep(result, file, analyses)
    result.refresh_from_db()
    job.refresh_from_db()
    return result
