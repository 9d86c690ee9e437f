"""A bulk write job: its current state, its resources and their field mappings."""

from datetime import date, datetime, time, timedelta
from typing import Any, Self

from django.conf import settings
from django.core.validators import MaxValueValidator, MinValueValidator, RegexValidator
from django.db import models
from django.db.models import Count, Exists, OuterRef, Q, Sum
from django.db.models.functions import Coalesce, TruncDate
from django.urls import reverse
from django.utils import timezone

from jobs.models.connection import Connection, split_addresses
from jobs.models.leases import is_free


class Outcome(models.TextChoices):
    """Our verdict on a job, made from Zoho's statuses and counts."""

    RUNNING = "running", "Running"
    STUCK = "stuck", "Stuck"
    IMPORTED = "imported", "Imported"
    PARTIAL = "partial", "Imported with skips"
    NOTHING_IMPORTED = "nothing_imported", "Nothing imported"
    SKIPPED = "skipped", "Skipped"
    FAILED = "failed", "Failed"
    UNKNOWN = "unknown", "Unknown"


class CountsMixin(models.Model):
    """Zoho's four counts of rows. Absent is null, never 0."""

    added_count = models.BigIntegerField(null=True)
    updated_count = models.BigIntegerField(null=True)
    skipped_count = models.BigIntegerField(null=True)
    total_count = models.BigIntegerField(null=True)

    class Meta:
        abstract = True


def _midnight(day: date) -> datetime:
    return timezone.make_aware(datetime.combine(day, time.min))


LIST_FIELDS = (
    "zoho_job_id",
    "label",
    "modules",
    "file_names",
    "operation",
    "status",
    "status_raw",
    "outcome",
    "needs_attention",
    "added_count",
    "updated_count",
    "skipped_count",
    "total_count",
    "skip_ratio",
    "poll_state",
    "poll_error",
    "found_by",
    "tracked_at",
    "last_changed_at",
    "ended_at",
)


class BulkWriteJobQuerySet(models.QuerySet["BulkWriteJob"]):
    def active(self) -> Self:
        """Jobs that are still polled."""
        return self.filter(poll_state=BulkWriteJob.PollState.ACTIVE)

    def due(self, now: datetime) -> Self:
        """Active jobs whose next poll has come and that no worker holds, the oldest due first."""
        return (
            self.active()
            .filter(is_free(now, BulkWriteJob.LONGEST_LEASE), next_poll_at__lte=now)
            .order_by("next_poll_at")
        )

    def leased(self, now: datetime) -> Self:
        """Jobs that some worker is asking Zoho about."""
        return self.filter(lease_until__gt=now, lease_until__lte=now + BulkWriteJob.LONGEST_LEASE)

    def unconfirmed(self) -> Self:
        """Jobs whose ids came by callback and of which Zoho, when asked, has said nothing yet."""
        return self.filter(found_by=BulkWriteJob.FoundBy.CALLBACK, state_digest="")

    def needing_attention(self) -> Self:
        return self.filter(needs_attention=True)

    def searched(self, text: str) -> Self:
        """Jobs whose id, label, tags, module, file, creator or operation holds each word."""
        found = self
        for word in text.lower().split():
            found = found.filter(search_text__contains=word)
        return found

    def live(self) -> Self:
        """Active jobs that are worth looking at again soon.

        Those of a paused connection are not polled; of a blocked one, a single job every hour.
        """
        return self.active().filter(connection__paused=False, connection__blocked_at=None)

    def before(self, job: "BulkWriteJob") -> Self:
        """Jobs of the same connection before this one, the latest first.

        By the time at which Zoho created them; where that is not known, as they were registered.
        """
        same = self.filter(connection=job.connection_id)
        if job.created_time is None:
            return same.filter(pk__lt=job.pk).order_by("-pk")
        return (
            same.filter(created_time__lte=job.created_time)
            .exclude(created_time=job.created_time, pk__gte=job.pk)
            .order_by("-created_time", "-pk")
        )

    def ended(self) -> Self:
        """Jobs that Zoho has ended, the latest end first."""
        return self.exclude(ended_at=None).order_by("-ended_at", "-pk")

    def ended_between(self, first: date | None, last: date | None) -> Self:
        """Jobs that Zoho ended from the first day to the last, by the installation's clock."""
        found = self.exclude(ended_at=None)
        # East of Greenwich the first midnight of all is before what a datetime can hold.
        if first is not None and first.year > 1:
            found = found.filter(ended_at__gte=_midnight(first))
        if last is not None and last < date.max:
            found = found.filter(ended_at__lt=_midnight(last + timedelta(days=1)))
        return found

    def of_module(self, module: str) -> Self:
        """Jobs with a resource of this module."""
        resources = Resource.objects.filter(job=OuterRef("pk"), module=module)
        return self.filter(Exists(resources))

    def lean(self) -> Self:
        """Jobs with what a row of a list shows, and no more."""
        return self.select_related("connection").only(
            *LIST_FIELDS,
            "connection__name",
            "connection__stuck_after_minutes",
            "connection__paused",
            "connection__blocked_at",
        )

    def rows_per_day(self, since: datetime) -> list[dict[str, Any]]:
        """`[{"day", "added", "updated", "skipped"}, …]` of the jobs that ended since, by day."""
        days = self.filter(ended_at__gte=since).annotate(day=TruncDate("ended_at"))
        return [
            dict(row)
            for row in days.order_by("day")
            .values("day")
            .annotate(
                added=Coalesce(Sum("added_count"), 0),
                updated=Coalesce(Sum("updated_count"), 0),
                skipped=Coalesce(Sum("skipped_count"), 0),
            )
        ]

    def outcome_counts(self) -> dict[str, int]:
        """Number of jobs with each outcome, those without any job included."""
        counted = dict(self.order_by().values_list("outcome").annotate(Count("pk")))
        return dict.fromkeys(Outcome.values, 0) | counted


