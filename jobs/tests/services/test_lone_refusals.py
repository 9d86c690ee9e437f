"""One job that Zoho refuses by itself among jobs that it answers, as time goes by."""

import json
import time
from datetime import datetime, timedelta

import pytest
import time_machine
from django.utils import timezone

from jobs.models import Alert, BulkWriteJob, Connection
from jobs.services.observing import polling
from jobs.tests.factories import body, make_connection, make_job, make_proven, observe, resource
from jobs.tests.stand_in import StandIn, error_body
from jobs.zoho.errors import ZohoRejectedError

pytestmark = pytest.mark.django_db(transaction=True)
PollState = BulkWriteJob.PollState
REFUSED = ZohoRejectedError("No.", code="NO_PERMISSION", http_status=403, scope="connection")


def running(job: BulkWriteJob, added: int = 1) -> dict:
    part = resource("INPROGRESS", added=added, total=10)
    return body(job, "INPROGRESS", part, created_time="2026-01-01T00:00:00Z")


def poll_due() -> None:
    for claim in polling.claim_due():
        polling.poll_claim(claim.connection_id, claim.lease_token)


def poll_for(start: datetime, *steps: range) -> None:
    for seconds in (seconds for step in steps for seconds in step):
        with time_machine.travel(start + timedelta(seconds=seconds)):
            poll_due()


def answer_slowly(zoho: StandIn, job: BulkWriteJob, what: dict, status: int = 200) -> None:
    def answer(request):
        time.sleep(0.03)
        return status, {}, json.dumps(what)

    zoho.does(job, answer)


def jobs_of(org: Connection, number: int) -> list[BulkWriteJob]:
    return [make_job(org) for _ in range(number)]


@pytest.mark.parametrize(
    ("concurrency", "is_first", "is_slow"),
    [
        (1, True, False),
        (1, False, True),
        (2, True, False),
        (3, False, False),
        (10, True, True),
        (10, False, False),
    ],
)
def test_is_blocked_by_itself_and_the_others_go_on(zoho, concurrency, is_first, is_slow):
    zoho.gives_tokens()
    org = make_proven(max_concurrency=concurrency, stuck_after_minutes=300)
    start = timezone.now()
    good = jobs_of(org, 12)
    due_at = start - timedelta(seconds=9) if is_first else start + timedelta(seconds=3)
    bad = make_job(org, next_poll_at=due_at)
    says = (lambda *what: answer_slowly(zoho, *what)) if is_slow else zoho.says
    says(bad, error_body("NO_PERMISSION"), 403)
    for job in good:
        says(job, running(job))

    poll_for(start, range(0, 180, 10), range(180, 7200, 240))

    bad.refresh_from_db()
    assert (bad.poll_state, bad.needs_attention) == (PollState.BLOCKED, True)
    assert bad.polls <= 4
    polls = [BulkWriteJob.objects.get(pk=job.pk).polls for job in good]
    assert min(polls) > 15
    assert list(Alert.objects.values_list("kind", "job")) == [("blocked", bad.pk)]


@pytest.mark.parametrize("concurrency", [1, 10])
def test_of_a_connection_that_never_answered_costs_it_an_hour_once(zoho, concurrency):
    zoho.gives_tokens()
    org = make_connection(max_concurrency=concurrency, stuck_after_minutes=300)
    start = timezone.now()
    bad, *good = jobs_of(org, 5)
    zoho.says(bad, error_body("NO_PERMISSION"), 403)
    for job in good:
        zoho.says(job, running(job))

    poll_for(start, range(0, 3 * 3600, 120))

    bad.refresh_from_db()
    assert bad.poll_state == PollState.BLOCKED
    assert min(BulkWriteJob.objects.get(pk=job.pk).polls for job in good) > 10
    kinds = list(Alert.objects.order_by("pk").values_list("kind", flat=True))
    assert kinds == ["connection_blocked", "recovered", "blocked"]


@pytest.mark.parametrize("number", [2, 3])
def test_of_several_stops_the_connection_but_for_a_while(zoho, number):
    zoho.gives_tokens()
    org = make_proven(max_concurrency=1, stuck_after_minutes=300)
    start = timezone.now()
    good, bad = jobs_of(org, 4), jobs_of(org, number)
    for job in bad:
        zoho.says(job, error_body("NO_PERMISSION"), 403)
    for job in good:
        zoho.says(job, running(job))

    poll_for(start, range(0, 180, 10), range(180, 5 * 3600, 240))

    org.refresh_from_db()
    assert not org.is_blocked
    assert {BulkWriteJob.objects.get(pk=job.pk).poll_state for job in bad} == {PollState.BLOCKED}
    assert min(BulkWriteJob.objects.get(pk=job.pk).polls for job in good) > 15


def test_of_all_jobs_stops_the_connection_with_the_second(zoho):
    zoho.gives_tokens()
    org = make_proven(max_concurrency=1)
    jobs = jobs_of(org, 8)
    for job in jobs:
        zoho.says(job, error_body("NO_PERMISSION"), 403)

    poll_for(timezone.now(), range(0, 600, 5))

    org.refresh_from_db()
    assert org.is_blocked
    assert sum(BulkWriteJob.objects.values_list("polls", flat=True)) == 2
    assert Alert.objects.get().kind == Alert.Kind.CONNECTION_BLOCKED
    assert not BulkWriteJob.objects.exclude(poll_state=PollState.ACTIVE).exists()


def test_has_another_job_asked_about_at_once_and_no_more_than_that():
    org = make_proven()
    bad = make_job(org)
    later = timezone.now() + timedelta(minutes=4)
    make_job(org, next_poll_at=later + timedelta(minutes=1))
    near = make_job(org, next_poll_at=later)
    observe(bad, REFUSED)

    org.refresh_from_db()
    assert not (org.is_blocked or org.is_proven)
    assert bad.poll_error["code"] == "NO_PERMISSION"
    assert timedelta(seconds=50) < bad.next_poll_at - timezone.now() < timedelta(seconds=61)
    assert list(BulkWriteJob.objects.due(timezone.now())) == [near]


def test_two_suspects_without_an_answer_between_stop_the_connection():
    org = make_proven()
    one, other = jobs_of(org, 2)
    observe(one, REFUSED)
    observe(other, ZohoRejectedError("No.", code="AUTHORIZATION_FAILED", scope="connection"))

    org.refresh_from_db()
    assert org.is_blocked
    assert {one.poll_state, other.poll_state} == {PollState.ACTIVE}


def test_of_a_connection_that_has_not_answered_for_long_is_the_connections():
    org = make_proven(last_answer_at=timezone.now() - timedelta(minutes=61))
    one, _ = jobs_of(org, 2)
    observe(one, REFUSED)

    org.refresh_from_db()
    assert org.is_blocked
    assert one.poll_error["code"] == "NO_PERMISSION"


def test_while_the_connection_needs_a_person_makes_no_suspects():
    org = make_proven()
    jobs = jobs_of(org, 3)
    for job in jobs[:2]:
        observe(job, REFUSED)
    Connection.objects.update(resume_at=timezone.now())
    observe(jobs[0], REFUSED)

    org.refresh_from_db()
    assert org.resume_at > timezone.now() + timedelta(minutes=59)
    assert list(Alert.objects.values_list("kind", flat=True)) == ["connection_blocked"]
