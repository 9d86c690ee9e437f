"""A batch: what it records while it lasts, when it stops, what it spends."""

import json
import time
from collections.abc import Callable
from datetime import timedelta

import pytest
import requests
import time_machine
from django.db import connection as database
from django.utils import timezone

from jobs.models import BulkWriteJob, CallSlot, Connection, CreditUse
from jobs.services.limits import credits, slots
from jobs.services.observing import asking, leases, polling, standing
from jobs.services.observing.asking import Polled
from jobs.tests.factories import body, from_now, make_job, make_proven, resource
from jobs.tests.stand_in import TOKEN_URL, StandIn, details_url, error_body

pytestmark = pytest.mark.django_db(transaction=True)
PollState = BulkWriteJob.PollState
Waiting = Connection.Waiting


def running(job: BulkWriteJob) -> dict:
    return body(job, "INPROGRESS", resource("INPROGRESS", added=1, total=10))


def jobs_of(org: Connection, number: int, zoho: StandIn | None = None) -> list[BulkWriteJob]:
    jobs = [make_job(org) for _ in range(number)]
    for job in jobs:
        if zoho is not None:
            zoho.says(job, running(job))
    return jobs


def poll_due() -> list[Polled | None]:
    return [
        polling.poll_claim(claim.connection_id, claim.lease_token) for claim in polling.claim_due()
    ]


def wait_until(condition: Callable[[], object]) -> bool:
    """Wait in a thread of the client, which may keep no connection to the database."""
    deadline = time.monotonic() + 5
    try:
        while not condition():
            if time.monotonic() > deadline:
                return False
            time.sleep(0.02)
        return True
    finally:
        database.close()


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """All that happens every few seconds of a batch happens several times in a second."""
    for name in ("PORTION_SECONDS", "LOOK_SECONDS", "KEEP_SECONDS", "TICK_SECONDS"):
        monkeypatch.setattr(asking, name, 0.05)


def details_asked(zoho: StandIn) -> int:
    return len(zoho.asked()) - len(zoho.asked(TOKEN_URL))


