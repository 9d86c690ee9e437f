"""Zoho's calls: what they do, and how little they can do."""

import io
import json
import logging
from datetime import timedelta
from urllib.parse import urlencode

import pytest
from django.db import connection as database
from django.test import Client
from django.utils import timezone

from jobs import tasks
from jobs.models import Alert, BulkWriteJob, Connection, JobEvent
from jobs.services.observing import polling
from jobs.services.observing.recording import record
from jobs.services.registering import callbacks, tracking
from jobs.tests.factories import (
    answer,
    body,
    completed,
    make_connection,
    make_job,
    make_result,
    observe,
)
from jobs.zoho.errors import ZohoRejectedError

NEW_ID = "111111000000777001"
# Such a job is asked about every few minutes.
LONG_AGO = "2020-01-01T00:00:00+00:00"
State = BulkWriteJob.PollState


@pytest.fixture
def connection(db):
    connection = make_connection()
    callbacks.ensure_address(connection)
    return connection


@pytest.fixture
def zoho_calls(connection):
    """A POST to the connection's address, as Zoho sends one: no session, no CSRF token."""
    client = Client(enforce_csrf_checks=True)

    def call(what, content_type="application/json", token=None, **headers):
        content = what if isinstance(what, bytes | str) else json.dumps(what)
        address = f"/hooks/zoho/{token or connection.hook_token}/"
        return client.post(address, content, content_type=content_type, **headers)

    return call


@pytest.fixture
def later_job(connection):
    """A running job that is to be asked about again in some minutes."""
    job = make_job(connection, next_poll_at=timezone.now() + timedelta(minutes=5))
    BulkWriteJob.objects.filter(pk=job.pk).update(
        last_polled_at=timezone.now() - timedelta(minutes=1)
    )
    return job


def is_due(job):
    now = timezone.now()
    return BulkWriteJob.objects.filter(connection=job.connection_id).due(now).contains(job)


def notes(job):
    return [event.text for event in job.events.filter(kind=JobEvent.Kind.CALLBACK)]


# --- What a call does


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
    zoho_calls, connection, time_machine
):
    # The answer that came a moment ago may be older than the end that Zoho calls about.
    time_machine.move_to(timezone.now(), tick=False)
    job = make_job(connection)
    observe(job, body(job))
    BulkWriteJob.objects.update(next_poll_at=timezone.now() + timedelta(minutes=5))

    zoho_calls({"id": job.zoho_job_id})

    job.refresh_from_db()
    assert job.next_poll_at == job.last_polled_at + callbacks.SOONEST


def test_a_call_that_comes_while_an_answer_is_awaited_has_the_job_asked_again(
    zoho_calls, connection
):
    # Zoho ended the job between giving that answer and our recording of it.
    job = make_job(connection)
    [claim] = polling.claim_due()
    awaited = answer(job, body(job, created_time=LONG_AGO))
    zoho_calls({"id": job.zoho_job_id})
    record(connection, claim.lease_token, [awaited])

    job.refresh_from_db()
    assert job.next_poll_at <= awaited.asked_at + callbacks.SOONEST


def test_a_flood_costs_one_poll_in_some_seconds(zoho_calls, connection, time_machine):
    start = timezone.now()
    job = make_job(connection)
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


def test_a_job_that_ended_with_its_result_is_left_alone(zoho_calls, connection):
    job = make_job(connection)
    observe(job, completed(job, added=1, total=1))
    make_result(job, {"Leads-bulkwrite.csv": "Last_Name,STATUS,RECORD_ID,ERRORS\nA,ADDED,1,\n"})
    BulkWriteJob.objects.filter(pk=job.pk).update(poll_state=State.DONE, next_poll_at=None)

    assert zoho_calls({"id": job.zoho_job_id}).status_code == 204

    job.refresh_from_db()
    assert (job.poll_state, job.next_poll_at) == (State.DONE, None)
    assert notes(job) == []


def test_a_job_that_ended_without_a_result_is_asked_again_a_minute_later(
    zoho_calls, connection, time_machine
):
    time_machine.move_to(timezone.now(), tick=False)
    job = make_job(connection)
    observe(job, body(job, "FAILED"))
    BulkWriteJob.objects.filter(pk=job.pk).update(poll_state=State.DONE, next_poll_at=None)

    zoho_calls({"id": job.zoho_job_id})

    job.refresh_from_db()
    assert job.poll_state == State.ACTIVE
    assert job.next_poll_at == job.last_polled_at + callbacks.SOONEST_UNWATCHED


def test_a_job_that_zoho_refused_is_tried_again(zoho_calls, connection):
    job = make_job(connection, poll_state=State.BLOCKED, next_poll_at=None)

    zoho_calls({"id": job.zoho_job_id})

    assert is_due(job)


