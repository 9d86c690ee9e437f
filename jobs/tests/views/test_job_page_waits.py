"""The page of one job: why Zoho is not asked about it now, and when it is."""

from datetime import timedelta

import pytest
from django.utils import timezone

from jobs.models import Connection
from jobs.services.limits import credits
from jobs.tests.factories import (
    make_connection,
    make_job,
)
from jobs.tests.views.pages import page_of, text_of


@pytest.fixture
def job(db):
    return make_job(make_connection(name="production"))


SOON = timedelta(minutes=20)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"paused": True}, "until it is resumed"),
        (
            {
                "blocked_at": 0,
                "resume_at": SOON,
                "waiting_for": "repair",
                "last_error": {"message": "No such client."},
            },
            "No such client. It is tried again by itself at",
        ),
        ({"resume_at": SOON, "waiting_for": "throttled"}, "slow down"),
        ({"resume_at": SOON, "waiting_for": "tokens"}, "no access tokens"),
        ({"resume_at": SOON, "waiting_for": "credits"}, "are used up"),
        ({"resume_at": SOON, "waiting_for": "unavailable"}, "The next try is at"),
        ({"refresh_token": ""}, "Nobody has signed in to Zoho"),
    ],
    ids=["paused", "blocked", "throttled", "tokens", "credits", "outage", "signed out"],
)
def test_refresh_now_says_why_zoho_is_not_asked_and_when_it_is(alice, job, fields, words):
    now = timezone.now()
    known = {name: now if value == 0 else value for name, value in fields.items()}
    if "resume_at" in known:
        known["resume_at"] = now + known["resume_at"]
    Connection.objects.filter(pk=job.connection_id).update(**known)

    page = text_of(alice.post(f"/jobs/{job.pk}/refresh/", follow=True).content.decode())

    assert "Zoho is not asked about this job now." in page
    assert words in page
    assert "Zoho is being asked" not in page
    if "resume_at" in known:
        assert f"{timezone.localtime(known['resume_at']):%H:%M:%S}" in page


def next_check(page: str) -> str:
    return text_of(page.partition("<dt>Next check</dt>")[2].partition("</dd>")[0])


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"paused": True}, "none: the connection is paused"),
        ({"refresh_token": ""}, "none: nobody has signed in"),
        ({"blocked_at": SOON, "resume_at": SOON, "waiting_for": "repair"}, "needs a person"),
        ({"resume_at": SOON, "waiting_for": "throttled"}, "slow down"),
        ({"resume_at": SOON, "waiting_for": "credits"}, "are used up"),
    ],
)
def test_the_next_check_is_when_the_connection_may_be_asked(alice, job, fields, words):
    now = timezone.now()
    known = {
        name: now + value if isinstance(value, timedelta) else value
        for name, value in fields.items()
    }
    Connection.objects.filter(pk=job.connection_id).update(**known)

    shown = next_check(page_of(alice, job))

    assert words in shown
    assert ("in 19 min" in shown) is ("resume_at" in fields)


def test_a_next_check_that_comes_later_to_spare_credits_says_so(alice, job):
    Connection.objects.update(daily_credits=100, last_answer_at=timezone.now())
    credits.spend(job.connection, 90)

    assert "less often than usual, to spare API credits" in next_check(page_of(alice, job))


def test_a_job_of_a_connection_that_does_not_answer_shows_why(alice, job):
    error = {"code": None, "http_status": None, "message": "No answer in time.", "resolution": ""}
    Connection.objects.update(
        last_error=error,
        failures=1,
        resume_at=timezone.now() + timedelta(seconds=5),
        waiting_for="unavailable",
        unanswered_since=timezone.now(),
    )

    assert "The last check failed; it is tried again. No answer in time." in text_of(
        page_of(alice, job)
    )
