"""Zoho's calls: what they do to the jobs they are about."""

import json
from datetime import timedelta
from urllib.parse import urlencode

import pytest
from django.utils import timezone

from jobs.models import BulkWriteJob, Connection, JobEvent
from jobs.services.observing import polling
from jobs.services.observing.recording import record
from jobs.services.registering import callbacks
from jobs.tests.factories import (
    answer,
    body,
    completed,
    make_connection,
    make_job,
    make_result,
    observe,
)
from jobs.tests.views.called_jobs import is_due

# Such a job is asked about every few minutes.
LONG_AGO = "2020-01-01T00:00:00+00:00"
State = BulkWriteJob.PollState


def notes(job):
    return [event.text for event in job.events.filter(kind=JobEvent.Kind.CALLBACK)]


def test_a_call_makes_its_job_due_at_once(zoho_calls, later_job):
    response = zoho_calls(completed(later_job, added=5, total=5))

    assert response.status_code == 204
    assert response.content == b""
    assert is_due(later_job)
    assert notes(later_job) == ["The job is asked about next."]


@pytest.mark.parametrize(
    ("content_type", "encode"),
    [
        ("application/json", lambda job: json.dumps({"data": [{"id": job.zoho_job_id}]})),
        ("application/x-www-form-urlencoded", lambda job: urlencode({"id": job.zoho_job_id})),
        (
            "application/x-www-form-urlencoded",
            lambda job: urlencode({"details": json.dumps({"id": job.zoho_job_id})}),
        ),
        ("application/x-www-form-urlencoded", lambda job: json.dumps({"id": job.zoho_job_id})),
        ("text/plain", lambda job: json.dumps({"job_id": job.zoho_job_id})),
        ("application/json", lambda job: f"job_id={job.zoho_job_id}"),
        (
            "multipart/form-data; boundary=b",
            lambda job: (
                f'--b\r\ncontent-disposition: form-data; name="id"\r\n\r\n'
                f"{job.zoho_job_id}\r\n--b--"
            ),
        ),
    ],
)
def test_the_body_is_read_whatever_it_is_said_to_be(zoho_calls, later_job, content_type, encode):
    assert zoho_calls(encode(later_job), content_type).status_code == 204
    assert is_due(later_job)


def test_nothing_of_the_body_but_the_id_is_believed(zoho_calls, later_job):
    before = BulkWriteJob.objects.values().get(pk=later_job.pk)

    zoho_calls(completed(later_job, added=10**6, total=10**6))

    after = BulkWriteJob.objects.values().get(pk=later_job.pk)
    assert {name for name in before if before[name] != after[name]} == {"next_poll_at"}
    assert not later_job.snapshots.exists()
    assert not later_job.alerts.exists()


def test_the_same_call_again_changes_nothing_more(zoho_calls, later_job):
    zoho_calls({"id": later_job.zoho_job_id})
    first = BulkWriteJob.objects.values().get(pk=later_job.pk)

    assert zoho_calls({"id": later_job.zoho_job_id}).status_code == 204

    assert BulkWriteJob.objects.values().get(pk=later_job.pk) == first
    assert len(notes(later_job)) == 1


def test_a_job_asked_about_a_moment_ago_is_asked_again_some_seconds_later(
    zoho_calls, hooked, time_machine
):
    # The answer that came a moment ago may be older than the end that Zoho calls about.
    time_machine.move_to(timezone.now(), tick=False)
    job = make_job(hooked)
    observe(job, body(job))
    BulkWriteJob.objects.update(next_poll_at=timezone.now() + timedelta(minutes=5))

    zoho_calls({"id": job.zoho_job_id})

    job.refresh_from_db()
    assert job.next_poll_at == job.last_polled_at + callbacks.SOONEST


