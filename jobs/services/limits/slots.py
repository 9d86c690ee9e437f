"""Calls at a time: whoever calls Zoho for a connection first takes slots for its calls.

Zoho limits the simultaneous calls of an org and app (5 in the Free edition, 25 in Ultimate). Polls,
downloads, checks and tests of all processes share one connection's slots, which are rows of the
database; those of a process that died end by themselves.
"""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

from django.db import transaction
from django.db.models import Q, Sum
from django.db.models.functions import Coalesce
from django.utils import timezone

from jobs.models import CallSlot, Connection

# To be renewed well before: `Slot.renew`.
GOOD_FOR = timedelta(seconds=45)
# How the token of a slot begins that left some to others; all others are hexadecimal.
SPARING = "-"
# How, after that, the token of a check of ids begins.
FOR_CHECK = "+"
# With fewer calls at a time, a check, polls and those who are spared one cannot have one each.
ENOUGH_FOR_ALL = 3


class NoSlotError(Exception):
    """All calls that the connection allows are under way, or reserved: a matter of seconds."""


@dataclass(frozen=True, slots=True)
class Slot:
    """So many calls that may be under way at a time, until it is released or runs out."""

    token: str
    calls: int

    def renew(self, good_for: timedelta = GOOD_FOR) -> bool:
        """Keep the slot for as long again; False where it has run out and been taken."""
        return bool(
            CallSlot.objects.filter(token=self.token).update(until=timezone.now() + good_for)
        )

    def shrink(self, calls: int) -> None:
        """Give back all but so many calls, at least one."""
        CallSlot.objects.filter(token=self.token, calls__gt=calls).update(calls=max(calls, 1))

    def release(self) -> None:
        CallSlot.objects.filter(token=self.token).delete()


def take(
    connection: Connection,
    wanted: int,
    *,
    spare: int = 0,
    for_check: bool = False,
    good_for: timedelta = GOOD_FOR,
) -> Slot:
    """Slots for `wanted` calls at a time, or as many as are free; at least one.

    `spare` slots are left to those who spare none: polling leaves one, so that a download or a
    person's test need not wait for it. What these hold is no longer to be left to them.
    `for_check`: for a check of ids; all of them together get half of the calls, so that polls have
    the others. Raises NoSlotError where none is free.
    """
    with transaction.atomic():
        # The row's lock makes one counter of all processes; rows that refer to the connection may
        # be written meanwhile.
        locked = Connection.objects.select_for_update(no_key=True).only("max_concurrency")
        most = locked.get(pk=connection.pk).max_concurrency
        now = timezone.now()
        slots = CallSlot.objects.filter(connection=connection)
        slots.dead(now).delete()
        held = slots.aggregate(
            all=Coalesce(Sum("calls"), 0),
            sparing=Coalesce(Sum("calls", filter=Q(token__startswith=SPARING)), 0),
            checks=Coalesce(Sum("calls", filter=Q(token__startswith=SPARING + FOR_CHECK)), 0),
        )
        left = max(min(spare, most - 1) - (held["all"] - held["sparing"]), 0)
        calls = min(wanted, most - left - held["all"])
        if for_check:
            calls = min(calls, max(most // 2, 1) - held["checks"])
        if calls < 1:
            raise NoSlotError(f"All {most} calls at a time that {connection} allows are under way.")
        token = uuid.uuid4().hex
        kind = (SPARING if spare else "") + (FOR_CHECK if for_check else "")
        token = kind + token[len(kind) :]
        CallSlot.objects.create(
            connection=connection, token=token, calls=calls, until=now + good_for
        )
    return Slot(token, calls)


@contextmanager
def held(
    connection: Connection,
    wanted: int = 1,
    *,
    spare: int = 0,
    for_check: bool = False,
    good_for: timedelta = GOOD_FOR,
) -> Iterator[Slot]:
    """A slot for as long as the block runs. Raises NoSlotError."""
    slot = take(connection, wanted, spare=spare, for_check=for_check, good_for=good_for)
    try:
        yield slot
    finally:
        slot.release()
