"""The page that gives left-out rows back, and the files it gives."""

import io
from datetime import timedelta
from pathlib import Path
from zipfile import ZipFile

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.files.uploadhandler import TemporaryFileUploadHandler
from django.test import Client
from django.utils import timezone

from jobs.models import JobEvent, OriginalFile, Result
from jobs.tests.factories import completed, make_job, make_result, make_user, observe

HEADER = b"Id,Last_Name,Company\n"
ROWS = [b"1,Boyle,Acme\n", b"2,,Foo\n", b"3,Zuse,Bar\n"]
UPLOAD = HEADER + b"".join(ROWS)
RESULT = (
    "Last_Name,Company,STATUS,RECORD_ID,ERRORS\n"
    "Boyle,Acme,ADDED,11,\n"
    ",Foo,SKIPPED,,MANDATORY_NOT_FOUND-Last_Name\n"
    "Zuse,Bar,UNPROCESSED,,\n"
)
XSS = '<script>alert(1)</script>"><img src=x onerror=alert(1)>'


@pytest.fixture
def job(db):
    job = make_job()
    observe(job, completed(job, added=1, updated=0, skipped=2, total=3))
    make_result(job, {"Leads-leads.csv": RESULT})
    return job


def send(client, job, content=UPLOAD, name="leads.csv", **fields):
    upload = SimpleUploadedFile(name, content)
    return client.post(f"/jobs/{job.pk}/reimport/", {"upload": upload} | fields)


def page(client, job) -> str:
    return client.get(f"/jobs/{job.pk}/reimport/").content.decode()


def body(response) -> bytes:
    return b"".join(response.streaming_content)


