"""API credits for calls that several threads make, reserved a few ahead and topped up."""

import threading
from datetime import datetime

from jobs.models import Connection
from jobs.services.limits import credits
from jobs.services.limits.slots import NoSlotError, Slot


class Booking:
    """Credits for at most `wanted` calls under a slot; some are reserved at once.

    What is reserved and not made is missing to everybody else, and stays so until it is a day old
    where this process dies: hence few ahead. Threads `take` them; whoever has made the booking tops
    up, and settles in the end. Raises NoSlotError as `credits.reserve` does.
    """

    def __init__(
        self, connection: Connection, wanted: int, slot: Slot, *, for_check: bool = False
    ) -> None:
        self._connection = connection
        self._slot = slot
        self._for_check = for_check
        self._to_come = wanted
        self._ahead = slot.calls * credits.AHEAD
        self._booked: dict[datetime, int] = {}
        self._changed = threading.Condition()
        self._free = 0
        self.credits = self._reserve(min(wanted, self._ahead)).credits

    @property
    def is_empty(self) -> bool:
        """Whether there was no credit for any call."""
        return not self._booked

    @property
    def is_over(self) -> bool:
        """Whether all that there is has been taken."""
        return not self._to_come and not self._free

    def take(self) -> bool:
        """Wait for a credit for one call; False where no more come. For any thread."""
        with self._changed:
            self._changed.wait_for(lambda: self._free or not self._to_come)
            if not self._free:
                return False
            self._free -= 1
            return True

    def top_up(self) -> None:
        """Reserve more once half of what is reserved ahead has been taken."""
        wanted = min(self._ahead - self._free, self._to_come)
        if not wanted or self._free > self._ahead // 2:
            return
        try:
            self.credits = self._reserve(wanted).credits
        except NoSlotError:
            # What others have reserved may come back: for the next batch.
            self.close()

    def close(self) -> None:
        """Reserve no more; whoever waits gets none."""
        with self._changed:
            self._to_come = 0
            self._changed.notify_all()

    def settle(self, made: int) -> None:
        """Give back what was not made, to the hours that it was booked in; more may yet be made."""
        self.close()
        left = sum(self._booked.values()) - made
        if left < 0:
            # A token that had to be renewed costs a second call.
            hour = credits.spend(self._connection, -left)
            self._booked[hour] = self._booked.get(hour, 0) - left
        for hour in sorted(self._booked, reverse=True):
            back = max(min(left, self._booked[hour]), 0)
            credits.spend(self._connection, -back, hour=hour)
            self._booked[hour] -= back
            left -= back

    def _reserve(self, wanted: int) -> credits.Reserved:
        reserved = credits.reserve(
            self._connection, wanted, slot=self._slot, for_check=self._for_check
        )
        with self._changed:
            if reserved.calls:
                self._booked[reserved.hour] = self._booked.get(reserved.hour, 0) + reserved.calls
            self._free += reserved.calls
            self._to_come = self._to_come - reserved.calls if reserved.calls == wanted else 0
            self._changed.notify_all()
        return reserved
