"""What a job's page tells: its states in order, why rows were left out, its mappings.

It only reads.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from urllib.parse import urlencode

from jobs.models import (
    BulkWriteJob,
    FieldMapping,
    JobEvent,
    Resource,
    Result,
    ResultFile,
    SkipReason,
)
from jobs.services import mapping_changes
from jobs.services import reasons as reason_texts
from jobs.services.diagnosis import CODES_OF_MAPPINGS, ImportedFile, diagnose
from jobs.services.mapping_changes import Change
from jobs.services.outcomes import Counts, counts_of

STATES_READ = 500
EVENTS_READ = 200
CHANGES_LISTED = 20

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


def warnings(job: BulkWriteJob, result: Result | None) -> list[str]:
    """What does not add up in a job and its result, in sentences."""
    return [*job.all_warnings, *(result.warnings if result else [])]


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
        moment.counts = counts_of(snapshot)
    if moments and not job.has_ended:
        moments[-1].lasted = now - moments[-1].at
        moments[-1].still_holds = True
    return moments


@dataclass(slots=True)
class ReasonRow:
    """One skip reason as people read it.

    `share`: of the rows left out of its file. `rows_together`: with those that the same reason has
    in other files; None where it stands in one file alone. `changes`: what changed of the field's
    mapping since `before`, the module's job before, where that can be a cause.
    """

    reason: SkipReason
    file: ImportedFile
    mapping: FieldMapping | None
    share: float | None
    rows_together: int | None = None
    before: BulkWriteJob | None = None
    changes: list[Change] = field(default_factory=list)

    @property
    def meaning(self) -> str:
        return reason_texts.describe(self.reason.code).meaning

    @property
    def as_zoho_wrote(self) -> str:
        """The reason as it stands in ERRORS; "" where Zoho named none."""
        return reason_texts.as_zoho_wrote(self.reason.code, self.reason.field)

    @property
    def what_to_do(self) -> str:
        return reason_texts.describe(self.reason.code).what_to_do

    @property
    def diagnosis(self) -> list[str]:
        return diagnose(self.reason, self.file)

    @property
    def is_hidden(self) -> bool:
        """Whether the field came from a column that the result file does not show."""
        return self.file.hides(self.reason.field)

    @property
    def values(self) -> list[tuple[str, int]]:
        """The values that several rows have in the field's column, "" being the empty one."""
        facts = self.reason.facts or {}
        counted = [(str(value), rows) for value, rows in facts.get("values") or []]
        counted.append(("", facts.get("empty") or 0))
        return sorted(((v, rows) for v, rows in counted if rows > 1), key=lambda item: -item[1])

    @property
    def query(self) -> str:
        """What finds these rows on the rows page."""
        reason = self.reason
        place = reason.file.position
        return urlencode({"file": place, "code": reason.code, "field": reason.field})


def imported_files(
    job: BulkWriteJob, result: Result | None, resources: Sequence[Resource]
) -> dict[int, ImportedFile]:
    """The files of a result by their keys, each with the resource it came from."""
    by_key = {resource.pk: resource for resource in resources}
    imported = {}
    for file in result.files.all() if result else ():
        resource = by_key.get(file.resource_id or 0)
        imported[file.pk] = ImportedFile(
            columns=file.columns,
            rows=file.rows,
            operation=job.operation,
            resource=resource,
            mappings=list(resource.field_mappings.all()) if resource else (),
            # Zoho's create page puts the parent first.
            parent=resources[0] if resource and resource is not resources[0] else None,
        )
    return imported


def skip_reasons(
    result: Result | None, files: Mapping[int, ImportedFile], limit: int
) -> list[ReasonRow]:
    """The reasons why rows were left out, most rows first; `files` as `imported_files` gives them.

    A row can have several reasons, so their shares of the rows left out may exceed 1 together.
    """
    if result is None:
        return []
    rows = []
    found = SkipReason.objects.filter(file__result=result).select_related("file")
    for reason in found.order_by("-rows", "code", "field", "pk")[:limit]:
        file = files[reason.file_id]
        left_out = (reason.file.skipped_rows or 0) + (reason.file.unprocessed_rows or 0)
        rows.append(
            ReasonRow(
                reason=reason,
                file=file,
                mapping=file.names.mapping_of(reason.field),
                # Rows with errors may have been written all the same.
                share=reason.rows / left_out if left_out >= reason.rows else None,
            )
        )
    if len(files) > 1 and len(rows) < limit:
        _add_up_over_files(rows)
    return rows


def _add_up_over_files(rows: Sequence[ReasonRow]) -> None:
    together: dict[tuple[str, str], list[ReasonRow]] = {}
    for row in rows:
        together.setdefault((row.reason.code, row.reason.field), []).append(row)
    for same in together.values():
        if len(same) > 1:
            for row in same:
                row.rows_together = sum(other.reason.rows for other in same)


