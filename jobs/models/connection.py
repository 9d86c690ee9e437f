"""One Zoho org: where it is, how to sign in to it, who is told about its jobs."""

import re
from datetime import datetime, timedelta
from typing import Self

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import (
    MaxValueValidator,
    MinValueValidator,
    RegexValidator,
    validate_email,
)
from django.db import models
from django.db.models import Q

from jobs.models.fields import EncryptedTextField, Sealed


def split_addresses(text: str) -> list[str]:
    """The mail addresses of a text in which commas, semicolons or line breaks part them."""
    return [address for address in re.split(r"[\s,;]+", text) if address]


def checked_addresses(text: str) -> list[str]:
    """The mail addresses of such a text, each once. ValidationError names all that are none."""
    addresses = list(dict.fromkeys(split_addresses(text)))
    wrong = []
    for address in addresses:
        try:
            validate_email(address)
        except ValidationError:
            wrong.append(ValidationError(f"“{address[:100]}” is no mail address."))
    if wrong:
        raise ValidationError(wrong)
    return addresses


class ConnectionQuerySet(models.QuerySet["Connection"]):
    def pollable(self, now: datetime) -> Self:
        """Connections whose jobs may be asked about now: signed in, not paused, not waiting.

        One that needs a person is among them whenever its next try has come, so that it goes on
        by itself once it is repaired at Zoho's end.
        """
        return self.filter(Q(resume_at=None) | Q(resume_at__lte=now), paused=False).exclude(
            refresh_token=""
        )


