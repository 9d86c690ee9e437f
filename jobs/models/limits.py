"""What is used of what Zoho allows: API credits by the hour, and calls under way."""

from collections import Counter
from datetime import datetime, timedelta
from typing import Self

from django.db import models

from jobs.models.connection import Connection


class CreditUseQuerySet(models.QuerySet["CreditUse"]):
    def counted(self, now: datetime) -> Self:
        """Use in the last 24 hours; the first hour counts whole, as nobody kept its minutes."""
        first = now - timedelta(hours=24)
        return self.filter(
            hour__gte=first.replace(minute=0, second=0, microsecond=0),
            hour__lte=now + CreditUse.MOST_AHEAD,
        )

    def ahead(self, now: datetime) -> Self:
        """Use that was counted before the clock was set back."""
        return self.filter(hour__gt=now + CreditUse.MOST_AHEAD)

    def by_hour(self, now: datetime) -> dict[datetime, int]:
        """Calls in the last 24 hours by hour, of one connection."""
        return dict(self.counted(now).values_list("hour", "calls"))


class CreditUse(models.Model):
    """Calls of Zoho's API for one connection within one hour (UTC). A call costs one credit."""

    connection = models.ForeignKey(Connection, on_delete=models.CASCADE, related_name="credit_use")
    hour = models.DateTimeField()
    calls = models.PositiveIntegerField(default=0)

    # The next hour may have begun on another machine, whose clock is a little ahead.
    MOST_AHEAD = timedelta(hours=1)

    objects = CreditUseQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["connection", "hour"], name="credits_of_hour"),
        ]

    def __str__(self) -> str:
        return f"{self.calls} calls in the hour from {self.hour}"


class CallSlotQuerySet(models.QuerySet["CallSlot"]):
    def dead(self, now: datetime) -> Self:
        """Slots that have run out.

        One with an end further off than any is given was made before the clock was set back.
        """
        return self.exclude(until__gt=now, until__lte=now + CallSlot.LONGEST)

    def alive(self, now: datetime) -> Self:
        """Slots that somebody holds."""
        return self.filter(until__gt=now, until__lte=now + CallSlot.LONGEST)

    def calls_by_use(self) -> Counter[str]:
        """Calls that these slots allow at a time, by `CallSlot.Use`."""
        sums = self.values_list("use").annotate(models.Sum("calls")).order_by()
        return Counter(dict(sums))


class CallSlot(models.Model):
    """Calls that one process may have under way for a connection, until a time it has to renew."""

    class Use(models.TextChoices):
        POLLS = "polls"
        CHECK = "check", "a check of ids"
        ONE = "one", "a download or a test"

    connection = models.ForeignKey(Connection, on_delete=models.CASCADE, related_name="call_slots")
    token = models.CharField(max_length=32, unique=True)
    use = models.CharField(max_length=5, choices=Use.choices, default=Use.ONE)
    calls = models.PositiveSmallIntegerField()
    until = models.DateTimeField()

    LONGEST = timedelta(minutes=10)

    objects = CallSlotQuerySet.as_manager()

    def __str__(self) -> str:
        return f"{self.calls} calls until {self.until}"
