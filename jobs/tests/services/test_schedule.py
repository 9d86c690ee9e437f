"""When Zoho is asked next."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.services import schedule

seconds = st.floats(-1e9, 1e12)
# The shares are jittered by a tenth to either side.
NEVER = 1e15
LEAST, MOST = schedule.MIN_SECONDS * 0.9, schedule.MAX_SECONDS * 1.1


@given(age=seconds, quiet=seconds)
def test_the_next_poll_is_seconds_away_never_none_and_never_hours(age, quiet):
    assert LEAST <= schedule.seconds_to_next_poll(age=age, quiet=quiet, stuck_after=NEVER) <= MOST


@pytest.mark.parametrize(
    ("age", "quiet", "wait"), [(0, 0, 5), (60, 0, 5), (3600, 0, 72), (0, 600, 60), (1e6, 1e6, 300)]
)
def test_a_wait_is_a_share_of_age_and_quiet(age, quiet, wait):
    waits = [
        schedule.seconds_to_next_poll(age=age, quiet=quiet, stuck_after=NEVER) for _ in range(50)
    ]

    assert all(0.9 * wait <= each <= 1.1 * wait for each in waits)
    assert len(set(waits)) > 1


def test_the_end_of_a_job_is_seen_soon_against_its_own_length():
    for age in (600, 3600, 4 * 3600):
        assert schedule.seconds_to_next_poll(age=age, quiet=0, stuck_after=NEVER) <= max(
            0.03 * age, MOST * 0.02
        )


@pytest.mark.parametrize(("quiet", "wait"), [(0, 60), (50, 10), (58, 5)])
def test_a_poll_falls_on_the_moment_from_which_a_job_is_stuck(quiet, wait):
    assert schedule.seconds_to_next_poll(age=1e6, quiet=quiet, stuck_after=60) == wait


def test_a_stuck_job_is_polled_as_seldom_as_any_quiet_one():
    assert schedule.seconds_to_next_poll(age=1e6, quiet=60, stuck_after=60) > 60


@given(st.integers(1, 10_000))
def test_failures_are_retried_later_and_later_up_to_a_limit(failures):
    longest = min(schedule.RETRY_BASE_SECONDS * 2 ** min(failures - 1, 10), 600)

    assert longest / 2 <= schedule.seconds_to_retry(failures) <= longest


def test_failures_that_began_together_do_not_come_back_together():
    waits = {round(schedule.seconds_to_retry(4)) for _ in range(100)}

    assert len(waits) > 10


@pytest.mark.parametrize(
    ("is_completed", "polls"),
    [(True, schedule.POLLS_AFTER_COMPLETED), (False, schedule.POLLS_AFTER_OTHER_END)],
)
def test_an_ended_job_without_a_result_is_polled_a_bounded_number_of_times(is_completed, polls):
    waits = [
        schedule.seconds_to_poll_after_end(number, is_completed=is_completed)
        for number in range(polls + 2)
    ]

    assert None not in waits[:polls]
    assert waits[polls:] == [None, None]
    assert max(waits[:polls]) <= MOST
