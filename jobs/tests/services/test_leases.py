"""Leases beside others who write the same jobs."""

import threading
import time

import pytest
from django.db import connection as database
from django.db import connections, transaction
from django.utils import timezone

from jobs.models import BulkWriteJob
from jobs.services.observing import leases
from jobs.tests.factories import make_connection, make_job


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("what", ["extend", "release", "set_aside"])
def test_a_lease_is_changed_in_the_order_in_which_others_lock_jobs(what):
    if database.vendor == "sqlite":
        pytest.skip("SQLite lets one transaction write at a time")
    org = make_connection()
    # In the table they lie in the other order than their keys.
    last, first = make_job(org, pk=1_000_002), make_job(org, pk=1_000_001)
    claim = leases.claim(org, [first.pk, last.pk], timezone.now())
    jobs = BulkWriteJob.objects.select_for_update()
    errors, has_first = [], threading.Event()

    def lock_in_order() -> None:
        try:
            with transaction.atomic():
                jobs.get(pk=first.pk)
                has_first.set()
                time.sleep(0.5)
                jobs.get(pk=last.pk)
        except Exception as error:
            errors.append(error)
        finally:
            connections.close_all()

    other = threading.Thread(target=lock_in_order)
    other.start()
    has_first.wait(5)
    if what == "set_aside":
        ids = [first.zoho_job_id, last.zoho_job_id]
        leases.set_aside(org, claim.lease_token, ids)
    else:
        getattr(leases, what)(org, claim.lease_token)
    other.join()

    assert errors == []


@pytest.mark.django_db(transaction=True)
def test_a_claim_leaves_jobs_that_somebody_has_locked():
    if database.vendor == "sqlite":
        pytest.skip("SQLite lets one transaction write at a time")
    org = make_connection()
    busy, free = make_job(org), make_job(org)
    locked, done = threading.Event(), threading.Event()

    def hold() -> None:
        try:
            with transaction.atomic():
                BulkWriteJob.objects.select_for_update().get(pk=busy.pk)
                locked.set()
                done.wait(10)
        finally:
            connections.close_all()

    holder = threading.Thread(target=hold)
    holder.start()
    locked.wait(5)
    try:
        claim = leases.claim(org, [busy.pk, free.pk], timezone.now())
    finally:
        done.set()
        holder.join()

    assert claim.jobs == 1
    assert list(leases.held(org, claim.lease_token)) == [free]
