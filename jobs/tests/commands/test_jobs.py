"""`track`, `poll`, `wait`: what scripts rely on, exit statuses first."""

import threading
from datetime import timedelta

import pytest
import responses
import time_machine
from django.core import mail
from django.core.management import load_command_class
from django.db import connection as database
from django.db import transaction
from django.utils import timezone

from jobs.management.commands import wait
from jobs.models import Alert, BulkWriteJob, Connection, Result
from jobs.services.limits.credits import credits_of
from jobs.tests.commands.running import run
from jobs.tests.factories import body, completed, make_connection, make_job, observe, resource
from jobs.tests.stand_in import (
    TOKEN_URL,
    csv_of,
    details_url,
    error_body,
    result_url,
    zip_of,
)

pytestmark = pytest.mark.django_db
PollState = BulkWriteJob.PollState
ONE, TWO = "111111000000541958", "111111000000541962"


@pytest.mark.parametrize(
    "argv",
    [
        ["track"],
        ["track", ONE],
        ["track", ONE, "--connection"],
        ["poll", "--yaml"],
        ["show"],
        ["wait"],
        ["wait", ONE, "--fail-over", "half"],
        ["add_connection"],
        ["add_connection", "one", "--data-center", "moon"],
        ["add_connection", "one", "--client-secret", "x"],
        ["add_connection", "one", "--refresh-token", "x"],
    ],
    ids=" ".join,
)
def test_arguments_that_make_no_sense_exit_with_2(argv, capsys):
    parser = load_command_class("jobs", argv[0]).create_parser("manage.py", argv[0])
    parser.called_from_command_line = True

    with pytest.raises(SystemExit) as end:
        parser.parse_args(argv[1:])

    assert end.value.code == 2
    assert capsys.readouterr().out == ""


class TestTrack:
    def test_registers_ids_with_what_is_said_of_them(self):
        make_connection(name="one")

        ran = run("track", ONE, TWO, "--connection", "one", "--label", "Q4", "--tag", "erp")

        assert (ran.status, ran.out) == (0, "")
        assert f"{ONE}: registered" in ran.err
        jobs = BulkWriteJob.objects.due(timezone.now())
        assert {(job.label, *job.tags) for job in jobs} == {("Q4", "erp")}

    def test_as_json_says_what_became_of_each_and_exits_with_1_for_what_is_no_id(self):
        org = make_connection(name="one")
        make_job(org, zoho_job_id=TWO)

        ran = run("track", ONE, TWO, ONE, "nonsense", "--connection", "one", "--json")

        assert ran.status == 1
        assert ran.json == [
            {"job_id": ONE, "text": ONE, "verdict": "tracked"},
            {"job_id": TWO, "text": TWO, "verdict": "already_tracked"},
            {"job_id": ONE, "text": ONE, "verdict": "repeated"},
            {"job_id": None, "text": "nonsense", "verdict": "not_an_id"},
        ]
        assert org.jobs.count() == 2

    def test_lines_without_an_id_are_counted_and_exit_with_1(self):
        make_connection(name="one")

        ran = run("track", ONE, "no job was created", "--connection", "one", "--json")
        assert (ran.status, len(ran.json)) == (1, 1)
        assert "1 line holds no id." in ran.err
        assert run("track", "no job was created", "--connection", "one").status == 1

    def test_again_is_no_failure(self):
        make_job(make_connection(name="one"), zoho_job_id=ONE)

        assert run("track", ONE, "--connection", "one").status == 0

    def test_what_was_registered_by_command_says_so(self):
        make_connection(name="one")
        run("track", ONE, "--connection", "one")

        assert BulkWriteJob.objects.get().found_by == BulkWriteJob.FoundBy.COMMAND

    def test_says_why_something_is_left_out(self):
        make_connection(name="one")

        ran = run("track", "1.1E+17", f"/bulk/v7/read/{ONE}", "--connection", "one", "--json")

        assert ran.status == 1
        assert "1.1E+17: not registered. Excel has rounded the id" in ran.err
        assert f"{ONE}: not registered. It is the id of a Bulk Read job" in ran.err
        assert [known["verdict"] for known in ran.json] == ["rounded", "bulk_read"]
        assert not BulkWriteJob.objects.exists()

    @pytest.mark.parametrize(
        "argv",
        [
            [ONE, "--connection", "other"],
            [ONE, "--connection", "one", "--label", "x" * 201],
            ["", "--connection", "one"],
            ["\n".join(str(10**17 + n) for n in range(5_001)), "--connection", "one"],
        ],
        ids=["unknown connection", "long label", "an empty variable", "too many"],
    )
    def test_wrong_use_exits_with_2_and_registers_nothing(self, argv):
        make_connection(name="one")

        ran = run("track", *argv)

        assert (ran.status, ran.out) == (2, "")
        assert ran.err
        assert not BulkWriteJob.objects.exists()


