"""API credits: what polling may use of an org's allowance, and what it has used.

A call costs one credit; Zoho counts them over any 24 hours (Kaizen post 93).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

from django.db import transaction
from django.db.models import F, Sum, Value
from django.db.models.functions import Greatest
from django.utils import timezone

from jobs.models import BulkWriteJob, CallSlot, Connection, CreditUse
from jobs.services.limits.slots import NoSlotError, Slot
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
# Polls that come a tenth later than planned are no news.
STRETCH_SHOWN_FROM = 1.1
DAY_SECONDS = 86_400
# What Zoho said of the org's credits is believed for so long.
REMAINING_GOOD_FOR = timedelta(hours=1)
# Where it said that hardly any are left, one call finds out after so long whether that still holds.
ASKED_ANEW_AFTER = timedelta(minutes=15)
# Of the org's allowance, left to its other integrations.
RESERVE_SHARE = 0.02
# Calls that are counted before they are made, for each call at a time.
AHEAD = 4
# Once the budget is used up, polling goes on when so much of it is free again.
FREE_AGAIN_SHARE = 0.02


def edition_of(connection: Connection) -> Edition:
    return EDITIONS[connection.edition]


def allowance_of(connection: Connection) -> int:
    """API credits within 24 hours that Zoho gives the org, by its edition and paid users."""
    return edition_of(connection).credits(connection.paid_users or 1)


def budget_of(connection: Connection) -> int:
    """API credits within 24 hours that polling may use."""
    return connection.daily_credits or int(allowance_of(connection) * DEFAULT_SHARE)


def spend(connection: Connection, calls: int, *, hour: datetime | None = None) -> datetime:
    """Count calls, or take calls back that were counted ahead and not made (a negative number).

    In the hour that they were counted in, or else in this one; which it was.
    """
    hour = hour or timezone.now().replace(minute=0, second=0, microsecond=0)
    if not calls:
        return hour
    counted = CreditUse.objects.filter(connection=connection, hour=hour).update(
        calls=Greatest(F("calls") + Value(calls), Value(0))
    )
    if not counted and calls > 0:
        use, is_new = CreditUse.objects.get_or_create(
            connection=connection, hour=hour, defaults={"calls": calls}
        )
        if not is_new:
            CreditUse.objects.filter(pk=use.pk).update(calls=F("calls") + calls)
    return hour


@dataclass(frozen=True, slots=True)
class Credits:
    """How a connection's credits stand: `used` of `budget` within 24 hours.

    `demand` is what the jobs watched now take in 24 hours if nothing happens to them and they are
    asked at their longest interval. `pace` is how many calls in 24 hours, made evenly from now on,
    never come to more than the budget; None for as many as the budget. `remaining` is what Zoho
    says the whole org has left of `allowance`; None where it says nothing, which means that less
    than half is used. `asks_anew`: that was long enough ago for one call to find out whether it
    still holds.
    """

    used: int
    budget: int
    demand: int
    allowance: int
    remaining: int | None
    asks_anew: bool = False
    pace: int | None = None

    @property
    def is_org_short(self) -> bool:
        """Whether what Zoho says is left belongs to the org's other integrations."""
        return self.remaining is not None and self.remaining <= self.allowance * RESERVE_SHARE

    @property
    def left(self) -> int:
        """Calls that polling may still make now."""
        left = max(self.budget - self.used, 0)
        return min(left, int(self.asks_anew)) if self.is_org_short else left

    @property
    def left_for_checks(self) -> int:
        """Calls that checks of ids may still make now.

        Half of the budget is polling's own: a large paste must not keep the jobs that are watched
        from being asked about for a day.
        """
        return max(self.left - self.budget // 2, 0)

    @property
    def used_share(self) -> float:
        return self.used / self.budget

    def ceiling(self, *, for_check: bool) -> int:
        """How much of the budget may be used before polls, or checks, stop."""
        return self.budget - self.budget // 2 if for_check else self.budget

    @property
    def stretch(self) -> float:
        """By how much the time between two polls is stretched: 1 while there is plenty.

        Spread evenly over the day where the jobs need more than the budget, and all the more the
        less is left.
        """
        shares = [self.used_share]
        if self.remaining is not None:
            shares.append(1 - min(self.remaining / self.allowance, 1.0))
        pace = self.budget if self.pace is None else self.pace
        spread = self.demand / max(pace * PLANNED_SHARE, 1)
        return min(max(1.0, spread, *map(_stretch, shares)), MAX_STRETCH)

    @property
    def is_stretched(self) -> bool:
        """Whether polls come so much less often than planned that it is worth a word."""
        return self.stretch >= STRETCH_SHOWN_FROM


def _stretch(used_share: float) -> float:
    """1 up to half, 2 at three quarters, 5 at nine tenths: the rest lasts for as long again."""
    if used_share <= STRETCH_FROM:
        return 1.0
    left = max(1 - used_share, 0.0)
    return min((1 - STRETCH_FROM) / left, MAX_STRETCH) if left else MAX_STRETCH


def credits_of(connection: Connection, now: datetime) -> Credits:
    """How a connection's credits stand now."""
    use = CreditUse.objects.filter(connection=connection).by_hour(now)
    watched = BulkWriteJob.objects.filter(connection=connection).active().count()
    return credits_from(connection, now, use=use, watched=watched)


def credits_from(
    connection: Connection, now: datetime, *, use: Mapping[datetime, int], watched: int
) -> Credits:
    """How credits stand of which so many were used in each hour, while so many jobs are watched."""
    seen, remaining = connection.credits_seen_at, connection.credits_remaining
    if seen is None or not timedelta() <= now - seen <= REMAINING_GOOD_FOR:
        remaining = None
    demand = demand_of(watched, connection.longest_interval_seconds)
    budget = budget_of(connection)
    return Credits(
        sum(use.values()),
        budget,
        demand,
        allowance_of(connection),
        remaining,
        asks_anew=seen is not None and now - seen >= ASKED_ANEW_AFTER,
        pace=_even_pace(use, budget, now),
    )


def _even_pace(use: Mapping[datetime, int], budget: int, now: datetime) -> int:
    """How many calls in 24 hours, made evenly from now on, never come to more than the budget.

    Each call that was made counts until its hour has left the 24 hours, so what a busy morning
    has used is missing until the next morning, and the rest has to last until then.
    """
    calls = 24 * float(budget)
    still_counted = 0
    for hour in sorted(use, reverse=True):
        still_counted += use[hour]
        hours = (hour + timedelta(hours=25) - now) / timedelta(hours=1)
        calls = min(calls, (budget - still_counted) / max(hours, 1.0) * 24)
    return max(int(min(calls, budget)), 0)


def demand_of(watched: int, seconds: int) -> int:
    """Calls in 24 hours for so many jobs, each asked about every so many seconds."""
    return watched * DAY_SECONDS // seconds


class Reserved(NamedTuple):
    """So many calls that were counted ahead in `hour`, and how the credits stood before."""

    calls: int
    credits: Credits
    hour: datetime


@transaction.atomic
def reserve(
    connection: Connection, wanted: int, *, slot: Slot | None = None, for_check: bool = False
) -> Reserved:
    """Count calls that are about to be made under a slot, as many of `wanted` as are left.

    Callers ask for no more than AHEAD for each call at a time that the slot allows: what others may
    yet give back is reckoned by that. `for_check`: for a check of ids, as many as are left for
    such. What is not made in the end is to be given back: `spend` with a negative number and the
    hour. None are left where calls that were made have used the budget; where others have merely
    reserved the rest, and may give it back, raises NoSlotError.
    """
    # The row's lock makes one counter of all processes.
    stored = Connection.objects.select_for_update(no_key=True).get(pk=connection.pk)
    now = timezone.now()
    credits = credits_of(stored, now)
    calls = min(wanted, credits.left_for_checks if for_check else credits.left)
    if wanted and not calls and not credits.is_org_short:
        made = credits.used - _reserved_by_others(stored, slot, now)
        if made < credits.ceiling(for_check=for_check):
            raise NoSlotError(
                f"All API credits that {connection} has left are reserved for calls under way."
            )
    return Reserved(calls, credits, spend(stored, calls))


def _reserved_by_others(connection: Connection, slot: Slot | None, now: datetime) -> int:
    """At most so many calls were counted ahead under other slots and are not made yet."""
    slots = CallSlot.objects.filter(connection=connection).alive(now)
    if slot is not None:
        slots = slots.exclude(token=slot.token)
    return (slots.aggregate(calls=Sum("calls"))["calls"] or 0) * AHEAD


def free_again_at(
    connection: Connection, credits: Credits, now: datetime, *, for_check: bool = False
) -> datetime:
    """When a connection without credits may be asked again; `for_check`: by a check of ids."""
    org_asked_at = now
    if credits.is_org_short and connection.credits_seen_at is not None:
        org_asked_at = max(connection.credits_seen_at + ASKED_ANEW_AFTER, now)
        if credits.used < credits.ceiling(for_check=for_check):
            return org_asked_at
    over = credits.used - credits.ceiling(for_check=for_check) + credits.budget * FREE_AGAIN_SHARE
    uses = CreditUse.objects.filter(connection=connection).counted(now)
    for hour, calls in uses.order_by("hour").values_list("hour", "calls"):
        over -= calls
        if over <= 0:
            # Only then has the last minute of that hour left the 24 hours.
            return max(hour + timedelta(hours=25), org_asked_at)
    return max(now + timedelta(hours=1), org_asked_at)


def note_remaining(connection: Connection, remaining: int | None) -> None:
    """Keep what Zoho's latest answer says is left for the whole org; None where it says nothing."""
    Connection.objects.filter(pk=connection.pk).update(
        credits_remaining=remaining, credits_seen_at=timezone.now()
    )
