"""Changing a connection and signing it in: what that lifts, what it replaces, what stays."""

import json
from contextlib import nullcontext
from datetime import timedelta

import pytest
from django.core.exceptions import ValidationError
from django.utils import timezone

from jobs.models import CallSlot, Connection, CreditUse
from jobs.services.connections import connecting, signing_in, testing
from jobs.services.health import monitoring
from jobs.services.observing import polling
from jobs.tests.factories import STAND_IN, body, make_connection, make_job
from jobs.tests.stand_in import error_body
from jobs.zoho.errors import ZohoError

pytestmark = pytest.mark.django_db

Waiting = Connection.Waiting


@pytest.fixture(autouse=True)
def stand_in_allowed(settings):
    settings.ALLOW_CUSTOM_ZOHO_HOSTS = True


def after_change(stored: dict, **changed) -> Connection:
    """A connection as stored, once it was changed so."""
    connection = make_connection(**stored)
    for name, value in changed.items():
        setattr(connection, name, value)
    connecting.save(connection)
    return Connection.objects.get(pk=connection.pk)


def waiting(waiting_for: str) -> dict:
    return {"resume_at": timezone.now() + timedelta(hours=1), "waiting_for": waiting_for}


def assert_may_be_asked(connection):
    assert connection.waiting_for == ""
    assert connection in Connection.objects.pollable(timezone.now())


@pytest.mark.parametrize(
    "changed",
    [{"daily_credits": 9_000}, {"edition": "ultimate"}, {"paid_users": 40}],
    ids=str,
)
def test_other_credits_end_the_wait_for_credits(changed):
    now = after_change(waiting(Waiting.CREDITS), **changed)

    assert_may_be_asked(now)


@pytest.mark.parametrize("waiting_for", [wait for wait in Waiting if wait != Waiting.CREDITS])
def test_other_credits_end_no_other_wait(waiting_for):
    assert after_change(waiting(waiting_for), daily_credits=9_000).waiting_for == waiting_for


def test_a_change_of_something_else_does_not_end_the_wait_for_credits():
    now = after_change(waiting(Waiting.CREDITS), stuck_after_minutes=90)

    assert now.waiting_for == Waiting.CREDITS


def test_another_sign_in_does_not_end_a_pause_of_the_org():
    now = after_change(waiting(Waiting.THROTTLED), refresh_token="another")

    assert now.waiting_for == Waiting.THROTTLED
    assert now.resume_at > timezone.now()


def test_a_limit_of_access_tokens_is_that_of_the_refresh_token():
    assert_may_be_asked(after_change(waiting(Waiting.TOKENS), refresh_token="another"))
    for other in ({"api_version": "v8"}, {"client_secret": "another"}):
        assert after_change(waiting(Waiting.TOKENS), **other).waiting_for == Waiting.TOKENS


def test_jobs_are_not_late_for_the_time_of_a_wait_that_was_lifted():
    connection = make_connection(**waiting(Waiting.CREDITS), last_answer_at=timezone.now())
    make_job(connection, next_poll_at=timezone.now() - timedelta(hours=3))
    connection.daily_credits = 9_000
    connecting.save(connection)

    assert "polling" not in [finding.key for finding in monitoring.check(True).findings]


def test_another_place_is_asked_at_once():
    now = after_change(waiting(Waiting.THROTTLED), api_url="http://127.0.0.1:9/elsewhere")

    assert_may_be_asked(now)


def test_another_api_version_is_tried_at_once_and_keeps_the_sign_in():
    blocked = {"blocked_at": timezone.now(), "last_error": {"code": "INVALID_URL_PATTERN"}}
    now = after_change(waiting(Waiting.REPAIR) | blocked, api_version="v8")

    assert now.blocked_at == blocked["blocked_at"], "the first answer shows whether it works"
    assert now.last_error["resolution"] == "Test the connection."
    assert not now.is_proven
    assert_may_be_asked(now)
    assert now.is_signed_in
    assert now.client_secret


def test_one_that_works_and_is_asked_otherwise_has_to_prove_it_again():
    well = {"last_answer_at": timezone.now()}
    assert make_connection(**well).is_proven

    assert not after_change(well, api_version="v8").is_proven
    assert after_change(well, stuck_after_minutes=90).is_proven


