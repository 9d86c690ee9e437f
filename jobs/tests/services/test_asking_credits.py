"""What a batch spends of the day's credits."""

import json
from datetime import timedelta

import pytest
import time_machine
from django.db import connection as database
from django.utils import timezone

from jobs.models import BulkWriteJob, Connection, CreditUse
from jobs.services.limits import credits, slots
from jobs.services.observing import leases, polling
from jobs.tests.factories import make_proven
from jobs.tests.services.batches import details_asked, jobs_of, poll_due, running
from jobs.tests.stand_in import error_body

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("quick_batches")]
Waiting = Connection.Waiting


class TestCredits:
    def test_are_spent_by_the_call_and_not_by_the_job(self, zoho):
        org = make_proven()
        zoho.gives_tokens("dead", "alive")
        [job] = jobs_of(org, 1)

        def judge(request):
            if request.headers["Authorization"].endswith(" dead"):
                return 401, {}, json.dumps(error_body("INVALID_TOKEN"))
            return 200, {}, json.dumps(running(job))

        zoho.does(job, judge)
        poll_due()

        assert CreditUse.objects.get().calls == 2

    def test_are_not_spent_on_what_was_not_asked(self, zoho):
        org = make_proven(max_concurrency=2)
        zoho.gives_tokens()
        for job in jobs_of(org, 50):
            zoho.says(job, error_body("NO_PERMISSION"), status=403)
        poll_due()

        assert CreditUse.objects.get().calls == details_asked(zoho) < 10

    def test_that_are_used_up_end_the_polling_until_some_are_free_again(self, zoho):
        org = make_proven(daily_credits=3)
        zoho.gives_tokens()
        jobs_of(org, 5, zoho)

        assert [claim.jobs for claim in polling.claim_due()] == [3]
        BulkWriteJob.objects.update(lease_until=None, lease_token="")
        poll_due()
        assert details_asked(zoho) == 3
        [polled] = poll_due()

        assert "credits" in polled.why_not
        assert details_asked(zoho) == 3
        org.refresh_from_db()
        assert org.waiting_for == Waiting.CREDITS
        wait = org.resume_at - timezone.now()
        assert timedelta(hours=24) <= wait <= timedelta(hours=25)
        assert polling.claim_due() == []
        assert BulkWriteJob.objects.due(timezone.now()).count() == 2
        with time_machine.travel(org.resume_at):
            assert [polled.answers for polled in poll_due()] == [1]

    def test_that_two_batches_want_at_once_are_given_to_one(self, zoho):
        org = make_proven(daily_credits=4, max_concurrency=100)
        zoho.gives_tokens()
        jobs = jobs_of(org, 6, zoho)
        now = timezone.now()
        pks = [job.pk for job in jobs]
        first, second = (leases.claim(org, part, now) for part in (pks[:3], pks[3:]))

        asked = [polling.poll_claim(org.pk, claim.lease_token) for claim in (first, second)]

        assert [polled.answers for polled in asked] == [3, 1]
        assert details_asked(zoho) == 4

    def test_are_left_to_others_while_a_batch_has_many_jobs_to_ask_about(self, zoho):
        org = make_proven(daily_credits=90, max_concurrency=5)
        zoho.gives_tokens()
        jobs = jobs_of(org, 90)
        seen = []

        def look(request):
            with slots.held(org) as slot:
                seen.append(credits.reserve(org, 1, slot=slot).calls)
            with slots.held(org) as slot:
                credits.spend(org, -1)
                ahead = credits.credits_of(org, timezone.now()).used - details_asked(zoho)
                seen.append(ahead <= 16)
            database.close()
            job_id = request.url.rpartition("/")[2]
            return 200, {}, json.dumps(running(BulkWriteJob(zoho_job_id=job_id)))

        zoho.does(jobs[0], look)
        for job in jobs[1:]:
            zoho.says(job, running(job))
        [polled] = poll_due()

        assert seen == [1, True]
        assert polled.answers == 90
        assert CreditUse.objects.get().calls == 90
        org.refresh_from_db()
        assert org.waiting_for == ""

    def test_that_others_have_reserved_are_waited_for_as_a_slot_is(self, zoho):
        org = make_proven(daily_credits=10)
        zoho.gives_tokens()
        jobs_of(org, 5, zoho)
        with slots.held(org, 3) as other:
            credits.reserve(org, 10, slot=other)

            assert poll_due() == [None]

            org.refresh_from_db()
            assert (org.resume_at, org.waiting_for) == (None, "")
            assert BulkWriteJob.objects.due(timezone.now()).count() == 5
            credits.spend(org, -10)
        assert [polled.answers for polled in poll_due()] == [5]

    @pytest.mark.parametrize(
        ("headers", "remaining"),
        [({"X-API-CREDITS-REMAINING": "12345"}, 12_345), ({}, None)],
    )
    def test_that_the_org_has_left_are_kept_as_zoho_says(self, zoho, headers, remaining):
        org = make_proven(credits_remaining=30_000, credits_seen_at=timezone.now())
        zoho.gives_tokens()
        [job] = jobs_of(org, 1)
        zoho.does(job, lambda request: (200, headers, json.dumps(running(job))))
        before = timezone.now()
        poll_due()

        org.refresh_from_db()
        assert org.credits_remaining == remaining
        assert org.credits_seen_at >= before

    @pytest.mark.parametrize(
        ("code", "status", "headers", "remaining"),
        [
            ("TOO_MANY_REQUESTS", 429, {"Retry-After": "5"}, 30_000),
            ("TOO_MANY_REQUESTS", 429, {"X-API-CREDITS-REMAINING": "12"}, 12),
            ("INVALID_TOKEN", 401, {}, 30_000),
            ("NO_PERMISSION", 403, {}, 30_000),
            ("RESOURCE_NOT_FOUND", 404, {}, 30_000),
            ("INTERNAL_ERROR", 500, {"X-API-CREDITS-REMAINING": "12"}, 30_000),
        ],
    )
    def test_that_the_org_has_left_stay_known_where_an_error_does_not_name_them(
        self, zoho, code, status, headers, remaining
    ):
        org = make_proven(credits_remaining=30_000, credits_seen_at=timezone.now())
        zoho.gives_tokens("one", "two")
        [job] = jobs_of(org, 1)
        zoho.does(job, lambda request: (status, headers, json.dumps(error_body(code))))
        poll_due()

        org.refresh_from_db()
        assert details_asked(zoho)
        assert org.credits_remaining == remaining

    def test_that_run_low_stretch_the_time_to_the_next_poll(self, zoho):
        org = make_proven(daily_credits=1_000)
        credits.spend(org, 900)
        zoho.gives_tokens()
        [job] = jobs_of(org, 1)
        zoho.says(job, running(job) | {"created_time": timezone.now().isoformat()})
        poll_due()

        job.refresh_from_db()
        assert (job.next_poll_at - job.last_polled_at).total_seconds() > 2 * 5

    def test_that_run_low_do_not_put_off_what_shows_that_a_job_is_stuck(self, zoho):
        org = make_proven(daily_credits=1_000, stuck_after_minutes=1)
        credits.spend(org, 990)
        zoho.gives_tokens()
        [job] = jobs_of(org, 1)
        zoho.says(job, running(job))
        poll_due()

        job.refresh_from_db()
        assert job.next_poll_at <= job.last_changed_at + timedelta(seconds=61)