@pytest.mark.django_db(transaction=True)
class TestTrackWithCheck:
    """`track --check`: Zoho is asked first."""

    def check(self, *argv: str):
        return run("track", *argv, "--connection", "one", "--check")

    def test_registers_what_zoho_knows_and_exits_with_1_for_the_rest(self, zoho):
        org = make_connection(name="one")
        zoho.gives_tokens()
        job, other = BulkWriteJob(zoho_job_id=ONE), BulkWriteJob(zoho_job_id=TWO)
        zoho.says(job, body(job, "COMPLETED", resource(added=9, skipped=1, total=10)))
        zoho.says(other, error_body("RESOURCE_NOT_FOUND"), 404)

        ran = self.check(ONE, TWO, "nonsense", "--json")

        assert ran.status == 1
        assert f"{ONE}: Zoho knows it (COMPLETED, Leads, 10 rows)" in ran.err
        assert f"{ONE}: registered" in ran.err
        assert f"{TWO}: not registered. Zoho knows no bulk write job by this id" in ran.err
        known, unknown, left_out = ran.json
        assert (known["verdict"], known["zoho"]["rows"]) == ("tracked", 10)
        assert (unknown["verdict"], unknown["zoho"]["error"]["code"]) == (
            "unknown",
            "RESOURCE_NOT_FOUND",
        )
        assert (left_out["verdict"], left_out["zoho"]) == ("not_an_id", None)
        assert [job.zoho_job_id for job in org.jobs.all()] == [ONE]
        assert credits_of(org, timezone.now()).used == 2

    def test_of_ids_that_are_tracked_asks_nothing_and_exits_with_0(self, zoho):
        make_job(make_connection(name="one"), zoho_job_id=ONE)

        ran = self.check(ONE)

        assert (ran.status, zoho.asked()) == (0, [])
        assert f"{ONE}: already tracked" in ran.err

    def test_waits_as_long_as_zoho_wants_and_goes_on(self, zoho):
        make_connection(name="one")
        zoho.gives_tokens()
        job = BulkWriteJob(zoho_job_id=ONE)
        url = details_url(job)
        zoho.mock.get(
            url, json=error_body("TOO_MANY_REQUESTS"), status=429, headers={"Retry-After": "1"}
        )
        zoho.says(job, body(job))

        ran = self.check(ONE)

        assert ran.status == 0
        assert "1 id is asked about at" in ran.err
        assert BulkWriteJob.objects.exists()

    def test_that_cannot_sign_in_registers_nothing_and_says_what_to_do(self, zoho):
        make_connection(name="one")
        zoho.mock.post(TOKEN_URL, json={"error": "invalid_code"})

        ran = self.check(ONE, TWO, "--json")

        assert ran.status == 1
        assert "2 ids were not asked about" in ran.err
        assert "Sign in to Zoho again" in ran.err
        assert {known["verdict"] for known in ran.json} == {"no_answer"}
        assert not BulkWriteJob.objects.exists()

    def test_of_a_paused_connection_asks_nothing(self, zoho):
        make_connection(name="one", paused=True)

        ran = self.check(ONE)

        assert (ran.status, zoho.asked()) == (1, [])
        assert "is paused" in ran.err
        assert "1 id was not asked about" in ran.err
        assert f"{ONE}: not registered." in ran.err