def test_a_paused_job_is_noted_and_not_asked(zoho_calls, connection):
    job = make_job(connection, poll_state=State.PAUSED, next_poll_at=None)

    zoho_calls({"id": job.zoho_job_id})

    job.refresh_from_db()
    assert (job.poll_state, job.next_poll_at) == (State.PAUSED, None)
    assert notes(job) == ["Nothing is asked: the job is paused."]


def test_a_paused_connections_job_is_noted_and_asked_when_it_is_resumed(
    zoho_calls, connection, later_job
):
    Connection.objects.filter(pk=connection.pk).update(paused=True)

    zoho_calls({"id": later_job.zoho_job_id})

    assert notes(later_job) == ["Nothing is asked: the connection is paused."]
    assert polling.claim_due() == []
    Connection.objects.filter(pk=connection.pk).update(paused=False)
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


# --- Jobs that nobody has registered


def test_an_unknown_job_is_registered_and_due(zoho_calls, connection):
    assert zoho_calls({"id": NEW_ID, "status": "COMPLETED"}).status_code == 204

    job = BulkWriteJob.objects.get(connection=connection)
    assert (job.zoho_job_id, job.found_by) == (NEW_ID, BulkWriteJob.FoundBy.CALLBACK)
    assert job.tracked_by is None
    assert is_due(job)
    kinds = set(job.events.values_list("kind", flat=True))
    assert kinds == {JobEvent.Kind.TRACKED, JobEvent.Kind.CALLBACK}


def test_an_unknown_job_is_registered_once(zoho_calls):
    for _ in range(3):
        zoho_calls({"id": NEW_ID})

    assert BulkWriteJob.objects.count() == 1
    assert JobEvent.objects.count() == 2


def test_a_connection_may_forbid_to_register(zoho_calls, connection, later_job):
    callbacks.set_registers(connection, False)

    assert zoho_calls({"data": [{"id": NEW_ID}, {"id": later_job.zoho_job_id}]}).status_code == 204

    assert BulkWriteJob.objects.get() == later_job
    assert is_due(later_job)


@pytest.mark.parametrize(
    "what",
    [
        {"id": NEW_ID, "operation": "read", "state": "COMPLETED"},
        {"id": "17"},
        {"id": "9" * 30},
        {},
        b"\x00\xff",
        b"[" * 100_000,
    ],
)
def test_what_is_no_bulk_write_job_is_taken_and_ignored(zoho_calls, connection, what):
    assert zoho_calls(what).status_code == 204

    assert not BulkWriteJob.objects.exists()
    connection.refresh_from_db()
    assert connection.last_callback_at is not None


def test_no_more_unconfirmed_jobs_are_registered_than_may_be(
    zoho_calls, connection, monkeypatch, later_job
):
    monkeypatch.setattr(callbacks, "MOST_UNCONFIRMED", 3)
    for number in range(5):
        assert zoho_calls({"id": str(int(NEW_ID) + number)}).status_code == 204
    found = list(BulkWriteJob.objects.unconfirmed().order_by("pk"))
    assert len(found) == 3

    zoho_calls({"id": later_job.zoho_job_id})
    assert is_due(later_job)

    observe(found[0], body(found[0]))
    zoho_calls({"id": str(int(NEW_ID) + 9)})
    assert BulkWriteJob.objects.unconfirmed().count() == 3


def test_ids_that_nobody_could_ask_about_are_kept_for_a_month_and_bounded(
    zoho_calls, connection, monkeypatch
):
    monkeypatch.setattr(callbacks, "MOST_UNCONFIRMED", 2)
    connection.paused = True
    connection.save()
    for number in range(4):
        zoho_calls({"id": str(int(NEW_ID) + number)})
        BulkWriteJob.objects.update(tracked_at=timezone.now() - timedelta(days=29))
    callbacks.forget_unconfirmed(timezone.now())
    assert BulkWriteJob.objects.count() == 2

    callbacks.forget_unconfirmed(timezone.now() + timedelta(days=2))
    assert not BulkWriteJob.objects.exists()


def test_a_job_found_by_callback_is_that_of_who_registers_it(zoho_calls, connection):
    zoho_calls({"id": NEW_ID})
    job = BulkWriteJob.objects.get()
    unknown = ZohoRejectedError("No such job.", code="RESOURCE_NOT_FOUND", http_status=404)
    observe(job, unknown)
    observe(job, unknown)
    assert not Alert.objects.exists()

    [entry] = tracking.track(
        connection, tracking.read_ids(NEW_ID), label="My import", alert_recipients="me@example.com"
    )

    assert entry.verdict == tracking.Verdict.ALREADY_TRACKED
    job.refresh_from_db()
    assert (job.found_by, job.label, job.recipients) == ("person", "My import", ["me@example.com"])
    assert is_due(job)
    observe(job, unknown)
    observe(job, unknown)
    assert [alert.kind for alert in Alert.objects.all()] == [Alert.Kind.BLOCKED]
    assert callbacks.forget_unconfirmed(timezone.now() + timedelta(days=60)) == 0


