"""What a connection that Zoho refuses costs in requests, as time goes by."""

import itertools
import json
import threading
from datetime import datetime, timedelta

import pytest
import time_machine
from django.utils import timezone

from jobs.models import Alert, Connection
from jobs.services.observing import polling
from jobs.tests.factories import make_proven
from jobs.tests.services.batches import details_asked, jobs_of
from jobs.tests.stand_in import TOKEN_URL, StandIn, error_body

pytestmark = pytest.mark.django_db(transaction=True)

refusals = pytest.mark.parametrize(
    ("code", "status"),
    [("OAUTH_SCOPE_MISMATCH", 401), ("NO_PERMISSION", 403), ("AUTHORIZATION_FAILED", 400)],
)


def refuse_all(zoho: StandIn, org: Connection, code: str, status: int, together: int = 1) -> None:
    """Have Zoho refuse each job, the first ones once so many calls are under way."""
    under_way, numbers = threading.Barrier(together), itertools.count(1)

    def refuse(request):
        if next(numbers) <= together:
            under_way.wait(10)
        return status, {}, json.dumps(error_body(code))

    zoho.gives_tokens()
    for job in jobs_of(org, 50):
        zoho.does(job, refuse)


def poll_through(start: datetime, minutes: range) -> None:
    """Ask about due jobs for some minutes, several times in each."""
    for minute in minutes:
        for second in (1, 21, 41):
            with time_machine.travel(start + timedelta(minutes=minute, seconds=second)):
                for claim in polling.claim_due():
                    polling.poll_claim(claim.connection_id, claim.lease_token)


@refusals
def test_one_call_at_a_time_makes_two_requests_in_an_hour_at_most(zoho, code, status):
    org = make_proven(max_concurrency=1)
    refuse_all(zoho, org, code, status)

    poll_through(timezone.now(), range(60))

    assert details_asked(zoho) <= 2
    assert len(zoho.asked(TOKEN_URL)) == 1
    assert Alert.objects.get().kind == Alert.Kind.CONNECTION_BLOCKED


@refusals
def test_many_at_a_time_make_those_under_way_and_one_after_an_hour(zoho, code, status):
    org = make_proven(max_concurrency=11)
    refuse_all(zoho, org, code, status, together=10)  # polls leave one free
    start = timezone.now()

    poll_through(start, range(60))
    assert details_asked(zoho) == 10
    poll_through(start, range(60, 120))
    assert details_asked(zoho) == 11
    assert Alert.objects.get().kind == Alert.Kind.CONNECTION_BLOCKED
