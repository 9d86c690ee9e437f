"""Figures as shapes for server-rendered SVG: bars and their geometry, never colours or markup."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime

from jobs.services.outcomes import Counts

BAR_WIDTH = 1000
# What is there at all must be seen, however small its share.
SMALLEST_SEGMENT = 8
LOWEST_BLOCK = 1.5


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


@dataclass(frozen=True, slots=True)
class Block:
    kind: str
    y: float
    height: float


@dataclass(frozen=True, slots=True)
class Column:
    """One day or hour of a chart: its numbers by kind, and a block for each that is not 0.

    The blocks stand on each other from the ground up. Lengths are in the units of the chart.
    """

    start: date
    numbers: Mapping[str, int]
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
class Chart:
    """Numbers over time as stacked columns. All lengths are of a drawing `width` by `height`."""

    width: int
    height: int
    ground: float
    left: int
    columns: tuple[Column, ...]
    grid: tuple[GridLine, ...]

    @property
    def is_empty(self) -> bool:
        return not any(column.blocks for column in self.columns)


def days_chart(days: Sequence[Day]) -> Chart:
    """Rows added, updated and skipped per day."""
    numbers = [
        (day.day, {"added": day.added, "updated": day.updated, "skipped": day.skipped})
        for day in days
    ]
    return _chart(numbers, width=420, height=170, label_every=2)


def hours_chart(hours: Iterable[tuple[datetime, int]]) -> Chart:
    """Calls per hour."""
    numbers = [(hour, {"calls": calls}) for hour, calls in hours]
    return _chart(numbers, width=480, height=130, label_every=6)


def _chart(
    numbers: Sequence[tuple[date, Mapping[str, int]]], *, width: int, height: int, label_every: int
) -> Chart:
    """Columns over a grid of round numbers; the last one bears a label, and those so far apart."""
    left, top, right, bottom = 40, 8, 8, 22
    ground = height - bottom
    most = max((sum(by_kind.values()) for _, by_kind in numbers), default=0)
    step = _round_step(most)
    ceiling = max(step * -(-most // step), step)
    scale = (ground - top) / ceiling
    slot = (width - left - right) / max(len(numbers), 1)
    columns = []
    for position, (start, by_kind) in enumerate(numbers):
        x = left + slot * position + slot * 0.16
        columns.append(
            Column(
                start=start,
                numbers=by_kind,
                x=round(x, 1),
                width=round(slot * 0.68, 1),
                middle=round(x + slot * 0.34, 1),
                blocks=tuple(_blocks(by_kind, ground, scale)),
                shows_label=(len(numbers) - 1 - position) % label_every == 0,
            )
        )
    grid = tuple(
        GridLine(value, round(ground - value * scale, 1)) for value in range(0, ceiling + 1, step)
    )
    return Chart(width, height, float(ground), left, tuple(columns), grid)


def _blocks(by_kind: Mapping[str, int], ground: float, scale: float) -> Iterator[Block]:
    y = ground
    for kind, number in by_kind.items():
        if number:
            height = max(number * scale, LOWEST_BLOCK)
            y -= height
            yield Block(kind, round(y, 1), round(height, 1))


def _round_step(most: int) -> int:
    """A round distance between grid lines, so that three to five of them reach `most`."""
    step = 1
    while step * 4 < most:
        for factor in (2, 5, 10):
            if step * factor * 4 >= most:
                return step * factor
        step *= 10
    return step
