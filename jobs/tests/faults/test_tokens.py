"""Access tokens under fault, with real workers; what counts is what Zoho was asked."""

import subprocess
import sys
import time
from collections import Counter

import pytest
from django.conf import settings as django_settings
from django.utils import timezone

from jobs.models import Alert, BulkWriteJob, Connection
from jobs.services.observing import polling
from jobs.tests.plugins.stand_in_org import all_polled, all_polled_since, track

pytestmark = [pytest.mark.worker, pytest.mark.slow, pytest.mark.django_db(transaction=True)]

WORKERS = 8
# So many calls at a time are spread over four processes, the most that poll one connection.
WIDE = 200


def test_eight_workers_and_tokens_that_die_make_one_renewal(background, sandbox, connect):
    org = connect(max_concurrency=WIDE)
    sandbox.set_options(latency=0.05)
    track(org, sandbox.add_jobs(1_200, kind="running", rows=10, life=3_600))
    background.start(WORKERS)
    background.wait_until(all_polled)
    assert sandbox.accounts.refreshes == 1

    sandbox.invalidate_tokens()
    rejected = sandbox.requests.count("details", 401)
    died_at = timezone.now()
    BulkWriteJob.objects.update(next_poll_at=died_at)
    background.wait_until(lambda: all_polled_since(died_at))

    assert sandbox.requests.count("details", 401) > rejected
    assert sandbox.accounts.refreshes == 2
    assert not BulkWriteJob.objects.exclude(poll_error=None).exists()
    assert not Alert.objects.exists()


def begin_polls(background, *ids_of_each):
    """Processes that poll jobs, each those whose ids it is given."""
    return [
        subprocess.Popen(
            [sys.executable, "manage.py", "poll", *ids],
            cwd=django_settings.BASE_DIR,
            env=background.environment(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        for ids in ids_of_each
    ]


def let_polls_end(polls):
    for process in polls:
        assert process.wait(180) == 0, process.stderr.read()
        process.stderr.close()


def test_a_token_that_dies_under_fifty_polls_of_two_processes_is_renewed_once(
    background, sandbox, connect
):
    org = connect(max_concurrency=WIDE)
    ids = sandbox.add_jobs(50, kind="running", rows=10, life=3_600)
    track(org, ids)
    polling.poll_now(list(org.jobs.all()))
    assert (all_polled(), sandbox.accounts.refreshes) == (True, 1)

    # They are under way by then, and their token is looked at only afterwards.
    sandbox.add_fault("delay", route="details", seconds=10, count=50)
    sandbox.add_fault("delay", route="token", seconds=1.5)
    polls = begin_polls(background, ids[:25], ids[25:])
    background.wait_until(lambda: sandbox.requests.in_flight == 50)
    sandbox.invalidate_tokens()
    let_polls_end(polls)

    assert sandbox.accounts.refreshes == 2
    rejected = Counter(
        request["path"] for request in sandbox.requests.recent() if request["status"] == 401
    )
    assert (len(rejected), set(rejected.values())) == (50, {1})
    # Once before, once with the token that died, once again.
    assert {len(sandbox.requests.polls(job_id)) for job_id in ids} == {3}
    assert all_polled(2)
    jobs = BulkWriteJob.objects.values_list("poll_state", "poll_error", "failures")
    assert set(jobs) == {("active", None, 0)}
    assert not Alert.objects.exists()


def test_eight_processes_that_begin_without_a_token_ask_for_one(background, sandbox, connect):
    org = connect(max_concurrency=WIDE)
    ids = sandbox.add_jobs(WORKERS, kind="running", rows=10, life=3_600)
    track(org, ids)
    sandbox.add_fault("delay", route="token", seconds=1.5)

    let_polls_end(begin_polls(background, *([job_id] for job_id in ids)))

    assert sandbox.requests.count("token") == 1
    assert all_polled()


def test_a_throttled_token_endpoint_is_left_alone_for_the_rest_of_its_window(
    background, sandbox, connect
):
    org = connect(max_concurrency=WIDE)
    track(org, sandbox.add_jobs(300, kind="running", rows=10, life=3_600))
    sandbox.add_fault("token_throttled", language="zh")
    background.start(WORKERS)
    background.wait_until(lambda: sandbox.requests.count("token"))

    time.sleep(8)

    assert sandbox.requests.count("token") == 1
    assert sandbox.requests.count("details") == 0
    org.refresh_from_db()
    assert org.waiting_for == Connection.Waiting.TOKENS
    assert not org.is_blocked
    assert not Alert.objects.exists()
    assert not BulkWriteJob.objects.exclude(poll_state="active").exists()


@pytest.mark.parametrize(
    ("fault", "route"),
    [
        ("OAUTH_SCOPE_MISMATCH", "details"),
        ("NO_PERMISSION", "details"),
        ("AUTHORIZATION_FAILED", "details"),
        ("invalid_code", "token"),
        ("invalid_client_secret", "token"),
    ],
)
def test_what_needs_a_person_costs_one_request_and_one_mail_and_goes_on_when_repaired(
    background, sandbox, connect, fault, route
):
    org = connect(max_concurrency=50)
    track(org, sandbox.add_jobs(200, kind="running", rows=10, life=3_600))
    sandbox.add_fault(fault, route=route)
    background.start(4)
    background.wait_until(lambda: Alert.objects.exists())
    time.sleep(6)

    assert sandbox.requests.count(route) == 1
    if route == "details":
        assert sandbox.accounts.refreshes == 1
    [alert] = Alert.objects.all()
    assert alert.kind == Alert.Kind.CONNECTION_BLOCKED
    org.refresh_from_db()
    assert org.is_blocked
    assert org.last_error["resolution"]
    assert not BulkWriteJob.objects.exclude(poll_state="active").exists()

    sandbox.faults.clear()
    Connection.objects.update(resume_at=None)
    background.wait_until(all_polled)

    org.refresh_from_db()
    assert not org.is_blocked
    kinds = Alert.objects.order_by("pk").values_list("kind", flat=True)
    assert list(kinds) == [Alert.Kind.CONNECTION_BLOCKED, Alert.Kind.RECOVERED]
