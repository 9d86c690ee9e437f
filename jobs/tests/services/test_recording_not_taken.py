"""Answers that the database does not take: each is its own job's trouble."""

from collections.abc import Iterator
from datetime import timedelta

import pytest
import time_machine
from django.db import connection as database
from django.utils import timezone

from jobs.models import BulkWriteJob, Connection
from jobs.tests.factories import (
    body,
    completed,
    make_connection,
    make_proven,
    observe,
    observe_together,
    resource,
)
from jobs.tests.services.batches import details_asked, jobs_of, poll_due, running
from jobs.tests.stand_in import details_url

pytestmark = pytest.mark.django_db(transaction=True)

SECRET = "Wages of Meier.csv"


@pytest.fixture
def second_states_of(db) -> Iterator:
    """Has the database take no second state of some jobs."""

    def refuse(*jobs: BulkWriteJob) -> None:
        pks = ", ".join(str(job.pk) for job in jobs)
        with database.cursor() as cursor:
            cursor.execute(
                "CREATE UNIQUE INDEX one_state_each ON jobs_snapshot (job_id)"
                f" WHERE job_id IN ({pks})"
            )

    yield refuse
    with database.cursor() as cursor:
        cursor.execute("DROP INDEX IF EXISTS one_state_each")


def later(job: BulkWriteJob) -> dict:
    return body(job, "INPROGRESS", resource("INPROGRESS", file=SECRET, added=2, total=10))


def make_due() -> None:
    BulkWriteJob.objects.update(next_poll_at=timezone.now())
    Connection.objects.update(resume_at=None)


def test_cost_the_others_nothing_and_are_not_asked_for_again_and_again(
    zoho, second_states_of, caplog
):
    org = make_proven()
    jobs = jobs_of(org, 20, zoho)
    zoho.gives_tokens()
    poll_due()
    bad, good = [jobs[3], jobs[11]], [*jobs[:3], *jobs[4:11], *jobs[12:]]
    second_states_of(*bad)
    for job in jobs:
        zoho.mock.replace("GET", details_url(job), json=later(job))
    make_due()
    asked = details_asked(zoho)

    start = timezone.now()
    for seconds in range(0, 60, 2):
        with time_machine.travel(start + timedelta(seconds=seconds)):
            poll_due()

    assert {job.snapshots.count() for job in good} == {2}
    assert {BulkWriteJob.objects.get(pk=job.pk).added_count for job in good} == {2}
    # Each once in five seconds or so, as any job that changes.
    assert details_asked(zoho) - asked < 20 * 60 / 4
    org.refresh_from_db()
    assert org.is_proven
    for job in bad:
        job.refresh_from_db()
        assert (job.added_count, job.snapshots.count()) == (1, 1)
        assert 1 <= job.failures < 20
        assert job.next_poll_at > start
        assert "could not be stored" in job.poll_error["message"]
        noted = f"The answer about job {job.zoho_job_id} cannot be stored: IntegrityError"
        assert noted in caplog.messages
    assert SECRET not in caplog.text
    assert SECRET not in str(job.poll_error)


def test_are_answers_of_the_connection_all_the_same(second_states_of):
    org = make_connection()
    *bad, good = jobs_of(org, 3)
    for job in bad:
        observe(job, running(job))
    Connection.objects.update(last_answer_at=None)
    second_states_of(*bad)
    asked_at = timezone.now()

    observe_together(*((job, later(job)) for job in bad), asked_at=asked_at)

    org.refresh_from_db()
    assert (org.is_proven, org.last_answer_at) == (True, asked_at)
    assert {BulkWriteJob.objects.get(pk=job.pk).failures for job in bad} == {1}
    assert not BulkWriteJob.objects.exclude(lease_token="").exists()

    batch = observe_together((bad[0], later(bad[0])), (good, completed(good, added=1, total=1)))
    assert [result.job for result in batch.results] == [good]
