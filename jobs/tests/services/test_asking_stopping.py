"""When a batch stops, and when it does not begin."""

import json
import time
from datetime import timedelta

import pytest
import requests
from django.db import connection as database
from django.utils import timezone

from jobs.models import BulkWriteJob, CallSlot, Connection
from jobs.services.limits import slots
from jobs.services.observing import polling, standing
from jobs.tests.factories import from_now, make_job, make_proven
from jobs.tests.services.batches import details_asked, jobs_of, poll_due, running
from jobs.tests.stand_in import details_url

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("quick_batches")]
Waiting = Connection.Waiting


class TestStopping:
    def test_a_batch_stops_when_another_process_learns_that_zoho_throttles(self, zoho):
        org = make_proven(max_concurrency=2)
        zoho.gives_tokens()
        jobs = jobs_of(org, 40)
        until = timezone.now() + timedelta(minutes=5)

        def be_throttled_elsewhere(request):
            standing.hold_back(org, until, Waiting.THROTTLED)
            database.close()
            time.sleep(0.05)
            job_id = request.url.rpartition("/")[2]
            return 200, {}, json.dumps(running(BulkWriteJob(zoho_job_id=job_id)))

        for job in jobs:
            zoho.does(job, be_throttled_elsewhere)
        [polled] = poll_due()

        assert 0 < details_asked(zoho) < 10
        assert "slow down" in polled.why_not
        org.refresh_from_db()
        assert (org.resume_at, org.waiting_for) == (until, Waiting.THROTTLED)

    @pytest.mark.parametrize(
        "fields",
        [
            {"paused": True},
            {"resume_at": timedelta(hours=1), "waiting_for": Waiting.THROTTLED},
            {"resume_at": timedelta(hours=1), "waiting_for": Waiting.REPAIR},
            {"resume_at": timedelta(hours=1), "waiting_for": Waiting.UNAVAILABLE},
            {"refresh_token": ""},
        ],
        ids=["paused", "throttled", "blocked", "outage", "signed out"],
    )
    def test_a_batch_that_waited_in_the_queue_asks_nothing_if_by_then_it_may_not(
        self, zoho, fields
    ):
        org = make_proven()
        jobs_of(org, 3)
        [claim] = polling.claim_due()
        Connection.objects.update(**from_now(fields))

        polled = polling.poll_claim(claim.connection_id, claim.lease_token)

        assert polled.answers == 0
        assert polled.why_not
        assert zoho.asked() == []
        assert set(BulkWriteJob.objects.values_list("polls", "lease_token")) == {(0, "")}

    def test_without_a_free_call_a_claim_is_given_back_untouched(self, zoho):
        org = make_proven(max_concurrency=3)
        jobs_of(org, 3)
        [claim] = polling.claim_due()
        with slots.held(org, 3):
            assert polling.poll_claim(claim.connection_id, claim.lease_token) is None

        assert zoho.asked() == []
        assert BulkWriteJob.objects.due(timezone.now()).count() == 3

    def test_a_batch_takes_what_calls_there_are_and_gives_them_back(self, zoho):
        org = make_proven(max_concurrency=10)
        zoho.gives_tokens()
        jobs = jobs_of(org, 30)
        taken = []

        def look(request):
            taken.append(CallSlot.objects.get().calls)
            database.close()
            return 200, {}, "{}"

        for job in jobs:
            zoho.does(job, look)
        poll_due()

        assert set(taken) == {9}
        assert not CallSlot.objects.exists()

    def test_so_many_failures_on_end_stop_a_batch(self, zoho):
        org = make_proven(max_concurrency=4)
        zoho.gives_tokens()
        for job in jobs_of(org, 100):
            zoho.mock.get(details_url(job), body=requests.ConnectionError())
        poll_due()

        assert 10 <= details_asked(zoho) <= 10 + 4
        org.refresh_from_db()
        assert (org.waiting_for, org.failures) == (Waiting.UNAVAILABLE, 1)
        assert not BulkWriteJob.objects.exclude(failures=0).exists()
        assert BulkWriteJob.objects.due(timezone.now()).count() == 100

    def test_an_outage_that_begins_amid_a_batch_is_no_jobs_own(self, zoho):
        org = make_proven(max_concurrency=1)
        zoho.gives_tokens()
        now = timezone.now()
        good = [make_job(org, next_poll_at=now - timedelta(minutes=1)) for _ in range(5)]
        for job in good:
            zoho.says(job, running(job))
        for job in jobs_of(org, 50):
            zoho.mock.get(details_url(job), body=requests.ConnectionError())
        poll_due()

        org.refresh_from_db()
        assert (org.waiting_for, org.failures) == (Waiting.UNAVAILABLE, 1)
        assert not BulkWriteJob.objects.exclude(failures=0).exists()

    def test_some_failures_among_answers_are_those_jobs_own(self, zoho):
        org = make_proven(max_concurrency=2)
        zoho.gives_tokens()
        jobs_of(org, 10, zoho)
        for job in jobs_of(org, 3):
            zoho.mock.get(details_url(job), body=requests.ConnectionError())
        jobs_of(org, 10, zoho)
        poll_due()

        org.refresh_from_db()
        assert (org.waiting_for, org.failures) == ("", 0)
        assert BulkWriteJob.objects.filter(failures=1).count() == 3
        assert BulkWriteJob.objects.exclude(last_changed_at=None).count() == 20
