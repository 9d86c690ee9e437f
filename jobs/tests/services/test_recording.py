"""What an answer changes, and what it must not."""

import json
from datetime import timedelta

import pytest
from django.db import connection as database
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from jobs.models import Alert, BulkWriteJob, Connection, FieldMapping, JobEvent, Outcome, Result
from jobs.services.observing import polling, schedule
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
    ZohoRejectedError,
    ZohoSignInError,
    ZohoThrottledError,
    ZohoUnavailableError,
)

pytestmark = pytest.mark.django_db


def kinds(job: BulkWriteJob) -> list[str]:
    return list(job.alerts.order_by("pk").values_list("kind", flat=True))


def test_each_state_makes_one_snapshot_and_an_unchanged_poll_none():
    job = make_job()
    running = body(job, "INPROGRESS", resource("INPROGRESS", added=5, total=10))

    observe(job, body(job, "ADDED", resource("INPROGRESS")))
    for _ in range(3):
        observe(job, running)
    observe(job, completed(job, added=10, updated=0, skipped=0, total=10))

    states = [(seen.status, seen.polls) for seen in job.snapshots.all()]
    assert states == [("ADDED", 1), ("INPROGRESS", 3), ("COMPLETED", 1)]
    second = job.snapshots.all()[1]
    assert second.last_seen_at > second.first_seen_at
    assert json.loads(second.raw)["status"] == "INPROGRESS"
    assert job.polls == 5


def test_a_state_that_comes_back_is_seen_as_a_new_one():
    job = make_job()
    for added in (5, 6, 5):
        observe(job, body(job, "INPROGRESS", resource("INPROGRESS", added=added, total=10)))

    assert job.snapshots.count() == 3
    assert "fell from 6 to 5" in job.lasting_warnings[0]
    observe(job, body(job, "INPROGRESS", resource("INPROGRESS", added=9, total=10)))
    assert "fell from 6 to 5" in job.lasting_warnings[0]


@pytest.mark.parametrize("changed", [False, True])
def test_the_queries_of_a_batch_do_not_grow_with_its_jobs(changed):
    def queries(number: int) -> int:
        org = make_proven()
        jobs = [make_job(org) for _ in range(number)]
        for added in (1, 2 if changed else 1):
            BulkWriteJob.objects.update(next_poll_at=timezone.now(), lease_until=None)
            [claim] = [c for c in polling.claim_due() if c.connection_id == org.pk]
            answers = [
                answer(
                    job,
                    body(job, "INPROGRESS", resource("INPROGRESS", added=added))
                    | {"created_time": "2026-01-01T00:00:00Z"},
                )
                for job in jobs
            ]
            with CaptureQueriesContext(
                database,
            ) as captured:
                record(org, claim.lease_token, answers)
        return len(captured)

    assert queries(3) == queries(60)


def test_an_answer_older_than_what_is_stored_changes_nothing():
    job = make_job()
    observe(job, completed(job, added=10, skipped=0, updated=0, total=10))

    observe(job, body(job, "ADDED"), asked_at=timezone.now() - timedelta(minutes=5))

    assert (job.status, job.outcome) == ("COMPLETED", Outcome.IMPORTED)
    assert job.snapshots.count() == 1
    assert job.lasting_warnings == []
    assert job.lease_until is None


def test_an_answer_for_a_lost_lease_changes_nothing():
    org = make_connection()
    job = make_job(org)
    [late] = polling.claim_due()
    BulkWriteJob.objects.update(lease_until=timezone.now() - timedelta(seconds=1))
    [current] = polling.claim_due()

    record(org, late.lease_token, [answer(job, body(job, "ADDED"))])

    job.refresh_from_db()
    assert (job.status, job.polls) == ("", 0)
    assert job.lease_token == current.lease_token


def test_jobs_of_a_claim_that_were_not_asked_about_are_free_and_due_again():
    org = make_connection()
    asked, not_asked = make_job(org), make_job(org)
    [claim] = polling.claim_due()

    record(org, claim.lease_token, [answer(asked, body(asked, "ADDED"))])

    assert list(BulkWriteJob.objects.due(timezone.now())) == [not_asked]


