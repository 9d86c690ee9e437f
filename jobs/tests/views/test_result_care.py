"""Pinning a job, deleting our copy of its result, and what the page says of how long it stays."""

import html
import re
from datetime import timedelta

import pytest
from django.core.files.storage import FileSystemStorage
from django.test import Client
from django.utils import timezone

from jobs.models import BulkWriteJob, Connection, JobEvent, Result
from jobs.services.results import retention
from jobs.tests.factories import completed, make_connection, make_job, make_result, make_user
from jobs.tests.factories import observe as see

HTMX = {"HX-Request": "true"}
ROWS = "Last_Name,STATUS,RECORD_ID,ERRORS\nBoyle,ADDED,1,\nIto,SKIPPED,,INVALID_DATA-Last_Name\n"
DELETE_BUTTON = 'id="result-delete"'


@pytest.fixture
def admin(db):
    admin = Client()
    admin.force_login(make_user("admin", is_staff=True))
    return admin


@pytest.fixture
def job(db) -> BulkWriteJob:
    job = make_job(make_connection(name="production"))
    see(job, completed(job, added=1, updated=0, skipped=1, total=2))
    make_result(job, {"Leads.csv": ROWS})
    return job


def in_state(job, state, **fields):
    Result.objects.filter(job=job).update(state=state, **fields)


def text_of(response) -> str:
    page = response.content.decode()
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", page)).split())


def page(client, job, **headers):
    return client.get(f"/jobs/{job.pk}/", headers=headers)


def lifetime_of(client, job) -> str:
    """The words of the page's part on how long the result stays."""
    content = page(client, job).content.decode()
    [part] = re.findall(r'<div class="card-note" id="result-lifetime">.*?</section>', content, re.S)
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", part)).split())


class TestPinning:
    def pin(self, client, job, pinned, **headers):
        return client.post(f"/jobs/{job.pk}/pin/", {"pinned": pinned}, headers=headers)

    def test_anybody_signed_in_pins_and_unpins(self, alice, job):
        assert "Keep this result" in lifetime_of(alice, job)

        response = self.pin(alice, job, "yes")
        assert (response.status_code, response["Location"]) == (302, f"/jobs/{job.pk}/")
        assert "Pinned: kept whatever its age. Unpin" in lifetime_of(alice, job)

        self.pin(alice, job, "no")
        assert "Keep this result" in lifetime_of(alice, job)
        kinds = job.events.filter(actor__username="alice").values_list("kind", flat=True)
        assert list(kinds) == [JobEvent.Kind.PINNED, JobEvent.Kind.UNPINNED]

    def test_with_htmx_the_live_part_comes_back(self, alice, job):
        response = self.pin(alice, job, "yes", **HTMX)

        assert response.status_code == 200
        assert b'id="job-live"' in response.content
        assert b"<html" not in response.content
        assert b"Pinned: kept whatever its age" in response.content

    @pytest.mark.parametrize("data", [{}, {"pinned": ""}, {"pinned": "perhaps"}])
    def test_what_says_neither_changes_nothing_and_is_told(self, alice, job, data):
        response = alice.post(f"/jobs/{job.pk}/pin/", data, follow=True)

        assert "neither pinned=yes nor pinned=no" in text_of(response)
        assert not job.events.filter(kind__in=("pinned", "unpinned")).exists()

    def test_needs_a_post_a_sign_in_and_a_job(self, alice, job):
        assert alice.get(f"/jobs/{job.pk}/pin/").status_code == 405
        assert self.pin(alice, BulkWriteJob(pk=4711), "yes").status_code == 404
        assert self.pin(Client(), job, "yes")["Location"].startswith("/accounts/login/")
        assert self.pin(Client(enforce_csrf_checks=True), job, "yes").status_code == 403
        job.refresh_from_db()
        assert not job.pinned

    @pytest.mark.parametrize("state", ["expired", "failed", "refused", "deleted"])
    def test_is_not_offered_where_nothing_is_kept(self, alice, job, state):
        in_state(job, state)

        assert "Keep this result" not in lifetime_of(alice, job)

        BulkWriteJob.objects.update(pinned=True)
        assert "Unpin" in lifetime_of(alice, job)


