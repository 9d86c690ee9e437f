"""The state of a connection: each wait has its words, and nothing that is wrong looks green."""

from datetime import timedelta
from itertools import product

import pytest
from django.utils import timezone

from jobs.models import Connection, CreditUse
from jobs.services.connections.connection_states import Key, Repair, state_of
from jobs.services.limits.credits import Credits, credits_of
from jobs.tests.factories import make_connection

NOW = timezone.now()
MINUTE = timedelta(minutes=1)
Waiting = Connection.Waiting
PLENTY = Credits(10, 5_000, 100, 50_000, None)
HEALTHY = {"refresh_token": "x", "last_polled_at": NOW, "last_answer_at": NOW}


def state(credits=PLENTY, *, next_due=NOW, **fields):
    return state_of(Connection(**HEALTHY | fields), NOW, credits, next_due=next_due)


def test_one_that_answers_works():
    assert (state().key, state().tone) == (Key.WORKING, "good")


@pytest.mark.parametrize(
    ("waiting_for", "word", "text"),
    [
        (Waiting.THROTTLED, "Waiting", "Zoho asked to slow down."),
        (Waiting.TOKENS, "Waiting", "no access tokens for a while"),
        (Waiting.CREDITS, "Out of credits", "polling may use within 24 hours are used up"),
        (Waiting.UNAVAILABLE, "No answers", "Zoho does not answer"),
        (Waiting.REPAIR, "Waiting", "Zoho refused it."),
        ("", "Waiting", "Zoho asked to slow down."),
    ],
)
def test_each_wait_says_what_for_and_until_when(waiting_for, word, text):
    told = state(waiting_for=waiting_for, resume_at=NOW + MINUTE, unanswered_since=NOW)

    assert told.word == word
    assert text in told.text
    assert told.until == NOW + MINUTE
    assert told.and_then
    assert told.tone == "warn"


@pytest.mark.parametrize("waiting_for", Waiting)
def test_every_wait_there_is_has_words_of_its_own(waiting_for):
    assert state(waiting_for=waiting_for, resume_at=NOW + MINUTE).what_to_do


def test_a_wait_that_is_over_is_none():
    assert state(waiting_for=Waiting.THROTTLED, resume_at=NOW - MINUTE).key == Key.WORKING


def test_credits_that_others_have_used_up_are_told_as_such():
    org_is_short = Credits(10, 5_000, 100, 50_000, 500)

    told = state(org_is_short, waiting_for=Waiting.CREDITS, resume_at=NOW + MINUTE)

    assert "hardly any API credits left" in told.text
    assert "which other program" in told.what_to_do


def test_no_answer_turns_bad_when_it_lasts():
    error = {"message": "Connection refused."}
    for minutes, tone in ((1, "warn"), (6, "bad")):
        told = state(unanswered_since=NOW - minutes * MINUTE, last_error=error)
        assert (told.key, told.tone) == (Key.SILENT, tone)
        assert "Connection refused." in told.text
        assert told.since == NOW - minutes * MINUTE


def test_no_usable_answer_is_not_called_silence_and_has_the_advice_of_its_error():
    error = {
        "code": "INTERNAL_ERROR",
        "http_status": 500,
        "message": "Internal Server Error",
        "resolution": "Contact Zoho's support.",
    }

    told = state(unanswered_since=NOW - MINUTE, last_error=error)

    assert told.text.startswith("Zoho gives no usable answer about its jobs. Zoho had an unexpect")
    assert "“Internal Server Error”" in told.text
    assert told.what_to_do == "Contact Zoho's support."


def test_silence_points_to_the_network():
    error = {"code": None, "http_status": None, "message": "No connection.", "resolution": ""}

    told = state(unanswered_since=NOW - MINUTE, last_error=error)

    assert told.text == "Zoho does not answer about its jobs. No connection."
    assert "ZOHO_PROXY_URL" in told.what_to_do


def test_one_that_needs_a_person_says_when_it_is_tried_by_itself():
    told = state(blocked_at=NOW - MINUTE, resume_at=NOW + MINUTE, waiting_for=Waiting.REPAIR)

    assert (told.key, told.tone, told.until) == (Key.BLOCKED, "bad", NOW + MINUTE)
    paused = state(blocked_at=NOW, resume_at=NOW + MINUTE, paused=True)
    assert (paused.key, paused.until) == (Key.BLOCKED, None)


def test_one_that_nobody_has_signed_in_says_so():
    told = state(refresh_token="")

    assert (told.key, told.tone, told.what_to_do) == (Key.UNSIGNED, "warn", "Sign in to Zoho.")


