"""A day of polling under a small budget, by a clock that is moved; what Zoho counts holds."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
import time_machine
from django.utils import timezone

from jobs.models import BulkWriteJob, Connection
from jobs.sandbox.server import Sandbox
from jobs.services.limits.credits import credits_of
from jobs.services.observing import polling
from jobs.tests.plugins.stand_in_org import track

pytestmark = [pytest.mark.slow, pytest.mark.django_db(transaction=True)]

MORNING = datetime(2026, 11, 25, 8, 20, tzinfo=UTC)
STEP = timedelta(seconds=60)


@pytest.fixture
def clock() -> Iterator[time_machine.Traveller]:
    with time_machine.travel(MORNING, tick=True) as traveller:
        yield traveller


@pytest.fixture
def sandbox(clock: Any) -> Iterator[Sandbox]:
    with Sandbox(port=0) as running:
        yield running


def live_through(clock: Any, length: timedelta, sandbox: Sandbox) -> list[int]:
    """Do what beat and a worker do, step by step; how many polls Zoho saw in each hour."""
    seen = [sandbox.requests.count("details")]
    at, end = timezone.now(), timezone.now() + length
    while at < end:
        for _ in range(60):
            at += STEP
            clock.move_to(at)
            for claim in polling.claim_due():
                polling.poll_claim(claim.connection_id, claim.lease_token)
        seen.append(sandbox.requests.count("details"))
    return [later - earlier for earlier, later in pairwise(seen)]


def test_a_day_with_far_more_jobs_than_credits_stays_within_the_budget(clock, sandbox, connect):
    org = connect(daily_credits=1_000, stuck_after_minutes=10_080)
    track(org, sandbox.add_jobs(60, kind="running", rows=1_000, life=10 * 86_400))

    by_hour = live_through(clock, timedelta(hours=30), sandbox)

    assert max(sum(by_hour[hour : hour + 24]) for hour in range(7)) <= 1_000
    assert sum(by_hour[:24]) >= 700, "what may be spent is used"
    assert min(by_hour[:24]) >= 10, "and spread, so that no hour is blind"
    polls = BulkWriteJob.objects.order_by("polls").values_list("polls", flat=True)
    assert polls.last() <= 2 * polls.first(), "and shared among the jobs"


def test_a_day_with_credits_enough_is_not_stretched(clock, sandbox, connect):
    org = connect(daily_credits=5_000)
    track(org, sandbox.add_jobs(10, kind="running", rows=1_000, life=10 * 86_400))

    by_hour = live_through(clock, timedelta(hours=6), sandbox)

    org.refresh_from_db()
    assert credits_of(org, timezone.now()).stretch == 1
    assert min(by_hour) >= 10 * 12 * 0.75, "each job about every five minutes"


def test_when_zoho_says_that_little_is_left_polls_become_rare_and_come_back(
    clock, sandbox, connect
):
    org = connect(daily_credits=50_000, edition=Connection.Edition.FREE)
    track(org, sandbox.add_jobs(20, kind="running", rows=1_000, life=10 * 86_400))
    usual = live_through(clock, timedelta(hours=2), sandbox)[-1]

    # Other integrations of the org use up nearly all of the Free edition's 5,000 credits.
    sandbox.set_options(credit_allowance=5_000)
    sandbox.requests.spend(4_850 - sandbox.requests.credits)
    rare = live_through(clock, timedelta(hours=2), sandbox)
    assert rare[-1] < usual / 4
    org.refresh_from_db()
    assert org.credits_remaining is not None

    sandbox.set_options(credit_allowance=None)
    back = live_through(clock, timedelta(hours=3), sandbox)
    assert back[-1] > usual * 0.7