class BulkWriteJob(CountsMixin):
    """A Zoho bulk write job, known by Zoho's id within a connection.

    The state fields are written under the job's lease by `services.observing.recording` alone,
    those of the verdict (outcome, counts, attention) by `services.judging`.

    Poll states:  active -> done     Zoho has ended it and nothing is missing
                  active -> blocked  Zoho refuses for good; `poll_error` says why
                  active <-> paused  by a person
                  done, blocked -> active  by "Refresh now"
    """

    LONGEST_LEASE = timedelta(minutes=5)

    class FoundBy(models.TextChoices):
        """How the id got here."""

        PERSON = "person", "Registered on the page"
        COMMAND = "command", "Registered by command"
        CALLBACK = "callback", "Found by callback"

    class PollState(models.TextChoices):
        ACTIVE = "active", "Watching"
        DONE = "done", "Done"
        PAUSED = "paused", "Paused"
        BLOCKED = "blocked", "Blocked"

    connection = models.ForeignKey(Connection, on_delete=models.PROTECT, related_name="jobs")
    zoho_job_id = models.CharField(max_length=30, validators=[RegexValidator(r"^\d+\Z")])

    label = models.CharField(max_length=200, blank=True)
    tags = models.JSONField(default=list, blank=True)
    alert_recipients = models.TextField(blank=True)
    skip_threshold_percent = models.PositiveSmallIntegerField(
        null=True, blank=True, validators=[MinValueValidator(1), MaxValueValidator(100)]
    )
    # What is pinned keeps its result file whatever its age.
    pinned = models.BooleanField(default=False)
    found_by = models.CharField(
        max_length=10,
        choices=FoundBy.choices,
        default=FoundBy.PERSON,
        db_default=FoundBy.PERSON,
    )
    tracked_at = models.DateTimeField()
    tracked_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+"
    )

    # What Zoho last said.
    status = models.CharField(max_length=100, blank=True)
    status_raw = models.CharField(max_length=100, blank=True)
    operation = models.CharField(max_length=100, blank=True)
    character_encoding = models.CharField(max_length=100, blank=True)
    created_by_id = models.CharField(max_length=100, blank=True)
    created_by_name = models.CharField(max_length=255, blank=True)
    created_time = models.DateTimeField(null=True)
    download_url = models.CharField(max_length=2000, blank=True)
    current_snapshot = models.ForeignKey(
        "Snapshot", null=True, on_delete=models.SET_NULL, related_name="+"
    )
    state_digest = models.CharField(max_length=64, blank=True)

    # What we make of it.
    outcome = models.CharField(max_length=20, choices=Outcome.choices, default=Outcome.UNKNOWN)
    needs_attention = models.BooleanField(default=False)
    skip_ratio = models.FloatField(null=True)
    warnings = models.JSONField(default=list)
    lasting_warnings = models.JSONField(default=list)
    modules = models.CharField(max_length=500, blank=True)
    file_names = models.CharField(max_length=1000, blank=True)
    search_text = models.TextField(blank=True)
    last_changed_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)

    # When Zoho is asked next.
    poll_state = models.CharField(
        max_length=10, choices=PollState.choices, default=PollState.ACTIVE
    )
    next_poll_at = models.DateTimeField(null=True)
    last_polled_at = models.DateTimeField(null=True)
    polls = models.PositiveIntegerField(default=0)
    failures = models.PositiveIntegerField(default=0)
    polls_after_end = models.PositiveSmallIntegerField(default=0)
    poll_error = models.JSONField(null=True)
    # Since when Zoho has refused, or failed for long, to say anything about it: told by an alert.
    unreadable_since = models.DateTimeField(null=True)
    lease_token = models.CharField(max_length=32, blank=True)
    lease_until = models.DateTimeField(null=True)

    objects = BulkWriteJobQuerySet.as_manager()

    class Meta:
        ordering = ["-pk"]
        constraints = [
            models.UniqueConstraint(
                fields=["connection", "zoho_job_id"], name="job_unique_in_connection"
            ),
        ]
        indexes = [
            # BulkWriteJobQuerySet.due(), asked by each tick
            models.Index(
                fields=["connection", "next_poll_at"],
                condition=Q(poll_state="active"),
                name="job_due",
            ),
            # services.observing.polling.claim_due(), which counts the batches under way
            models.Index(
                fields=["connection", "lease_until"],
                condition=Q(lease_until__isnull=False),
                name="job_leased",
            ),
            # BulkWriteJobQuerySet.before()
            models.Index(fields=["connection", "created_time"], name="job_before"),
            # BulkWriteJobQuerySet.unconfirmed(), asked when Zoho calls about an unknown id
            models.Index(
                fields=["connection", "tracked_at"],
                condition=Q(found_by="callback", state_digest=""),
                name="job_unconfirmed",
            ),
            # The list's filters and sorts
            models.Index(fields=["outcome", "-id"], name="job_outcome"),
            models.Index(fields=["-id"], condition=Q(needs_attention=True), name="job_attention"),
            models.Index(fields=["last_changed_at"], name="job_last_changed"),
            models.Index(fields=["created_time"], name="job_created"),
            models.Index(fields=["skip_ratio"], name="job_skip_ratio"),
            models.Index(fields=["total_count"], name="job_total"),
            models.Index(fields=["ended_at"], name="job_ended"),
        ]

    def __str__(self) -> str:
        return self.zoho_job_id

    def get_absolute_url(self) -> str:
        return reverse("jobs:detail", args=[self.pk])

    @property
    def title(self) -> str:
        """What a person calls this job: its label, else its files, modules, or id."""
        return self.label or self.file_names or self.modules or f"Job {self.zoho_job_id}"

    @property
    def recipients(self) -> list[str]:
        """Who is told about this job: its own recipients, else its connection's."""
        return split_addresses(self.alert_recipients) or self.connection.recipients

    @property
    def threshold_percent(self) -> int:
        """The skip ratio, in percent, from which on skips are bad."""
        return self.skip_threshold_percent or self.connection.skip_threshold_percent

    @property
    def is_active(self) -> bool:
        """Whether it is still polled."""
        return self.poll_state == self.PollState.ACTIVE

    @property
    def is_live(self) -> bool:
        """Whether it is worth looking at again soon, as in `BulkWriteJobQuerySet.live()`."""
        return self.is_active and not self.connection.paused and not self.connection.is_blocked

    @property
    def is_unknown_to_zoho(self) -> bool:
        """Whether Zoho, when it was asked last, knew no job of this id."""
        return (self.poll_error or {}).get("code") == "RESOURCE_NOT_FOUND"

    @property
    def has_ended(self) -> bool:
        """Whether Zoho has ended this job: it and each of its resources."""
        return self.ended_at is not None

    @property
    def all_warnings(self) -> list[str]:
        return [*self.lasting_warnings, *self.warnings]

    def make_search_text(self) -> str:
        """What `searched()` looks through, in lower case."""
        parts = [
            self.zoho_job_id,
            self.label,
            *self.tags,
            self.modules,
            self.file_names,
            self.created_by_name,
            self.operation,
        ]
        return "\n".join(part for part in parts if part).lower()


