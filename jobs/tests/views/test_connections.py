"""The connections: how each is doing."""

import re
from datetime import timedelta

import pytest
from django.utils import timezone

from jobs.models import BulkWriteJob, Heartbeat
from jobs.tests.factories import make_connection, make_job, us_connection
from jobs.tests.views.pages import text

# --- The list


def test_an_empty_list_says_what_to_do_first(admin):
    page = text(admin.get("/connections/"))

    assert "No connection yet" in page
    assert 'href="/connections/add/"' in page


@pytest.mark.parametrize(
    ("fields", "word", "sentence"),
    [
        ({}, "Not polled yet", "it begins with the first job"),
        ({"last_polled_at": 0, "last_answer_at": 0}, "Idle", "No job is being watched"),
        ({"last_polled_at": 0}, "No answers", "gave no job&#x27;s details lately"),
        ({"last_polled_at": 0, "last_answer_at": -30}, "No answers", "Test the connection"),
        ({"paused": True, "last_polled_at": 0}, "Paused", "until it is resumed"),
        ({"resume_at": 5, "last_polled_at": 0, "last_answer_at": 0}, "Waiting", "to slow down"),
        ({"resume_at": -5, "last_polled_at": 0, "last_answer_at": 0}, "Idle", "It answered last"),
        ({"blocked_at": 0}, "Needs you", "does not accept the sign-in"),
        ({"blocked_at": 0, "paused": True}, "Needs you", "then test it"),
    ],
)
def test_the_state_of_a_connection_is_told_in_words(viewer, fields, word, sentence):
    now = timezone.now()
    make_connection(
        **{
            name: value if isinstance(value, bool) else now + timedelta(minutes=value)
            for name, value in fields.items()
        }
    )

    page = text(viewer.get("/connections/"))

    assert f"</svg>{word}</span>" in page
    assert sentence in page


@pytest.mark.parametrize("address", ["/connections/", "/connections/{pk}/"])
def test_where_nothing_polls_any_more_no_connection_looks_as_if_it_worked(viewer, address):
    long_ago = timezone.now() - timedelta(hours=3)
    connection = make_connection(last_polled_at=long_ago, last_answer_at=long_ago)
    make_job(connection, last_polled_at=long_ago, next_poll_at=long_ago)
    for part in (Heartbeat.BEAT, Heartbeat.WORKER, Heartbeat.LOOKOUT):
        Heartbeat.note(part, long_ago)

    page = text(viewer.get(address.format(pk=connection.pk)))

    assert "Not asked lately" in page
    assert "The first was due" in page
    assert "Working" not in page
    assert 'class="banner banner-bad"' in page


def test_a_blocked_connection_says_what_is_wrong_and_what_to_do(viewer):
    error = {"code": "invalid_code", "message": "Not accepted.", "resolution": "Get a new one."}
    make_connection(blocked_at=timezone.now(), last_error=error)

    page = text(viewer.get("/connections/"))

    assert "(invalid_code: “Not accepted.”)" in page
    assert "Get a new one." in page


def test_the_numbers_of_jobs_are_its_own_and_lead_to_the_lists(viewer):
    first, second = make_connection(name="first"), make_connection(name="second")
    make_job(first)
    make_job(first, needs_attention=True, poll_state=BulkWriteJob.PollState.DONE)
    make_job(second)

    page = " ".join(text(viewer.get("/connections/")).split())

    assert '"/jobs/?connection=first">2 registered</a>: 1 being watched' in page
    assert '"/jobs/?connection=first&amp;attention=1">1 needs attention</a>' in page
    assert '"/jobs/?connection=second">1 registered</a>: 1 being watched, none needs' in page


def test_the_list_costs_the_same_with_many_connections(viewer, django_assert_num_queries):
    for _ in range(3):
        make_job(make_connection())
    # session, user, connections, three kinds of job counts, credits by hour; for every page:
    # heartbeats, connections, alerts.
    with django_assert_num_queries(10):
        viewer.get("/connections/")


def test_secrets_that_no_key_opens_do_not_break_the_list(viewer, settings):
    make_connection(name="locked")
    settings.ENCRYPTION_KEYS = ["b3RoZXItb3RoZXItb3RoZXItb3RoZXItb3RoZXItb3Q="]

    assert "locked" in text(viewer.get("/connections/"))


def test_who_may_not_change_connections_is_shown_no_buttons(viewer):
    make_connection()

    page = text(viewer.get("/connections/"))

    assert "/test/" not in page
    assert "/pause/" not in page
    assert "/connections/add/" not in page


def test_what_zoho_says_is_escaped(viewer):
    make_connection(
        blocked_at=timezone.now(),
        last_error={"code": "<script>1</script>", "message": "<img src=x>", "resolution": "<b>"},
    )

    page = text(viewer.get("/connections/"))

    assert "<script>1" not in page
    assert "<img" not in page
    assert "&lt;img src=x&gt;" in page


@pytest.mark.parametrize(
    "address", ["/connections/", "/connections/add/", "/alerts/", "/accounts/password/"]
)
def test_pages_hold_nothing_that_the_content_security_policy_forbids(admin, address):
    us_connection()

    response = admin.get(address)

    assert not re.search(r"\sstyle=|<style|\son\w+=|javascript:", text(response))
    assert re.findall(r"<script(?![^>]*\ssrc=)", text(response)) == []
    assert "'unsafe" not in response["Content-Security-Policy"]