class TestThePage:
    def test_asks_for_the_file(self, alice, job):
        shown = page(alice, job)

        assert "2 of 3 rows left out" in shown
        assert "No file is attached yet." in shown
        assert 'type="file" id="id_upload"' in shown
        assert 'enctype="multipart/form-data"' in shown

    def test_shows_the_report_after_attaching(self, alice, job):
        response = send(alice, job)

        assert response.status_code == 302
        assert response["Location"] == f"/jobs/{job.pk}/reimport/#file-0"
        shown = page(alice, job)
        assert "2 of 2 left-out rows are found in leads.csv." in shown
        assert "Download 2 rows to import again" in shown
        assert "Matched by order." in shown
        assert "by alice" in shown
        assert "Not in the file you get" not in shown

    def test_names_what_is_not_given_back(self, alice, job):
        send(alice, job, HEADER + b"1,Boyle,Acme\n3,Zuse,Bar\n4,Zuse,Bar\n")

        shown = page(alice, job)
        assert "None found" in shown
        assert "leads.csv is attached: 0 of 2 rows that were left out are found in it." in shown
        assert "banner-good" not in shown
        assert "Download" not in shown.split("<main")[1].split("Not in the file")[0]
        assert "1 ambiguous" in shown
        assert "your file has 2 rows with these values" in shown
        assert "1 missing" in shown

    def test_warns_of_rows_known_by_their_place_alone(self, alice, db):
        job = make_job()
        observe(job, completed(job, added=1, updated=0, skipped=1, total=2))
        make_result(
            job, {"Leads-leads.csv": "Last_Name,STATUS,ERRORS\nZuse,ADDED,\nZuse,SKIPPED,\n"}
        )

        send(alice, job, b"Last_Name,Id\nZuse,1\nZuse,2\n")

        shown = page(alice, job)
        assert "1 of these rows is known by its place alone" in shown
        assert "chip-good" not in shown

    @pytest.mark.parametrize(
        ("content", "said"),
        [
            (HEADER + b"".join(ROWS[1:]), "1 row that Zoho wrote is not in it"),
            (UPLOAD + b"4,New,Baz\n", "1 of its 4 rows is not in the result"),
        ],
    )
    def test_warns_of_a_file_that_is_not_quite_the_upload(self, alice, job, content, said):
        send(alice, job, content)

        shown = page(alice, job)
        assert "2 of 2 left-out rows are found" in shown
        assert "not quite the file that was uploaded" in shown
        assert said in shown
        assert "chip-good" not in shown

    def test_names_rows_of_an_unknown_status_and_is_not_green(self, alice, db):
        job = make_job()
        observe(job, completed(job, added=1, updated=0, skipped=2, total=3))
        make_result(
            job,
            {
                "Leads-leads.csv": "Last_Name,Company,STATUS,ERRORS\nBoyle,Acme,ADDED,\n"
                ",Foo,SKIPPED,\nZuse,Bar,FAILED,INVALID_DATA-Company\n"
            },
        )

        send(alice, job)

        shown = page(alice, job)
        assert "1 of 1 left-out row is found" in shown
        assert "1 row has the status “FAILED”, which Zoho does not document" in shown
        assert "it is not in the file you get" in shown
        assert f'href="/jobs/{job.pk}/rows/?file=0&amp;status=other"' in shown
        assert "chip-good" not in shown
        assert "banner-good" not in shown

    def test_of_a_result_with_rows_of_an_unknown_status_alone_claims_nothing(self, alice, db):
        job = make_job()
        observe(job, completed(job, added=1, updated=0, skipped=0, total=1))
        make_result(job, {"Leads-leads.csv": "Last_Name,STATUS,ERRORS\nBoyle,FAILED,\n"})

        shown = page(alice, job)
        assert "No row is known to be left out" in shown
        assert "every row was added or updated" not in shown

    @pytest.mark.parametrize(
        ("state", "said"),
        [
            ("pending", "No result file is kept"),
            ("expired", "No result file is kept"),
            ("deleted", "The result was deleted here"),
        ],
    )
    def test_says_why_nothing_can_be_attached(self, alice, job, state, said):
        Result.objects.update(state=state)

        assert said in page(alice, job)
        assert 'type="file"' not in page(alice, job)
        response = send(alice, job)
        assert response.status_code == 302
        assert "No copy of this job’s result is kept" in page(alice, job)  # noqa: RUF001

    def test_of_a_job_without_a_result_says_so(self, alice, db):
        assert "No result file yet" in page(alice, make_job())

    def test_of_a_result_without_left_out_rows_says_so(self, alice, db):
        job = make_job()
        observe(job, completed(job, added=1, updated=0, skipped=0, total=1))
        make_result(job, {"Leads-leads.csv": "Last_Name,STATUS,ERRORS\nBoyle,ADDED,\n"})

        assert "No row was left out" in page(alice, job)

    def test_of_an_unreadable_result_does_not_say_that_all_is_well(self, alice, db):
        job = make_job()
        observe(job, completed(job, added=1, updated=0, skipped=0, total=1))
        make_result(job, {"Leads-leads.csv": "neither,nor\n"})

        assert "No row was left out" not in page(alice, job)
        assert "The result file could not be read" in page(alice, job)

    def test_shows_names_and_values_as_text(self, alice, db):
        job = make_job()
        observe(job, completed(job, added=0, updated=0, skipped=2, total=2))
        cell = XSS.replace('"', '""')
        make_result(
            job, {"Leads-x.csv": f'"{cell}",STATUS,ERRORS\n"{cell}",SKIPPED,\nb,SKIPPED,\n'}
        )

        send(alice, job, f'"{cell}"\n"{cell}2"\nc\n'.encode(), name=XSS.replace("/", ""))

        shown = page(alice, job)
        assert "<script>alert" not in shown
        assert "<img src=x" not in shown
        assert "&lt;script&gt;alert(1)" in shown

    def test_of_the_demo_links_to_the_sample_uploads(self, alice, job, settings):
        assert "__sandbox__" not in page(alice, job)
        settings.DEMO = True
        job.connection.is_sample = True
        job.connection.save()

        link = f"{job.connection.api_url}/__sandbox__/jobs/{job.zoho_job_id}/upload/0"
        assert link in page(alice, job)

    def test_asks_the_database_as_often_for_many_files(
        self, alice, db, django_assert_max_num_queries
    ):
        job = make_job()
        observe(job, completed(job, added=0, updated=0, skipped=9, total=9))
        one = "Last_Name,STATUS,ERRORS\nBoyle,SKIPPED,\n"
        make_result(job, {f"Leads-{number}.csv": one for number in range(9)})
        for position in range(9):
            send(alice, job, b"Last_Name\nBoyle\n", position=position)

        with django_assert_max_num_queries(9):
            page(alice, job)


