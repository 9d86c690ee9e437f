"""Workers that ask about ids: who has a check, and what a lost one leaves."""

from datetime import timedelta

import pytest
import time_machine
from django.utils import timezone

from jobs.models import IdCheck
from jobs.services.registering import id_checks
from jobs.tests.services.asked_ids import ONE, THREE, TWO, asked, begin, knows, told, work

pytestmark = pytest.mark.django_db
State = IdCheck.State


def test_what_was_written_before_a_crash_is_not_asked_again(zoho, org, monkeypatch):
    knows(zoho, ONE, TWO)
    monkeypatch.setattr(id_checks, "BOUT_IDS", 1)
    check = begin(org, f"{ONE}\n{TWO}")
    id_checks.work_on(id_checks.claim_due())
    assert id_checks.claim_due() == check  # and then the worker is killed

    assert id_checks.claim_due() is None
    with time_machine.travel(timezone.now() + id_checks.LEASE + timedelta(seconds=1)):
        work(check)

    assert asked(zoho) == [ONE, TWO]
    assert check.state == State.DONE


def test_a_worker_whose_lease_was_lost_writes_nothing(zoho, org):
    knows(zoho, ONE)
    check = begin(org, ONE)
    lost = id_checks.claim_due()
    IdCheck.objects.update(lease_until=timezone.now() + timedelta(seconds=20))

    assert not id_checks.work_on(lost)

    check.refresh_from_db()
    assert (check.state, told(check)) == (State.RUNNING, {ONE: "waiting"})


def test_of_two_workers_one_gets_a_check(org):
    check = begin(org, ONE)

    assert id_checks.claim_due() == check
    assert id_checks.claim_due() is None


def test_a_lease_from_before_the_clock_was_set_back_is_no_lease(org):
    check = begin(org, ONE)
    IdCheck.objects.update(lease_until=timezone.now() + timedelta(hours=1))

    assert id_checks.claim_due() == check


def test_checks_take_turns(zoho, org, monkeypatch):
    knows(zoho, ONE, TWO, THREE)
    monkeypatch.setattr(id_checks, "BOUT_IDS", 1)
    first, second = begin(org, f"{ONE}\n{TWO}"), begin(org, THREE)

    turns = []
    while (claimed := id_checks.claim_due()) is not None:
        turns.append(claimed)
        id_checks.work_on(claimed)

    assert turns == [first, second, first]
