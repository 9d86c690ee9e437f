"""The result that Zoho offers when a job ends, and our own copy of it."""

import uuid
from datetime import datetime, timedelta
from typing import Self

from django.conf import settings
from django.db import models
from django.db.models import Exists, OuterRef, Prefetch, Q

from jobs.models.job import BulkWriteJob, Resource
from jobs.models.leases import is_free


class RowCountsMixin(models.Model):
    """Rows of a result by their STATUS. Null until the file was read."""

    added_rows = models.PositiveBigIntegerField(null=True)
    updated_rows = models.PositiveBigIntegerField(null=True)
    skipped_rows = models.PositiveBigIntegerField(null=True)
    unprocessed_rows = models.PositiveBigIntegerField(null=True)
    other_rows = models.PositiveBigIntegerField(null=True)

    class Meta:
        abstract = True

    @property
    def left_out_rows(self) -> int | None:
        """Rows that are not in the CRM: skipped or unprocessed."""
        if self.skipped_rows is None or self.unprocessed_rows is None:
            return None
        return self.skipped_rows + self.unprocessed_rows


class ResultQuerySet(models.QuerySet["Result"]):
    def pending(self) -> Self:
        """Results that are still to be fetched."""
        return self.filter(state=Result.State.PENDING)

    def due(self, now: datetime) -> Self:
        """Results to fetch now that no worker is fetching, the longest waiting first."""
        free = self.pending().filter(is_free(now, Result.LONGEST_LEASE))
        return free.filter(next_attempt_at__lte=now).order_by("next_attempt_at")

    def being_fetched(self, now: datetime) -> Self:
        """Results that some worker is fetching."""
        return self.pending().filter(
            lease_until__gt=now, lease_until__lte=now + Result.LONGEST_LEASE
        )

    def kept_before(self, moment: datetime) -> Self:
        """Results of which our copy was made at `moment` or before, the oldest first."""
        return self.filter(state=Result.State.ARCHIVED, fetched_at__lte=moment).order_by(
            "fetched_at", "pk"
        )

    def deleted_with_leftovers(self) -> Self:
        """Deleted results that may still have files in the storage."""
        attached = OriginalFile.objects.filter(file__result=OuterRef("pk"))
        return self.filter(Exists(attached) | ~Q(archive=""), state=Result.State.DELETED).order_by(
            "deleted_at", "pk"
        )


def archive_path(result: "Result", file_name: str) -> str:
    """Where a result's ZIP is kept, below the private storage; Zoho's names have no say in it."""
    job = result.job
    folder = f"results/{job.connection_id}/{job.zoho_job_id[-3:]}"
    return f"{folder}/{job.zoho_job_id}-{uuid.uuid4().hex[:12]}.zip"


class Result(RowCountsMixin):
    """The result ZIP of one job.

    States:  pending -> archived  fetched, kept and analysed
             pending -> expired   Zoho no longer has it
             pending -> refused   it lies where no token may be sent, or is too large
             pending -> failed    it could not be fetched or is no result file
             archived -> deleted  our copy was deleted, by a person or by age; its figures stay
    """

    LONGEST_LEASE = timedelta(minutes=15)

    class State(models.TextChoices):
        PENDING = "pending", "Being fetched"
        ARCHIVED = "archived", "Kept"
        EXPIRED = "expired", "No longer at Zoho"
        REFUSED = "refused", "Refused"
        FAILED = "failed", "Failed"
        DELETED = "deleted", "Deleted here"

    job = models.OneToOneField(BulkWriteJob, on_delete=models.CASCADE, related_name="result")
    state = models.CharField(max_length=10, choices=State.choices, default=State.PENDING)
    archive = models.FileField(upload_to=archive_path, max_length=300, blank=True)
    size = models.PositiveBigIntegerField(null=True)
    sha256 = models.CharField(max_length=64, blank=True)
    fetched_at = models.DateTimeField(null=True)
    deleted_at = models.DateTimeField(null=True)
    warnings = models.JSONField(default=list)

    attempts = models.PositiveSmallIntegerField(default=0)
    # Of these, those that gave a file which could not be read.
    unreadable_attempts = models.PositiveSmallIntegerField(default=0)
    next_attempt_at = models.DateTimeField(null=True)
    lease_until = models.DateTimeField(null=True)
    error = models.JSONField(null=True)

    objects = ResultQuerySet.as_manager()

    class Meta:
        indexes = [
            models.Index(
                fields=["next_attempt_at"], condition=Q(state="pending"), name="result_due"
            ),
        ]

    def __str__(self) -> str:
        return f"Result of {self.job_id}: {self.state}"

    @property
    def is_archived(self) -> bool:
        return self.state == self.State.ARCHIVED


