"""What a person or a script pastes, and what is registered of it."""

import json
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.contrib.auth import get_user_model
from django.db import connection as database
from django.utils import timezone

from jobs.models import BulkWriteJob, JobEvent
from jobs.services import tracking
from jobs.services.tracking import Verdict
from jobs.tests import seed
from jobs.tests.factories import make_connection, make_job

ONE, TWO, THREE = "111111000000541958", "111111000000541962", "111111000000541970"
CREATOR = "111111000000035795"
CREATED = {
    "status": "success",
    "code": "ADDED",
    "message": "Bulk write job created successfully",
    "details": {"id": ONE, "created_by": {"id": CREATOR, "name": "Patricia Boyle "}},
}
CREATED_TWO = CREATED | {"details": CREATED["details"] | {"id": TWO}}


def ids(text: str) -> list[str]:
    return [entry.job_id for entry in tracking.read_ids(text) if entry.job_id]


def verdicts(text: str) -> list[tuple[str, str]]:
    return [(entry.verdict.value, entry.text) for entry in tracking.read_ids(text)]


PASTES = {
    "one": ONE,
    "with blanks around": f"  {ONE}\t\n",
    "on windows lines": f"{ONE}\r\n",
    "quoted": f'"{ONE}",',
    "in brackets": f"[{ONE}]",
    "in a list of strings": f'["{ONE}"]',
    "a log line": f"2026-11-24 18:00:01,123 INFO loader: created bulk write job {ONE}.zip",
    "at the end of a sentence": f"Created the bulk write job {ONE}.",
    "a log line with the answer": f"18:00:01 INFO got {json.dumps(CREATED)} in 0.3 s",
    "the answer of a create call": json.dumps(CREATED),
    "the same over several lines": json.dumps(CREATED, indent=4),
    "in a data array": json.dumps({"data": [CREATED]}),
    "in an array": json.dumps([CREATED]),
    "details of a job": json.dumps(seed.COMPLETED, indent=2),
    "a number in json": json.dumps({"details": {"id": int(ONE)}}),
    "an address": f"https://www.zohoapis.com/crm/bulk/v7/write/{ONE}",
    "a line of csv": f"{ONE},Leads,leads.csv",
    "with a byte order mark": f"\ufeff{ONE}",
}


@pytest.mark.parametrize("text", PASTES.values(), ids=PASTES)
def test_an_id_is_found(text):
    assert ids(text) == [ONE]


@pytest.mark.parametrize(
    "text",
    [
        f"{ONE}\n{TWO}\n{THREE}",
        f"{ONE}, {TWO}; {THREE}",
        f"{ONE} {TWO}\t{THREE}",
        f"id,module\n{ONE},Leads\n{TWO},Deals\n{THREE},Tasks",
        "\n".join(json.dumps(CREATED | {"details": {"id": it}}) for it in (ONE, TWO, THREE)),
        "\n".join(
            json.dumps(CREATED | {"details": {"id": it}}, indent=1) for it in (ONE, TWO, THREE)
        ),
        json.dumps([CREATED, CREATED_TWO, {"id": THREE}]),
        f"{ONE}|{TWO}|{THREE}",
    ],
)
def test_several_ids_are_found_in_their_order(text):
    assert ids(text) == [ONE, TWO, THREE]


NO_IDS = {
    "letters": "abc",
    "letters and digits": "12ab",
    "a sentence": "no job was created",
    "a number among words": "took 35 seconds for 12 rows",
    "decimal": "111111000000541958.5",
    "exponent": "1.11111E+17",
    "too long": "1" * 31,
    "other digits": "١٢٣٤٥٦٧٨٩٠١٢٣٤٥٦٧٨",
    "wide digits": "１２３４５６７８９０１２３４５６７８",  # noqa: RUF001
    "a refused create call": '{"code":"INVALID_DATA","details":{},"status":"error"}',
    "broken json": '{"details": {"id": ',
    "markup": "<script>alert(1)</script>",
}


@pytest.mark.parametrize("text", NO_IDS.values(), ids=NO_IDS)
def test_what_is_no_id_is_named_and_not_taken(text):
    [entry] = tracking.read_ids(text)

    assert (entry.verdict, entry.job_id, entry.line) == (Verdict.NOT_AN_ID, "", 1)
    assert entry.text


@pytest.mark.parametrize("text", ["", "  \n\t\n ", ",;,", "\n" * 10_000])
def test_nothing_pasted_is_nothing(text):
    assert tracking.read_ids(text) == []


def test_an_id_named_twice_is_taken_once_and_said_so():
    assert verdicts(f"{ONE}\n{TWO}\n{ONE}") == [
        ("tracked", ONE),
        ("tracked", TWO),
        ("repeated", ONE),
    ]


