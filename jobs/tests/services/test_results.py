"""Result files: fetched, kept, read, and what they change about their job."""

import hashlib
import io
from datetime import timedelta

import pytest
import time_machine
from django.core.files.base import ContentFile
from django.utils import timezone

from jobs.models import Alert, Connection, Resource, Result, ResultFile, SkipReason
from jobs.services import alerting, job_story
from jobs.services.observing import polling
from jobs.services.reasons import describe
from jobs.services.results import analysis, fetching, tables
from jobs.services.results.reading import RowFilter
from jobs.tests.factories import body, completed, make_connection, make_job, observe, resource
from jobs.tests.services.fetched import ADDED, SKIPPED, ended, fetch
from jobs.tests.stand_in import StandIn, csv_of, result_url, zip_of

pytestmark = pytest.mark.django_db
State = Result.State


@pytest.fixture
def zoho(zoho: StandIn) -> StandIn:
    zoho.gives_tokens()
    return zoho


def kept(result: Result) -> bytes:
    with result.archive.open("rb") as stored:
        return stored.read()


class TestAResultThatIsThere:
    def test_is_kept_as_it_came(self, zoho):
        job = ended(added=1, updated=0, skipped=1, total=2)
        content = zip_of(**{"Leads-Leads": csv_of(ADDED, SKIPPED)})
        zoho.offers(job, content)

        result = fetch(job)

        assert result.state == State.ARCHIVED
        assert kept(result) == content
        assert result.size == len(content)
        assert result.sha256 == hashlib.sha256(content).hexdigest()
        assert (result.error, result.next_attempt_at, result.lease_until) == (None, None, None)
        assert result.archive.name.startswith(f"results/{job.connection_id}/")
        assert job.events.filter(kind="result", text="Kept").exists()

    def test_is_counted_by_status_and_by_reason(self, zoho):
        job = ended(added=2, updated=1, skipped=3, total=7)
        rows = [
            ADDED,
            ("Huber", "added", "2", ""),
            ("Maier", "Updated", "3", ""),
            SKIPPED,
            ("", "skipped", "", "MANDATORY_NOT_FOUND-Last_Name:INVALID_DATA-Email"),
            ("Weiss", "skipped", "", ""),
            ("Gruber", "unprocessed", "", ""),
        ]
        zoho.offers(job, zip_of(Leads=csv_of(*rows)))

        result = fetch(job)

        counted = (result.added_rows, result.updated_rows, result.skipped_rows)
        assert (*counted, result.unprocessed_rows, result.other_rows) == (2, 1, 3, 1, 0)
        assert set(SkipReason.objects.values_list("code", "field", "rows")) == {
            ("MANDATORY_NOT_FOUND", "Last_Name", 2),
            ("INVALID_DATA", "Email", 1),
            ("NO_REASON_GIVEN", "", 1),
            ("UNPROCESSED", "", 1),
        }
        reason = SkipReason.objects.get(code="INVALID_DATA")
        assert reason.samples == [{"row": 5, "values": [""]}]

    def test_of_parent_and_child_has_each_file_with_its_resource(self, zoho):
        job = make_job()
        parts = [
            resource(module=name, added=1, updated=0, skipped=0, total=1)
            for name in ("Deals", "Stages")
        ]
        path = result_url(job).removeprefix("http://127.0.0.1:9")
        observe(job, body(job, "COMPLETED", *parts, result={"download_url": path}))
        zoho.offers(job, zip_of(**{"Stages-upload": csv_of(ADDED), "Deals-upload": csv_of(ADDED)}))

        result = fetch(job)

        assert [(file.name, str(file.resource)) for file in result.files.all()] == [
            ("Stages-upload.csv", "Stages"),
            ("Deals-upload.csv", "Deals"),
        ]
        assert result.added_rows == 2

    def test_gives_its_left_out_rows_with_reasons_in_words(self, zoho):
        job = ended(added=1, updated=0, skipped=1, total=2)
        zoho.offers(job, zip_of(Leads=csv_of(ADDED, SKIPPED, ("X", "unprocessed", "", ""))))
        result = fetch(job)

        _, *rows = tables.rows(result, result.files.all(), RowFilter(status="left_out"))

        meaning = describe("MANDATORY_NOT_FOUND").meaning.rstrip(".")
        assert [row[1:2] + row[4:] for row in rows] == [
            ["2", "skipped", f"Last_Name: {meaning}", "MANDATORY_NOT_FOUND-Last_Name"],
            ["3", "unprocessed", "Zoho did not come to the row before the job ended", ""],
        ]

    def test_takes_the_place_of_a_copy_that_a_crash_left_behind(self, zoho):
        job = ended(added=1, updated=0, skipped=0, total=1)
        pending = Result.objects.get(job=job)
        name = pending.archive.field.generate_filename(pending, "")
        pending.archive.storage.save(name, ContentFile(b"half a ZIP"))
        content = zip_of(Leads=csv_of(ADDED))
        zoho.offers(job, content)

        result = fetch(job)

        assert result.archive.name != name
        assert kept(result) == content
        assert not result.archive.storage.exists(name)

    def test_stays_when_a_late_worker_fetches_it_again(self, zoho):
        job = ended(added=1, updated=0, skipped=0, total=1)
        content = zip_of(Leads=csv_of(ADDED))
        zoho.offers(job, content)
        late = Result.objects.get(job=job)
        first = fetch(job)

        with io.BytesIO(content) as again:
            fetching._keep(late, again, analysis.analyse(again))

        first.refresh_from_db()
        assert kept(first) == content
        folder = first.archive.name.rpartition("/")[0]
        assert len(first.archive.storage.listdir(folder)[1]) == 1

    def test_whatever_it_does_to_its_reader_ends_as_failed(self, zoho):
        job = ended(added=1, updated=0, skipped=0, total=1)
        zoho.offers(job, zip_of(**{"": b"x"}))

        for _ in range(fetching.READ_ATTEMPTS):
            Result.objects.update(next_attempt_at=timezone.now())
            result = fetch(job)

        assert (result.state, result.attempts) == (State.FAILED, fetching.READ_ATTEMPTS)
        assert result.error["message"]

    def test_is_not_fetched_twice(self, zoho):
        job = ended(added=1, updated=0, skipped=0, total=1)
        zoho.offers(job, zip_of(Leads=csv_of(ADDED)))
        result = fetch(job)
        polling.make_due([job])
        observe(job, completed(job, added=1, updated=0, skipped=0, total=1))

        fetching.fetch(result.pk)

        assert fetching.claim_due() == []
        assert len(zoho.asked(result_url(job))) == 1


