"""Attaching an upload: what is matched, kept, told and refused."""

import io
from datetime import timedelta
from pathlib import Path
from zipfile import ZipFile

import pytest
import time_machine
from django.core.files.storage import FileSystemStorage
from django.core.files.uploadedfile import TemporaryUploadedFile
from django.utils import timezone

from jobs.models import JobEvent, OriginalFile, Result
from jobs.services.reimport import keeping
from jobs.services.reimport.originals import OriginalFileError
from jobs.services.reimport.report import Report
from jobs.tests.factories import make_user
from jobs.tests.services.attached import (
    HEADER,
    RESULT,
    ROWS,
    UPLOAD,
    attach,
    given,
    job_with,
    stored,
    upload,
    zipped,
)

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("empty_storage")]


class TestAttaching:
    def test_gives_the_left_out_rows_byte_for_byte(self, result):
        assert given(attach(result)) == HEADER + ROWS[1] + ROWS[3]

    def test_says_how_rows_were_matched(self, result):
        report = Report(**attach(result).report)

        assert (report.method, report.left_out, report.matched) == ("order", 2, 2)
        assert report.columns == ["Last_Name", "Company"]
        assert (report.result_rows, report.original_rows) == (4, 4)
        assert (report.encoding, report.delimiter) == ("UTF-8", "comma")

    def test_notes_who_did_it_and_until_when_it_is_kept(self, result, settings):
        settings.ORIGINAL_KEPT_HOURS = 5
        alice = make_user("alice")
        with time_machine.travel("2026-11-24T10:00:00Z", tick=False):
            original = attach(result, user=alice)
            now = timezone.now()

        assert (original.attached_by, original.expires_at) == (alice, now + timedelta(hours=5))
        event = JobEvent.objects.get(kind="original")
        assert (event.job_id, event.actor) == (result.job_id, alice)
        assert event.text == "leads.csv was attached: 2 of 2 left-out rows found in it"

    def test_keeps_the_bytes_where_nobody_else_can_read_them(self, result):
        original = attach(result)

        path = Path(original.content.path)
        assert path.read_bytes() == UPLOAD
        assert path.stat().st_mode & 0o777 == 0o600
        assert "leads" not in path.name
        assert original.size == len(UPLOAD)

    def test_again_replaces_what_was_attached(self, result):
        first = attach(result)
        second = attach(result, HEADER + b"".join(reversed(ROWS)))

        assert OriginalFile.objects.get().pk == second.pk
        assert stored() == [Path(second.content.name).name]
        assert Path(first.content.name) != Path(second.content.name)
        assert given(second) == HEADER + ROWS[3] + ROWS[1]

    def test_takes_large_uploads_from_their_temporary_file(self, result):
        with TemporaryUploadedFile("leads.csv", "text/csv", len(UPLOAD), None) as large:
            large.write(UPLOAD)
            large.flush()
            (original,) = keeping.attach(result, large).originals

        assert given(original) == HEADER + ROWS[1] + ROWS[3]

    def test_uses_the_job_s_encoding(self):
        result = job_with({"Leads-leads.csv": RESULT}, character_encoding="windows-1252")
        content = UPLOAD.decode().encode("cp1252")

        original = attach(result, content)

        assert original.report["encoding"] == "Windows-1252"
        assert original.report["matched"] == 2

    def test_tells_columns_of_one_name_apart_by_the_mapping(self):
        result = job_with({"Leads-leads.csv": RESULT})
        twice = b"Last_Name,Company,Last_Name\n,Acme,Boyle\nx,Foo,\n,Bar,y\nx,,Zuse\n"

        report = attach(result, twice).report
        # The mapping says: Last_Name is column 0, where most names are missing.
        assert report["columns"] == ["Last_Name", "Company"]
        assert report["changed"] == 2

        mapping = result.job.resources.get().field_mappings.get(api_name="Last_Name")
        mapping.index = 2
        mapping.save()
        assert (
            attach(result, twice.replace(b",y\n", b',"M\xc3\xbcller; ""X"""\n')).report["matched"]
            == 2
        )

    def test_of_a_file_that_was_sorted_matches_by_the_columns(self, result):
        report = attach(result, HEADER + b"".join(reversed(ROWS))).report

        assert (report["method"], report["matched"]) == ("key", 2)

    def test_says_what_is_not_given_back_and_why(self):
        result = job_with(
            {
                "Leads-leads.csv": "Last_Name,Company,STATUS,RECORD_ID,ERRORS\n"
                "A,1,ADDED,11,\nA,1,SKIPPED,,\nB,2,SKIPPED,,\nC,3,SKIPPED,,\nD,4,SKIPPED,,\n"
            }
        )
        file = b"Last_Name,Company,Id\nA,1,x\nA,1,y\nD,4,z\nC2,3,w\nE,5,v\n"

        original = attach(result, file)
        report = Report(**original.report)

        assert given(original) == b"Last_Name,Company,Id\nD,4,z\n"
        assert (report.left_out, report.matched) == (4, 1)
        assert (report.ambiguous, report.missing, report.changed) == (1, 1, 1)
        assert report.ambiguous_examples == [
            {
                "rows": [2],
                "count": 1,
                "others": 1,
                "found": 2,
                "values": [["Last_Name", "A"], ["Company", "1"]],
            }
        ]
        assert [example["rows"] for example in report.missing_examples] == [[3]]
        assert report.changed_examples == [{"row": 4, "changes": [["Last_Name", "C", "C2"]]}]
        assert report.unknown == 2


