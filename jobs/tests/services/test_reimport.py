"""Attached uploads: matched, kept for a while, giving their left-out rows back, deleted."""

import csv
import io
from datetime import timedelta
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import pytest
import time_machine
from django.core.files.base import ContentFile
from django.core.files.storage import FileSystemStorage
from django.core.files.uploadedfile import SimpleUploadedFile, TemporaryUploadedFile
from django.utils import timezone

from jobs.models import BulkWriteJob, JobEvent, OriginalFile, Result
from jobs.services import reasons, reimport
from jobs.services.originals import OriginalFileError
from jobs.services.reimport_report import Report
from jobs.services.result_reading import NotKeptError
from jobs.tests.factories import completed, make_job, make_result, make_user, observe, resource

pytestmark = pytest.mark.django_db

HEADER = b"Id,Last_Name,Company\r\n"
ROWS = [b"1,Boyle,Acme\r\n", b'2,"",Foo\r\n', b'3,"M\xc3\xbcller; ""X""",Bar\r\n', b"4,Zuse,\n"]
UPLOAD = HEADER + b"".join(ROWS)
RESULT = (
    "Last_Name,Company,STATUS,RECORD_ID,ERRORS\n"
    "Boyle,Acme,ADDED,11,\n"
    ",Foo,SKIPPED,,MANDATORY_NOT_FOUND-Last_Name\n"
    '"Müller; ""X""",Bar,ADDED,12,\n'
    "Zuse,,unprocessed,,\n"
)


def job_with(files: dict[str, str], **fields: Any) -> Result:
    """The kept result of a job that has one resource for each file."""
    job = make_job()
    resources = []
    for name in files:
        module, _, uploaded = name.partition("-")
        resources.append(
            resource(module=module, file=uploaded, added=1, updated=0, skipped=1, total=2)
        )
    answer = completed(job)
    answer["resource"] = resources
    observe(job, answer | fields)
    result = make_result(job, files)
    for file, part in zip(result.files.all(), job.resources.all(), strict=True):
        file.resource = part
        file.save()
    result.job = BulkWriteJob.objects.get(pk=job.pk)
    return result


@pytest.fixture
def result() -> Result:
    return job_with({"Leads-leads.csv": RESULT})


def upload(content: bytes = UPLOAD, name: str = "leads.csv") -> SimpleUploadedFile:
    return SimpleUploadedFile(name, content)


def zipped(**files: bytes) -> SimpleUploadedFile:
    packed = io.BytesIO()
    with ZipFile(packed, "w") as archive:
        for name, content in files.items():
            archive.writestr(name.replace("__", "."), content)
    return upload(packed.getvalue(), "import.zip")


def attach(result: Result, content: bytes = UPLOAD, **how: Any) -> OriginalFile:
    (original,) = reimport.attach(result, upload(content), **how).originals
    return original


def given(original: OriginalFile, **how: Any) -> bytes:
    return b"".join(reimport.rows_to_import_again(original, **how))


def stored() -> list[str]:
    storage = OriginalFile._meta.get_field("content").storage
    try:
        return storage.listdir(reimport.FOLDER)[1]
    except FileNotFoundError:
        return []


