"""Fetching results with something in the way: a full disk, a dead link, a hostile address."""

import os
import resource
from contextlib import contextmanager
from datetime import timedelta

import pytest
import responses
import time_machine
from django.core.files.base import ContentFile
from django.core.files.storage import FileSystemStorage
from django.utils import timezone

from jobs import tasks
from jobs.models import Alert, BulkWriteJob, CallSlot, Connection, CreditUse, JobEvent, Result
from jobs.services.limits import credits, slots
from jobs.services.observing import leases, polling
from jobs.services.results import fetching
from jobs.tests.factories import body, completed, make_job, observe
from jobs.tests.factories import resource as part
from jobs.tests.stand_in import TOKEN_URL, StandIn, csv_of, result_url, zip_of

pytestmark = pytest.mark.django_db
State = Result.State

ROW = ("Meier", "ADDED", "1", "")
ZIP = zip_of(Leads=csv_of(ROW))
MIB = 1024 * 1024
# Larger than the test database grows, smaller than the file that is offered.
ROOM = 24 * MIB


@pytest.fixture
def zoho(zoho: StandIn) -> StandIn:
    zoho.gives_tokens()
    return zoho


@pytest.fixture
def job() -> BulkWriteJob:
    """A job that has ended and whose result is to be fetched."""
    job = make_job()
    observe(job, completed(job, added=1, updated=0, skipped=0, total=1))
    return job


def fetch(job: BulkWriteJob, *, after: timedelta = timedelta()) -> Result:
    with time_machine.travel(timezone.now() + after):
        for pk in fetching.claim_due():
            fetching.fetch(pk)
    return Result.objects.get(job=job)


