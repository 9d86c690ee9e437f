"""What the answers of a batch say of the whole connection."""

from datetime import timedelta

import pytest
import time_machine
from django.utils import timezone

from jobs.models import BulkWriteJob, Connection
from jobs.services.observing import leases, polling, waiting
from jobs.tests.factories import make_proven, observe, observe_together
from jobs.tests.services.observed import (
    DOWN,
    GONE,
    fail_together,
    jobs_of,
    kinds,
    pass_time,
    running,
)
from jobs.zoho.errors import (
    MalformedAnswerError,
    TokensThrottledError,
    ZohoSignInError,
    ZohoThrottledError,
)

pytestmark = pytest.mark.django_db
PollState = BulkWriteJob.PollState
Waiting = Connection.Waiting


class TestAnOutage:
    def test_makes_the_connection_wait_and_leaves_its_jobs_where_they_are(self):
        jobs = jobs_of(make_proven(), 3)
        due = [job.next_poll_at for job in jobs]
        before = timezone.now()

        org = fail_together(jobs, DOWN)

        assert (org.waiting_for, org.failures) == (Waiting.UNAVAILABLE, 1)
        assert before < org.resume_at <= timezone.now() + timedelta(seconds=5)
        assert before <= org.unanswered_since <= timezone.now()
        assert org.last_error["message"] == DOWN.message
        assert [job.next_poll_at for job in jobs] == due
        assert [job.failures for job in jobs] == [0, 0, 0]
        assert not org.is_blocked
        assert kinds(org) == []

    def test_is_shown_by_jobs_that_nobody_asked_about(self):
        org = make_proven()
        asked, other = jobs_of(org, 2)
        observe(asked, DOWN)

        job = BulkWriteJob.objects.select_related("connection").get(pk=other.pk)
        state, error = polling.effective_poll_state(job)

        assert (state, error["message"]) == (PollState.ACTIVE, DOWN.message)
        assert "does not answer" in waiting.next_check(job, timezone.now()).note

    def test_is_waited_out_longer_and_longer(self):
        [job] = jobs_of(make_proven(), 1)
        waits = []
        for _ in range(12):
            org = fail_together([job], DOWN)
            waits.append((org.resume_at - timezone.now()).total_seconds())
            Connection.objects.update(resume_at=timezone.now())

        assert max(waits[:3]) <= 5
        assert 140 < waits[-1] <= 300

    def test_is_over_with_the_first_answer(self):
        org = make_proven()
        jobs = jobs_of(org, 2)
        for _ in range(3):
            fail_together(jobs, DOWN)
        observe(jobs[0], running(jobs[0]))

        org.refresh_from_db()
        assert (org.failures, org.unanswered_since, org.waiting_for) == (0, None, "")
        assert org.resume_at <= timezone.now()
        assert org.last_error is None
        assert org.is_proven

    def test_is_over_too_when_zoho_says_that_it_does_not_know_a_job(self):
        org = make_proven()
        jobs = jobs_of(org, 2)
        fail_together(jobs, DOWN)
        observe(jobs[0], GONE)

        org.refresh_from_db()
        assert (org.failures, org.waiting_for) == (0, "")
        assert org.last_answer_at == jobs[0].last_polled_at

    def test_is_not_over_with_an_answer_that_was_under_way_when_it_began(self):
        org = make_proven()
        jobs = jobs_of(org, 3)
        asked_at = timezone.now()
        for _ in range(3):
            fail_together(jobs[:2], DOWN)
        waits_until = Connection.objects.get().resume_at

        observe(jobs[2], running(jobs[2]), asked_at=asked_at)

        org.refresh_from_db()
        assert (org.failures, org.waiting_for) == (3, Waiting.UNAVAILABLE)
        assert org.resume_at == waits_until
        assert org.unanswered_since is not None
        assert (org.is_proven, org.last_answer_at) == (False, asked_at)

        observe(jobs[2], running(jobs[2]))
        org.refresh_from_db()
        assert org.is_proven

    def test_is_tried_with_one_job_the_one_that_was_not_tried_last(self):
        org = make_proven()
        jobs = jobs_of(org, 4)
        tried = []
        fail_together(jobs[:2], DOWN)
        for _ in range(4):
            Connection.objects.update(resume_at=timezone.now())
            [claim] = polling.claim_due()
            assert (claim.jobs, claim.is_full) == (1, True)
            [job] = leases.held(org, claim.lease_token)
            tried.append(job)
            leases.release(org, claim.lease_token)
            observe(job, DOWN)

        assert set(tried[:2]) == set(jobs[2:])
        assert len(set(tried)) == 4

    def test_has_one_job_under_way_at_a_time_however_many_lanes_there_are(self):
        jobs_of(make_proven(max_concurrency=200, failures=1), 10)

        assert [claim.jobs for claim in polling.claim_due()] == [1]
        assert polling.claim_due() == []

    def test_of_one_unreadable_answer_is_that_jobs_own(self):
        [job] = jobs_of(make_proven(), 1)
        org = fail_together([job], MalformedAnswerError("No JSON.", http_status=200))

        assert (org.waiting_for, org.failures, job.failures) == ("", 0, 1)

    def test_is_one_of_all_when_several_answers_cannot_be_read(self):
        jobs = jobs_of(make_proven(), 2)
        org = fail_together(jobs, MalformedAnswerError("No JSON.", http_status=200))

        assert org.waiting_for == Waiting.UNAVAILABLE

    def test_keeps_a_page_of_a_gateway_from_being_asked_for_by_job_after_job(self):
        [job] = jobs_of(make_proven(last_answer_at=None), 1)
        org = fail_together([job], MalformedAnswerError("No JSON.", http_status=200))

        assert org.waiting_for == Waiting.UNAVAILABLE

    def test_is_none_where_a_job_fails_again_though_others_were_answered_since(self):
        org = make_proven()
        poor, other = jobs_of(org, 2)
        fail_together([poor], DOWN)
        observe(other, running(other))
        org = fail_together([poor], DOWN)

        assert (org.waiting_for, org.failures, poor.failures) == ("", 0, 1)
        assert poor.next_poll_at > timezone.now()