def test_a_blocked_one_that_is_changed_is_tried_with_one_job_and_told_once(zoho):
    org = make_connection(name="production", last_answer_at=timezone.now())
    jobs = [make_job(org) for _ in range(5)]
    zoho.gives_tokens()
    for job in jobs:
        zoho.says(job, error_body("API_NOT_SUPPORTED"), 400)
    for _ in range(2):
        polling.poll_now(jobs)
    assert Connection.objects.get().is_blocked
    before = len(zoho.asked(f"{STAND_IN}/crm/"))

    org = Connection.objects.get()
    org.stuck_after_minutes, org.api_version = 90, "v6"
    for job in jobs:
        zoho.mock.get(f"{STAND_IN}/crm/bulk/v6/write/{job.zoho_job_id}", status=403)
    connecting.save(org)
    for claim in polling.claim_due():
        polling.poll_claim(claim.connection_id, claim.lease_token)

    assert len(zoho.asked(f"{STAND_IN}/crm/")) == before + 1
    assert [alert.kind for alert in org.alerts.filter(job=None)] == ["connection_blocked"]

    org.refresh_from_db()
    org.api_version = "v7"
    connecting.save(org)
    for job in jobs:
        zoho.says(job, body(job))
    polling.poll_now(jobs)
    kinds = org.alerts.filter(job=None).order_by("pk").values_list("kind", flat=True)
    assert list(kinds) == ["connection_blocked", "recovered"]


# --- The budget


def test_a_budget_above_what_zoho_gives_is_refused():
    connection = make_connection(data_center="us", edition="standard", paid_users=40)
    connection.daily_credits = 60_000
    connecting.save(connection)
    connection.daily_credits = 60_001

    with pytest.raises(ValidationError) as caught:
        connecting.save(connection)

    assert list(caught.value.message_dict) == ["daily_credits"]
    assert "60,000 API credits" in str(caught.value)


def test_a_stand_in_may_give_any_budget():
    assert after_change({}, daily_credits=100_000_000).daily_credits == 100_000_000


# --- Another refresh token


OLD = {"client_id": "1000.OLD", "client_secret": "old", "refresh_token": "old"}
CLIENT = signing_in.Client("1000.NEW", "new-secret")


def sign_in_with_another_token(connection: Connection) -> None:
    signing_in.with_refresh_token(connection, CLIENT, "new-token")


def stored_token() -> str:
    return Connection.objects.get().refresh_token


@pytest.mark.parametrize(
    ("status", "code"),
    [(401, "OAUTH_SCOPE_MISMATCH"), (403, "NO_PERMISSION"), (404, "INVALID_URL_PATTERN")],
)
def test_a_token_that_jobs_cannot_be_read_with_replaces_no_sign_in(zoho, status, code):
    job = make_job(make_connection(**OLD))
    zoho.gives_tokens()
    zoho.says(job, error_body(code), status)
    zoho.says(make_job(job.connection), error_body(code), status)

    with pytest.raises(ZohoError) as caught:
        sign_in_with_another_token(job.connection)

    assert caught.value.code == code
    assert stored_token() == "old"
    assert Connection.objects.get().blocked_at is None


def test_a_token_that_one_job_alone_is_refused_with_is_stored(zoho):
    other = make_job(make_connection(**OLD))
    job = make_job(other.connection)
    zoho.gives_tokens()
    zoho.says(job, error_body("NO_PERMISSION"), 403)
    zoho.says(other, body(other))

    sign_in_with_another_token(job.connection)

    assert stored_token() == "new-token"


def test_a_token_that_reads_no_such_job_is_stored(zoho):
    job = make_job(make_connection(**OLD))
    zoho.gives_tokens()
    zoho.says(job, error_body("RESOURCE_NOT_FOUND"), 404)

    sign_in_with_another_token(job.connection)

    assert stored_token() == "new-token"
    assert CreditUse.objects.get().calls == 1


@pytest.mark.parametrize(
    ("fields", "kept"),
    [({}, True), ({"blocked_at": timezone.now()}, False), ({"refresh_token": ""}, False)],
    ids=["works", "blocked", "unsigned"],
)
def test_where_jobs_cannot_be_asked_about_now_only_a_sign_in_that_works_is_kept(zoho, fields, kept):
    job = make_job(make_connection(**OLD | fields))
    zoho.gives_tokens()
    zoho.says(job, b"busy", 503)

    with pytest.raises(signing_in.UnprovenError) if kept else nullcontext():
        sign_in_with_another_token(job.connection)

    assert stored_token() == ("old" if kept else "new-token")


def test_a_test_holds_its_call_for_as_long_as_it_can_take(zoho, settings):
    settings.ZOHO_REQUEST_TIMEOUT_SECONDS = 30
    connection = make_connection()
    job = make_job(connection)
    left = []

    def look(request):
        left.append(CallSlot.objects.get().until - timezone.now())
        return 200, {}, json.dumps(body(job))

    zoho.gives_tokens()
    zoho.does(job, look)
    testing.test(connection)

    # Three tokens, each waited for twice as long as a call may take, and four calls.
    assert left[0] >= timedelta(seconds=3 * 60 + 4 * 30)
    assert not CallSlot.objects.exists()