class TestDeleting:
    def test_the_page_says_what_goes_and_what_stays_and_deletes_nothing(self, admin, job):
        text = text_of(admin.get(f"/jobs/{job.pk}/result/delete/"))

        for words in ("What goes:", "What stays:", "At Zoho:", "seven days after the job"):
            assert words in text
        assert Result.objects.get(job=job).is_archived

    def test_confirming_deletes_and_leads_back_to_the_job(self, admin, job):
        response = admin.post(f"/jobs/{job.pk}/result/delete/", follow=True)

        assert response.redirect_chain == [(f"/jobs/{job.pk}/", 302)]
        text = text_of(response)
        assert "Our copy of the result was deleted. Its figures stay." in text
        assert "by admin" in lifetime_of(admin, job)
        assert "INVALID_DATA" in text
        assert admin.get(f"/jobs/{job.pk}/result.zip").status_code == 404
        assert admin.get(f"/jobs/{job.pk}/skipped.csv").status_code == 404

    def test_is_for_staff_alone(self, alice, admin, job):
        assert DELETE_BUTTON not in page(alice, job).content.decode()
        assert DELETE_BUTTON in page(admin, job).content.decode()
        for ask in (alice.get, alice.post):
            assert ask(f"/jobs/{job.pk}/result/delete/").status_code == 403
        for ask in (Client().get, Client().post):
            response = ask(f"/jobs/{job.pk}/result/delete/")
            assert response["Location"].startswith("/accounts/login/")
        assert Result.objects.get(job=job).is_archived

    def test_a_forged_form_deletes_nothing(self, job):
        forged = Client(enforce_csrf_checks=True)
        forged.force_login(make_user("admin", is_staff=True))

        assert forged.post(f"/jobs/{job.pk}/result/delete/").status_code == 403
        assert Result.objects.get(job=job).is_archived

    def test_a_pinned_job_is_to_be_unpinned_first(self, admin, job):
        BulkWriteJob.objects.update(pinned=True)

        response = admin.get(f"/jobs/{job.pk}/result/delete/")
        assert "page first, then delete" in text_of(response)
        assert b'id="delete-confirm"' not in response.content

        text = text_of(admin.post(f"/jobs/{job.pk}/result/delete/", follow=True))
        assert "Unpin it first, then delete." in text
        assert Result.objects.get(job=job).is_archived

    def test_what_is_not_kept_cannot_be_deleted(self, admin, job):
        in_state(job, "expired")
        for ask in (admin.get, admin.post):
            response = ask(f"/jobs/{job.pk}/result/delete/", follow=True)
            assert "nothing to delete" in text_of(response)

        bare = make_job()
        response = admin.get(f"/jobs/{bare.pk}/result/delete/", follow=True)
        assert "nothing to delete" in text_of(response)
        assert admin.get("/jobs/4711/result/delete/").status_code == 404

    def test_a_file_that_stays_for_now_is_told(self, admin, job, monkeypatch):
        def refuse(self, name):
            raise PermissionError(13, "Permission denied")

        monkeypatch.setattr(FileSystemStorage, "delete", refuse)
        text = text_of(admin.post(f"/jobs/{job.pk}/result/delete/", follow=True))

        assert "could not be removed from the storage yet" in text


class TestWhatThePageSays:
    def test_a_kept_copy_is_safe_with_its_checksum_and_zohos_goes(self, alice, job):
        text = lifetime_of(alice, job)

        assert text.startswith("Our copy is safe : kept here since")
        assert job.result.sha256[:12] in text
        assert "its own copy goes on" in text
        assert "It is kept here until somebody deletes it." in text

    def test_a_kept_copy_whose_file_is_missing_is_not_called_safe(self, alice, job):
        job.result.archive.storage.delete(job.result.archive.name)

        content = page(alice, job).content.decode()
        assert "Our copy is safe" not in content
        assert "File missing" in content
        assert "Restore the folder" in content

    def test_zohos_copy_is_said_to_be_gone_after_its_time_only(self, alice, job):
        BulkWriteJob.objects.update(ended_at=timezone.now() - timedelta(days=8))

        assert "was to go on" in lifetime_of(alice, job)

    def test_a_rule_names_its_day_unless_the_job_is_pinned(self, alice, job, settings):
        settings.RESULT_RETENTION_DAYS = 30
        assert "It is deleted here on" in lifetime_of(alice, job)

        BulkWriteJob.objects.update(pinned=True)
        text = lifetime_of(alice, job)
        assert "It is deleted here on" not in text
        assert "Pinned: kept whatever its age. Unpin" in text

    def test_a_deleted_copy_says_which_rule(self, alice, job, settings):
        settings.RESULT_RETENTION_DAYS = 30
        Result.objects.update(fetched_at=timezone.now() - timedelta(days=31))
        retention.tidy_up(timezone.now())

        text = lifetime_of(alice, job)
        assert "by the rule that results are kept for 30 days." in text
        assert "The figures stay" in text
        assert "Deleted here" in text_of(page(alice, job))

    def test_what_is_tried_again_says_how_often_when_and_why(self, alice, job):
        in_state(
            job,
            "pending",
            attempts=1200,
            next_attempt_at=timezone.now() + timedelta(minutes=5, seconds=30),
            error={
                "message": "No answer.",
                "resolution": "Wait.",
                "code": None,
                "http_status": 503,
            },
        )
        text = lifetime_of(alice, job)

        assert "Fetching it failed 1,200 times; next attempt in 5 min" in text
        assert "No answer. (HTTP 503)" in text
        assert "What to do: Wait." in text
        assert "its own copy goes on" in text

    @pytest.mark.parametrize(
        ("fields", "words"),
        [
            ({"paused": True}, "it is fetched once the connection production is no longer paused"),
            ({"blocked_at": timezone.now()}, "cannot be fetched: the connection production needs"),
        ],
    )
    def test_what_waits_for_its_connection_says_so(self, alice, job, fields, words):
        in_state(job, "pending", attempts=0, next_attempt_at=timezone.now())
        Connection.objects.update(**fields)

        assert words in lifetime_of(alice, job)

    @pytest.mark.parametrize(
        ("status", "words"), [(403, "Zoho refuses to hand out"), (None, "For safety, no result")]
    )
    def test_a_refusal_says_whose_it_is(self, alice, job, status, words):
        error = {"message": "No.", "resolution": "", "code": None, "http_status": status}
        in_state(job, "refused", error=error)

        assert words in lifetime_of(alice, job)

    def test_what_comes_from_elsewhere_is_text(self, alice, job):
        attack = "<script>alert(1)</script>"
        error = {"message": attack, "resolution": attack, "code": attack, "http_status": None}
        in_state(job, "refused", error=error)

        assert attack not in page(alice, job).content.decode()

    @pytest.mark.parametrize("state", [None, *Result.State.values])
    def test_each_state_has_a_page_that_says_its_word(self, alice, job, state):
        if state is None:
            Result.objects.all().delete()
        else:
            in_state(job, state, error=None)

        response = page(alice, job)

        assert response.status_code == 200
        if state:
            assert Result.State(state).label in text_of(response)
