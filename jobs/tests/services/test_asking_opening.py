"""What blocks a connection: that it cannot be opened, and nothing that fails later."""

import pytest
from django.db import OperationalError
from django.db import connection as database
from django.utils import timezone

from jobs.models import BulkWriteJob, Connection
from jobs.services.limits.credits import credits_of
from jobs.services.observing import polling
from jobs.tests.factories import make_proven
from jobs.tests.services.batches import details_asked, jobs_of, poll_due

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("quick_batches")]


def test_addresses_that_cannot_be_used_need_a_person(zoho):
    org = make_proven(api_url="http://not-encrypted.example.com")
    jobs_of(org, 2)

    [polled] = poll_due()

    assert (polled.answers, zoho.asked()) == (1, [])
    assert Connection.objects.get().is_blocked
    assert not BulkWriteJob.objects.exclude(lease_token="").exists()


def test_a_database_that_stores_nothing_is_not_the_connections_fault(zoho):
    org = make_proven()
    zoho.gives_tokens()
    jobs_of(org, 3, zoho)
    [claim] = polling.claim_due()

    def refuse(execute, sql, *rest):
        if sql.startswith("INSERT") and "jobs_snapshot" in sql:
            raise OperationalError("disk I/O error")
        return execute(sql, *rest)

    with database.execute_wrapper(refuse), pytest.raises(OperationalError):
        polling.poll_claim(claim.connection_id, claim.lease_token)

    assert details_asked(zoho) > 0
    org.refresh_from_db()
    assert (org.is_blocked, org.last_error) == (False, None)
    # Free again, as due as they were; and what was asked is counted.
    assert BulkWriteJob.objects.due(timezone.now()).count() == 3
    assert credits_of(org, timezone.now()).used == details_asked(zoho)
