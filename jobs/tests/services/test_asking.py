"""A batch: what it records, keeps and leaves to others while it lasts."""

import json
import time
from collections.abc import Callable
from datetime import timedelta

import pytest
from django.db import connection as database
from django.utils import timezone

from jobs.models import BulkWriteJob, CallSlot
from jobs.services.observing import asking, leases, polling
from jobs.tests.factories import make_job, make_proven
from jobs.tests.services.batches import details_asked, jobs_of, poll_due, running
from jobs.tests.stand_in import TOKEN_URL, details_url

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("quick_batches")]


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

    def test_a_batch_that_waited_for_a_token_keeps_its_jobs_and_its_calls_before_it_asks(
        self, zoho
    ):
        org = make_proven(max_concurrency=4)
        [job] = jobs_of(org, 1)
        kept = []

        def give_late(request):
            soon = timezone.now() + timedelta(seconds=2)
            BulkWriteJob.objects.update(lease_until=soon)
            CallSlot.objects.update(until=soon)
            time.sleep(0.1)
            return 200, {}, json.dumps({"access_token": "late", "expires_in": 3600})

        def look(request):
            later = timezone.now() + timedelta(seconds=30)
            kept.append(BulkWriteJob.objects.get().lease_until > later)
            kept.append(CallSlot.objects.get().until > later)
            database.close()
            return 200, {}, json.dumps(running(job))

        zoho.mock.add_callback("POST", TOKEN_URL, give_late)
        zoho.does(job, look)
        poll_due()

        assert kept == [True, True]

    @pytest.mark.parametrize("lost", ["jobs", "calls"])
    def test_a_batch_that_lost_them_while_it_waited_for_a_token_asks_nothing(self, zoho, lost):
        org = make_proven(max_concurrency=4)
        jobs_of(org, 3, zoho)

        def give_late(request):
            if lost == "jobs":
                BulkWriteJob.objects.update(lease_token="another")
            else:
                CallSlot.objects.update(token="another")
            time.sleep(0.1)
            return 200, {}, json.dumps({"access_token": "late", "expires_in": 3600})

        zoho.mock.add_callback("POST", TOKEN_URL, give_late)
        poll_due()

        assert details_asked(zoho) == 0

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
