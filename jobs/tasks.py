"""Celery entry points: one service call each.

The broker only wakes workers. What is due, and who works on it, stands in the database, so a task
that is lost or runs twice loses and repeats nothing.
"""

from typing import Any

from celery import Task, shared_task, signals
from django.db import close_old_connections
from django.utils import timezone

from jobs.models import Heartbeat
from jobs.services import alerting
from jobs.services.connections import signing_in
from jobs.services.health.worker_pulse import WorkerPulse
from jobs.services.limits import tidying
from jobs.services.observing import leases, polling
from jobs.services.registering import callbacks, id_checks
from jobs.services.results import fetching, retention

# A batch whose lease ended while it waited in the queue finds its jobs taken by another.
POLL_EXPIRES_SECONDS = leases.LEASE.total_seconds()
# The schedule asks for the same a few seconds later anyway.
FOLLOW_UP_EXPIRES_SECONDS = 10
# The schedule asks for the same an hour later anyway.
TIDY_UP_EXPIRES_SECONDS = 600


@signals.beat_init.connect
def watch_beat(**kwargs: Any) -> None:
    """Have this process, which is beat, say with its ticks that it is alive.

    Told apart from the worker's own sign of life, so that `/readyz` can say which of them is dead.
    """
    signals.before_task_publish.connect(note_beat, sender=deliver_alerts.name, weak=False)


def note_beat(**kwargs: Any) -> None:
    close_old_connections()
    Heartbeat.note(Heartbeat.BEAT, timezone.now())


_pulse = WorkerPulse()


@signals.task_prerun.connect
def note_begin(task_id: str, task: Task, **kwargs: Any) -> None:
    # One that is called in place says nothing of the worker.
    if not task.request.is_eager:
        _pulse.begin(task_id)


@signals.task_postrun.connect
def note_end(task_id: str, **kwargs: Any) -> None:
    _pulse.end(task_id)


@shared_task
def dispatch_due_polls() -> None:
    """Claim what is due and queue a batch for each claim."""
    for claim in polling.claim_due():
        poll_batch.apply_async(
            (claim.connection_id, claim.lease_token, claim.is_full), expires=POLL_EXPIRES_SECONDS
        )


@shared_task
def poll_batch(connection_id: int, lease_token: str, more_is_due: bool) -> None:
    """Poll the jobs of one claim, then queue what their answers call for."""
    polled = polling.poll_claim(connection_id, lease_token)
    if polled is None:
        return
    if more_is_due and polled.answers:
        dispatch_due_polls.apply_async(expires=POLL_EXPIRES_SECONDS)
    if polled.results:
        fetch_due_results.apply_async(expires=FOLLOW_UP_EXPIRES_SECONDS)
    elif polled.alerts:
        deliver_alerts.apply_async(expires=FOLLOW_UP_EXPIRES_SECONDS)


@shared_task
def fetch_due_results() -> None:
    """Claim the results that are due and queue one task for each."""
    for result_id in fetching.claim_due():
        fetch_result.apply_async((result_id,), expires=fetching.LEASE.total_seconds())


@shared_task
def fetch_result(result_id: int) -> None:
    """Fetch, keep and analyse one result, then send what waited for it and go on to the next."""
    fetching.fetch(result_id)
    deliver_alerts.apply_async(expires=FOLLOW_UP_EXPIRES_SECONDS)
    fetch_due_results.apply_async(expires=FOLLOW_UP_EXPIRES_SECONDS)


@shared_task
def check_ids() -> None:
    """Ask about some ids of one check, and go on while there are more."""
    check = id_checks.claim_due()
    if check is not None and id_checks.work_on(check):
        check_ids.apply_async(expires=FOLLOW_UP_EXPIRES_SECONDS)


@shared_task
def deliver_alerts() -> None:
    """Send the alerts that are due."""
    alerting.deliver_due()


@shared_task
def tidy_up() -> None:
    """Delete what is to be kept no longer, in short runs, so that polling gets its turn."""
    tidying.tidy_up(timezone.now())
    callbacks.forget_unconfirmed(timezone.now())
    id_checks.delete_old(timezone.now())
    signing_in.delete_old(timezone.now())
    if retention.tidy_up(timezone.now()):
        tidy_up.apply_async(expires=TIDY_UP_EXPIRES_SECONDS)
