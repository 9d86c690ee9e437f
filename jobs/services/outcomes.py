"""Statuses and counts -> outcome, skip ratio, warnings. Pure: no clock, no database, no network.

A job that says COMPLETED may have written nothing: Zoho's own sample of a completed job adds 0
rows and skips 100 of 100. So outcomes come from counts, and nothing that went wrong is good.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from jobs.models import CountsMixin, Outcome, Resource
from jobs.zoho.payloads import LARGEST_COUNT, FileDetails, JobDetails, is_terminal

FAILED_STATUSES = frozenset({"FAILED", "FAILURE", "ABORTED"})


@dataclass(frozen=True, slots=True)
class Counts:
    """Zoho's counts of rows. None is absent, which is not 0."""

    added: int | None = None
    updated: int | None = None
    skipped: int | None = None
    total: int | None = None

    @property
    def are_absent(self) -> bool:
        return self.added is self.updated is self.skipped is self.total is None

    @property
    def accounted(self) -> int:
        """Rows that some count names; absent counts name none."""
        return (self.added or 0) + (self.updated or 0) + (self.skipped or 0)

    @property
    def written(self) -> int | None:
        """Rows now in the CRM: added + updated. None where that cannot be known.

        One absent count is no reason not to know, where the other rows leave no room for it.
        """
        known = (self.added or 0) + (self.updated or 0)
        if self.added is not None and self.updated is not None:
            return known
        if self.total is not None and self.accounted >= self.total:
            return known
        return known or None

    @property
    def unprocessed(self) -> int | None:
        """total - added - updated - skipped where positive. None where that cannot be known."""
        if self.total is None:
            return None
        rest = self.total - self.accounted
        if rest <= 0:
            return 0
        return None if None in (self.added, self.updated, self.skipped) else rest

    @property
    def skip_ratio(self) -> float | None:
        """skipped / total, from 0 to 1. None without both counts, or without rows."""
        if self.skipped is None or not self.total:
            return None
        return min(self.skipped / self.total, 1.0)

    def reaches(self, percent: int) -> bool:
        """Whether at least this share of the rows was skipped, and any was.

        In whole numbers: 29 of 100 as a float is a little less than 29 %.
        """
        return bool(self.skipped and self.total) and (
            (self.skipped or 0) * 100 >= percent * (self.total or 0)
        )


def counts_of(counted: CountsMixin | FileDetails) -> Counts:
    """The counts of a job, a resource or a snapshot as stored, or of a file in Zoho's answer."""
    return Counts(
        counted.added_count, counted.updated_count, counted.skipped_count, counted.total_count
    )


def add_up(parts: Iterable[Counts]) -> Counts:
    """The sum over resources; a count is absent where it is absent in all of them."""
    parts = list(parts)

    def total(name: str) -> int | None:
        present = [value for part in parts if (value := getattr(part, name)) is not None]
        return min(sum(present), LARGEST_COUNT) if present else None

    return Counts(total("added"), total("updated"), total("skipped"), total("total"))


@dataclass(frozen=True, slots=True)
class ResourceState:
    """What Zoho says of one resource."""

    name: str
    status: str
    counts: Counts


def states_of_answer(details: JobDetails) -> list[ResourceState]:
    """The resources of an answer, as they are judged."""
    states = []
    for number, item in enumerate(details.resources, start=1):
        file = item.file
        counts = counts_of(file) if file is not None else Counts()
        status = _with_its_file(item.status, file.status if file is not None else "")
        states.append(ResourceState(item.module or f"resource {number}", status, counts))
    return states


def state_of_stored(resource: Resource) -> ResourceState:
    """A stored resource, as it is judged."""
    status = _with_its_file(resource.status, resource.file_status)
    return ResourceState(str(resource), status, counts_of(resource))


def _with_its_file(status: str, file_status: str) -> str:
    """The status of a resource; that of its file where the file ended worse than it says."""
    if _ended_badly(status) or not _ended_badly(file_status):
        return status
    # A resource that still runs goes on running, whatever one part of it says.
    return file_status if is_terminal(status or file_status) else status


@dataclass(frozen=True, slots=True)
class Verdict:
    """What we make of a job.

    `over_threshold`: the job, or one resource of it, reaches the skip threshold.
    `resource_ended_badly`: a resource ended FAILED or SKIPPED, whatever the job says.
    """

    outcome: Outcome
    counts: Counts
    skip_ratio: float | None
    over_threshold: bool
    resource_ended_badly: bool
    warnings: tuple[str, ...]

    @property
    def needs_attention(self) -> bool:
        if self.outcome in BAD_OUTCOMES:
            return True
        return self.outcome != Outcome.RUNNING and (
            self.over_threshold or self.resource_ended_badly
        )


BAD_OUTCOMES = frozenset({Outcome.STUCK, Outcome.NOTHING_IMPORTED, Outcome.SKIPPED, Outcome.FAILED})


def has_ended(status: str, resources: Sequence[ResourceState]) -> bool:
    """Whether Zoho is done: the job, and each of its resources that has a status, is terminal."""
    return is_terminal(status) and all(
        is_terminal(resource.status) for resource in resources if resource.status
    )


