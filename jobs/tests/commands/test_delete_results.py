"""`delete_results`: what goes, what stays, and what scripts hear of it."""

from datetime import timedelta

import pytest
from django.core.files.storage import FileSystemStorage
from django.core.management import load_command_class
from django.utils import timezone

from jobs.models import BulkWriteJob, Result
from jobs.tests.commands.running import run
from jobs.tests.factories import completed, make_connection, make_job, make_result, observe

pytestmark = pytest.mark.django_db
ROWS = "Last_Name,STATUS,RECORD_ID,ERRORS\nBoyle,ADDED,1,\n"


def kept(days: int, connection=None, **fields) -> BulkWriteJob:
    """A job whose result was kept so many days ago."""
    job = make_job(connection, **fields)
    observe(job, completed(job, added=1, updated=0, skipped=0, total=1))
    make_result(job, {"Leads.csv": ROWS})
    Result.objects.filter(job=job).update(fetched_at=timezone.now() - timedelta(days=days, hours=1))
    return job


def state_of(job: BulkWriteJob) -> str:
    return Result.objects.get(job=job).state


def test_what_is_older_goes_and_the_rest_stays():
    old, new = kept(31), kept(29)

    ran = run("delete_results", "--older-than", "30")

    assert (ran.status, ran.out) == (0, "")
    assert (state_of(old), state_of(new)) == ("deleted", "archived")
    assert f"{old.zoho_job_id}: deleted" in ran.err
    event = old.events.get(kind="result_deleted")
    assert (event.text, event.actor) == (
        "by the command delete_results --older-than 30",
        None,
    )


def test_pinned_jobs_are_left_and_counted():
    pinned = kept(31, pinned=True)

    ran = run("delete_results", "--older-than", "30", "--json")

    assert ran.status == 0
    assert ran.json == {"results": [], "pinned": 1}
    assert state_of(pinned) == "archived"
    assert "1 left because their jobs are pinned" in ran.err


def test_one_connection_can_be_meant():
    one, two = make_connection(name="one"), make_connection(name="two")
    meant, other = kept(31, one), kept(31, two)

    ran = run("delete_results", "--older-than", "30", "--connection", "one", "--json")

    assert [item["job_id"] for item in ran.json["results"]] == [meant.zoho_job_id]
    assert state_of(other) == "archived"


def test_a_dry_run_deletes_nothing():
    job = kept(31)

    ran = run("delete_results", "--older-than", "30", "--dry-run", "--json")

    assert (ran.status, state_of(job)) == (0, "archived")
    [told] = ran.json["results"]
    assert told == {
        "connection": job.connection.name,
        "job_id": job.zoho_job_id,
        "size": job.result.size,
        "outcome": "would_be_deleted",
    }


def test_a_file_that_cannot_be_removed_exits_with_1(monkeypatch):
    job = kept(31)

    def refuse(self, name):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(FileSystemStorage, "delete", refuse)
    ran = run("delete_results", "--older-than", "30", "--json")

    assert (ran.status, state_of(job)) == (1, "deleted")
    assert ran.json["results"][0]["outcome"] == "file_stays"


def test_nothing_to_delete_is_no_failure():
    ran = run("delete_results", "--older-than", "0")

    assert (ran.status, ran.out) == (0, "")
    assert "No result is that old" in ran.err


def test_an_unknown_connection_exits_with_2():
    assert run("delete_results", "--older-than", "1", "--connection", "moon").status == 2


@pytest.mark.parametrize(
    "argv",
    [
        [],
        ["--older-than"],
        ["--older-than", "-1"],
        ["--older-than", "soon"],
        ["--older-than", "1.5"],
        ["--older-than", "36501"],
        ["--older-than", "9" * 40],
        ["--older-than", "\u0663"],
        ["--older-than", "3", "--yes"],
    ],
    ids=" ".join,
)
def test_arguments_that_make_no_sense_exit_with_2(argv, capsys):
    parser = load_command_class("jobs", "delete_results").create_parser("manage.py", "x")
    parser.called_from_command_line = True

    with pytest.raises(SystemExit) as end:
        parser.parse_args(argv)

    assert end.value.code == 2
    assert capsys.readouterr().out == ""
