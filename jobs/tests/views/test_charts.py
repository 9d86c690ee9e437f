"""Bars, charts, moments: what the templates draw with."""

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs import charts
from jobs.services.outcomes import Counts
from jobs.templatetags import bulkwatch

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
count = st.none() | st.integers(0, 10**9)


@given(st.builds(Counts, count, count, count, count), st.booleans())
def test_a_bar_never_leaves_its_frame(counts, has_ended):
    segments = charts.stack(counts, has_ended=has_ended)

    assert all(segment.width > 0 for segment in segments)
    assert sum(segment.width for segment in segments) <= charts.BAR_WIDTH + 1
    assert all(segment.rows for segment in segments)


def test_a_small_share_is_still_seen():
    segments = charts.stack(Counts(24_999, 0, 1, 25_000), has_ended=True)

    assert [segment.kind for segment in segments] == ["added", "skipped"]
    assert segments[1].width == charts.SMALLEST_SEGMENT


def test_rows_nobody_accounts_for_are_drawn_at_the_end_alone():
    counts = Counts(40, 0, 10, 100)

    assert "unprocessed" in {part.kind for part in charts.stack(counts, has_ended=True)}
    assert "unprocessed" not in {part.kind for part in charts.stack(counts, has_ended=False)}


def test_absent_counts_draw_nothing():
    assert charts.stack(Counts(), has_ended=True) == []
    assert charts.progress(Counts()) is None


@given(st.lists(st.integers(0, 10**12), min_size=1, max_size=31))
def test_columns_stand_on_the_ground_and_below_the_top(rows):
    days = [charts.Day(date(2026, 1, 1), added=number, skipped=7) for number in rows]
    hours = [(NOW, number) for number in rows]

    for chart in (charts.days_chart(days), charts.hours_chart(hours)):
        assert 2 <= len(chart.grid) <= 6
        for block in [block for column in chart.columns for block in column.blocks]:
            assert block.y >= 0
            assert block.y + block.height <= chart.ground + 0.2


def test_a_column_is_stacked_of_what_there_is_however_little():
    day = charts.Day(date(2026, 1, 1), added=10**6, skipped=1)

    [column] = charts.days_chart([day]).columns

    assert [block.kind for block in column.blocks] == ["added", "skipped"]
    added, skipped = column.blocks
    assert skipped.y + skipped.height == pytest.approx(added.y, abs=0.11)
    assert skipped.height == charts.LOWEST_BLOCK


def test_the_latest_column_bears_a_label_and_not_every_other_does():
    chart = charts.hours_chart([(NOW + timedelta(hours=number), 0) for number in range(25)])

    labelled = [column.start.hour for column in chart.columns if column.shows_label]
    assert labelled == [12, 18, 0, 6, 12]
    assert chart.is_empty


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "now"),
        (2, "now"),
        (12, "12 s ago"),
        (59, "59 s ago"),
        (60, "1 min ago"),
        (3_599, "59 min ago"),
        (7_200, "2 h ago"),
        (86_400 * 40, "40 d ago"),
        (-18, "in 18 s"),
        (-300, "in 5 min"),
    ],
)
def test_moments_in_words(seconds, words):
    assert bulkwatch.relative(NOW - timedelta(seconds=seconds), NOW) == words


def test_a_moment_carries_its_exact_time_and_zone():
    shown = bulkwatch.ago(NOW)

    assert 'datetime="2026-11-24T12:00:00+00:00"' in shown
    assert 'title="2026-11-24 12:00:00 UTC"' in shown


@pytest.mark.parametrize(
    ("span", "words"),
    [
        (timedelta(), "less than 1 s"),
        (timedelta(seconds=42), "42 s"),
        (timedelta(minutes=3, seconds=5), "3 min 5 s"),
        (timedelta(hours=2), "2 h"),
        (timedelta(days=1, seconds=5), "1 d"),
        (None, bulkwatch.NOTHING),
    ],
)
def test_durations_in_words(span, words):
    assert bulkwatch.duration(span) == words


def test_icons_are_for_the_eye_alone_and_carry_no_style():
    icon = bulkwatch.icon("circle-check")

    assert 'aria-hidden="true"' in icon
    assert "style" not in icon


def test_absent_numbers_are_a_dash():
    assert bulkwatch.num(None) == bulkwatch.NOTHING
    assert bulkwatch.num(0) == "0"
    assert bulkwatch.num(25_000) == "25,000"