class TestPortions:
    def test_answers_are_recorded_while_a_slow_one_is_awaited(self, zoho):
        org = make_proven(max_concurrency=4)
        zoho.gives_tokens()
        slow, *others = jobs_of(org, 6)
        for job in others:
            zoho.says(job, running(job))
        seen = []

        def answer_late(request):
            unread = BulkWriteJob.objects.exclude(pk=slow.pk).filter(last_changed_at=None)
            seen.append(wait_until(lambda: not unread.exists()))
            return 200, {}, json.dumps(running(slow))

        zoho.does(slow, answer_late)

        [polled] = poll_due()

        assert seen == [True]
        assert polled.answers == 6
        assert not BulkWriteJob.objects.filter(last_changed_at=None).exists()
        assert not BulkWriteJob.objects.exclude(lease_until=None).exists()

    def test_what_is_recorded_may_be_polled_again_while_the_batch_lasts(self, zoho):
        org = make_proven(max_concurrency=4)
        zoho.gives_tokens()
        slow, quick = jobs_of(org, 2)
        zoho.says(quick, running(quick))
        leased = []

        def answer_late(request):
            wait_until(lambda: BulkWriteJob.objects.exclude(last_changed_at=None).exists())
            leased.extend(BulkWriteJob.objects.leased(timezone.now()))
            database.close()
            return 200, {}, json.dumps(running(slow))

        zoho.does(slow, answer_late)
        poll_due()

        assert leased == [slow]

    def test_a_batch_keeps_its_jobs_and_its_calls_while_it_lasts(self, zoho):
        org = make_proven(max_concurrency=4)
        zoho.gives_tokens()
        [job] = jobs_of(org, 1)
        kept = []

        def answer_late(request):
            lease, slot = BulkWriteJob.objects.get().lease_until, CallSlot.objects.get().until
            kept.append(wait_until(lambda: BulkWriteJob.objects.get().lease_until > lease))
            kept.append(wait_until(lambda: CallSlot.objects.get().until > slot))
            return 200, {}, json.dumps(running(job))

        zoho.does(job, answer_late)
        poll_due()

        assert kept == [True, True]
        assert not CallSlot.objects.exists()

    def test_the_next_batch_need_not_wait_for_slow_answers(self, zoho, monkeypatch):
        monkeypatch.setattr(asking, "SLOW_SECONDS", 0.2)
        org = make_proven(max_concurrency=5)
        zoho.gives_tokens()
        jobs_of(org, 10, zoho)
        slow = jobs_of(org, 2)
        meanwhile = []

        def answer_late(request):
            BulkWriteJob.objects.filter(lease_until=None).update(next_poll_at=timezone.now())
            meanwhile.append(wait_until(polling.claim_due))
            meanwhile.append(CallSlot.objects.get().calls)
            meanwhile.append(set(slow) <= set(BulkWriteJob.objects.leased(timezone.now())))
            database.close()
            return 200, {}, json.dumps(running(slow[0]))

        def answer_after_that(request):
            wait_until(lambda: len(meanwhile) == 3)
            return 200, {}, json.dumps(running(slow[1]))

        zoho.does(slow[0], answer_late)
        zoho.does(slow[1], answer_after_that)

        poll_due()

        assert meanwhile == [True, 2, True]
        assert not BulkWriteJob.objects.filter(last_changed_at=None).exists()
        assert not BulkWriteJob.objects.filter(lease_token__startswith=leases.ASIDE).exists()
        assert not CallSlot.objects.exists()

    def test_what_was_not_asked_about_need_not_wait_for_slow_answers_either(
        self, zoho, monkeypatch
    ):
        monkeypatch.setattr(asking, "SLOW_SECONDS", 0.2)
        monkeypatch.setattr(polling, "BATCH_SECONDS", 0.3)
        org = make_proven(max_concurrency=3)
        zoho.gives_tokens()
        jobs_of(org, 1, zoho)
        slow = jobs_of(org, 8)
        due = []

        def answer_late(request):
            wait_until(lambda: BulkWriteJob.objects.due(timezone.now()).exists())
            due.append(BulkWriteJob.objects.due(timezone.now()).count())
            database.close()
            job_id = request.url.rpartition("/")[2]
            return 200, {}, json.dumps(running(BulkWriteJob(zoho_job_id=job_id)))

        for job in slow:
            zoho.does(job, answer_late)
        poll_due()

        assert max(due) == 6

    def test_while_nobody_is_answered_no_other_batch_begins(self, zoho, monkeypatch):
        monkeypatch.setattr(asking, "SLOW_SECONDS", 0.1)
        zoho.gives_tokens()
        [job] = jobs_of(make_proven(max_concurrency=5), 1)
        claims = []

        def answer_late(request):
            time.sleep(0.5)
            make_job(job.connection)
            claims.extend(polling.claim_due())
            database.close()
            return 200, {}, json.dumps(running(job))

        zoho.does(job, answer_late)
        poll_due()

        assert claims == []

    def test_what_failed_last_time_is_asked_about_last(self, zoho):
        org = make_proven(max_concurrency=1)
        zoho.gives_tokens()
        failed, *others = jobs_of(org, 4, zoho)
        BulkWriteJob.objects.filter(pk=failed.pk).update(poll_error={"code": None, "message": "x"})
        poll_due()

        asked = [
            request.url.rpartition("/")[2] for request in zoho.asked(details_url(failed)[:-18])
        ]
        assert asked == [job.zoho_job_id for job in (*others, failed)]

    def test_a_batch_that_has_lost_its_jobs_asks_no_more(self, zoho):
        org = make_proven(max_concurrency=1)
        zoho.gives_tokens()
        jobs = jobs_of(org, 30)

        def be_late(request):
            BulkWriteJob.objects.update(lease_token="another")
            database.close()
            time.sleep(0.2)
            return 200, {}, "{}"

        for job in jobs:
            zoho.does(job, be_late)
        poll_due()

        assert details_asked(zoho) <= 3
        assert not BulkWriteJob.objects.exclude(polls=0).exists()

    def test_jobs_that_are_not_asked_about_are_free_and_as_due_as_before(self, zoho, monkeypatch):
        monkeypatch.setattr(polling, "BATCH_SECONDS", 0.1)
        org = make_proven(max_concurrency=2)
        zoho.gives_tokens()
        jobs = jobs_of(org, 20)

        def take_time(request):
            time.sleep(0.03)
            job_id = request.url.rpartition("/")[2]
            return 200, {}, json.dumps(running(BulkWriteJob(zoho_job_id=job_id)))

        for job in jobs:
            zoho.does(job, take_time)
        poll_due()

        left = BulkWriteJob.objects.filter(polls=0)
        assert 5 < left.count() < 20
        assert set(BulkWriteJob.objects.due(timezone.now())) == set(left)


