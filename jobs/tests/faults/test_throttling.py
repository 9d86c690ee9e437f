"""Zoho's 429, with real workers; what counts is what Zoho was asked."""

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime, parsedate_to_datetime

import pytest
from django.utils import timezone

from jobs.models import Alert, BulkWriteJob, Connection
from jobs.tests.plugins.stand_in_org import all_polled, asked_at, track

pytestmark = [pytest.mark.worker, pytest.mark.slow, pytest.mark.django_db(transaction=True)]

# What was under way when an answer came may still arrive.
UNDER_WAY_SECONDS = 0.7


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