def test_a_terminal_state_is_not_reopened_but_the_contradiction_is_flagged():
    job = make_job()
    observe(job, completed(job, added=0, updated=0, skipped=10, total=10))

    for _ in range(2):
        observe(job, body(job, "INPROGRESS", resource("INPROGRESS", added=3, total=10)))

    assert (job.status, job.outcome) == ("COMPLETED", Outcome.NOTHING_IMPORTED)
    assert job.poll_state == BulkWriteJob.PollState.DONE
    assert job.snapshots.count() == 1
    assert job.lasting_warnings == [
        "Zoho reported INPROGRESS after COMPLETED. The end that was seen stands."
    ]
    assert kinds(job) == ["nothing_imported"]


def test_mappings_are_written_anew_only_when_they_change():
    job = make_job()
    first = resource("INPROGRESS", added=1)
    observe(job, body(job, "INPROGRESS", first))
    kept = list(FieldMapping.objects.values_list("pk", flat=True))

    observe(job, body(job, "INPROGRESS", resource("INPROGRESS", added=2)))
    assert list(FieldMapping.objects.values_list("pk", flat=True)) == kept

    moved = resource("INPROGRESS", added=3)
    moved["field_mappings"] = [{"api_name": "Stage", "index": 132, "default_value": {"value": "x"}}]
    observe(job, body(job, "INPROGRESS", moved))
    [mapping] = FieldMapping.objects.all()
    assert (mapping.api_name, mapping.index) == ("Stage", 132)
    assert (mapping.find_by, mapping.default_value) == (None, {"value": "x"})


def test_a_resource_that_is_gone_from_the_answer_is_gone():
    job = make_job()
    observe(job, body(job, "INPROGRESS", resource(module="Leads"), resource(module="Tasks")))
    observe(job, body(job, "INPROGRESS", resource(module="Leads")))

    assert [str(part) for part in job.resources.all()] == ["Leads"]
    assert job.modules == "Leads"


def test_a_job_that_alone_is_not_answered_backs_off_and_keeps_the_last_good_state():
    org = make_proven()
    job, other = make_job(org), make_job(org)
    observe(job, body(job, "INPROGRESS", resource("INPROGRESS", added=5, total=10)))
    waits = []
    for _ in range(9):
        before = timezone.now()
        BulkWriteJob.objects.update(next_poll_at=before)
        observe_together((other, body(other, "ADDED")), (job, ZohoUnavailableError("No answer.")))
        waits.append((job.next_poll_at - before).total_seconds())

    assert (job.status, job.added_count) == ("INPROGRESS", 5)
    assert job.failures == 9
    assert waits[0] < 6
    assert waits[8] > 3 * schedule.REPOLL_BASE_SECONDS
    org.refresh_from_db()
    assert (org.failures, org.unanswered_since, org.waiting_for) == (0, None, "")
    assert job.poll_error["message"] == "No answer."
    assert job.events.filter(kind=JobEvent.Kind.POLL_FAILED).count() == 1
    assert kinds(job) == []

    observe(job, body(job, "INPROGRESS", resource("INPROGRESS", added=5, total=10)))
    assert (job.failures, job.poll_error) == (0, None)
    assert job.events.filter(kind=JobEvent.Kind.POLL_RECOVERED).exists()


@pytest.mark.parametrize(("named", "least", "most"), [(120.0, 120, 120), (None, 60, 66)])
def test_throttling_pauses_the_connection_for_as_long_as_zoho_says(named, least, most):
    job = make_job()
    before = timezone.now()

    observe(job, ZohoThrottledError("Too many requests.", retry_after=named))

    org = Connection.objects.get()
    assert least <= (org.resume_at - before).total_seconds() < most + 5
    assert not Connection.objects.pollable(timezone.now()).exists()
    assert Connection.objects.pollable(org.resume_at).exists()
    assert job.poll_state == BulkWriteJob.PollState.ACTIVE


def test_a_permanent_error_blocks_the_job_with_its_reason_and_is_told_once():
    job = make_job()
    error = ZohoRejectedError("Gone.", code="RESOURCE_NOT_FOUND", http_status=404)

    observe(job, error)
    assert job.poll_state == BulkWriteJob.PollState.ACTIVE
    assert 0 < (job.next_poll_at - job.last_polled_at).total_seconds() < 15
    assert (kinds(job), job.needs_attention) == ([], False)

    observe(job, error)
    assert job.poll_state == BulkWriteJob.PollState.BLOCKED
    assert job.next_poll_at is None
    assert job.needs_attention
    assert job.poll_error["code"] == "RESOURCE_NOT_FOUND"
    assert job.poll_error["resolution"]

    polling.make_due([job])
    observe(job, error)
    assert kinds(job) == ["blocked"]