def test_what_zoho_never_knew_is_forgotten_a_day_later(zoho_calls, connection):
    zoho_calls({"data": [{"id": NEW_ID}, {"id": str(int(NEW_ID) + 1)}]})
    unknown, known = BulkWriteJob.objects.order_by("pk")
    registered = make_job(connection)
    error = ZohoRejectedError("No such job.", code="RESOURCE_NOT_FOUND", http_status=404)
    for job in (unknown, registered):
        observe(job, error)
        observe(job, error)
    observe(known, body(known))
    BulkWriteJob.objects.update(poll_state=State.BLOCKED)
    tasks.tidy_up()
    assert BulkWriteJob.objects.count() == 3

    BulkWriteJob.objects.update(tracked_at=timezone.now() - timedelta(hours=25))
    tasks.tidy_up()

    assert set(BulkWriteJob.objects.all()) == {known, registered}


# --- Who may call, how often, how much


@pytest.mark.parametrize("method", ["get", "head", "post", "put", "delete", "options"])
def test_a_wrong_token_gets_what_any_unknown_address_gets(connection, method, client):
    wrong = connection.hook_token[:-1] + ("A" if connection.hook_token[-1] != "A" else "B")

    answer = getattr(client, method)(f"/hooks/zoho/{wrong}/", data={})
    unknown = getattr(client, method)("/no/such/page/", data={})

    assert answer.status_code == unknown.status_code == 404
    assert answer.content == unknown.content
    assert answer.headers.items() == unknown.headers.items()


@pytest.mark.parametrize("wrong", ["", "x", "%00", "%ff%fe", "a" * 5_000, "é", "../../jobs"])
def test_no_odd_token_does_anything_but_miss(connection, client, wrong):
    Connection.objects.create(name="without-address")

    assert client.post(f"/hooks/zoho/{wrong}/", data={}).status_code == 404


def test_the_body_of_a_stranger_is_not_read(connection):
    class Unreadable(io.BytesIO):
        def read(self, size=-1):
            raise AssertionError("read")

    address = "/hooks/zoho/wrong/"
    response = Client().generic("POST", address, **{"wsgi.input": Unreadable(b"x" * 100)})
    assert response.status_code == 404


def test_the_address_can_be_tried_in_a_browser(client, connection):
    assert client.get(f"/hooks/zoho/{connection.hook_token}/").status_code == 204
    assert client.head(f"/hooks/zoho/{connection.hook_token}/").status_code == 204
    assert client.put(f"/hooks/zoho/{connection.hook_token}/").status_code == 405
    connection.refresh_from_db()
    assert connection.last_callback_at is None


def test_a_call_without_the_last_slash_arrives_too(connection, later_job):
    response = Client().post(f"/hooks/zoho/{connection.hook_token}", {"id": later_job.zoho_job_id})

    assert response.status_code == 204
    assert is_due(later_job)


def test_a_rotated_address_stops_working_at_once(zoho_calls, connection, later_job):
    old = connection.hook_token
    callbacks.rotate_address(connection)

    assert connection.hook_token != old
    assert zoho_calls({"id": later_job.zoho_job_id}, token=old).status_code == 404
    assert not is_due(later_job)
    assert zoho_calls({"id": later_job.zoho_job_id}).status_code == 204


def test_the_address_has_256_random_bits_and_stays(connection):
    token = connection.hook_token
    assert len(token) == 43
    callbacks.ensure_address(connection)
    again = Connection.objects.get()
    callbacks.ensure_address(again)
    assert connection.hook_token == again.hook_token == token


def test_the_token_stands_in_no_column_in_clear(connection):
    with database.cursor() as cursor:
        cursor.execute("SELECT * FROM jobs_connection")
        row = repr(cursor.fetchall())

    assert connection.hook_token not in row


def test_a_body_up_to_the_limit_is_read_and_a_larger_one_is_not(zoho_calls, later_job):
    wanted = json.dumps({"id": later_job.zoho_job_id}).encode()
    padding = callbacks.MAX_BODY_BYTES - len(wanted)

    assert zoho_calls(wanted + b" " * (padding + 1)).status_code == 413
    assert not is_due(later_job)
    assert zoho_calls(wanted + b" " * padding).status_code == 204
    assert is_due(later_job)


