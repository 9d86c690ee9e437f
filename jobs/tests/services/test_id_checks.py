"""Asking about ids before they are registered: what is stored, what it costs, how it stops."""

import json
from datetime import timedelta

import pytest
import responses
import time_machine
from django.db import DataError
from django.db import connection as database
from django.utils import timezone

from jobs.models import BulkWriteJob, CallSlot, CheckedId, Connection, CreditUse, IdCheck
from jobs.services.limits import credits, slots
from jobs.services.registering import id_checks, job_ids
from jobs.tests.factories import STAND_IN, make_connection, make_job, make_user, resource
from jobs.tests.stand_in import TOKEN_URL, error_body

pytestmark = pytest.mark.django_db
Said = CheckedId.Answer
State = IdCheck.State
ONE, TWO, THREE = "111111000000541958", "111111000000541962", "111111000000541970"


@pytest.fixture
def org(zoho) -> Connection:
    zoho.gives_tokens()
    return make_connection(name="production", max_concurrency=3)


def url(job_id: str) -> str:
    return f"{STAND_IN}/crm/bulk/v7/write/{job_id}"


def knows(zoho, *job_ids: str, **counts: int) -> None:
    for job_id in job_ids:
        details = {
            "id": job_id,
            "status": "COMPLETED",
            "operation": "insert",
            "created_time": "2026-11-24T10:00:00+01:00",
            "resource": [resource(module="Leads", **counts), resource(module="Deals", **counts)],
        }
        zoho.mock.get(url(job_id), json=details)


def knows_not(zoho, *job_ids: str) -> None:
    for job_id in job_ids:
        zoho.mock.get(url(job_id), json=error_body("RESOURCE_NOT_FOUND"), status=404)


def begin(org: Connection, text: str, **for_all) -> IdCheck:
    given = {"label": "", "tags": [], "alert_recipients": "", "skip_threshold_percent": None}
    user = make_user(f"user-{IdCheck.objects.count()}")
    return id_checks.start(org, job_ids.read(text), for_all=given | for_all, user=user)


def work(check: IdCheck) -> IdCheck:
    """Do what workers do while there is something to do at once."""
    while (claimed := id_checks.claim_due()) is not None:
        assert claimed == check
        if not id_checks.work_on(claimed):
            break
    check.refresh_from_db()
    return check


def told(check: IdCheck) -> dict[str, str]:
    return dict(check.ids.values_list("job_id", "answer"))


def asked(zoho) -> list[str]:
    return [str(request.url).rpartition("/")[2] for request in zoho.asked(f"{STAND_IN}/crm")]


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


@pytest.mark.parametrize("count", [2**63, 10**40, -5])
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


def test_more_than_the_credits_left_is_refused_before_anything_is_asked(zoho, org):
    org.daily_credits = 10
    org.save()
    credits.spend(org, 4)

    with pytest.raises(id_checks.NotCheckableError, match=r"may use 1 more .* kept for polling"):
        begin(org, f"{ONE}\n{TWO}")
    assert not IdCheck.objects.exists()


def test_where_the_credits_run_out_meanwhile_it_stops_and_can_go_on(zoho, org):
    knows(zoho, ONE, TWO)
    Connection.objects.update(daily_credits=4)
    org.refresh_from_db()
    check = begin(org, f"{ONE}\n{TWO}")
    credits.spend(org, 1)

    work(check)

    assert check.state == State.STOPPED
    assert "half of all is kept for polling" in check.error["message"]
    # Polling goes on.
    assert credits.credits_of(org, timezone.now()).left == 2
    assert sorted(told(check).values()) == ["found", "waiting"]
    CreditUse.objects.all().delete()
    id_checks.go_on(check)
    assert set(told(work(check)).values()) == {"found"}
    assert check.state == State.DONE


def test_without_a_free_slot_it_waits_and_asks_nothing(zoho, org):
    slots.take(org, 3)
    check = work(begin(org, ONE))

    assert asked(zoho) == []
    assert (check.state, check.lease_until) == (State.RUNNING, None)
    assert check.next_attempt_at > timezone.now()


