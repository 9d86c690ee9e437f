"""From a registered id to a kept result and a mail, by a real worker on a real broker."""

from itertools import pairwise

import pytest
from django.core import mail

from jobs.models import Alert, BulkWriteJob, Connection, Result
from jobs.tests.plugins.background import tick_until
from jobs.tests.plugins.stand_in_org import track

pytestmark = [pytest.mark.worker, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def connection(connect) -> Connection:
    return connect()


def test_a_completed_job_that_wrote_nothing_is_kept_and_told_about(
    live_worker, sandbox, connection
):
    track(connection, ["111111000000541958"])

    tick_until(lambda: Alert.objects.filter(state=Alert.State.SENT).exists())

    job = BulkWriteJob.objects.get()
    assert (job.status, job.outcome) == ("COMPLETED", "nothing_imported")
    assert job.result.state == Result.State.ARCHIVED
    assert job.result.skipped_rows == 100
    assert [message.to for message in mail.outbox] == [["admin@example.com"]]
    assert "Stage" in mail.outbox[0].body


def test_a_running_job_is_polled_to_its_end_and_each_state_kept_once(
    live_worker, sandbox, connection
):
    [job_id] = sandbox.add_jobs(1, kind="imported", rows=20, life=8.0)
    track(connection, [job_id])

    tick_until(lambda: Result.objects.filter(state=Result.State.ARCHIVED).exists())

    job = BulkWriteJob.objects.get()
    assert job.outcome == "imported"
    assert job.poll_state == BulkWriteJob.PollState.DONE
    digests = list(job.snapshots.values_list("digest", flat=True))
    assert len(digests) > 1
    assert all(one != following for one, following in pairwise(digests))
    assert job.snapshots.last().status == "COMPLETED"
    assert mail.outbox == []


def test_an_id_that_zoho_does_not_know_is_blocked_with_the_reason_and_others_go_on(
    live_worker, sandbox, connection
):
    [known] = sandbox.add_jobs(1, kind="nothing", rows=5, life=0.1)
    track(connection, ["111111000000000404", known])

    tick_until(lambda: Result.objects.filter(state=Result.State.ARCHIVED).exists())
    tick_until(lambda: BulkWriteJob.objects.filter(poll_state="blocked").exists())

    stranger = BulkWriteJob.objects.get(zoho_job_id="111111000000000404")
    assert stranger.poll_state == BulkWriteJob.PollState.BLOCKED
    assert stranger.poll_error["code"] == "RESOURCE_NOT_FOUND"
    assert stranger.needs_attention
    assert BulkWriteJob.objects.get(zoho_job_id=known).outcome == "nothing_imported"


def test_a_token_that_dies_under_way_is_renewed_once(live_worker, sandbox, connection):
    ids = sandbox.add_jobs(30, kind="running", rows=10, life=600)
    track(connection, ids)
    tick_until(lambda: not BulkWriteJob.objects.filter(polls=0).exists())
    renewals = sandbox.accounts.issued
    sandbox.invalidate_tokens()
    polls = BulkWriteJob.objects.get(zoho_job_id=ids[0]).polls

    tick_until(lambda: not BulkWriteJob.objects.filter(polls__lte=polls).exists())

    assert sandbox.accounts.issued == renewals + 1
    assert not BulkWriteJob.objects.exclude(poll_error=None).exists()
