"""Zoho's bad days and a worker's, with real workers; what counts is what Zoho was asked."""

import time
from datetime import timedelta

import pytest
from django.utils import timezone

from jobs.models import Alert, BulkWriteJob, Connection
from jobs.tests.plugins.stand_in_org import all_polled, asked_at, track

pytestmark = [pytest.mark.worker, pytest.mark.slow, pytest.mark.django_db(transaction=True)]


def test_when_every_second_request_fails_each_job_gets_through_and_nothing_is_told(
    background, sandbox, connect
):
    org = connect(max_concurrency=20)
    for kind in ("SERVICE_UNAVAILABLE", "html", "reset"):
        # Each by itself, so that what none of the three hits is half of all.
        sandbox.add_fault(kind, route="details", probability=1 - 0.5 ** (1 / 3))
    track(org, sandbox.add_jobs(600, kind="imported", rows=10, life=0.5))
    background.start(4)
    imported = BulkWriteJob.objects.filter(outcome="imported")
    background.wait_until(lambda: imported.count() >= 570, 120)

    good = sandbox.requests.count("details", 200)
    # Two are needed; by chance alone it is more than that much in one of thousands of runs.
    assert good >= 570
    assert sandbox.requests.count("details") <= 2.2 * good
    assert sandbox.requests.max_in_flight_per_job == 1

    # The unluckiest of 600 would wait for minutes by now.
    sandbox.faults.clear()
    BulkWriteJob.objects.active().update(next_poll_at=timezone.now())
    background.wait_until(lambda: imported.count() == 600)
    assert not Alert.objects.exists()


@pytest.mark.parametrize("kind", ["drip_body", "drip_headers"])
def test_answers_that_drip_do_not_hold_up_the_others(background, sandbox, connect, kind):
    """Nearly all of the calls at a time drip; the others' jobs go their way beside them."""
    org = connect(max_concurrency=30)
    ids = sandbox.add_jobs(125, kind="running", rows=10, life=3_600)
    dripping, others = set(ids[:25]), set(ids[25:])
    for job_id in dripping:
        sandbox.add_fault(kind, route="details", job_id=job_id, seconds=0.5)
    track(org, ids[-1:])
    background.start(2, ZOHO_REQUEST_TIMEOUT_SECONDS="40")
    background.wait_until(all_polled)
    track(org, ids)
    background.wait_until(lambda: all(sandbox.requests.polls(job_id) for job_id in dripping))
    jobs = BulkWriteJob.objects.filter(zoho_job_id__in=others)
    for times in (1, 2):
        background.wait_until(lambda times=times: not jobs.filter(polls__lt=times).exists(), 30)

    assert not BulkWriteJob.objects.filter(zoho_job_id__in=dripping).exclude(polls=0).exists()
    assert {len(sandbox.requests.polls(job_id)) for job_id in dripping} == {1}
    assert sandbox.requests.in_flight >= 25
    assert sandbox.requests.max_in_flight <= 30


def test_after_an_outage_everything_is_asked_once_and_one_job_was_asked_first(
    background, sandbox, connect
):
    org = connect(max_concurrency=10, longest_interval_seconds=3_600)
    ids = sandbox.add_jobs(200, kind="running", rows=10, life=360_000)
    track(org, ids)
    background.start()
    background.wait_until(all_polled)
    sandbox.stop()
    background.wait_until(lambda: Connection.objects.filter(failures__gte=2).exists())
    now = timezone.now()
    # Jobs as old as these are asked about every twelve minutes: each second request is too many.
    BulkWriteJob.objects.update(next_poll_at=now, created_time=now - timedelta(hours=10))
    sandbox.requests.reset()
    sandbox.set_options(latency=0.3, concurrency_limit=10)

    sandbox.start()
    background.wait_until(
        lambda: (
            sandbox.requests.count("details", 200) >= 200
            and not BulkWriteJob.objects.filter(lease_until__isnull=False).exists()
        )
    )
    time.sleep(3)

    assert {len(sandbox.requests.polls(job_id)) for job_id in ids} == {1}
    assert sandbox.requests.count("details", 200) == sandbox.requests.count("details") == 200
    begun = sorted(at for job_id in ids for at in sandbox.requests.polls(job_id))
    assert begun[1] > asked_at(sandbox)[0], "the others wait for the first one's answer"
    # All calls at a time but the one that polling leaves to others.
    assert sandbox.requests.max_in_flight == 9
    assert sandbox.requests.max_in_flight_per_job == 1
    assert not Alert.objects.exists()
    org.refresh_from_db()
    assert (org.failures, org.unanswered_since, org.waiting_for) == (0, None, "")


def test_the_jobs_of_a_killed_worker_are_polled_within_a_minute(background, sandbox, connect):
    org = connect(max_concurrency=10)
    ids = sandbox.add_jobs(50, kind="running", rows=10, life=3_600)
    track(org, ids[:1])
    background.start()
    background.wait_until(all_polled)
    sandbox.set_options(latency=5.0)
    track(org, ids[1:])
    background.wait_until(lambda: BulkWriteJob.objects.filter(lease_until__isnull=False).exists())
    background.wait_until(lambda: sandbox.requests.in_flight > 5)

    background.kill("worker")
    killed = time.monotonic()
    sandbox.set_options(latency=0.0)
    background.start_worker()
    background.wait_until(all_polled, 65)

    assert time.monotonic() - killed < 62
