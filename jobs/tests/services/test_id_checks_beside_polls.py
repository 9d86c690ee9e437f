"""Checks of ids and polls of one connection: neither keeps the other from its turn."""

import json
import time
from collections.abc import Callable
from contextlib import closing
from datetime import timedelta

import pytest
import time_machine
from django.db import connection as database
from django.utils import timezone

from jobs.models import CallSlot, Connection, IdCheck
from jobs.services.limits import slots
from jobs.services.observing import polling, standing
from jobs.services.registering import id_asking, id_checks
from jobs.tests.factories import make_proven
from jobs.tests.services.asked_ids import asked, begin, knows, url, work
from jobs.tests.services.batches import jobs_of, poll_due

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("quick_batches")]
IDS = [str(10**17 + number) for number in range(60)]


@pytest.fixture
def make_org(zoho):
    def make(most: int) -> Connection:
        zoho.gives_tokens()
        knows(zoho, *IDS)
        return make_proven(max_concurrency=most)

    return make


class TestCallsAtATime:
    @pytest.mark.parametrize("most", [3, 4, 5, 10, 25])
    def test_are_left_to_polls_while_a_check_has_its_bout(self, zoho, make_org, most):
        org = make_org(most)
        jobs_of(org, 30, zoho)

        with closing(id_asking.ask(org, IDS, seconds=5)) as bout:
            assert next(answer for answer in bout if answer is not None)
            [polled] = poll_due()

            assert polled is not None
            assert polled.answers == 30

    @pytest.mark.parametrize(
        ("most", "check", "polls"), [(1, 1, 0), (2, 1, 0), (3, 1, 1), (5, 2, 2), (10, 5, 4)]
    )
    def test_are_shared_half_and_half_and_one_is_spared(self, most, check, polls):
        org = make_proven(max_concurrency=most)

        assert slots.take(org, 50, slots.Use.CHECK).calls == check
        with pytest.raises(slots.NoSlotError):
            slots.take(org, 50, slots.Use.CHECK)
        if polls:
            assert slots.take(org, 50, slots.Use.POLLS).calls == polls
        with pytest.raises(slots.NoSlotError):
            slots.take(org, 50, slots.Use.POLLS)
        if most > 1:
            assert slots.take(org, 1).calls == 1


class TestWhereOneOfThemHasAllCalls:
    @pytest.mark.parametrize("most", [1, 2])
    def test_polls_have_their_turn_after_each_bout(self, zoho, make_org, monkeypatch, most):
        monkeypatch.setattr(id_checks, "BOUT_IDS", 1)
        org = make_org(most)
        jobs_of(org, 3, zoho)
        first, second = begin(org, "\n".join(IDS[:2])), begin(org, IDS[2])

        assert not id_checks.work_on(id_checks.claim_due())

        # Both, as one would follow the other; and for longer than the 2 seconds of a tick.
        with time_machine.travel(timezone.now() + timedelta(seconds=3)):
            assert id_checks.claim_due() is None
            [polled] = poll_due()
        assert polled.answers == 3
        for seconds in (5, 10):
            with time_machine.travel(timezone.now() + timedelta(seconds=seconds)):
                id_checks.work_on(id_checks.claim_due())
        assert not (first.ids.waiting() | second.ids.waiting()).exists()

    def test_a_check_with_calls_of_its_own_goes_on_at_once(self, make_org, monkeypatch):
        monkeypatch.setattr(id_checks, "BOUT_IDS", 1)
        begin(make_org(3), "\n".join(IDS[:2]))

        assert id_checks.work_on(id_checks.claim_due())


class TestWhatOthersLearnDuringABout:
    def happens(self, zoho, what: Callable[[], object]) -> None:
        """Whenever Zoho is asked about an id."""

        def answer(request):
            what()
            database.close()
            time.sleep(0.05)
            return 200, {}, json.dumps({"id": request.url.rpartition("/")[2], "status": "ADDED"})

        for job_id in IDS:
            zoho.mock.add_callback("GET", url(job_id), answer)

    def test_that_zoho_throttles_ends_it_until_then(self, zoho):
        org = make_proven(max_concurrency=2)
        zoho.gives_tokens()
        until = timezone.now() + timedelta(minutes=5)
        wait = (org, until, Connection.Waiting.THROTTLED)
        self.happens(zoho, lambda: standing.hold_back(*wait))

        check = work(begin(org, "\n".join(IDS)))

        assert 0 < len(asked(zoho)) < 10
        assert (check.state, check.next_attempt_at) == (IdCheck.State.RUNNING, until)
        assert "slow down" in check.error["message"]
        # What came is kept.
        assert check.ids.found().count() == len(asked(zoho))

    def test_that_somebody_has_paused_the_connection_stops_the_check(self, zoho):
        org = make_proven(max_concurrency=2)
        zoho.gives_tokens()
        self.happens(zoho, lambda: Connection.objects.update(paused=True))

        check = work(begin(org, "\n".join(IDS)))

        assert 0 < len(asked(zoho)) < 10
        assert check.state == IdCheck.State.STOPPED
        assert "is paused" in check.error["message"]

    def test_that_its_calls_are_others_by_now_ends_it(self, zoho):
        org = make_proven(max_concurrency=2)
        zoho.gives_tokens()
        self.happens(zoho, CallSlot.objects.all().delete)

        answers = [one for one in id_asking.ask(org, IDS, seconds=5) if one is not None]

        assert 0 < len(answers) == len(asked(zoho)) < 10


def test_polls_that_have_all_calls_are_waited_for(zoho, make_org):
    org = make_org(4)
    jobs_of(org, 10, zoho)
    check = begin(org, IDS[0])
    with slots.held(org, 50, slots.Use.POLLS):
        id_checks.work_on(id_checks.claim_due())
        assert check.ids.waiting().exists()

    with time_machine.travel(timezone.now() + timedelta(seconds=3)):
        assert polling.claim_due()
        id_checks.work_on(id_checks.claim_due())
    assert not check.ids.waiting().exists()