class Connection(models.Model):
    class DataCenter(models.TextChoices):
        US = "us", "United States (zoho.com)"
        EU = "eu", "Europe (zoho.eu)"
        IN = "in", "India (zoho.in)"
        AU = "au", "Australia (zoho.com.au)"
        JP = "jp", "Japan (zoho.jp)"
        CA = "ca", "Canada (zohocloud.ca)"
        CN = "cn", "China (zoho.com.cn)"
        SA = "sa", "Saudi Arabia (zoho.sa)"
        UK = "uk", "United Kingdom (zoho.uk)"
        AE = "ae", "United Arab Emirates (zoho.ae)"
        CUSTOM = "custom", "Stand-in with addresses of its own"

    class Edition(models.TextChoices):
        FREE = "free", "Free"
        STANDARD = "standard", "Standard"
        PROFESSIONAL = "professional", "Professional"
        ENTERPRISE = "enterprise", "Enterprise or Zoho One"
        ULTIMATE = "ultimate", "Ultimate"

    class Waiting(models.TextChoices):
        """Why nothing is asked before `resume_at`."""

        THROTTLED = "throttled", "Zoho asked to slow down"
        TOKENS = "tokens", "Zoho gives no access tokens for a while"
        CREDITS = "credits", "The API credits for polling are used up"
        UNAVAILABLE = "unavailable", "Zoho does not answer"
        REPAIR = "repair", "It needs a person"

    class Environment(models.TextChoices):
        PRODUCTION = "production", "Production"
        SANDBOX = "sandbox", "Sandbox"
        DEVELOPER = "developer", "Developer edition"

    name = models.CharField(
        max_length=60,
        unique=True,
        validators=[
            RegexValidator(
                r"^[A-Za-z0-9][A-Za-z0-9._-]*\Z",
                "Use letters, digits, dots, hyphens and underscores only, as the name is part of "
                "addresses and commands.",
            )
        ],
    )
    data_center = models.CharField(max_length=10, choices=DataCenter.choices, default=DataCenter.US)
    environment = models.CharField(
        max_length=12, choices=Environment.choices, default=Environment.PRODUCTION
    )
    api_version = models.CharField(
        max_length=5, default="v7", validators=[RegexValidator(r"^v[2-8](\.\d)?\Z")]
    )
    api_url = models.CharField(max_length=200, blank=True)
    accounts_url = models.CharField(max_length=200, blank=True)
    download_url = models.CharField(max_length=200, blank=True)
    is_sample = models.BooleanField(default=False, editable=False)

    # All three are empty until somebody has signed in to Zoho for this connection.
    client_id = models.CharField(max_length=200, blank=True)
    client_secret = EncryptedTextField(blank=True)
    refresh_token = EncryptedTextField(blank=True)

    alert_recipients = models.TextField(
        blank=True, help_text="Mail addresses, separated by commas or line breaks."
    )
    skip_threshold_percent = models.PositiveSmallIntegerField(
        default=10, validators=[MinValueValidator(1), MaxValueValidator(100)]
    )
    stuck_after_minutes = models.PositiveIntegerField(
        default=30, validators=[MinValueValidator(1), MaxValueValidator(10_080)]
    )

    # What Zoho allows the org, and how much of it polling may use.
    edition = models.CharField(
        max_length=15,
        choices=Edition.choices,
        default=Edition.STANDARD,
        db_default=Edition.STANDARD,
    )
    paid_users = models.PositiveIntegerField(
        null=True, blank=True, validators=[MaxValueValidator(1_000_000)]
    )
    max_concurrency = models.PositiveSmallIntegerField(
        default=10, validators=[MinValueValidator(1), MaxValueValidator(200)]
    )
    daily_credits = models.PositiveIntegerField(
        null=True, blank=True, validators=[MinValueValidator(1)]
    )
    longest_interval_seconds = models.PositiveIntegerField(
        default=300,
        db_default=300,
        validators=[MinValueValidator(15), MaxValueValidator(3_600)],
    )
    credits_remaining = models.BigIntegerField(null=True, editable=False)
    credits_seen_at = models.DateTimeField(null=True, editable=False)

    # The secret address that Zoho calls when a job ends.
    hook_token = EncryptedTextField(blank=True, default="", db_default="", editable=False)
    hook_digest = models.CharField(max_length=64, null=True, unique=True, editable=False)  # noqa: DJ001 - unique
    hook_registers = models.BooleanField(default=True, db_default=True)
    hook_window_at = models.DateTimeField(null=True, editable=False)
    hook_calls = models.PositiveIntegerField(default=0, db_default=0, editable=False)
    last_callback_at = models.DateTimeField(null=True, editable=False)

    # How it is doing.
    paused = models.BooleanField(default=False)
    resume_at = models.DateTimeField(null=True, editable=False)
    waiting_for = models.CharField(
        max_length=15,
        choices=Waiting.choices,
        blank=True,
        default="",
        db_default="",
        editable=False,
    )
    blocked_at = models.DateTimeField(null=True, editable=False)
    last_error = models.JSONField(null=True, editable=False)
    # Batches in a row, and since when, that brought no answer about any job.
    failures = models.PositiveSmallIntegerField(default=0, db_default=0, editable=False)
    unanswered_since = models.DateTimeField(null=True, editable=False)
    last_polled_at = models.DateTimeField(null=True, editable=False)
    last_answer_at = models.DateTimeField(null=True, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)

    objects = ConnectionQuerySet.as_manager()

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name

    @property
    def recipients(self) -> list[str]:
        return split_addresses(self.alert_recipients)

    @property
    def is_blocked(self) -> bool:
        return self.blocked_at is not None

    @property
    def is_proven(self) -> bool:
        """Whether Zoho answered when it was asked last; otherwise one job is tried first."""
        return (
            self.last_answer_at is not None
            and self.blocked_at is None
            and not self.failures
            and not self.waiting_for
        )

    @property
    def is_signed_in(self) -> bool:
        """Whether somebody has given it a refresh token; what that is worth, polling shows."""
        stored = self.__dict__.get("refresh_token")
        return bool(stored.stored if isinstance(stored, Sealed) else stored)


class SignIn(models.Model):
    """A sign-in to Zoho that somebody has begun in the browser and Zoho has not answered yet.

    `state` is what Zoho sends back: stored as its SHA-256, good once, for the session that it
    was made in. The client is kept here until Zoho accepts it, so that a connection that works
    goes on with the one it has.
    """

    GOOD_FOR = timedelta(minutes=15)

    connection = models.ForeignKey(Connection, on_delete=models.CASCADE, related_name="+")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    state_digest = models.CharField(max_length=64, unique=True)
    session_digest = models.CharField(max_length=64)
    client_id = models.CharField(max_length=200)
    client_secret = EncryptedTextField()
    created_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"Sign-in for {self.connection}"
