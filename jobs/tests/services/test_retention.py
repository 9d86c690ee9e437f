"""How long results stay: deleted by hand and by age, pinned, and what is left of a deleted one."""

import threading
from datetime import timedelta

import pytest
import time_machine
from django.core.files.base import ContentFile
from django.core.files.storage import FileSystemStorage
from django.db import connection as database
from django.utils import timezone

from jobs import tasks
from jobs.models import BulkWriteJob, JobEvent, OriginalFile, Outcome, Result, SkipReason
from jobs.services.job_json import as_json
from jobs.services.observing import polling
from jobs.services.results import fetching, retention
from jobs.tests.factories import (
    body,
    completed,
    make_job,
    make_result,
    make_user,
    observe,
    resource,
)

pytestmark = pytest.mark.django_db
State = Result.State
ROWS = (
    "Last_Name,Email,STATUS,RECORD_ID,ERRORS\n"
    "Boyle,boyle@canary.example,ADDED,1,\n"
    "Ito,ito@canary.example,SKIPPED,,INVALID_DATA-Email\n"
    "Roe,roe@canary.example,SKIPPED,,INVALID_DATA-Email\n"
)


def kept(days: int = 0, **fields) -> BulkWriteJob:
    """A job whose result was kept so many days ago."""
    job = make_job(**fields)
    observe(job, completed(job, added=1, updated=0, skipped=2, total=3))
    make_result(job, {"Leads.csv": ROWS})
    Result.objects.filter(job=job).update(fetched_at=timezone.now() - timedelta(days=days, hours=1))
    return job


def result_of(job: BulkWriteJob) -> Result:
    return Result.objects.get(job=job)


def path_of(job: BulkWriteJob) -> tuple[FileSystemStorage, str]:
    result = result_of(job)
    return result.archive.storage, str(result.archive.name)


def attach(job: BulkWriteJob) -> OriginalFile:
    original = OriginalFile(
        file=result_of(job).files.get(),
        name="leads.csv",
        size=3,
        attached_at=timezone.now(),
        expires_at=timezone.now() + timedelta(hours=24),
        report={},
    )
    original.content.save("x", ContentFile(b"a@canary.example"), save=False)
    original.save()
    return original


@pytest.fixture
def stuck_storage(monkeypatch):
    """A storage that deletes nothing until the returned function is called."""

    def refuse(self, name):
        raise PermissionError(13, "Permission denied")

    broken = monkeypatch.context()
    patch = broken.__enter__()
    patch.setattr(FileSystemStorage, "delete", refuse)
    yield patch.undo
    broken.__exit__(None, None, None)


