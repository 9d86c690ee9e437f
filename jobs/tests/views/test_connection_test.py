"""Testing a connection: one token, one call, and in words what is wrong."""

import json
import re
from datetime import timedelta

import pytest
from django.contrib.messages import constants
from django.utils import timezone

from jobs.models import Alert, CallSlot, Connection, CreditUse
from jobs.services.observing import polling
from jobs.tests.factories import STAND_IN, body, make_connection, make_job
from jobs.tests.stand_in import error_body
from jobs.tests.views.pages import plain_text, text_of
from jobs.tests.views.tested_connections import NO_JOB_URL, WELL, state, verdict_of


@pytest.mark.parametrize(
    ("status", "code", "short"),
    [
        (403, "NO_PERMISSION", "it needs you"),
        (500, "INTERNAL_ERROR", "no usable answer came"),
    ],
)
def test_what_the_page_says_is_not_said_twice(admin, zoho, status, code, short):
    zoho.gives_tokens()
    zoho.mock.get(NO_JOB_URL, json=error_body(code), status=status)
    connection = make_connection(name="production")

    page = plain_text(admin.post(f"/connections/{connection.pk}/test/", follow=True))

    assert f"production: tested, and {short}; see below." in page
    connection.refresh_from_db()
    heading = text_of(re.search(r"<h1.*?</h1>", page)[0])
    assert connection.last_error["message"] in heading
    assert page.count(heading) == 2  # to be read, and to be heard


def test_it_costs_one_call_about_the_newest_job(admin, zoho):
    zoho.gives_tokens()
    connection = make_connection(name="production")
    make_job(connection)
    newest = make_job(connection)
    make_job()
    zoho.says(newest, body(newest))

    level, said = verdict_of(admin, connection)

    assert level == constants.SUCCESS
    assert said == (
        "production: Zoho accepts the sign-in and lets bulk write jobs be read. "
        f"Asked about job {newest.zoho_job_id}."
    )
    assert len(zoho.asked(f"{STAND_IN}/crm/")) == 1
    assert CreditUse.objects.get().calls == 1
    assert not CallSlot.objects.exists()


def test_without_a_job_one_that_cannot_be_proves_as_much(admin, zoho):
    zoho.gives_tokens()
    zoho.mock.get(NO_JOB_URL, json=error_body("RESOURCE_NOT_FOUND"), status=404)

    level, said = verdict_of(admin, make_connection())

    assert level == constants.SUCCESS
    assert "Asked about an id that no job has" in said


def test_it_asks_about_no_job_that_zoho_refuses_by_itself(admin, zoho):
    zoho.gives_tokens()
    connection = make_connection(last_answer_at=timezone.now())
    answered = make_job(connection, last_changed_at=timezone.now())
    make_job(connection)
    refused = make_job(
        connection,
        last_changed_at=timezone.now(),
        poll_state="blocked",
        poll_error={"code": "NO_PERMISSION"},
    )
    zoho.says(answered, body(answered))
    zoho.says(refused, error_body("NO_PERMISSION"), status=403)

    level, said = verdict_of(admin, connection)

    assert level == constants.SUCCESS
    assert f"Asked about job {answered.zoho_job_id}." in said
    assert state(connection) == WELL


@pytest.mark.parametrize("has_ended", [False, True], ids=["running", "ended"])
@pytest.mark.parametrize("status", [404, 400])
def test_a_job_that_zoho_does_not_know_proves_as_much_but_the_place_may_be_wrong(
    admin, zoho, status, has_ended
):
    zoho.gives_tokens()
    job = make_job(ended_at=timezone.now() if has_ended else None)
    job.connection.failures = 1
    job.connection.save()
    zoho.says(job, error_body("RESOURCE_NOT_FOUND"), status=status)

    level, said = verdict_of(admin, job.connection)

    assert level == constants.WARNING
    assert "Zoho accepts the sign-in" in said
    assert "Zoho does not know this job. Check the environment and the org." in said
    assert ("may also have forgotten" in said) == has_ended
    assert state(job.connection) == WELL
    job.refresh_from_db()
    assert job.poll_state == "active"


def test_a_job_that_is_removed_while_zoho_is_asked_about_it_breaks_nothing(admin, zoho):
    zoho.gives_tokens()
    job = make_job()

    def remove(request):
        job.delete()
        return 404, {}, json.dumps(error_body("RESOURCE_NOT_FOUND"))

    zoho.does(job, remove)

    level, said = verdict_of(admin, job.connection)

    assert level == constants.WARNING
    assert "Zoho does not know this job." in said


