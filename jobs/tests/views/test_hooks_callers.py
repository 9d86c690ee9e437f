"""Who may call, how often and how much, and what is never logged of it."""

import io
import json
import logging
from datetime import timedelta

import pytest
from django.db import connection as database
from django.test import Client
from django.utils import timezone

from jobs.models import Connection
from jobs.services.registering import callbacks
from jobs.tests.views.called_jobs import is_due


@pytest.mark.parametrize("method", ["get", "head", "post", "put", "delete", "options"])
def test_a_wrong_token_gets_what_any_unknown_address_gets(hooked, method, client):
    wrong = hooked.hook_token[:-1] + ("A" if hooked.hook_token[-1] != "A" else "B")

    answer = getattr(client, method)(f"/hooks/zoho/{wrong}/", data={})
    unknown = getattr(client, method)("/no/such/page/", data={})

    assert answer.status_code == unknown.status_code == 404
    assert answer.content == unknown.content
    assert answer.headers.items() == unknown.headers.items()


@pytest.mark.parametrize("wrong", ["", "x", "%00", "%ff%fe", "a" * 5_000, "é", "../../jobs"])
def test_no_odd_token_does_anything_but_miss(hooked, client, wrong):
    Connection.objects.create(name="without-address")

    assert client.post(f"/hooks/zoho/{wrong}/", data={}).status_code == 404


def test_the_body_of_a_stranger_is_not_read(hooked):
    class Unreadable(io.BytesIO):
        def read(self, size=-1):
            raise AssertionError("read")

    address = "/hooks/zoho/wrong/"
    response = Client().generic("POST", address, **{"wsgi.input": Unreadable(b"x" * 100)})
    assert response.status_code == 404


def test_the_address_can_be_tried_in_a_browser(client, hooked):
    assert client.get(f"/hooks/zoho/{hooked.hook_token}/").status_code == 204
    assert client.head(f"/hooks/zoho/{hooked.hook_token}/").status_code == 204
    assert client.put(f"/hooks/zoho/{hooked.hook_token}/").status_code == 405
    hooked.refresh_from_db()
    assert hooked.last_callback_at is None


def test_a_call_without_the_last_slash_arrives_too(hooked, later_job):
    response = Client().post(f"/hooks/zoho/{hooked.hook_token}", {"id": later_job.zoho_job_id})

    assert response.status_code == 204
    assert is_due(later_job)


def test_a_rotated_address_stops_working_at_once(zoho_calls, hooked, later_job):
    old = hooked.hook_token
    callbacks.rotate_address(hooked)

    assert hooked.hook_token != old
    assert zoho_calls({"id": later_job.zoho_job_id}, token=old).status_code == 404
    assert not is_due(later_job)
    assert zoho_calls({"id": later_job.zoho_job_id}).status_code == 204


def test_the_address_has_256_random_bits_and_stays(hooked):
    token = hooked.hook_token
    assert len(token) == 43
    callbacks.ensure_address(hooked)
    again = Connection.objects.get()
    callbacks.ensure_address(again)
    assert hooked.hook_token == again.hook_token == token


def test_the_token_stands_in_no_column_in_clear(hooked):
    with database.cursor() as cursor:
        cursor.execute("SELECT * FROM jobs_connection")
        row = repr(cursor.fetchall())

    assert hooked.hook_token not in row


def test_a_body_up_to_the_limit_is_read_and_a_larger_one_is_not(zoho_calls, later_job):
    wanted = json.dumps({"id": later_job.zoho_job_id}).encode()
    padding = callbacks.MAX_BODY_BYTES - len(wanted)

    assert zoho_calls(wanted + b" " * (padding + 1)).status_code == 413
    assert not is_due(later_job)
    assert zoho_calls(wanted + b" " * padding).status_code == 204
    assert is_due(later_job)


def test_a_body_without_a_length_is_read_up_to_the_limit(hooked, later_job):
    class Endless(io.RawIOBase):
        given = 0

        def read(self, size=-1):
            assert size >= 0
            self.given += size
            return b" " * size

    address = f"/hooks/zoho/{hooked.hook_token}/"
    chunked = {"wsgi.input_terminated": True, "CONTENT_LENGTH": ""}
    content = json.dumps({"id": later_job.zoho_job_id}).encode()
    client = Client()

    assert client.post(address, **chunked, **{"wsgi.input": io.BytesIO(content)}).status_code == 204
    assert is_due(later_job)
    endless = Endless()
    assert client.post(address, **chunked, **{"wsgi.input": endless}).status_code == 413
    assert endless.given == callbacks.MAX_BODY_BYTES + 1


def test_too_many_calls_within_a_minute_are_refused(zoho_calls, hooked, later_job, time_machine):
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


def test_the_count_holds_for_calls_that_came_at_the_same_moment(hooked):
    # Both saw a row with room for one more.
    Connection.objects.filter(pk=hooked.pk).update(
        hook_window_at=timezone.now(), hook_calls=callbacks.CALLS_PER_MINUTE - 1
    )
    callbacks.take_call(hooked, b"{}")

    with pytest.raises(callbacks.TooManyCallsError):
        callbacks.take_call(hooked, b"{}")


def test_a_clock_set_back_does_not_stop_the_calls(zoho_calls, hooked):
    Connection.objects.filter(pk=hooked.pk).update(
        hook_window_at=timezone.now() + timedelta(days=1), hook_calls=callbacks.CALLS_PER_MINUTE
    )

    assert zoho_calls({}).status_code == 204


def test_a_call_costs_few_questions(zoho_calls, later_job, django_assert_max_num_queries):
    # Connection; count; savepoint, jobs, due, notes, noted, end.
    with django_assert_max_num_queries(8):
        zoho_calls({"id": later_job.zoho_job_id})


def test_no_log_holds_the_token_whatever_goes_wrong(
    zoho_calls, hooked, later_job, caplog, monkeypatch, capsys
):
    caplog.set_level(logging.DEBUG)
    token = hooked.hook_token
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
