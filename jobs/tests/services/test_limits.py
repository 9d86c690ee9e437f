"""Calls at a time and API credits: what may be used of them, and by whom."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from django.db import connection as database
from django.utils import timezone

from jobs.models import CallSlot, Connection, CreditUse
from jobs.services.limits import credits, slots, tidying
from jobs.services.limits.booking import Booking
from jobs.tests.factories import make_connection, make_job, make_proven

MORNING = datetime(2026, 11, 25, 8, 20, tzinfo=UTC)


def use(org: Connection, *by_hour: tuple[float, int]) -> None:
    """So many calls so many hours ago."""
    for hours, calls in by_hour:
        with time_machine.travel(timezone.now() - timedelta(hours=hours)):
            credits.spend(org, calls)


@pytest.mark.django_db
class TestSlots:
    def test_are_as_many_as_the_connection_allows_and_one_is_spared(self):
        org = make_connection(max_concurrency=10)
        polls = slots.take(org, 50, slots.Use.POLLS)
        download = slots.take(org, 1)

        assert (polls.calls, download.calls) == (9, 1)
        with pytest.raises(slots.NoSlotError, match="All 10 calls"):
            slots.take(org, 1)

    def test_of_a_connection_with_one_call_at_a_time_are_not_all_spared(self):
        assert slots.take(make_connection(max_concurrency=1), 5, slots.Use.POLLS).calls == 1

    @pytest.mark.parametrize(("most", "polls"), [(2, 1), (3, 2), (10, 9)])
    def test_that_are_spared_are_so_no_longer_once_somebody_has_them(self, most, polls):
        org = make_connection(max_concurrency=most)
        with slots.held(org) as download:
            assert slots.take(org, 50, slots.Use.POLLS).calls == polls
            with pytest.raises(slots.NoSlotError):
                slots.take(org, 1, slots.Use.POLLS)
        assert download.calls == 1
        # Whoever comes next is spared it anew.
        with pytest.raises(slots.NoSlotError):
            slots.take(org, 1, slots.Use.POLLS)
        assert slots.take(org, 1).calls == 1

    def test_are_free_again_when_they_are_given_back(self):
        org = make_connection(max_concurrency=1)
        with slots.held(org), pytest.raises(slots.NoSlotError):
            slots.take(org, 1)

        assert slots.take(org, 1).calls == 1

    def test_are_each_connections_own(self):
        one, other = (make_connection(max_concurrency=1) for _ in range(2))
        slots.take(one, 1)

        assert slots.take(other, 1).calls == 1

    def test_of_a_process_that_died_are_free_within_a_minute(self):
        org = make_connection(max_concurrency=1)
        slots.take(org, 1)
        with time_machine.travel(timezone.now() + timedelta(seconds=60)):
            assert slots.take(org, 1).calls == 1

    def test_that_are_renewed_last(self):
        org = make_connection(max_concurrency=1)
        slot = slots.take(org, 1)
        with time_machine.travel(timezone.now() + timedelta(seconds=40)):
            assert slot.renew()
        with (
            time_machine.travel(timezone.now() + timedelta(seconds=80)),
            pytest.raises(slots.NoSlotError),
        ):
            slots.take(org, 1)

    def test_that_were_lost_cannot_be_renewed(self):
        slot = slots.take(make_connection(), 1)
        slot.release()

        assert not slot.renew()

    def test_made_before_the_clock_was_set_back_hold_nothing(self):
        org = make_connection(max_concurrency=1)
        with time_machine.travel(timezone.now() + timedelta(hours=1)):
            slots.take(org, 1)

        assert slots.take(org, 1).calls == 1


@pytest.mark.django_db(transaction=True)
def test_slots_are_never_given_twice_at_the_same_moment():
    org = make_connection(max_concurrency=7)

    def take(_: int) -> int:
        try:
            return slots.take(org, 3).calls
        except slots.NoSlotError:
            return 0
        finally:
            database.close()

    with ThreadPoolExecutor(6) as pool:
        assert sorted(pool.map(take, range(6)), reverse=True) == [3, 3, 1, 0, 0, 0]


@pytest.mark.django_db
class TestCredits:
    @pytest.fixture(autouse=True)
    def morning(self):
        with time_machine.travel(MORNING, tick=False):
            yield

    def test_are_counted_over_24_hours(self):
        org = make_proven(daily_credits=1_000)
        use(org, (0, 5), (23, 7), (26, 100))

        stands = credits.credits_of(org, timezone.now())

        assert (stands.used, stands.left) == (12, 988)

    def test_are_a_tenth_of_the_allowance_unless_somebody_says_otherwise(self):
        assert credits.budget_of(make_connection(edition="enterprise", paid_users=10)) == 6_000
        assert credits.budget_of(make_connection(edition="free")) == 500

    def test_checks_leave_half_of_the_budget_to_polling(self):
        org = make_connection(daily_credits=100)

        assert credits.reserve(org, 70, for_check=True)[0] == 50
        assert credits.reserve(org, 70, for_check=True)[0] == 0
        assert credits.reserve(org, 70)[0] == 50

    def test_a_check_may_go_on_when_some_of_its_half_is_free_again(self):
        org = make_connection(daily_credits=100)
        now = timezone.now().replace(minute=0, second=0, microsecond=0)
        for hours, calls in ((20, 10), (10, 40)):
            hour = now - timedelta(hours=hours)
            CreditUse.objects.create(connection=org, hour=hour, calls=calls)
        stands = credits.credits_of(org, now)

        at = credits.free_again_at(org, stands, now, for_check=True)

        assert (stands.left, stands.left_for_checks) == (50, 0)
        assert at == now + timedelta(hours=5)

    def test_are_reserved_as_far_as_they_go_and_given_back(self):
        org = make_proven(daily_credits=100)

        assert credits.reserve(org, 70)[0] == 70
        assert credits.reserve(org, 70)[0] == 30
        assert credits.reserve(org, 70)[0] == 0
        credits.spend(org, -60)
        assert credits.credits_of(org, timezone.now()).used == 40

    def test_that_others_have_merely_reserved_are_not_used_up(self):
        org = make_proven(daily_credits=10)
        other = slots.take(org, 2)
        credits.reserve(org, 8, slot=other)
        with slots.held(org) as slot:
            assert credits.reserve(org, 4, slot=slot).calls == 2
            with pytest.raises(slots.NoSlotError, match="reserved for calls under way"):
                credits.reserve(org, 1, slot=slot)
            other.release()
            assert credits.reserve(org, 1, slot=slot).calls == 0

    def test_given_back_are_so_to_the_hour_that_they_were_reserved_in(self):
        org = make_proven(daily_credits=1_000)
        full_hour = MORNING.replace(minute=0)
        with time_machine.travel(full_hour - timedelta(seconds=5), tick=False):
            booking = Booking(org, 12, slots.take(org, 2))
        with time_machine.travel(full_hour + timedelta(seconds=5), tick=False):
            for _ in range(4):
                assert booking.take()
            booking.top_up()
            assert credits.credits_of(org, timezone.now()).used == 12
            # More is never made than was reserved first, so the first hour keeps it.
            booking.settle(7)
            assert credits.credits_of(org, timezone.now()).used == 7

        by_hour = dict(CreditUse.objects.values_list("hour", "calls"))
        assert by_hour == {full_hour - timedelta(hours=1): 7, full_hour: 0}

    def test_given_back_never_fall_below_none(self):
        org = make_proven()
        credits.spend(org, 3)
        credits.spend(org, -5)

        assert CreditUse.objects.get().calls == 0

    def test_are_free_again_when_enough_of_them_are_a_day_old(self):
        org = make_proven(daily_credits=100)
        use(org, (20, 1), (10, 59), (0, 40))
        stands = credits.credits_of(org, timezone.now())
        assert stands.left == 0

        at = credits.free_again_at(org, stands, timezone.now())

        # The hour from 22:00, all of it, is a day old at 23:00.
        assert at == datetime(2026, 11, 25, 23, 0, tzinfo=UTC)
        assert credits.credits_of(org, at).left >= 2

    def test_that_zoho_says_are_gone_are_asked_for_anew_after_a_quarter_of_an_hour(self):
        org = make_proven(edition="free", credits_remaining=100, credits_seen_at=timezone.now())
        stands = credits.credits_of(org, timezone.now())
        assert (stands.left, stands.is_org_short) == (0, True)

        at = credits.free_again_at(org, stands, timezone.now())

        assert at == timezone.now() + timedelta(minutes=15)
        assert credits.credits_of(org, at).left == 1

    def test_that_are_gone_both_here_and_at_zoho_are_waited_for_until_there_are_some_here(self):
        seen_at = timezone.now() - timedelta(minutes=20)
        org = make_proven(
            daily_credits=100, edition="free", credits_remaining=0, credits_seen_at=seen_at
        )
        use(org, (1, 100))
        stands = credits.credits_of(org, timezone.now())
        assert (stands.left, stands.is_org_short) == (0, True)

        assert credits.free_again_at(org, stands, timezone.now()) > timezone.now()

    def test_of_which_zoho_said_nothing_for_an_hour_are_our_own_count(self):
        org = make_proven(edition="free", credits_remaining=0, credits_seen_at=timezone.now())

        later = timezone.now() + timedelta(minutes=61)
        assert credits.credits_of(org, later).remaining is None
        assert credits.credits_of(org, later).left == 500

    @pytest.mark.parametrize(
        ("used", "stretch"), [(0, 1), (500, 1), (750, 2), (900, 5), (1_000, 100)]
    )
    def test_stretch_polls_the_more_the_less_is_left(self, used, stretch):
        org = make_proven(daily_credits=1_000)
        use(org, (0, used))

        assert credits.credits_of(org, timezone.now()).stretch == pytest.approx(stretch)

    def test_stretch_polls_from_the_start_where_the_jobs_need_more_than_there_is(self):
        org = make_proven(daily_credits=1_000, longest_interval_seconds=300)
        for _ in range(10):
            make_job(org)

        # 288 polls a day of 10 jobs each, over 95 % of the budget
        assert credits.credits_of(org, timezone.now()).stretch == pytest.approx(2880 / 950)

    def test_of_long_ago_are_forgotten_and_dead_slots_with_them(self):
        org = make_proven()
        use(org, (24 * 31, 5), (24 * 29, 6))
        slots.take(org, 1)
        with time_machine.travel(timezone.now() + timedelta(minutes=5)):
            alive = slots.take(org, 1)
            tidying.tidy_up(timezone.now())

        assert CreditUse.objects.get().calls == 6
        assert CallSlot.objects.get().token == alive.token


@pytest.mark.django_db(transaction=True)
def test_credits_are_never_reserved_twice_at_the_same_moment():
    org = make_proven(daily_credits=100)

    def reserve(_: int) -> int:
        try:
            return credits.reserve(org, 40)[0]
        finally:
            database.close()

    with ThreadPoolExecutor(6) as pool:
        assert sorted(pool.map(reserve, range(6)), reverse=True) == [40, 40, 20, 0, 0, 0]


@pytest.mark.django_db
class TestBooking:
    def test_reserves_a_few_calls_ahead_and_more_once_half_are_taken(self):
        org = make_proven(daily_credits=1_000)
        booking = Booking(org, 20, slots.take(org, 2))
        used = []
        for _ in range(20):
            assert booking.take()
            booking.top_up()
            used.append(credits.credits_of(org, timezone.now()).used)

        assert used == [8, 8, 8, 12, 12, 12, 12, 16, 16, 16, 16, *[20] * 9]
        assert not booking.take()
        booking.settle(20)
        assert credits.credits_of(org, timezone.now()).used == 20

    def test_lets_threads_wait_until_more_are_reserved_and_no_longer(self):
        org = make_proven(daily_credits=1_000)
        booking = Booking(org, 6, slots.take(org, 1))
        with ThreadPoolExecutor(7) as pool:
            taken = [pool.submit(booking.take) for _ in range(7)]
            wait_for(lambda: sum(one.done() for one in taken) == 4)
            booking.top_up()

        assert sorted(one.result() for one in taken) == [False] + [True] * 6

    @pytest.mark.parametrize("end", [Booking.close, lambda booking: booking.settle(4)])
    def test_lets_nobody_wait_when_it_is_over(self, end):
        org = make_proven(daily_credits=1_000)
        booking = Booking(org, 100, slots.take(org, 1))
        with ThreadPoolExecutor(5) as pool:
            taken = [pool.submit(booking.take) for _ in range(5)]
            wait_for(lambda: sum(one.done() for one in taken) == 4)
            end(booking)
            booking.top_up()

        assert sorted(one.result() for one in taken) == [False] + [True] * 4
        assert credits.credits_of(org, timezone.now()).used == 4

    def test_ends_with_the_budget(self):
        org = make_proven(daily_credits=5)
        booking = Booking(org, 100, slots.take(org, 1))
        taken = 0
        while booking.take():
            taken += 1
            booking.top_up()

        assert (taken, booking.is_over) == (5, True)
        booking.settle(5)
        CallSlot.objects.all().delete()
        assert Booking(org, 100, slots.take(org, 1)).is_empty

    def test_settles_calls_that_cost_two(self):
        org = make_proven(daily_credits=100)
        booking = Booking(org, 1, slots.take(org, 1))
        booking.settle(2)
        booking.settle(3)

        assert CreditUse.objects.get().calls == 3


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 5
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)