def test_where_zoho_knows_none_of_the_jobs_the_place_may_be_wrong(admin, zoho):
    zoho.gives_tokens()
    zoho.mock.get(NO_JOB_URL, json=error_body("RESOURCE_NOT_FOUND"), status=404)
    job = make_job()
    zoho.says(job, error_body("RESOURCE_NOT_FOUND"), status=404)
    for _ in range(2):
        polling.poll_now([job])
        job.refresh_from_db()
    assert job.poll_state == "blocked"

    level, said = verdict_of(admin, job.connection)

    assert level == constants.WARNING
    assert "none to ask about yet" not in said
    assert "no registered job could be read" in said
    assert "Zoho does not know 1 of them. Check the environment and the org." in said


def test_after_an_outage_a_success_is_one_though_no_job_was_read_before(admin, zoho):
    zoho.gives_tokens()
    zoho.mock.get(NO_JOB_URL, json=error_body("RESOURCE_NOT_FOUND"), status=404)
    job = make_job()
    zoho.says(job, b"busy", 503)
    polling.poll_now([job])

    assert verdict_of(admin, job.connection)[0] == constants.SUCCESS


def test_a_success_lets_the_connection_be_polled_at_once_and_tells_who_was_told(admin, zoho):
    zoho.gives_tokens()
    job = make_job()
    zoho.says(job, error_body("NO_PERMISSION"), status=403)
    zoho.mock.get(NO_JOB_URL, json=error_body("NO_PERMISSION"), status=403)
    zoho.says(job, body(job))
    connection = job.connection
    verdict_of(admin, connection)
    assert not Connection.objects.pollable(timezone.now()).exists()

    assert verdict_of(admin, connection)[0] == constants.SUCCESS

    assert state(connection) == WELL
    assert Connection.objects.pollable(timezone.now()).exists()
    kinds = list(Alert.objects.order_by("pk").values_list("kind", flat=True))
    assert kinds == ["connection_blocked", "recovered"]


def test_a_success_does_not_shorten_a_wait_for_credits(admin, zoho):
    zoho.gives_tokens()
    until = timezone.now() + timedelta(hours=1)
    job = make_job(make_connection(resume_at=until, waiting_for="credits"))
    zoho.says(job, body(job))

    assert verdict_of(admin, job.connection)[0] == constants.SUCCESS

    assert (job.connection.resume_at, job.connection.waiting_for) == (until, "credits")


@pytest.mark.parametrize(
    ("why", "words"), [("throttled", "asked to slow down"), ("tokens", "no access tokens")]
)
def test_while_zoho_wants_no_calls_nothing_is_asked_and_until_when_is_said(admin, zoho, why, words):
    until = timezone.now() + timedelta(days=2)
    connection = make_connection(resume_at=until, waiting_for=why)

    level, said = verdict_of(admin, connection)

    assert level == constants.WARNING
    assert words in said
    assert f"can be asked again on {until.day} {until:%b} at {until:%H:%M:%S} UTC." in said
    assert zoho.asked() == []
    assert (connection.resume_at, connection.waiting_for) == (until, why)


@pytest.mark.parametrize("why", ["throttled", "tokens"])
def test_a_wait_that_is_over_keeps_nobody_from_testing(admin, zoho, why):
    zoho.gives_tokens()
    over = timezone.now() - timedelta(seconds=1)
    job = make_job(make_connection(resume_at=over, waiting_for=why))
    zoho.says(job, body(job))

    assert verdict_of(admin, job.connection)[0] == constants.SUCCESS


def test_without_a_credit_left_nothing_is_asked_and_that_is_said(admin, zoho):
    zoho.gives_tokens()
    job = make_job(make_connection(daily_credits=1))
    zoho.says(job, body(job))
    verdict_of(admin, job.connection)
    asked = len(zoho.asked())

    level, said = verdict_of(admin, job.connection)

    assert level == constants.WARNING
    assert "credits that Bulkwatch may use within 24 hours are used up" in said
    assert "Zoho can be asked again" in said
    assert len(zoho.asked()) == asked
    assert CreditUse.objects.get().calls == 1


def test_a_paused_connection_stays_paused_and_that_is_said(admin, zoho):
    zoho.gives_tokens()
    job = make_job(make_connection(paused=True))
    zoho.says(job, body(job))

    assert "not asked about while it is paused" in verdict_of(admin, job.connection)[1]
    assert job.connection.paused
