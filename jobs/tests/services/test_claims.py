"""Who polls which jobs, and when: claims, leases, lanes."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from django.db import connection as database
from django.utils import timezone

from jobs.models import BulkWriteJob, Connection
from jobs.services.observing import leases, polling
from jobs.tests.factories import (
    body,
    from_now,
    make_connection,
    make_job,
    make_proven,
    observe,
    resource,
)
from jobs.tests.services.observed import pass_time

PollState = BulkWriteJob.PollState


def running(job: BulkWriteJob) -> dict:
    return body(job, "INPROGRESS", resource("INPROGRESS", added=1, total=10))


@pytest.mark.django_db
class TestClaims:
    def test_a_job_is_claimed_once(self):
        make_job()

        assert [claim.jobs for claim in polling.claim_due()] == [1]
        assert polling.claim_due() == []

    def test_of_two_dispatchers_that_chose_the_same_jobs_one_gets_them(self):
        org = make_connection()
        chosen = [make_job(org).pk for _ in range(5)]
        now = timezone.now()

        first = leases.claim(org, chosen, now)
        second = leases.claim(org, chosen, now)

        assert first.jobs == 5
        assert second is None
        assert set(BulkWriteJob.objects.values_list("lease_token", flat=True)) == {
            first.lease_token
        }

    def test_the_longest_due_come_first_and_no_more_than_a_batch_holds(self, monkeypatch):
        monkeypatch.setattr(polling, "MAX_BATCH", 3)
        org, now = make_proven(), timezone.now()
        jobs = [make_job(org, next_poll_at=now - timedelta(minutes=age)) for age in range(5)]

        [claim] = polling.claim_due()

        assert claim.is_full
        assert set(BulkWriteJob.objects.leased(now)) == set(jobs[2:])

    @pytest.mark.parametrize("calls", [1, 10, 50])
    def test_a_connection_has_one_batch_at_a_time_while_its_calls_fit_one(self, calls, monkeypatch):
        monkeypatch.setattr(polling, "MAX_BATCH", 2)
        org = make_proven(max_concurrency=calls)
        for _ in range(6):
            make_job(org)

        [first] = polling.claim_due()
        assert polling.claim_due() == []
        leases.release(org, first.lease_token)
        assert len(polling.claim_due()) == 1

    def test_a_connection_with_more_calls_has_more_batches(self, monkeypatch):
        monkeypatch.setattr(polling, "MAX_BATCH", 2)
        org = make_proven(max_concurrency=120)
        for _ in range(10):
            make_job(org)

        assert [claim.jobs for claim in polling.claim_due()] == [2, 2, 2]
        assert polling.claim_due() == []

    def test_one_busy_connection_does_not_hold_up_another(self):
        make_job()
        [busy] = polling.claim_due()
        waiting = make_job()

        [claim] = polling.claim_due()
        assert claim.connection_id == waiting.connection_id != busy.connection_id

    @pytest.mark.parametrize(
        "fields",
        [
            {"paused": True},
            {
                "blocked_at": timedelta(),
                "resume_at": timedelta(minutes=30),
                "waiting_for": "repair",
            },
            {"resume_at": timedelta(hours=1)},
        ],
        ids=["paused", "blocked", "throttled"],
    )
    def test_nothing_is_claimed_of_a_connection_that_is(self, fields):
        make_job(make_connection(**from_now(fields)))

        assert polling.claim_due() == []

    @pytest.mark.parametrize("state", [PollState.DONE, PollState.PAUSED, PollState.BLOCKED])
    def test_no_job_is_claimed_that_is(self, state):
        make_job(poll_state=state)

        assert polling.claim_due() == []

    def test_no_job_is_claimed_before_its_time(self):
        make_job(next_poll_at=timezone.now() + timedelta(seconds=30))

        assert polling.claim_due() == []
        with pass_time(seconds=31):
            assert len(polling.claim_due()) == 1

    def test_jobs_of_a_worker_that_died_are_due_again_within_a_lease(self):
        make_job()
        polling.claim_due()

        with pass_time(seconds=leases.LEASE.total_seconds() - 1):
            assert polling.claim_due() == []
        with pass_time(seconds=leases.LEASE.total_seconds() + 1):
            assert len(polling.claim_due()) == 1

    def test_a_killed_workers_jobs_are_due_within_a_minute(self):
        assert leases.LEASE + timedelta(seconds=4) < timedelta(seconds=60)

    def test_the_connection_that_was_asked_least_recently_comes_first(self):
        now = timezone.now()
        recent, never, early = (
            make_proven(last_polled_at=at) for at in (now, None, now - timedelta(minutes=5))
        )
        for org in (recent, never, early):
            make_job(org)

        assert [claim.connection_id for claim in polling.claim_due()] == [
            never.pk,
            early.pk,
            recent.pk,
        ]


@pytest.mark.django_db
class TestAClockThatWasSetBack:
    def test_leaves_no_lease_in_the_far_future(self):
        job = make_job(make_proven())
        with pass_time(hours=1):
            BulkWriteJob.objects.update(next_poll_at=timezone.now())
            polling.claim_due()
        BulkWriteJob.objects.update(next_poll_at=timezone.now())

        assert BulkWriteJob.objects.leased(timezone.now()).count() == 0
        [claim] = polling.claim_due()
        assert claim.jobs == 1
        assert list(leases.extend(job.connection, claim.lease_token)) == [job]

    def test_does_not_put_off_polls_and_waits_until_it_has_come_round_again(self):
        org = make_proven()
        job, unpolled = make_job(org), make_job(org)
        with pass_time(hours=1):
            observe(job, running(job))
            wait = timezone.now() + timedelta(seconds=60)
            Connection.objects.update(resume_at=wait, waiting_for="throttled")
        planned = timezone.now() + timedelta(minutes=2)
        BulkWriteJob.objects.filter(pk=unpolled.pk).update(next_poll_at=planned)

        polling.claim_due()

        job.refresh_from_db(), org.refresh_from_db(), unpolled.refresh_from_db()
        assert job.next_poll_at <= timezone.now()
        assert unpolled.next_poll_at == planned
        wait = org.resume_at - timezone.now()
        assert timedelta(seconds=50) < wait < timedelta(seconds=70)
        with pass_time(seconds=75):
            assert len(polling.claim_due()) == 1

    def test_by_less_than_clocks_may_differ_changes_nothing(self):
        job = make_job(make_proven())
        with pass_time(seconds=30):
            observe(job, running(job))
        planned = job.next_poll_at
        polling.claim_due()

        job.refresh_from_db()
        assert job.next_poll_at == planned


@pytest.mark.django_db(transaction=True)
class TestDispatchersAtTheSameTime:
    def claims(self, dispatchers: int) -> list[polling.Claim]:
        def dispatch(_: int) -> list[polling.Claim]:
            try:
                return polling.claim_due()
            finally:
                database.close()

        with ThreadPoolExecutor(dispatchers) as pool:
            return [claim for claims in pool.map(dispatch, range(dispatchers)) for claim in claims]

    def test_give_each_job_to_one(self, monkeypatch):
        monkeypatch.setattr(polling, "MAX_BATCH", 7)
        orgs = [make_proven() for _ in range(3)]
        for org in orgs:
            for _ in range(5):
                make_job(org)

        claims = self.claims(4)

        assert sum(claim.jobs for claim in claims) == 15
        tokens = {claim.lease_token for claim in claims}
        assert set(BulkWriteJob.objects.values_list("lease_token", flat=True)) == tokens

    def test_never_have_more_batches_under_way_than_a_connection_has_lanes(self, monkeypatch):
        monkeypatch.setattr(polling, "MAX_BATCH", 3)
        org = make_proven(max_concurrency=10)
        for _ in range(30):
            make_job(org)

        for _ in range(5):
            claims = self.claims(4)
            assert len(claims) <= 1
            leased = BulkWriteJob.objects.leased(timezone.now()).count()
            assert leased == sum(claim.jobs for claim in claims)
            for claim in claims:
                leases.release(org, claim.lease_token)


@pytest.mark.django_db
def test_a_dispatcher_that_finds_too_many_batches_steps_back(monkeypatch):
    org = make_proven()
    make_job(org), make_job(org)
    monkeypatch.setattr(polling, "MAX_BATCH", 1)
    real_claim, counted = leases.claim, []

    def claim_beside_another(*args, **kwargs):
        # The other dispatcher counted before this one claimed, and claims now.
        claim = real_claim(*args, **kwargs)
        if not counted:
            counted.append(True)
            free = BulkWriteJob.objects.filter(lease_until=None).values_list("pk", flat=True)
            real_claim(org, list(free), timezone.now())
        return claim

    monkeypatch.setattr(leases, "claim", claim_beside_another)

    assert polling.claim_due() == []
    assert BulkWriteJob.objects.leased(timezone.now()).count() == 1


@pytest.mark.django_db
def test_connections_without_a_due_job_cost_a_tick_nothing(django_assert_num_queries):
    later = timezone.now() + timedelta(hours=1)
    for _ in range(30):
        make_job(next_poll_at=later)

    with django_assert_num_queries(2):
        assert polling.claim_due() == []
