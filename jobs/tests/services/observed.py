"""Answers of Zoho to several jobs of a connection, and what came of them."""

from datetime import timedelta

import time_machine
from django.utils import timezone

from jobs.models import BulkWriteJob, Connection
from jobs.tests.factories import body, make_job, observe_together, resource
from jobs.zoho.errors import ZohoError, ZohoRejectedError, ZohoUnavailableError

DOWN = ZohoUnavailableError("api.example refused the connection.")
REFUSED = ZohoRejectedError("No.", code="NO_PERMISSION", http_status=403, scope="connection")
GONE = ZohoRejectedError("Gone.", code="RESOURCE_NOT_FOUND", http_status=404)


def running(job: BulkWriteJob, added: int = 5) -> dict:
    part = resource("INPROGRESS", added=added, updated=0, skipped=0, total=10)
    return body(job, "INPROGRESS", part, created_time="2026-01-01T00:00:00Z")


def jobs_of(org: Connection, number: int) -> list[BulkWriteJob]:
    return [make_job(org) for _ in range(number)]


def kinds(org: Connection) -> list[str]:
    return list(org.alerts.filter(job=None).order_by("pk").values_list("kind", flat=True))


def fail_together(jobs: list[BulkWriteJob], error: ZohoError) -> Connection:
    observe_together(*((job, error) for job in jobs))
    return Connection.objects.get(pk=jobs[0].connection_id)


def pass_time(**span: float) -> time_machine.travel:
    return time_machine.travel(timezone.now() + timedelta(**span))
