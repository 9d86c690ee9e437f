"""Refusals that mean the whole connection, or one job alone."""

from datetime import timedelta

import pytest
from django.utils import timezone

from jobs.models import BulkWriteJob, Connection
from jobs.services.observing import leases, polling
from jobs.tests.factories import make_proven, observe, observe_together
from jobs.tests.services.observed import (
    DOWN,
    REFUSED,
    fail_together,
    jobs_of,
    kinds,
    pass_time,
    running,
)
from jobs.zoho.errors import (
    ZohoSignInError,
)

pytestmark = pytest.mark.django_db
PollState = BulkWriteJob.PollState
Waiting = Connection.Waiting


class TestARefusalOfTheWholeConnection:
    def test_blocks_it_at_once_with_one_alert_and_no_job(self):
        jobs = jobs_of(make_proven(), 5)
        org = fail_together(jobs, REFUSED)

        assert org.is_blocked
        assert org.last_error["code"] == "NO_PERMISSION"
        assert org.waiting_for == Waiting.REPAIR
        assert kinds(org) == ["connection_blocked"]
        for job in jobs:
            assert (job.poll_state, job.needs_attention) == (PollState.ACTIVE, False)
        # Should it be the job's own, that shows once the others are answered.
        assert [job.poll_error is None for job in jobs] == [False, True, True, True, True]

    def test_is_tried_again_after_an_hour_and_told_no_more(self):
        [job] = jobs_of(make_proven(), 1)
        fail_together([job], REFUSED)
        assert polling.claim_due() == []

        with pass_time(minutes=59):
            assert polling.claim_due() == []
        with pass_time(minutes=61):
            [claim] = polling.claim_due()
            leases.release(job.connection, claim.lease_token)
            org = fail_together([job], REFUSED)
            assert polling.claim_due() == []
        assert kinds(org) == ["connection_blocked"]

    def test_is_over_with_an_answer_and_told(self):
        [job] = jobs_of(make_proven(), 1)
        org = fail_together([job], REFUSED)
        observe(job, running(job))

        org.refresh_from_db()
        assert (org.blocked_at, org.last_error, org.waiting_for) == (None, None, "")
        assert org.resume_at <= timezone.now()
        assert kinds(org) == ["connection_blocked", "recovered"]

    def test_is_not_over_with_an_answer_that_was_under_way(self):
        org = make_proven()
        first, second, other = jobs_of(org, 3)
        asked_at = timezone.now()
        fail_together([first, second], REFUSED)
        observe(other, running(other), asked_at=asked_at)

        org.refresh_from_db()
        assert org.is_blocked
        assert org.waiting_for == Waiting.REPAIR

    def test_while_an_outage_hides_it_waits_on(self):
        [job] = jobs_of(make_proven(), 1)
        fail_together([job], REFUSED)
        Connection.objects.update(resume_at=timezone.now())
        org = fail_together([job], DOWN)

        assert org.is_blocked
        assert org.last_error["code"] == "NO_PERMISSION"
        assert org.resume_at > timezone.now() + timedelta(minutes=59)

    def test_of_one_job_among_answers_is_tried_again_alone(self):
        org = make_proven()
        poor, other = jobs_of(org, 2)
        observe_together((other, running(other)), (poor, REFUSED))

        org.refresh_from_db()
        assert not org.is_blocked
        assert (poor.poll_state, poor.needs_attention) == (PollState.ACTIVE, False)
        wait = poor.next_poll_at - timezone.now()
        assert timedelta(seconds=50) < wait < timedelta(seconds=61)

    def test_of_one_job_again_while_others_are_answered_blocks_that_job(self):
        org = make_proven()
        poor, other = jobs_of(org, 2)
        for _ in range(2):
            observe_together((other, running(other)), (poor, REFUSED))

        org.refresh_from_db()
        assert not org.is_blocked
        assert (poor.poll_state, poor.needs_attention) == (PollState.BLOCKED, True)
        assert [alert.kind for alert in poor.alerts.all()] == ["blocked"]

    def test_of_one_job_again_when_others_were_answered_since_blocks_that_job(self):
        org = make_proven()
        poor, other = jobs_of(org, 2)
        observe_together((other, running(other)), (poor, REFUSED))
        observe(other, running(other))
        observe(poor, REFUSED)

        org.refresh_from_db()
        assert (org.is_blocked, poor.poll_state) == (False, PollState.BLOCKED)

    def test_of_one_job_again_waits_for_what_is_said_of_others(self):
        org = make_proven()
        poor, other = jobs_of(org, 2)
        observe_together((other, running(other)), (poor, REFUSED))
        observe(poor, REFUSED)
        org.refresh_from_db()
        assert (org.is_blocked, poor.poll_state) == (False, PollState.ACTIVE)

        observe(other, REFUSED)
        org.refresh_from_db()
        assert org.is_blocked

    def test_of_the_only_job_that_is_watched_is_one_of_the_connection(self):
        org = make_proven()
        poor, other = jobs_of(org, 2)
        observe_together((other, running(other)), (poor, REFUSED))
        BulkWriteJob.objects.filter(pk=other.pk).update(poll_state=PollState.DONE)
        observe(poor, REFUSED)

        org.refresh_from_db()
        assert org.is_blocked

    def test_that_a_person_could_repair_is_a_sign_in_that_is_not_accepted(self):
        [job] = jobs_of(make_proven(), 1)
        error = ZohoSignInError("No scope.", code="OAUTH_SCOPE_MISMATCH", http_status=401)
        org = fail_together([job], error)

        assert org.is_blocked
        assert job.poll_error is None
