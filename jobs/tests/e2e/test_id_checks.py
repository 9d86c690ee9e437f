"""Checks of ids by real workers against the sandbox: what counts is what Zoho was asked."""

import time
from itertools import pairwise

import pytest
from django.utils import timezone

from jobs.models import BulkWriteJob, CallSlot, Connection, IdCheck
from jobs.services.limits.credits import credits_of
from jobs.services.registering import id_checks, job_ids
from jobs.tests.factories import make_job, make_user
from jobs.tests.plugins.stand_in_org import all_polled

pytestmark = [pytest.mark.worker, pytest.mark.slow, pytest.mark.django_db(transaction=True)]
FOR_ALL = {"label": "", "tags": [], "alert_recipients": "", "skip_threshold_percent": None}


@pytest.fixture
def org(connect) -> Connection:
    return connect(max_concurrency=6, daily_credits=None, alert_recipients="")


def begin(org: Connection, ids: list[str]) -> IdCheck:
    paste = job_ids.read("\n".join(ids))
    return id_checks.start(org, paste, for_all=FOR_ALL, user=make_user())


def answered(check: IdCheck) -> int:
    return check.ids.exclude(answer="waiting").count()


def is_over(check: IdCheck) -> bool:
    check.refresh_from_db()
    return check.state != IdCheck.State.RUNNING


def test_hundreds_of_ids_are_each_asked_about_once_within_the_limits(background, sandbox, org):
    sandbox.set_options(latency=0.05)
    known = sandbox.add_jobs(290, kind="partial", rows=10, life=3_600)
    unknown = [str(10**17 + number) for number in range(10)]
    check = begin(org, [*known, *unknown])

    background.start(3)
    background.wait_until(lambda: is_over(check))

    assert (check.state, check.error) == (IdCheck.State.DONE, None)
    tally = check.ids.tally()
    assert (tally["found"], tally["unknown"], tally["waiting"]) == (290, 10, 0)
    assert sandbox.requests.count("details") == 300
    assert sandbox.requests.max_in_flight_per_job == 1
    # Half of the six calls at a time are left to polls.
    assert sandbox.requests.max_in_flight <= 3
    assert credits_of(org, timezone.now()).used == 300
    assert sandbox.accounts.issued == 1
    assert not BulkWriteJob.objects.exists()


@pytest.mark.parametrize(
    # With two, they take turns: a bout, a tick, and the 5 seconds between two polls of a job.
    ("most", "latency", "longest_gap"),
    [(6, 0.2, 12), (2, 0.08, 18)],
)
def test_running_jobs_go_on_being_polled_meanwhile(
    background, sandbox, connect, most, latency, longest_gap
):
    org = connect(max_concurrency=most, daily_credits=None, alert_recipients="")
    sandbox.set_options(latency=latency)
    running = sandbox.add_jobs(10, kind="running", rows=10, life=3_600)
    for job_id in running:
        make_job(org, zoho_job_id=job_id)
    background.start(3)
    background.wait_until(all_polled)

    began = time.time()
    check = begin(org, sandbox.add_jobs(350, kind="running", rows=10, life=3_600))
    background.wait_until(lambda: is_over(check), seconds=120)
    ended = time.time()

    assert (check.state, check.ids.tally()["found"]) == (IdCheck.State.DONE, 350)
    assert ended - began > longest_gap
    for job_id in running:
        polled = [at for at in sandbox.requests.polls(job_id) if began < at < ended]
        gaps = [later - at for at, later in pairwise([began, *polled, ended])]
        assert max(gaps) < longest_gap, gaps
    assert sandbox.requests.max_in_flight <= most


def test_a_killed_worker_costs_a_second_of_answers_and_the_next_one_goes_on(
    background, sandbox, org, monkeypatch
):
    sandbox.set_options(latency=0.2)
    ids = sandbox.add_jobs(150, kind="running", rows=10, life=3_600)
    check = begin(org, ids)
    background.start(1)
    background.wait_until(lambda: answered(check) >= 20)
    background.kill("worker")
    time.sleep(0.5)
    done = answered(check)
    asked = sandbox.requests.count("details")

    # As when its lease and its calls at a time have run out.
    IdCheck.objects.update(lease_until=timezone.now())
    CallSlot.objects.update(until=timezone.now())
    background.start_worker(1)
    background.wait_until(lambda: is_over(check))

    assert check.ids.tally()["found"] == 150
    again = sandbox.requests.count("details") - (150 - done)
    # What was answered and not written yet, and what was under way.
    assert again <= asked
    assert sandbox.requests.count("details") <= 150 + 5 / 0.2 * 2 + 5


def test_after_429_nothing_is_asked_before_the_time_that_zoho_named(background, sandbox, org):
    sandbox.set_options(latency=0.05)
    check = begin(org, sandbox.add_jobs(100, kind="running", rows=10, life=3_600))
    sandbox.add_fault("TOO_MANY_REQUESTS", count=1, headers={"Retry-After": "5"})
    background.start(2)
    background.wait_until(lambda: is_over(check))

    requests = [one for one in sandbox.requests.recent() if one["route"] == "details"]
    [refused] = [one["at"] for one in requests if one["status"] == 429]
    # What was under way when the answer came may still arrive.
    early = [one for one in requests if refused + 0.7 < one["at"] < refused + 5]
    assert early == []
    assert check.ids.tally()["found"] == 100