class TestAFileThatCannotBeUsed:
    @pytest.mark.parametrize(
        ("content", "said"),
        [
            (b"", "The file is empty."),
            (b"%PDF-1.4", "The file is no CSV but a PDF."),
            (RESULT.encode(), "This is Zoho&#x27;s result file; attach the file that was uploaded"),
            (b"A,B\n1,2\n", "none of the columns that Zoho&#x27;s result shows"),
        ],
    )
    def test_is_answered_with_what_to_do(self, alice, job, content, said):
        response = send(alice, job, content)

        assert response.status_code == 200
        assert said in response.content.decode()
        assert not OriginalFile.objects.exists()

    def test_is_missed_where_none_is_sent(self, alice, job):
        response = alice.post(f"/jobs/{job.pk}/reimport/", {})
        assert "Choose the file that was uploaded to Zoho." in response.content.decode()

    def test_for_no_result_file_is_refused(self, alice, db):
        job = make_job()
        observe(job, completed(job, added=0, updated=0, skipped=2, total=2))
        make_result(job, dict.fromkeys(("Leads-a.csv", "Leads-b.csv"), RESULT))

        response = send(alice, job, position="7")

        assert "Select a valid choice" in response.content.decode()

    def test_leaves_the_chosen_result_file_chosen(self, alice, db):
        job = make_job()
        observe(job, completed(job, added=0, updated=0, skipped=2, total=2))
        make_result(job, dict.fromkeys(("Leads-a.csv", "Leads-b.csv"), RESULT))
        assert " selected" not in page(alice, job)

        shown = send(alice, job, b"%PDF", position="1").content.decode()

        assert '<option value="1" selected>Leads-b.csv</option>' in shown
        assert '<option value="0">Leads-a.csv</option>' in shown

    @pytest.mark.parametrize("size", [1_100_000, 4_000_000])
    def test_of_more_than_the_limit_is_not_written(self, alice, job, settings, size):
        settings.MAX_UPLOAD_MEGABYTES = 1

        response = send(alice, job, HEADER + b"x" * size)

        assert "The file is larger than 1 MB" in response.content.decode()
        assert not OriginalFile.objects.exists()

    def test_counts_against_the_limit_with_all_files_of_the_request(self, alice, job, settings):
        settings.MAX_UPLOAD_MEGABYTES = 1
        others = {f"other{number}": SimpleUploadedFile("x", b"x" * 600_000) for number in range(2)}

        response = alice.post(
            f"/jobs/{job.pk}/reimport/",
            others | {"upload": SimpleUploadedFile("leads.csv", UPLOAD)},
        )

        assert "The file is larger than 1 MB" in response.content.decode()

    @pytest.mark.parametrize("is_signed_in", [True, False])
    def test_of_a_stranger_is_not_written(self, job, monkeypatch, is_signed_in):
        written: list[bytes] = []
        monkeypatch.setattr(
            TemporaryFileUploadHandler,
            "receive_data_chunk",
            lambda self, raw_data, start: written.append(raw_data),
        )
        # The check of the form's token is what reads the form before anybody asks who sent it.
        client = Client(enforce_csrf_checks=True)
        token = client.get("/accounts/login/").cookies["bulkwatch_csrf"].value
        if is_signed_in:
            client.force_login(make_user("bob"))

        response = send(client, job, csrfmiddlewaretoken=token)

        assert bool(written) is is_signed_in
        if not is_signed_in:
            assert "/accounts/login/" in response["Location"]


