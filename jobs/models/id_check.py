"""Ids that are asked about before anybody registers them."""

from django.conf import settings
from django.db import models

from jobs.models.connection import Connection


class IdCheck(models.Model):
    """One paste whose ids Zoho is asked about, and what is to hold for the jobs once registered.

    States:  running -> done         every id was asked about
             running -> stopped      it cannot go on; `error` says why
             done, stopped -> registered  somebody has registered what was found
    """

    class State(models.TextChoices):
        RUNNING = "running", "Asking Zoho"
        DONE = "done", "Checked"
        STOPPED = "stopped", "Stopped"
        REGISTERED = "registered", "Registered"

    connection = models.ForeignKey(Connection, on_delete=models.CASCADE, related_name="+")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    created_at = models.DateTimeField()
    # label, tags, alert_recipients, skip_threshold_percent, as `tracking.track` takes them
    options = models.JSONField(default=dict)
    state = models.CharField(max_length=10, choices=State.choices, default=State.RUNNING)
    error = models.JSONField(null=True)
    next_attempt_at = models.DateTimeField(null=True)
    lease_until = models.DateTimeField(null=True)

    class Meta:
        indexes = [
            models.Index(
                fields=["next_attempt_at"], condition=models.Q(state="running"), name="check_due"
            ),
        ]

    def __str__(self) -> str:
        return f"Check of {self.created_at}"


class CheckedId(models.Model):
    """One piece of the paste: what stood there, and what Zoho says about the id in it."""

    class Answer(models.TextChoices):
        WAITING = "waiting", "Not asked yet"
        FOUND = "found", "Zoho knows it"
        UNKNOWN = "unknown", "Zoho does not know it"
        NO_ANSWER = "no_answer", "Zoho gave no answer"
        NOT_ASKED = "not_asked", "Nothing to ask"

    check_of = models.ForeignKey(IdCheck, on_delete=models.CASCADE, related_name="ids")
    position = models.PositiveIntegerField()
    line = models.PositiveIntegerField()
    text = models.CharField(max_length=200)
    # `tracking.Verdict` of the piece, before Zoho was asked.
    verdict = models.CharField(max_length=20)
    job_id = models.CharField(max_length=30, blank=True)
    answer = models.CharField(max_length=10, choices=Answer.choices, default=Answer.WAITING)
    status = models.CharField(max_length=100, blank=True)
    modules = models.CharField(max_length=500, blank=True)
    rows = models.BigIntegerField(null=True)
    created_time = models.DateTimeField(null=True)
    error = models.JSONField(null=True)

    class Meta:
        ordering = ["position"]
        constraints = [
            models.UniqueConstraint(fields=["check_of", "position"], name="checked_id_position"),
        ]

    def __str__(self) -> str:
        return self.job_id or self.text
