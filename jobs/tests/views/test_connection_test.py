"""Testing a connection: one token, one call, and in words what is wrong."""

import re
from datetime import timedelta

import pytest
import requests
from django.contrib.messages import constants, get_messages
from django.utils import timezone

from jobs.models import Alert, CallSlot, Connection, CreditUse
from jobs.services.connections.connection_states import Key, state_of
from jobs.services.limits import slots
from jobs.services.observing import polling
from jobs.tests.factories import STAND_IN, body, make_connection, make_job
from jobs.tests.stand_in import TOKEN_URL, details_url, error_body
from jobs.tests.views.pages import plain_text, text_of

NO_JOB_URL = f"{STAND_IN}/crm/bulk/v7/write/100000000000000000"
ZH = {"error": "Access Denied", "status": "failure", "error_description": "请稍后再试"}


def verdict_of(admin, connection):
    """What the test of a connection says: its level, and its text with what that leads to."""
    response = admin.post(f"/connections/{connection.pk}/test/")
    assert response["Location"] == f"/connections/{connection.pk}/"
    (message,) = get_messages(response.wsgi_request)
    page = plain_text(admin.get(response["Location"]))
    connection.refresh_from_db()
    assert "canary" not in page
    said = str(message)
    if said.endswith("see below."):
        said += text_of(page[page.index('<section class="card-box verdict-card') :])
    return message.level, said


def state(connection):
    return {
        name: getattr(connection, name)
        for name in ("blocked_at", "last_error", "waiting_for", "failures")
    }


WELL = {"blocked_at": None, "last_error": None, "waiting_for": "", "failures": 0}


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


# --- What is well


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


# --- What needs a person


@pytest.mark.parametrize(
    ("answer", "meaning", "what_to_do"),
    [
        (
            {"error": "invalid_client_secret"},
            "does not belong to the client ID",
            "Copy the client secret again",
        ),
        (
            {"error": "invalid_client"},
            "does not know this client ID in this data centre",
            "Copy the client ID",
        ),
        (
            {"error": "invalid_code"},
            "revoked, replaced by newer ones, or belongs to another data centre",
            "Sign in to Zoho again",
        ),
    ],
)
def test_a_refused_sign_in_blocks_and_says_why(admin, zoho, answer, meaning, what_to_do):
    zoho.mock.post(TOKEN_URL, json=answer)
    connection = make_connection()

    level, said = verdict_of(admin, connection)

    assert level == constants.ERROR
    assert meaning in said
    assert what_to_do in said
    assert connection.blocked_at is not None
    assert connection.waiting_for == "repair"
    assert connection.last_error["code"] == answer["error"]
    assert zoho.asked(f"{STAND_IN}/crm/") == []
    assert CreditUse.objects.get().calls == 0


@pytest.mark.parametrize(
    ("code", "status", "said_of_it"),
    [
        ("INVALID_TOKEN", 401, "Correct the data centre or the environment"),
        ("AUTHENTICATION_FAILURE", 401, "names the wrong data centre or environment. (AUTH"),
        ("OAUTH_SCOPE_MISMATCH", 401, "grant the scope ZohoCRM.bulk.CREATE or ZohoCRM.bulk.ALL"),
        ("OAUTH_SCOPE_MISMATCH", 403, "Zoho has no read-only scope for this call."),
        ("NO_PERMISSION", 403, "then press “Test” on the connection's page"),
        ("AUTHORIZATION_FAILED", 400, "Ask your Zoho CRM administrator"),
        ("INVALID_URL_PATTERN", 404, "Check the data centre, the environment and the API version"),
        (
            "API_NOT_SUPPORTED",
            400,
            "Choose an API version that Zoho supports, for example v7: “Edit” on",
        ),
    ],
)
def test_a_refused_call_blocks_and_says_why(admin, zoho, code, status, said_of_it):
    zoho.gives_tokens("token-one", "token-two")
    job = make_job()
    zoho.says(job, error_body(code), status=status)
    zoho.mock.get(NO_JOB_URL, json=error_body(code), status=status)

    level, said = verdict_of(admin, job.connection)

    assert level == constants.ERROR
    assert code in said
    assert said_of_it in said
    assert job.connection.last_error["code"] == code
    assert job.connection.blocked_at is not None
    # One for a token that may have been revoked meanwhile, or about another job; and no third.
    assert len(zoho.asked(f"{STAND_IN}/crm/")) == CreditUse.objects.get().calls <= 2


