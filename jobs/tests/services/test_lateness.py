"""From when on polls count as late where nobody could ask for a time."""

from datetime import timedelta

import pytest
from django.utils import timezone

from jobs.models import BulkWriteJob, Connection, Heartbeat
from jobs.services.connections import connecting, signing_in, testing
from jobs.services.health import monitoring
from jobs.tests.factories import completed, make_connection, make_job

pytestmark = pytest.mark.django_db
HOUR = timedelta(hours=1)
CLIENT = signing_in.Client("1000.NEW", "new-secret")


def overdue(**fields) -> BulkWriteJob:
    for part in (Heartbeat.WORKER, Heartbeat.BEAT, Heartbeat.LOOKOUT):
        Heartbeat.note(part, timezone.now())
    connection = make_connection(**{"last_answer_at": timezone.now() - HOUR} | fields)
    return make_job(connection, next_poll_at=timezone.now() - HOUR)


def is_late() -> bool:
    return "polling" in {finding.key for finding in monitoring.check(True).findings}


def answered(zoho, job):
    zoho.gives_tokens()
    zoho.says(job, completed(job, added=1, updated=0, skipped=0, total=1))


def test_a_resumed_connection_is_not_late_at_once():
    job = overdue(paused=True)
    later = make_job(job.connection, next_poll_at=timezone.now() + HOUR)

    connecting.set_paused(job.connection, False)

    assert not Connection.objects.get().paused
    assert not is_late()
    assert BulkWriteJob.objects.due(timezone.now()).get() == job
    assert BulkWriteJob.objects.get(pk=later.pk).next_poll_at == later.next_poll_at


def test_resuming_what_is_not_paused_hides_no_lateness():
    connecting.set_paused(overdue().connection, False)

    assert is_late()


@pytest.mark.parametrize(
    ("fields", "stays_late"),
    [({"refresh_token": ""}, False), ({"blocked_at": timezone.now()}, False), ({}, True)],
    ids=["unsigned", "blocked", "works"],
)
def test_what_is_signed_in_again_is_not_late_at_once(zoho, fields, stays_late):
    job = overdue(**fields)
    answered(zoho, job)

    signing_in.with_refresh_token(job.connection, CLIENT, "new-token")
    Connection.objects.update(blocked_at=None)

    assert is_late() == stays_late


def test_what_a_test_unblocks_is_not_late_at_once(zoho):
    job = overdue(blocked_at=timezone.now() - HOUR)
    answered(zoho, job)

    assert testing.test(job.connection).ok

    assert not Connection.objects.get().is_blocked
    assert not is_late()
