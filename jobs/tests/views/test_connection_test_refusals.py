"""Testing a connection that needs a person: what is refused, of one job or of all."""

import pytest
from django.contrib.messages import constants
from django.utils import timezone

from jobs.models import Alert, Connection, CreditUse
from jobs.tests.factories import STAND_IN, body, make_connection, make_job
from jobs.tests.stand_in import TOKEN_URL, error_body
from jobs.tests.views.tested_connections import NO_JOB_URL, WELL, state, verdict_of


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
