"""What was seen of a job and what happened to it, oldest first."""

from datetime import datetime
from typing import Self

from django.conf import settings
from django.contrib.auth.models import User
from django.db import models
from django.utils import timezone

from jobs.models.job import BulkWriteJob, CountsMixin, Outcome


class Snapshot(CountsMixin):
    """One state of a job as Zoho reported it.

    A poll that finds the state unchanged only moves `last_seen_at` and counts in `polls`.
    """

    job = models.ForeignKey(BulkWriteJob, on_delete=models.CASCADE, related_name="snapshots")
    first_seen_at = models.DateTimeField()
    last_seen_at = models.DateTimeField()
    polls = models.PositiveIntegerField(default=1)
    status = models.CharField(max_length=100, blank=True)
    status_raw = models.CharField(max_length=100, blank=True)
    outcome = models.CharField(max_length=20, choices=Outcome.choices)
    digest = models.CharField(max_length=64)
    raw = models.TextField()

    class Meta:
        ordering = ["pk"]

    def __str__(self) -> str:
        return f"{self.status_raw} at {self.first_seen_at}"


class JobEventQuerySet(models.QuerySet["JobEvent"]):
    def note(
        self,
        job_id: int,
        kind: "JobEvent.Kind",
        text: str = "",
        *,
        actor: User | None = None,
        at: datetime | None = None,
    ) -> None:
        """Store what happened to a job: now, unless said."""
        JobEvent.of(job_id, kind, text, at=at or timezone.now(), actor=actor).save()


class JobEvent(models.Model):
    """One thing that happened to a job, other than a new state of it."""

    LONGEST_TEXT = 500

    class Kind(models.TextChoices):
        TRACKED = "tracked", "Registered"
        OUTCOME = "outcome", "Outcome"
        POLL_FAILED = "poll_failed", "Polling failed"
        POLL_RECOVERED = "poll_recovered", "Polling works again"
        BLOCKED = "blocked", "Blocked"
        CALLBACK = "callback", "Zoho called"
        REFRESHED = "refreshed", "Refresh asked for"
        CONTRADICTION = "contradiction", "Contradiction"
        RESULT = "result", "Result file"
        DOWNLOADED = "downloaded", "Downloaded"
        ALERT = "alert", "Alert"
        PINNED = "pinned", "Pinned"
        UNPINNED = "unpinned", "No longer pinned"
        RESULT_DELETED = "result_deleted", "Result file deleted"
        ORIGINAL = "original", "Uploaded file"

    job = models.ForeignKey(BulkWriteJob, on_delete=models.CASCADE, related_name="events")
    at = models.DateTimeField()
    kind = models.CharField(max_length=20, choices=Kind.choices)
    text = models.CharField(max_length=LONGEST_TEXT, blank=True)
    excerpt = models.TextField(blank=True)
    actor = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+"
    )

    objects = JobEventQuerySet.as_manager()

    class Meta:
        ordering = ["at", "pk"]
        indexes = [models.Index(fields=["job", "at"], name="event_of_job")]

    def __str__(self) -> str:
        return f"{self.get_kind_display()}: {self.text}"

    @classmethod
    def of(
        cls,
        job_id: int,
        kind: Kind,
        text: str = "",
        *,
        at: datetime,
        actor: User | None = None,
        excerpt: str = "",
    ) -> Self:
        """An event that is yet to be stored, with as much of its text as is kept."""
        text = text[: cls.LONGEST_TEXT]
        return cls(job_id=job_id, at=at, kind=kind, text=text, excerpt=excerpt, actor=actor)