@pytest.mark.parametrize(
    ("credits", "text"),
    [
        (Credits(4_000, 5_000, 0, 50_000, None), "80 % of the API credits that polling may use"),
        (Credits(0, 5_000, 14_250, 50_000, None), "3 times less often: after up to 15 min."),
        (Credits(0, 5_000, 0, 50_000, 10_000), "the org's API credits run low"),
    ],
)
def test_one_that_is_slowed_down_says_what_for(credits, text):
    told = state(credits)

    assert (told.key, told.tone) == (Key.SLOWED, "warn")
    assert text in told.text


def test_one_without_a_credit_left_is_out_of_them_until_some_are_free_again(db):
    hour = NOW.replace(minute=0, second=0, microsecond=0)
    connection = make_connection(**HEALTHY, daily_credits=50)
    CreditUse.objects.create(connection=connection, hour=hour, calls=94)

    told = state_of(connection, NOW, credits_of(connection, NOW))

    assert (told.word, told.tone) == ("Out of credits", "warn")
    assert told.what_to_do == "Give polling more credits a day."
    assert told.until == hour + timedelta(hours=25)


def test_a_longer_interval_is_advised_where_jobs_need_more_than_the_budget(db):
    demanding = Credits(5_000, 5_000, 5_001, 50_000, None)

    told = state_of(make_connection(**HEALTHY), NOW, demanding)

    assert told.word == "Out of credits"
    assert told.what_to_do == "Give polling more credits a day, or a longer interval."


@pytest.mark.parametrize("asked_at", [NOW - timedelta(hours=3), None], ids=["once", "never"])
def test_one_that_is_not_asked_though_jobs_are_due_says_since_when(asked_at):
    due = NOW - timedelta(hours=3)

    told = state(next_due=due, last_polled_at=asked_at, last_answer_at=asked_at)

    assert (told.key, told.tone) == (Key.LATE, "warn")
    assert (told.and_then, told.until) == ("The first was due", due)
    assert "The banner" in told.what_to_do


def test_a_poll_is_not_late_for_the_time_of_a_wait_nor_within_two_minutes():
    due = NOW - timedelta(hours=3)

    assert state(next_due=due, resume_at=NOW - MINUTE).key == Key.WORKING
    assert state(next_due=due, resume_at=NOW - 3 * MINUTE).key == Key.LATE
    assert state(next_due=NOW - MINUTE).key == Key.WORKING


def test_one_whose_jobs_have_all_ended_says_when_it_answered_and_is_not_green():
    told = state(Credits(0, 5_000, 0, 50_000, None), last_answer_at=NOW - MINUTE)

    assert (told.key, told.tone) == (Key.IDLE, "neutral")
    assert (told.and_then, told.until) == ("It answered last", NOW - MINUTE)


@pytest.mark.parametrize(
    ("code", "status", "repair"),
    [
        ("API_NOT_SUPPORTED", 400, Repair.EDIT),
        ("INVALID_URL_PATTERN", 404, Repair.EDIT),
        ("INVALID_REQUEST_METHOD", 400, Repair.EDIT),
        ("INVALID_TOKEN", 401, Repair.EDIT),
        ("NO_PERMISSION", 403, Repair.TEST),
        ("invalid_code", 200, Repair.SIGN_IN),
        ("SOMETHING_NEW", 401, Repair.SIGN_IN),
        (None, 401, Repair.SIGN_IN),
        (None, None, Repair.TEST),
    ],
)
def test_what_needs_a_person_says_where_to_go(code, status, repair):
    error = {"code": code, "http_status": status, "message": "No."}

    assert state(blocked_at=NOW, last_error=error).repair == repair
    assert state(last_error=error).repair is None


def test_a_stretch_that_nobody_would_notice_is_no_news():
    assert state(Credits(0, 5_000, 4_900, 50_000, None)).key == Key.WORKING


def test_nothing_that_is_wrong_looks_green():
    wrong = {
        "refresh_token": ["x", ""],
        "blocked_at": [None, NOW],
        "paused": [False, True],
        "resume_at": [None, NOW + MINUTE],
        "unanswered_since": [None, NOW],
        "last_answer_at": [NOW, None, NOW - timedelta(hours=1)],
        "last_polled_at": [NOW, NOW - timedelta(hours=3)],
    }
    for values in product(*wrong.values()):
        fields = dict(zip(wrong, values, strict=True))
        # A job is due again within the longest interval after it was asked about.
        due = fields["last_polled_at"] + timedelta(hours=1)
        is_right = all(value == wrong[name][0] for name, value in fields.items())
        assert (state(next_due=due, **fields).tone == "good") == is_right, fields
