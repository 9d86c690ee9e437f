"""What goes wrong while Zoho is asked, and what is told about it."""

from datetime import timedelta

import pytest
import time_machine
from django.utils import timezone

from jobs.models import Alert, BulkWriteJob, Connection, JobEvent, Outcome
from jobs.services.observing import leases, polling
from jobs.services.observing.recording import record
from jobs.tests.factories import (
    answer,
    body,
    completed,
    make_connection,
    make_job,
    make_proven,
    observe,
    observe_together,
    resource,
)
from jobs.zoho.errors import (
    MalformedAnswerError,
    ZohoRejectedError,
    ZohoSignInError,
    ZohoThrottledError,
    ZohoUnavailableError,
)

pytestmark = pytest.mark.django_db
PollState = BulkWriteJob.PollState

GONE = ZohoRejectedError("Gone.", code="RESOURCE_NOT_FOUND", http_status=404)
DOWN = ZohoUnavailableError("No answer.")


def running(job: BulkWriteJob, added: int = 5) -> dict:
    part = resource("INPROGRESS", added=added, updated=0, skipped=0, total=10)
    return body(job, "INPROGRESS", part, created_time="2026-01-01T00:00:00Z")


def refuse(job: BulkWriteJob) -> None:
    """Have Zoho say that it does not know the job, as often as it takes to be believed."""
    for _ in range(2):
        observe(job, GONE)


def kinds(job: BulkWriteJob) -> list[str]:
    return list(job.alerts.order_by("pk").values_list("kind", flat=True))


class TestARefusal:
    def test_is_over_when_a_refreshed_job_can_be_read_though_nothing_of_it_changed(self):
        job = make_job()
        observe(job, running(job))
        refuse(job)
        polling.make_due([job])

        observe(job, running(job))

        assert (job.poll_state, job.needs_attention) == (PollState.ACTIVE, False)
        assert job.poll_error is None
        assert kinds(job) == ["blocked", "recovered"]

    def test_is_told_again_when_it_comes_back_after_a_recovery(self):
        job = make_job()
        for _ in range(2):
            observe(job, running(job))
            refuse(job)

        assert kinds(job) == ["blocked", "recovered", "blocked"]

    def test_is_told_once_however_often_a_person_refreshes(self):
        job = make_job()
        for _ in range(3):
            refuse(job)
            polling.make_due([job])
            observe(job, DOWN)

        assert kinds(job) == ["blocked"]

    def test_is_over_with_a_bad_end_which_is_told_in_its_place(self):
        job = make_job()
        refuse(job)
        observe(job, body(job, "FAILED", resource("FAILED")))

        assert kinds(job) == ["blocked", "failed"]

    def test_of_a_stuck_job_leaves_it_stuck_when_it_is_over(self):
        org = make_connection(stuck_after_minutes=30)
        job = make_job(org)
        start = timezone.now() - timedelta(hours=2)
        observe(job, running(job), asked_at=start)
        observe(job, running(job), asked_at=start + timedelta(minutes=40))
        refuse(job)

        observe(job, running(job))

        assert (job.outcome, job.needs_attention) == (Outcome.STUCK, True)
        assert kinds(job) == ["stuck", "blocked"]
        told = job.events.filter(kind=JobEvent.Kind.OUTCOME).values_list("text", flat=True)
        assert list(told) == ["Running", "Stuck"]

    def test_of_a_paused_job_leaves_it_paused(self):
        job = make_job(poll_state=PollState.PAUSED, next_poll_at=None)
        refuse(job)

        assert (job.poll_state, job.next_poll_at) == (PollState.PAUSED, None)
        assert kinds(job) == []

    def test_keeps_the_last_good_state(self):
        job = make_job()
        observe(job, running(job))
        refuse(job)

        assert (job.status, job.added_count, job.total_count) == ("INPROGRESS", 5, 10)
        assert job.snapshots.get().polls == 1

    def test_says_on_the_job_what_to_do(self):
        job = make_job()
        refuse(job)

        assert job.poll_error == {
            "code": "RESOURCE_NOT_FOUND",
            "http_status": 404,
            "message": "Gone.",
            "resolution": GONE.resolution,
        }
        assert job.events.filter(kind=JobEvent.Kind.BLOCKED, text=GONE.resolution).exists()

    def test_of_a_job_that_was_just_made_is_not_believed_at_once(self):
        job = make_job()
        observe(job, GONE)

        wait = job.next_poll_at - timezone.now()
        assert timedelta() < wait < timedelta(seconds=15)
        observe(job, running(job))
        observe(job, GONE)
        assert (job.poll_state, job.needs_attention) == (PollState.ACTIVE, False)
        assert kinds(job) == []

    def test_of_an_id_that_a_callback_named_is_not_told(self):
        job = make_job(found_by=BulkWriteJob.FoundBy.CALLBACK)
        refuse(job)

        assert (job.poll_state, job.needs_attention) == (PollState.BLOCKED, False)
        assert kinds(job) == []
        polling.make_due([job])
        observe(job, running(job))
        assert kinds(job) == []

    def test_of_a_job_found_by_callback_that_zoho_did_know_is_told(self):
        job = make_job(found_by=BulkWriteJob.FoundBy.CALLBACK)
        observe(job, running(job))
        refuse(job)

        assert job.needs_attention
        assert kinds(job) == ["blocked"]

    def test_by_a_code_that_is_none_of_zohos_blocks_at_once(self):
        job = make_job()
        observe(job, ZohoRejectedError("No.", code="SOMETHING_NEW", http_status=400))

        assert job.poll_state == PollState.BLOCKED