class TestDoubts:
    SORTED = b"Surname,Firm,Country\nIto,Foo,DE\nBoyle,Acme,DE\nZuse,Bar,DE\n"

    def test_what_few_columns_show_does_not_give_a_row_that_is_in_the_crm(self):
        result = job_with(
            {
                "Leads-leads.csv": "Last_Name,Company,Country,STATUS,RECORD_ID,ERRORS\n"
                "Boyle,Acme,DE,ADDED,1,\nIto,Foo,DE,SKIPPED,,\nZuse,Bar,DE,ADDED,2,\n"
            }
        )

        original = attach(result, self.SORTED)
        report = Report(**original.report)

        assert given(original) == b"Surname,Firm,Country\n"
        assert (report.method, report.ambiguous, report.tone) == ("key", 1, "bad")
        assert report.columns_not_found == ["Last_Name", "Company"]

    def test_rows_of_an_unknown_status_are_told_and_not_given(self):
        result = job_with(
            {
                "Leads-leads.csv": "Last_Name,Company,STATUS,RECORD_ID,ERRORS\n"
                "Boyle,Acme,ADDED,1,\nIto,Foo,SKIPPED,,\nZuse,Bar,Failed,,INVALID_DATA-Company\n"
                "X,Y,,,\n"
            }
        )

        rows = [b"Last_Name,Company\n", b"Boyle,Acme\n", b"Ito,Foo\n", b"Zuse,Bar\n", b"X,Y\n"]
        original = attach(result, b"".join(rows))
        report = Report(**original.report)

        assert given(original) == rows[0] + rows[2]
        assert (report.left_out, report.matched, report.tone) == (1, 1, "warn")
        assert (report.untold, report.untold_statuses) == (2, ["FAILED", ""])
        without_them = Report(**attach(result, b"".join(rows[:3])).report)
        assert (without_them.matched, without_them.written_lost) == (1, 0)

    def test_of_many_unknown_statuses_the_first_are_named(self):
        rows = "".join(f"{number},{'x' * 60}{number},\n" for number in range(50))
        result = job_with({"Leads-leads.csv": f"A,STATUS,ERRORS\n{rows}z,SKIPPED,\n"})
        told = attach(result, b"A\nz\n").report
        assert told["untold"] == 50
        assert told["untold_statuses"] == ["X" * 50]

    @pytest.mark.parametrize(
        ("content", "tone"),
        [
            (UPLOAD, "good"),
            (UPLOAD.replace(b"Company", b"Firm"), "warn"),
            (HEADER + b"".join(ROWS[1:]), "warn"),
            (UPLOAD + b"5,New,Row\n", "warn"),
            (HEADER + b"".join(ROWS[:3]), "warn"),
            (HEADER + ROWS[0], "bad"),
        ],
    )
    def test_all_is_well_only_where_nothing_is_in_doubt(self, result, content, tone):
        assert Report(**attach(result, content).report).tone == tone


