"""What the running parts of the product share: their heartbeats and the access tokens."""

from datetime import datetime, timedelta

from django.db import models

from jobs.models.fields import EncryptedTextField


class Heartbeat(models.Model):
    """When a part of the product was last seen alive."""

    BEAT = "beat"
    WORKER = "worker"
    LOOKOUT = "lookout"
    # Beat and the worker note one every few seconds; this many without one is no hiccup. With
    # the 25 seconds at most after which an open page asks again, it makes less than a minute.
    MAX_AGE = timedelta(seconds=30)

    part = models.CharField(max_length=20, primary_key=True)
    seen_at = models.DateTimeField()

    def __str__(self) -> str:
        return self.part

    @classmethod
    def note(cls, part: str, now: datetime) -> None:
        cls.objects.update_or_create(part=part, defaults={"seen_at": now})


class SharedToken(models.Model):
    """An entry of the store in which all processes share access tokens and their locks."""

    key = models.CharField(max_length=200, primary_key=True)
    value = EncryptedTextField()
    expires_at = models.DateTimeField()

    def __str__(self) -> str:
        return self.key