class TestThrottling:
    def test_a_longer_pause_is_not_cut_short_by_an_answer_that_names_none(self):
        org = make_proven()
        jobs = [make_job(org) for _ in range(3)]
        [claim] = polling.claim_due()
        before = timezone.now()

        answers = [
            answer(job, ZohoThrottledError("Slow down.", retry_after=seconds))
            for job, seconds in zip(jobs, (30.0, 900.0, None), strict=True)
        ]
        record(org, claim.lease_token, answers)

        org.refresh_from_db()
        assert org.resume_at >= before + timedelta(seconds=900)

    def test_is_no_failure_of_the_job(self):
        job = make_job()
        observe(job, ZohoThrottledError("Slow down.", retry_after=30))

        assert job.failures == 0
        assert kinds(job) == []

    def test_nothing_is_claimed_before_the_pause_is_over_and_all_after_it(self):
        org = make_proven()
        job, other = make_job(org), make_job(org)
        observe(job, ZohoThrottledError("Slow down.", retry_after=120))

        with time_machine.travel(timezone.now() + timedelta(seconds=118)):
            assert polling.claim_due() == []
        with time_machine.travel(timezone.now() + timedelta(seconds=126)):
            [first] = polling.claim_due()
            assert first.jobs == 1
            leases.release(org, first.lease_token)
            observe(other, running(other))
            org.refresh_from_db()
            assert org.waiting_for == ""
            assert org.resume_at <= timezone.now()
            BulkWriteJob.objects.update(next_poll_at=timezone.now())
            [claim] = polling.claim_due()
        assert claim.jobs == 2


class TestASignInError:
    ERROR = ZohoSignInError("Revoked.", code="invalid_code")

    def test_in_a_batch_of_many_is_told_once_and_frees_the_jobs_not_asked_about(self):
        org = make_proven()
        jobs = [make_job(org) for _ in range(20)]
        [claim] = polling.claim_due()

        record(org, claim.lease_token, [answer(job, self.ERROR) for job in jobs[:5]])
        leases.release(org, claim.lease_token)

        assert Alert.objects.get().kind == Alert.Kind.CONNECTION_BLOCKED
        assert BulkWriteJob.objects.due(timezone.now()).count() == 20
        org.refresh_from_db()
        assert org.last_error["code"] == "invalid_code"
        assert not BulkWriteJob.objects.filter(needs_attention=True).exists()

    def test_beside_a_good_answer_blocks_the_connection_all_the_same(self):
        org = make_proven()
        good, bad = make_job(org), make_job(org)
        [claim] = polling.claim_due()

        record(org, claim.lease_token, [answer(good, running(good)), answer(bad, self.ERROR)])

        org.refresh_from_db()
        assert org.is_blocked

    def test_is_repaired_by_a_success_and_told_anew_when_it_comes_back(self):
        job = make_job()
        observe(job, self.ERROR)
        observe(job, running(job))
        org = Connection.objects.get()
        assert (org.blocked_at, org.last_error) == (None, None)

        observe(job, self.ERROR)
        assert Alert.objects.filter(kind=Alert.Kind.CONNECTION_BLOCKED).count() == 2

    def test_about_an_ended_job_leaves_it_done(self):
        job = make_job()
        observe(job, completed(job, added=10, updated=0, skipped=0, total=10))
        observe(job, self.ERROR)

        assert (job.poll_state, job.next_poll_at) == (PollState.DONE, None)


