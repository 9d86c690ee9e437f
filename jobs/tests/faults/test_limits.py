"""How much is asked of Zoho at a time, with real workers; what counts is what Zoho was asked."""

import pytest

from jobs.models import BulkWriteJob, Result
from jobs.tests.plugins.stand_in_org import all_polled, track

pytestmark = [pytest.mark.worker, pytest.mark.slow, pytest.mark.django_db(transaction=True)]


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
