"""What an attached upload gives, and how it is deleted."""

import csv
import io
from datetime import timedelta
from pathlib import Path
from zipfile import ZipFile

import pytest
from django.core.files.base import ContentFile, File
from django.core.files.storage import FileSystemStorage
from django.utils import timezone

from jobs.models import JobEvent, OriginalFile, Result
from jobs.services import reasons
from jobs.services.reimport import keeping
from jobs.services.results.reading import NotKeptError
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
)

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("empty_storage")]


class TestReasons:
    def rows(self, original: OriginalFile) -> list[list[str]]:
        content = given(original, with_reasons=True).decode()
        return list(csv.reader(io.StringIO(content, newline="")))

    def test_stand_in_a_last_column(self, result):
        assert given(attach(result), with_reasons=True) == (
            b"Id,Last_Name,Company,Bulkwatch: why\r\n"
            + f'2,"",Foo,"{reasons.in_words("MANDATORY_NOT_FOUND", "Last_Name")}"\r\n'.encode()
            + b'4,Zuse,,"Zoho did not come to the row before the job ended"\n'
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
            f"{reasons.in_words('INVALID_DATA', 'A')} / or: "
            f"{reasons.in_words(reasons.NO_REASON, '')}"
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
        with keeping.zip_to_import_again(attach(result)) as packed, ZipFile(packed) as archive:
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
            next(keeping.rows_to_import_again(original))
        with pytest.raises(NotKeptError):
            keeping.zip_to_import_again(original)

    def test_a_file_that_vanishes_before_any_of_its_openings_gives_nothing(
        self, result, monkeypatch
    ):
        original = attach(result)
        path = Path(original.content.path)
        opened = FileSystemStorage.open
        openings: list[str] = []
        doomed = 0

        def vanish(self: FileSystemStorage, name: str, mode: str = "rb") -> File:
            if name == original.content.name:
                openings.append(name)
                if len(openings) == doomed:
                    path.unlink()
            return opened(self, name, mode)

        monkeypatch.setattr(FileSystemStorage, "open", vanish)
        given(original)
        assert len(openings) > 1
        for number in range(1, len(openings) + 1):
            doomed = number
            path.write_bytes(UPLOAD)
            openings.clear()
            with pytest.raises(NotKeptError):
                next(keeping.rows_to_import_again(original))
            assert not path.exists()


class TestDeleting:
    def test_takes_row_and_file_and_is_noted_once(self, result):
        alice = make_user("alice")
        original = attach(result)

        keeping.delete(original, actor=alice)
        keeping.delete(original, actor=alice)

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
            keeping.delete(original)

        assert not OriginalFile.objects.exists()
        assert len(stored()) == 1
        later = timezone.now() + timedelta(hours=2)
        assert keeping.delete_expired(later) == 1
        assert stored() == []

    def test_of_what_has_expired_leaves_the_rest(self, result):
        now = timezone.now()
        old, new = attach(result), attach(job_with({"Leads-leads.csv": RESULT}))
        OriginalFile.objects.filter(pk=old.pk).update(expires_at=now)

        assert keeping.delete_expired(now) == 1

        assert OriginalFile.objects.get() == new
        assert stored() == [Path(new.content.name).name]
        assert JobEvent.objects.filter(
            job=result.job, text="leads.csv was deleted: its time had passed", actor=None
        ).exists()

    def test_of_strays_leaves_what_is_still_attached(self, result):
        original = attach(result)

        assert keeping.delete_expired(timezone.now() + timedelta(hours=2)) == 0
        assert given(original) == HEADER + ROWS[1] + ROWS[3]

    def test_of_strays_leaves_a_file_whose_row_is_about_to_come(self):
        storage = OriginalFile._meta.get_field("content").storage
        assert keeping.delete_expired(timezone.now()) == 0
        storage.save(f"{keeping.FOLDER}/1-stray", ContentFile(b"x"))

        assert keeping.delete_expired(timezone.now()) == 0
        assert keeping.delete_expired(timezone.now() + timedelta(hours=2)) == 1
