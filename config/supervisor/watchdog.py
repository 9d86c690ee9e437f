"""Stop the supervised processes when their supervisor dies without having stopped them.

Run as a script with the read end of a pipe as standard input. Each supervised process says
`+PID` there before it becomes what it is, the supervisor says `-PID` when it has gone. The pipe
ends with its last writer, so its end means that the supervisor is gone, however it went.
It imports the standard library alone, for it lives as long as the product and does nothing.
"""

import os
import signal
import sys
import time
from collections.abc import Callable, Iterable

GRACE_SECONDS = 4.0
CHECK_SECONDS = 0.05


def main() -> None:
    # A signal meant for everything would otherwise end the cleaner before the cleaning.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    stop_groups(announced_groups(sys.stdin))


def announced_groups(lines: Iterable[str]) -> list[int]:
    """The process groups still announced when `lines` end, in the order they were started."""
    groups: dict[int, None] = {}
    for line in lines:
        sign, number = line[:1], line[1:].strip()
        if sign == "+":
            groups[int(number)] = None
        elif sign == "-":
            groups.pop(int(number), None)
    return list(groups)


def stop_groups(groups: list[int]) -> None:
    """Ask each group's leader to end, last started first, and kill what is left after a while."""
    for leader in reversed(groups):
        signal_quietly(os.kill, leader, signal.SIGTERM)
    deadline = time.monotonic() + GRACE_SECONDS
    while time.monotonic() < deadline and any(signal_quietly(os.killpg, g, 0) for g in groups):
        time.sleep(CHECK_SECONDS)
    for group in groups:
        signal_quietly(os.killpg, group, signal.SIGKILL)


def signal_quietly(send: Callable[[int, int], None], target: int, number: int) -> bool:
    """Send a signal; return whether there was anything to send it to."""
    try:
        send(target, number)
    except (ProcessLookupError, PermissionError):  # macOS: a group of zombies is not permitted
        return False
    return True


if __name__ == "__main__":
    main()
