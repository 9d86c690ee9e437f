"""Taking back the registration of an id that was never one of a job."""

import logging

from django.contrib.auth.models import User
from django.db import transaction
from django.utils import timezone

from jobs.models import BulkWriteJob

logger = logging.getLogger(__name__)


class NotRemovableError(Exception):
    """The job stays; the text says why."""


def is_removable(job: BulkWriteJob) -> bool:
    """Whether nothing is lost with the job: it is asked about no more, and Zoho never gave any."""
    return job.poll_state == BulkWriteJob.PollState.BLOCKED and not job.snapshots.exists()


def check(job: BulkWriteJob) -> None:
    """Raise NotRemovableError where something would be lost with the job."""
    if not is_removable(job):
        raise NotRemovableError(
            "This job stays: only one that Zoho never said anything about, and is asked about no "
            "more, can be removed."
        )


@transaction.atomic
def remove(job: BulkWriteJob, *, actor: User) -> int:
    """Delete a job of which Zoho never said anything; return how many alerts went unsent with it.

    Raises NotRemovableError where there is something to lose, or a mail about it is on its way.
    """
    # The job before its alerts, as in `recording`: the other way round they could deadlock.
    stored = BulkWriteJob.objects.select_for_update().filter(pk=job.pk).first()
    if stored is None:
        return 0
    check(stored)
    now = timezone.now()
    alerts = list(stored.alerts.select_for_update().order_by("pk"))
    if any(alert.lease_until is not None and alert.lease_until > now for alert in alerts):
        raise NotRemovableError("A mail about this job is being sent. Remove it in a moment.")
    unsent = sum(alert.state == alert.State.PENDING for alert in alerts)
    stored.delete()
    logger.info("Job %s of %s removed by %s", job.zoho_job_id, job.connection, actor)
    return unsent
