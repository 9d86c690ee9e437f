"""The rows that the answers of one batch make, gathered first and written together."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from jobs.models import (
    Alert,
    BulkWriteJob,
    Connection,
    FieldMapping,
    JobEvent,
    Resource,
    Result,
    Snapshot,
)
from jobs.services import alerting
from jobs.services.bulk import update_rows
from jobs.zoho import payloads
from jobs.zoho.payloads import JobDetails

POLL_FIELDS = [
    "outcome",
    "needs_attention",
    "poll_state",
    "next_poll_at",
    "last_polled_at",
    "polls",
    "failures",
    "polls_after_end",
    "poll_error",
    "unreadable_since",
    "lasting_warnings",
    "lease_token",
    "lease_until",
]
STATE_FIELDS = [
    *POLL_FIELDS,
    "status",
    "status_raw",
    "operation",
    "character_encoding",
    "created_by_id",
    "created_by_name",
    "created_time",
    "download_url",
    "current_snapshot",
    "state_digest",
    "added_count",
    "updated_count",
    "skipped_count",
    "total_count",
    "skip_ratio",
    "warnings",
    "modules",
    "file_names",
    "search_text",
    "last_changed_at",
    "ended_at",
]
RESOURCE_FIELDS = [
    "status",
    "status_raw",
    "code",
    "type",
    "module",
    "module_id",
    "find_by",
    "ignore_empty",
    "file_name",
    "file_status",
    "file_status_raw",
    "added_count",
    "updated_count",
    "skipped_count",
    "total_count",
    "mappings_digest",
]


@dataclass
class Batch:
    """The rows that the answers of one batch make, gathered before any is written.

    `stretch`: by how much the time to the next poll is stretched, to spare API credits.
    """

    connection: Connection
    at: datetime
    stretch: float = 1.0
    changed: list[BulkWriteJob] = field(default_factory=list)
    unchanged: list[BulkWriteJob] = field(default_factory=list)
    seen_again: list[tuple[int, datetime]] = field(default_factory=list)
    snapshots: list[Snapshot] = field(default_factory=list)
    details: dict[int, JobDetails] = field(default_factory=dict)
    events: list[JobEvent] = field(default_factory=list)
    alerts: list[Alert] = field(default_factory=list)
    results: list[Result] = field(default_factory=list)

    def note(self, job: BulkWriteJob, kind: JobEvent.Kind, text: str, *, excerpt: str = "") -> None:
        self.events.append(JobEvent.of(job.pk, kind, text, at=self.at, excerpt=excerpt))

    def tell(
        self,
        kind: Alert.Kind,
        text: str,
        *,
        job: BulkWriteJob | None = None,
        about: str = "",
        hold: timedelta = timedelta(),
    ) -> None:
        self.alerts.append(
            alerting.make_alert(
                kind, text, connection=self.connection, job=job, about=about, at=self.at, hold=hold
            )
        )

    def write(self) -> None:
        """Write all of it; to be called once, in a transaction."""
        self.write_rows()
        self.write_alerts()

    def write_alerts(self) -> None:
        """Write what is to be told, once all of it is known."""
        alerting.write(self.alerts)

    def write_rows(self) -> None:
        """Write all but what is to be told."""
        Snapshot.objects.bulk_create(self.snapshots)
        for snapshot in self.snapshots:
            snapshot.job.current_snapshot = snapshot
        update_rows(self.changed, STATE_FIELDS)
        update_rows(self.unchanged, POLL_FIELDS)
        _write_seen_again(self.seen_again)
        _write_resources(self.details)
        Result.objects.bulk_create(self.results, ignore_conflicts=True)
        JobEvent.objects.bulk_create(self.events)


def _write_seen_again(seen_again: Sequence[tuple[int, datetime]]) -> None:
    polls = dict(
        Snapshot.objects.filter(pk__in=[pk for pk, _ in seen_again]).values_list("pk", "polls")
    )
    update_rows(
        [
            Snapshot(pk=pk, last_seen_at=asked_at, polls=polls[pk] + 1)
            for pk, asked_at in seen_again
            if pk in polls
        ],
        ["last_seen_at", "polls"],
    )


def _write_resources(details_by_job: Mapping[int, JobDetails]) -> None:
    stored = {
        (resource.job_id, resource.position): resource
        for resource in Resource.objects.filter(job_id__in=list(details_by_job))
    }
    new: list[Resource] = []
    known: list[Resource] = []
    remap: list[tuple[Resource, tuple[payloads.FieldMapping, ...]]] = []
    for job_pk, details in details_by_job.items():
        for position, item in enumerate(details.resources):
            resource = stored.pop((job_pk, position), None)
            is_new = resource is None
            resource = resource or Resource(job_id=job_pk, position=position)
            digest = _mappings_digest(item)
            if digest != resource.mappings_digest:
                remap.append((resource, item.field_mappings))
            _fill_resource(resource, item, digest)
            (new if is_new else known).append(resource)
    Resource.objects.filter(pk__in=[resource.pk for resource in stored.values()]).delete()
    Resource.objects.bulk_create(new)
    update_rows(known, RESOURCE_FIELDS)
    fresh = {id(resource) for resource in new}
    FieldMapping.objects.filter(
        resource__in=[resource.pk for resource, _ in remap if id(resource) not in fresh]
    ).delete()
    FieldMapping.objects.bulk_create(
        FieldMapping(
            resource=resource,
            position=position,
            api_name=item.api_name or "",
            index=item.index,
            find_by=item.find_by,
            format=item.format,
            default_value=item.default_value,
            module=item.module,
            parent_column_index=item.parent_column_index,
        )
        for resource, mappings in remap
        for position, item in enumerate(mappings)
    )


def _fill_resource(resource: Resource, item: payloads.Resource, mappings_digest: str) -> None:
    resource.status, resource.status_raw = item.status, item.status_raw
    resource.code, resource.type = item.code or "", item.type or ""
    resource.module, resource.module_id = item.module or "", item.module_id or ""
    resource.find_by, resource.ignore_empty = item.find_by or "", item.ignore_empty
    resource.mappings_digest = mappings_digest
    file = item.file
    resource.file_name = (file.name if file else None) or ", ".join(item.file_names)[:255]
    resource.file_status = file.status if file else ""
    resource.file_status_raw = file.status_raw if file else ""
    resource.added_count = file.added_count if file else None
    resource.updated_count = file.updated_count if file else None
    resource.skipped_count = file.skipped_count if file else None
    resource.total_count = file.total_count if file else None


def _mappings_digest(item: payloads.Resource) -> str:
    if not item.field_mappings:
        return ""
    return hashlib.sha256(repr(item.field_mappings).encode()).hexdigest()
