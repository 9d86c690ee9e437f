"""What a job's page tells: its states in order, why rows were left out, its mappings.

It only reads.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from jobs.models import BulkWriteJob, FieldMapping, JobEvent, Resource, Result, SkipReason, Snapshot
from jobs.services import reasons as reason_texts
from jobs.services.outcomes import Counts

STATES_READ = 500
EVENTS_READ = 200

EVENT_TONES = {
    JobEvent.Kind.POLL_FAILED: "bad",
    JobEvent.Kind.BLOCKED: "bad",
    JobEvent.Kind.CONTRADICTION: "bad",
    JobEvent.Kind.POLL_RECOVERED: "good",
}
STATUS_TONES = {"FAILED": "bad", "SKIPPED": "bad", "INPROGRESS": "running"}


@dataclass(slots=True)
class Moment:
    """One entry of the timeline: a status with all its snapshots, or an event.

    `lasted` is None for events, and for a status that still holds at the end.
    """

    at: datetime
    tone: str
    status: str = ""
    status_raw: str = ""
    counts: Counts | None = None
    states: int = 0
    polls: int = 0
    lasted: timedelta | None = None
    still_holds: bool = False
    event: JobEvent | None = None


def timeline(job: BulkWriteJob, now: datetime) -> list[Moment]:
    """The latest statuses and events of a job, oldest first."""
    states = _statuses(job, now)
    events = [
        Moment(at=event.at, tone=EVENT_TONES.get(JobEvent.Kind(event.kind), "neutral"), event=event)
        for event in job.events.select_related("actor").order_by("-at", "-pk")[:EVENTS_READ]
    ]
    # Of what happened at one moment, the registration comes first, then what Zoho said.
    return sorted(states + events[::-1], key=lambda moment: (moment.at, _order(moment)))


def _order(moment: Moment) -> int:
    if moment.event is None:
        return 1
    return 0 if moment.event.kind == JobEvent.Kind.TRACKED else 2


def _statuses(job: BulkWriteJob, now: datetime) -> list[Moment]:
    snapshots = list(job.snapshots.defer("raw", "digest").order_by("-pk")[:STATES_READ])[::-1]
    moments: list[Moment] = []
    for snapshot in snapshots:
        if moments and moments[-1].status_raw == snapshot.status_raw:
            moment = moments[-1]
        else:
            if moments:
                moments[-1].lasted = snapshot.first_seen_at - moments[-1].at
            moment = Moment(
                at=snapshot.first_seen_at,
                tone=STATUS_TONES.get(snapshot.status, "neutral"),
                status=snapshot.status,
                status_raw=snapshot.status_raw,
            )
            moments.append(moment)
        moment.states += 1
        moment.polls += snapshot.polls
        moment.counts = _counts(snapshot)
    if moments and not job.has_ended:
        moments[-1].lasted = now - moments[-1].at
        moments[-1].still_holds = True
    return moments


def _counts(row: Snapshot | Resource) -> Counts:
    return Counts(row.added_count, row.updated_count, row.skipped_count, row.total_count)


@dataclass(slots=True)
class ReasonRow:
    """One skip reason as people read it, and where the mapping took the field's values from.

    `is_unmapped`: a mandatory field is missing, and no mapping is named like it.
    """

    reason: SkipReason
    meaning: str
    what_to_do: str
    share: float | None
    mapping: FieldMapping | None
    is_unmapped: bool

    @property
    def columns(self) -> list[str]:
        return list(self.reason.file.columns)


def skip_reasons(
    result: Result | None, resources: Sequence[Resource], limit: int
) -> list[ReasonRow]:
    """The reasons why rows were left out, most rows first.

    A row can have several reasons, so their shares of the rows left out may exceed 1 together.
    """
    if result is None:
        return []
    left_out = (result.skipped_rows or 0) + (result.unprocessed_rows or 0)
    mapped = {
        resource.pk: {mapping.api_name: mapping for mapping in resource.field_mappings.all()}
        for resource in resources
    }
    found = SkipReason.objects.filter(file__result=result).select_related("file")
    rows = []
    for reason in found.order_by("-rows", "code", "field")[:limit]:
        fields = mapped.get(reason.file.resource_id or 0)
        described = reason_texts.describe(reason.code)
        rows.append(
            ReasonRow(
                reason=reason,
                meaning=described.meaning,
                what_to_do=described.what_to_do,
                share=reason.rows / left_out if left_out else None,
                mapping=fields.get(reason.field) if fields else None,
                # Zoho may name the file's column in place of the field.
                is_unmapped=reason.code == "MANDATORY_NOT_FOUND"
                and bool(fields and reason.field)
                and reason.field not in {*(fields or ()), *reason.file.columns},
            )
        )
    return rows


@dataclass(slots=True)
class MappingRow:
    mapping: FieldMapping
    rows_with_errors: int = 0
    codes: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Part:
    """One resource with its mappings, those whose fields had errors first."""

    resource: Resource
    counts: Counts
    mappings: list[MappingRow]

    @property
    def has_errors(self) -> bool:
        return any(row.rows_with_errors for row in self.mappings)

    @property
    def names_parents(self) -> bool:
        """Whether a mapping leads to another module, as those of subforms and look-ups do."""
        return any(
            row.mapping.module or row.mapping.parent_column_index is not None
            for row in self.mappings
        )


def parts(resources: Sequence[Resource], reasons: Sequence[ReasonRow]) -> list[Part]:
    """A job's resources as its page shows them."""
    hit: Counter[tuple[int | None, str]] = Counter()
    codes: dict[tuple[int | None, str], list[str]] = {}
    for row in reasons:
        key = (row.reason.file.resource_id, row.reason.field)
        hit[key] += row.reason.rows
        codes.setdefault(key, []).append(row.reason.code)
    result = []
    for resource in resources:
        mappings = [
            MappingRow(
                mapping,
                hit[resource.pk, mapping.api_name],
                codes.get((resource.pk, mapping.api_name), []),
            )
            for mapping in resource.field_mappings.all()
        ]
        mappings.sort(key=lambda row: -row.rows_with_errors)
        result.append(Part(resource, _counts(resource), mappings))
    return result
