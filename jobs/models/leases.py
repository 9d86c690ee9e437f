"""Leases: who works on a row, until when."""

from datetime import datetime, timedelta

from django.db.models import Q


def is_free(now: datetime, longest: timedelta) -> Q:
    """Rows that nobody holds: without a lease, or with one that has ended.

    One that ends later than `longest` from now was given before the clock was set back.
    """
    return Q(lease_until=None) | Q(lease_until__lte=now) | Q(lease_until__gt=now + longest)
