"""Registering job ids: from one to thousands."""

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from jobs.models import BulkWriteJob, Connection, JobEvent
from jobs.services.bulk import update_rows
from jobs.services.registering.job_ids import Entry, Verdict

__all__ = ["Entry", "Verdict", "read_tags", "track"]


def track(
    connection: Connection,
    entries: Sequence[Entry],
    *,
    label: str = "",
    tags: Sequence[str] = (),
    alert_recipients: str = "",
    skip_threshold_percent: int | None = None,
    user: User | None = None,
    found_by: str = BulkWriteJob.FoundBy.PERSON,
) -> list[Entry]:
    """Register the ids among these entries; those new to the connection are due at once.

    `label` is for those that have none of their own. Returns the entries with their jobs, those
    already tracked marked as such. Registering the same id twice at the same time makes one job.
    A job found by callback becomes the registering person's: their label, tags and recipients fill
    what was empty.
    """
    labels = {
        entry.job_id: entry.label or label for entry in entries if entry.verdict == Verdict.TRACKED
    }
    ids = list(labels)
    now = timezone.now()
    with transaction.atomic():
        jobs = BulkWriteJob.objects.filter(connection=connection)
        known = set(jobs.filter(zoho_job_id__in=ids).values_list("zoho_job_id", flat=True))
        new = [
            BulkWriteJob(
                connection=connection,
                zoho_job_id=job_id,
                label=labels[job_id],
                tags=list(tags),
                alert_recipients=alert_recipients,
                skip_threshold_percent=skip_threshold_percent,
                tracked_at=now,
                tracked_by=user,
                found_by=found_by,
                next_poll_at=now,
            )
            for job_id in ids
            if job_id not in known
        ]
        for job in new:
            job.search_text = job.make_search_text()
        if found_by != BulkWriteJob.FoundBy.CALLBACK:
            given = {
                "tags": list(tags),
                "alert_recipients": alert_recipients,
                "skip_threshold_percent": skip_threshold_percent,
                "tracked_by": user,
            }
            found = jobs.filter(zoho_job_id__in=ids, found_by=BulkWriteJob.FoundBy.CALLBACK)
            _take_over(found, labels, given, found_by, now)
        BulkWriteJob.objects.bulk_create(new, ignore_conflicts=True, batch_size=500)
        stored = {job.zoho_job_id: job for job in jobs.filter(zoho_job_id__in=ids)}
        JobEvent.objects.bulk_create(
            JobEvent.of(stored[job.zoho_job_id].pk, JobEvent.Kind.TRACKED, at=now, actor=user)
            for job in new
        )
    for entry in entries:
        if entry.verdict in (Verdict.TRACKED, Verdict.REPEATED):
            entry.job = stored.get(entry.job_id)
        if entry.verdict == Verdict.TRACKED and entry.job_id in known:
            entry.verdict = Verdict.ALREADY_TRACKED
    return list(entries)


def _take_over(
    found: QuerySet[BulkWriteJob],
    labels: Mapping[str, str],
    given: Mapping[str, Any],
    found_by: str,
    now: datetime,
) -> None:
    """Make jobs that came by callback somebody's own, who is told of them from now on.

    One that Zoho did not know is asked about again, for then somebody waits for the answer.
    """
    jobs = list(found.select_for_update().order_by("pk"))
    for job in jobs:
        job.found_by = found_by
        for name, value in {**given, "label": labels[job.zoho_job_id]}.items():
            setattr(job, name, getattr(job, name) or value)
        job.search_text = job.make_search_text()
        if job.poll_state == BulkWriteJob.PollState.BLOCKED and not job.needs_attention:
            job.poll_state, job.next_poll_at = BulkWriteJob.PollState.ACTIVE, now
            job.unreadable_since = None
    own = ["label", "found_by", "search_text", "poll_state", "next_poll_at", "unreadable_since"]
    update_rows(jobs, [*given, *own])
    JobEvent.objects.bulk_create(
        JobEvent.of(job.pk, JobEvent.Kind.TRACKED, at=now, actor=given["tracked_by"])
        for job in jobs
    )


def read_tags(text: str) -> list[str]:
    """The tags of a text in which commas or line breaks part them, each once, in order."""
    tags = (tag.strip()[:50] for tag in re.split(r"[,\n]", text))
    return list(dict.fromkeys(tag for tag in tags if tag))[:20]