class TestADeletedResult:
    def test_has_no_file_and_keeps_its_figures(self):
        job = kept()
        storage, name = path_of(job)
        before = as_json(job)["result"]

        assert retention.delete_result(result_of(job), actor=make_user("anna"))

        assert not storage.exists(name)
        result = result_of(job)
        assert (result.state, result.archive.name) == (State.DELETED, "")
        assert result.deleted_at is not None
        assert as_json(job)["result"] == before | {"state": "deleted"}
        event = job.events.get(kind=JobEvent.Kind.RESULT_DELETED)
        assert (event.actor.get_username(), event.text) == ("anna", "")

    def test_holds_no_value_of_any_row(self):
        job = kept()
        SkipReason.objects.update(
            first_rows=[2, 3],
            facts={"column": 1, "empty": 0, "values": [["ito@canary.example", 1]], "different": 2},
        )

        retention.delete_result(result_of(job))

        reason = SkipReason.objects.get()
        assert (reason.samples, reason.first_rows, reason.rows) == ([], [2, 3], 2)
        assert reason.facts == {"column": 1, "empty": 0, "values": [], "different": 2}
        assert "canary.example" not in str(list(SkipReason.objects.values()))

    def test_keeps_the_row_numbers_that_only_its_samples_had(self):
        job = kept()
        SkipReason.objects.update(first_rows=[])

        retention.delete_result(result_of(job))

        assert SkipReason.objects.get().first_rows == [2, 3]

    def test_takes_attached_uploads_with_it(self):
        job = kept()
        content = attach(job).content

        retention.delete_result(result_of(job))

        assert not OriginalFile.objects.exists()
        assert not content.storage.exists(content.name)

    def test_leaves_the_other_results_as_they_are(self):
        job, other = kept(), kept()
        attach(other)

        retention.delete_result(result_of(job))

        storage, name = path_of(other)
        assert storage.exists(name)
        assert SkipReason.objects.filter(file__result__job=other).get().samples
        assert OriginalFile.objects.count() == 1

    def test_is_never_fetched_again(self):
        job = kept()
        retention.delete_result(result_of(job))

        observe(job, completed(job, added=1, updated=0, skipped=2, total=3))
        polling.make_due([job])
        observe(job, completed(job, added=1, updated=0, skipped=2, total=3))
        with time_machine.travel(timezone.now() + timedelta(days=2)):
            assert fetching.claim_due() == []
            assert fetching.claim_due(Result.objects.all()) == []
        fetching.fetch(result_of(job).pk)

        assert (result_of(job).state, result_of(job).attempts) == (State.DELETED, 0)

    def test_goes_on_settling_the_outcome(self):
        job = make_job()
        observe(job, body(job, "COMPLETED", resource(), result={"download_url": "/x.zip"}))
        make_result(job, {"Leads.csv": ROWS})
        assert job.outcome == Outcome.PARTIAL
        retention.delete_result(result_of(job))

        changed = resource(module="Leads") | {"code": "CHANGED"}
        observe(job, body(job, "COMPLETED", changed, result={"download_url": "/x.zip"}))

        assert job.outcome == Outcome.PARTIAL
        assert job.skipped_count == 2

    def test_can_be_read_to_the_end_by_a_download_under_way(self):
        job = kept()
        with result_of(job).archive.open("rb") as download:
            retention.delete_result(result_of(job))
            assert download.read(2) == b"PK"


class TestWhatCannotBeDeleted:
    @pytest.mark.parametrize(
        "state", [state for state in State.values if state != State.ARCHIVED], ids=str
    )
    def test_is_a_result_of_which_no_copy_is_kept(self, state):
        job = kept()
        Result.objects.update(state=state)

        with pytest.raises(retention.NotDeletableError, match="No copy"):
            retention.delete_result(result_of(job))

        assert result_of(job).state == state
        assert SkipReason.objects.get().samples

    def test_is_the_result_of_a_pinned_job(self):
        job = kept(pinned=True)
        storage, name = path_of(job)

        with pytest.raises(retention.NotDeletableError, match="Unpin it first"):
            retention.delete_result(result_of(job))

        assert result_of(job).state == State.ARCHIVED
        assert storage.exists(name)


class TestAStorageThatDeletesNothing:
    def test_leaves_a_deleted_result_whose_file_the_next_run_removes(self, stuck_storage, caplog):
        job = kept()
        storage, name = path_of(job)

        assert not retention.delete_result(result_of(job))
        assert result_of(job).state == State.DELETED
        assert "Permission denied" in caplog.text
        retention.tidy_up(timezone.now())
        assert storage.exists(name)

        stuck_storage()
        retention.tidy_up(timezone.now())
        assert not storage.exists(name)
        assert result_of(job).archive.name == ""

    def test_does_not_keep_the_others_from_going(self, stuck_storage, settings):
        settings.RESULT_RETENTION_DAYS = 30
        jobs = [kept(31), kept(31)]

        retention.tidy_up(timezone.now())

        assert {result_of(job).state for job in jobs} == {State.DELETED}


