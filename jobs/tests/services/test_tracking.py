"""Registering the ids that were read."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from django.contrib.auth import get_user_model
from django.db import connection as database
from django.utils import timezone

from jobs.models import BulkWriteJob, JobEvent
from jobs.services.registering import job_ids, tracking
from jobs.services.registering.tracking import Verdict
from jobs.tests.factories import make_connection, make_job

ONE, TWO = "111111000000541958", "111111000000541962"


@pytest.mark.django_db
class TestRegistering:
    def test_makes_jobs_that_are_due_at_once(self):
        org, user = make_connection(), get_user_model().objects.create_user("maria")
        entries = tracking.track(
            org,
            job_ids.read(f"{ONE}\n{TWO}").entries,
            label="Q4 leads",
            tags=["erp"],
            alert_recipients="me@example.com",
            skip_threshold_percent=25,
            user=user,
        )

        jobs = list(BulkWriteJob.objects.due(timezone.now()))
        assert {job.zoho_job_id for job in jobs} == {ONE, TWO}
        assert [entry.job for entry in entries] == sorted(jobs, key=lambda job: job.pk)
        for job in jobs:
            assert (job.label, job.tags, job.tracked_by) == ("Q4 leads", ["erp"], user)
            assert (job.recipients, job.threshold_percent) == (["me@example.com"], 25)
            assert (job.outcome, job.status, job.total_count) == ("unknown", "", None)
            assert job.events.get().kind == JobEvent.Kind.TRACKED
        assert BulkWriteJob.objects.searched("q4 ERP").count() == 2

    def test_again_changes_nothing_and_says_so(self):
        org = make_connection()
        job = make_job(org, zoho_job_id=ONE, label="first", poll_state="done", next_poll_at=None)

        [entry] = tracking.track(org, job_ids.read(ONE).entries, label="second")

        assert (entry.verdict, entry.job) == (Verdict.ALREADY_TRACKED, job)
        job.refresh_from_db()
        assert (job.label, job.poll_state) == ("first", "done")
        assert job.events.count() == 0

    def test_the_same_id_in_two_orgs_makes_two_jobs(self):
        for _ in range(2):
            tracking.track(make_connection(), job_ids.read(ONE).entries)

        assert BulkWriteJob.objects.filter(zoho_job_id=ONE).count() == 2

    def test_five_thousand_ids_takes_few_statements(self, django_assert_max_num_queries):
        org = make_connection()
        entries = job_ids.read("\n".join(str(10**17 + n) for n in range(5_000))).entries

        # SQLite takes some hundred rows to a statement.
        with django_assert_max_num_queries(300):
            tracking.track(org, entries)

        assert org.jobs.count() == 5_000

    def test_only_what_is_no_id_makes_no_job(self):
        [entry] = tracking.track(make_connection(), job_ids.read("nonsense").entries)

        assert (entry.verdict, entry.job) == (Verdict.NOT_AN_ID, None)


@pytest.mark.django_db(transaction=True)
def test_fifty_registrations_of_one_id_at_the_same_time_make_one_job():
    org = make_connection()

    def register(_: int) -> int:
        try:
            [entry] = tracking.track(org, job_ids.read(ONE).entries)
            return entry.job.pk
        finally:
            database.close()

    with ThreadPoolExecutor(8) as pool:
        pks = set(pool.map(register, range(50)))

    assert pks == {BulkWriteJob.objects.get().pk}


@pytest.mark.parametrize(
    ("text", "tags"),
    [
        ("", []),
        (" erp ,, nightly\nerp", ["erp", "nightly"]),
        ("x" * 80, ["x" * 50]),
        (",".join(str(n) for n in range(30)), [str(n) for n in range(20)]),
    ],
)
def test_tags_are_parted_by_commas_or_lines_each_once_and_bounded(text, tags):
    assert tracking.read_tags(text) == tags
