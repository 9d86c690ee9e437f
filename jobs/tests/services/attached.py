"""A result with left-out rows, the upload it is of, and what a person does with both."""

import io
from typing import Any
from zipfile import ZipFile

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile

from jobs.models import BulkWriteJob, OriginalFile, Result
from jobs.services.reimport import keeping
from jobs.tests.factories import completed, make_job, make_result, observe, resource

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


def upload(content: bytes = UPLOAD, name: str = "leads.csv") -> SimpleUploadedFile:
    return SimpleUploadedFile(name, content)


def zipped(**files: bytes) -> SimpleUploadedFile:
    packed = io.BytesIO()
    with ZipFile(packed, "w") as archive:
        for name, content in files.items():
            archive.writestr(name.replace("__", "."), content)
    return upload(packed.getvalue(), "import.zip")


def attach(result: Result, content: bytes = UPLOAD, **how: Any) -> OriginalFile:
    (original,) = keeping.attach(result, upload(content), **how).originals
    return original


def given(original: OriginalFile, **how: Any) -> bytes:
    return b"".join(keeping.rows_to_import_again(original, **how))


def stored() -> list[str]:
    storage = OriginalFile._meta.get_field("content").storage
    try:
        return storage.listdir(keeping.FOLDER)[1]
    except FileNotFoundError:
        return []


@pytest.fixture
def empty_storage(settings, tmp_path):
    options = settings.STORAGES["default"]["OPTIONS"] | {"location": str(tmp_path / "files")}
    default = settings.STORAGES["default"] | {"OPTIONS": options}
    settings.STORAGES = settings.STORAGES | {"default": default}


@pytest.fixture
def result() -> Result:
    return job_with({"Leads-leads.csv": RESULT})