@pytest.mark.django_db(transaction=True)
class TestPoll:
    def offer(self, zoho, job: BulkWriteJob, status: int = 200) -> None:
        zoho.gives_tokens()
        zoho.says(job, completed(job, added=0, updated=0, skipped=1, total=1))
        zoho.offers(job, zip_of(Leads=csv_of(("", "skipped", "", "INVALID_DATA-Email"))), status)

    def test_does_all_that_the_workers_would(self, zoho):
        job = make_job()
        self.offer(zoho, job)

        ran = run("poll", job.zoho_job_id)

        assert (ran.status, ran.out) == (0, "")
        assert "COMPLETED, Nothing imported" in ran.err
        job.refresh_from_db()
        assert job.outcome == "nothing_imported"
        assert job.result.state == Result.State.ARCHIVED
        [message] = mail.outbox
        assert "INVALID_DATA" in message.body

    def test_without_ids_polls_all_that_are_due_and_only_those(self, zoho):
        due, later = make_job(), make_job(next_poll_at=timezone.now() + timedelta(hours=1))
        paused = make_job(make_connection(paused=True))
        self.offer(zoho, due)

        ran = run("poll", "--json")

        assert ran.status == 0
        assert [known["job_id"] for known in ran.json] == [due.zoho_job_id]
        assert set(BulkWriteJob.objects.filter(polls=0)) == {later, paused}

    def test_says_why_a_connection_is_not_asked(self, zoho):
        until = timezone.now() + timedelta(minutes=5)
        job = make_job(make_connection(name="one", resume_at=until, waiting_for="throttled"))

        ran = run("poll", job.zoho_job_id)
        assert ran.status == 1
        assert "Not asked now: one: Zoho asked to slow down." in ran.err
        assert f"{timezone.localtime(until):%H:%M:%S %Z}" in ran.err

        ran = run("poll", "--json")
        assert (ran.status, ran.json) == (1, [])
        assert "Not asked now: one: Zoho asked to slow down." in ran.err
        assert "No job is due" not in ran.err
        assert zoho.asked() == []

    def test_with_nothing_due_is_no_failure(self):
        ran = run("poll", "--json")

        assert (ran.status, ran.json) == (0, [])
        assert "No job is due" in ran.err

    def test_without_ids_fetches_what_could_not_be_fetched_before(self, zoho):
        job = make_job()
        self.offer(zoho, job, status=503)
        run("poll")
        job.refresh_from_db()
        assert (job.poll_state, job.result.state) == (PollState.DONE, Result.State.PENDING)

        zoho.mock.replace(responses.GET, result_url(job), body=zip_of(Leads=csv_of()))
        with time_machine.travel(timezone.now() + timedelta(minutes=11)):
            run("poll")

        assert Result.objects.get().state == Result.State.ARCHIVED

    def test_of_one_connection_leaves_the_others_alone(self, zoho):
        mine, other = make_job(make_connection(name="one")), make_job()
        self.offer(zoho, mine)

        run("poll", "--connection", "one")

        other.refresh_from_db()
        assert other.polls == 0

    def test_of_an_id_that_is_not_tracked_polls_the_others_and_exits_with_1(self, zoho):
        job = make_job()
        self.offer(zoho, job)

        ran = run("poll", "404", job.zoho_job_id, "--json")

        assert ran.status == 1
        assert "Job 404 is not tracked" in ran.err
        assert [known["job_id"] for known in ran.json] == [job.zoho_job_id]

    @pytest.mark.parametrize("ids", [[], [ONE]])
    def test_of_an_unknown_connection_is_wrong_use(self, ids):
        make_job(zoho_job_id=ONE)

        assert run("poll", *ids, "--connection", "nowhere").status == 2

    def test_that_cannot_sign_in_exits_with_1_and_says_what_to_do(self, zoho):
        job = make_job()
        zoho.mock.post(TOKEN_URL, json={"error": "invalid_code"})

        ran = run("poll", job.zoho_job_id, "--json")

        assert ran.status == 1
        assert ran.json[0]["poll"]["state"] == "blocked"
        assert ran.json[0]["poll"]["error"]["code"] == "invalid_code"
        assert "Sign in to Zoho again" in ran.err
        assert Alert.objects.get().state == Alert.State.SENT