@dataclass(slots=True)
class MappingRow:
    """One mapping, its column's header where the result file shows it, its errors and changes."""

    mapping: FieldMapping
    header: str
    hits: list[ReasonRow] = field(default_factory=list)
    changes: list[Change] = field(default_factory=list)

    @property
    def rows(self) -> int:
        """The rows of its most frequent error."""
        return max((hit.reason.rows for hit in self.hits), default=0)


@dataclass(slots=True)
class MissingField:
    """A mandatory field that errors name and no mapping is named like.

    `is_certain`: all mapped columns are shown, so the name is not the header of another one.
    """

    name: str
    hits: list[ReasonRow]
    is_certain: bool


@dataclass(slots=True)
class Part:
    """One resource with its mappings, those whose fields had errors first.

    `before`: the same module's resource in the job before, None where none is known; `changes`:
    what differs from it.
    """

    resource: Resource
    counts: Counts
    mappings: list[MappingRow]
    missing: list[MissingField]
    before: Resource | None
    changes: list[Change]

    @property
    def has_errors(self) -> bool:
        return bool(self.missing) or any(row.hits for row in self.mappings)

    @property
    def changes_in_words(self) -> str:
        number = len(self.changes)
        return f"{number:,} {'change' if number == 1 else 'changes'}"

    @property
    def changes_listed(self) -> list[Change]:
        """All that no row of the mappings is marked with, and the first of the others."""
        apart = [change for change in self.changes if change.mapping is None]
        marked = [change for change in self.changes if change.mapping is not None]
        return [*apart, *marked[:CHANGES_LISTED]]

    @property
    def counts_before(self) -> Counts | None:
        return counts_of(self.before) if self.before else None

    @property
    def names_parents(self) -> bool:
        """Whether a mapping leads to another module, as those of subforms and look-ups do."""
        return any(
            row.mapping.module or row.mapping.parent_column_index is not None
            for row in self.mappings
        )


def count_from_rows(resources: Sequence[Resource], files: Iterable[ResultFile]) -> None:
    """Give resources without counts of Zoho's those of their files' rows, to show; not to save."""
    for resource in resources:
        own = [file for file in files if file.resource_id == resource.pk]
        if not own or not counts_of(resource).are_absent or any(file.error for file in own):
            continue
        resource.added_count = sum(file.added_rows or 0 for file in own)
        resource.updated_count = sum(file.updated_rows or 0 for file in own)
        resource.skipped_count = sum(file.skipped_rows or 0 for file in own)
        resource.total_count = sum(file.rows or 0 for file in own)


def parts(
    resources: Sequence[Resource],
    files: Mapping[int, ImportedFile],
    reasons: Sequence[ReasonRow],
) -> list[Part]:
    """A job's resources as its page shows them; tells `reasons` what changed of their mappings."""
    earlier = mapping_changes.previous(resources)
    found = []
    for resource in resources:
        before = earlier.get(resource.pk)
        changes = mapping_changes.changes(before, resource) if before else []
        own = [row for row in reasons if row.file.resource is resource]
        file = next((file for file in files.values() if file.resource is resource), None)
        rows = {
            mapping.pk: MappingRow(mapping, _header(mapping, file))
            for mapping in resource.field_mappings.all()
        }
        for change in changes:
            if change.mapping is not None:
                rows[change.mapping.pk].changes.append(change)
        for reason in own:
            if reason.mapping is None:
                continue
            rows[reason.mapping.pk].hits.append(reason)
            if before and reason.reason.code in CODES_OF_MAPPINGS:
                reason.before, reason.changes = before.job, rows[reason.mapping.pk].changes
        found.append(
            Part(
                resource=resource,
                counts=counts_of(resource),
                mappings=sorted(rows.values(), key=lambda row: -row.rows),
                missing=_missing_fields(own),
                before=before,
                changes=changes,
            )
        )
    return found


def _header(mapping: FieldMapping, file: ImportedFile | None) -> str:
    """What stands over a mapping's column, where the result file shows it."""
    place = file.names.column_of_mapping(mapping) if file else None
    return file.columns[place] if file and place is not None else ""


def _missing_fields(reasons: Sequence[ReasonRow]) -> list[MissingField]:
    missing: dict[str, MissingField] = {}
    for row in reasons:
        name = row.reason.field
        if row.reason.code != "MANDATORY_NOT_FOUND" or not row.file.has_no_mapping_for(name):
            continue
        known = missing.setdefault(name, MissingField(name, [], not row.file.hides_columns))
        known.hits.append(row)
    return list(missing.values())
