"""What is kept of used credits, slots and shared tokens, and for how long."""

from datetime import datetime, timedelta

from jobs.models import CallSlot, CreditUse, SharedToken

CREDITS_KEPT_FOR = timedelta(days=30)
# Clocks of several machines may differ by less.
TOKENS_KEPT_FOR = timedelta(hours=1)


def tidy_up(now: datetime) -> None:
    """Delete old counts of credits, slots that nobody gave back, and shared tokens that ended.

    What is remembered beside tokens, such as how many were asked for, ends with its own time.
    """
    CreditUse.objects.filter(hour__lt=now - CREDITS_KEPT_FOR).delete()
    CreditUse.objects.ahead(now).delete()
    CallSlot.objects.dead(now).delete()
    SharedToken.objects.filter(expires_at__lt=now - TOKENS_KEPT_FOR).delete()