@pytest.fixture(autouse=True)
def empty_storage(settings, tmp_path):
    options = settings.STORAGES["default"]["OPTIONS"] | {"location": str(tmp_path / "files")}
    default = settings.STORAGES["default"] | {"OPTIONS": options}
    settings.STORAGES = settings.STORAGES | {"default": default}


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
            (original,) = reimport.attach(result, large).originals

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
                "written": 1,
                "found": 2,
                "values": [["Last_Name", "A"], ["Company", "1"]],
            }
        ]
        assert [example["rows"] for example in report.missing_examples] == [[3]]
        assert report.changed_examples == [{"row": 4, "changes": [["Last_Name", "C", "C2"]]}]
        assert report.unknown == 2


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
            reimport.attach(result, workbook)
        with pytest.raises(OriginalFileError, match="holds no CSV"):
            reimport.attach(result, zipped(readme__pdf=b"x"))

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
            (original,) = reimport.attach(result, upload(self.DEALS_UPLOAD, name)).originals
            assert original.file.name == "Deals-deals.csv"

    def test_of_files_with_equal_columns_the_name_decides(self):
        result = job_with({"Leads-north.csv": self.LEADS, "Leads-south.csv": self.LEADS})

        (original,) = reimport.attach(result, upload(self.LEADS_UPLOAD, "South.csv")).originals

        assert original.file.name == "Leads-south.csv"

    def test_a_csv_of_another_name_goes_where_its_columns_suit(self, result):
        (original,) = reimport.attach(result, upload(self.DEALS_UPLOAD, "old.csv")).originals

        assert original.file.name == "Deals-deals.csv"

    def test_a_csv_goes_where_a_person_says(self, result):
        (original,) = reimport.attach(
            result, upload(self.DEALS_UPLOAD, "leads.csv"), position=1
        ).originals

        assert original.file.name == "Deals-deals.csv"
        with pytest.raises(OriginalFileError, match="no such result file"):
            attach(result, position=7)

    def test_where_it_cannot_be_told_the_choices_are_named(self, result):
        both = b"Last_Name,Deal_Name\nBoyle,Big\n"
        with pytest.raises(OriginalFileError) as refused:
            reimport.attach(result, upload(both, "both.csv"))

        assert "suit several result files" in str(refused.value)
        assert "Leads-leads.csv (Last_Name); Deals-deals.csv (Deal_Name)" in str(refused.value)
        with pytest.raises(OriginalFileError, match="suit no result file"):
            reimport.attach(result, upload(b"A,B\n1,2\n", "both.csv"))

    def test_a_zip_is_shared_out_and_what_suits_nothing_is_named(self, result):
        packed = zipped(
            deals__csv=self.DEALS_UPLOAD,
            other__csv=self.LEADS_UPLOAD,
            third__csv=b"A\n1\n",
            readme__pdf=b"x",
        )

        attached = reimport.attach(result, packed)

        assert {original.file.name: given(original) for original in attached.originals} == {
            "Leads-leads.csv": self.LEADS_UPLOAD,
            "Deals-deals.csv": self.DEALS_UPLOAD,
        }
        assert attached.left_aside == [
            "third.csv: its name and its columns suit no result file.",
            "readme.pdf: it is no CSV.",
        ]

    def test_one_bad_csv_of_a_zip_does_not_cost_the_others(self, result):
        packed = zipped(deals__csv=self.DEALS_UPLOAD, leads__csv=b'Last_Name\n"x')

        attached = reimport.attach(result, packed)

        assert [original.name for original in attached.originals] == ["deals.csv"]
        assert attached.left_aside[0].startswith("leads.csv: In row 1, quotation marks")

    def test_a_zip_of_which_nothing_can_be_used_is_refused_with_all_reasons(self, result):
        with pytest.raises(OriginalFileError) as refused:
            reimport.attach(result, zipped(deals__csv=b"%PDF", leads__csv=b""))

        assert "deals.csv: The file is no CSV but a PDF" in str(refused.value)
        assert "leads.csv: The file is empty." in str(refused.value)
        assert stored() == []


class TestReasons:
    def rows(self, original: OriginalFile) -> list[list[str]]:
        content = given(original, with_reasons=True).decode()
        return list(csv.reader(io.StringIO(content, newline="")))

    def test_stand_in_a_last_column(self, result):
        assert given(attach(result), with_reasons=True) == (
            b"Id,Last_Name,Company,Bulkwatch: why\r\n"
            + f'2,"",Foo,"{reasons.in_words("MANDATORY_NOT_FOUND", "Last_Name")}"\r\n'.encode()
            + b'4,Zuse,,"Zoho gave no reason"\n'
        )

    def test_stand_under_their_header_in_short_rows(self, result):
        short = HEADER + b"1,Boyle,Acme\n2,,Foo\n" + ROWS[2] + b"4,Zuse\n"

        assert [len(row) for row in self.rows(attach(result, short))] == [4, 4, 4]

    def test_are_as_the_file_is_encoded_parted_and_ended(self):
        result = job_with({"Leads-leads.csv": "Näme,STATUS,ERRORS\nx,SKIPPED,INVALID_DATA-Näme\n"})
        content = "\ufeffNäme;B\rx;1".encode("utf-16-le")

        told = given(attach(result, content), with_reasons=True).decode("utf-16")

        assert told == f'Näme;B;Bulkwatch: why\rx;1;"{reasons.in_words("INVALID_DATA", "Näme")}"'

    def test_are_defused_and_what_an_encoding_lacks_is_replaced(self):
        result = job_with(
            {
                "Leads-leads.csv": "Last_Name,STATUS,ERRORS\n"
                'x,SKIPPED,"INVALID_DATA-=1+\u20ac""你"\n'
            },
            character_encoding="windows-1252",
        )
        content = "Last_Name,Ä\nx,é\n".encode("cp1252")

        told = given(attach(result, content), with_reasons=True).decode("cp1252")

        assert '"\'=1+€""?: ' in told

    def test_of_rows_that_cannot_be_told_apart_are_all_named(self):
        result = job_with(
            {
                "Leads-leads.csv": "Last_Name,STATUS,ERRORS\n"
                "x,SKIPPED,INVALID_DATA-A\nx,SKIPPED,\ny,ADDED,\n"
            }
        )
        original = attach(result, b"Last_Name,B\ny,0\nx,1\nx,2\n")

        assert [row[2] for row in self.rows(original)[1:]] == [
            f"{reasons.in_words('INVALID_DATA', 'A')} / or: Zoho gave no reason"
        ] * 2

    def test_are_not_offered_where_zoho_takes_no_further_column(self, result):
        wide = ",".join(["Last_Name", "Company", *(f"c{number}" for number in range(198))])
        content = wide.encode() + b'\nBoyle,Acme\n,Foo\n"M\xc3\xbcller; ""X""",Bar\nZuse\n'

        original = attach(result, content)

        assert original.report["offers_reasons"] is False
        assert given(original, with_reasons=True) == given(original)
        again = attach(result, UPLOAD.replace(b"Id", b"Bulkwatch: why"))
        assert again.report["offers_reasons"] is False


