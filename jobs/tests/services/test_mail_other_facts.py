"""What mails say of jobs that did not end badly, and of connections."""

import re
from datetime import timedelta

import pytest
from django.utils import timezone

from jobs.models import Alert, Outcome
from jobs.tests.factories import make_connection, make_job
from jobs.tests.services.composed import Reader, compose, ended_job, html_of

pytestmark = pytest.mark.django_db

Kind = Alert.Kind


def test_a_stuck_job_shows_what_is_still_to_do(production):
    job = ended_job(
        production,
        outcome=Outcome.STUCK,
        status="INPROGRESS",
        ended_at=None,
        added_count=40,
        skipped_count=0,
    )

    body = compose(
        Kind.STUCK, job=job, text="Nothing about it has changed for more than 30 minutes."
    ).body

    assert body.startswith("Stuck: Zoho still reports it as running")
    assert re.search(r"Still to do +60$", body, re.MULTILINE)
    assert "Unprocessed" not in body


def test_a_mail_that_leaves_late_says_where_the_job_is_by_now(production):
    job = ended_job(production, outcome=Outcome.IMPORTED, added_count=100, skipped_count=0)

    body = " ".join(compose(Kind.STUCK, job=job, text="Nothing has changed.").body.split())

    assert body.startswith("Stuck: Nothing has changed. By now: Imported: 100 rows are in the CRM")


@pytest.mark.parametrize(
    ("code", "seen", "subject", "headline"),
    [
        ("RESOURCE_NOT_FOUND", False, "Unknown to Zoho", "Zoho knows no job with this id."),
        ("RESOURCE_NOT_FOUND", True, "Unknown to Zoho", "Zoho no longer knows a job with this id."),
        ("NEW_CODE", False, "Cannot be read", "Zoho refuses to say anything about this job."),
        ("NEW_CODE", True, "Cannot be read", "Zoho refuses to say anything more about this job."),
    ],
)
def test_a_job_that_zoho_says_nothing_about_tells_why_and_what_to_do(
    production, code, seen, subject, headline
):
    job = make_job(
        production,
        label="price list",
        outcome=Outcome.RUNNING if seen else Outcome.UNKNOWN,
        last_changed_at=timezone.now() if seen else None,
        poll_state="blocked",
        poll_error={"code": code, "message": "Gone.", "resolution": "Check the ID."},
    )

    message = compose(Kind.BLOCKED, job=job, text=f"Gone. ({code})")

    assert message.subject == f"[Bulkwatch] {subject}: price list"
    for shown in (message.body, Reader(html_of(message)).shown):
        assert shown.startswith(headline)
        assert f"Gone. ({code})" in shown
        assert "What to do: Check the ID." in shown


def test_a_recovery_says_so_and_how_it_stands(production):
    job = ended_job(production, outcome=Outcome.IMPORTED, added_count=100, skipped_count=0)

    body = compose(Kind.RECOVERED, job=job, text="It was stuck and goes on: imported.").body

    assert body.startswith("Recovered. It was stuck and goes on: imported.\n\nImported: 100 rows")


def test_a_connection_that_needs_a_person_is_told_without_a_job():
    connection = make_connection(
        name="eu-sales",
        blocked_at=timezone.now(),
        last_error={"message": "Not accepted.", "resolution": "Get a new refresh token."},
    )

    message = compose(Kind.CONNECTION_BLOCKED, connection=connection, text="Not accepted.")

    assert message.subject == "[Bulkwatch] Connection needs you: eu-sales"
    assert "http://testserver/connections/" in message.body
    for shown in (message.body, Reader(html_of(message)).shown):
        assert "Bulkwatch cannot read the jobs of eu-sales: it needs you." in shown
        assert "What to do: Get a new refresh token." in shown


def test_a_connection_that_works_again_when_its_mail_leaves_says_so():
    message = compose(Kind.CONNECTION_BLOCKED, connection=make_connection(), text="Not accepted.")

    assert "Meanwhile Zoho accepts the sign-in again." in message.body


def test_a_connection_without_answers_says_since_when_and_what_to_do():
    connection = make_connection(
        name="eu-sales",
        unanswered_since=timezone.now(),
        last_error={"message": "No answer in time.", "resolution": "Check the network."},
    )

    message = compose(
        Kind.UNREACHABLE, connection=connection, text="No answer for 31 minutes. No answer in time."
    )

    assert message.subject == "[Bulkwatch] No answers: eu-sales"
    for shown in (message.body, Reader(html_of(message)).shown):
        assert "Zoho gives no answer about the jobs of eu-sales." in shown
        assert "No answer for 31 minutes." in shown
        assert "What to do: Check the network." in shown
        assert "Meanwhile" not in shown


def test_a_connection_that_answers_again_when_its_mail_leaves_says_so():
    message = compose(Kind.UNREACHABLE, connection=make_connection(), text="No answer.")

    assert "Meanwhile Zoho answers again." in message.body


@pytest.mark.parametrize("is_over", [False, True])
def test_a_connection_that_waits_long_says_until_when_and_what_to_do(is_over):
    until = timezone.now() + timedelta(hours=-1 if is_over else 5)
    connection = make_connection(name="eu-sales", resume_at=until, waiting_for="credits")

    message = compose(
        Kind.UNREACHABLE,
        connection=connection,
        text="Used up.",
        about="wait for credits from 2026-11-25",
    )

    for shown in (message.body, Reader(html_of(message)).shown):
        shown = " ".join(shown.split())
        assert "Bulkwatch asks nothing about the jobs of eu-sales for a while. Used up." in shown
        assert ("What to do: Give polling more credits a day" in shown) is not is_over
        assert ("Meanwhile that is over." in shown) is is_over
        assert "Zoho gives no answer" not in shown


def test_a_job_without_answers_says_so_and_how_it_was_seen_last(production):
    job = make_job(
        production,
        outcome=Outcome.RUNNING,
        status="INPROGRESS",
        last_changed_at=timezone.now(),
        poll_error={"code": None, "message": "No answer.", "resolution": "Check the network."},
    )

    body = " ".join(compose(Kind.UNREACHABLE, job=job, text="No answer for 6 hours.").body.split())

    assert body.startswith("Zoho gives no answer about this job. No answer for 6 hours. Last seen:")
    assert "What to do: Check the network." in body
