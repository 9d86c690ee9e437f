"""`show` and `poll --json`: the job as JSON that scripts rely on."""

import hashlib
import re
from typing import Any

import pytest
from django.utils import timezone

from jobs.models import Alert, Result
from jobs.tests import seed
from jobs.tests.commands.running import run
from jobs.tests.factories import STAND_IN, make_connection, make_job
from jobs.tests.stand_in import csv_of, details_url, error_body, zip_of

pytestmark = pytest.mark.django_db(transaction=True)

ROW = ("Big deal", "SKIPPED", "", "MANDATORY_NOT_FOUND-Stage")
ARCHIVE = zip_of(**{"Deals-bulkwrite": csv_of(*[ROW] * 100, columns=("Deal_Name",))})
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")


@pytest.fixture
def job(zoho):
    """The seed's job, registered, its three answers ready."""
    job = make_job(
        make_connection(name="production", alert_recipients="crm@example.com"),
        zoho_job_id=seed.JOB_ID,
    )
    zoho.gives_tokens()
    for sample in (seed.ADDED, seed.ADDED, seed.IN_PROGRESS, seed.COMPLETED):
        zoho.says(job, sample)
    zoho.mock.get(
        STAND_IN + seed.COMPLETED["result"]["download_url"],
        body=ARCHIVE,
        content_type="application/zip",
    )
    return job


def timeless(known: Any) -> Any:
    """The same with each time, which must be UTC, as "Z"."""
    if isinstance(known, dict):
        return {key: timeless(value) for key, value in known.items()}
    if isinstance(known, list):
        return [timeless(value) for value in known]
    is_time = isinstance(known, str) and TIME.fullmatch(known)
    return "Z" if is_time and known != "2019-01-30T14:18:15Z" else known


def mapping(api_name: str, index: int) -> dict[str, Any]:
    absent = ("find_by", "format", "default_value", "module", "parent_column_index")
    return {"api_name": api_name, "index": index} | dict.fromkeys(absent)


COUNTS = {"added": 0, "updated": 0, "skipped": 100, "unprocessed": 0, "total": 100}
OF_FILE = {"added": 0, "updated": 0, "skipped": 100, "total": 100}
CONTRACT = {
    "connection": "production",
    "job_id": "111111000000541958",
    "label": "",
    "tags": [],
    "status": "COMPLETED",
    "status_raw": "COMPLETED",
    "outcome": "nothing_imported",
    "needs_attention": True,
    "operation": "insert",
    "character_encoding": "UTF-8",
    "created_by": {"id": "111111000000035795", "name": "Patricia Boyle"},
    "created_time": "2019-01-30T14:18:15Z",
    "counts": COUNTS,
    "skip_ratio": 1.0,
    "warnings": [],
    "resources": [
        {
            "module": "Deals",
            "status": "COMPLETED",
            "status_raw": "COMPLETED",
            "code": "SUCCESS",
            "file": {"name": "Deals.csv", "status": "COMPLETED"} | OF_FILE,
            "skip_ratio": 1.0,
            "field_mappings": [mapping("Deal_Name", 1), mapping("Stage", 2)],
        }
    ],
    "snapshots": [
        {
            "status": status,
            "status_raw": status,
            "first_seen_at": "Z",
            "last_seen_at": "Z",
            "polls": polls,
            "counts": counts,
        }
        for status, polls, counts in (
            ("ADDED", 2, dict.fromkeys(COUNTS)),
            ("INPROGRESS", 1, COUNTS),
            ("COMPLETED", 1, COUNTS),
        )
    ],
    "poll": {"state": "done", "last_polled_at": "Z", "next_poll_at": None, "error": None},
    "result": {
        "state": "archived",
        "size": len(ARCHIVE),
        "sha256": hashlib.sha256(ARCHIVE).hexdigest(),
        "files": [{"name": "Deals-bulkwrite.csv", "rows": 100}],
        "rows": {"added": 0, "updated": 0, "skipped": 100, "unprocessed": 0},
        "reasons": [{"code": "MANDATORY_NOT_FOUND", "field": "Stage", "rows": 100}],
        "error": None,
    },
    "alerts": [
        {
            "kind": "nothing_imported",
            "state": "sent",
            "created_at": "Z",
            "sent_at": "Z",
            "recipients": ["crm@example.com"],
        }
    ],
}


