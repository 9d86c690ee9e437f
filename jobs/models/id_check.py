"""Ids that are asked about before anybody registers them."""

from datetime import datetime, timedelta
from typing import Self

from django.conf import settings
from django.contrib.auth.models import User
from django.db import models
from django.db.models import Count, Q

from jobs.models.connection import Connection
from jobs.models.leases import is_free


class IdCheckQuerySet(models.QuerySet["IdCheck"]):
    def visible_to(self, user: User) -> Self:
        """Checks that somebody may see: their own, and staff those of all."""
        return self if user.is_staff else self.filter(user=user)

    def due(self, now: datetime) -> Self:
        """Running checks that nobody works on and that need not wait, the longest due first."""
        return self.filter(
            is_free(now, IdCheck.LONGEST_LEASE),
            state=IdCheck.State.RUNNING,
            next_attempt_at__lte=now,
        ).order_by("next_attempt_at")


class IdCheck(models.Model):
    """One paste whose ids Zoho is asked about, and what is to hold for the jobs once registered.

    States:  running -> done         every id was asked about
             running -> stopped      it cannot go on; `error` says why
             done, stopped -> registered  somebody has registered what was found
    """

    LONGEST_LEASE = timedelta(minutes=5)

    class State(models.TextChoices):
        RUNNING = "running", "Asking Zoho"
        DONE = "done", "Checked"
        STOPPED = "stopped", "Stopped"
        REGISTERED = "registered", "Registered"

    connection = models.ForeignKey(Connection, on_delete=models.CASCADE, related_name="+")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    created_at = models.DateTimeField()
    # What `tracking.track` takes for all of them, the labels that the paste itself gave by id,
    # and what is to be said of the paste: {"for_all": {…}, "labels": {…}, "notes": […]}
    options = models.JSONField(default=dict)
    state = models.CharField(max_length=10, choices=State.choices, default=State.RUNNING)
    error = models.JSONField(null=True)
    next_attempt_at = models.DateTimeField(null=True)
    # Its very microsecond tells whose lease it is.
    lease_until = models.DateTimeField(null=True)

    objects = IdCheckQuerySet.as_manager()

    class Meta:
        indexes = [
            models.Index(
                fields=["next_attempt_at"], condition=models.Q(state="running"), name="check_due"
            ),
        ]

    def __str__(self) -> str:
        return f"Check of {self.created_at}"


class CheckedIdQuerySet(models.QuerySet["CheckedId"]):
    def found(self) -> Self:
        return self.filter(answer=CheckedId.Answer.FOUND)

    def unknown(self) -> Self:
        return self.filter(answer=CheckedId.Answer.UNKNOWN)

    def no_answer(self) -> Self:
        return self.filter(answer=CheckedId.Answer.NO_ANSWER)

    def unanswered(self) -> Self:
        """Ids of which Zoho has said nothing: it gave no answer, or was not asked in the end."""
        return self.no_answer() | self.waiting()

    def open(self) -> Self:
        """Ids worth asking about once more: unanswered ones, and ones that Zoho did not know."""
        return self.unanswered() | self.unknown()

    def waiting(self) -> Self:
        """Ids that are still to be asked about."""
        return self.filter(answer=CheckedId.Answer.WAITING)

    def tracked(self) -> Self:
        """Ids that are registered already."""
        return self.filter(answer=CheckedId.Answer.NOT_ASKED, verdict="already_tracked")

    def repeated(self) -> Self:
        """Ids that stand in the paste before."""
        return self.filter(answer=CheckedId.Answer.NOT_ASKED, verdict="repeated")

    def left_out(self) -> Self:
        """What is no id of a bulk write job."""
        not_asked = self.filter(answer=CheckedId.Answer.NOT_ASKED)
        return not_asked.exclude(verdict__in=["already_tracked", "repeated"])

    def tally(self) -> dict[str, int]:
        """How many there are of each of these kinds, "all" included."""
        said = CheckedId.Answer
        is_not_asked = Q(answer=said.NOT_ASKED)
        is_tracked, is_repeated = Q(verdict="already_tracked"), Q(verdict="repeated")
        return self.order_by().aggregate(
            all=Count("pk"),
            found=Count("pk", filter=Q(answer=said.FOUND)),
            unknown=Count("pk", filter=Q(answer=said.UNKNOWN)),
            no_answer=Count("pk", filter=Q(answer=said.NO_ANSWER)),
            waiting=Count("pk", filter=Q(answer=said.WAITING)),
            tracked=Count("pk", filter=is_not_asked & is_tracked),
            repeated=Count("pk", filter=is_not_asked & is_repeated),
            left_out=Count("pk", filter=is_not_asked & ~is_tracked & ~is_repeated),
        )


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
    # Without secrets.
    text = models.CharField(max_length=200)
    # `job_ids.Verdict` of the piece, before Zoho was asked.
    verdict = models.CharField(max_length=20)
    job_id = models.CharField(max_length=30, blank=True)
    answer = models.CharField(max_length=10, choices=Answer.choices, default=Answer.WAITING)
    status = models.CharField(max_length=100, blank=True)
    modules = models.CharField(max_length=500, blank=True)
    rows = models.BigIntegerField(null=True)
    created_time = models.DateTimeField(null=True)
    # Zoho's error, or the reason for which there is nothing to ask: {"message": …}
    error = models.JSONField(null=True)

    objects = CheckedIdQuerySet.as_manager()

    class Meta:
        ordering = ["position"]
        constraints = [
            models.UniqueConstraint(fields=["check_of", "position"], name="checked_id_position"),
        ]

    def __str__(self) -> str:
        return self.job_id or self.text

    @property
    def is_refused(self) -> bool:
        """Whether Zoho did answer, with an error of this id's own."""
        status = (self.error or {}).get("http_status")
        return status is not None and 400 <= status < 500