class TestStopping:
    def test_a_batch_stops_when_another_process_learns_that_zoho_throttles(self, zoho):
        org = make_proven(max_concurrency=2)
        zoho.gives_tokens()
        jobs = jobs_of(org, 40)
        until = timezone.now() + timedelta(minutes=5)

        def be_throttled_elsewhere(request):
            standing.hold_back(org, until, Waiting.THROTTLED)
            database.close()
            time.sleep(0.05)
            job_id = request.url.rpartition("/")[2]
            return 200, {}, json.dumps(running(BulkWriteJob(zoho_job_id=job_id)))

        for job in jobs:
            zoho.does(job, be_throttled_elsewhere)
        [polled] = poll_due()

        assert 0 < details_asked(zoho) < 10
        assert "slow down" in polled.why_not
        org.refresh_from_db()
        assert (org.resume_at, org.waiting_for) == (until, Waiting.THROTTLED)

    @pytest.mark.parametrize(
        "fields",
        [
            {"paused": True},
            {"resume_at": timedelta(hours=1), "waiting_for": Waiting.THROTTLED},
            {"resume_at": timedelta(hours=1), "waiting_for": Waiting.REPAIR},
            {"resume_at": timedelta(hours=1), "waiting_for": Waiting.UNAVAILABLE},
            {"refresh_token": ""},
        ],
        ids=["paused", "throttled", "blocked", "outage", "signed out"],
    )
    def test_a_batch_that_waited_in_the_queue_asks_nothing_if_by_then_it_may_not(
        self, zoho, fields
    ):
        org = make_proven()
        jobs_of(org, 3)
        [claim] = polling.claim_due()
        Connection.objects.update(**from_now(fields))

        polled = polling.poll_claim(claim.connection_id, claim.lease_token)

        assert polled.answers == 0
        assert polled.why_not
        assert zoho.asked() == []
        assert set(BulkWriteJob.objects.values_list("polls", "lease_token")) == {(0, "")}

    def test_without_a_free_call_a_claim_is_given_back_untouched(self, zoho):
        org = make_proven(max_concurrency=3)
        jobs_of(org, 3)
        [claim] = polling.claim_due()
        with slots.held(org, 3):
            assert polling.poll_claim(claim.connection_id, claim.lease_token) is None

        assert zoho.asked() == []
        assert BulkWriteJob.objects.due(timezone.now()).count() == 3

    def test_a_batch_takes_what_calls_there_are_and_gives_them_back(self, zoho):
        org = make_proven(max_concurrency=10)
        zoho.gives_tokens()
        jobs = jobs_of(org, 30)
        taken = []

        def look(request):
            taken.append(CallSlot.objects.get().calls)
            database.close()
            return 200, {}, "{}"

        for job in jobs:
            zoho.does(job, look)
        poll_due()

        assert set(taken) == {9}
        assert not CallSlot.objects.exists()

    def test_so_many_failures_on_end_stop_a_batch(self, zoho):
        org = make_proven(max_concurrency=4)
        zoho.gives_tokens()
        for job in jobs_of(org, 100):
            zoho.mock.get(details_url(job), body=requests.ConnectionError())
        poll_due()

        assert 10 <= details_asked(zoho) <= 10 + 4
        org.refresh_from_db()
        assert (org.waiting_for, org.failures) == (Waiting.UNAVAILABLE, 1)
        assert not BulkWriteJob.objects.exclude(failures=0).exists()
        assert BulkWriteJob.objects.due(timezone.now()).count() == 100

    def test_an_outage_that_begins_amid_a_batch_is_no_jobs_own(self, zoho):
        org = make_proven(max_concurrency=1)
        zoho.gives_tokens()
        now = timezone.now()
        good = [make_job(org, next_poll_at=now - timedelta(minutes=1)) for _ in range(5)]
        for job in good:
            zoho.says(job, running(job))
        for job in jobs_of(org, 50):
            zoho.mock.get(details_url(job), body=requests.ConnectionError())
        poll_due()

        org.refresh_from_db()
        assert (org.waiting_for, org.failures) == (Waiting.UNAVAILABLE, 1)
        assert not BulkWriteJob.objects.exclude(failures=0).exists()

    def test_some_failures_among_answers_are_those_jobs_own(self, zoho):
        org = make_proven(max_concurrency=2)
        zoho.gives_tokens()
        jobs_of(org, 10, zoho)
        for job in jobs_of(org, 3):
            zoho.mock.get(details_url(job), body=requests.ConnectionError())
        jobs_of(org, 10, zoho)
        poll_due()

        org.refresh_from_db()
        assert (org.waiting_for, org.failures) == ("", 0)
        assert BulkWriteJob.objects.filter(failures=1).count() == 3
        assert BulkWriteJob.objects.exclude(last_changed_at=None).count() == 20