@contextmanager
def no_room():
    """No file of this process grows beyond ROOM: writing fails as it does on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (ROOM, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def files_in(storage, folder="results"):
    root = storage.path(folder)
    return [name for _, _, names in os.walk(root) for name in names]


@pytest.fixture
def storage(settings, tmp_path):
    """An empty storage for the results."""
    settings.STORAGES = settings.STORAGES | {
        "default": {
            "BACKEND": "django.core.files.storage.FileSystemStorage",
            "OPTIONS": {"location": str(tmp_path)},
        }
    }
    field = Result._meta.get_field("archive")
    assert isinstance(field.storage, FileSystemStorage)
    return field.storage


def test_a_disk_that_fills_up_while_downloading_leaves_nothing_and_says_what_to_do(
    zoho, job, storage, monkeypatch, tmp_path
):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    zoho.offers(job, b"PK\x03\x04" + bytes(ROOM + MIB))
    with no_room():
        result = fetch(job)

    assert (result.state, result.attempts, result.lease_until) == (State.PENDING, 1, None)
    assert "could not be stored here: File too large" in result.error["message"]
    assert "Make room on the disk" in result.error["resolution"]
    assert list(tmp_path.iterdir()) == []

    zoho.mock.replace(responses.GET, result_url(job), body=ZIP)
    assert fetch(job, after=fetching.SLOW_RETRY).state == State.ARCHIVED


class FullStorage(FileSystemStorage):
    """One whose disk has room for the first bytes of a file only."""

    def _save(self, name, content):
        super()._save(name, ContentFile(content.read(20)))
        raise OSError(28, "No space left on device")


def test_a_disk_that_fills_up_while_storing_keeps_no_part_of_the_file(
    zoho, job, storage, monkeypatch
):
    zoho.offers(job, ZIP)
    full = FullStorage(location=storage.location)
    with monkeypatch.context() as broken:
        broken.setattr(Result._meta.get_field("archive"), "storage", full)
        result = fetch(job)

    assert (result.state, result.archive.name) == (State.PENDING, "")
    assert result.error["message"] == "It could not be stored here: No space left on device."
    assert files_in(storage) == []
    assert not result.files.exists()

    assert fetch(job, after=fetching.SLOW_RETRY).state == State.ARCHIVED
    assert len(files_in(storage)) == 1


def test_a_copy_whose_row_was_never_written_goes_when_zoho_no_longer_has_the_file(
    zoho, job, storage
):
    result = Result.objects.get(job=job)
    # As after a crash between storing the file and committing the row.
    storage.save(result.archive.field.generate_filename(result, ""), ContentFile(b"PK"))
    other = storage.save(
        f"results/{job.connection_id}/{job.zoho_job_id[-3:]}/9-x.zip", ContentFile(b"PK")
    )
    zoho.offers(job, b"{}", status=404)

    assert fetch(job).state == State.EXPIRED

    assert files_in(storage) == [os.path.basename(other)]


def test_a_worker_that_lost_its_lease_ends_nothing(zoho, job):
    late = Result.objects.select_related("job__connection").get(job=job)

    def is_slow(request):
        Result.objects.filter(pk=late.pk).update(state=State.ARCHIVED, archive="results/1/kept.zip")
        return 404, {}, b"{}"

    zoho.mock.add_callback(responses.GET, result_url(job), is_slow)
    fetching.fetch(late.pk)

    late.refresh_from_db()
    assert (late.state, late.archive.name, late.error) == (
        State.ARCHIVED,
        "results/1/kept.zip",
        None,
    )


def test_a_failure_that_comes_late_leaves_a_kept_result_alone(zoho, job):
    def is_slow(request):
        Result.objects.filter(job=job).update(state=State.ARCHIVED)
        return 503, {}, b""

    zoho.mock.add_callback(responses.GET, result_url(job), is_slow)
    fetching.fetch(job.result.pk)

    job.result.refresh_from_db()
    assert (job.result.state, job.result.error) == (State.ARCHIVED, None)


MINUTE = timedelta(minutes=1)
FORBIDDEN = b'{"code": "NO_PERMISSION", "message": "permission denied"}'


def kinds() -> list[str]:
    told = Alert.objects.filter(job=None).order_by("pk")
    return list(told.values_list("kind", flat=True))


def test_a_missing_permission_ends_the_fetching_until_somebody_refreshes(zoho, job):
    zoho.offers(job, FORBIDDEN, status=403)

    assert fetch(job).state == State.PENDING
    result = fetch(job, after=MINUTE)

    assert (result.state, result.error["code"]) == (State.REFUSED, "NO_PERMISSION")
    assert "administrator" in result.error["resolution"]
    assert fetch(job, after=timedelta(days=3)).attempts == 2
    assert not Connection.objects.get().is_blocked

    zoho.mock.replace(responses.GET, result_url(job), body=ZIP)
    polling.make_due([job])
    assert fetch(job).state == State.ARCHIVED


def test_a_missing_permission_has_another_job_tell_whose_it_is(zoho, job):
    zoho.offers(job, FORBIDDEN, status=403)
    other = make_job(job.connection, next_poll_at=timezone.now() + timedelta(hours=1))
    fetch(job)
    assert not Connection.objects.get().is_proven
    assert fetch(job, after=MINUTE).state == State.PENDING

    [claim] = polling.claim_due()
    leases.release(job.connection, claim.lease_token)
    with time_machine.travel(timezone.now() + MINUTE):
        observe(other, body(other))
    assert fetch(job, after=3 * MINUTE).state == State.REFUSED
    assert kinds() == []


def test_a_missing_permission_of_a_connection_that_was_not_answered_lately_is_told(zoho, job):
    zoho.offers(job, FORBIDDEN, status=403)
    assert fetch(job, after=timedelta(hours=2)).state == State.PENDING

    org = Connection.objects.get()
    assert (org.is_blocked, org.last_error["code"]) == (True, "NO_PERMISSION")
    assert kinds() == ["connection_blocked"]


def test_a_revoked_sign_in_is_told_though_no_job_is_watched_and_over_when_repaired(zoho, job):
    polled_at = Connection.objects.get().last_polled_at
    zoho.mock.replace(responses.POST, TOKEN_URL, json={"error": "invalid_code"})
    zoho.offers(job, ZIP)
    for minutes in (0, 2, 10, 59, 62, 80):
        assert fetch(job, after=minutes * MINUTE).state == State.PENDING

    org = Connection.objects.get()
    assert (org.is_blocked, org.last_error["code"]) == (True, "invalid_code")
    assert org.last_polled_at == polled_at
    assert kinds() == ["connection_blocked"]
    assert len(zoho.asked(TOKEN_URL)) == 2

    zoho.mock.replace(responses.POST, TOKEN_URL, json={"access_token": "new", "expires_in": 3600})
    assert fetch(job, after=123 * MINUTE).state == State.ARCHIVED
    assert not Connection.objects.get().is_blocked
    assert kinds() == ["connection_blocked", "recovered"]


def test_a_sign_in_that_is_refused_for_results_alone_does_not_stop_the_connection(zoho, job):
    zoho.offers(job, b'{"code": "OAUTH_SCOPE_MISMATCH"}', status=401)
    other = make_job(job.connection)
    assert fetch(job).state == State.PENDING
    assert not Connection.objects.get().is_blocked

    with time_machine.travel(timezone.now() + MINUTE / 2):
        observe(other, body(other))
    assert fetch(job, after=MINUTE).state == State.REFUSED
    assert not Connection.objects.get().is_blocked
    assert kinds() == []


def test_a_dead_link_is_not_asked_for_again_even_by_a_refresh(zoho, job):
    zoho.offers(job, b"<html>Link not valid", status=403, content_type="text/html")
    assert fetch(job).state == State.EXPIRED

    polling.make_due([job])
    observe(job, completed(job, added=1, updated=0, skipped=0, total=1))

    assert fetch(job, after=timedelta(days=1)).state == State.EXPIRED
    assert len(zoho.asked(result_url(job))) == 1


def test_what_was_tried_for_seven_days_says_what_can_still_be_done(zoho, job):
    zoho.offers(job, b"", status=503)
    fetch(job)

    result = fetch(job, after=timedelta(days=7, minutes=1))

    assert (result.state, result.error["http_status"]) == (State.FAILED, 503)
    assert "tries again by itself" not in result.error["resolution"]
    assert "Refresh now" in result.error["resolution"]


@pytest.mark.parametrize(
    "address",
    [
        "https://evil.example/v7/crm/org1/x.zip",
        "https://zoho.com.evil.example/x.zip",
        "//evil.example/x.zip",
        "http://127.0.0.1:10/x.zip",
        "http://localhost:9/x.zip",
        "file:///etc/passwd",
        "/a/../../x.zip",
        "\\\\evil.example\\x.zip",
        "/%2f%2fevil.example/x.zip",
        "javascript:alert(1)",
        "https://ev\u0456l.example/x.zip",
    ],
)
def test_a_hostile_address_is_named_on_the_job(zoho, address):
    job = make_job()
    counts = part(added=1, updated=0, skipped=0, total=1)
    observe(job, body(job, "COMPLETED", counts, result={"download_url": address}))

    result = fetch(job)

    assert result.state == State.REFUSED
    assert ascii(address) in result.error["message"]
    assert "data centre" in result.error["resolution"]
    event = job.events.get(kind=JobEvent.Kind.RESULT)
    assert event.text.startswith("Refused: The download address is not one of")
    assert zoho.asked() == []


def test_a_redirect_to_another_host_is_named_on_the_job(zoho, job):
    zoho.offers(job, b"", status=302, headers={"Location": "https://evil.example/x.zip?a=b"})

    result = fetch(job)

    assert result.state == State.REFUSED
    assert "Redirect refused" in result.error["message"]
    assert "https://evil.example/x.zip" in result.error["message"]
    assert [request.url for request in zoho.asked()] == [TOKEN_URL, result_url(job)]


def test_a_link_that_is_seen_is_fetched_at_once(zoho, monkeypatch):
    queued = []
    for task in (tasks.fetch_due_results, tasks.fetch_result):
        monkeypatch.setattr(
            task, "apply_async", lambda args=(), *, name=task.name, **_: queued.append((name, args))
        )
    monkeypatch.setattr(tasks.deliver_alerts, "apply_async", lambda *args, **options: None)
    job = make_job()
    zoho.says(job, completed(job, added=1, updated=0, skipped=0, total=1))
    zoho.offers(job, ZIP)
    [claim] = polling.claim_due()

    tasks.poll_batch(claim.connection_id, claim.lease_token, False)
    assert queued.pop() == ("jobs.tasks.fetch_due_results", ())
    tasks.fetch_due_results()
    [(name, (result_id,))] = queued
    assert name == "jobs.tasks.fetch_result"
    tasks.fetch_result(result_id)

    assert job.result.state == State.ARCHIVED


class TestWhatADownloadMayUse:
    def test_it_holds_a_call_while_it_lasts_and_spends_a_credit(self, zoho, job):
        held = []

        def look(request):
            held.append(CallSlot.objects.get().calls)
            return 200, {"Content-Type": "application/zip"}, ZIP

        zoho.mock.add_callback(responses.GET, result_url(job), look)

        assert fetch(job).state == State.ARCHIVED
        assert held == [1]
        assert not CallSlot.objects.exists()
        assert CreditUse.objects.get().calls == 1

    def test_its_call_is_its_own_for_as_long_as_it_may_take(self, settings):
        settings.ZOHO_DOWNLOAD_TIMEOUT_SECONDS = 120.0
        assert timedelta(seconds=120) < fetching._slot_good_for() <= CallSlot.LONGEST

        settings.ZOHO_DOWNLOAD_TIMEOUT_SECONDS = 10_000.0
        assert fetching._slot_good_for() == CallSlot.LONGEST

    def test_without_a_free_call_it_waits_a_moment_and_counts_no_attempt(self, zoho, job):
        zoho.offers(job, ZIP)
        [pk] = fetching.claim_due()
        with slots.held(job.connection, 10):
            fetching.fetch(pk)

        result = Result.objects.get(job=job)
        assert zoho.asked() == []
        assert (result.attempts, result.lease_until) == (0, None)
        assert fetch(job, after=timedelta(seconds=6)).state == State.ARCHIVED

    def test_without_credits_it_waits_until_some_are_free_again(self, zoho, job):
        Connection.objects.update(daily_credits=5)
        credits.spend(job.connection, 5)
        zoho.offers(job, ZIP)
        result = fetch(job)

        org = Connection.objects.get()
        assert (result.attempts, zoho.asked()) == (0, [])
        assert org.waiting_for == Connection.Waiting.CREDITS
        assert result.next_attempt_at == org.resume_at
        assert fetch(job, after=timedelta(hours=26)).state == State.ARCHIVED

    @pytest.mark.parametrize("fields", [{"paused": True}, {"waiting_for": "throttled"}])
    def test_one_that_waited_in_the_queue_asks_nothing_if_by_then_it_may_not(
        self, zoho, job, fields
    ):
        zoho.offers(job, ZIP)
        [pk] = fetching.claim_due()
        until = timezone.now() + timedelta(minutes=5)
        Connection.objects.update(resume_at=until, **fields)
        fetching.fetch(pk)

        assert zoho.asked() == []
        result = Result.objects.get(job=job)
        assert (result.state, result.attempts, result.lease_until) == (State.PENDING, 0, None)

    def test_of_a_throttled_connection_a_person_asks_for_none_either(self, zoho, job):
        zoho.offers(job, ZIP)
        until = timezone.now() + timedelta(minutes=5)
        Connection.objects.update(resume_at=until, waiting_for="throttled")
        for pk in fetching.claim_due(Result.objects.filter(job=job)):
            fetching.fetch(pk)

        assert zoho.asked() == []

    def test_a_lease_from_before_the_clock_was_set_back_holds_nothing(self, zoho, job):
        zoho.offers(job, ZIP)
        Result.objects.update(lease_until=timezone.now() + timedelta(hours=1))

        assert fetch(job).state == State.ARCHIVED