def ended(**counts: int) -> BulkWriteJob:
    job = make_job()
    observe(job, completed(job, **counts))
    return job


class TestWait:
    def test_for_a_good_end_exits_with_0(self):
        job = ended(added=9, updated=0, skipped=0, total=9)

        ran = run("wait", job.zoho_job_id)

        assert (ran.status, ran.out) == (0, "")
        assert "9 rows are in the CRM, none skipped" in ran.err

    @pytest.mark.parametrize("status", ["FAILED", "SKIPPED"])
    def test_for_a_bad_end_exits_with_1(self, status):
        job = make_job()
        observe(job, body(job, status, resource(status)))

        assert run("wait", job.zoho_job_id).status == 1

    def test_for_a_completed_job_that_imported_nothing_exits_with_1(self):
        job = ended(added=0, updated=0, skipped=9, total=9)

        assert run("wait", job.zoho_job_id).status == 1

    @pytest.mark.parametrize(
        ("skipped", "limit", "status"),
        [(7, "7", 0), (7, "6.9", 1), (14, "14", 0), (8, "7", 1), (1, "0", 1), (29, "29", 0)],
    )
    def test_fails_over_the_given_share_of_skips_and_not_at_it(self, skipped, limit, status):
        job = ended(added=100 - skipped, updated=0, skipped=skipped, total=100)

        assert run("wait", job.zoho_job_id, "--fail-over", limit).status == status

    def test_for_several_jobs_fails_if_one_of_them_does(self):
        good = ended(added=9, updated=0, skipped=0, total=9)
        bad = ended(added=0, updated=0, skipped=9, total=9)

        ran = run("wait", good.zoho_job_id, bad.zoho_job_id)

        assert ran.status == 1
        assert good.zoho_job_id in ran.err

    def test_ends_when_the_time_is_up(self):
        ran = run("wait", make_job().zoho_job_id, "--timeout", "0")

        assert ran.status == 1
        assert "1 jobs have not ended in time" in ran.err

    def test_does_not_wait_for_what_needs_a_person(self):
        job = make_job(poll_state=PollState.BLOCKED, poll_error={"message": "Gone."})
        of_blocked = make_job()
        Connection.objects.filter(pk=of_blocked.connection_id).update(
            blocked_at=timezone.now(), last_error={"message": "Revoked."}
        )

        assert "Gone." in run("wait", job.zoho_job_id).err
        ran = run("wait", of_blocked.zoho_job_id)
        assert ran.status == 1
        assert "Revoked." in ran.err

    def test_for_a_job_that_is_not_tracked_is_a_failure(self):
        assert run("wait", "404").status == 1

    @pytest.mark.django_db(transaction=True)
    def test_goes_on_until_the_rows_of_the_result_are_known(self, monkeypatch):
        monkeypatch.setattr(wait, "LOOK_EVERY_SECONDS", 0.02)
        job = ended()
        assert job.outcome == "unknown"

        def finish() -> None:
            # At once, as a result's rows are judged.
            with transaction.atomic():
                Result.objects.update(state=Result.State.ARCHIVED)
                BulkWriteJob.objects.update(outcome="imported")
            database.close()

        worker = threading.Timer(0.1, finish)
        worker.start()
        ran = run("wait", job.zoho_job_id, "--timeout", "20")
        worker.join()

        assert ran.status == 0
