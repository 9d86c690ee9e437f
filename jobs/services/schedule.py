"""When Zoho is asked next. Pure: times and numbers in, seconds out."""

import random

MIN_SECONDS = 5.0
MAX_SECONDS = 300.0
QUIET_SHARE = 0.10
AGE_SHARE = 0.02
JITTER = 0.1

RETRY_BASE_SECONDS = 10.0
RETRY_MAX_SECONDS = 600.0

# After the end, while Zoho has not yet offered the result: a bounded number of further polls.
# Zoho documents a result for completed jobs only, so others are not waited for as long.
POLLS_AFTER_COMPLETED = 8
POLLS_AFTER_OTHER_END = 2
AFTER_END_BASE_SECONDS = 5.0


def seconds_to_next_poll(*, age: float, quiet: float, stuck_after: float) -> float:
    """Seconds until a running job is asked about again.

    `age`: seconds since Zoho made the job; `quiet`: seconds since something about it changed.
    Seconds at first, minutes later: a share of how long the job has been quiet, and of its age,
    so that the delay in seeing the end stays small against the job's own length. A poll falls on
    the moment from which the job counts as stuck, `stuck_after` seconds of quiet, so that this
    shows at once.
    """
    wanted = max(QUIET_SHARE * max(quiet, 0.0), AGE_SHARE * max(age, 0.0))
    seconds = _jittered(min(max(wanted, MIN_SECONDS), MAX_SECONDS))
    until_stuck = stuck_after - quiet
    return min(seconds, max(until_stuck, MIN_SECONDS)) if until_stuck > 0 else seconds


def seconds_to_retry(failures: int) -> float:
    """Seconds until the next try after this many failures in a row (1 and more)."""
    doubled = RETRY_BASE_SECONDS * 2 ** min(failures - 1, 10)
    longest = min(doubled, RETRY_MAX_SECONDS)
    # Half fixed, half random: failures that began together do not come back together.
    return longest / 2 + random.uniform(0, longest / 2)  # noqa: S311


def seconds_to_poll_after_end(polls_after_end: int, *, is_completed: bool) -> float | None:
    """Seconds until an ended job without a result is asked again; None when it was asked enough.

    The first poll that sees the end is `polls_after_end` 0.
    """
    if polls_after_end >= (POLLS_AFTER_COMPLETED if is_completed else POLLS_AFTER_OTHER_END):
        return None
    return _jittered(min(AFTER_END_BASE_SECONDS * 2**polls_after_end, MAX_SECONDS))


def _jittered(seconds: float) -> float:
    return seconds * random.uniform(1 - JITTER, 1 + JITTER)  # noqa: S311