class TestGivenBack:
    def test_in_a_zip_under_the_file_s_own_name(self, result):
        with reimport.zip_to_import_again(attach(result)) as packed, ZipFile(packed) as archive:
            assert archive.namelist() == ["leads.csv"]
            assert archive.read("leads.csv") == HEADER + ROWS[1] + ROWS[3]

    @pytest.mark.parametrize("what", ["upload", "changed upload", "result", "state"])
    def test_what_is_gone_or_another_file_now_gives_nothing(self, result, what):
        original = attach(result)
        if what == "upload":
            Path(original.content.path).unlink()
        elif what == "changed upload":
            Path(original.content.path).write_bytes(b'A\n"')
        elif what == "state":
            original.file.result.state = Result.State.DELETED
        else:
            Path(result.archive.path).unlink()

        with pytest.raises(NotKeptError):
            next(reimport.rows_to_import_again(original))
        with pytest.raises(NotKeptError):
            reimport.zip_to_import_again(original)


class TestDeleting:
    def test_takes_row_and_file_and_is_noted_once(self, result):
        alice = make_user("alice")
        original = attach(result)

        reimport.delete(original, actor=alice)
        reimport.delete(original, actor=alice)

        assert not OriginalFile.objects.exists()
        assert stored() == []
        event = JobEvent.objects.get(kind="original", actor=alice)
        assert event.text == "leads.csv was deleted"

    def test_forgets_the_file_even_if_the_storage_holds_on_to_it(self, result, monkeypatch):
        original = attach(result)

        def refuse(self: FileSystemStorage, name: str) -> None:
            raise OSError("busy")

        with monkeypatch.context() as broken:
            broken.setattr(FileSystemStorage, "delete", refuse)
            reimport.delete(original)

        assert not OriginalFile.objects.exists()
        assert len(stored()) == 1
        later = timezone.now() + timedelta(hours=2)
        assert reimport.delete_expired(later) == 1
        assert stored() == []

    def test_of_what_has_expired_leaves_the_rest(self, result):
        now = timezone.now()
        old, new = attach(result), attach(job_with({"Leads-leads.csv": RESULT}))
        OriginalFile.objects.filter(pk=old.pk).update(expires_at=now)

        assert reimport.delete_expired(now) == 1

        assert OriginalFile.objects.get() == new
        assert stored() == [Path(new.content.name).name]
        assert JobEvent.objects.filter(
            job=result.job, text="leads.csv was deleted: its time had passed", actor=None
        ).exists()

    def test_of_strays_leaves_what_is_still_attached(self, result):
        original = attach(result)

        assert reimport.delete_expired(timezone.now() + timedelta(hours=2)) == 0
        assert given(original) == HEADER + ROWS[1] + ROWS[3]

    def test_of_strays_leaves_a_file_whose_row_is_about_to_come(self):
        storage = OriginalFile._meta.get_field("content").storage
        assert reimport.delete_expired(timezone.now()) == 0
        storage.save(f"{reimport.FOLDER}/1-stray", ContentFile(b"x"))

        assert reimport.delete_expired(timezone.now()) == 0
        assert reimport.delete_expired(timezone.now() + timedelta(hours=2)) == 1