def test_a_slip_in_a_list_does_not_cost_the_rest_of_the_line():
    assert verdicts(f"{ONE}, 1111110000005419x2, {TWO}") == [
        ("tracked", ONE),
        ("not_an_id", "1111110000005419x2"),
        ("tracked", TWO),
    ]


def test_each_entry_names_its_line():
    entries = tracking.read_ids(f"{ONE}\n\nnonsense\n{TWO}, {THREE}")

    assert [entry.line for entry in entries] == [1, 3, 4, 4]


def test_the_person_who_created_a_job_is_no_job():
    text = f"a log\n18:00 {json.dumps(CREATED)}\n18:01 {json.dumps(CREATED_TWO)}"

    assert ids(text) == [ONE, TWO]


@pytest.mark.parametrize("number", [500, 5_000])
def test_hundreds_of_ids_are_read_at_once(number):
    assert len(ids("\n".join(str(10**17 + n) for n in range(number)))) == number


def test_more_than_five_thousand_ids_are_refused_with_what_to_do():
    with pytest.raises(tracking.TooManyIdsError, match="in several goes"):
        tracking.read_ids("\n".join(str(10**17 + n) for n in range(5_001)))


@pytest.mark.parametrize("text", ["[" * 200_000, "{" * 200_000, '{"a":' * 50_000, "9" * 500_000])
def test_a_paste_made_to_hurt_is_read_in_no_time(text):
    assert ids(text) == []


@pytest.mark.django_db
class TestRegistering:
    def test_makes_jobs_that_are_due_at_once(self):
        org, user = make_connection(), get_user_model().objects.create_user("maria")
        entries = tracking.track(
            org,
            tracking.read_ids(f"{ONE}\n{TWO}"),
            label="Q4 leads",
            tags=["erp"],
            alert_recipients="me@example.com",
            skip_threshold_percent=25,
            user=user,
        )

        jobs = list(BulkWriteJob.objects.due(timezone.now()))
        assert {job.zoho_job_id for job in jobs} == {ONE, TWO}
        assert [entry.job for entry in entries] == sorted(jobs, key=lambda job: job.pk)
        for job in jobs:
            assert (job.label, job.tags, job.tracked_by) == ("Q4 leads", ["erp"], user)
            assert (job.recipients, job.threshold_percent) == (["me@example.com"], 25)
            assert (job.outcome, job.status, job.total_count) == ("unknown", "", None)
            assert job.events.get().kind == JobEvent.Kind.TRACKED
        assert BulkWriteJob.objects.searched("q4 ERP").count() == 2

    def test_again_changes_nothing_and_says_so(self):
        org = make_connection()
        job = make_job(org, zoho_job_id=ONE, label="first", poll_state="done", next_poll_at=None)

        [entry] = tracking.track(org, tracking.read_ids(ONE), label="second")

        assert (entry.verdict, entry.job) == (Verdict.ALREADY_TRACKED, job)
        job.refresh_from_db()
        assert (job.label, job.poll_state) == ("first", "done")
        assert job.events.count() == 0

    def test_the_same_id_in_two_orgs_makes_two_jobs(self):
        for _ in range(2):
            tracking.track(make_connection(), tracking.read_ids(ONE))

        assert BulkWriteJob.objects.filter(zoho_job_id=ONE).count() == 2

    def test_five_thousand_ids_takes_few_statements(self, django_assert_max_num_queries):
        org = make_connection()
        entries = tracking.read_ids("\n".join(str(10**17 + n) for n in range(5_000)))

        # SQLite takes some hundred rows to a statement.
        with django_assert_max_num_queries(300):
            tracking.track(org, entries)

        assert org.jobs.count() == 5_000

    def test_only_what_is_no_id_makes_no_job(self):
        [entry] = tracking.track(make_connection(), tracking.read_ids("nonsense"))

        assert (entry.verdict, entry.job) == (Verdict.NOT_AN_ID, None)


@pytest.mark.django_db(transaction=True)
def test_fifty_registrations_of_one_id_at_the_same_time_make_one_job():
    org = make_connection()

    def register(_: int) -> int:
        try:
            [entry] = tracking.track(org, tracking.read_ids(ONE))
            return entry.job.pk
        finally:
            database.close()

    with ThreadPoolExecutor(8) as pool:
        pks = set(pool.map(register, range(50)))

    assert pks == {BulkWriteJob.objects.get().pk}


@pytest.mark.parametrize(
    ("text", "tags"),
    [
        ("", []),
        (" erp ,, nightly\nerp", ["erp", "nightly"]),
        ("x" * 80, ["x" * 50]),
        (",".join(str(n) for n in range(30)), [str(n) for n in range(20)]),
    ],
)
def test_tags_are_parted_by_commas_or_lines_each_once_and_bounded(text, tags):
    assert tracking.read_tags(text) == tags