class TestTheFile:
    def test_is_the_left_out_rows_as_they_were(self, alice, job):
        send(alice, job)
        response = alice.get(f"/jobs/{job.pk}/reimport/0.csv")

        assert body(response) == HEADER + ROWS[1] + ROWS[2]
        assert response["Content-Type"] == "text/csv"
        assert response["Cache-Control"] == "private, no-store"
        assert response["X-Content-Type-Options"] == "nosniff"
        assert response["Content-Disposition"] == (
            f'attachment; filename="Leads-{job.zoho_job_id}-leads-to-import-again.csv"'
        )
        event = JobEvent.objects.filter(kind="original").latest("pk")
        assert event.text == "Downloaded: 2 rows of leads.csv to import again"
        assert event.actor.username == "alice"

    def test_can_say_why_each_row_was_left_out(self, alice, job):
        send(alice, job)
        told = body(alice.get(f"/jobs/{job.pk}/reimport/0.csv?reasons=1"))

        assert told.splitlines()[0] == b"Id,Last_Name,Company,Bulkwatch: why"
        why = b"Zoho did not come to the row before the job ended"
        assert told.splitlines()[2] == b'3,Zuse,Bar,"' + why + b'"'

    def test_comes_in_a_zip_too(self, alice, job):
        send(alice, job)
        response = alice.get(f"/jobs/{job.pk}/reimport/0.csv?as=zip")

        assert response["Content-Disposition"].endswith('-leads-to-import-again.zip"')
        with ZipFile(io.BytesIO(body(response))) as archive:
            assert archive.namelist() == ["leads.csv"]
            assert archive.read("leads.csv") == HEADER + ROWS[1] + ROWS[2]

    def test_of_a_vanished_upload_is_a_404_that_says_what_to_do(self, alice, job):
        send(alice, job)
        Path(OriginalFile.objects.get().content.path).unlink()

        for how in ("", "?as=zip", "?reasons=1"):
            response = alice.get(f"/jobs/{job.pk}/reimport/0.csv{how}")
            assert response.status_code == 404
            assert "Attach it again" in response.content.decode()
        assert not JobEvent.objects.filter(text__startswith="Downloaded").exists()

    def test_of_an_upload_whose_time_has_passed_is_not_found_before_it_is_deleted(self, alice, job):
        send(alice, job)
        OriginalFile.objects.update(expires_at=timezone.now())

        assert alice.get(f"/jobs/{job.pk}/reimport/0.csv").status_code == 404
        assert "No file is attached yet." in page(alice, job)
        assert "Attach another file" not in page(alice, job)
        assert "Rows to import again" not in alice.get(f"/jobs/{job.pk}/").content.decode()

    def test_of_another_job_or_position_is_not_found(self, alice, job):
        send(alice, job)

        assert alice.get(f"/jobs/{make_job().pk}/reimport/0.csv").status_code == 404
        for position in ("1", "99999999999999999999"):
            assert alice.get(f"/jobs/{job.pk}/reimport/{position}.csv").status_code == 404

    def test_is_not_noted_where_only_its_headers_are_asked_for(self, alice, job):
        send(alice, job)
        assert alice.head(f"/jobs/{job.pk}/reimport/0.csv").status_code == 200
        assert not JobEvent.objects.filter(text__startswith="Downloaded").exists()


class TestDeleting:
    def test_takes_the_file_and_says_so(self, alice, job):
        send(alice, job)
        path = Path(OriginalFile.objects.get().content.path)

        response = alice.post(f"/jobs/{job.pk}/reimport/0/delete/", follow=True)

        assert "leads.csv is deleted." in response.content.decode()
        assert not path.exists()
        assert alice.get(f"/jobs/{job.pk}/reimport/0.csv").status_code == 404
        again = alice.post(f"/jobs/{job.pk}/reimport/0/delete/", follow=True)
        assert again.status_code == 200

    def test_is_done_by_post_alone(self, alice, job):
        send(alice, job)
        assert alice.get(f"/jobs/{job.pk}/reimport/0/delete/").status_code == 405
        assert OriginalFile.objects.exists()


def test_the_time_until_which_it_is_kept_is_said(alice, job, settings):
    settings.ORIGINAL_KEPT_HOURS = 3
    send(alice, job)
    original = OriginalFile.objects.get()
    assert original.expires_at - timezone.now() <= timedelta(hours=3)
    local = timezone.localtime(original.expires_at)

    shown = page(alice, job)
    assert "is kept for 3 hours" in shown
    assert f"{local:%b %Y, %H:%M}" in shown


class TestTheJobsPage:
    def test_offers_the_rows_where_all_is_well(self, alice, job):
        send(alice, job)

        shown = alice.get(f"/jobs/{job.pk}/").content.decode()
        assert f'href="/jobs/{job.pk}/reimport/0.csv">' in shown
        assert "All found" in shown

    @pytest.mark.parametrize(
        ("content", "said"),
        [
            (UPLOAD + b"4,New,Baz\n", "1 row of the file is not in the result."),
            (HEADER + b"".join(ROWS[1:]), "1 imported row is not in the file."),
            (UPLOAD.replace(b"Company", b"Firm"), "Not compared: “Company”."),
            (HEADER + ROWS[0] + ROWS[1], "1 missing."),
            (UPLOAD.replace(b"Zuse", b"Konrad"), "1 changed."),
            (UPLOAD + ROWS[2].replace(b"3", b"4"), "1 ambiguous."),
        ],
    )
    def test_says_what_is_in_doubt_and_leads_to_the_report(self, alice, job, content, said):
        send(alice, job, content)

        shown = alice.get(f"/jobs/{job.pk}/").content.decode()
        attached = shown.split('id="attached-0-heading"')[1].split("</section>")[0]
        assert said in attached
        assert "chip-good" not in attached
        assert "reimport/0.csv" not in attached
        assert f'class="btn btn-primary" id="attached-0-report" href="/jobs/{job.pk}/' in attached