class TestAnAnswerThatComesLate:
    def test_does_not_make_the_latest_answer_an_older_one(self):
        org = make_proven()
        quick, slow = jobs_of(org, 2)
        asked_at = timezone.now()
        observe(quick, running(quick))

        observe(slow, running(slow), asked_at=asked_at)

        org.refresh_from_db()
        assert org.last_answer_at == org.last_polled_at == quick.last_polled_at

    def test_is_the_latest_where_the_one_before_is_from_a_clock_that_was_ahead(self):
        ahead = timezone.now() + timedelta(seconds=50)
        org = make_proven(last_answer_at=ahead, last_polled_at=ahead, failures=1)
        [job] = jobs_of(org, 1)
        observe(job, running(job))

        org.refresh_from_db()
        assert org.last_answer_at == org.last_polled_at == job.last_polled_at
        assert org.failures == 0


class TestAJobThatAloneIsNotAnswered:
    def fail_for(self, job: BulkWriteJob, other: BulkWriteJob, hours: float) -> None:
        start = timezone.now()
        for number in range(16):
            with time_machine.travel(start + timedelta(hours=hours * number / 15), tick=False):
                observe_together((other, running(other, number)), (job, DOWN))

    def test_for_hours_is_told_once_and_so_is_its_recovery(self):
        org = make_proven()
        job, other = jobs_of(org, 2)
        observe(job, running(job))
        self.fail_for(job, other, hours=7)

        assert job.needs_attention
        assert [alert.kind for alert in job.alerts.all()] == ["unreachable"]
        assert "hours, while other jobs are answered" in job.alerts.get().text
        with pass_time(hours=8):
            observe_together((other, running(other)), (job, DOWN))
            observe(job, running(job, added=6))
        assert (job.needs_attention, job.unreadable_since) == (False, None)
        assert set(job.alerts.values_list("kind", flat=True)) == {"unreachable", "recovered"}
        assert kinds(org) == []

    def test_for_less_is_not_told(self):
        org = make_proven()
        job, other = jobs_of(org, 2)
        observe(job, running(job))
        self.fail_for(job, other, hours=5)

        assert job.failures == 16
        assert not job.needs_attention
        assert not job.alerts.exists()


