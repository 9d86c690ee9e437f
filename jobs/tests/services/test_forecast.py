"""What polling uses of its credits and will use: sums, paces, what intervals cost."""

from datetime import UTC, datetime, timedelta

import pytest

from jobs.models import CreditUse
from jobs.services.limits import forecast
from jobs.services.limits.credits import Credits
from jobs.services.limits.forecast import Shortage
from jobs.services.observing.schedule import seconds_to_next_poll
from jobs.tests.factories import make_connection

NOW = datetime(2026, 11, 25, 12, 30, tzinfo=UTC)
NOON = NOW.replace(minute=0)
LONG_AGO = NOW - timedelta(days=30)


def credits(used=0, budget=5_000, demand=0, remaining=None, pace=None):
    return Credits(used, budget, demand, 50_000, remaining, pace=pace)


def outlook(watched=0, use=None, **fields):
    connection = make_connection(**fields)
    connection.created_at = LONG_AGO
    return forecast.forecast(connection, credits(), use or {}, watched=watched, now=NOW)


def test_the_hours_are_those_that_the_used_credits_are_counted_over(db):
    connection, other = make_connection(), make_connection()
    for hours, calls in ((0, 1), (3, 20), (24, 300), (25, 4_000)):
        CreditUse.objects.create(
            connection=connection, hour=NOON - timedelta(hours=hours), calls=calls
        )
    CreditUse.objects.create(connection=other, hour=NOON, calls=7)

    use = forecast.use_of([connection], NOW)
    hours = forecast.hours_of(use[connection.pk], NOW)

    assert set(use) == {connection.pk}
    assert sum(use[connection.pk].values()) == 321
    assert sum(each.calls for each in hours) == sum(connection.credit_use.by_hour(NOW).values())
    assert (hours[0].hour, hours[-1].hour) == (NOON - timedelta(hours=24), NOON)
    assert [each.calls for each in hours if each.calls] == [300, 20, 1]


def test_the_pace_is_that_of_the_last_hours():
    # 35 calls within three hours and a half: ten an hour.
    use = {NOON: 5, NOON - timedelta(hours=2): 30, NOON - timedelta(hours=4): 9_999}

    assert forecast.pace_of(use, NOW, since=LONG_AGO) == 240


def test_the_pace_of_a_new_connection_is_that_of_its_life():
    assert forecast.pace_of({NOON: 10}, NOW, since=NOW - timedelta(hours=2)) == 120
    assert forecast.pace_of({NOON: 10}, NOW, since=NOW - timedelta(minutes=59)) is None
    assert forecast.pace_of({}, NOW, since=LONG_AGO) == 0


@pytest.mark.django_db
def test_what_a_pace_is_taken_from_is_told():
    assert outlook().pace_seconds == 3.5 * 3_600
    connection = make_connection()
    connection.created_at = NOW - timedelta(minutes=90)

    found = forecast.forecast(connection, credits(), {NOON: 10}, watched=0, now=NOW)

    assert (found.pace, found.pace_seconds) == (160, 90 * 60)


@pytest.mark.django_db
@pytest.mark.parametrize(("calls", "too_high"), [(729, False), (730, True)])
def test_a_pace_above_the_budget_is_none_that_can_be_kept(calls, too_high):
    # Of 5,000 a day, in three hours and a half.
    assert outlook(use={NOON: calls}).is_pace_too_high is too_high


@pytest.mark.django_db
def test_what_intervals_cost_is_told_with_the_present_one_among_them():
    costs = outlook(watched=3, longest_interval_seconds=240).costs

    assert [cost.seconds for cost in costs] == [30, 60, 120, 240, 300, 600, 1_800, 3_600]
    assert [cost.seconds for cost in costs if cost.is_current] == [240]
    by_seconds = {cost.seconds: cost for cost in costs}
    assert by_seconds[60].calls == 3 * 1_440
    assert by_seconds[30].of_budget == pytest.approx(3 * 2_880 / 5_000)


@pytest.mark.django_db
def test_nothing_watched_costs_nothing():
    assert {cost.calls for cost in outlook().costs} == {0}


@pytest.mark.parametrize("longest", [15, 60, 300, 3_600])
def test_a_new_jobs_first_calls_are_as_many_as_the_schedule_makes(longest):
    age, calls = 0.0, 0
    while max(0.1 * age, 5) < longest:
        age += seconds_to_next_poll(age=0, quiet=age, stuck_after=10**9, longest=longest)
        calls += 1

    assert forecast.calls_until(longest) == pytest.approx(calls, rel=0.25)


@pytest.mark.parametrize(
    ("given", "shortage"),
    [
        ({}, None),
        ({"used": 2_500}, None),
        ({"used": 4_000}, Shortage.BUDGET),
        ({"demand": 50_000}, Shortage.DEMAND),
        ({"used": 1_000, "demand": 4_000, "pace": 1_000}, Shortage.BUDGET),
        ({"remaining": 5_000}, Shortage.ORG),
        ({"used": 4_900, "demand": 6_000, "remaining": 20_000}, Shortage.BUDGET),
        ({"used": 3_000, "demand": 100_000, "remaining": 20_000}, Shortage.DEMAND),
    ],
)
def test_what_polls_are_stretched_for(given, shortage):
    assert forecast.shortage_of(credits(**given)) == shortage
