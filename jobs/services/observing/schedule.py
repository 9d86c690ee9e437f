"""When Zoho is asked next. Pure: times and numbers in, seconds out."""

import random
from datetime import datetime, timedelta

MIN_SECONDS = 5.0
QUIET_SHARE = 0.10
AGE_SHARE = 0.02
JITTER = 0.1
STRETCHED_JITTER = 0.5

RETRY_BASE_SECONDS = 10.0
RETRY_MAX_SECONDS = 600.0
# Failures in a row that are tried again alike: where every second request fails, a job needs luck
# rather than patience, and eight failures on end are one of 256.
ALIKE_FAILURES = 6
REPOLL_BASE_SECONDS = 5.0
# A job may be asked about before Zoho has finished making it.
UNKNOWN_RETRY_SECONDS = 5.0
# One refusal among answers is tried again, alone, before the job is blamed for it.
SUSPECT_RETRY_SECONDS = 60.0

# A connection of which nothing is answered: its next try.
ALIKE_OUTAGES = 3
OUTAGE_BASE_SECONDS = 5.0
OUTAGE_MAX_SECONDS = 300.0
# Zoho names no time to wait with a 429 (no Retry-After is documented).
PAUSE_BASE_SECONDS = 60.0
PAUSE_MAX_SECONDS = 900.0

# After the end, while Zoho has not yet offered the result: a bounded number of further polls.
# Zoho documents a result for completed jobs only, so others are not waited for as long.
POLLS_AFTER_COMPLETED = 8
POLLS_AFTER_OTHER_END = 2
AFTER_END_BASE_SECONDS = 5.0
AFTER_END_MAX_SECONDS = 300.0


def seconds_to_next_poll(
    *, age: float, quiet: float, stuck_after: float, longest: float, stretch: float = 1.0
) -> float:
    """Seconds until a running job is asked about again.

    `age`: seconds since Zoho made the job; `quiet`: seconds since something about it changed.
    Seconds at first, up to `longest` later: a share of how long the job has been quiet, and of its
    age, so that the delay in seeing the end stays small against the job's own length. All that
    times `stretch`, 1 and more, where API credits are short. A poll falls on the moment from which
    the job counts as stuck, `stuck_after` seconds of quiet, so that this shows at once.
    """
    wanted = max(QUIET_SHARE * max(quiet, 0.0), AGE_SHARE * max(age, 0.0))
    # Long waits vary more: jobs that were registered together spread over the time between.
    jitter = min(JITTER * stretch, STRETCHED_JITTER)
    seconds = _jittered(min(max(wanted, MIN_SECONDS), longest), jitter) * stretch
    until_stuck = stuck_after - quiet
    return min(seconds, max(until_stuck, MIN_SECONDS)) if until_stuck > 0 else seconds


def seconds_to_retry(failures: int) -> float:
    """Seconds until the next try after this many failures in a row (1 and more)."""
    return _half_random(_doubled(RETRY_BASE_SECONDS, failures - 1, RETRY_MAX_SECONDS))


def seconds_to_poll_again(failures: int) -> float:
    """Seconds until a job that alone was not answered about is asked about again."""
    times = max(failures - ALIKE_FAILURES, 0)
    return _half_random(_doubled(REPOLL_BASE_SECONDS, times, RETRY_MAX_SECONDS))


def seconds_of_outage(failures: int) -> float:
    """Seconds until a connection's next try after this many batches without an answer."""
    times = max(failures - ALIKE_OUTAGES, 0)
    return _half_random(_doubled(OUTAGE_BASE_SECONDS, times, OUTAGE_MAX_SECONDS))


def seconds_of_pause(failures: int, named: float | None) -> float:
    """Seconds for which nothing is asked after Zoho asked to slow down.

    `named`: the seconds that Zoho wants, never to be undercut; `failures`: batches before this one
    that brought no answer.
    """
    if named:
        return named + random.uniform(0, min(0.05 * named, 5.0))  # noqa: S311
    seconds = _doubled(PAUSE_BASE_SECONDS, failures, PAUSE_MAX_SECONDS)
    return seconds * random.uniform(1, 1 + JITTER)  # noqa: S311


def seconds_to_poll_after_end(polls_after_end: int, *, is_completed: bool) -> float | None:
    """Seconds until an ended job without a result is asked again; None when it was asked enough.

    The first poll that sees the end is `polls_after_end` 0.
    """
    if polls_after_end >= (POLLS_AFTER_COMPLETED if is_completed else POLLS_AFTER_OTHER_END):
        return None
    return _jittered(_doubled(AFTER_END_BASE_SECONDS, polls_after_end, AFTER_END_MAX_SECONDS))


def unless_made_due(
    planned: datetime, due_at: datetime | None, asked_at: datetime, now: datetime
) -> datetime:
    """The planned time of the next poll, or a sooner one for a job made due while Zoho was asked.

    `due_at` is what the job has now. The answer may be older than what it was made due for. Who
    does that waits for MIN_SECONDS after the poll before, so the time may be still to come.
    """
    soonest = asked_at + timedelta(seconds=MIN_SECONDS)
    if due_at is None or not asked_at < due_at <= max(now, soonest):
        return planned
    return min(planned, soonest)


def _doubled(seconds: float, times: int, longest: float) -> float:
    return min(seconds * 2.0 ** min(times, 20), longest)


def _half_random(longest: float) -> float:
    # Half fixed, half random: failures that began together do not come back together.
    return longest / 2 + random.uniform(0, longest / 2)  # noqa: S311


def _jittered(seconds: float, jitter: float = JITTER) -> float:
    return seconds * random.uniform(1 - jitter, 1 + jitter)  # noqa: S311
