"""Zoho's calls about jobs that nobody has registered."""

from datetime import timedelta

import pytest
from django.utils import timezone

from jobs import tasks
from jobs.models import Alert, BulkWriteJob, JobEvent
from jobs.services.registering import callbacks, job_ids, tracking
from jobs.tests.factories import body, make_job, observe
from jobs.tests.views.called_jobs import is_due
from jobs.zoho.errors import ZohoRejectedError

State = BulkWriteJob.PollState

NEW_ID = "111111000000777001"


def test_an_unknown_job_is_registered_and_due(zoho_calls, hooked):
    assert zoho_calls({"id": NEW_ID, "status": "COMPLETED"}).status_code == 204

    job = BulkWriteJob.objects.get(connection=hooked)
    assert (job.zoho_job_id, job.found_by) == (NEW_ID, BulkWriteJob.FoundBy.CALLBACK)
    assert job.tracked_by is None
    assert is_due(job)
    kinds = set(job.events.values_list("kind", flat=True))
    assert kinds == {JobEvent.Kind.TRACKED, JobEvent.Kind.CALLBACK}


def test_an_unknown_job_is_registered_once(zoho_calls):
    for _ in range(3):
        zoho_calls({"id": NEW_ID})

    assert BulkWriteJob.objects.count() == 1
    assert JobEvent.objects.count() == 2


def test_a_connection_may_forbid_to_register(zoho_calls, hooked, later_job):
    callbacks.set_registers(hooked, False)

    assert zoho_calls({"data": [{"id": NEW_ID}, {"id": later_job.zoho_job_id}]}).status_code == 204

    assert BulkWriteJob.objects.get() == later_job
    assert is_due(later_job)


@pytest.mark.parametrize(
    "what",
    [
        {"id": NEW_ID, "operation": "read", "state": "COMPLETED"},
        {"id": "17"},
        {"id": "9" * 30},
        {},
        b"\x00\xff",
        b"[" * 100_000,
    ],
)
def test_what_is_no_bulk_write_job_is_taken_and_ignored(zoho_calls, hooked, what):
    assert zoho_calls(what).status_code == 204

    assert not BulkWriteJob.objects.exists()
    hooked.refresh_from_db()
    assert hooked.last_callback_at is not None


def test_no_more_unconfirmed_jobs_are_registered_than_may_be(
    zoho_calls, hooked, monkeypatch, later_job
):
    monkeypatch.setattr(callbacks, "MOST_UNCONFIRMED", 3)
    for number in range(5):
        assert zoho_calls({"id": str(int(NEW_ID) + number)}).status_code == 204
    found = list(BulkWriteJob.objects.unconfirmed().order_by("pk"))
    assert len(found) == 3

    zoho_calls({"id": later_job.zoho_job_id})
    assert is_due(later_job)

    observe(found[0], body(found[0]))
    zoho_calls({"id": str(int(NEW_ID) + 9)})
    assert BulkWriteJob.objects.unconfirmed().count() == 3


def test_ids_that_nobody_could_ask_about_are_kept_for_a_month_and_bounded(
    zoho_calls, hooked, monkeypatch
):
    monkeypatch.setattr(callbacks, "MOST_UNCONFIRMED", 2)
    hooked.paused = True
    hooked.save()
    for number in range(4):
        zoho_calls({"id": str(int(NEW_ID) + number)})
        BulkWriteJob.objects.update(tracked_at=timezone.now() - timedelta(days=29))
    callbacks.forget_unconfirmed(timezone.now())
    assert BulkWriteJob.objects.count() == 2

    callbacks.forget_unconfirmed(timezone.now() + timedelta(days=2))
    assert not BulkWriteJob.objects.exists()


def test_a_job_found_by_callback_is_that_of_who_registers_it(zoho_calls, hooked):
    zoho_calls({"id": NEW_ID})
    job = BulkWriteJob.objects.get()
    unknown = ZohoRejectedError("No such job.", code="RESOURCE_NOT_FOUND", http_status=404)
    observe(job, unknown)
    observe(job, unknown)
    assert not Alert.objects.exists()

    [entry] = tracking.track(
        hooked, job_ids.read(NEW_ID).entries, label="My import", alert_recipients="me@example.com"
    )

    assert entry.verdict == tracking.Verdict.ALREADY_TRACKED
    job.refresh_from_db()
    assert (job.found_by, job.label, job.recipients) == ("person", "My import", ["me@example.com"])
    assert is_due(job)
    observe(job, unknown)
    observe(job, unknown)
    assert [alert.kind for alert in Alert.objects.all()] == [Alert.Kind.BLOCKED]
    assert callbacks.forget_unconfirmed(timezone.now() + timedelta(days=60)) == 0


def test_what_zoho_never_knew_is_forgotten_a_day_later(zoho_calls, hooked):
    zoho_calls({"data": [{"id": NEW_ID}, {"id": str(int(NEW_ID) + 1)}]})
    unknown, known = BulkWriteJob.objects.order_by("pk")
    registered = make_job(hooked)
    error = ZohoRejectedError("No such job.", code="RESOURCE_NOT_FOUND", http_status=404)
    for job in (unknown, registered):
        observe(job, error)
        observe(job, error)
    observe(known, body(known))
    BulkWriteJob.objects.update(poll_state=State.BLOCKED)
    tasks.tidy_up()
    assert BulkWriteJob.objects.count() == 3

    BulkWriteJob.objects.update(tracked_at=timezone.now() - timedelta(hours=25))
    tasks.tidy_up()

    assert set(BulkWriteJob.objects.all()) == {known, registered}