class TestTryingOneFirst:
    def poll_on(self, times: int = 5) -> None:
        for _ in range(times):
            poll_due()

    @pytest.mark.parametrize(
        ("code", "status"),
        [
            ("OAUTH_SCOPE_MISMATCH", 401),
            ("NO_PERMISSION", 403),
            ("AUTHORIZATION_FAILED", 400),
            ("INVALID_URL_PATTERN", 404),
            ("API_NOT_SUPPORTED", 400),
        ],
    )
    def test_what_concerns_the_connection_costs_one_request_however_many_jobs(
        self, zoho, code, status
    ):
        org = make_proven(last_answer_at=None)
        zoho.gives_tokens("one", "two")
        for job in jobs_of(org, 50):
            zoho.says(job, error_body(code), status=status)
        self.poll_on()

        assert details_asked(zoho) == 1
        assert len(zoho.asked(TOKEN_URL)) == 1
        org.refresh_from_db()
        assert org.last_error["code"] == code
        assert org.last_error["resolution"]
        assert set(BulkWriteJob.objects.values_list("poll_state", "needs_attention")) == {
            ("active", False)
        }

    def test_an_outage_costs_one_request_a_try(self, zoho):
        org = make_proven(last_answer_at=None)
        zoho.gives_tokens()
        for job in jobs_of(org, 50):
            zoho.mock.get(details_url(job), body=requests.ConnectionError())
        self.poll_on()
        assert details_asked(zoho) == 1

        with time_machine.travel(timezone.now() + timedelta(seconds=6)):
            self.poll_on()
        assert details_asked(zoho) == 2

    def test_after_one_answer_all_others_are_asked_about(self, zoho):
        org = make_proven(last_answer_at=None)
        zoho.gives_tokens()
        jobs_of(org, 20, zoho)

        assert [polled.answers for polled in poll_due()] == [1]
        assert [polled.answers for polled in poll_due()] == [19]

    def test_an_unknown_job_is_an_answer_as_well(self, zoho):
        org = make_proven(last_answer_at=None)
        zoho.gives_tokens()
        for job in jobs_of(org, 3):
            zoho.says(job, error_body("RESOURCE_NOT_FOUND"), status=404)
        poll_due()

        assert [polled.answers for polled in poll_due()] == [2]

    def test_a_connection_that_is_repaired_at_zohos_end_goes_on_by_itself(self, zoho):
        org = make_proven()
        [job] = jobs_of(org, 1)
        zoho.mock.post(TOKEN_URL, json={"error": "invalid_code"})
        zoho.gives_tokens()
        zoho.says(job, running(job))
        poll_due()
        assert Connection.objects.get().is_blocked
        Connection.objects.update(resume_at=timezone.now())

        poll_due()

        org.refresh_from_db()
        assert not org.is_blocked
        assert org.is_proven