@pytest.mark.parametrize("is_alone", [False, True], ids=["with others", "the only one"])
def test_a_refusal_of_one_job_alone_is_said_and_not_held_against_the_connection(
    admin, zoho, is_alone
):
    zoho.gives_tokens()
    connection = make_connection(last_answer_at=timezone.now())
    if not is_alone:
        other = make_job(connection, last_changed_at=timezone.now())
        make_job(connection)
        zoho.says(other, body(other))
    refused = make_job(connection, last_changed_at=timezone.now())
    zoho.says(refused, error_body("NO_PERMISSION", "permission denied"), status=403)
    zoho.mock.get(NO_JOB_URL, json=error_body("RESOURCE_NOT_FOUND"), status=404)

    level, said = verdict_of(admin, connection)

    assert level == constants.WARNING
    assert f"Asked about job {refused.zoho_job_id} and another: that job alone is refused." in said
    assert "(NO_PERMISSION: “permission denied”)" in said
    assert state(connection) == WELL
    assert not Alert.objects.exists()
    assert Connection.objects.pollable(timezone.now()).exists()
    assert len(zoho.asked(f"{STAND_IN}/crm/")) == CreditUse.objects.get().calls == 2


@pytest.mark.parametrize("known", [{}, {"last_changed_at": timezone.now()}], ids=["new", "known"])
def test_two_jobs_refused_block_the_connection(admin, zoho, known):
    zoho.gives_tokens()
    connection = make_connection(last_answer_at=timezone.now())
    for _ in range(2):
        zoho.says(make_job(connection, **known), error_body("NO_PERMISSION"), status=403)
    zoho.mock.get(NO_JOB_URL, json=error_body("RESOURCE_NOT_FOUND"), status=404)

    assert verdict_of(admin, connection)[0] == constants.ERROR

    assert connection.blocked_at is not None
    assert [alert.kind for alert in Alert.objects.all()] == ["connection_blocked"]


@pytest.mark.parametrize(
    ("answer", "waiting_for"),
    [
        ({"status": 503}, ""),
        ({"status": 429, "json": error_body("TOO_MANY_REQUESTS")}, "throttled"),
    ],
    ids=["silence", "throttled"],
)
def test_a_refusal_is_not_held_against_the_connection_where_nobody_knows_of_others(
    admin, zoho, answer, waiting_for
):
    zoho.gives_tokens()
    job = make_job(make_connection(last_answer_at=timezone.now()))
    zoho.says(job, error_body("NO_PERMISSION"), status=403)
    zoho.mock.get(NO_JOB_URL, **answer)

    assert verdict_of(admin, job.connection)[0] == constants.WARNING

    assert job.connection.blocked_at is None
    assert job.connection.waiting_for in (waiting_for, "unavailable")
    assert not Alert.objects.exists()


def test_with_one_credit_left_a_refusal_is_said_and_the_connection_not_blocked(admin, zoho):
    zoho.gives_tokens()
    job = make_job(make_connection(daily_credits=1))
    zoho.says(job, error_body("NO_PERMISSION"), status=403)

    level, said = verdict_of(admin, job.connection)

    assert level == constants.WARNING
    assert f"Zoho refuses job {job.zoho_job_id}: " in said
    assert "Whether it refuses others as well is not known" in said
    assert "Zoho can be asked again" in said
    assert job.connection.blocked_at is None
    assert CreditUse.objects.get().calls == 1


def test_a_connection_whose_id_of_no_job_is_refused_is_blocked_by_one_call(admin, zoho):
    zoho.gives_tokens()
    connection = make_connection()
    zoho.mock.get(NO_JOB_URL, json=error_body("NO_PERMISSION"), status=403)

    assert verdict_of(admin, connection)[0] == constants.ERROR
    assert connection.blocked_at is not None
    assert len(zoho.asked(f"{STAND_IN}/crm/")) == 1


def test_whoever_relies_on_the_connection_is_told_once(admin, zoho):
    zoho.mock.post(TOKEN_URL, json={"error": "invalid_code"})
    connection = make_connection()

    for _ in range(2):
        verdict_of(admin, connection)

    assert [alert.kind for alert in Alert.objects.all()] == ["connection_blocked"]


def test_a_corrected_secret_is_tried_at_once(admin, zoho):
    zoho.mock.post(TOKEN_URL, json={"error": "invalid_code"})
    connection = make_connection()
    verdict_of(admin, connection)
    zoho.mock.get(NO_JOB_URL, json=error_body("RESOURCE_NOT_FOUND"), status=404)

    # Zoho may have been the one to be repaired, so what is remembered of the refusal is no answer.
    zoho.mock.remove("POST", TOKEN_URL)
    zoho.gives_tokens()

    assert verdict_of(admin, connection)[0] == constants.SUCCESS


def test_a_connection_that_nobody_signed_in_asks_nobody(admin, zoho):
    connection = make_connection(client_id="", client_secret="", refresh_token="")

    level, said = verdict_of(admin, connection)

    assert level == constants.ERROR
    assert "Nobody has signed in to Zoho for it yet." in said
    assert zoho.asked() == []


def test_a_forbidden_host_is_never_asked(admin, zoho, settings):
    settings.ALLOW_CUSTOM_ZOHO_HOSTS = False

    assert "ALLOW_CUSTOM_ZOHO_HOSTS=true" in verdict_of(admin, make_connection())[1]
    assert zoho.asked() == []


# --- What passes by itself


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
