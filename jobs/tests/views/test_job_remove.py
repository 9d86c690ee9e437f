"""Removing a job that Zoho never knew."""

from datetime import timedelta

import pytest
from django.utils import timezone

from jobs.models import Alert, BulkWriteJob
from jobs.tests.factories import body, make_connection, make_job, observe, resource
from jobs.tests.views.pages import plain_text
from jobs.zoho.errors import ZohoRejectedError

UNKNOWN = ZohoRejectedError("Not there.", code="RESOURCE_NOT_FOUND", http_status=404)
BUTTON = 'id="action-remove"'
STAYS = "This job stays"


@pytest.fixture
def org(db):
    return make_connection(name="production")


@pytest.fixture
def mistyped(org):
    job = make_job(org, label="price list")
    for _ in range(2):
        observe(job, UNKNOWN)
    return job


@pytest.fixture
def forgotten(org):
    """One that Zoho knew once, and does not know any more before its end was seen."""
    job = make_job(org)
    observe(job, body(job, "INPROGRESS", resource("INPROGRESS")))
    for _ in range(2):
        observe(job, UNKNOWN)
    assert job.poll_state == "blocked"
    return job


def test_it_asks_first_and_changes_nothing_meanwhile(alice, mistyped):
    assert BUTTON in plain_text(alice.get(f"/jobs/{mistyped.pk}/"))

    page = plain_text(alice.get(f"/jobs/{mistyped.pk}/remove/"))

    assert "Remove this job?" in page
    assert mistyped.zoho_job_id in page
    assert BulkWriteJob.objects.count() == 1


def test_the_job_goes_with_its_alerts_and_a_message_says_so(alice, mistyped):
    other = make_job(mistyped.connection)
    assert Alert.objects.pending().count() == 1

    page = plain_text(alice.post(f"/jobs/{mistyped.pk}/remove/", follow=True))

    assert (
        f"Job {mistyped.zoho_job_id} was removed from production. "
        "1 alert that nobody got went with it."
    ) in page
    assert list(BulkWriteJob.objects.all()) == [other]
    assert not Alert.objects.exists()


def test_what_was_removed_can_be_registered_again(alice, mistyped):
    alice.post(f"/jobs/{mistyped.pk}/remove/")

    alice.post("/jobs/track/", {"connection": mistyped.connection_id, "ids": mistyped.zoho_job_id})

    assert BulkWriteJob.objects.get().zoho_job_id == mistyped.zoho_job_id


@pytest.mark.parametrize("method", ["get", "post"])
def test_one_that_zoho_has_said_anything_of_stays(alice, forgotten, method):
    assert BUTTON not in plain_text(alice.get(f"/jobs/{forgotten.pk}/"))

    page = plain_text(getattr(alice, method)(f"/jobs/{forgotten.pk}/remove/", follow=True))

    assert STAYS in page
    assert BulkWriteJob.objects.get() == forgotten


@pytest.mark.parametrize("state", ["active", "done", "paused"])
def test_one_that_zoho_may_still_be_asked_about_stays(alice, mistyped, state):
    BulkWriteJob.objects.update(poll_state=state)
    assert BUTTON not in plain_text(alice.get(f"/jobs/{mistyped.pk}/"))

    assert STAYS in plain_text(alice.post(f"/jobs/{mistyped.pk}/remove/", follow=True))
    assert BulkWriteJob.objects.exists()


def test_while_its_mail_is_being_sent_it_stays(alice, mistyped):
    Alert.objects.update(lease_until=timezone.now() + timedelta(minutes=1))

    page = plain_text(alice.post(f"/jobs/{mistyped.pk}/remove/", follow=True))

    assert "A mail about this job is being sent." in page
    assert BulkWriteJob.objects.exists()


def test_only_who_is_signed_in_removes(client, mistyped):
    assert client.post(f"/jobs/{mistyped.pk}/remove/").status_code == 302
    assert BulkWriteJob.objects.exists()
