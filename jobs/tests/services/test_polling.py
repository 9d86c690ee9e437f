"""Polling: what comes of a claim, and of jobs that a person wants polled at once."""

import json
from datetime import timedelta

import pytest
from cryptography.fernet import Fernet
from django.db import connection as database
from django.test import override_settings
from django.utils import timezone

from jobs.models import Alert, BulkWriteJob, Connection
from jobs.services.observing import leases, polling
from jobs.services.observing.recording import record
from jobs.tests.factories import (
    answer,
    body,
    completed,
    make_connection,
    make_job,
    make_proven,
    resource,
)
from jobs.tests.services.observed import pass_time
from jobs.tests.stand_in import TOKEN_URL, details_url, error_body

PollState = BulkWriteJob.PollState


def running(job: BulkWriteJob) -> dict:
    return body(job, "INPROGRESS", resource("INPROGRESS", added=1, total=10))


@pytest.mark.django_db(transaction=True)
class TestPollingAClaim:
    def test_stores_what_zoho_says_of_each_job(self, zoho):
        org = make_proven(max_concurrency=3)
        jobs = [make_job(org) for _ in range(8)]
        zoho.gives_tokens("token-one")
        for job in jobs:
            zoho.says(job, running(job))
        [claim] = polling.claim_due()

        polled = polling.poll_claim(claim.connection_id, claim.lease_token)

        assert (polled.answers, polled.results) == (8, 0)
        assert set(BulkWriteJob.objects.values_list("status", "lease_token")) == {
            ("INPROGRESS", "")
        }
        assert len(zoho.asked(TOKEN_URL)) == 1
        assert {
            request.headers["Authorization"] for request in zoho.asked(details_url(jobs[0]))
        } == {"Zoho-oauthtoken token-one"}

    def test_renews_a_dead_token_once_for_all(self, zoho):
        org = make_proven(max_concurrency=4)
        jobs = [make_job(org) for _ in range(6)]
        zoho.gives_tokens("dead", "alive")
        said = {details_url(job): json.dumps(running(job)) for job in jobs}

        def judge(request):
            if request.headers["Authorization"].endswith(" dead"):
                return 401, {}, json.dumps(error_body("INVALID_TOKEN"))
            return 200, {}, said[request.url]

        for job in jobs:
            zoho.does(job, judge)
        [claim] = polling.claim_due()

        polling.poll_claim(claim.connection_id, claim.lease_token)

        assert len(zoho.asked(TOKEN_URL)) == 2
        assert not BulkWriteJob.objects.exclude(poll_error=None, status="INPROGRESS").exists()
        assert not Connection.objects.get().is_blocked

    def test_whose_lease_is_lost_asks_nothing(self, zoho):
        make_job()
        [claim] = polling.claim_due()

        with pass_time(seconds=leases.LEASE.total_seconds() + 1):
            assert polling.poll_claim(claim.connection_id, claim.lease_token) is None
        assert zoho.asked() == []

    def test_that_waited_in_the_queue_takes_a_whole_lease_anew(self, zoho):
        job = make_job()
        zoho.gives_tokens()
        [claim] = polling.claim_due()
        seen = []

        def look(request):
            # A dispatcher ticks while Zoho takes its time.
            with pass_time(seconds=20):
                seen.extend(BulkWriteJob.objects.leased(timezone.now()))
            database.close()
            return 200, {}, json.dumps(running(job))

        zoho.does(job, look)
        with pass_time(seconds=leases.LEASE.total_seconds() - 10):
            polling.poll_claim(claim.connection_id, claim.lease_token)

        assert seen == [job]

    def test_a_refused_token_is_asked_for_once_and_stops_the_connection(self, zoho):
        org = make_connection()
        for _ in range(20):
            make_job(org)
        zoho.mock.post(TOKEN_URL, json={"error": "invalid_code"})

        for _ in range(3):
            for claim in polling.claim_due():
                polling.poll_claim(claim.connection_id, claim.lease_token)

        assert len(zoho.asked()) == 1
        assert Alert.objects.get().kind == Alert.Kind.CONNECTION_BLOCKED
        org.refresh_from_db()
        assert org.last_error["code"] == "invalid_code"

    def test_refused_for_throttling_waits_as_long_as_zoho_does_and_goes_on_alone(self, zoho):
        job = make_job()
        zoho.mock.post(TOKEN_URL, status=400, json={"error": "Access Denied", "status": "failure"})
        [claim] = polling.claim_due()
        polling.poll_claim(claim.connection_id, claim.lease_token)

        org = Connection.objects.get()
        wait = org.resume_at - timezone.now()
        assert timedelta(minutes=9) < wait <= timedelta(minutes=10, seconds=5)
        assert org.waiting_for == Connection.Waiting.TOKENS
        assert not org.is_blocked
        zoho.mock.replace("POST", TOKEN_URL, json={"access_token": "new", "expires_in": 3600})
        zoho.says(job, running(job))
        with pass_time(minutes=11):
            [claim] = polling.claim_due()
            polling.poll_claim(claim.connection_id, claim.lease_token)
        job.refresh_from_db()
        assert (job.status, job.poll_error) == ("INPROGRESS", None)

    @pytest.mark.parametrize(
        ("fields", "words"),
        [
            ({"api_url": "http://crm.example.com"}, "must use https"),
            ({"api_url": ""}, "needs an API address"),
        ],
    )
    def test_of_a_connection_that_cannot_be_used_blocks_it_and_asks_nothing(
        self, zoho, fields, words
    ):
        make_job(make_connection(**fields))
        [claim] = polling.claim_due()
        polling.poll_claim(claim.connection_id, claim.lease_token)

        error = Connection.objects.get().last_error
        assert words in error["message"]
        assert error["resolution"] == "Correct the connection's addresses."
        assert zoho.asked() == []

    @pytest.mark.parametrize(
        ("setting", "value", "what", "what_to_do"),
        [
            (
                "ALLOW_CUSTOM_ZOHO_HOSTS",
                False,
                "This connection uses addresses of its own instead of Zoho's.",
                "Set ALLOW_CUSTOM_ZOHO_HOSTS=true to allow that.",
            ),
            (
                "ENCRYPTION_KEYS",
                [Fernet.generate_key().decode()],
                "A stored secret cannot be decrypted with ENCRYPTION_KEYS.",
                "Put the key it was stored under back into ENCRYPTION_KEYS.",
            ),
        ],
    )
    def test_what_this_installation_forbids_is_no_reason_to_sign_in_again(
        self, zoho, setting, value, what, what_to_do
    ):
        make_job()
        with override_settings(**{setting: value}):
            [claim] = polling.claim_due()
            polling.poll_claim(claim.connection_id, claim.lease_token)

        error = Connection.objects.get().last_error
        assert (error["message"], error["resolution"]) == (what, what_to_do)
        assert zoho.asked() == []