def test_a_crash_before_the_file_went_is_made_good_by_the_next_run(monkeypatch):
    job = kept()
    attach(job)
    storage, name = path_of(job)
    with monkeypatch.context() as crash:
        crash.setattr(retention, "_remove_files", lambda result: True)
        retention.delete_result(result_of(job))
    assert storage.exists(name)

    retention.tidy_up(timezone.now())

    assert not storage.exists(name)
    assert not OriginalFile.objects.exists()


def test_a_file_that_is_gone_already_is_no_trouble():
    job = kept()
    storage, name = path_of(job)
    storage.delete(name)

    assert retention.delete_result(result_of(job))


def test_attached_uploads_go_when_their_time_has_passed():
    original = attach(kept())
    retention.tidy_up(timezone.now())
    assert OriginalFile.objects.exists()

    retention.tidy_up(original.expires_at)

    assert not OriginalFile.objects.exists()
    assert not original.content.storage.exists(original.content.name)


class TestByAge:
    def test_nothing_goes_unless_it_is_asked_for(self, settings):
        assert settings.RESULT_RETENTION_DAYS == 0
        job = kept(3650)

        assert retention.tidy_up(timezone.now()) is False

        assert result_of(job).state == State.ARCHIVED

    def test_what_was_kept_longer_goes_and_says_which_rule(self, settings):
        settings.RESULT_RETENTION_DAYS = 30
        old, new, pinned = kept(30), kept(29), kept(31, pinned=True)

        retention.tidy_up(timezone.now())

        states = [result_of(job).state for job in (old, new, pinned)]
        assert states == [State.DELETED, State.ARCHIVED, State.ARCHIVED]
        event = old.events.get(kind=JobEvent.Kind.RESULT_DELETED)
        assert (event.actor, event.text) == (
            None,
            "by the rule that results are kept for 30 days",
        )

    def test_a_run_is_bounded_and_the_next_goes_on(self, settings, monkeypatch):
        settings.RESULT_RETENTION_DAYS = 30
        monkeypatch.setattr(retention, "AT_ONCE", 2)
        jobs = [kept(40 - number) for number in range(3)]

        assert retention.tidy_up(timezone.now()) is True
        assert [result_of(job).state for job in jobs] == ["deleted", "deleted", "archived"]
        assert retention.tidy_up(timezone.now()) is False
        assert result_of(jobs[2]).state == State.DELETED

    def test_pinned_results_take_nobody_s_turn(self, settings, monkeypatch):
        settings.RESULT_RETENTION_DAYS = 30
        monkeypatch.setattr(retention, "AT_ONCE", 1)
        kept(40, pinned=True), kept(39, pinned=True)
        job = kept(31)

        assert retention.tidy_up(timezone.now()) is False

        assert result_of(job).state == State.DELETED

    def test_a_run_ends_in_time(self, settings, monkeypatch):
        settings.RESULT_RETENTION_DAYS = 30
        monkeypatch.setattr(retention, "RUN_SECONDS", 0.0)
        kept(31)

        assert retention.tidy_up(timezone.now()) is True

    def test_the_task_goes_on_as_long_as_more_is_left(self, settings, monkeypatch):
        settings.RESULT_RETENTION_DAYS = 30
        queued = []
        monkeypatch.setattr(tasks.tidy_up, "apply_async", lambda **options: queued.append(options))
        monkeypatch.setattr(retention, "AT_ONCE", 1)
        kept(31), kept(31)

        tasks.tidy_up()
        assert len(queued) == 1
        assert queued[0]["expires"]
        tasks.tidy_up()
        assert len(queued) == 1

    def test_the_schedule_knows_the_task_and_ends_before_its_successor(self, settings):
        entry = settings.CELERY_BEAT_SCHEDULE["tidy-up"]
        assert entry["task"] == tasks.tidy_up.name
        assert entry["options"]["expires"] <= entry["schedule"].total_seconds()