def test_a_body_without_a_length_is_read_up_to_the_limit(connection, later_job):
    class Endless(io.RawIOBase):
        given = 0

        def read(self, size=-1):
            assert size >= 0
            self.given += size
            return b" " * size

    address = f"/hooks/zoho/{connection.hook_token}/"
    chunked = {"wsgi.input_terminated": True, "CONTENT_LENGTH": ""}
    content = json.dumps({"id": later_job.zoho_job_id}).encode()
    client = Client()

    assert client.post(address, **chunked, **{"wsgi.input": io.BytesIO(content)}).status_code == 204
    assert is_due(later_job)
    endless = Endless()
    assert client.post(address, **chunked, **{"wsgi.input": endless}).status_code == 413
    assert endless.given == callbacks.MAX_BODY_BYTES + 1


def test_too_many_calls_within_a_minute_are_refused(
    zoho_calls, connection, later_job, time_machine
):
    start = timezone.now()
    time_machine.move_to(start, tick=False)
    for _ in range(callbacks.CALLS_PER_MINUTE):
        assert zoho_calls({}).status_code == 204

    time_machine.move_to(start + timedelta(seconds=15), tick=False)
    refused = zoho_calls({"id": later_job.zoho_job_id})

    assert refused.status_code == 429
    # Nor is anything read of those.
    assert zoho_calls(b" " * (callbacks.MAX_BODY_BYTES + 1)).status_code == 429
    assert refused.headers["Retry-After"] == "45"
    assert not is_due(later_job)
    time_machine.move_to(start + timedelta(seconds=60), tick=False)
    assert zoho_calls({"id": later_job.zoho_job_id}).status_code == 204


def test_the_count_holds_for_calls_that_came_at_the_same_moment(connection):
    # Both saw a row with room for one more.
    Connection.objects.filter(pk=connection.pk).update(
        hook_window_at=timezone.now(), hook_calls=callbacks.CALLS_PER_MINUTE - 1
    )
    callbacks.take_call(connection, b"{}")

    with pytest.raises(callbacks.TooManyCallsError):
        callbacks.take_call(connection, b"{}")


def test_a_clock_set_back_does_not_stop_the_calls(zoho_calls, connection):
    Connection.objects.filter(pk=connection.pk).update(
        hook_window_at=timezone.now() + timedelta(days=1), hook_calls=callbacks.CALLS_PER_MINUTE
    )

    assert zoho_calls({}).status_code == 204


def test_a_call_costs_few_questions(zoho_calls, later_job, django_assert_max_num_queries):
    # Connection; count; savepoint, jobs, due, notes, noted, end.
    with django_assert_max_num_queries(8):
        zoho_calls({"id": later_job.zoho_job_id})


def test_no_log_holds_the_token_whatever_goes_wrong(
    zoho_calls, connection, later_job, caplog, monkeypatch, capsys
):
    caplog.set_level(logging.DEBUG)
    token = connection.hook_token
    zoho_calls({"id": later_job.zoho_job_id})
    zoho_calls(b"nothing")
    zoho_calls(b" " * (callbacks.MAX_BODY_BYTES + 1))
    Client().put(f"/hooks/zoho/{token}/")
    Client(headers={"host": "foreign.example"}).post(f"/hooks/zoho/{token}/")

    def fails(*args):
        raise RuntimeError(f"broken at /hooks/zoho/{token}/")

    monkeypatch.setattr(callbacks.callback_bodies, "job_ids", fails)
    broken = Client(raise_request_exception=False).post(f"/hooks/zoho/{token}/", {"id": "1"})

    assert broken.status_code == 500
    assert token not in broken.content.decode()
    logged = [caplog.handler.format(record) for record in caplog.records]
    assert any("/hooks/zoho/" in line and "Internal Server Error" in line for line in logged)
    assert token not in "\n".join(logged) + "".join(capsys.readouterr())


def test_no_log_holds_the_token_in_whatever_kind_of_argument_it_comes(caplog):
    address = "/hooks/zoho/canary-token/"
    logger = logging.getLogger("django.request")

    logger.error("failed: %s", RuntimeError(address))
    logger.error("failed: %(request)s", {"request": address})
    logger.error(RuntimeError(address))
    logger.error("without arguments: 100 %")
    logger.error("%s and %s", "one alone")

    logged = [caplog.handler.format(record) for record in caplog.records]
    assert len(logged) == 5
    assert all("/hooks/zoho/…" in line for line in logged[:3])
    assert "canary" not in "".join(logged)
    assert "100 %" in logged[3]
    assert "'%s and %s'" in logged[4]
