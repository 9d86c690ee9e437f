"""Downloading what is kept."""

import csv
from io import BytesIO, StringIO
from pathlib import Path
from zipfile import ZipFile

import pytest

from jobs.models import JobEvent, Result
from jobs.tests.factories import completed, make_connection, make_job, make_result, make_user
from jobs.tests.factories import observe as see

ROWS = (
    "Last_Name,STATUS,RECORD_ID,ERRORS\r\n"
    "Boyle,ADDED,1,\r\n"
    '"=HYPERLINK(""http://evil.example"")",SKIPPED,,INVALID_DATA-Last_Name\r\n'
)


@pytest.fixture
def alice(client, db):
    client.force_login(make_user("alice"))
    return client


@pytest.fixture
def job(db):
    job = make_job(make_connection())
    see(job, completed(job, added=1, updated=0, skipped=1, total=2))
    make_result(job, {"Leads-Leads.csv": ROWS})
    return job


def content(response):
    return b"".join(response.streaming_content)


def rows_of(response):
    return list(csv.reader(StringIO(content(response).decode("utf-8-sig"))))


def test_the_zip_comes_byte_for_byte(alice, job):
    response = alice.get(f"/jobs/{job.pk}/result.zip")
    body = content(response)

    with job.result.archive.open() as kept:
        assert body == kept.read()
    assert ZipFile(BytesIO(body)).namelist() == ["Leads-Leads.csv"]
    assert response["Content-Disposition"] == (
        f'attachment; filename="Leads-{job.zoho_job_id}-result.zip"'
    )


def test_a_csv_comes_byte_for_byte(alice, job):
    response = alice.get(f"/jobs/{job.pk}/result/0.csv")

    assert content(response) == ROWS.encode()
    assert "attachment" in response["Content-Disposition"]
    assert response["Content-Disposition"].endswith('.csv"')


def test_left_out_rows_come_with_their_reason_and_no_formula(alice, job):
    response = alice.get(f"/jobs/{job.pk}/skipped.csv")
    body = content(response)

    assert body.startswith(b"\xef\xbb\xbf")
    header, row = csv.reader(StringIO(body.decode("utf-8-sig")))
    assert header[0] == "File"
    assert row[2].startswith("'=HYPERLINK")
    assert any("Last_Name: The value does not suit the field" in cell for cell in row)


@pytest.mark.parametrize("what", ["result.zip", "result/0.csv", "skipped.csv"])
def test_nobody_else_keeps_or_reads_it(alice, client, job, what):
    response = alice.get(f"/jobs/{job.pk}/{what}")

    assert response["Cache-Control"] == "private, no-store"
    assert response["X-Content-Type-Options"] == "nosniff"
    content(response)
    client.logout()
    assert client.get(f"/jobs/{job.pk}/{what}").status_code == 302


@pytest.mark.parametrize("what", ["result.zip", "result/0.csv", "skipped.csv"])
def test_who_downloaded_is_noted(alice, job, what):
    content(alice.get(f"/jobs/{job.pk}/{what}"))

    event = JobEvent.objects.get(kind=JobEvent.Kind.DOWNLOADED)
    assert event.actor.username == "alice"


def test_looking_without_taking_is_not_noted(alice, job):
    response = alice.head(f"/jobs/{job.pk}/result.zip")
    assert content(response) == b""

    assert response.status_code == 200
    assert not JobEvent.objects.filter(kind=JobEvent.Kind.DOWNLOADED).exists()


@pytest.mark.parametrize("what", ["result.zip", "result/0.csv", "skipped.csv"])
def test_what_is_not_kept_is_not_found(alice, job, what):
    Result.objects.update(state=Result.State.EXPIRED)

    assert alice.get(f"/jobs/{job.pk}/{what}").status_code == 404
    assert alice.get(f"/jobs/{make_job().pk}/{what}").status_code == 404


@pytest.mark.parametrize("what", ["result.zip", "result/0.csv", "skipped.csv"])
def test_a_file_that_went_missing_is_not_found(alice, job, what):
    Path(job.result.archive.path).unlink()

    assert alice.get(f"/jobs/{job.pk}/{what}").status_code == 404


def test_a_csv_that_is_not_in_the_zip_is_not_found(alice, job):
    assert alice.get(f"/jobs/{job.pk}/result/7.csv").status_code == 404
    assert alice.get(f"/jobs/{job.pk}/result/99999999999999999999.csv").status_code == 404


def test_file_names_hold_nothing_dangerous(alice, db):
    job = make_job(make_connection())
    answer = completed(job, added=1, updated=0, skipped=0, total=1)
    answer["resource"][0]["module"]["api_name"] = '../../etc/"x"\r\nSet-Cookie: a=b'
    see(job, answer)
    make_result(job, {"<Zürich>:x.csv": ROWS})

    response = alice.get(f"/jobs/{job.pk}/result/0.csv")
    name = response["Content-Disposition"]
    content(response)

    assert not set('\r\n<>/\\"') & set(name.split("''")[-1])
    assert "Set-Cookie" not in response


def test_a_result_without_skipped_rows_gives_a_header_alone(alice, db):
    job = make_job(make_connection())
    see(job, completed(job, added=1, updated=0, skipped=0, total=1))
    make_result(job, {"Leads.csv": "Last_Name,STATUS\nBoyle,ADDED\n"})

    assert len(rows_of(alice.get(f"/jobs/{job.pk}/skipped.csv"))) <= 1