class ResultFileQuerySet(models.QuerySet["ResultFile"]):
    def with_originals(self, now: datetime) -> Self:
        """With their resources, and with what is attached to them and still kept.

        A file whose attached one has expired looks as one without.
        """
        kept = OriginalFile.objects.kept(now).select_related("attached_by")
        return self.select_related("resource").prefetch_related(Prefetch("original", kept))


class ResultFile(RowCountsMixin):
    """One CSV of a result ZIP."""

    result = models.ForeignKey(Result, on_delete=models.CASCADE, related_name="files")
    resource = models.ForeignKey(
        Resource, null=True, on_delete=models.SET_NULL, related_name="result_files"
    )
    position = models.PositiveSmallIntegerField()
    name = models.CharField(max_length=255)
    size = models.PositiveBigIntegerField()
    rows = models.PositiveBigIntegerField(null=True)
    columns = models.JSONField(default=list)
    error = models.CharField(max_length=500, blank=True)

    objects = ResultFileQuerySet.as_manager()

    class Meta:
        ordering = ["position"]
        constraints = [
            models.UniqueConstraint(fields=["result", "position"], name="file_unique_in_result"),
        ]

    def __str__(self) -> str:
        return self.name


class SkipReason(models.Model):
    """One error code on one field, and the rows of one result file that it hit.

    `samples`: the first rows it hit, as `[{"row": 7, "values": ["…", …]}, …]`, the values in the
    order of the file's `columns`, row 1 being the first below the header; `first_rows`: the numbers
    of more of them. `facts`: what the file shows of the field's own column over all rows hit
    (`services.results.column_facts.ColumnFacts`); null where the file does not show that column.
    """

    file = models.ForeignKey(ResultFile, on_delete=models.CASCADE, related_name="reasons")
    code = models.CharField(max_length=100)
    field = models.CharField(max_length=255, blank=True)
    rows = models.PositiveBigIntegerField()
    samples = models.JSONField(default=list)
    first_rows = models.JSONField(default=list)
    facts = models.JSONField(null=True)

    class Meta:
        ordering = ["-rows", "code", "field"]
        constraints = [
            models.UniqueConstraint(fields=["file", "code", "field"], name="reason_unique_in_file"),
        ]

    def __str__(self) -> str:
        return f"{self.code}-{self.field}" if self.field else self.code


def original_path(original: "OriginalFile", file_name: str) -> str:
    """Where an attached upload is kept; the name that a person gave it has no say in it."""
    return f"originals/{original.file.result_id}-{uuid.uuid4().hex}"


class OriginalFileQuerySet(models.QuerySet["OriginalFile"]):
    def kept(self, now: datetime) -> Self:
        """Attached files that may be shown and handed out."""
        return self.filter(expires_at__gt=now)

    def expired(self, now: datetime) -> Self:
        """Attached files whose time has passed."""
        return self.filter(expires_at__lte=now)


class OriginalFile(models.Model):
    """The CSV that was once uploaded to Zoho, attached by a person to get its left-out rows back.

    Kept for some hours only. `report`: how its rows were matched to those of the result file
    (`services.reimport.report.Report`).
    """

    file = models.OneToOneField(ResultFile, on_delete=models.CASCADE, related_name="original")
    name = models.CharField(max_length=255)
    content = models.FileField(upload_to=original_path, max_length=300)
    size = models.PositiveBigIntegerField()
    attached_at = models.DateTimeField()
    attached_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+"
    )
    expires_at = models.DateTimeField(db_index=True)
    report = models.JSONField()

    objects = OriginalFileQuerySet.as_manager()

    def __str__(self) -> str:
        return self.name