class TestTheRowsSettleTheJob:
    def test_without_counts_and_tell_what_they_show(self, zoho):
        job = ended()
        assert (job.outcome, job.alerts.count()) == ("unknown", 0)
        zoho.offers(job, zip_of(Leads=csv_of(SKIPPED, SKIPPED)))

        fetch(job)

        assert (job.outcome, job.needs_attention) == ("nothing_imported", True)
        assert (job.added_count, job.skipped_count, job.total_count) == (0, 2, 2)
        alert = job.alerts.get()
        assert alert.kind == Alert.Kind.NOTHING_IMPORTED
        assert list(Alert.objects.due(timezone.now())) == [alert]

    def test_without_counts_down_to_each_resource(self, zoho):
        job = ended()
        zoho.offers(job, zip_of(Leads=csv_of(ADDED, SKIPPED)))

        result = fetch(job)

        # What Zoho left unsaid stays so in the database; what is shown comes from the rows.
        [part] = job.resources.all()
        assert part.total_count is None
        job_story.count_from_rows([part], result.files.all())
        counts = (part.added_count, part.updated_count, part.skipped_count, part.total_count)
        assert counts == (1, 0, 1, 2)
        assert Resource.objects.skips_by_module(timezone.now() - timedelta(days=1)) == [
            {"module": "Leads", "skipped": 1, "total": 2}
        ]

    def test_without_counts_and_stay_settled_when_it_is_read_again(self, zoho):
        job = ended()
        zoho.offers(job, zip_of(Leads=csv_of(ADDED)))
        fetch(job)
        assert job.outcome == "imported"

        observe(job, completed(job) | {"operation": "upsert"})

        assert (job.outcome, job.added_count) == ("imported", 1)
        assert job.snapshots.count() == 2

    def test_where_one_part_of_it_has_no_counts(self, zoho):
        job = make_job()
        parts = [resource(module="Deals", added=1, updated=0, skipped=0, total=1)]
        parts.append(resource(module="Stages"))
        path = result_url(job).removeprefix("http://127.0.0.1:9")
        observe(job, body(job, "COMPLETED", *parts, result={"download_url": path}))
        assert job.outcome == "unknown"
        zoho.offers(job, zip_of(Deals=csv_of(ADDED), Stages=csv_of(SKIPPED, SKIPPED)))

        fetch(job)

        assert (job.outcome, job.needs_attention) == ("partial", True)
        assert (job.skipped_count, job.total_count) == (2, 3)

    def test_with_a_warning_where_they_differ_from_the_counts(self, zoho):
        job = ended(added=2, updated=0, skipped=0, total=2)
        zoho.offers(job, zip_of(Leads=csv_of(ADDED, SKIPPED)))

        fetch(job)

        assert (job.outcome, job.added_count) == ("partial", 2)
        assert any("2 rows added by the count, 1 in the file" in text for text in job.warnings)

    def test_not_where_one_of_its_files_cannot_be_read(self, zoho):
        job = ended()
        zoho.offers(job, zip_of(Leads=csv_of(ADDED), Notes=b"Name,Owner\nA,B\n"))

        for attempt in range(1, fetching.READ_ATTEMPTS + 1):
            with time_machine.travel(timezone.now() + timedelta(hours=attempt)):
                result = fetch(job)
            assert result.attempts == attempt

        # Zoho may give the whole file the next time; what it gives the last time is kept.
        assert (result.state, job.needs_attention) == (State.ARCHIVED, True)
        assert job.outcome == "unknown"
        assert result.added_rows is None
        good, bad = result.files.all()
        assert (good.added_rows, good.rows) == (1, 1)
        assert (bad.added_rows, bad.rows) == (None, None)
        assert "no STATUS and ERRORS columns" in bad.error
        assert "Notes.csv could not be read" in result.warnings[0]
        rows = tables.rows(result, result.files.all(), RowFilter(status="left_out"))
        assert [row[0] for row in rows] == ["File", "Notes.csv"]


