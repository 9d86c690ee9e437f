"""What a connection's polling uses of its API credits, hour by hour, and what it will use.

Pure but for `use_of`, which asks the database.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from jobs.models import Connection, CreditUse
from jobs.services.limits.credits import DAY_SECONDS, Credits, demand_of
from jobs.services.observing.schedule import MIN_SECONDS, QUIET_SHARE

HOUR = timedelta(hours=1)
# The pace is that of the last whole hours and the one that has begun.
PACE_HOURS = 3
# After less than this, a pace would be a guess: one check of ids can outweigh all polls.
PACE_FROM = timedelta(hours=1)
INTERVALS = (30, 60, 120, 300, 600, 1_800, 3_600)


@dataclass(frozen=True, slots=True)
class HourUse:
    """Calls of Zoho's API within one hour, which begins at `hour`."""

    hour: datetime
    calls: int


class Shortage(StrEnum):
    """What polls are stretched for."""

    DEMAND = "demand"
    BUDGET = "budget"
    ORG = "org"


@dataclass(frozen=True, slots=True)
class IntervalCost:
    """What the jobs watched now cost within 24 hours at this longest interval, in credits."""

    seconds: int
    calls: int
    of_budget: float
    is_current: bool


@dataclass(frozen=True, slots=True)
class Forecast:
    """How credits are used. `pace` is calls within 24 hours at the pace of the last hours.

    Those of the last `pace_seconds`; None where polling has not gone on for long enough to tell.
    `first_calls`: what one new job takes before it is asked about at the longest interval.
    """

    hours: Sequence[HourUse]
    credits: Credits
    pace: int | None
    pace_seconds: float
    watched: int
    first_calls: int
    costs: Sequence[IntervalCost]

    @property
    def budget_share(self) -> float:
        """What polling may use of the org's allowance."""
        return self.credits.budget / self.credits.allowance

    @property
    def is_pace_too_high(self) -> bool:
        """Whether calls cannot go on at this pace for a day: the budget ends before."""
        return self.pace is not None and self.pace > self.credits.budget

    @property
    def shortage(self) -> Shortage | None:
        return shortage_of(self.credits)


def use_of(connections: Iterable[Connection], now: datetime) -> dict[int, dict[datetime, int]]:
    """Calls by hour, as far as `Credits.used` counts them, of each connection that made any."""
    found = CreditUse.objects.filter(connection__in=connections).counted(now)
    use: dict[int, dict[datetime, int]] = {}
    for connection_id, hour, calls in found.values_list("connection_id", "hour", "calls"):
        use.setdefault(connection_id, {})[hour] = calls
    return use


def forecast(
    connection: Connection,
    credits: Credits,
    use: Mapping[datetime, int],
    *,
    watched: int,
    now: datetime,
) -> Forecast:
    """What is used and will be, by hours used (`use_of`) and the number of jobs watched now."""
    current = connection.longest_interval_seconds
    return Forecast(
        hours=hours_of(use, now),
        credits=credits,
        pace=pace_of(use, now, since=connection.created_at),
        pace_seconds=(now - _pace_since(now, connection.created_at)).total_seconds(),
        watched=watched,
        first_calls=calls_until(current),
        costs=[
            IntervalCost(
                seconds,
                demand_of(watched, seconds),
                demand_of(watched, seconds) / credits.budget,
                seconds == current,
            )
            for seconds in sorted({*INTERVALS, current})
        ],
    )


def hours_of(use: Mapping[datetime, int], now: datetime) -> list[HourUse]:
    """The hours that the last 24 hours touch, the oldest first; those without any call too."""
    last = _hour(now)
    hours = [last - HOUR * number for number in range(24, -1, -1)]
    return [HourUse(hour, use.get(hour, 0)) for hour in hours]


def pace_of(use: Mapping[datetime, int], now: datetime, *, since: datetime) -> int | None:
    """Calls within 24 hours at the pace of the last hours, or since `since` if that is later."""
    first = _pace_since(now)
    calls = sum(use.get(first + HOUR * number, 0) for number in range(PACE_HOURS + 1))
    elapsed = now - _pace_since(now, since)
    if elapsed < PACE_FROM:
        return None
    return round(calls * DAY_SECONDS / elapsed.total_seconds())


def _pace_since(now: datetime, since: datetime | None = None) -> datetime:
    first = _hour(now) - HOUR * PACE_HOURS
    return max(first, since) if since is not None else first


def calls_until(longest: int) -> int:
    """Calls for a job in which nothing happens, until it is asked about every `longest` seconds.

    Every MIN_SECONDS at first, then after a share of how long it has been quiet.
    """
    if longest <= MIN_SECONDS:
        return 0
    return round(1 / QUIET_SHARE + math.log(longest / MIN_SECONDS) / QUIET_SHARE)


def shortage_of(credits: Credits) -> Shortage | None:
    """What polls are stretched for most; None where they are not."""
    if credits.stretch <= 1:
        return None
    only = {
        Shortage.ORG: replace(credits, used=0, demand=0),
        # Whatever was used, these jobs would need more. Before the next, which is never less.
        Shortage.DEMAND: replace(credits, used=0, remaining=None, pace=None),
        Shortage.BUDGET: replace(credits, remaining=None),
    }
    return max(only, key=lambda shortage: only[shortage].stretch)


def _hour(moment: datetime) -> datetime:
    return moment.replace(minute=0, second=0, microsecond=0)
