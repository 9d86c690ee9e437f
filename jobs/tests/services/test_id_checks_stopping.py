"""Asking about ids: when it waits, when it stops, and how it goes on."""

import json
import threading
from datetime import timedelta

import pytest
import responses
import time_machine
from django.db import DataError
from django.db import connection as database
from django.utils import timezone

from jobs.models import Connection, CreditUse, IdCheck
from jobs.services.limits import credits, slots
from jobs.services.registering import id_asking, id_checks
from jobs.tests.factories import make_connection
from jobs.tests.services.asked_ids import (
    ONE,
    THREE,
    TWO,
    asked,
    begin,
    knows,
    knows_not,
    told,
    url,
    work,
)
from jobs.tests.stand_in import TOKEN_URL, error_body

pytestmark = pytest.mark.django_db
State = IdCheck.State


def work_to_the_end(check: IdCheck) -> IdCheck:
    """Work on a check through the breaks that it leaves to polls."""
    for _ in range(50):
        work(check)
        if check.state != State.RUNNING:
            break
        IdCheck.objects.filter(pk=check.pk).update(next_attempt_at=timezone.now())
    return check


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


@pytest.mark.parametrize("calls", [1, 10])
@pytest.mark.parametrize("position", [0, 30, 59])
def test_a_refusal_of_one_id_alone_is_its_answer_and_all_others_are_asked(zoho, calls, position):
    org = make_connection(max_concurrency=calls)
    zoho.gives_tokens()
    ids = [str(10**17 + number) for number in range(60)]
    refused = ids[position]
    knows(zoho, *(job_id for job_id in ids if job_id != refused))
    zoho.mock.get(url(refused), json=error_body("NO_PERMISSION"), status=403)

    check = work_to_the_end(begin(org, "\n".join(ids)))

    assert check.state == State.DONE
    assert told(check) == dict.fromkeys(ids, "found") | {refused: "no_answer"}
    assert check.ids.get(job_id=refused).error["code"] == "NO_PERMISSION"
    assert sorted(asked(zoho)) == ids
    assert credits.credits_of(org, timezone.now()).used == len(ids)
    org.refresh_from_db()
    assert not org.is_blocked


def test_ids_refused_with_answers_between_do_not_stop_the_check(zoho):
    org = make_connection(max_concurrency=1)
    zoho.gives_tokens()
    ids = [str(10**17 + number) for number in range(20)]
    knows(zoho, *ids[1::2])
    for job_id in ids[::2]:
        zoho.mock.get(url(job_id), json=error_body("NO_PERMISSION"), status=403)

    check = work_to_the_end(begin(org, "\n".join(ids)))

    assert check.state == State.DONE
    assert list(told(check).values()).count("no_answer") == 10


def test_one_id_that_is_refused_is_answered_so(zoho, org):
    zoho.mock.get(url(ONE), json=error_body("NO_PERMISSION"), status=403)

    check = work(begin(org, ONE))

    assert (check.state, told(check)) == (State.DONE, {ONE: "no_answer"})


def test_a_refusal_before_zoho_asks_to_slow_down_is_asked_about_again(zoho):
    org = make_connection(max_concurrency=1)
    zoho.gives_tokens()
    zoho.mock.get(url(ONE), json=error_body("NO_PERMISSION"), status=403)
    zoho.mock.get(url(TWO), json=error_body("TOO_MANY_REQUESTS"), status=429)

    check = work(begin(org, f"{ONE}\n{TWO}"))

    assert (check.state, check.error["code"]) == (State.RUNNING, "TOO_MANY_REQUESTS")
    assert told(check) == {ONE: "waiting", TWO: "waiting"}


@pytest.mark.parametrize(
    ("status", "body", "answered"),
    [(403, error_body("NO_PERMISSION"), []), (200, {"id": ONE, "status": "ADDED"}, [ONE])],
    ids=["refused", "found"],
)
def test_once_somebody_has_stopped_it_nothing_more_is_asked(zoho, org, status, body, answered):
    knows(zoho, TWO, THREE)
    stop = threading.Event()

    def answer(request):
        stop.set()
        return status, {}, json.dumps(body)

    zoho.mock.add_callback(responses.GET, url(ONE), answer)
    Connection.objects.update(max_concurrency=1)
    bout = id_asking.ask(org, [ONE, TWO, THREE], seconds=5, stop=stop)

    # Whether a lone refusal is its id's own was not learnt: it is asked about again.
    assert [one.job_id for one in bout if one is not None] == answered
    assert asked(zoho) == [ONE]


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
