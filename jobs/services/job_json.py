"""A job as the JSON that scripts rely on (`show --json`)."""

from datetime import UTC, datetime
from typing import Any

from django.db.models import Sum

from jobs.models import BulkWriteJob, Result, SkipReason
from jobs.services import job_story
from jobs.services.observing import polling
from jobs.services.outcomes import Counts, counts_of


def as_json(job: BulkWriteJob) -> dict[str, Any]:
    """The job with its resources, snapshots, poll state, result and alerts.

    Times are UTC and end in Z; unknown numbers are None.
    """
    result = Result.objects.filter(job=job).first()
    return {
        "connection": job.connection.name,
        "job_id": job.zoho_job_id,
        "label": job.label,
        "tags": job.tags,
        "status": job.status,
        "status_raw": job.status_raw,
        "outcome": job.outcome,
        "needs_attention": job.needs_attention,
        "operation": job.operation or None,
        "character_encoding": job.character_encoding or None,
        "created_by": _created_by(job),
        "created_time": _time(job.created_time),
        "counts": _counts(counts_of(job)) | {"unprocessed": counts_of(job).unprocessed},
        "skip_ratio": job.skip_ratio,
        "warnings": job_story.warnings(job, result),
        "resources": _resources(job),
        "snapshots": _snapshots(job),
        "poll": _poll(job),
        "result": _result(job, result),
        "alerts": _alerts(job),
    }


def _time(moment: datetime | None) -> str | None:
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z") if moment else None


def _counts(counts: Counts) -> dict[str, int | None]:
    return {
        "added": counts.added,
        "updated": counts.updated,
        "skipped": counts.skipped,
        "total": counts.total,
    }


def _created_by(job: BulkWriteJob) -> dict[str, str | None] | None:
    if not (job.created_by_id or job.created_by_name):
        return None
    return {"id": job.created_by_id or None, "name": job.created_by_name or None}


def _resources(job: BulkWriteJob) -> list[dict[str, Any]]:
    return [
        {
            "module": resource.module or None,
            "status": resource.status,
            "status_raw": resource.status_raw,
            "code": resource.code or None,
            "file": {
                "name": resource.file_name or None,
                "status": resource.file_status or None,
                **_counts(counts_of(resource)),
            },
            "skip_ratio": counts_of(resource).skip_ratio,
            "field_mappings": [
                {
                    "api_name": mapping.api_name or None,
                    "index": mapping.index,
                    "find_by": mapping.find_by,
                    "format": mapping.format,
                    "default_value": mapping.default_value,
                    "module": mapping.module,
                    "parent_column_index": mapping.parent_column_index,
                }
                for mapping in resource.field_mappings.all()
            ],
        }
        for resource in job.resources.prefetch_related("field_mappings")
    ]


def _snapshots(job: BulkWriteJob) -> list[dict[str, Any]]:
    return [
        {
            "status": snapshot.status,
            "status_raw": snapshot.status_raw,
            "first_seen_at": _time(snapshot.first_seen_at),
            "last_seen_at": _time(snapshot.last_seen_at),
            "polls": snapshot.polls,
            "counts": _counts(counts_of(snapshot))
            | {"unprocessed": counts_of(snapshot).unprocessed},
        }
        for snapshot in job.snapshots.defer("raw")
    ]


def _poll(job: BulkWriteJob) -> dict[str, Any]:
    state, error = polling.effective_poll_state(job)
    return {
        "state": state,
        "last_polled_at": _time(job.last_polled_at),
        "next_poll_at": _time(job.next_poll_at),
        "error": error,
    }


def _result(job: BulkWriteJob, result: Result | None) -> dict[str, Any]:
    if result is None:
        return _no_result("pending" if polling.awaits_result(job, result) else "none")
    reasons = (
        SkipReason.objects.filter(file__result=result)
        .values("code", "field")
        .annotate(hit=Sum("rows"))
        .order_by("-hit", "code", "field")
    )
    rows = None
    if result.added_rows is not None:
        rows = {
            "added": result.added_rows,
            "updated": result.updated_rows,
            "skipped": result.skipped_rows,
            "unprocessed": result.unprocessed_rows,
        }
    return {
        "state": result.state,
        "size": result.size,
        "sha256": result.sha256 or None,
        "files": [{"name": file.name, "rows": file.rows} for file in result.files.all()],
        "rows": rows,
        "reasons": [
            {"code": reason["code"], "field": reason["field"], "rows": reason["hit"]}
            for reason in reasons
        ],
        "error": result.error,
    }


def _no_result(state: str) -> dict[str, Any]:
    return {
        "state": state,
        "size": None,
        "sha256": None,
        "files": [],
        "rows": None,
        "reasons": [],
        "error": None,
    }


def _alerts(job: BulkWriteJob) -> list[dict[str, Any]]:
    return [
        {
            "kind": alert.kind,
            "state": alert.state,
            "created_at": _time(alert.created_at),
            "sent_at": _time(alert.sent_at),
            "recipients": alert.recipients,
        }
        for alert in job.alerts.order_by("pk")
    ]
