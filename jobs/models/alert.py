"""The outbox: what was worth telling, whom it went to, and how that went."""

from datetime import datetime, timedelta
from typing import Self

from django.db import models
from django.db.models import Q

from jobs.models.connection import Connection
from jobs.models.job import BulkWriteJob
from jobs.models.leases import is_free


class AlertQuerySet(models.QuerySet["Alert"]):
    def of_connections(self) -> Self:
        """Alerts about a connection as a whole, not about one of its jobs."""
        return self.filter(job=None)

    def pending(self) -> Self:
        """Alerts that are still to be sent."""
        return self.filter(state=Alert.State.PENDING)

    def due(self, now: datetime) -> Self:
        """Alerts to send now that no worker is sending, the oldest first."""
        free = self.pending().filter(is_free(now, Alert.LONGEST_LEASE))
        return free.filter(next_attempt_at__lte=now).order_by("pk")

    def overdue(self, now: datetime, after: timedelta) -> Self:
        """Alerts that wait for longer than that: trying failed, or nobody tries."""
        tried = Q(attempts__gt=0) | Q(next_attempt_at__lte=now - timedelta(minutes=1))
        return self.pending().filter(tried, created_at__lte=now - after).order_by("next_attempt_at")


class Alert(models.Model):
    """One fact about one job (or connection) that people are told.

    Written in the transaction that saw the fact; its unique key keeps it from being written
    twice however often the fact is seen.

    States:  pending -> sent          the mail server took it
             pending -> failed        given up after two days of trying
             pending -> no_recipient  nobody is named to tell
    """

    LONGEST_LEASE = timedelta(minutes=10)

    class Kind(models.TextChoices):
        FAILED = "failed", "Failed"
        SKIPPED = "skipped", "Skipped"
        NOTHING_IMPORTED = "nothing_imported", "Nothing imported"
        SKIP_THRESHOLD = "skip_threshold", "Too many rows skipped"
        STUCK = "stuck", "Stuck"
        BLOCKED = "blocked", "Cannot be read"
        UNREACHABLE = "unreachable", "No answers"
        CONNECTION_BLOCKED = "connection_blocked", "Connection needs you"
        RECOVERED = "recovered", "Recovered"

    class State(models.TextChoices):
        PENDING = "pending", "Waiting"
        SENT = "sent", "Sent"
        FAILED = "failed", "Given up"
        NO_RECIPIENT = "no_recipient", "Nobody to tell"

    connection = models.ForeignKey(Connection, on_delete=models.CASCADE, related_name="alerts")
    job = models.ForeignKey(
        BulkWriteJob, null=True, on_delete=models.CASCADE, related_name="alerts"
    )
    kind = models.CharField(max_length=20, choices=Kind.choices)
    about = models.CharField(
        max_length=100, blank=True, help_text="Tells two facts of one kind apart."
    )
    text = models.CharField(max_length=500, blank=True)
    created_at = models.DateTimeField()

    state = models.CharField(max_length=15, choices=State.choices, default=State.PENDING)
    recipients = models.JSONField(default=list)
    subject = models.CharField(max_length=300, blank=True)
    message_id = models.CharField(max_length=200, blank=True)
    attempts = models.PositiveSmallIntegerField(default=0)
    next_attempt_at = models.DateTimeField(null=True)
    lease_until = models.DateTimeField(null=True)
    sent_at = models.DateTimeField(null=True)
    error = models.CharField(max_length=500, blank=True)

    objects = AlertQuerySet.as_manager()

    class Meta:
        ordering = ["-pk"]
        constraints = [
            models.UniqueConstraint(
                fields=["job", "kind", "about"],
                condition=Q(job__isnull=False),
                name="alert_unique_of_job",
            ),
            models.UniqueConstraint(
                fields=["connection", "kind", "about"],
                condition=Q(job__isnull=True),
                name="alert_unique_of_connection",
            ),
        ]
        indexes = [
            models.Index(
                fields=["next_attempt_at"], condition=Q(state="pending"), name="alert_due"
            ),
        ]

    def __str__(self) -> str:
        return self.subject or self.get_kind_display()
