"""When Zoho is asked next."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.services.observing import schedule

seconds = st.floats(-1e9, 1e12)
# The shares are jittered by a tenth to either side.
NEVER = 1e15
LONGEST = 300
LEAST, MOST = schedule.MIN_SECONDS * 0.9, LONGEST * 1.1


def next_poll(stuck_after: float = NEVER, **known: float) -> float:
    return schedule.seconds_to_next_poll(
        **{"age": 0, "quiet": 0, "longest": LONGEST, "stuck_after": stuck_after} | known
    )


@given(age=seconds, quiet=seconds)
def test_the_next_poll_is_seconds_away_never_none_and_never_hours(age, quiet):
    assert LEAST <= next_poll(age=age, quiet=quiet) <= MOST


@pytest.mark.parametrize("longest", [15, 60, 3_600])
def test_no_wait_is_longer_than_the_connection_allows(longest):
    assert 0.9 * longest <= next_poll(age=1e9, quiet=1e9, longest=longest) <= 1.1 * longest


@given(stretch=st.floats(1, 100))
def test_where_credits_are_short_all_waits_are_stretched_alike(stretch):
    for known in ({"age": 0}, {"age": 3600}, {"age": 1e9}):
        least, most = 0.5 * stretch, 1.5 * stretch
        usual = min(max(0.02 * known["age"], schedule.MIN_SECONDS), LONGEST)
        assert least * usual <= next_poll(**known, stretch=stretch) <= most * usual


def test_waits_that_are_stretched_part_jobs_that_were_registered_together():
    waits = [next_poll(age=1e9, stretch=20) for _ in range(200)]

    assert min(waits) < 0.7 * 20 * LONGEST
    assert max(waits) > 1.3 * 20 * LONGEST


@pytest.mark.parametrize(
    ("age", "quiet", "wait"), [(0, 0, 5), (60, 0, 5), (3600, 0, 72), (0, 600, 60), (1e6, 1e6, 300)]
)
def test_a_wait_is_a_share_of_age_and_quiet(age, quiet, wait):
    waits = [next_poll(age=age, quiet=quiet) for _ in range(50)]

    assert all(0.9 * wait <= each <= 1.1 * wait for each in waits)
    assert len(set(waits)) > 1


def test_the_end_of_a_job_is_seen_soon_against_its_own_length():
    for age in (600, 3600, 4 * 3600):
        assert next_poll(age=age) <= max(0.03 * age, MOST * 0.02)


@pytest.mark.parametrize("stretch", [1, 20])
@pytest.mark.parametrize(("quiet", "wait"), [(0, 60), (50, 10), (58, 5)])
def test_a_poll_falls_on_the_moment_from_which_a_job_is_stuck(quiet, wait, stretch):
    assert next_poll(60, age=1e6, quiet=quiet, stretch=stretch) == wait


def test_a_stuck_job_is_polled_as_seldom_as_any_quiet_one():
    assert next_poll(60, age=1e6, quiet=60) > 60


@given(st.integers(1, 10_000))
def test_failures_are_retried_later_and_later_up_to_a_limit(failures):
    longest = min(schedule.RETRY_BASE_SECONDS * 2 ** min(failures - 1, 10), 600)

    assert longest / 2 <= schedule.seconds_to_retry(failures) <= longest


@pytest.mark.parametrize(
    ("failures", "longest"), [(1, 5), (6, 5), (7, 10), (9, 40), (13, 600), (10_000, 600)]
)
def test_a_job_that_alone_fails_is_tried_soon_at_first_and_seldom_in_the_end(failures, longest):
    waits = {schedule.seconds_to_poll_again(failures) for _ in range(50)}

    assert longest / 2 <= min(waits) < max(waits) <= longest


def test_failures_that_began_together_do_not_come_back_together():
    waits = {round(schedule.seconds_to_retry(4)) for _ in range(100)}

    assert len(waits) > 10


@pytest.mark.parametrize(
    ("failures", "longest"), [(1, 5), (3, 5), (4, 10), (6, 40), (9, 300), (32_767, 300)]
)
def test_after_an_outage_a_connection_is_tried_less_and_less_often(failures, longest):
    waits = {schedule.seconds_of_outage(failures) for _ in range(50)}

    assert longest / 2 <= min(waits) < max(waits) <= longest


@given(named=st.floats(0.1, 86_400), failures=st.integers(0, 100))
def test_a_pause_that_zoho_names_is_never_cut_short(named, failures):
    assert named <= schedule.seconds_of_pause(failures, named) <= named + 5


@pytest.mark.parametrize(("failures", "least"), [(0, 60), (1, 120), (2, 240), (4, 900), (99, 900)])
@pytest.mark.parametrize("named", [None, 0])
def test_a_pause_without_a_sensible_time_doubles_while_it_goes_on(failures, least, named):
    assert least <= schedule.seconds_of_pause(failures, named) <= 1.1 * least


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