def test_a_blocked_job_that_can_be_read_again_goes_on_and_that_is_told():
    job = make_job()
    for _ in range(2):
        observe(job, ZohoRejectedError("Gone.", code="RESOURCE_NOT_FOUND", http_status=404))
    observe(job, body(job, "INPROGRESS", resource("INPROGRESS", added=5, total=10)))

    assert job.poll_state == BulkWriteJob.PollState.ACTIVE
    assert not job.needs_attention
    assert kinds(job) == ["blocked", "recovered"]


def test_the_end_that_was_seen_outlives_zohos_memory_of_the_job():
    job = make_job()
    observe(job, completed(job, added=10, updated=0, skipped=0, total=10))
    polling.make_due([job])

    observe(job, ZohoRejectedError("Gone.", code="RESOURCE_NOT_FOUND"))

    assert (job.poll_state, job.outcome) == (BulkWriteJob.PollState.DONE, Outcome.IMPORTED)
    assert not job.needs_attention
    assert kinds(job) == []


def test_a_sign_in_error_stops_the_connection_and_is_told_once_however_many_jobs():
    org = make_connection()
    jobs = [make_job(org) for _ in range(3)]
    for job in jobs:
        observe(job, ZohoSignInError("Revoked.", code="invalid_code"))

    org.refresh_from_db()
    assert org.is_blocked
    assert polling.claim_due() == []
    assert list(Alert.objects.values_list("kind", "job")) == [("connection_blocked", None)]
    job = BulkWriteJob.objects.select_related("connection").get(pk=jobs[0].pk)
    assert job.poll_state == BulkWriteJob.PollState.ACTIVE
    state, error = polling.effective_poll_state(job)
    assert (state, error["code"]) == ("blocked", "invalid_code")

    observe(jobs[0], body(jobs[0], "ADDED"))
    org.refresh_from_db()
    assert not org.is_blocked
    assert polling.claim_due()
    told = Alert.objects.filter(job=None).order_by("pk")
    assert list(told.values_list("kind", flat=True)) == ["connection_blocked", "recovered"]


def test_a_file_that_ended_worse_than_its_resource_says_is_not_good():
    job = make_job()
    part = resource(added=9, updated=0, skipped=0, total=9)
    part["file"]["status"] = "FAILED"

    observe(job, body(job, "COMPLETED", part, resource(module="Tasks", added=1, total=1)))

    assert (job.outcome, job.needs_attention) == (Outcome.PARTIAL, True)
    assert kinds(job) == ["failed"]


def test_a_job_in_which_nothing_changes_is_stuck_after_the_limit_and_told_once():
    org = make_connection(stuck_after_minutes=30)
    job = make_job(org)
    running = body(job, "INPROGRESS", resource("INPROGRESS", added=5, total=10))
    start = timezone.now() - timedelta(hours=1)

    observe(job, running, asked_at=start)
    observe(job, running, asked_at=start + timedelta(minutes=29))
    assert job.outcome == Outcome.RUNNING
    observe(job, running, asked_at=start + timedelta(minutes=30))
    observe(job, running, asked_at=start + timedelta(minutes=35))
    assert (job.outcome, job.needs_attention) == (Outcome.STUCK, True)
    assert kinds(job) == ["stuck"]
    assert job.poll_state == BulkWriteJob.PollState.ACTIVE

    running["resource"][0]["file"]["added_count"] = 6
    observe(job, running)
    assert (job.outcome, job.needs_attention) == (Outcome.RUNNING, False)
    assert kinds(job) == ["stuck", "recovered"]


def test_a_stuck_job_that_ends_badly_is_told_as_that_alone():
    org = make_connection(stuck_after_minutes=1)
    job = make_job(org)
    running = body(job, "INPROGRESS", resource("INPROGRESS", added=0, total=10))
    observe(job, running, asked_at=timezone.now() - timedelta(minutes=5))
    observe(job, running, asked_at=timezone.now() - timedelta(minutes=1))
    observe(job, body(job, "FAILED", resource("FAILED")))

    assert kinds(job) == ["stuck", "failed"]