class ResourceQuerySet(models.QuerySet["Resource"]):
    def skips_by_module(self, since: datetime) -> list[dict[str, Any]]:
        """`[{"module", "skipped", "total"}, …]` of jobs that ended since, most skipped first.

        By Zoho's counts; by the rows of their result files where Zoho gave none.
        """
        ended = self.filter(job__ended_at__gte=since).exclude(module="").order_by()
        counted = ended.filter(total_count__gt=0, skipped_count__isnull=False)
        by_rows = ended.uncounted().filter(result_files__rows__gt=0)
        sums: dict[str, list[int]] = {}
        for found in (
            counted.values_list("module", Sum("skipped_count"), Sum("total_count")),
            by_rows.values_list(
                "module", Sum("result_files__skipped_rows"), Sum("result_files__rows")
            ),
        ):
            for module, skipped, total in found:
                of_module = sums.setdefault(module, [0, 0])
                of_module[0] += skipped
                of_module[1] += total
        rows = [
            {"module": module, "skipped": skipped, "total": total}
            for module, (skipped, total) in sums.items()
        ]
        return sorted(rows, key=lambda row: (-int(str(row["skipped"])), str(row["module"])))

    def uncounted(self) -> Self:
        """Resources for which Zoho gave no counts at all."""
        return self.filter(
            added_count=None, updated_count=None, skipped_count=None, total_count=None
        )