@pytest.mark.parametrize(("header", "seconds"), [({"Retry-After": "40"}, 40)])
def test_a_429_pauses_the_connection_and_the_check_goes_on_afterwards(zoho, org, header, seconds):
    zoho.mock.get(url(ONE), json=error_body("TOO_MANY_REQUESTS"), status=429, headers=header)
    check = work(begin(org, ONE))

    org.refresh_from_db()
    assert org.waiting_for == Connection.Waiting.THROTTLED
    assert (check.state, told(check)) == (State.RUNNING, {ONE: "waiting"})
    assert check.error["code"] == "TOO_MANY_REQUESTS"
    assert check.next_attempt_at == org.resume_at
    assert abs(org.resume_at - timezone.now() - timedelta(seconds=seconds)).seconds < 5

    assert id_checks.claim_due() is None
    zoho.mock.replace(responses.GET, url(ONE), json={"id": ONE, "status": "ADDED"})
    with time_machine.travel(org.resume_at + timedelta(seconds=1)):
        assert told(work(check)) == {ONE: "found"}
    assert check.error is None


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"paused": True}, "paused"),
        ({"refresh_token": ""}, "signed in"),
        (
            {"blocked_at": timezone.now(), "last_error": {"message": "It was revoked."}},
            "It was revoked.",
        ),
    ],
    ids=["paused", "not signed in", "needs a person"],
)
def test_of_a_connection_that_needs_a_person_nothing_is_asked(zoho, org, fields, words):
    check = begin(org, ONE)
    for name, value in fields.items():
        setattr(org, name, value)
    org.save()

    with pytest.raises(id_checks.NotCheckableError, match=words):
        begin(org, ONE)
    work(check)

    assert check.state == State.STOPPED
    assert words in check.error["message"]
    assert zoho.asked() == []


@pytest.mark.parametrize(
    ("code", "status"), [("NO_PERMISSION", 403), ("OAUTH_SCOPE_MISMATCH", 401)]
)
def test_a_refusal_of_the_whole_connection_stops_the_check(zoho, org, code, status):
    for number in range(30):
        zoho.mock.get(url(str(10**17 + number)), json=error_body(code), status=status)

    check = work(begin(org, "\n".join(str(10**17 + number) for number in range(30))))

    assert (check.state, check.error["code"]) == (State.STOPPED, code)
    assert check.error["resolution"]
    assert len(asked(zoho)) <= 3
    assert set(told(check).values()) == {"waiting"}
    # What was counted ahead and not asked is given back.
    assert credits.credits_of(org, timezone.now()).used == len(asked(zoho))


def test_a_revoked_token_stops_the_check_with_what_to_do(zoho):
    zoho.mock.post(TOKEN_URL, json={"error": "invalid_code"})

    check = work(begin(make_connection(), ONE))

    assert (check.state, check.error["code"]) == (State.STOPPED, "invalid_code")
    assert "Sign in to Zoho again" in check.error["resolution"]


def test_a_lone_failure_is_no_answer_and_others_are_asked(zoho, org):
    knows(zoho, ONE, THREE)
    zoho.mock.get(url(TWO), json=error_body("INTERNAL_ERROR"), status=500)

    check = work(begin(org, f"{ONE}\n{TWO}\n{THREE}"))

    assert told(check) == {ONE: "found", TWO: "no_answer", THREE: "found"}
    assert check.ids.get(job_id=TWO).error["code"] == "INTERNAL_ERROR"
    assert check.state == State.DONE


def test_where_nobody_answers_it_stops_instead_of_asking_for_all(zoho, org):
    ids = [str(10**17 + number) for number in range(60)]
    for job_id in ids:
        zoho.mock.get(url(job_id), body="<html>", status=503)

    check = work(begin(org, "\n".join(ids)))

    assert check.state == State.STOPPED
    assert check.error["http_status"] == 503
    assert len(asked(zoho)) <= 15


def test_going_on_asks_about_what_is_open_and_nothing_else(zoho, org):
    knows(zoho, ONE)
    knows_not(zoho, TWO)
    check = work(begin(org, f"{ONE}\n{TWO}"))
    zoho.mock.replace(responses.GET, url(TWO), json={"id": TWO, "status": "ADDED"})

    id_checks.go_on(check)
    work(check)

    assert told(check) == {ONE: "found", TWO: "found"}
    assert asked(zoho) == [ONE, TWO, TWO]


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