class TestCredits:
    def test_are_spent_by_the_call_and_not_by_the_job(self, zoho):
        org = make_proven()
        zoho.gives_tokens("dead", "alive")
        [job] = jobs_of(org, 1)

        def judge(request):
            if request.headers["Authorization"].endswith(" dead"):
                return 401, {}, json.dumps(error_body("INVALID_TOKEN"))
            return 200, {}, json.dumps(running(job))

        zoho.does(job, judge)
        poll_due()

        assert CreditUse.objects.get().calls == 2

    def test_are_not_spent_on_what_was_not_asked(self, zoho):
        org = make_proven(max_concurrency=2)
        zoho.gives_tokens()
        for job in jobs_of(org, 50):
            zoho.says(job, error_body("NO_PERMISSION"), status=403)
        poll_due()

        assert CreditUse.objects.get().calls == details_asked(zoho) < 10

    def test_that_are_used_up_end_the_polling_until_some_are_free_again(self, zoho):
        org = make_proven(daily_credits=3)
        zoho.gives_tokens()
        jobs_of(org, 5, zoho)

        assert [claim.jobs for claim in polling.claim_due()] == [3]
        BulkWriteJob.objects.update(lease_until=None, lease_token="")
        poll_due()
        assert details_asked(zoho) == 3
        [polled] = poll_due()

        assert "credits" in polled.why_not
        assert details_asked(zoho) == 3
        org.refresh_from_db()
        assert org.waiting_for == Waiting.CREDITS
        wait = org.resume_at - timezone.now()
        assert timedelta(hours=24) <= wait <= timedelta(hours=25)
        assert polling.claim_due() == []
        assert BulkWriteJob.objects.due(timezone.now()).count() == 2
        with time_machine.travel(org.resume_at):
            assert [polled.answers for polled in poll_due()] == [1]

    def test_that_two_batches_want_at_once_are_given_to_one(self, zoho):
        org = make_proven(daily_credits=4, max_concurrency=100)
        zoho.gives_tokens()
        jobs = jobs_of(org, 6, zoho)
        now = timezone.now()
        pks = [job.pk for job in jobs]
        first, second = (leases.claim(org, part, now) for part in (pks[:3], pks[3:]))

        asked = [polling.poll_claim(org.pk, claim.lease_token) for claim in (first, second)]

        assert [polled.answers for polled in asked] == [3, 1]
        assert details_asked(zoho) == 4

    def test_are_left_to_others_while_a_batch_has_many_jobs_to_ask_about(self, zoho):
        org = make_proven(daily_credits=90, max_concurrency=5)
        zoho.gives_tokens()
        jobs = jobs_of(org, 90)
        seen = []

        def look(request):
            with slots.held(org) as slot:
                seen.append(credits.reserve(org, 1, slot=slot).calls)
            with slots.held(org) as slot:
                credits.spend(org, -1)
                ahead = credits.credits_of(org, timezone.now()).used - details_asked(zoho)
                seen.append(ahead <= 16)
            database.close()
            job_id = request.url.rpartition("/")[2]
            return 200, {}, json.dumps(running(BulkWriteJob(zoho_job_id=job_id)))

        zoho.does(jobs[0], look)
        for job in jobs[1:]:
            zoho.says(job, running(job))
        [polled] = poll_due()

        assert seen == [1, True]
        assert polled.answers == 90
        assert CreditUse.objects.get().calls == 90
        org.refresh_from_db()
        assert org.waiting_for == ""

    def test_that_others_have_reserved_are_waited_for_as_a_slot_is(self, zoho):
        org = make_proven(daily_credits=10)
        zoho.gives_tokens()
        jobs_of(org, 5, zoho)
        with slots.held(org, 3) as other:
            credits.reserve(org, 10, slot=other)

            assert poll_due() == [None]

            org.refresh_from_db()
            assert (org.resume_at, org.waiting_for) == (None, "")
            assert BulkWriteJob.objects.due(timezone.now()).count() == 5
            credits.spend(org, -10)
        assert [polled.answers for polled in poll_due()] == [5]

    @pytest.mark.parametrize(
        ("headers", "remaining"),
        [({"X-API-CREDITS-REMAINING": "12345"}, 12_345), ({}, None)],
    )
    def test_that_the_org_has_left_are_kept_as_zoho_says(self, zoho, headers, remaining):
        org = make_proven(credits_remaining=30_000, credits_seen_at=timezone.now())
        zoho.gives_tokens()
        [job] = jobs_of(org, 1)
        zoho.does(job, lambda request: (200, headers, json.dumps(running(job))))
        before = timezone.now()
        poll_due()

        org.refresh_from_db()
        assert org.credits_remaining == remaining
        assert org.credits_seen_at >= before

    def test_that_run_low_stretch_the_time_to_the_next_poll(self, zoho):
        org = make_proven(daily_credits=1_000)
        credits.spend(org, 900)
        zoho.gives_tokens()
        [job] = jobs_of(org, 1)
        zoho.says(job, running(job) | {"created_time": timezone.now().isoformat()})
        poll_due()

        job.refresh_from_db()
        assert (job.next_poll_at - job.last_polled_at).total_seconds() > 2 * 5

    def test_that_run_low_do_not_put_off_what_shows_that_a_job_is_stuck(self, zoho):
        org = make_proven(daily_credits=1_000, stuck_after_minutes=1)
        credits.spend(org, 990)
        zoho.gives_tokens()
        [job] = jobs_of(org, 1)
        zoho.says(job, running(job))
        poll_due()

        job.refresh_from_db()
        assert job.next_poll_at <= job.last_changed_at + timedelta(seconds=61)