class TestNoAnswerForHalfAnHour:
    def test_is_told_once_and_so_is_the_end_of_it(self):
        jobs = jobs_of(make_proven(), 2)
        org = fail_together(jobs, DOWN)
        with pass_time(minutes=29):
            fail_together(jobs, DOWN)
        assert kinds(org) == []
        for minutes in (31, 60, 90):
            with pass_time(minutes=minutes):
                fail_together(jobs, DOWN)
        assert kinds(org) == ["unreachable"]
        assert "31 minutes" in org.alerts.get().text

        with pass_time(minutes=91):
            observe(jobs[0], running(jobs[0]))
            observe(jobs[1], running(jobs[1]))
        assert kinds(org) == ["unreachable", "recovered"]

    def test_is_told_of_a_token_endpoint_that_goes_on_throttling(self):
        [job] = jobs_of(make_proven(), 1)
        for minutes in (0, 11, 22, 33):
            with pass_time(minutes=minutes):
                org = fail_together([job], TokensThrottledError("Too many.", retry_after=600))

        assert kinds(org) == ["unreachable"]
        assert not org.is_blocked

    def test_is_told_to_be_over_though_an_older_answer_came_in_the_same_minute(self, clock):
        failing, slow, quick = jobs_of(make_proven(), 3)
        clock.move_to(timezone.now().replace(second=0, microsecond=0))
        for _ in range(5):
            asked_at = timezone.now() + timedelta(minutes=10)
            clock.shift(timedelta(minutes=10, seconds=1))
            org = fail_together([failing], DOWN)
        observe(slow, running(slow), asked_at=asked_at)
        assert kinds(org) == ["unreachable"]

        clock.shift(timedelta(seconds=1))
        observe(quick, running(quick))
        assert kinds(org) == ["unreachable", "recovered"]

    def test_after_a_short_outage_is_not_told_as_over(self):
        [job] = jobs_of(make_proven(), 1)
        org = fail_together([job], DOWN)
        observe(job, running(job))

        assert kinds(org) == []

    def test_does_not_count_while_nothing_ran_here(self):
        org = make_proven()
        jobs = jobs_of(org, 2)
        fail_together(jobs, DOWN)
        with pass_time(hours=6):
            now = timezone.now()
            org = fail_together(jobs, DOWN)
        assert kinds(org) == []
        assert org.unanswered_since >= now

        for minutes in (15, 31):
            with pass_time(hours=6, minutes=minutes):
                fail_together(jobs, DOWN)
        assert kinds(org) == ["unreachable"]

    def test_that_was_told_is_told_to_be_over_though_nothing_ran_here_meanwhile(self):
        org = make_proven()
        [job] = jobs_of(org, 1)
        for minutes in (0, 20, 40, 600):
            with pass_time(minutes=minutes):
                fail_together([job], DOWN)
        with pass_time(minutes=601):
            observe(job, running(job))

        assert kinds(org) == ["unreachable", "recovered"]

    def test_counts_while_it_waits_for_as_long_as_zoho_says(self):
        org = make_proven()
        [job] = jobs_of(org, 1)
        for minutes in (0, 61):
            with pass_time(minutes=minutes):
                fail_together([job], ZohoThrottledError("Slow down.", retry_after=3600))

        assert kinds(org) == ["unreachable"]


class TestAClockThatIsSetBack:
    def test_while_it_is_blocked_does_not_keep_it_blocked(self):
        org = make_proven()
        first, other = jobs_of(org, 2)
        with pass_time(hours=1):
            fail_together([first], ZohoSignInError("Revoked.", code="invalid_code"))
        polling.claim_due()

        org.refresh_from_db()
        assert org.blocked_at <= timezone.now()
        assert org.resume_at < timezone.now() + timedelta(minutes=61)
        with pass_time(minutes=61):
            observe(other, running(other))
        org.refresh_from_db()
        assert not org.is_blocked
        assert kinds(org) == ["connection_blocked", "recovered"]

    def test_by_a_little_does_not_hide_an_answer(self):
        org = make_proven(blocked_at=timezone.now() + timedelta(seconds=50))
        [job] = jobs_of(org, 1)
        observe(job, running(job))

        org.refresh_from_db()
        assert not org.is_blocked

    def test_does_not_hide_an_outage(self):
        org = make_proven(
            unanswered_since=timezone.now() + timedelta(hours=5),
            last_polled_at=timezone.now() + timedelta(hours=5),
        )
        jobs = jobs_of(org, 2)
        for minutes in (0, 20, 40):
            with pass_time(minutes=minutes):
                fail_together(jobs, DOWN)

        assert kinds(org) == ["unreachable"]