def test_somebody_stops_it_and_what_was_said_stays(zoho, org, monkeypatch):
    knows(zoho, ONE)
    monkeypatch.setattr(id_checks, "BOUT_IDS", 1)
    check = begin(org, f"{ONE}\n{TWO}")
    id_checks.work_on(id_checks.claim_due())
    claimed = id_checks.claim_due()

    id_checks.stop(check)
    assert not id_checks.work_on(claimed)

    check.refresh_from_db()
    assert (check.state, check.error) == (State.STOPPED, None)
    assert told(check) == {ONE: "found", TWO: "waiting"}


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
    check = begin(org, f"{command}\nrefresh_token=1000.canary1 nonsense")

    stored = json.dumps(list(check.ids.values("text", "error")))
    assert "canary" not in stored
    assert stored.count("[hidden]") == 2


def test_a_refusal_in_words_of_zohos_own_is_followed_by_a_sentence_of_its_own(zoho, org):
    Connection.objects.update(
        blocked_at=timezone.now(),
        last_error={"message": "Zoho refuses", "resolution": "Sign in."},
    )
    org.refresh_from_db()

    with pytest.raises(id_checks.NotCheckableError, match=r"Zoho refuses\. Sign in\.$"):
        begin(org, ONE)


class TestNoProgress:
    def bouts(self, most=9) -> int:
        """How many bouts are made, each as soon as it may be."""
        for number in range(most):
            with time_machine.travel(timezone.now() + timedelta(hours=number)):
                claimed = id_checks.claim_due()
                if claimed is None:
                    return number
                id_checks.work_on(claimed)
        return most

    def test_answers_that_cannot_be_stored_end_the_check_with_an_error(self, zoho, org):
        knows(zoho, ONE)
        check = begin(org, ONE)

        def refuse(execute, sql, *rest):
            if sql.startswith("UPDATE") and "checkedid" in sql:
                raise DataError("out of range")
            return execute(sql, *rest)

        with database.execute_wrapper(refuse):
            assert self.bouts() == 3

        check.refresh_from_db()
        assert (check.state, told(check)) == (State.STOPPED, {ONE: "waiting"})
        assert "went wrong in Bulkwatch" in check.error["message"]
        id_checks.go_on(check)
        assert told(work(check)) == {ONE: "found"}

    def test_workers_that_die_end_it_too(self, zoho, org):
        check = begin(org, ONE)

        def bout(number):
            with time_machine.travel(timezone.now() + timedelta(hours=number)):
                claimed = id_checks.claim_due()
                if claimed is not None:
                    # What a worker that is killed leaves behind.
                    id_checks._begin_bout(claimed)
                return claimed is not None

        assert [bout(number) for number in range(3)] == [True] * 3
        assert self.bouts() == 1

        check.refresh_from_db()
        assert (check.state, zoho.asked()) == (State.STOPPED, [])

    def test_throttling_without_end_stops_it_with_what_zoho_says(self, zoho, org):
        zoho.mock.get(url(ONE), json=error_body("TOO_MANY_REQUESTS"), status=429)
        check = begin(org, ONE)

        assert self.bouts() == 3

        check.refresh_from_db()
        assert (check.state, check.error["code"]) == (State.STOPPED, "TOO_MANY_REQUESTS")

    def test_credits_that_polls_have_reserved_are_waited_for(self, zoho, org):
        knows(zoho, ONE)
        check = begin(org, ONE)
        budget = credits.budget_of(org)
        with slots.held(org, 2) as polls:
            credits.spend(org, budget // 2 - 4)
            credits.reserve(org, 8, slot=polls)
            work(check)
            assert (check.state, told(check)) == (State.RUNNING, {ONE: "waiting"})

            credits.spend(org, -8)
        with time_machine.travel(timezone.now() + timedelta(seconds=5)):
            id_checks.work_on(id_checks.claim_due())
        assert told(check) == {ONE: "found"}

    def test_waiting_for_a_free_slot_is_no_bout_in_vain(self, zoho, org):
        check = begin(org, ONE)
        for number in range(6):
            with time_machine.travel(timezone.now() + timedelta(hours=number)):
                slots.take(org, 3)
                id_checks.work_on(id_checks.claim_due())

        check.refresh_from_db()
        assert check.state == State.RUNNING

    def test_an_answer_begins_the_count_anew(self, zoho, org, monkeypatch):
        monkeypatch.setattr(id_checks, "BOUT_IDS", 1)
        ids = [str(10**17 + number) for number in range(6)]
        knows(zoho, *ids)

        begin(org, "\n".join(ids))

        assert self.bouts() == 6