class TestPollingAtOnce:
    @pytest.mark.parametrize(
        ("fields", "words"),
        [
            ({"paused": True}, "until it is resumed"),
            ({"refresh_token": ""}, "signed in"),
            ({"waiting_for": Waiting.THROTTLED}, "slow down"),
            ({"waiting_for": Waiting.TOKENS}, "access tokens"),
            ({"waiting_for": Waiting.CREDITS}, "credits"),
        ],
    )
    def test_asks_nothing_of_a_connection_that_may_not_be_asked_and_says_so(
        self, zoho, fields, words
    ):
        org = make_proven(resume_at=timezone.now() + timedelta(hours=1), **fields)

        [polled] = polling.poll_now(jobs_of(org, 3))

        assert words in polled.why_not
        assert zoho.asked() == []

    @pytest.mark.parametrize("waiting_for", [Waiting.UNAVAILABLE, Waiting.REPAIR])
    def test_tries_what_only_waits_for_its_next_try(self, zoho, waiting_for):
        org = make_proven(
            resume_at=timezone.now() + timedelta(hours=1),
            waiting_for=waiting_for,
            blocked_at=timezone.now() if waiting_for == Waiting.REPAIR else None,
        )
        zoho.gives_tokens()

        polled = polling.poll_now(jobs_of(org, 3, zoho))

        assert [(each.answers, each.why_not) for each in polled] == [(1, ""), (2, "")]
        org.refresh_from_db()
        assert org.is_proven

    def test_ends_with_the_first_failure_of_a_connection_that_does_not_answer(self, zoho):
        org = make_proven(failures=1)
        zoho.gives_tokens()
        jobs = jobs_of(org, 5)
        for job in jobs:
            zoho.mock.get(details_url(job), body=requests.ConnectionError())

        [polled] = polling.poll_now(jobs)

        assert details_asked(zoho) == 1
        assert "does not answer" in polled.why_not

    def test_says_so_when_no_call_is_free(self, zoho, monkeypatch):
        monkeypatch.setattr(polling, "SLOT_PATIENCE_SECONDS", 0.3)
        org = make_proven(max_concurrency=2)
        [job] = jobs_of(org, 1)
        with slots.held(org, 2):
            [polled] = polling.poll_now([job])

        assert "All 2 calls at a time" in polled.why_not
        assert zoho.asked() == []
        assert BulkWriteJob.objects.due(timezone.now()).count() == 1
