"""Zoho's own sample answers, and answers that want to break the database."""

import json
from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from django.db import connection as database
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from jobs.models import BulkWriteJob, FieldMapping, JobEvent, Outcome, Resource, Snapshot
from jobs.services.observing import polling
from jobs.services.observing.recording import record
from jobs.tests import seed
from jobs.tests.factories import answer, body, make_job, make_proven, observe, resource

pytestmark = pytest.mark.django_db

LARGEST = 10**12


@pytest.fixture
def job():
    return make_job(zoho_job_id=seed.JOB_ID)


class TestTheSamplesOfZohosPage:
    def test_one_after_the_other_make_three_snapshots_and_a_bad_end(self, job):
        for sample in (seed.ADDED, seed.IN_PROGRESS, seed.COMPLETED):
            observe(job, sample)

        states = job.snapshots.values_list("status", "outcome", "skipped_count", "polls")
        assert list(states) == [
            ("ADDED", "running", None, 1),
            ("INPROGRESS", "running", 100, 1),
            ("COMPLETED", "nothing_imported", 100, 1),
        ]
        assert job.outcome == Outcome.NOTHING_IMPORTED
        assert job.needs_attention
        assert job.skip_ratio == 1.0
        assert job.ended_at == job.last_changed_at == job.last_polled_at

    def test_are_stored_with_all_they_say(self, job):
        observe(job, seed.COMPLETED)

        assert (job.status, job.status_raw, job.operation) == ("COMPLETED", "COMPLETED", "insert")
        assert (job.created_by_id, job.created_by_name) == ("111111000000035795", "Patricia Boyle")
        assert job.created_time == datetime(2019, 1, 30, 14, 18, 15, tzinfo=UTC)
        assert (job.modules, job.file_names) == ("Deals", "Deals.csv")
        assert job.download_url == seed.COMPLETED["result"]["download_url"]
        part = Resource.objects.get()
        assert (part.module, part.module_id) == ("Deals", "3652397000000002181")
        assert (part.code, part.file_status) == ("SUCCESS", "COMPLETED")
        assert list(FieldMapping.objects.values_list("api_name", "index", "find_by")) == [
            ("Deal_Name", 1, None),
            ("Stage", 2, None),
        ]

    def test_keep_absent_counts_absent(self, job):
        observe(job, seed.ADDED)

        part = Resource.objects.get()
        for row in (job, part, job.snapshots.get()):
            assert row.added_count is row.updated_count is row.skipped_count is None
            assert row.total_count is None
        assert job.outcome == Outcome.RUNNING

    def test_a_skipped_count_equal_to_the_total_does_not_end_a_running_job(self, job):
        observe(job, seed.IN_PROGRESS)

        assert job.outcome == Outcome.RUNNING
        assert not job.needs_attention
        assert job.alerts.count() == 0

    def test_keys_in_another_order_are_the_same_state(self, job):
        observe(job, seed.IN_PROGRESS)
        observe(job, dict(reversed(seed.IN_PROGRESS.items())))

        assert job.snapshots.get().polls == 2


@pytest.mark.parametrize("word", ["IN PROGRESS", "INPROGRESS", "In-Progress", "in_progress"])
def test_a_running_job_is_one_however_zoho_spells_it(job, word):
    observe(job, body(job, word, resource(word)))

    assert (job.status, job.status_raw, job.outcome) == ("INPROGRESS", word, Outcome.RUNNING)
    part = job.resources.get()
    assert (part.status, part.status_raw) == ("INPROGRESS", word)


def test_a_result_code_is_no_status(job):
    part = resource("COMPLETED", added=1, updated=0, skipped=0, total=1) | {"code": "INPROGRESS"}

    observe(job, body(job, "COMPLETED", part))

    assert job.outcome == Outcome.IMPORTED
    assert job.resources.get().code == "INPROGRESS"


