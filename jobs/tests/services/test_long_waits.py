"""Waits so long that people are told of them, and what is told after them."""

from datetime import timedelta

import pytest
import time_machine
from django.utils import timezone

from jobs.models import BulkWriteJob, Connection
from jobs.services.limits import credits
from jobs.services.observing import standing
from jobs.tests.factories import make_proven, observe, observe_together
from jobs.tests.services.observed import DOWN, fail_together, jobs_of, kinds, pass_time, running
from jobs.zoho.errors import (
    ZohoThrottledError,
)

pytestmark = pytest.mark.django_db
PollState = BulkWriteJob.PollState
Waiting = Connection.Waiting


class TestALongWait:
    def use_up(self, org: Connection) -> Connection:
        credits.spend(org, credits.budget_of(org))
        standing.hold_back_for_credits(org, timezone.now())
        return Connection.objects.get(pk=org.pk)

    def test_for_credits_is_told_once_and_so_is_the_end_of_it(self):
        org = make_proven(daily_credits=100)
        first, other = jobs_of(org, 2)
        asked_at = timezone.now()
        org = self.use_up(org)
        with pass_time(minutes=1):
            self.use_up(org)
        observe(first, running(first), asked_at=asked_at)
        assert kinds(org) == ["unreachable"]
        alert = org.alerts.get()
        assert "API credits that polling may use within 24 hours are used up" in alert.text
        assert f"{timezone.localtime(org.resume_at):%H:%M:%S}" in alert.text
        assert asked_at.isoformat()[:16] in alert.about

        with time_machine.travel(org.resume_at + timedelta(minutes=2)):
            observe(other, running(other))
            observe(first, running(first))
            assert kinds(org) == ["unreachable", "recovered"]
            self.use_up(org)
            assert kinds(org) == ["unreachable", "recovered", "unreachable"]

    def test_that_somebody_ends_is_over_with_the_next_answer(self):
        org = make_proven(daily_credits=100)
        [job] = jobs_of(org, 1)
        self.use_up(org)
        Connection.objects.update(resume_at=None, waiting_for="")
        for seconds in range(0, 91, 30):
            with pass_time(seconds=seconds):
                observe(job, running(job))

        assert kinds(org) == ["unreachable", "recovered"]

    def test_of_each_hour_is_told_once_a_day(self):
        org = make_proven(daily_credits=100)
        [job] = jobs_of(org, 1)
        for hours in range(0, 20, 2):
            with pass_time(hours=hours):
                Connection.objects.update(
                    resume_at=timezone.now() + timedelta(minutes=55), waiting_for="credits"
                )
                standing.hold_back(
                    org, timezone.now() + timedelta(minutes=56), Connection.Waiting.CREDITS
                )
            with pass_time(hours=hours + 1):
                observe(job, running(job))

        assert kinds(org) == ["unreachable", "recovered"]

    def test_for_something_else_is_told_on_the_same_day(self):
        org = make_proven(daily_credits=100)
        [job] = jobs_of(org, 1)
        standing.hold_back(org, timezone.now() + timedelta(minutes=50), Waiting.CREDITS)
        with pass_time(hours=1):
            observe(job, running(job))
            slow = ZohoThrottledError("Slow down.", retry_after=36_000)
            standing.pause_for(org, slow, timezone.now())

            assert kinds(org) == ["unreachable", "recovered", "unreachable"]

    def test_does_not_keep_an_outage_after_it_from_being_told(self):
        org = make_proven(daily_credits=100)
        jobs = jobs_of(org, 2)
        self.use_up(org)
        Connection.objects.update(resume_at=None, waiting_for="")
        for minutes in range(1, 41, 13):
            with pass_time(minutes=minutes):
                fail_together(jobs, DOWN)

        assert kinds(org) == ["unreachable", "unreachable"]

    @pytest.mark.parametrize("how", ["alone", "beside answers", "by a download"])
    def test_that_zoho_wants_is_told_once_though_it_goes_on(self, how):
        org = make_proven()
        first, other = jobs_of(org, 2)
        slow = ZohoThrottledError("Slow down.", retry_after=7200)
        for hours in (0, 2.5, 5):
            with pass_time(hours=hours):
                if how == "by a download":
                    standing.pause_for(org, slow, timezone.now())
                elif how == "beside answers" and not hours:
                    observe_together((first, running(first)), (other, slow))
                else:
                    fail_together([other], slow)
            assert kinds(org) == ["unreachable"]

        with pass_time(hours=8):
            observe(first, running(first))
        assert kinds(org) == ["unreachable", "recovered"]

    def test_that_follows_half_an_hour_without_answers_is_no_second_one(self):
        org = make_proven()
        jobs = jobs_of(org, 2)
        for minutes in (0, 20):
            with pass_time(minutes=minutes):
                fail_together(jobs, DOWN)
        with pass_time(minutes=40):
            fail_together(jobs, ZohoThrottledError("Slow down.", retry_after=7200))

        assert kinds(org) == ["unreachable"]

    @pytest.mark.parametrize("seconds", [None, 60, 1_700])
    def test_is_none_where_it_is_short(self, seconds):
        org = make_proven()
        first, other = jobs_of(org, 2)
        slow = ZohoThrottledError("Slow down.", retry_after=seconds)
        standing.pause_for(org, slow, timezone.now())
        observe_together((first, running(first)), (other, slow))
        with pass_time(hours=1):
            observe(first, running(first))

        assert kinds(org) == []
