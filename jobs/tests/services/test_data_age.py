"""How old the data is said to be."""

from datetime import timedelta

import pytest
from django.utils import timezone

from jobs.models import Connection
from jobs.services.health import monitoring
from jobs.services.health.monitoring import AgeState
from jobs.tests.factories import from_now, make_connection, make_job
from jobs.tests.services.findings import MINUTE, change, let_jobs_wait


class TestAge:
    def age(self):
        return monitoring.check(broker_answers=True).age

    def test_fresh_where_zoho_answered_and_nothing_is_overdue(self, working):
        assert self.age().state == AgeState.FRESH
        assert self.age().answered_at == Connection.objects.get().last_answer_at

    def test_idle_where_nothing_is_watched(self, working):
        change(working, paused=True)
        assert self.age().state == AgeState.IDLE

        change(working, paused=False)
        working.jobs.update(poll_state="done", next_poll_at=None)
        assert self.age().state == AgeState.IDLE

    def test_stale_where_nobody_has_signed_in_for_what_is_watched(self, working):
        change(working, refresh_token="", last_answer_at=None)
        other = make_connection(name="other", last_answer_at=timezone.now())
        make_job(other, next_poll_at=timezone.now() + MINUTE)

        age = self.age()
        assert age.state == AgeState.STALE
        assert (age.stale, age.answered_at, age.more_stale) == (working.name, None, 0)
        assert age.others_answered_at == other.last_answer_at

    def test_unanswered_where_watching_has_just_begun(self, working):
        change(working, last_answer_at=None)

        assert self.age().state == AgeState.UNANSWERED

    @pytest.mark.parametrize(
        "fields",
        [
            {},
            {"blocked_at": timedelta()},
            {"resume_at": timedelta(hours=1), "waiting_for": "throttled"},
        ],
    )
    def test_stale_where_a_job_is_overdue_whatever_the_reason(self, working, fields):
        let_jobs_wait(working, 3)
        change(working, **from_now(fields))

        assert self.age().state == AgeState.STALE

    def test_the_stale_connection_is_not_hidden_by_one_that_is_answered(self, working):
        long_ago = timezone.now() - timedelta(hours=2)
        for name, answered_at in (("silent", long_ago), ("late", timezone.now() - 3 * MINUTE)):
            other = make_connection(name=name, last_answer_at=answered_at)
            make_job(other, next_poll_at=timezone.now() - 3 * MINUTE)

        age = self.age()
        assert age.state == AgeState.STALE
        assert (age.stale, age.answered_at, age.more_stale) == ("silent", long_ago, 1)
        assert age.others_answered_at == Connection.objects.get(pk=working.pk).last_answer_at

    def test_one_alone_that_is_stale_needs_no_name(self, working):
        let_jobs_wait(working, 3)

        assert self.age().state == AgeState.STALE
        assert self.age().stale == ""

    def test_on_a_page_about_one_connection_is_that_connections(self, working):
        silent = make_connection(name="silent", last_answer_at=None)
        make_job(silent, next_poll_at=timezone.now() - 3 * MINUTE)
        idle = make_connection(name="idle")
        health = monitoring.check(broker_answers=True)

        assert health.on_page_about(working.pk, is_its_own=False).age.state == AgeState.FRESH
        assert health.on_page_about(silent.pk, is_its_own=False).age.state == AgeState.STALE
        assert health.on_page_about(idle.pk, is_its_own=False).age.state == AgeState.IDLE
