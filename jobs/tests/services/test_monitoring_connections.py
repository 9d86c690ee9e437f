"""What is found wrong with connections."""

from datetime import timedelta

import pytest
from django.utils import timezone

from jobs.models import Alert, Heartbeat
from jobs.services.connections.connection_states import state_of
from jobs.services.limits.credits import credits_of
from jobs.tests.factories import from_now
from jobs.tests.services.batches import poll_due
from jobs.tests.services.findings import MINUTE, change, found, let_jobs_wait
from jobs.tests.stand_in import TOKEN_URL


class TestConnections:
    def test_one_that_needs_a_person_blinds_and_says_why(self, working):
        error = {"message": "The refresh token was revoked.", "resolution": "Sign in again."}
        change(working, blocked_at=timezone.now(), last_error=error)

        finding = found()["blocked"]

        assert finding.is_blind
        assert finding.title == "Connection production needs you."
        assert "The refresh token was revoked." in finding.text
        assert finding.what_to_do == "Sign in again."

    def test_one_without_answers_hinders_within_a_minute_and_blinds_after_five(self, working):
        for seconds, severity in ((44, None), (46, "hindered"), (240, "hindered"), (360, "blind")):
            change(working, unanswered_since=timezone.now() - timedelta(seconds=seconds))
            finding = found().get("silent")
            assert (finding and str(finding.severity)) == severity

    @pytest.mark.parametrize(
        ("http_status", "title"),
        [
            (302, "Zoho gives no usable answer for production."),
            (None, "Zoho does not answer for production."),
        ],
    )
    def test_one_without_answers_has_the_advice_of_its_error(self, working, http_status, title):
        error = {"http_status": http_status, "message": "Redirect.", "resolution": "See the place."}
        change(working, unanswered_since=timezone.now() - MINUTE, last_error=error)

        finding = found()["silent"]

        assert finding.title == title
        assert "Redirect." in finding.text
        assert finding.what_to_do == "See the place."

    def test_nobody_waits_for_answers_where_no_job_is_watched(self, working):
        change(working, unanswered_since=timezone.now() - 6 * MINUTE)
        working.jobs.update(poll_state="done", next_poll_at=None)

        assert found() == {}

    @pytest.mark.parametrize(
        ("waiting_for", "short", "long"),
        [("throttled", 4 * MINUTE, 6 * MINUTE), ("tokens", MINUTE * 0.7, MINUTE * 0.8)],
    )
    def test_a_wait_that_lasts_hinders(self, working, waiting_for, short, long):
        later = timezone.now() + 10 * MINUTE
        change(working, waiting_for=waiting_for, resume_at=later)
        change(working, last_answer_at=timezone.now() - short)
        assert found() == {}

        change(working, last_answer_at=timezone.now() - long)
        assert not found()["waits"].is_blind

    def test_a_throttled_token_endpoint_shows_within_a_minute_and_mails_nobody(
        self, zoho, working, clock
    ):
        change(working, last_answer_at=timezone.now() - 4 * MINUTE)
        zoho.mock.post(TOKEN_URL, json={"error": "Access Denied", "status": "failure"}, status=400)
        let_jobs_wait(working, 0)
        poll_due()
        shown = {}
        for seconds in (44, 2, 550):
            clock.shift(timedelta(seconds=seconds))
            for part in (Heartbeat.WORKER, Heartbeat.BEAT, Heartbeat.LOOKOUT):
                Heartbeat.note(part, timezone.now())
            shown[seconds] = [(key, str(each.severity)) for key, each in found().items()]

        assert shown == {44: [], 2: [("waits", "hindered")], 550: [("waits", "hindered")]}
        assert "access token" in found()["waits"].text
        assert not Alert.objects.exists()

    @pytest.mark.parametrize("waiting_for", ["throttled", "tokens", "credits"])
    def test_a_wait_with_a_known_end_is_no_silence(self, working, waiting_for):
        since = timezone.now() - 10 * MINUTE
        change(working, unanswered_since=since, last_answer_at=since, waiting_for=waiting_for)
        change(working, resume_at=timezone.now() + MINUTE)
        assert set(found()) == {"waits"}

        change(working, resume_at=timezone.now() - timedelta(seconds=1))
        assert "silent" not in found()

        change(working, waiting_for="unavailable")
        assert found()["silent"].is_blind

    def test_used_up_credits_hinder_at_once_and_blind_after_half_an_hour(self, working):
        later = timezone.now() + MINUTE
        change(working, waiting_for="credits", resume_at=later)
        assert "polling may use within 24 hours are used up" in found()["waits"].text
        assert not found()["waits"].is_blind

        change(working, last_answer_at=timezone.now() - 31 * MINUTE)
        assert found()["waits"].is_blind

        change(working, resume_at=timezone.now() - MINUTE)
        assert found() == {}

    @pytest.mark.parametrize("remaining", [None, 0])
    def test_a_wait_is_told_in_the_words_of_the_connection_page(self, working, remaining):
        now = timezone.now()
        fields = {"credits_remaining": remaining, "credits_seen_at": now}
        change(working, waiting_for="credits", resume_at=now + MINUTE, **fields)
        working.refresh_from_db()
        state = state_of(working, now, credits_of(working, now))

        finding = found()["waits"]

        assert finding.text.startswith(state.text)
        assert finding.what_to_do == state.what_to_do
        assert ("The org has hardly any" in finding.text) == (remaining == 0)

    @pytest.mark.parametrize(
        "trouble",
        [
            {"blocked_at": timedelta()},
            {"unanswered_since": -timedelta(hours=1)},
            {"waiting_for": "credits", "resume_at": timedelta(hours=1)},
        ],
    )
    def test_a_paused_one_is_no_blindness(self, working, trouble):
        change(working, paused=True, **from_now(trouble))

        assert found() == {}

    def test_one_that_nobody_has_signed_in_blinds_where_it_has_jobs_to_watch(self, working):
        change(working, refresh_token="")
        let_jobs_wait(working, 10)

        [(key, finding)] = found().items()
        assert key == "unsigned"
        assert finding.is_blind
        assert "Sign in to Zoho" in finding.what_to_do
        assert not finding.is_told_by_alert

        working.jobs.update(poll_state="done", next_poll_at=None)
        assert found() == {}
