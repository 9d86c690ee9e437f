"""A connection that is not known to answer is tried with one job first."""

from datetime import timedelta

import pytest
import requests
import time_machine
from django.utils import timezone

from jobs.models import BulkWriteJob, Connection
from jobs.tests.factories import make_proven
from jobs.tests.services.batches import details_asked, jobs_of, poll_due, running
from jobs.tests.stand_in import TOKEN_URL, details_url, error_body

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("quick_batches")]


class TestTryingOneFirst:
    def poll_on(self, times: int = 5) -> None:
        for _ in range(times):
            poll_due()

    @pytest.mark.parametrize(
        ("code", "status"),
        [
            ("OAUTH_SCOPE_MISMATCH", 401),
            ("NO_PERMISSION", 403),
            ("AUTHORIZATION_FAILED", 400),
            ("INVALID_URL_PATTERN", 404),
            ("API_NOT_SUPPORTED", 400),
        ],
    )
    def test_what_concerns_the_connection_costs_one_request_however_many_jobs(
        self, zoho, code, status
    ):
        org = make_proven(last_answer_at=None)
        zoho.gives_tokens("one", "two")
        for job in jobs_of(org, 50):
            zoho.says(job, error_body(code), status=status)
        self.poll_on()

        assert details_asked(zoho) == 1
        assert len(zoho.asked(TOKEN_URL)) == 1
        org.refresh_from_db()
        assert org.last_error["code"] == code
        assert org.last_error["resolution"]
        assert set(BulkWriteJob.objects.values_list("poll_state", "needs_attention")) == {
            ("active", False)
        }

    def test_an_outage_costs_one_request_a_try(self, zoho):
        org = make_proven(last_answer_at=None)
        zoho.gives_tokens()
        for job in jobs_of(org, 50):
            zoho.mock.get(details_url(job), body=requests.ConnectionError())
        self.poll_on()
        assert details_asked(zoho) == 1

        with time_machine.travel(timezone.now() + timedelta(seconds=6)):
            self.poll_on()
        assert details_asked(zoho) == 2

    def test_after_one_answer_all_others_are_asked_about(self, zoho):
        org = make_proven(last_answer_at=None)
        zoho.gives_tokens()
        jobs_of(org, 20, zoho)

        assert [polled.answers for polled in poll_due()] == [1]
        assert [polled.answers for polled in poll_due()] == [19]

    def test_an_unknown_job_is_an_answer_as_well(self, zoho):
        org = make_proven(last_answer_at=None)
        zoho.gives_tokens()
        for job in jobs_of(org, 3):
            zoho.says(job, error_body("RESOURCE_NOT_FOUND"), status=404)
        poll_due()

        assert [polled.answers for polled in poll_due()] == [2]

    def test_a_connection_that_is_repaired_at_zohos_end_goes_on_by_itself(self, zoho):
        org = make_proven()
        [job] = jobs_of(org, 1)
        zoho.mock.post(TOKEN_URL, json={"error": "invalid_code"})
        zoho.gives_tokens()
        zoho.says(job, running(job))
        poll_due()
        assert Connection.objects.get().is_blocked
        Connection.objects.update(resume_at=timezone.now())

        poll_due()

        org.refresh_from_db()
        assert not org.is_blocked
        assert org.is_proven
