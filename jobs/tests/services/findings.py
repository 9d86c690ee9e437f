"""What is found wrong with the monitor, by the last word of its key."""

from datetime import timedelta

from django.utils import timezone

from jobs.models import Connection, Heartbeat
from jobs.services.health import monitoring

LOST = Heartbeat.MAX_AGE + timedelta(seconds=1)
MINUTE = timedelta(minutes=1)


def found(**fields):
    return {
        finding.key.split("-")[-1]: finding
        for finding in monitoring.check(**{"broker_answers": True} | fields).findings
    }


def change(connection, **fields):
    Connection.objects.filter(pk=connection.pk).update(**fields)


def let_jobs_wait(connection, minutes):
    connection.jobs.update(next_poll_at=timezone.now() - minutes * MINUTE)