class TestRefused:
    @pytest.mark.parametrize(
        ("content", "said"),
        [
            (b"", "The file is empty."),
            (HEADER, "a header and no rows"),
            (b"%PDF-1.4\n", "no CSV but a PDF"),
            (b"PK\x03\x04 no ZIP", "not a readable ZIP"),
            (RESULT.encode(), "This is Zoho's result file; attach the file that was uploaded"),
            (
                b"Name,Firm\nBoyle,Acme\n",
                "none of the columns that Zoho's result shows: “Last_Name”",
            ),
            (b"Last_Name" + b",x" * 300 + b"\n", "The header has 301 columns"),
            (HEADER + b'1,"Boyle,Acme\n', "quotation marks do not pair up"),
        ],
    )
    def test_what_cannot_be_used_is_refused_in_words_and_not_kept(self, result, content, said):
        with pytest.raises(OriginalFileError, match=said):
            attach(result, content)

        assert stored() == []
        assert not OriginalFile.objects.exists()
        assert not JobEvent.objects.filter(kind="original").exists()

    def test_a_refused_file_leaves_the_one_before_it(self, result):
        original = attach(result)
        with pytest.raises(OriginalFileError):
            attach(result, b"%PDF")

        assert given(original) == HEADER + ROWS[1] + ROWS[3]

    def test_what_is_too_large_is_refused(self, result, settings):
        settings.MAX_UPLOAD_MEGABYTES = 1
        large = HEADER + ROWS[0] * 100_000

        with pytest.raises(OriginalFileError, match="larger than 1 MB"):
            attach(result, large)
        packed = io.BytesIO()
        with ZipFile(packed, "w", 8) as archive:
            archive.writestr("leads.csv", large)
        with pytest.raises(OriginalFileError, match=r"too large once unpacked"):
            attach(result, packed.getvalue())
        assert stored() == []

    def test_a_workbook_is_named_as_one(self, result):
        workbook = zipped(**{"[Content_Types].xml": b"<x/>", "xl/workbook.xml": b"<x/>"})
        with pytest.raises(OriginalFileError, match="an Excel workbook"):
            keeping.attach(result, workbook)
        with pytest.raises(OriginalFileError, match="holds no CSV"):
            keeping.attach(result, zipped(readme__pdf=b"x"))

    def test_a_result_without_left_out_rows_has_nothing_to_give(self):
        result = job_with({"Leads-leads.csv": "Last_Name,STATUS,ERRORS\nBoyle,ADDED,\n"})

        with pytest.raises(OriginalFileError, match=r"No row of Leads-leads\.csv was"):
            attach(result)

    def test_without_our_copy_of_the_result_nothing_is_matched(self, result):
        Path(result.archive.path).unlink()
        with pytest.raises(OriginalFileError, match="kept copy of the result is gone"):
            attach(result)

        result.state = Result.State.DELETED
        with pytest.raises(OriginalFileError, match="No copy of this job's result is kept"):
            attach(result)

    def test_a_result_deleted_meanwhile_gets_no_file(self, result):
        Result.objects.update(state=Result.State.DELETED)

        with pytest.raises(OriginalFileError, match="deleted in the meantime"):
            attach(result)
        assert stored() == []

    def test_a_full_disk_is_told_and_leaves_nothing(self, result, monkeypatch):
        def fail(self: FileSystemStorage, name: str, content: object) -> str:
            Path(self.path(name)).parent.mkdir(parents=True, exist_ok=True)
            Path(self.path(name)).write_bytes(b"half")
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(FileSystemStorage, "_save", fail)
        with pytest.raises(OriginalFileError, match="could not be stored here"):
            attach(result)
        assert stored() == []