@pytest.mark.parametrize(
    "fields",
    [
        {"paused": True},
        {
            "blocked_at": timezone.now(),
            "resume_at": timezone.now() + timedelta(minutes=30),
            "waiting_for": "repair",
        },
    ],
    ids=["paused", "blocked"],
)
def test_nothing_is_fetched_of_a_connection_that_may_not_be_asked(zoho, fields):
    job = ended(added=1, updated=0, skipped=0, total=1)
    Connection.objects.update(**fields)

    assert fetching.claim_due() == []
    assert Result.objects.get(job=job).state == State.PENDING


def test_a_result_is_claimed_by_one_worker_and_comes_back_when_that_one_dies(zoho):
    job = ended(added=1, updated=0, skipped=0, total=1)

    [claimed] = fetching.claim_due()
    assert fetching.claim_due() == []
    with time_machine.travel(timezone.now() + fetching.LEASE + timedelta(seconds=1)):
        assert fetching.claim_due() == [claimed]
    assert job.result.pk == claimed


@pytest.mark.parametrize("content", [zip_of(Leads=csv_of(SKIPPED)), None])
def test_an_alert_waits_for_the_result_and_leaves_when_it_is_read_or_gone(zoho, content):
    job = ended(make_job(make_connection()), added=0, updated=0, skipped=1, total=1)
    assert alerting.deliver_due() == 0
    zoho.offers(job, content or b"{}", status=200 if content else 404)

    fetch(job)

    assert alerting.deliver_due() == 1


def test_names_in_the_zip_are_never_paths(zoho):
    job = ended(added=1, updated=0, skipped=0, total=1)
    zoho.offers(job, zip_of(**{"../../../tmp/evil": csv_of(ADDED)}))

    result = fetch(job)

    assert ResultFile.objects.get().name == "evil.csv"
    assert ".." not in result.archive.name
