"""Asking about ids before they are registered: what is stored, and what is registered."""

import json
from datetime import timedelta

import pytest
from django.utils import timezone

from jobs.models import BulkWriteJob, CallSlot, CheckedId, IdCheck
from jobs.services.limits import credits
from jobs.services.registering import id_checks, job_ids
from jobs.tests.factories import make_job
from jobs.tests.services.asked_ids import ONE, THREE, TWO, asked, begin, knows, knows_not, url, work
from jobs.tests.stand_in import error_body

pytestmark = pytest.mark.django_db
Said = CheckedId.Answer
State = IdCheck.State


def test_each_id_gets_what_zoho_says_and_no_job_is_made(zoho, org):
    knows(zoho, ONE, added=90, skipped=10, total=100)
    knows_not(zoho, TWO)

    check = work(begin(org, f"{ONE}\n{TWO}"))

    assert (check.state, check.error, check.lease_until) == (State.DONE, None, None)
    known, unknown = check.ids.all()
    assert (known.answer, known.status, known.modules) == (Said.FOUND, "COMPLETED", "Leads, Deals")
    assert (known.rows, known.created_time.isoformat()) == (200, "2026-11-24T09:00:00+00:00")
    assert (unknown.answer, unknown.rows) == (Said.UNKNOWN, None)
    assert unknown.error["code"] == "RESOURCE_NOT_FOUND"
    assert not BulkWriteJob.objects.exists()


def test_counts_that_zoho_does_not_name_are_absent(zoho, org):
    knows(zoho, ONE)

    assert work(begin(org, ONE)).ids.get().rows is None


@pytest.mark.parametrize("count", [10**12 + 1, 2**63, 10**40, -5])
def test_counts_that_cannot_be_are_absent(zoho, org, count):
    knows(zoho, ONE, added=1, skipped=0, total=count)

    check = work(begin(org, ONE))

    assert (check.ids.get().rows, check.state) == (None, State.DONE)


def test_only_new_ids_of_bulk_write_jobs_are_asked_about(zoho, org):
    make_job(org, zoho_job_id=TWO, label="known")
    knows(zoho, ONE)
    text = f"{ONE}\n{TWO}\n{ONE}\nnonsense\n1.1E+17\n/crm/bulk/v7/read/{THREE}"

    check = work(begin(org, text))

    assert asked(zoho) == [ONE]
    rows = [(row.line, row.verdict, row.answer) for row in check.ids.all()]
    assert rows == [
        (1, "tracked", "found"),
        (2, "already_tracked", "not_asked"),
        (3, "repeated", "not_asked"),
        (4, "not_an_id", "not_asked"),
        (5, "rounded", "not_asked"),
        (6, "bulk_read", "not_asked"),
    ]
    assert all(row.error["message"] for row in check.ids.left_out())
    assert check.ids.tally() == {
        "all": 6, "found": 1, "unknown": 0, "no_answer": 0, "waiting": 0, "tracked": 1,
        "repeated": 1, "left_out": 3,
    }  # fmt: skip


def test_with_nothing_to_ask_a_check_is_done_at_once_and_costs_nothing(zoho, org):
    org.paused = True
    org.save()

    check = begin(org, "nonsense")

    assert (check.state, id_checks.claim_due()) == (State.DONE, None)


def test_each_id_costs_one_credit_and_no_slot_is_kept(zoho, org):
    knows(zoho, ONE, TWO)

    work(begin(org, f"{ONE}\n{TWO}"))

    assert credits.credits_of(org, timezone.now()).used == 2
    assert not CallSlot.objects.exists()


class TestRegistering:
    def test_takes_what_zoho_knows_with_what_holds_for_all(self, zoho, org):
        knows(zoho, ONE)
        knows_not(zoho, TWO)
        check = begin(
            org, f"id,label\n{ONE},Leads week 47\n{TWO},Deals", label="Nightly", tags=["erp"]
        )
        work(check)

        [entry] = id_checks.register(check, user=check.user)

        job = BulkWriteJob.objects.get()
        assert (entry.job, job.zoho_job_id, job.tracked_by) == (job, ONE, check.user)
        assert (job.label, job.tags) == ("Leads week 47", ["erp"])
        assert (job.last_polled_at, job.status, job.found_by) == (None, "", "person")
        assert job in BulkWriteJob.objects.due(timezone.now())
        check.refresh_from_db()
        assert check.state == State.REGISTERED

    def test_takes_the_unanswered_on_request_and_never_the_unknown(self, zoho, org):
        knows(zoho, ONE)
        zoho.mock.get(url(TWO), json=error_body("INTERNAL_ERROR"), status=500)
        knows_not(zoho, THREE)
        check = work(begin(org, f"{ONE}\n{TWO}\n{THREE}"))

        id_checks.register(check, user=check.user, with_unanswered=True)

        found = set(BulkWriteJob.objects.values_list("zoho_job_id", flat=True))
        assert found == {ONE, TWO}

    def test_twice_registers_once(self, zoho, org):
        knows(zoho, ONE)
        check = work(begin(org, ONE))
        id_checks.register(check, user=check.user)

        [entry] = id_checks.register(check, user=check.user)

        assert entry.verdict == job_ids.Verdict.ALREADY_TRACKED
        assert BulkWriteJob.objects.count() == 1

    def test_waits_until_zoho_was_asked(self, org):
        check = begin(org, ONE)

        with pytest.raises(id_checks.NotCheckableError, match="still being asked"):
            id_checks.register(check, user=check.user)
        assert not BulkWriteJob.objects.exists()


def test_checks_are_deleted_after_a_day(org):
    now = timezone.now()
    old, young = begin(org, ONE), begin(org, TWO)
    IdCheck.objects.filter(pk=old.pk).update(created_at=now - timedelta(hours=25))

    id_checks.delete_old(now)

    assert list(IdCheck.objects.all()) == [young]
    assert CheckedId.objects.count() == 1


def test_five_thousand_ids_take_few_statements(org, django_assert_max_num_queries):
    text = "\n".join(str(10**17 + n) for n in range(5_000))
    org.daily_credits = 10_000
    org.save()

    # SQLite takes some hundred rows to a statement.
    with django_assert_max_num_queries(120):
        check = begin(org, text)

    assert check.ids.count() == 5_000


def test_no_token_of_a_paste_is_stored(org):
    command = f'curl /crm/bulk/v7/write/{ONE} -H "Authorization: Zoho-oauthtoken 1000.canary0"'
    check = begin(org, f"{command}\nrefresh_token=1000.canary1")

    stored = json.dumps(list(check.ids.values("text", "error")))
    assert "canary" not in stored
    assert stored.count("[hidden]") == 2
