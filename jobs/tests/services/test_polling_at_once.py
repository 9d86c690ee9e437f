"""Polling jobs at once because a person wants it."""

from datetime import timedelta

import pytest
import requests
from django.utils import timezone

from jobs.models import BulkWriteJob, Connection
from jobs.services.limits import slots
from jobs.services.observing import polling
from jobs.tests.factories import make_proven
from jobs.tests.services.batches import details_asked, jobs_of
from jobs.tests.stand_in import details_url

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("quick_batches")]
Waiting = Connection.Waiting


class TestPollingAtOnce:
    @pytest.mark.parametrize(
        ("fields", "words"),
        [
            ({"paused": True}, "until it is resumed"),
            ({"refresh_token": ""}, "signed in"),
            ({"waiting_for": Waiting.THROTTLED}, "slow down"),
            ({"waiting_for": Waiting.TOKENS}, "access tokens"),
            ({"waiting_for": Waiting.CREDITS}, "credits"),
        ],
    )
    def test_asks_nothing_of_a_connection_that_may_not_be_asked_and_says_so(
        self, zoho, fields, words
    ):
        org = make_proven(resume_at=timezone.now() + timedelta(hours=1), **fields)

        [polled] = polling.poll_now(jobs_of(org, 3))

        assert words in polled.why_not
        assert zoho.asked() == []

    @pytest.mark.parametrize("waiting_for", [Waiting.UNAVAILABLE, Waiting.REPAIR])
    def test_tries_what_only_waits_for_its_next_try(self, zoho, waiting_for):
        org = make_proven(
            resume_at=timezone.now() + timedelta(hours=1),
            waiting_for=waiting_for,
            blocked_at=timezone.now() if waiting_for == Waiting.REPAIR else None,
        )
        zoho.gives_tokens()

        polled = polling.poll_now(jobs_of(org, 3, zoho))

        assert [(each.answers, each.why_not) for each in polled] == [(1, ""), (2, "")]
        org.refresh_from_db()
        assert org.is_proven

    def test_ends_with_the_first_failure_of_a_connection_that_does_not_answer(self, zoho):
        org = make_proven(failures=1)
        zoho.gives_tokens()
        jobs = jobs_of(org, 5)
        for job in jobs:
            zoho.mock.get(details_url(job), body=requests.ConnectionError())

        [polled] = polling.poll_now(jobs)

        assert details_asked(zoho) == 1
        assert "does not answer" in polled.why_not

    def test_says_so_when_no_call_is_free(self, zoho, monkeypatch):
        monkeypatch.setattr(polling, "SLOT_PATIENCE_SECONDS", 0.3)
        org = make_proven(max_concurrency=2)
        [job] = jobs_of(org, 1)
        with slots.held(org, 2):
            [polled] = polling.poll_now([job])

        assert "All 2 calls at a time" in polled.why_not
        assert zoho.asked() == []
        assert BulkWriteJob.objects.due(timezone.now()).count() == 1