class TestAnAnswerThatIsNone:
    @pytest.mark.parametrize("error", [DOWN, MalformedAnswerError("No JSON.", excerpt="<html>")])
    def test_keeps_the_state_and_backs_off(self, error):
        org = make_proven()
        job, other = make_job(org), make_job(org)
        observe(job, running(job))
        seen = job.last_changed_at
        for _ in range(15):
            BulkWriteJob.objects.update(next_poll_at=timezone.now())
            observe_together((other, running(other)), (job, error))

        assert (job.status, job.added_count, job.outcome) == ("INPROGRESS", 5, Outcome.RUNNING)
        assert job.last_changed_at == seen
        assert job.snapshots.get().polls == 1
        wait = job.next_poll_at - timezone.now()
        assert timedelta(minutes=4) < wait < timedelta(minutes=11)
        assert kinds(job) == []
        noted = job.events.get(kind=JobEvent.Kind.POLL_FAILED)
        assert noted.excerpt == error.excerpt

    def test_leaves_a_job_that_was_made_due_meanwhile_due(self):
        org = make_proven()
        now = timezone.now()
        job = make_job(org, failures=30, last_polled_at=now - timedelta(seconds=2))
        other = make_job(org)
        asked_at = timezone.now()
        promised = now + timedelta(seconds=3)
        BulkWriteJob.objects.filter(pk=job.pk).update(next_poll_at=promised)
        observe_together((other, running(other)), (job, DOWN), asked_at=asked_at)

        assert promised <= job.next_poll_at <= asked_at + timedelta(seconds=5)

    def test_does_not_count_as_an_answer_of_the_connection(self):
        job = make_job()
        observe(job, DOWN)

        org = Connection.objects.get()
        assert org.last_polled_at == job.last_polled_at
        assert org.last_answer_at is None

    def test_does_not_make_a_job_stuck(self):
        job = make_job(make_connection(stuck_after_minutes=1))
        observe(job, running(job), asked_at=timezone.now() - timedelta(hours=1))
        observe(job, DOWN)

        assert job.outcome == Outcome.RUNNING


class TestTime:
    def test_a_clock_that_was_set_back_does_not_make_every_answer_late(self):
        job = make_job()
        with time_machine.travel(timezone.now() + timedelta(hours=1)):
            observe(job, running(job, added=1))

        observe(job, running(job, added=2))

        assert job.added_count == 2
        assert job.next_poll_at < timezone.now() + timedelta(minutes=6)

    def test_a_job_is_stuck_once_per_state_and_each_recovery_told(self):
        job = make_job(make_connection(stuck_after_minutes=30))
        at = timezone.now() - timedelta(days=1)
        for added in (1, 2):
            for minutes in (0, 31, 62, 93):
                observe(job, running(job, added), asked_at=at + timedelta(minutes=minutes))
            at += timedelta(hours=3)

        assert job.outcome == Outcome.STUCK
        assert kinds(job) == ["stuck", "recovered", "stuck"]

    def test_an_ended_job_is_never_stuck(self):
        job = make_job(make_connection(stuck_after_minutes=1))
        done = completed(job, added=10, updated=0, skipped=0, total=10)
        observe(job, done, asked_at=timezone.now() - timedelta(hours=2))
        observe(job, done)

        assert job.outcome == Outcome.IMPORTED
        assert kinds(job) == []


class TestDueAtOnce:
    @pytest.mark.parametrize("state", [PollState.DONE, PollState.BLOCKED, PollState.ACTIVE])
    def test_a_refresh_makes_a_job_due_at_once(self, state):
        job = make_job(poll_state=state, next_poll_at=timezone.now() + timedelta(hours=1))
        polling.make_due([job])

        assert list(BulkWriteJob.objects.due(timezone.now())) == [job]
        assert job.events.get().kind == JobEvent.Kind.REFRESHED

    def test_a_refresh_leaves_a_paused_job_paused(self):
        job = make_job(poll_state=PollState.PAUSED, next_poll_at=None)
        polling.make_due([job])

        assert not BulkWriteJob.objects.due(timezone.now()).exists()

    def test_a_job_that_is_done_stays_so_when_it_is_read_once_more(self):
        job = make_job()
        observe(job, body(job, "FAILED", resource("FAILED")))
        observe(job, GONE)
        assert job.poll_state == PollState.DONE

        observe(job, body(job, "FAILED", resource("FAILED")))

        assert (job.poll_state, job.next_poll_at) == (PollState.DONE, None)
