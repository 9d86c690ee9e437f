"""Result files that cannot be read, or that Zoho does not give: when it is tried again."""

import io
import zipfile
from datetime import timedelta

import pytest
import requests
import responses
import time_machine
from django.utils import timezone

from jobs.models import Connection, Result
from jobs.services.observing import polling
from jobs.services.results import fetching
from jobs.tests.factories import completed, make_job, observe
from jobs.tests.services.fetched import ADDED, ended, fetch
from jobs.tests.stand_in import TOKEN_URL, StandIn, csv_of, error_body, result_url, zip_of

pytestmark = pytest.mark.django_db
State = Result.State


@pytest.fixture
def zoho(zoho: StandIn) -> StandIn:
    zoho.gives_tokens()
    return zoho


class TestAResultThatCannotBeRead:
    @pytest.mark.parametrize(
        ("content", "words"),
        [
            (b"this is no ZIP", "not a readable ZIP"),
            (b"PK\x03\x04 cut short", "not a readable ZIP"),
            (zip_of(), "holds no CSV"),
        ],
    )
    def test_is_tried_three_times_then_given_up_with_the_reason(self, zoho, content, words):
        job = ended(added=0, updated=0, skipped=1, total=1)
        zoho.offers(job, content)

        for attempt in range(1, fetching.READ_ATTEMPTS + 1):
            with time_machine.travel(timezone.now() + timedelta(hours=attempt)):
                result = fetch(job)

        assert (result.state, result.attempts) == (State.FAILED, fetching.READ_ATTEMPTS)
        assert words in result.error["message"]
        assert result.error["resolution"]
        assert not result.archive
        with time_machine.travel(timezone.now() + timedelta(days=1)):
            assert fetching.claim_due() == []

    def test_can_be_asked_for_again_by_a_refresh(self, zoho):
        job = ended(added=1, updated=0, skipped=0, total=1)
        Result.objects.update(state=State.FAILED, attempts=3, next_attempt_at=None)
        zoho.offers(job, zip_of(Leads=csv_of(ADDED)))

        polling.make_due([job])

        assert fetch(job).state == State.ARCHIVED

    def test_though_huge_once_unpacked_takes_neither_memory_nor_disk(self, zoho):
        job = ended(added=1, updated=0, skipped=0, total=1)
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("Leads.csv", b"\0" * 30_000_000)
        bomb = packed.getvalue()
        zoho.offers(job, bomb)

        result = fetch(job)

        assert (result.state, job.needs_attention) == (State.REFUSED, True)
        assert "packed too tightly" in result.error["message"]
        assert "It was not kept" in result.error["message"]

    def test_is_asked_for_again_where_a_file_in_it_is_damaged(self, zoho):
        job = ended(added=1, updated=0, skipped=0, total=1)
        whole = zip_of(Leads=csv_of(ADDED, *[("Huber", "added", "2", "")] * 50))
        damaged = bytearray(whole)
        damaged[60] ^= 0xFF
        zoho.offers(job, bytes(damaged))
        result = fetch(job)
        assert (result.state, result.attempts) == (State.PENDING, 1)
        assert "damaged" in result.error["message"]

        zoho.mock.replace(responses.GET, result_url(job), body=whole)
        with time_machine.travel(timezone.now() + timedelta(hours=1)):
            result = fetch(job)

        assert (result.state, result.error) == (State.ARCHIVED, None)
        assert not any(file.error for file in result.files.all())

    def test_needs_somebody_though_the_counts_look_fine(self, zoho):
        job = ended(added=1, updated=0, skipped=0, total=1)
        assert (job.outcome, job.needs_attention) == ("imported", False)
        zoho.offers(job, zip_of(Leads=csv_of(ADDED)).replace(b"PK\x01\x02", b"PK\x01\x03"))

        for attempt in range(1, fetching.READ_ATTEMPTS + 1):
            with time_machine.travel(timezone.now() + timedelta(hours=attempt)):
                result = fetch(job)

        assert (result.state, job.needs_attention) == (State.FAILED, True)
        assert "the rows are not checked" in result.warnings[0]
        # Another answer about it changes nothing about that.
        observe(job, completed(job, added=1, updated=0, skipped=0, total=1) | {"operation": "x"})
        assert (job.operation, job.needs_attention) == ("x", True)
        polling.make_due([job])
        zoho.mock.replace(responses.GET, result_url(job), body=zip_of(Leads=csv_of(ADDED)))
        result = fetch(job)
        assert (result.state, result.warnings, job.needs_attention) == (State.ARCHIVED, [], False)

    def test_is_read_three_times_however_often_it_was_not_had(self, zoho):
        job = ended(added=1, updated=0, skipped=0, total=1)
        Result.objects.update(attempts=7)
        zoho.offers(job, b"this is no ZIP")

        result = fetch(job)

        assert (result.state, result.attempts, result.unreadable_attempts) == (State.PENDING, 8, 1)

    def test_that_went_from_zoho_at_last_needs_nobody_any_more(self, zoho):
        job = ended(added=1, updated=0, skipped=0, total=1)
        Result.objects.update(unreadable_attempts=fetching.READ_ATTEMPTS - 1)
        zoho.offers(job, b"this is no ZIP")
        assert fetch(job).state == State.FAILED
        assert job.needs_attention

        polling.make_due([job])
        zoho.mock.replace(responses.GET, result_url(job), json=error_body("GONE"), status=410)
        result = fetch(job)

        assert (result.state, result.warnings) == (State.EXPIRED, [])
        assert not job.needs_attention

    def test_larger_than_allowed_is_refused(self, zoho, settings):
        settings.MAX_RESULT_MEGABYTES = 1
        job = ended(added=1, updated=0, skipped=0, total=1)
        zoho.offers(job, b"PK" + b"x" * 2_000_000)

        result = fetch(job)

        assert result.state == State.REFUSED
        assert "larger than 1.0 MiB" in result.error["message"]


