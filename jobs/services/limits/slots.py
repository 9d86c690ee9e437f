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
from django.utils import timezone

from jobs.models import CallSlot, Connection

# To be renewed well before: `Slot.renew`.
GOOD_FOR = timedelta(seconds=45)
Use = CallSlot.Use
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
    connection: Connection, wanted: int, use: Use = Use.ONE, *, good_for: timedelta = GOOD_FOR
) -> Slot:
    """Slots for `wanted` calls at a time, or as many as are free; at least one.

    Polls and checks of ids leave one free, where there is more than one, so that a download or a
    person's test need not wait for them; one that these hold is no longer left to them. All checks
    together get half of the calls, so that polls have the others. Raises NoSlotError where none is
    free.
    """
    with transaction.atomic():
        # The row's lock makes one counter of all processes; rows that refer to the connection may
        # be written meanwhile.
        locked = Connection.objects.select_for_update(no_key=True).only("max_concurrency")
        most = locked.get(pk=connection.pk).max_concurrency
        now = timezone.now()
        slots = CallSlot.objects.filter(connection=connection)
        slots.dead(now).delete()
        held = slots.calls_by_use()
        calls = min(wanted, most - held.total())
        if use != Use.ONE and most > 1 and not held[Use.ONE]:
            calls = min(calls, most - held.total() - 1)
        if use == Use.CHECK:
            calls = min(calls, max(most // 2, 1) - held[Use.CHECK])
        if calls < 1:
            raise NoSlotError(f"All {most} calls at a time that {connection} allows are under way.")
        slot = slots.create(
            connection=connection,
            token=uuid.uuid4().hex,
            use=use,
            calls=calls,
            until=now + good_for,
        )
    return Slot(slot.token, calls)


@contextmanager
def held(
    connection: Connection, wanted: int = 1, use: Use = Use.ONE, *, good_for: timedelta = GOOD_FOR
) -> Iterator[Slot]:
    """A slot for as long as the block runs. Raises NoSlotError."""
    slot = take(connection, wanted, use, good_for=good_for)
    try:
        yield slot
    finally:
        slot.release()
