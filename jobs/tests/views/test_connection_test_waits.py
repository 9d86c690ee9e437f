"""Testing a connection whose trouble passes by itself: throttling, outages, no free call."""

import re
from datetime import timedelta

import pytest
import requests
from django.contrib.messages import constants
from django.utils import timezone

from jobs.models import Alert, Connection
from jobs.services.connections.connection_states import Key, state_of
from jobs.services.limits import slots
from jobs.services.observing import polling
from jobs.tests.factories import body, make_connection, make_job
from jobs.tests.stand_in import TOKEN_URL, details_url, error_body
from jobs.tests.views.tested_connections import NO_JOB_URL, WELL, state, verdict_of

ZH = {"error": "Access Denied", "status": "failure", "error_description": "请稍后再试"}


@pytest.mark.parametrize("answer", [ZH, ZH | {"error_description": "Too many requests."}])
def test_throttled_tokens_are_said_with_their_end_and_not_asked_for_again(admin, zoho, answer):
    zoho.mock.post(TOKEN_URL, json=answer, status=400)
    connection = make_connection()
    end = timezone.now() + timedelta(minutes=10)

    level, said = verdict_of(admin, connection)

    assert level == constants.WARNING
    assert "Zoho refuses further access tokens for a while" in said
    assert answer["error_description"] in said
    told = re.search(r"Zoho can be asked again (?:on .+ )?at (\d\d:\d\d):\d\d UTC\.", said)
    assert told.group(1) in (f"{end:%H:%M}", f"{end + timedelta(minutes=1):%H:%M}")
    # Polls wait as well.
    assert connection.waiting_for == "tokens"
    assert connection.resume_at > timezone.now()
    assert (connection.blocked_at, connection.failures) == (None, 0)
    for _ in range(3):
        assert "Zoho can be asked again" in verdict_of(admin, connection)[1]
    assert len(zoho.asked(TOKEN_URL)) == 1


def test_a_throttled_test_is_the_last_time_that_zoho_was_asked(admin, zoho):
    zoho.gives_tokens()
    before = timezone.now()
    job = make_job(make_connection(last_polled_at=before - timedelta(hours=1)))
    zoho.says(job, error_body("TOO_MANY_REQUESTS"), status=429)

    verdict_of(admin, job.connection)

    assert job.connection.last_polled_at >= before
    assert job.connection.failures == 0


def test_throttled_calls_pause_polls_as_well(admin, zoho):
    zoho.gives_tokens()
    job = make_job()
    zoho.mock.get(
        details_url(job),
        json=error_body("TOO_MANY_REQUESTS"),
        status=429,
        headers={"Retry-After": "120"},
    )

    level, said = verdict_of(admin, job.connection)

    assert level == constants.WARNING
    assert "limit of simultaneous calls or of API credits" in said
    job.connection.refresh_from_db()
    verdict = state_of(job.connection, timezone.now())
    assert "allow the connection fewer calls at a time" in verdict.what_to_do
    assert verdict.what_to_do in said
    assert "Zoho can be asked again" in said
    paused_for = job.connection.resume_at - timezone.now()
    assert timedelta(seconds=110) < paused_for < timedelta(seconds=150)
    assert job.connection.waiting_for == "throttled"
    assert (job.connection.blocked_at, job.connection.failures) == (None, 0)
    assert not Connection.objects.pollable(timezone.now()).exists()


OUTAGES = pytest.mark.parametrize(
    "answer",
    [
        {"status": 503, "body": "<html>Back soon</html>"},
        {"status": 500, "json": error_body("INTERNAL_ERROR")},
        {"status": 200, "body": "<html>no json</html>"},
        {"body": requests.ConnectionError("canary of the network")},
        {"body": requests.ReadTimeout("canary of the network")},
    ],
)


@OUTAGES
def test_an_outage_is_noted_as_a_poll_would_and_mailed_to_nobody(admin, zoho, answer):
    zoho.gives_tokens()
    connection = make_connection(last_polled_at=timezone.now(), last_answer_at=timezone.now())
    zoho.mock.get(NO_JOB_URL, **answer)

    level, said = verdict_of(admin, connection)

    assert level == constants.WARNING
    assert connection.last_error["message"] in said
    for now in (timezone.now(), timezone.now() + timedelta(minutes=3)):
        verdict = state_of(connection, now)
        assert (verdict.key, verdict.tone) == (Key.SILENT, "warn")

    # However long it lasts, whoever tests sees it.
    Connection.objects.update(unanswered_since=timezone.now() - timedelta(hours=1))
    verdict_of(admin, connection)
    assert connection.unanswered_since < timezone.now() - timedelta(minutes=59)
    assert not Alert.objects.exists()


def test_the_outage_that_a_test_has_found_is_looked_into_at_once_and_forgotten(admin, zoho):
    zoho.gives_tokens()
    far = timezone.now() + timedelta(hours=1)
    job = make_job(make_connection(last_answer_at=timezone.now()), next_poll_at=far)
    other = make_job(job.connection, next_poll_at=far + timedelta(minutes=1))
    zoho.says(other, b"busy", 503)
    verdict_of(admin, job.connection)
    job.refresh_from_db()
    assert job.next_poll_at <= timezone.now()

    zoho.says(job, body(job))
    polling.poll_now([job])

    job.connection.refresh_from_db()
    assert state(job.connection) == WELL
    assert job.connection.unanswered_since is None
    assert not Alert.objects.exists()


@OUTAGES
def test_an_outage_leaves_what_blocks_as_it_is(admin, zoho, answer):
    zoho.gives_tokens()
    blocked_at = timezone.now()
    before = {"blocked_at": blocked_at, "last_error": {"message": "no"}, "waiting_for": "repair"}
    job = make_job(make_connection(**before))
    zoho.mock.get(details_url(job), **answer)

    level, said = verdict_of(admin, job.connection)

    assert level == constants.WARNING
    assert "tries again" in said
    assert state(job.connection) == WELL | before


def test_a_test_takes_a_slot_and_says_when_none_is_free(admin, zoho):
    zoho.gives_tokens()
    connection = make_connection(max_concurrency=2)

    with slots.held(connection, wanted=2):
        level, said = verdict_of(admin, connection)

    assert level == constants.WARNING
    assert "Test it again in a moment." in said
    assert zoho.asked() == []
    assert state(connection) == WELL
