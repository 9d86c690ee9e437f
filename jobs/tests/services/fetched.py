"""Jobs that have ended, and their result files as the workers fetch them."""

from jobs.models import BulkWriteJob, Result
from jobs.services.results import fetching
from jobs.tests.factories import completed, make_job, observe

ADDED = ("Meier", "ADDED", "1", "")
SKIPPED = ("", "SKIPPED", "", "MANDATORY_NOT_FOUND-Last_Name")


def ended(job: BulkWriteJob | None = None, **counts: int) -> BulkWriteJob:
    """A job that has ended and whose result is to be fetched."""
    job = job or make_job()
    observe(job, completed(job, **counts))
    return job


def fetch(job: BulkWriteJob) -> Result:
    """Do what the workers do about results that are due."""
    for pk in fetching.claim_due():
        fetching.fetch(pk)
    job.refresh_from_db()
    return Result.objects.get(job=job)