class TestSeveralFiles:
    LEADS = "Last_Name,STATUS,ERRORS\nBoyle,SKIPPED,\n"
    DEALS = "Deal_Name,STATUS,ERRORS\nBig,SKIPPED,\n"
    LEADS_UPLOAD = b"Id,Last_Name\n1,Boyle\n"
    DEALS_UPLOAD = b"Id,Deal_Name\n1,Big\n"

    @pytest.fixture
    def result(self) -> Result:
        return job_with({"Leads-leads.csv": self.LEADS, "Deals-deals.csv": self.DEALS})

    def test_a_csv_goes_to_the_file_it_is_named_after(self, result):
        for name in ("deals.csv", "DEALS.CSV", "Deals-deals.csv"):
            (original,) = keeping.attach(result, upload(self.DEALS_UPLOAD, name)).originals
            assert original.file.name == "Deals-deals.csv"

    def test_of_files_with_equal_columns_the_name_decides(self):
        result = job_with({"Leads-north.csv": self.LEADS, "Leads-south.csv": self.LEADS})

        (original,) = keeping.attach(result, upload(self.LEADS_UPLOAD, "South.csv")).originals

        assert original.file.name == "Leads-south.csv"

    def test_a_csv_of_another_name_goes_where_its_columns_suit(self, result):
        (original,) = keeping.attach(result, upload(self.DEALS_UPLOAD, "old.csv")).originals

        assert original.file.name == "Deals-deals.csv"

    def test_a_csv_goes_where_a_person_says(self, result):
        (original,) = keeping.attach(
            result, upload(self.DEALS_UPLOAD, "leads.csv"), position=1
        ).originals

        assert original.file.name == "Deals-deals.csv"
        with pytest.raises(OriginalFileError, match="no such result file"):
            attach(result, position=7)

    def test_where_it_cannot_be_told_the_choices_are_named(self, result):
        both = b"Last_Name,Deal_Name\nBoyle,Big\n"
        with pytest.raises(OriginalFileError) as refused:
            keeping.attach(result, upload(both, "both.csv"))

        assert "suit several result files" in str(refused.value)
        assert "Leads-leads.csv (Last_Name); Deals-deals.csv (Deal_Name)" in str(refused.value)
        with pytest.raises(OriginalFileError, match="suit no result file"):
            keeping.attach(result, upload(b"A,B\n1,2\n", "both.csv"))

    def test_a_zip_is_shared_out_and_what_suits_nothing_is_named(self, result):
        packed = zipped(
            deals__csv=self.DEALS_UPLOAD,
            other__csv=self.LEADS_UPLOAD,
            third__csv=b"A\n1\n",
            readme__pdf=b"x",
        )

        attached = keeping.attach(result, packed)

        assert {original.file.name: given(original) for original in attached.originals} == {
            "Leads-leads.csv": self.LEADS_UPLOAD,
            "Deals-deals.csv": self.DEALS_UPLOAD,
        }
        assert attached.left_aside == [
            "third.csv: its name and its columns suit no result file.",
            "readme.pdf: it is no CSV.",
        ]

    def test_of_two_csvs_of_one_name_none_is_taken(self):
        alike = "Last_Name,STATUS,ERRORS\nBoyle,SKIPPED,\n"
        result = job_with({"Leads-leads.csv": alike, "Contacts-c.csv": alike})
        packed = io.BytesIO()
        with ZipFile(packed, "w") as archive:
            for folder in ("old", "new"):
                archive.writestr(f"{folder}/leads.csv", b"Last_Name\nBoyle\n")

        with pytest.raises(OriginalFileError) as refused:
            keeping.attach(result, upload(packed.getvalue(), "import.zip"))

        assert "old/leads.csv, new/leads.csv: these bear the name of Leads-leads.csv" in str(
            refused.value
        )
        assert not OriginalFile.objects.exists()

    def test_what_is_named_after_another_file_is_not_matched_by_its_columns(self):
        result = job_with({"Leads-leads.csv": self.LEADS, "Contacts-c.csv": self.LEADS})
        packed = zipped(leads__csv=self.LEADS_UPLOAD, other__csv=b"A\n1\n")

        with pytest.raises(OriginalFileError, match=r"Leads-leads\.csv, which was not chosen"):
            keeping.attach(result, packed, position=1)

        result.files.filter(position=0).update(error="It is no CSV.")
        with pytest.raises(OriginalFileError, match="which could not be read: It is no CSV"):
            keeping.attach(result, upload(self.LEADS_UPLOAD))
        (original,) = keeping.attach(result, upload(self.LEADS_UPLOAD, "mine.csv")).originals
        assert original.file.name == "Contacts-c.csv"

    def test_two_csvs_with_the_columns_of_one_file_are_both_refused(self, result):
        packed = zipped(a__csv=self.LEADS_UPLOAD, b__csv=self.LEADS_UPLOAD)

        with pytest.raises(OriginalFileError) as refused:
            keeping.attach(result, packed)

        for name in "ab":
            assert f"{name}.csv: its columns suit Leads-leads.csv, but those" in str(refused.value)

    def test_the_columns_of_a_file_that_has_its_own_csv_draw_no_other(self, result):
        packed = zipped(leads__csv=self.LEADS_UPLOAD, other__csv=self.LEADS_UPLOAD)

        attached = keeping.attach(result, packed)

        assert [original.name for original in attached.originals] == ["leads.csv"]
        assert attached.left_aside == ["other.csv: its name and its columns suit no result file."]

    def test_of_several_files_of_its_name_a_csv_goes_where_its_columns_suit(self):
        result = job_with(
            {"Leads-x.csv": self.LEADS, "Deals-x.csv": self.DEALS, "Contacts-c.csv": self.LEADS}
        )

        (original,) = keeping.attach(result, upload(self.LEADS_UPLOAD, "x.csv")).originals

        assert original.file.name == "Leads-x.csv"

    def test_uploads_of_one_name_are_told_apart_by_their_columns(self):
        result = job_with({"Leads-x.csv": self.LEADS, "Deals-x.csv": self.DEALS})
        packed = io.BytesIO()
        with ZipFile(packed, "w") as archive:
            archive.writestr("deals/x.csv", self.DEALS_UPLOAD)
            archive.writestr("leads/x.csv", self.LEADS_UPLOAD)

        attached = keeping.attach(result, upload(packed.getvalue(), "import.zip"))

        assert {original.file.name: given(original) for original in attached.originals} == {
            "Leads-x.csv": self.LEADS_UPLOAD,
            "Deals-x.csv": self.DEALS_UPLOAD,
        }

    def test_what_else_a_zip_holds_does_not_hide_why_its_csv_is_refused(self):
        result = job_with({"Leads-leads.csv": self.LEADS})

        with pytest.raises(OriginalFileError, match="is no CSV but a PDF"):
            keeping.attach(result, zipped(readme__pdf=b"x", leads__csv=b"%PDF"))

    def test_one_bad_csv_of_a_zip_does_not_cost_the_others(self, result):
        packed = zipped(deals__csv=self.DEALS_UPLOAD, leads__csv=b'Last_Name\n"x')

        attached = keeping.attach(result, packed)

        assert [original.name for original in attached.originals] == ["deals.csv"]
        assert attached.left_aside[0].startswith("leads.csv: In row 1, quotation marks")

    def test_a_zip_of_which_nothing_can_be_used_is_refused_with_all_reasons(self, result):
        with pytest.raises(OriginalFileError) as refused:
            keeping.attach(result, zipped(deals__csv=b"%PDF", leads__csv=b""))

        assert "deals.csv: The file is no CSV but a PDF" in str(refused.value)
        assert "leads.csv: The file is empty." in str(refused.value)
        assert stored() == []
