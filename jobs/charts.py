"""Figures as shapes for server-rendered SVG: bars and their geometry, never colours or markup."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime

from jobs.services.outcomes import Counts

BAR_WIDTH = 1000
# What is there at all must be seen, however small its share.
SMALLEST_SEGMENT = 8


@dataclass(frozen=True, slots=True)
class Segment:
    """One part of a stacked bar. `x` and `width` are of `BAR_WIDTH`; `ratio` is of all rows."""

    kind: str
    label: str
    rows: int
    ratio: float
    x: float
    width: float


def stack(counts: Counts, *, has_ended: bool) -> list[Segment]:
    """The stacked bar of a job's or resource's rows; empty where nothing is counted.

    While it runs, rows that no count names yet are no part of the bar.
    """
    parts = [
        ("added", "added", counts.added),
        ("updated", "updated", counts.updated),
        ("skipped", "skipped", counts.skipped),
        ("unprocessed", "unprocessed", counts.unprocessed if has_ended else None),
    ]
    rows = max(counts.total or 0, counts.accounted)
    present = [(kind, label, number) for kind, label, number in parts if number]
    if not rows or not present:
        return []
    widths = [max(SMALLEST_SEGMENT, BAR_WIDTH * number / rows) for _, _, number in present]
    widest = widths.index(max(widths))
    widths[widest] -= max(0.0, sum(widths) - BAR_WIDTH)
    segments = []
    x = 0.0
    for (kind, label, number), width in zip(present, widths, strict=True):
        segments.append(Segment(kind, label, number, number / rows, round(x, 1), round(width, 1)))
        x += width
    return segments


def progress(counts: Counts) -> float | None:
    """How much of a running job is done, from 0 to 1. None where Zoho has not said."""
    if not counts.total:
        return None
    return min(counts.accounted / counts.total, 1.0)


@dataclass(frozen=True, slots=True)
class Day:
    """The rows of the jobs that ended on one day."""

    day: date
    added: int = 0
    updated: int = 0
    skipped: int = 0

    @property
    def total(self) -> int:
        return self.added + self.updated + self.skipped


@dataclass(frozen=True, slots=True)
class Block:
    kind: str
    y: float
    height: float


@dataclass(frozen=True, slots=True)
class Column:
    """One day of the chart: its blocks from the ground up, in the units of the chart."""

    day: Day
    x: float
    width: float
    middle: float
    blocks: tuple[Block, ...]
    shows_label: bool


@dataclass(frozen=True, slots=True)
class GridLine:
    value: int
    y: float


@dataclass(frozen=True, slots=True)
class DaysChart:
    """Rows per day as columns. All lengths are of a drawing `width` by `height`."""

    width: int
    height: int
    ground: float
    left: int
    columns: tuple[Column, ...]
    grid: tuple[GridLine, ...]

    @property
    def days(self) -> list[Day]:
        return [column.day for column in self.columns]

    @property
    def is_empty(self) -> bool:
        return not any(day.total for day in self.days)


def days_chart(days: Sequence[Day], *, width: int = 420, height: int = 170) -> DaysChart:
    """Draw these days as stacked columns over a grid of round numbers."""
    left, top, right, bottom = 40, 8, 8, 22
    ground = height - bottom
    step = _round_step(max((day.total for day in days), default=0))
    ceiling = max(step * -(-max((day.total for day in days), default=0) // step), step)
    scale = (ground - top) / ceiling
    slot = (width - left - right) / max(len(days), 1)
    columns = []
    for number, day in enumerate(days):
        x = left + slot * number + slot * 0.16
        columns.append(
            Column(
                day=day,
                x=round(x, 1),
                width=round(slot * 0.68, 1),
                middle=round(x + slot * 0.34, 1),
                blocks=tuple(_blocks(day, ground, scale)),
                shows_label=(len(days) - 1 - number) % 2 == 0,
            )
        )
    grid = tuple(
        GridLine(value, round(ground - value * scale, 1)) for value in range(0, ceiling + 1, step)
    )
    return DaysChart(width, height, float(ground), left, tuple(columns), grid)


@dataclass(frozen=True, slots=True)
class HourColumn:
    """The calls of one hour, from the ground up, in the units of the chart."""

    hour: datetime
    calls: int
    x: float
    y: float
    width: float
    height: float
    middle: float
    shows_label: bool


@dataclass(frozen=True, slots=True)
class HoursChart:
    """Calls per hour as columns. All lengths are of a drawing `width` by `height`."""

    width: int
    height: int
    ground: float
    left: int
    columns: tuple[HourColumn, ...]
    grid: tuple[GridLine, ...]

    @property
    def is_empty(self) -> bool:
        return not any(column.calls for column in self.columns)


def hours_chart(
    hours: Sequence[tuple[datetime, int]], *, width: int = 480, height: int = 130
) -> HoursChart:
    """Draw (hour, calls) as columns over a grid of round numbers."""
    left, top, right, bottom = 40, 8, 8, 22
    ground = height - bottom
    most = max((calls for _, calls in hours), default=0)
    step = _round_step(most)
    ceiling = max(step * -(-most // step), step)
    scale = (ground - top) / ceiling
    slot = (width - left - right) / max(len(hours), 1)
    columns = []
    for number, (hour, calls) in enumerate(hours):
        x = left + slot * number + slot * 0.16
        tall = max(calls * scale, 1.5) if calls else 0.0
        columns.append(
            HourColumn(
                hour=hour,
                calls=calls,
                x=round(x, 1),
                y=round(ground - tall, 1),
                width=round(slot * 0.68, 1),
                height=round(tall, 1),
                middle=round(x + slot * 0.34, 1),
                shows_label=(len(hours) - 1 - number) % 6 == 0,
            )
        )
    grid = tuple(
        GridLine(value, round(ground - value * scale, 1)) for value in range(0, ceiling + 1, step)
    )
    return HoursChart(width, height, float(ground), left, tuple(columns), grid)


def _blocks(day: Day, ground: float, scale: float) -> list[Block]:
    blocks = []
    y = ground
    for kind, rows in (("added", day.added), ("updated", day.updated), ("skipped", day.skipped)):
        if not rows:
            continue
        height = max(rows * scale, 1.5)
        y -= height
        blocks.append(Block(kind, round(y, 1), round(height, 1)))
    return blocks


def _round_step(most: int) -> int:
    """A round distance between grid lines, so that three to five of them reach `most`."""
    step = 1
    while step * 4 < most:
        for factor in (2, 5, 10):
            if step * factor * 4 >= most:
                return step * factor
        step *= 10
    return step
