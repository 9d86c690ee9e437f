"""One Zoho org: where it is, how to sign in to it, who is told about its jobs."""

import re
from datetime import datetime
from typing import Self

from django.core.validators import MaxValueValidator, MinValueValidator, RegexValidator
from django.db import models
from django.db.models import Q

from jobs.models.fields import EncryptedTextField


def split_addresses(text: str) -> list[str]:
    """The mail addresses of a text in which commas, semicolons or line breaks part them."""
    return [address for address in re.split(r"[\s,;]+", text) if address]


class ConnectionQuerySet(models.QuerySet["Connection"]):
    def pollable(self, now: datetime) -> Self:
        """Connections whose jobs may be asked about now: not paused, blocked or throttled."""
        return self.filter(Q(resume_at=None) | Q(resume_at__lte=now), paused=False, blocked_at=None)

    def broken(self) -> Self:
        """Connections that need a person before they can be polled again."""
        return self.exclude(blocked_at=None)


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

    client_id = models.CharField(max_length=200)
    client_secret = EncryptedTextField()
    refresh_token = EncryptedTextField()

    alert_recipients = models.TextField(
        blank=True, help_text="Mail addresses, separated by commas or line breaks."
    )
    skip_threshold_percent = models.PositiveSmallIntegerField(
        default=10, validators=[MinValueValidator(1), MaxValueValidator(100)]
    )
    stuck_after_minutes = models.PositiveIntegerField(
        default=30, validators=[MinValueValidator(1), MaxValueValidator(10_080)]
    )
    max_concurrency = models.PositiveSmallIntegerField(
        default=10,
        validators=[MinValueValidator(1), MaxValueValidator(200)],
        help_text="Zoho allows 5 (Free), 10 (Standard), 15 (Professional), 20 (Enterprise) or "
        "25 (Ultimate) calls at a time.",
    )

    paused = models.BooleanField(default=False)
    resume_at = models.DateTimeField(null=True, editable=False)
    blocked_at = models.DateTimeField(null=True, editable=False)
    last_error = models.JSONField(null=True, editable=False)
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
