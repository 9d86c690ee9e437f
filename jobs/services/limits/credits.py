"""API credits: what polling may use of an org's allowance, and what it has used.

A call costs one credit; Zoho counts them over any 24 hours (Kaizen post 93).
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import F, Value
from django.db.models.functions import Greatest
from django.utils import timezone

from jobs.models import BulkWriteJob, Connection, CreditUse
from jobs.zoho.editions import EDITIONS, Edition

# Creating a bulk write job costs 500 credits and watching it to its end about 25, so a tenth is
# twice what it takes to watch as many jobs as the whole allowance can pay for.
DEFAULT_SHARE = 0.1
# From this share of the budget on, and of what Zoho says is used, polls come less often.
STRETCH_FROM = 0.5
# Of the budget, what polls of jobs that are watched already are spread over; the rest is for
# what cannot be foreseen: new jobs, downloads, people.
PLANNED_SHARE = 0.95
MAX_STRETCH = 100.0
DAY_SECONDS = 86_400
# What Zoho said of the org's credits is believed for so long.
REMAINING_GOOD_FOR = timedelta(hours=1)
# Of the org's allowance, left to its other integrations.
RESERVE_SHARE = 0.02


def edition_of(connection: Connection) -> Edition:
    return EDITIONS[connection.edition]


def allowance_of(connection: Connection) -> int:
    """API credits within 24 hours that Zoho gives the org, by its edition and paid users."""
    return edition_of(connection).credits(connection.paid_users or 1)


def budget_of(connection: Connection) -> int:
    """API credits within 24 hours that polling may use."""
    return connection.daily_credits or int(allowance_of(connection) * DEFAULT_SHARE)


def spend(connection: Connection, calls: int) -> None:
    """Count calls, or take calls back that were counted ahead and not made (a negative number)."""
    if not calls:
        return
    hour = timezone.now().replace(minute=0, second=0, microsecond=0)
    counted = CreditUse.objects.filter(connection=connection, hour=hour).update(
        calls=Greatest(F("calls") + Value(calls), Value(0))
    )
    if not counted and calls > 0:
        use, is_new = CreditUse.objects.get_or_create(
            connection=connection, hour=hour, defaults={"calls": calls}
        )
        if not is_new:
            CreditUse.objects.filter(pk=use.pk).update(calls=F("calls") + calls)


@dataclass(frozen=True, slots=True)
class Credits:
    """How a connection's credits stand: `used` of `budget` within 24 hours.

    `demand` is what the jobs watched now take in 24 hours if nothing happens to them and they are
    asked at their longest interval. `remaining` is what Zoho says the whole org has left of
    `allowance`; None where it says nothing, which means that less than half is used.
    """

    used: int
    budget: int
    demand: int
    allowance: int
    remaining: int | None

    @property
    def left(self) -> int:
        """Calls that polling may still make now."""
        if self.remaining is not None and self.remaining <= self.allowance * RESERVE_SHARE:
            return 0
        return max(self.budget - self.used, 0)

    @property
    def stretch(self) -> float:
        """By how much the time between two polls is stretched: 1 while there is plenty.

        Spread evenly over the day where the jobs need more than the budget, and all the more the
        less is left.
        """
        shares = [self.used / self.budget]
        if self.remaining is not None:
            shares.append(1 - min(self.remaining / self.allowance, 1.0))
        spread = self.demand / (self.budget * PLANNED_SHARE)
        return min(max(1.0, spread, *map(_stretch, shares)), MAX_STRETCH)


def _stretch(used_share: float) -> float:
    """1 up to half, 2 at three quarters, 5 at nine tenths: the rest lasts for as long again."""
    if used_share <= STRETCH_FROM:
        return 1.0
    left = max(1 - used_share, 0.0)
    return min((1 - STRETCH_FROM) / left, MAX_STRETCH) if left else MAX_STRETCH


def credits_of(connection: Connection, now: datetime) -> Credits:
    """How a connection's credits stand now."""
    seen, remaining = connection.credits_seen_at, connection.credits_remaining
    if seen is None or not timedelta() <= now - seen <= REMAINING_GOOD_FOR:
        remaining = None
    used = CreditUse.objects.filter(connection=connection).calls_in_24_hours(now)
    return Credits(
        used, budget_of(connection), demand_of(connection), allowance_of(connection), remaining
    )


def demand_of(connection: Connection, seconds: int | None = None) -> int:
    """Calls in 24 hours for the jobs watched now, asked every so many seconds.

    Without `seconds` at the connection's longest interval.
    """
    watched = BulkWriteJob.objects.filter(connection=connection).active().count()
    return watched * DAY_SECONDS // (seconds or connection.longest_interval_seconds)