@pytest.mark.django_db(transaction=True)
class TestPollingAtOnce:
    def test_asks_about_jobs_whether_due_or_not_of_all_their_connections(self, zoho):
        jobs = [
            make_job(next_poll_at=timezone.now() + timedelta(hours=1)),
            make_job(poll_state=PollState.BLOCKED, next_poll_at=None),
        ]
        zoho.gives_tokens()
        for job in jobs:
            zoho.says(job, running(job))

        polling.poll_now(jobs)

        assert set(BulkWriteJob.objects.values_list("status", "poll_state")) == {
            ("INPROGRESS", "active")
        }

    def test_leaves_a_job_to_the_worker_that_holds_it(self, zoho):
        job = make_job()
        polling.claim_due()

        assert polling.poll_now([job]) == []
        assert zoho.asked() == []

    def test_an_unknown_id_blocks_that_job_alone(self, zoho):
        org = make_connection()
        known, stranger = make_job(org), make_job(org)
        zoho.gives_tokens()
        zoho.says(known, completed(known, added=1, updated=0, skipped=0, total=1))
        zoho.says(stranger, error_body("RESOURCE_NOT_FOUND"), status=404)

        for _ in range(2):
            polling.poll_now([known, stranger])

        known.refresh_from_db(), stranger.refresh_from_db()
        assert (known.poll_state, stranger.poll_state) == (PollState.DONE, PollState.BLOCKED)


@pytest.mark.django_db
def test_an_answer_without_a_lease_of_that_name_changes_nothing():
    job = make_job()

    record(job.connection, "", [answer(job, running(job))])

    job.refresh_from_db()
    assert (job.status, job.polls) == ("", 0)