def unchanged_poll_queries(number: int) -> list[str]:
    """The statements that record an unchanged answer for each of so many jobs."""
    org = make_proven()
    jobs = [make_job(org) for _ in range(number)]
    said = {
        job.pk: body(job, "INPROGRESS", resource("INPROGRESS", added=1), created_time=None)
        for job in jobs
    }
    for captured in (None, CaptureQueriesContext(database)):
        BulkWriteJob.objects.filter(connection=org).update(next_poll_at=timezone.now())
        [claim] = [claim for claim in polling.claim_due() if claim.connection_id == org.pk]
        answers = [answer(job, said[job.pk]) for job in jobs]
        if captured is None:
            record(org, claim.lease_token, answers)
            continue
        with captured:
            batch = record(org, claim.lease_token, answers)
    assert len(batch.unchanged) == number
    return [query["sql"] for query in captured.captured_queries]


@pytest.mark.parametrize("number", [10, 100])
@time_machine.travel("2026-11-25T08:00:10Z")
def test_an_unchanged_batch_adds_no_row_and_takes_nine_statements(number):
    def rows() -> list[int]:
        return [model.objects.count() for model in (Snapshot, Resource, FieldMapping, JobEvent)]

    statements = unchanged_poll_queries(number)

    # connection, savepoint, jobs of the claim, jobs written, snapshots read and written, connection
    # locked and written, end of the savepoint
    assert len(statements) == 9, "\n".join(statement[:120] for statement in statements)
    assert rows() == [number, number, 2 * number, number]  # one event: "Running"
    assert set(Snapshot.objects.values_list("polls", flat=True)) == {2}


LONG = "x" * 10_000
HOSTILE = {
    "nul_and_half_surrogates": "a\0b\ud800c\udfffd",
    "ten_thousand_characters": LONG,
    "markup": "<script>alert(1)</script>" * 30,
    "line_breaks": "a\r\nBcc: victim@example.com",
    "right_to_left": "\u202egnp.exe",
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_any_text_in_any_field_is_stored(job, text):
    part = resource("COMPLETED", added=1, updated=0, skipped=0, total=1)
    part |= {"code": text, "type": text, "find_by": text, "file_names": [text] * 120}
    part["module"] = {"api_name": text, "id": text}
    part["file"] |= {"name": text, "status": text}
    mapping = dict.fromkeys(["api_name", "find_by", "format", "module"], text)
    part["field_mappings"] = [mapping | {"default_value": {text: [text, {"deep": text}]}}]
    sample = body(
        job,
        text,
        part,
        operation=text,
        character_encoding=text,
        created_by={"id": text, "name": text},
        result={"download_url": text},
    )

    observe(job, sample)

    assert job.polls == 1
    assert job.poll_error is None
    assert Resource.objects.get().added_count == 1
    stored = json.loads(job.snapshots.get().raw)
    assert "\0" not in json.dumps(stored)
    assert len(FieldMapping.objects.get().api_name) <= 255


@pytest.mark.parametrize("number", [LARGEST, LARGEST + 1, 10**30, -1, 1.5, "7", "x", True, [], {}])
def test_any_number_is_stored_or_left_out(job, number):
    counts = dict.fromkeys(["added", "updated", "skipped", "total"], number)
    parts = [resource("COMPLETED", module=name, **counts) for name in ("Leads", "Tasks")]
    parts[0]["field_mappings"] = [{"api_name": "A", "index": number, "parent_column_index": number}]

    observe(job, body(job, "COMPLETED", *parts, created_time=number))

    kept = {LARGEST: LARGEST, "7": 7}.get(number if isinstance(number, int | str) else "")
    assert {part.added_count for part in job.resources.all()} == {kept}
    assert job.added_count == (None if kept is None else min(2 * kept, LARGEST))


def test_two_hundred_resources_with_long_names_fit(job):
    parts = [resource("INPROGRESS", module=f"{number}{LONG[:500]}") for number in range(300)]

    observe(job, body(job, "INPROGRESS", *parts))

    assert job.resources.count() == 200
    assert len(job.modules) == 500
    assert len(job.file_names) == 1000
    assert job.file_names.lower() in job.search_text


@pytest.mark.parametrize(
    "created", ["0001-01-01T00:00:00+00:00", "9999-12-31T23:59:59+00:00", "2019-01-30", "soon", ""]
)
def test_any_time_of_creation_leaves_the_next_poll_within_its_bounds(job, created):
    observe(job, body(job, "INPROGRESS", resource("INPROGRESS"), created_time=created))

    wait = job.next_poll_at - job.last_polled_at
    assert timedelta(seconds=4) < wait < timedelta(seconds=331)