def judge(
    status: str,
    resources: Sequence[ResourceState],
    *,
    threshold_percent: int,
    rows: Counts | None = None,
) -> Verdict:
    """The verdict on a job that Zoho reports as `status` (normalised) with these resources.

    `rows` are the counts of the result file's rows; they settle what Zoho gave no counts for. Never
    STUCK: that comes of time passing, of which nothing is known here.
    """
    counts = add_up(resource.counts for resource in resources)
    judged = rows if rows is not None and not _speak_for_all(counts, resources) else counts
    parts = [judged, *(resource.counts for resource in resources)]
    outcome = _outcome(status, resources, judged, is_settled=judged is rows)
    if rows is not None and outcome == Outcome.IMPORTED and (rows.skipped or rows.unprocessed):
        # Where counts and rows contradict each other, the worse of them is believed.
        outcome = Outcome.PARTIAL
        parts.append(rows)
    return Verdict(
        outcome=outcome,
        counts=judged,
        skip_ratio=judged.skip_ratio,
        over_threshold=any(part.reaches(threshold_percent) for part in parts),
        resource_ended_badly=any(_ended_badly(resource.status) for resource in resources),
        warnings=tuple(_warnings(status, resources, counts, rows)),
    )


def _speak_for_all(counts: Counts, resources: Sequence[ResourceState]) -> bool:
    """Whether Zoho's counts cover every part of the job that ran."""
    return not counts.are_absent and not any(
        resource.counts.are_absent and not _ended_badly(resource.status) for resource in resources
    )


def _outcome(
    status: str,
    resources: Sequence[ResourceState],
    counts: Counts,
    *,
    is_settled: bool,
) -> Outcome:
    if not has_ended(status, resources):
        return Outcome.RUNNING
    statuses = [resource.status for resource in resources]
    if status in FAILED_STATUSES or _all(statuses, FAILED_STATUSES):
        return Outcome.FAILED
    if status == "SKIPPED" or _all(statuses, frozenset({"SKIPPED"})):
        return Outcome.SKIPPED
    if _all(statuses, FAILED_STATUSES | {"SKIPPED"}) and not counts.written:
        return Outcome.FAILED
    parts = [counts] if is_settled else [counts, *(resource.counts for resource in resources)]
    return _outcome_of_completed(statuses, counts, parts)


def _outcome_of_completed(
    statuses: Sequence[str], counts: Counts, parts: Sequence[Counts]
) -> Outcome:
    """`parts`: the counts as a whole and of each resource, as one can hide in the sum of all."""
    if counts.written is None and counts.total != 0:
        return Outcome.UNKNOWN
    if not counts.written:
        return Outcome.NOTHING_IMPORTED
    if any(part.skipped or part.unprocessed for part in parts) or any(map(_ended_badly, statuses)):
        return Outcome.PARTIAL
    # Rows were written; whether others were not, nobody said.
    return Outcome.IMPORTED if all(map(_leaves_nothing_out, parts)) else Outcome.UNKNOWN


def _leaves_nothing_out(counts: Counts) -> bool:
    """Whether these counts say that no row was skipped or left unprocessed."""
    if counts.total is None:
        return counts.skipped is not None
    return counts.unprocessed == 0


def _all(statuses: Sequence[str], wanted: frozenset[str]) -> bool:
    return bool(statuses) and all(status in wanted for status in statuses)


def _ended_badly(status: str) -> bool:
    return status == "SKIPPED" or status in FAILED_STATUSES


def _warnings(
    status: str, resources: Sequence[ResourceState], counts: Counts, rows: Counts | None
) -> Iterable[str]:
    for resource in resources:
        part = resource.counts
        if part.total is not None and part.accounted > part.total:
            yield (
                f"Zoho's counts for {resource.name} contradict each other: added, updated and "
                f"skipped make {part.accounted:,}, but the total is {part.total:,}."
            )
    if not has_ended(status, resources):
        return
    if counts.unprocessed:
        yield (
            f"{counts.unprocessed:,} of {counts.total:,} rows were neither added, updated nor "
            "skipped: Zoho left them unprocessed."
        )
    if counts.are_absent:
        yield "Zoho gave no counts for this job." + (
            " They were counted in its result file." if rows is not None else ""
        )
    else:
        for resource in resources:
            if resource.counts.are_absent:
                yield f"Zoho gave no counts for {resource.name}."
    if rows is not None and _speak_for_all(counts, resources):
        yield from differences(counts, rows)


def differences(counts: Counts, rows: Counts, *, of: str = "") -> Iterable[str]:
    """Warnings for each of Zoho's counts that the rows of a result file contradict.

    `of` names the resource if it is not about the job as a whole.
    """
    whose = f" for {of}" if of else ""
    named = (
        ("added", counts.added, rows.added),
        ("updated", counts.updated, rows.updated),
        ("skipped", counts.skipped, rows.skipped),
        ("in total", counts.total, rows.total),
    )
    for name, said, found in named:
        if said is not None and found is not None and said != found:
            yield (
                f"Zoho's count and its result file{whose} differ: {said:,} rows {name} by the "
                f"count, {found:,} in the file."
            )


def falls(before: Counts, after: Counts) -> list[str]:
    """Warnings for each count that fell from one poll to the next, which a count should not."""
    return [
        f"Zoho's {name} count fell from {old:,} to {new:,} while the job was watched."
        for name, old, new in (
            ("added", before.added, after.added),
            ("updated", before.updated, after.updated),
            ("skipped", before.skipped, after.skipped),
            ("total", before.total, after.total),
        )
        if old is not None and new is not None and new < old
    ]


TONES = {
    Outcome.RUNNING: "neutral",
    Outcome.STUCK: "bad",
    Outcome.IMPORTED: "good",
    Outcome.NOTHING_IMPORTED: "bad",
    Outcome.SKIPPED: "bad",
    Outcome.FAILED: "bad",
    Outcome.UNKNOWN: "neutral",
}


def tone(outcome: str, *, needs_attention: bool) -> str:
    """The colour's name of an outcome: good, warn, bad or neutral."""
    if outcome == Outcome.PARTIAL:
        return "bad" if needs_attention else "warn"
    if outcome in (Outcome.IMPORTED, Outcome.UNKNOWN) and needs_attention:
        return "bad"
    return TONES.get(Outcome(outcome), "neutral") if outcome in Outcome.values else "neutral"
