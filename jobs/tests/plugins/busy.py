"""A task that keeps a worker process busy, for a worker that is started with it included."""

import time

from celery import shared_task


@shared_task
def be_busy(seconds: float) -> None:
    time.sleep(seconds)
