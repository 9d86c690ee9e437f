"""Downloading what is kept."""

import csv
from io import BytesIO, StringIO
from pathlib import Path
from uuid import uuid4
from zipfile import ZipFile

import pytest

from jobs.models import JobEvent, Result
from jobs.tests.factories import (
    body,
    completed,
    make_connection,
    make_job,
    make_result,
    resource,
)
from jobs.tests.factories import observe as see
from jobs.zoho.result_files import ResultArchive, ResultFileError

MODULES = ("Leads", "Deals", "Tasks")

ROWS = (
    "Last_Name,STATUS,RECORD_ID,ERRORS\r\n"
    "Boyle,ADDED,1,\r\n"
    '"=HYPERLINK(""http://evil.example"")",SKIPPED,,INVALID_DATA-Last_Name\r\n'
)


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


def test_a_csv_comes_with_all_rows_and_columns_and_no_formula(alice, job):
    response = alice.get(f"/jobs/{job.pk}/result/0.csv")
    body = content(response)

    assert body.startswith(b"\xef\xbb\xbf")
    assert list(csv.reader(StringIO(body.decode("utf-8-sig")))) == [
        ["Last_Name", "STATUS", "RECORD_ID", "ERRORS"],
        ["Boyle", "ADDED", "1", ""],
        ['\'=HYPERLINK("http://evil.example")', "SKIPPED", "", "INVALID_DATA-Last_Name"],
    ]
    assert response["Content-Disposition"] == (
        f'attachment; filename="Leads-{job.zoho_job_id}-Leads-Leads.csv"'
    )


def test_left_out_rows_come_with_their_reason_and_no_formula(alice, job):
    response = alice.get(f"/jobs/{job.pk}/skipped.csv")
    body = content(response)

    assert body.startswith(b"\xef\xbb\xbf")
    header, row = csv.reader(StringIO(body.decode("utf-8-sig")))
    assert header == [
        *("File", "Row", "Last_Name", "Record id", "Status", "Reason", "Zoho's ERRORS"),
    ]
    assert row[:2] == ["Leads-Leads.csv", "2"]
    assert row[2].startswith("'=HYPERLINK")
    assert row[4] == "skipped"
    assert row[5].startswith("Last_Name: ")
    assert row[6] == "INVALID_DATA-Last_Name"


EACH = ["result.zip", "result/0.csv", "skipped.csv", "rows.csv", "rows.csv?file=0&q=boyle"]


@pytest.mark.parametrize("what", [*EACH, "summary.csv"])
def test_nobody_else_keeps_or_reads_it(alice, client, job, what):
    response = alice.get(f"/jobs/{job.pk}/{what}")

    assert response["Cache-Control"] == "private, no-store"
    assert response["X-Content-Type-Options"] == "nosniff"
    content(response)
    client.logout()
    assert client.get(f"/jobs/{job.pk}/{what}").status_code == 302


@pytest.mark.parametrize("what", [*EACH, "summary.csv"])
def test_who_downloaded_is_noted(alice, job, what):
    content(alice.get(f"/jobs/{job.pk}/{what}"))

    event = JobEvent.objects.get(kind=JobEvent.Kind.DOWNLOADED)
    assert event.actor.username == "alice"


@pytest.mark.parametrize(
    ("what", "noted"),
    [
        ("result.zip", "the result ZIP"),
        ("result/0.csv", "Leads-Leads.csv"),
        ("skipped.csv", "rows that were left out"),
        ("rows.csv", "all rows"),
        ("rows.csv?status=added&file=0", "added rows of Leads-Leads.csv"),
        ("rows.csv?code=INVALID_DATA&field=Last_Name", "all rows with INVALID_DATA-Last_Name"),
        ("rows.csv?q=Boyle+x", "all rows found by a search"),
        ("summary.csv", "the summary"),
    ],
)
def test_what_was_downloaded_is_noted(alice, job, what, noted):
    content(alice.get(f"/jobs/{job.pk}/{what}"))

    assert JobEvent.objects.get(kind=JobEvent.Kind.DOWNLOADED).text == noted


@pytest.mark.parametrize("what", [*EACH, "summary.csv"])
def test_looking_without_taking_reads_nothing_and_is_not_noted(alice, job, monkeypatch, what):
    monkeypatch.setattr(ResultArchive, "__init__", lambda *_: pytest.fail("the file is read"))

    response = alice.head(f"/jobs/{job.pk}/{what}")

    assert content(response) == b""
    assert response.status_code == 200
    assert "attachment" in response["Content-Disposition"]
    assert not JobEvent.objects.filter(kind=JobEvent.Kind.DOWNLOADED).exists()


