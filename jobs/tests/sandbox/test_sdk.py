"""Zoho's own Python SDK uses the sandbox as if it were Zoho.

It is pointed there by a ``DataCenter.Environment`` with the sandbox as API, accounts and upload
address; ``Environment`` is an ordinary class, so no subclass of ``DataCenter`` is needed.
"""

import csv
import io
import socket
import zipfile

import pytest
from zohocrmsdk.src.com.zoho.api.authenticator import OAuthToken
from zohocrmsdk.src.com.zoho.api.authenticator.store import FileStore
from zohocrmsdk.src.com.zoho.api.logger import Logger
from zohocrmsdk.src.com.zoho.crm.api import HeaderMap, Initializer
from zohocrmsdk.src.com.zoho.crm.api.bulk_write import (
    APIException,
    BulkWriteOperations,
    BulkWriteResponse,
    FieldMapping,
    FileBodyWrapper,
    RequestWrapper,
    Resource,
    SuccessResponse,
    UploadFileHeader,
)
from zohocrmsdk.src.com.zoho.crm.api.dc import DataCenter
from zohocrmsdk.src.com.zoho.crm.api.modules import MinifiedModule
from zohocrmsdk.src.com.zoho.crm.api.util import Choice, StreamWrapper

from jobs.sandbox.oauth import SAMPLE_CONNECTION
from jobs.sandbox.samples import sample_jobs

# The SDK leaves its log and token files open, and parses dates by a deprecated call.
pytestmark = [
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


@pytest.fixture
def destinations(monkeypatch):
    """Every address that this process connects to."""
    seen = []
    connect = socket.socket.connect

    def watched(self, address):
        seen.append(address)
        return connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", watched)
    return seen


@pytest.fixture
def operations(sandbox, tmp_path, destinations):
    environment = DataCenter.Environment(sandbox.url, f"{sandbox.url}/oauth/v2/token", sandbox.url)
    token = OAuthToken(**SAMPLE_CONNECTION)
    Initializer.initialize(
        environment,
        token,
        store=FileStore(str(tmp_path / "tokens.txt")),
        resource_path=str(tmp_path),
        logger=Logger.get_instance(Logger.Levels.INFO, str(tmp_path / "sdk.log")),
    )
    yield BulkWriteOperations()
    # The SDK keeps who it speaks for in the class and in the thread.
    Initializer.initializer = Initializer.LOCAL.init = None
    assert set(destinations) == {("127.0.0.1", sandbox.port)}


def upload(operations, tmp_path, text):
    path = tmp_path / "leads.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("leads.csv", text)
    wrapper = FileBodyWrapper()
    wrapper.set_file(StreamWrapper(file_path=str(path)))
    headers = HeaderMap()
    headers.add(UploadFileHeader.feature, "bulk-write")
    headers.add(UploadFileHeader.x_crm_org, "6196138")
    answer = operations.upload_file(wrapper, headers).get_object()
    assert isinstance(answer, SuccessResponse)
    assert answer.get_code().get_value() == "FILE_UPLOAD_SUCCESS"
    return str(answer.get_details()["file_id"])


def create(operations, file_id, module="Leads"):
    names = ("Last_Name", "Company", "Email")
    mappings = []
    for index, name in enumerate(names):
        mapping = FieldMapping()
        mapping.set_api_name(name)
        mapping.set_index(index)
        mappings.append(mapping)
    minified = MinifiedModule()
    minified.set_api_name(module)
    resource = Resource()
    resource.set_type(Choice("data"))
    resource.set_module(minified)
    resource.set_file_id(file_id)
    resource.set_field_mappings(mappings)
    request = RequestWrapper()
    request.set_operation(Choice("insert"))
    request.set_character_encoding("UTF-8")
    request.set_resource([resource])
    return operations.create_bulk_write_job(request)


def test_it_reads_job_details(operations):
    response = operations.get_bulk_write_job_details("111111000000541958")
    job = response.get_object()
    assert response.get_status_code() == 200
    assert isinstance(job, BulkWriteResponse)
    assert job.get_status() == "COMPLETED"
    assert job.get_id() == "111111000000541958"
    assert job.get_created_by().get_name() == "Patricia Boyle"
    assert job.get_created_time().year == 2019
    resource = job.get_resource()[0]
    assert resource.get_module().get_api_name() == "Deals"
    assert resource.get_file().get_skipped_count() == 100
    assert [m.get_index() for m in resource.get_field_mappings()] == [1, 2]


def test_it_reads_every_sample(operations, clock):
    for seconds in (0, 30, 400):
        clock.now += seconds
        for job_id, _, _ in sample_jobs():
            job = operations.get_bulk_write_job_details(job_id).get_object()
            assert isinstance(job, BulkWriteResponse)
            assert job.get_id() == job_id


def test_it_reads_an_error(operations):
    response = operations.get_bulk_write_job_details("1")
    error = response.get_object()
    assert response.get_status_code() == 404
    assert isinstance(error, APIException)
    assert error.get_code().get_value() == "RESOURCE_NOT_FOUND"


def test_it_uploads_creates_polls_and_downloads(operations, sandbox, clock, tmp_path):
    file_id = upload(operations, tmp_path, "L,C,E\nNovák,Altair,a@b.example\n,Birch,\n")
    response = create(operations, file_id)
    assert response.get_status_code() == 201
    success = response.get_object()
    assert isinstance(success, SuccessResponse)
    job_id = success.get_details()["id"]
    assert success.get_details()["created_by"].get_name() == "Patricia Boyle "

    clock.now += 60
    job = operations.get_bulk_write_job_details(job_id).get_object()
    file = job.get_resource()[0].get_file()
    assert (job.get_status(), file.get_added_count(), file.get_skipped_count()) == (
        "COMPLETED",
        1,
        1,
    )

    body = operations.download_bulk_write_result(job.get_result().get_download_url()).get_object()
    assert isinstance(body, FileBodyWrapper)
    assert body.get_file().get_name() == f"{job_id}.zip"
    with zipfile.ZipFile(io.BytesIO(body.get_file().get_stream().content)) as archive:
        rows = list(csv.DictReader(io.StringIO(archive.read("Leads-leads.csv").decode())))
    assert [row["STATUS"] for row in rows] == ["added", "skipped"]
    paths = [request["path"] for request in sandbox.requests.recent()]
    assert any(path.lstrip("/").startswith("v7/crm/org") for path in paths)


def test_it_reads_a_refused_create(operations, tmp_path):
    file_id = upload(operations, tmp_path, "L,C,E\nA,B,\n")
    error = create(operations, file_id, module="Unicorns").get_object()
    assert isinstance(error, APIException)
    assert error.get_code().get_value() == "MODULE_NOT_AVAILABLE"


def test_it_asked_for_one_token(operations, sandbox):
    for _ in range(3):
        operations.get_bulk_write_job_details("111111000000541958")
    assert sandbox.accounts.refreshes == 1
