"""Pauses that Zoho wants: how long they are, and what goes before what."""

from datetime import timedelta

import pytest
from django.utils import timezone

from jobs.models import BulkWriteJob, Connection, JobEvent
from jobs.services.observing import standing
from jobs.tests.factories import make_proven, observe, observe_together
from jobs.tests.services.observed import (
    DOWN,
    REFUSED,
    fail_together,
    jobs_of,
    pass_time,
    running,
)
from jobs.zoho.errors import (
    TokensThrottledError,
    ZohoThrottledError,
)

pytestmark = pytest.mark.django_db
PollState = BulkWriteJob.PollState
Waiting = Connection.Waiting


class TestThrottling:
    def test_is_the_connections_matter_and_no_jobs(self):
        jobs = jobs_of(make_proven(), 3)
        due = [job.next_poll_at for job in jobs]
        org = fail_together(jobs, ZohoThrottledError("Slow down.", retry_after=30))

        assert org.waiting_for == Waiting.THROTTLED
        assert [job.next_poll_at for job in jobs] == due
        assert [job.poll_error for job in jobs] == [None] * 3
        assert not JobEvent.objects.exists()

    def test_of_tokens_is_told_apart(self):
        [job] = jobs_of(make_proven(), 1)
        org = fail_together([job], TokensThrottledError("Too many.", retry_after=600))

        assert org.waiting_for == Waiting.TOKENS
        assert org.resume_at >= timezone.now() + timedelta(seconds=599)

    def test_that_goes_on_is_waited_out_longer(self):
        [job] = jobs_of(make_proven(), 1)
        waits = []
        for _ in range(6):
            org = fail_together([job], ZohoThrottledError("Slow down."))
            waits.append((org.resume_at - timezone.now()).total_seconds())
            Connection.objects.update(resume_at=timezone.now())

        for waited, least in zip(waits, (60, 120, 240, 480, 900, 900), strict=True):
            assert least - 1 < waited < 1.1 * least + 1

    def test_that_goes_on_never_cuts_short_what_zoho_names(self):
        [job] = jobs_of(make_proven(failures=5), 1)
        org = fail_together([job], ZohoThrottledError("Slow down.", retry_after=3))

        assert timedelta(seconds=2) < org.resume_at - timezone.now() < timedelta(seconds=4)

    def test_beside_answers_begins_anew_with_a_minute(self):
        first, other = jobs_of(make_proven(failures=3), 2)
        slow = ZohoThrottledError("Slow down.")
        observe_together((first, running(first)), (other, slow))

        org = Connection.objects.get()
        assert timedelta(seconds=59) < org.resume_at - timezone.now() < timedelta(seconds=67)
        assert org.failures == 0

    def test_is_not_cut_short_by_an_answer_that_was_under_way(self):
        org = make_proven()
        first, other = jobs_of(org, 2)
        asked_at = timezone.now()
        fail_together([first], ZohoThrottledError("Slow down.", retry_after=300))
        observe(other, running(other), asked_at=asked_at)

        org.refresh_from_db()
        assert org.waiting_for == Waiting.THROTTLED
        assert org.resume_at > timezone.now() + timedelta(seconds=290)

    def test_is_not_cut_short_by_an_outage(self):
        org = make_proven()
        first, other = jobs_of(org, 2)
        fail_together([first], ZohoThrottledError("Slow down.", retry_after=300))
        org = fail_together([other], DOWN)

        assert org.waiting_for == Waiting.THROTTLED
        assert org.resume_at > timezone.now() + timedelta(seconds=290)

    def test_goes_before_a_longer_wait_that_is_only_reckoned_here(self):
        [job] = jobs_of(make_proven(), 1)
        org = fail_together([job], REFUSED)
        standing.pause_for(org, ZohoThrottledError("Slow down.", retry_after=900), timezone.now())

        org.refresh_from_db()
        assert (org.waiting_for, org.is_blocked) == (Waiting.THROTTLED, True)
        assert timedelta(seconds=890) < org.resume_at - timezone.now() < timedelta(seconds=960)

    def test_is_not_forgotten_for_a_refusal_that_waits_longer(self):
        first, other = jobs_of(make_proven(), 2)
        org = fail_together([first], ZohoThrottledError("Slow down.", retry_after=900))
        until = org.resume_at
        org = fail_together([first, other], REFUSED)

        assert org.is_blocked
        assert (org.waiting_for, org.resume_at) == (Waiting.THROTTLED, until)

        with pass_time(minutes=20):
            org = fail_together([first], REFUSED)
        assert org.waiting_for == Waiting.REPAIR

    def test_of_two_promises_the_longer_one_stands(self):
        org = make_proven(daily_credits=100)
        standing.hold_back(org, timezone.now() + timedelta(hours=2), Waiting.CREDITS)
        standing.pause_for(org, ZohoThrottledError("Slow down.", retry_after=900), timezone.now())

        org.refresh_from_db()
        assert org.waiting_for == Waiting.CREDITS
