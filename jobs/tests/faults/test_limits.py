"""Zoho's limits and its bad days, with real workers; what counts is what Zoho was asked."""

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime, parsedate_to_datetime

import pytest
from django.utils import timezone

from jobs.models import Alert, BulkWriteJob, Connection, Result
from jobs.tests.plugins.stand_in_org import track

pytestmark = [pytest.mark.worker, pytest.mark.slow, pytest.mark.django_db(transaction=True)]

# What was under way when an answer came may still arrive.
UNDER_WAY_SECONDS = 0.7


def all_polled(times: int = 1) -> bool:
    return not BulkWriteJob.objects.filter(polls__lt=times).exists()


def asked_at(sandbox, route: str = "details", status: int | None = None) -> list[float]:
    return [
        request["at"]
        for request in sandbox.requests.recent()
        if request["route"] == route and status in (None, request["status"])
    ]


def in_seconds(refused: float, header: str) -> float:
    return refused + float(header)


def at_date(refused: float, header: str) -> float:
    return parsedate_to_datetime(header).timestamp()


@pytest.mark.parametrize(
    ("says", "end"),
    [
        (lambda: "6", in_seconds),
        (lambda: format_datetime(datetime.now(UTC) + timedelta(seconds=10), usegmt=True), at_date),
    ],
    ids=["seconds", "date"],
)
def test_after_429_nothing_is_asked_before_the_time_that_zoho_named(
    background,
    sandbox,
    connect,
    says: Callable[[], str],
    end: Callable[[float, str], float],
):
    org = connect(max_concurrency=10, longest_interval_seconds=15)
    track(org, sandbox.add_jobs(60, kind="running", rows=10, life=3_600))
    background.start()
    background.wait_until(all_polled)

    header = says()
    sandbox.add_fault("TOO_MANY_REQUESTS", count=1, headers={"Retry-After": header})
    BulkWriteJob.objects.active().update(next_poll_at=timezone.now())
    background.wait_until(lambda: asked_at(sandbox, status=429))
    [refused] = asked_at(sandbox, status=429)
    until = end(refused, header)
    assert until > refused + 3
    background.wait_until(lambda: asked_at(sandbox)[-1] > until)

    assert not [at for at in asked_at(sandbox) if refused + UNDER_WAY_SECONDS < at < until]
    background.wait_until(lambda: all_polled(2))
    assert not Alert.objects.exists()
    assert not BulkWriteJob.objects.exclude(poll_error=None).exists()


@pytest.mark.parametrize("header", [{}, {"Retry-After": "soon"}, {"Retry-After": "-5"}])
def test_a_429_without_a_sensible_time_pauses_the_connection_for_about_a_minute(
    background, sandbox, connect, header
):
    org = connect(max_concurrency=10)
    other = connect("other", max_concurrency=10)
    sandbox.add_fault("TOO_MANY_REQUESTS", count=1, headers=header)
    track(org, sandbox.add_jobs(20, kind="running", rows=10, life=3_600))
    background.start()
    background.wait_until(lambda: sandbox.requests.count("details", 429))
    track(other, sandbox.add_jobs(5, kind="running", rows=10, life=3_600))
    background.wait_until(lambda: not other.jobs.filter(polls=0).exists())
    time.sleep(3)

    assert sandbox.requests.count("details", 429) == 1
    assert not org.jobs.filter(last_changed_at__isnull=False).exists()
    org.refresh_from_db()
    assert org.waiting_for == Connection.Waiting.THROTTLED
    wait = org.resume_at - timezone.now()
    assert timedelta(seconds=20) < wait < timedelta(seconds=90)


def test_no_more_calls_at_a_time_than_the_connection_allows(background, sandbox, connect):
    """Polls of two processes, downloads and a person's command together."""
    org = connect(max_concurrency=10)
    sandbox.set_options(latency=0.1, concurrency_limit=10)
    ids = sandbox.add_jobs(300, kind="partial", rows=20, life=2.0)
    track(org, ids)
    background.start(4)
    background.wait_until(lambda: BulkWriteJob.objects.exclude(polls=0).exists())
    command = background.run("poll", ids[-1])
    background.wait_until(
        lambda: Result.objects.filter(state=Result.State.ARCHIVED).count() >= 20 and all_polled()
    )

    assert command.wait(60) == 0
    assert sandbox.requests.max_in_flight <= 10
    assert sandbox.requests.count("details", 429) == 0
    assert sandbox.requests.max_in_flight_per_job == 1


def test_when_every_second_request_fails_each_job_gets_through_and_nothing_is_told(
    background, sandbox, connect
):
    org = connect(max_concurrency=20)
    for kind in ("SERVICE_UNAVAILABLE", "html", "reset"):
        # Each by itself, so that what none of the three hits is half of all.
        sandbox.add_fault(kind, route="details", probability=1 - 0.5 ** (1 / 3))
    track(org, sandbox.add_jobs(600, kind="imported", rows=10, life=0.5))
    background.start(4)

    background.wait_until(
        lambda: not BulkWriteJob.objects.exclude(outcome="imported").exists(), 180
    )

    good = sandbox.requests.count("details", 200)
    # Two are needed; by chance alone it is more than that much in one of thousands of runs.
    assert good >= 600
    assert sandbox.requests.count("details") <= 2.2 * good
    assert not Alert.objects.exists()
    assert sandbox.requests.max_in_flight_per_job == 1


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


def test_a_connection_with_thousands_of_jobs_does_not_starve_one_with_five(
    background, sandbox, connect
):
    sandbox.set_options(latency=0.5)
    large = connect("large", max_concurrency=10)
    track(large, sandbox.add_jobs(3_000, kind="running", rows=10, life=3_600))
    background.start(2)
    background.wait_until(lambda: large.jobs.filter(polls__gt=0).count() > 20)
    small = connect("small", max_concurrency=10)
    track(small, sandbox.add_jobs(5, kind="running", rows=10, life=3_600))

    background.wait_until(lambda: not small.jobs.filter(polls=0).exists(), 20)

    assert large.jobs.filter(polls=0).exists()