@pytest.mark.parametrize("what", EACH)
def test_what_is_not_kept_is_not_found(alice, job, what):
    Result.objects.update(state=Result.State.EXPIRED)

    assert alice.get(f"/jobs/{job.pk}/{what}").status_code == 404
    assert alice.get(f"/jobs/{make_job().pk}/{what}").status_code == 404


@pytest.mark.parametrize("what", EACH)
def test_a_file_that_went_missing_is_not_found(alice, job, what):
    Path(job.result.archive.path).unlink()

    assert alice.get(f"/jobs/{job.pk}/{what}").status_code == 404
    assert alice.head(f"/jobs/{job.pk}/{what}").status_code == 404
    assert not JobEvent.objects.filter(kind=JobEvent.Kind.DOWNLOADED).exists()


@pytest.mark.parametrize("what", [each for each in EACH if each != "result.zip"])
def test_a_zip_that_was_damaged_since_is_not_found(alice, job, what):
    Path(job.result.archive.path).write_bytes(b"PK no more")

    assert alice.get(f"/jobs/{job.pk}/{what}").status_code == 404


def test_damage_further_on_breaks_the_download_off(alice, db):
    job = make_job(make_connection())
    see(job, completed(job, added=1, updated=0, skipped=0, total=1))
    rows = "".join(f"{uuid4()},ADDED,{number},\n" for number in range(9000))
    make_result(job, {"Leads.csv": f"Last_Name,STATUS,RECORD_ID,ERRORS\n{rows}"})
    path = Path(job.result.archive.path)
    body = bytearray(path.read_bytes())
    body[len(body) // 2] ^= 0xFF
    path.write_bytes(body)

    response = alice.get(f"/jobs/{job.pk}/rows.csv")

    assert response.status_code == 200
    with pytest.raises(ResultFileError):
        content(response)


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
    make_result(job, {"Leads.csv": "Last_Name,STATUS,ERRORS\nBoyle,ADDED,\n"})

    assert len(rows_of(alice.get(f"/jobs/{job.pk}/skipped.csv"))) == 1


class TestSeveralFiles:
    @pytest.fixture
    def job(self, db):
        job = make_job(make_connection())
        parts = [resource(module=name, added=1, updated=0, skipped=1, total=2) for name in MODULES]
        see(job, body(job, "COMPLETED", *parts, result={"download_url": "/v7/crm/org1/x.zip"}))
        head = "STATUS,RECORD_ID,ERRORS\n"
        make_result(
            job,
            {
                "Leads-Leads.csv": f"Last_Name,{head}Boyle,ADDED,1,\nHuber,SKIPPED,,\n",
                "Deals-Deals.csv": f"Deal,Stage,{head}Big,Won,ADDED,2,\n"
                "Odd,Lost,SKIPPED,,INVALID_DATA-Stage\n",
                "Tasks-Tasks.csv": "no,such,file\n1,2,3\n",
            },
        )
        return job

    def test_rows_of_all_files_come_with_a_header_for_each_kind_of_column(self, alice, job):
        assert [row[:4] for row in rows_of(alice.get(f"/jobs/{job.pk}/rows.csv"))][:-2] == [
            ["File", "Row", "Last_Name", "Record id"],
            ["Leads-Leads.csv", "1", "Boyle", "1"],
            ["Leads-Leads.csv", "2", "Huber", ""],
            [],
            ["File", "Row", "Deal", "Stage"],
            ["Deals-Deals.csv", "1", "Big", "Won"],
            ["Deals-Deals.csv", "2", "Odd", "Lost"],
        ]

    def test_a_file_that_cannot_be_read_is_named_and_not_passed_over(self, alice, job):
        for what in ("rows.csv", "skipped.csv", "rows.csv?file=2"):
            header, row = rows_of(alice.get(f"/jobs/{job.pk}/{what}"))[-2:]
            assert header == ["File", "Could not be read"]
            assert row[0] == "Tasks-Tasks.csv"
            assert "no STATUS and ERRORS columns" in row[1]

    def test_the_left_out_rows_are_the_rows_with_that_filter(self, alice, job):
        one = rows_of(alice.get(f"/jobs/{job.pk}/skipped.csv"))
        other = rows_of(alice.get(f"/jobs/{job.pk}/rows.csv?status=left_out"))

        assert one == other
        assert [row[1:2] for row in one[:5]] == [["Row"], ["2"], [], ["Row"], ["2"]]

    def test_a_file_without_such_rows_has_no_header_there(self, alice, job):
        rows = rows_of(alice.get(f"/jobs/{job.pk}/rows.csv?code=INVALID_DATA"))

        assert [row[:3] for row in rows[:2]] == [
            ["File", "Row", "Deal"],
            ["Deals-Deals.csv", "2", "Odd"],
        ]

    def test_the_filter_of_the_page_holds_for_the_download(self, alice, job):
        _, *rows = rows_of(
            alice.get(f"/jobs/{job.pk}/rows.csv?file=1&code=INVALID_DATA&field=Stage")
        )
        assert [row[:3] for row in rows] == [["Deals-Deals.csv", "2", "Odd"]]

    def test_a_row_without_a_reason_says_so(self, alice, job):
        _, row = rows_of(alice.get(f"/jobs/{job.pk}/rows.csv?file=0&status=skipped"))
        assert row[5] == "Zoho left the row out and gave no reason"

    def test_a_file_that_cannot_be_read_is_no_csv(self, alice, job):
        assert alice.get(f"/jobs/{job.pk}/result/2.csv").status_code == 404

    def test_the_summary_holds_rows_counts_and_reasons(self, alice, job):
        rows = rows_of(alice.get(f"/jobs/{job.pk}/summary.csv"))

        assert rows[1][:12] == [
            *("Leads-Leads.csv", "Leads", "2", "1", "0", "1", "0", "0"),
            *("1", "0", "1", "2"),
        ]
        assert rows[3][:8] == ["Tasks-Tasks.csv", "Tasks", "", "", "", "", "", ""]
        assert "no STATUS and ERRORS columns" in rows[3][12]
        assert rows[4][:3] == ["All files", job.modules, ""]
        assert rows[5] == []
        assert rows[6][:4] == ["File", "Code", "Field", "Rows"]
        assert rows[7][:4] == ["Deals-Deals.csv", "INVALID_DATA", "Stage", "1"]
        assert rows[7][5] == "2"
        assert rows[7][7]

    def test_what_zoho_did_not_count_is_empty(self, alice, job):
        job.resources.filter(module="Leads").update(skipped_count=None)

        assert rows_of(alice.get(f"/jobs/{job.pk}/summary.csv"))[1][10] == ""

    def test_the_summary_outlives_the_copy(self, alice, job):
        Result.objects.update(state=Result.State.DELETED)

        assert rows_of(alice.get(f"/jobs/{job.pk}/summary.csv"))[1][2] == "2"
        assert alice.get(f"/jobs/{job.pk}/rows.csv").status_code == 404


def test_a_summary_of_nothing_is_not_found(alice, db):
    assert alice.get(f"/jobs/{make_job().pk}/summary.csv").status_code == 404


@pytest.mark.parametrize(
    ("query", "named"),
    [
        ("status=skiped", "status “skiped”"),
        ("file=7", "file “7”"),
        ("file=-1", "file “-1”"),
        ("file=0&q=%00", "search"),
        (f"code={'x' * 101}", "code"),
    ],
)
def test_a_download_with_a_filter_that_makes_no_sense_is_refused(alice, job, query, named):
    response = alice.get(f"/jobs/{job.pk}/rows.csv?{query}")

    assert response.status_code == 400
    assert response["Content-Type"] == "text/plain; charset=utf-8"
    assert named in response.content.decode()
    assert not JobEvent.objects.filter(kind=JobEvent.Kind.DOWNLOADED).exists()


@pytest.mark.parametrize(
    ("query", "name"),
    [
        ("", "rows"),
        ("?status=left_out", "left_out-rows"),
        ("?file=0&code=INVALID_DATA&field=Last_Name", "Leads-Leads-INVALID_DATA-Last_Name-rows"),
    ],
)
def test_a_download_is_named_after_the_job_and_what_it_holds(alice, job, query, name):
    response = alice.head(f"/jobs/{job.pk}/rows.csv{query}")

    expected = f'attachment; filename="Leads-{job.zoho_job_id}-{name}.csv"'
    assert response["Content-Disposition"] == expected


@pytest.mark.parametrize("bad", ["../../x", "a\r\nb: c", '"', "\u202e", "x" * 200])
def test_a_hostile_filter_is_no_part_of_a_header(alice, job, bad):
    response = alice.get(f"/jobs/{job.pk}/rows.csv", {"code": "INVALID_DATA", "field": bad})
    content(response)

    assert not set('\r\n<>/\\"') & set(response["Content-Disposition"].split("filename")[1][2:-1])
