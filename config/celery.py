"""The Celery application; its settings are Django's `CELERY_…`."""

import os
from typing import Any

from celery import Celery
from celery.app import amqp
from kombu.connection import Connection

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

BROKER_RETRY_SECONDS = 2


class SteadyConnection(Connection):
    """A connection to the broker that is tried again every two seconds for as long as it is lost.

    Celery's own waits grow to half a minute, for which nothing would be polled though the broker
    is back.
    """

    def _ensure_connection(
        self,
        errback: Any = None,
        max_retries: Any = None,
        interval_start: Any = BROKER_RETRY_SECONDS,
        interval_step: Any = 0,
        interval_max: Any = BROKER_RETRY_SECONDS,
        *rest: Any,
        **named: Any,
    ) -> Any:
        return super()._ensure_connection(
            errback, max_retries, interval_start, interval_step, interval_max, *rest, **named
        )


class AMQP(amqp.AMQP):
    Connection = SteadyConnection


app = Celery("bulkwatch", amqp=AMQP)
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