class TestAResultThatZohoDoesNotGive:
    @pytest.mark.parametrize(
        ("status", "content"),
        [
            (404, error_body("RESOURCE_NOT_FOUND")),
            (410, error_body("GONE")),
            (403, {"info": "Forbidden", "x-info": "Link not valid", "http_status": "403"}),
            (200, {"x-info": "Link not valid", "info": "Forbidden"}),
        ],
    )
    def test_any_more_is_expired_and_not_asked_for_again(self, zoho, status, content):
        job = ended(added=1, updated=0, skipped=0, total=1)
        zoho.mock.get(result_url(job), json=content, status=status)

        result = fetch(job)

        assert (result.state, result.next_attempt_at) == (State.EXPIRED, None)
        assert "Nothing brings this file back" in result.error["resolution"]
        with time_machine.travel(timezone.now() + timedelta(days=30)):
            assert fetching.claim_due() == []
        assert len(zoho.asked(result_url(job))) == 1

    @pytest.mark.parametrize("answer", [500, 503, 502, "nobody"])
    def test_for_now_is_tried_later(self, zoho, answer):
        job = ended(added=1, updated=0, skipped=0, total=1)
        if answer == "nobody":
            zoho.mock.get(result_url(job), body=requests.ConnectionError("refused"))
        else:
            zoho.offers(job, b"<html>", status=answer)

        result = fetch(job)

        assert (result.state, result.attempts) == (State.PENDING, 1)
        assert fetching.claim_due() == []
        zoho.mock.replace(responses.GET, result_url(job), body=zip_of(Leads=csv_of(ADDED)))
        with time_machine.travel(timezone.now() + timedelta(minutes=11)):
            assert fetch(job).state == State.ARCHIVED

    def test_for_a_week_is_given_up_with_the_last_reason(self, zoho):
        job = ended(added=1, updated=0, skipped=0, total=1)
        zoho.offers(job, b"<html>", status=503)
        fetch(job)

        with time_machine.travel(timezone.now() + timedelta(days=7, minutes=1)):
            result = fetch(job)

        assert (result.state, result.error["http_status"]) == (State.FAILED, 503)

    def test_while_it_throttles_holds_the_whole_connection_back(self, zoho):
        job = ended(added=1, updated=0, skipped=0, total=1)
        other = ended(make_job(job.connection), added=1, updated=0, skipped=0, total=1)
        zoho.offers(job, b"{}", status=429, headers={"Retry-After": "600"})
        [first] = fetching.claim_due()
        assert fetching.claim_due() == []  # one at a time: the others wait
        fetching.fetch(first)

        assert Connection.objects.get().resume_at > timezone.now() + timedelta(seconds=590)
        with time_machine.travel(timezone.now() + timedelta(seconds=590)):
            assert fetching.claim_due() == []
        with time_machine.travel(timezone.now() + timedelta(seconds=606)):
            assert len(fetching.claim_due()) == 1
        assert zoho.asked(result_url(other)) == []

    def test_without_a_sign_in_waits_for_a_person(self, zoho):
        job = ended(added=1, updated=0, skipped=0, total=1)
        zoho.mock.replace(responses.POST, TOKEN_URL, json={"error": "invalid_code"})

        result = fetch(job)

        assert (result.state, result.error["code"]) == (State.PENDING, "invalid_code")
        with time_machine.travel(timezone.now() + timedelta(minutes=29)):
            assert fetching.claim_due() == []
