"""Jobs that Zoho calls about."""

from django.utils import timezone

from jobs.models import BulkWriteJob


def is_due(job):
    now = timezone.now()
    return BulkWriteJob.objects.filter(connection=job.connection_id).due(now).contains(job)