class TestTheSeedsJob:
    def test_polled_to_its_end_is_shown_as_the_contract_says(self, job):
        for _ in range(4):
            polled = run("poll", job.zoho_job_id, "--json")
            assert polled.status == 0, polled.err

        shown = run("show", job.zoho_job_id, "--json")

        assert shown.status == 0
        assert timeless(shown.json) == CONTRACT
        assert polled.json == [shown.json]

    def test_before_its_end_shows_unknown_numbers_as_null(self, job):
        run("poll", job.zoho_job_id)

        known = run("show", job.zoho_job_id, "--json").json

        assert set(known["counts"].values()) == {None}
        assert (known["skip_ratio"], known["character_encoding"]) == (None, None)
        assert known["resources"][0]["file"]["name"] is None
        assert known["poll"]["state"] == "active"
        assert TIME.fullmatch(known["poll"]["next_poll_at"])
        assert known["result"] == {
            "state": "none",
            "size": None,
            "sha256": None,
            "files": [],
            "rows": None,
            "reasons": [],
            "error": None,
        }
        assert known["alerts"] == []

    def test_for_people_says_the_verdict_the_reasons_and_the_polling(self, job):
        for _ in range(4):
            run("poll", job.zoho_job_id)

        shown = run("show", job.zoho_job_id)

        assert "none of 100 rows is in the CRM" in shown.out
        assert "100 rows: MANDATORY_NOT_FOUND Stage" in shown.out
        assert "Polling: done" in shown.out


def test_a_job_never_read_is_shown_with_the_same_keys():
    job = make_job(label="Q4", tags=["erp"])

    known = run("show", job.zoho_job_id, "--json").json

    assert known.keys() == CONTRACT.keys()
    assert (known["outcome"], known["status"], known["label"]) == ("unknown", "", "Q4")
    assert (known["created_by"], known["created_time"]) == (None, None)
    assert (known["resources"], known["snapshots"]) == ([], [])


@pytest.mark.parametrize(
    ("connection", "fields", "state"),
    [
        ({}, {}, "pending"),
        ({}, {"poll_state": "done"}, "none"),
        ({"paused": True}, {}, "none"),
        ({"blocked_at": timezone.now()}, {}, "none"),
    ],
)
def test_a_result_that_zoho_has_not_offered_is_pending_while_the_job_is_polled(
    connection, fields, state
):
    job = make_job(make_connection(**connection), ended_at=timezone.now(), **fields)

    assert run("show", job.zoho_job_id, "--json").json["result"]["state"] == state


def test_a_job_that_zoho_refuses_shows_the_error_with_zohos_code(zoho):
    job = make_job()
    zoho.gives_tokens()
    zoho.says(job, error_body("RESOURCE_NOT_FOUND", "No such job."), status=404)

    for _ in range(2):
        assert run("poll", job.zoho_job_id).status == 1

    known = run("show", job.zoho_job_id, "--json").json
    assert known["poll"]["state"] == "blocked"
    assert known["poll"]["error"].keys() == {"code", "http_status", "message", "resolution"}
    assert known["poll"]["error"]["code"] == "RESOURCE_NOT_FOUND"
    assert known["poll"]["error"]["http_status"] == 404
    assert known["alerts"][0]["kind"] == "blocked"


def test_the_reasons_of_a_result_come_with_most_rows_first(zoho):
    job = make_job(zoho_job_id=seed.JOB_ID)
    zoho.gives_tokens()
    zoho.says(job, seed.COMPLETED)
    few, many = ("a", "skipped", "", "DUPLICATE_DATA-Email"), ROW
    content = zip_of(one=csv_of(few, many), two=csv_of(many, few, many))
    zoho.mock.get(STAND_IN + seed.COMPLETED["result"]["download_url"], body=content)

    [known] = run("poll", job.zoho_job_id, "--json").json

    assert [(reason["code"], reason["rows"]) for reason in known["result"]["reasons"]] == [
        ("MANDATORY_NOT_FOUND", 3),
        ("DUPLICATE_DATA", 2),
    ]


class TestWrongUse:
    def test_a_job_that_is_not_tracked_is_a_failure(self):
        shown = run("show", "404", "--json")

        assert (shown.status, shown.out) == (1, "")
        assert "Register it with: track 404" in shown.err

    def test_a_connection_that_is_not_there_is_wrong_use_and_names_those_there_are(self):
        make_connection(name="production")

        shown = run("show", "404", "--connection", "prodution")

        assert shown.status == 2
        assert "There are: production." in shown.err

    def test_an_id_of_two_orgs_needs_the_connection(self):
        for name in ("one", "two"):
            make_job(make_connection(name=name), zoho_job_id="7")

        assert run("show", "7").status == 2
        assert run("show", "7", "--connection", "two", "--json").json["connection"] == "two"


def test_polling_a_job_again_changes_nothing_that_was_told(job, zoho):
    for _ in range(6):
        run("poll", job.zoho_job_id)

    assert Alert.objects.count() == 1
    assert Result.objects.get().attempts == 1
    assert len(zoho.asked(details_url(job))) == 6