class Resource(CountsMixin):
    """One entry of the job's `resource[]`: one module and one CSV file."""

    job = models.ForeignKey(BulkWriteJob, on_delete=models.CASCADE, related_name="resources")
    position = models.PositiveSmallIntegerField()
    status = models.CharField(max_length=100, blank=True)
    status_raw = models.CharField(max_length=100, blank=True)
    code = models.CharField(max_length=100, blank=True)
    type = models.CharField(max_length=100, blank=True)
    module = models.CharField(max_length=255, blank=True)
    module_id = models.CharField(max_length=100, blank=True)
    find_by = models.CharField(max_length=255, blank=True)
    ignore_empty = models.BooleanField(null=True)
    file_name = models.CharField(max_length=255, blank=True)
    file_status = models.CharField(max_length=100, blank=True)
    file_status_raw = models.CharField(max_length=100, blank=True)
    mappings_digest = models.CharField(max_length=64, blank=True)

    objects = ResourceQuerySet.as_manager()

    class Meta:
        ordering = ["position"]
        constraints = [
            models.UniqueConstraint(fields=["job", "position"], name="resource_unique_in_job"),
        ]

    def __str__(self) -> str:
        return self.module or f"Resource {self.position + 1}"


class FieldMapping(models.Model):
    """Which column of the CSV went into which field of the module."""

    resource = models.ForeignKey(Resource, on_delete=models.CASCADE, related_name="field_mappings")
    position = models.PositiveSmallIntegerField()
    api_name = models.CharField(max_length=255, blank=True)
    index = models.BigIntegerField(null=True)
    find_by = models.CharField(max_length=255, null=True)  # noqa: DJ001 - Zoho: null is no ""
    format = models.CharField(max_length=255, null=True)  # noqa: DJ001
    default_value = models.JSONField(null=True)
    module = models.CharField(max_length=255, null=True)  # noqa: DJ001
    parent_column_index = models.BigIntegerField(null=True)

    class Meta:
        ordering = ["position"]
        constraints = [
            models.UniqueConstraint(
                fields=["resource", "position"], name="mapping_unique_in_resource"
            ),
        ]

    def __str__(self) -> str:
        return self.api_name