def test_a_call_that_comes_while_an_answer_is_awaited_has_the_job_asked_again(zoho_calls, hooked):
    # Zoho ended the job between giving that answer and our recording of it.
    job = make_job(hooked)
    [claim] = polling.claim_due()
    awaited = answer(job, body(job, created_time=LONG_AGO))
    zoho_calls({"id": job.zoho_job_id})
    record(hooked, claim.lease_token, [awaited])

    job.refresh_from_db()
    assert job.next_poll_at <= awaited.asked_at + callbacks.SOONEST


def test_a_flood_costs_one_poll_in_some_seconds(zoho_calls, hooked, time_machine):
    start = timezone.now()
    job = make_job(hooked)
    polls = 0
    for second in range(60):
        time_machine.move_to(start + timedelta(seconds=second), tick=False)
        for _ in range(5):
            zoho_calls({"id": job.zoho_job_id})
        if is_due(job):
            observe(job, body(job, created_time=LONG_AGO))
            polls += 1

    assert polls == 60 / callbacks.SOONEST.total_seconds()
    assert len(notes(job)) == 1


def test_a_job_that_ended_with_its_result_is_left_alone(zoho_calls, hooked):
    job = make_job(hooked)
    observe(job, completed(job, added=1, total=1))
    make_result(job, {"Leads-bulkwrite.csv": "Last_Name,STATUS,RECORD_ID,ERRORS\nA,ADDED,1,\n"})
    BulkWriteJob.objects.filter(pk=job.pk).update(poll_state=State.DONE, next_poll_at=None)

    assert zoho_calls({"id": job.zoho_job_id}).status_code == 204

    job.refresh_from_db()
    assert (job.poll_state, job.next_poll_at) == (State.DONE, None)
    assert notes(job) == []


def test_a_job_that_ended_without_a_result_is_asked_again_a_minute_later(
    zoho_calls, hooked, time_machine
):
    time_machine.move_to(timezone.now(), tick=False)
    job = make_job(hooked)
    observe(job, body(job, "FAILED"))
    BulkWriteJob.objects.filter(pk=job.pk).update(poll_state=State.DONE, next_poll_at=None)

    zoho_calls({"id": job.zoho_job_id})

    job.refresh_from_db()
    assert job.poll_state == State.ACTIVE
    assert job.next_poll_at == job.last_polled_at + callbacks.SOONEST_UNWATCHED


def test_a_job_that_zoho_refused_is_tried_again(zoho_calls, hooked):
    job = make_job(hooked, poll_state=State.BLOCKED, next_poll_at=None)

    zoho_calls({"id": job.zoho_job_id})

    assert is_due(job)


def test_a_paused_job_is_noted_and_not_asked(zoho_calls, hooked):
    job = make_job(hooked, poll_state=State.PAUSED, next_poll_at=None)

    zoho_calls({"id": job.zoho_job_id})

    job.refresh_from_db()
    assert (job.poll_state, job.next_poll_at) == (State.PAUSED, None)
    assert notes(job) == ["Nothing is asked: the job is paused."]


def test_a_paused_connections_job_is_noted_and_asked_when_it_is_resumed(
    zoho_calls, hooked, later_job
):
    Connection.objects.filter(pk=hooked.pk).update(paused=True)

    zoho_calls({"id": later_job.zoho_job_id})

    assert notes(later_job) == ["Nothing is asked: the connection is paused."]
    assert polling.claim_due() == []
    Connection.objects.filter(pk=hooked.pk).update(paused=False)
    assert [claim.jobs for claim in polling.claim_due()] == [1]


def test_a_call_for_one_connection_touches_no_job_of_another(zoho_calls, later_job):
    other = make_job(
        make_connection(),
        zoho_job_id=later_job.zoho_job_id,
        next_poll_at=timezone.now() + timedelta(minutes=5),
    )

    zoho_calls({"id": later_job.zoho_job_id})

    assert is_due(later_job)
    assert not is_due(other)


def test_calls_work_without_a_broker(zoho_calls, later_job, settings):
    settings.REDIS_URL = settings.CELERY_BROKER_URL = "redis://127.0.0.1:9/0"

    assert zoho_calls({"id": later_job.zoho_job_id}).status_code == 204
    assert is_due(later_job)
