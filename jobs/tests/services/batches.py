"""Jobs of a connection that are polled in batches."""

from jobs.models import BulkWriteJob, Connection
from jobs.services.observing import polling
from jobs.services.observing.asking import Polled
from jobs.tests.factories import body, make_job, resource
from jobs.tests.stand_in import TOKEN_URL, StandIn


def running(job: BulkWriteJob) -> dict:
    return body(job, "INPROGRESS", resource("INPROGRESS", added=1, total=10))


def jobs_of(org: Connection, number: int, zoho: StandIn | None = None) -> list[BulkWriteJob]:
    jobs = [make_job(org) for _ in range(number)]
    for job in jobs:
        if zoho is not None:
            zoho.says(job, running(job))
    return jobs


def poll_due() -> list[Polled | None]:
    return [
        polling.poll_claim(claim.connection_id, claim.lease_token) for claim in polling.claim_due()
    ]


def details_asked(zoho: StandIn) -> int:
    return len(zoho.asked()) - len(zoho.asked(TOKEN_URL))
