"""Downloads that Zoho refuses though it answers about jobs: they stop no poll and waste nothing."""

from datetime import timedelta

import pytest
import responses
import time_machine
from django.test import Client
from django.utils import timezone

from jobs.models import Alert, BulkWriteJob, Connection, CreditUse, Result
from jobs.services.observing import leases, polling
from jobs.services.results import fetching
from jobs.tests.factories import body, completed, make_connection, make_job, make_user, observe
from jobs.tests.stand_in import TOKEN_URL, StandIn, csv_of, error_body, result_url, zip_of
from jobs.zoho.oauth import MOST_IN_WINDOW

pytestmark = pytest.mark.django_db
State = Result.State

MINUTE = timedelta(minutes=1)
ZIP = zip_of(Leads=csv_of(("Meier", "ADDED", "1", "")))
FILE_HOST = "http://127.0.0.1:8"


@pytest.fixture
def zoho(zoho: StandIn) -> StandIn:
    zoho.gives_tokens()
    return zoho


@pytest.fixture
def org(db) -> Connection:
    """A connection whose files are tried at a host of their own first."""
    return make_connection(download_url=FILE_HOST)


def ended(org: Connection) -> BulkWriteJob:
    """A job that has ended and whose result is to be fetched."""
    job = make_job(org)
    observe(job, completed(job, added=1, updated=0, skipped=0, total=1))
    return job


def file_address(job: BulkWriteJob) -> str:
    return f"{FILE_HOST}/v7/crm/org1/bulk-write/{job.zoho_job_id}/{job.zoho_job_id}.zip"


def refuse(zoho: StandIn, job: BulkWriteJob, code: str, *, everywhere: bool = True) -> None:
    for address in (file_address(job), result_url(job))[: 2 if everywhere else 1]:
        zoho.mock.get(address, json=error_body(code), status=401)


def fetch_due(after: timedelta = timedelta()) -> None:
    with time_machine.travel(timezone.now() + after):
        for pk in fetching.claim_due():
            fetching.fetch(pk)


def states() -> set[str]:
    return set(Result.objects.values_list("state", flat=True))


def downloads(zoho: StandIn) -> int:
    return len([request for request in zoho.asked() if str(request.url).endswith(".zip")])


def credits_used() -> int:
    return sum(CreditUse.objects.values_list("calls", flat=True))


@pytest.mark.parametrize("code", ["OAUTH_SCOPE_MISMATCH", "INVALID_TOKEN", "ANOTHER"])
def test_results_that_are_refused_in_turn_stop_no_poll_and_say_what_to_do(zoho, org, code):
    jobs = [ended(org) for _ in range(3)]
    other = make_job(org)
    for job in jobs:
        refuse(zoho, job, code)

    for _ in jobs:
        fetch_due()
    assert states() == {State.PENDING}
    [claim] = polling.claim_due()
    leases.release(org, claim.lease_token)
    with time_machine.travel(timezone.now() + MINUTE / 2):
        observe(other, body(other))
    for _ in jobs:
        fetch_due(2 * MINUTE)

    org.refresh_from_db()
    assert (org.blocked_at, org.resume_at, org.waiting_for) == (None, None, "")
    assert not Alert.objects.filter(job=None).exists()
    assert states() == {State.REFUSED}
    assert downloads(zoho) == credits_used()
    for job in jobs:
        job.refresh_from_db()
        assert job.needs_attention
        assert f"No result is kept, so the rows are not checked: {job.result.error['message']}" in (
            job.result.warnings
        )


def test_the_page_of_a_job_whose_result_is_refused_names_the_scope(zoho, org):
    job = ended(org)
    make_job(org)
    refuse(zoho, job, "OAUTH_SCOPE_MISMATCH")
    fetch_due()
    client = Client()
    client.force_login(make_user("admin"))

    page = client.get(f"/jobs/{job.pk}/").content.decode()

    assert "Fetching it failed 1 time" in page
    assert "OAUTH_SCOPE_MISMATCH" in page
    assert "ZohoFiles.files.ALL" in page


def test_of_a_connection_that_was_not_answered_lately_the_refusal_is_the_connections(zoho, org):
    job = ended(org)
    refuse(zoho, job, "OAUTH_SCOPE_MISMATCH")
    fetch_due(timedelta(hours=2))

    org.refresh_from_db()
    assert (org.is_blocked, org.last_error["code"]) == (True, "OAUTH_SCOPE_MISMATCH")
    assert list(Alert.objects.filter(job=None).values_list("kind", flat=True)) == [
        "connection_blocked"
    ]


def test_a_refresh_token_that_is_refused_is_the_connections_however_lately_it_was_answered(
    zoho, org
):
    ended(org)
    zoho.mock.replace(responses.POST, TOKEN_URL, json={"error": "invalid_code"})
    fetch_due()

    assert Connection.objects.get().is_blocked
    assert (downloads(zoho), credits_used()) == (0, 0)

    with time_machine.travel(timezone.now() + 31 * MINUTE):
        observe(other := make_job(org), body(other))
    fetch_due(32 * MINUTE)
    assert Connection.objects.get().is_blocked
    assert states() == {State.PENDING}


def test_a_file_host_that_takes_no_token_costs_one_request_more_and_nothing_else(zoho, org):
    jobs = [ended(org) for _ in range(9)]
    for job in jobs:
        refuse(zoho, job, "INVALID_TOKEN", everywhere=False)
        zoho.offers(job, ZIP)
        fetch_due()

    org.refresh_from_db()
    assert states() == {State.ARCHIVED}
    assert len(zoho.asked(TOKEN_URL)) == 1
    assert (org.resume_at, org.waiting_for) == (None, "")
    assert downloads(zoho) == credits_used() == 18


def test_tokens_that_no_host_takes_use_the_window_up_and_stop_no_poll(zoho, org):
    make_job(org)
    for _ in range(MOST_IN_WINDOW + 2):
        refuse(zoho, ended(org), "INVALID_TOKEN")
        fetch_due()

    org.refresh_from_db()
    assert len(zoho.asked(TOKEN_URL)) == MOST_IN_WINDOW
    assert (org.blocked_at, org.resume_at, org.waiting_for) == (None, None, "")
    assert states() == {State.PENDING}
    assert downloads(zoho) == credits_used()
    last = Result.objects.latest("pk")
    assert "gives no other one for a while" in last.error["message"]
    assert last.next_attempt_at < timezone.now() + timedelta(hours=1)


def test_a_dead_token_that_no_poll_renews_does_not_end_the_fetching(zoho, org):
    job = ended(org)
    refuse(zoho, job, "INVALID_TOKEN", everywhere=False)
    zoho.offers(job, b"", status=404)
    for minutes in range(0, 50, 5):
        fetch_due(minutes * MINUTE)
    assert states() == {State.PENDING}
    assert not Connection.objects.get().is_blocked

    zoho.mock.replace(responses.GET, file_address(job), body=ZIP)
    fetch_due(59 * MINUTE)
    assert states() == {State.ARCHIVED}


def test_what_is_given_up_unasked_costs_no_credit(zoho, org, settings):
    job = ended(org)
    fetch_due()
    assert (downloads(zoho), credits_used()) == (2, 2)
    settings.ALLOW_CUSTOM_ZOHO_HOSTS = False
    fetch_due(5 * MINUTE)
    assert credits_used() == 2
    Connection.objects.update(blocked_at=None, resume_at=None, waiting_for="")
    fetch_due(timedelta(days=8))
    job.result.refresh_from_db()
    assert (job.result.state, downloads(zoho)) == (State.FAILED, 2)
    assert credits_used() == 2