class TestPinning:
    def test_is_noted_once_with_who_did_it(self):
        job, anna = kept(), make_user("anna")

        retention.set_pinned(job, True, actor=anna)
        retention.set_pinned(job, True, actor=make_user("bob"))
        retention.set_pinned(job, False, actor=anna)

        job.refresh_from_db()
        assert job.pinned is False
        pins = job.events.filter(kind__in=[JobEvent.Kind.PINNED, JobEvent.Kind.UNPINNED])
        assert list(pins.values_list("kind", "actor")) == [
            (JobEvent.Kind.PINNED, anna.pk),
            (JobEvent.Kind.UNPINNED, anna.pk),
        ]

    def test_is_not_undone_by_a_poll(self):
        job = make_job()
        retention.set_pinned(job, True, actor=make_user())

        observe(job, completed(job, added=1, updated=0, skipped=0, total=1))

        assert job.pinned is True


class TestLifetime:
    """`created_time` is a minute before the end that is seen (`factories.body`)."""

    def lifetime(self, job, *, after=timedelta()):
        return retention.lifetime(
            job, Result.objects.filter(job=job).first(), timezone.now() + after
        )

    def test_zoho_keeps_its_copy_for_a_week_after_an_end_between_two_moments(self):
        job = kept()

        told = self.lifetime(job)

        assert told.zoho_keeps_from == job.created_time + timedelta(days=7)
        assert told.zoho_keeps_until == job.ended_at + timedelta(days=7)

    @pytest.mark.parametrize(
        ("after", "at_zoho"),
        [
            (timedelta(days=6), "kept"),
            (timedelta(days=7) - timedelta(seconds=30), "perhaps"),
            (timedelta(days=7, seconds=1), "gone"),
        ],
    )
    def test_whether_zoho_has_its_copy_is_said_as_far_as_it_is_known(self, after, at_zoho):
        assert self.lifetime(kept(), after=after).at_zoho == at_zoho

    def test_without_an_end_nothing_is_known(self):
        assert self.lifetime(make_job()).at_zoho == "unknown"

    def test_without_the_moment_of_creation_the_copy_may_be_gone_already(self):
        job = kept()
        job.created_time = None

        assert self.lifetime(job).at_zoho == "perhaps"

    @pytest.mark.parametrize(
        "days, pinned, known", [(0, False, False), (30, True, False), (30, False, True)]
    )
    def test_the_day_of_deletion_is_known_where_the_rule_applies(
        self, settings, days, pinned, known
    ):
        settings.RESULT_RETENTION_DAYS = days
        job = kept(pinned=pinned)

        told = self.lifetime(job).deleted_here_at

        assert told == (result_of(job).fetched_at + timedelta(days=30) if known else None)

    def test_a_copy_whose_file_is_missing_or_cut_short_is_lost(self):
        job = kept()
        storage, name = path_of(job)
        assert not self.lifetime(job).is_lost
        with open(storage.path(name), "r+b") as file:
            file.truncate(10)
        assert self.lifetime(job).is_lost
        storage.delete(name)
        assert self.lifetime(job).is_lost

    def test_a_deleted_copy_is_not_lost_and_says_who(self):
        job = kept()
        retention.delete_result(result_of(job), actor=make_user("anna"))

        told = self.lifetime(job)

        assert not told.is_lost
        assert told.deletion.actor.get_username() == "anna"


@pytest.mark.django_db(transaction=True)
def test_of_two_people_who_delete_at_once_one_is_told_that_it_is_gone():
    job = kept()
    ends = []
    barrier = threading.Barrier(2)

    def delete():
        result = result_of(job)
        barrier.wait()
        try:
            ends.append(retention.delete_result(result))
        except retention.NotDeletableError:
            ends.append(None)
        finally:
            database.close()

    threads = [threading.Thread(target=delete) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(map(str, ends)) == ["None", "True"]
    assert job.events.filter(kind=JobEvent.Kind.RESULT_DELETED).count() == 1
