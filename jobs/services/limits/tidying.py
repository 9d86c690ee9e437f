"""What is kept of used credits and slots, and for how long."""

from datetime import datetime, timedelta

from jobs.models import CallSlot, CreditUse

CREDITS_KEPT_FOR = timedelta(days=30)


def tidy_up(now: datetime) -> None:
    """Delete old counts of credits, and slots that nobody gave back."""
    CreditUse.objects.filter(hour__lt=now - CREDITS_KEPT_FOR).delete()
    CallSlot.objects.dead(now).delete()