@pytest.mark.parametrize(
    ("what", "kind"),
    [
        (lambda job: body(job, "FAILED", resource("FAILED")), "failed"),
        (lambda job: body(job, "SKIPPED", resource("SKIPPED")), "skipped"),
        (lambda job: completed(job, added=0, updated=0, skipped=9, total=9), "nothing_imported"),
        (lambda job: completed(job, added=9, updated=0, skipped=1, total=10), "skip_threshold"),
        (
            lambda job: body(
                job, "COMPLETED", resource(added=9, total=9), resource("FAILED", "Items")
            ),
            "failed",
        ),
        (lambda job: completed(job, added=99, updated=0, skipped=1, total=100), None),
        (lambda job: completed(job, added=9, updated=0, skipped=0, total=9), None),
    ],
)
def test_how_a_job_ended_is_told_once_if_it_ended_badly(what, kind):
    job = make_job()

    for _ in range(2):
        observe(job, what(job))

    assert kinds(job) == ([kind] if kind else [])


def test_a_jobs_own_threshold_comes_before_its_connections():
    job = make_job(make_connection(skip_threshold_percent=10), skip_threshold_percent=50)

    observe(job, completed(job, added=6, updated=0, skipped=4, total=10))

    assert (job.outcome, job.needs_attention) == (Outcome.PARTIAL, False)
    assert kinds(job) == []


def test_an_ended_job_without_its_result_is_asked_a_bounded_number_of_times_more():
    for status, most in (
        ("COMPLETED", schedule.POLLS_AFTER_COMPLETED),
        ("FAILED", schedule.POLLS_AFTER_OTHER_END),
    ):
        job = make_job()
        observe(job, body(job, status, resource(status, added=0, skipped=1, total=1)))
        more = 0
        while job.poll_state == BulkWriteJob.PollState.ACTIVE:
            observe(job, body(job, status, resource(status, added=0, skipped=1, total=1)))
            more += 1
        assert more == most
        assert job.next_poll_at is None
        assert not Result.objects.exists()


def test_a_result_that_comes_late_is_still_fetched():
    job = make_job()
    observe(job, body(job, "COMPLETED", resource(added=9, updated=0, skipped=0, total=9)))
    assert job.poll_state == BulkWriteJob.PollState.ACTIVE

    observe(job, completed(job, added=9, updated=0, skipped=0, total=9))

    assert job.poll_state == BulkWriteJob.PollState.DONE
    assert job.result.state == Result.State.PENDING
    assert list(Result.objects.due(timezone.now())) == [job.result]


def test_a_paused_job_that_is_read_stays_paused():
    job = make_job(poll_state=BulkWriteJob.PollState.PAUSED, next_poll_at=None)

    observe(job, body(job, "INPROGRESS", resource("INPROGRESS")))
    observe(job, ZohoUnavailableError("No answer."))

    assert job.poll_state == BulkWriteJob.PollState.PAUSED
    assert job.next_poll_at is None


def test_hostile_text_and_numbers_are_stored_as_they_can_be():
    job = make_job()
    long = "x" * 10_000
    hostile = body(
        job,
        "IN\u0000PRO\ud800GRESS",
        resource("\u0000", module=long, file="<script>" + long, added=2**63, total=10**18),
        operation=long,
        character_encoding=long,
        created_by={"id": 10**17, "name": long + "\ud800"},
    )
    hostile["resource"][0] |= {"code": long, "find_by": long, "type": long}
    hostile["resource"][0]["field_mappings"] = [
        {
            "api_name": long,
            "index": 2**63,
            "format": long,
            "default_value": {"a": ["\u0000", 10**18]},
        }
    ]

    observe(job, hostile)

    assert job.polls == 1
    assert job.resources.get().added_count is None
    assert job.snapshots.count() == 1


def test_the_first_poll_of_a_young_job_is_followed_soon_and_that_of_an_old_one_later():
    young, old = make_job(), make_job()
    observe(young, body(young, "ADDED", created_time=timezone.now().isoformat()))
    long_ago = timezone.now() - timedelta(days=2)
    observe(old, body(old, "ADDED", created_time=long_ago.isoformat()))

    assert (young.next_poll_at - young.last_polled_at).total_seconds() < 6
    assert (old.next_poll_at - old.last_polled_at).total_seconds() > 200


def test_a_job_made_due_for_a_few_seconds_later_while_it_was_asked_about_stays_due():
    start = timezone.now() - timedelta(hours=1)
    job = make_job(make_proven(), last_changed_at=start, created_time=start)
    observe(job, body(job, created_time=start.isoformat()), asked_at=start)
    asked_at = timezone.now()
    promised = asked_at + timedelta(seconds=3)
    BulkWriteJob.objects.filter(pk=job.pk).update(next_poll_at=promised)
    observe(job, body(job, created_time=start.isoformat()), asked_at=asked_at)

    assert promised <= job.next_poll_at <= asked_at + timedelta(seconds=schedule.MIN_SECONDS)
