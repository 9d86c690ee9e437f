"""Job details over HTTP: addresses, errors, and the three documented bodies."""

import contextlib
import http.client

import pytest
import requests

from jobs.sandbox import documented
from jobs.tests.sandbox.conftest import EPOCH

COMPLETED = documented.COMPLETED_ID


@pytest.mark.parametrize("body", [documented.ADDED, documented.IN_PROGRESS, documented.COMPLETED])
def test_the_documented_bodies_are_answered_as_printed(client, clock, body):
    clock.forward(1000)
    assert client.job(body["id"]) == body


def test_the_documented_bodies_say_what_the_page_says():
    counts = {"added_count": 0, "skipped_count": 100, "updated_count": 0, "total_count": 100}
    assert documented.ADDED["resource"][0]["file"] == {"status": "INPROGRESS"}
    assert documented.ADDED["resource"][0]["field_mappings"][1]["index"] == 132
    assert "character_encoding" not in documented.ADDED
    assert documented.IN_PROGRESS["status"] == "INPROGRESS"
    assert counts.items() <= documented.IN_PROGRESS["resource"][0]["file"].items()
    assert documented.COMPLETED["resource"][0]["code"] == "SUCCESS"
    assert list(documented.COMPLETED) == [
        "status", "character_encoding", "resource", "id", "result", "created_by", "operation",
        "created_time",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "path",
    [
        f"/crm/bulk/v7/write/{COMPLETED}",
        f"//crm/bulk/v7/write/{COMPLETED}",
        f"/crm//bulk///v7/write/{COMPLETED}/",
        f"/crm/bulk/v8/write/{COMPLETED}",
        f"/crm/bulk/v2.1/write/{COMPLETED}?x=1",
    ],
)
def test_slashes_and_versions(client, path):
    assert client.get(path).json()["id"] == COMPLETED


def test_a_leading_double_slash_reaches_it_as_it_is_sent(client):
    # requests itself shortens it, older versions of it and other programs do not.
    connection = http.client.HTTPConnection("127.0.0.1", client.sandbox.port, timeout=5)
    with contextlib.closing(connection):
        headers = {"Authorization": f"Zoho-oauthtoken {client.token}"}
        connection.request("GET", f"//crm/bulk/v7/write/{COMPLETED}", headers=headers)
        response = connection.getresponse()
        assert response.status == 200
        response.read()
        connection.request(
            "GET", f"//v7/crm/org6196138/bulk-write/{COMPLETED}/{COMPLETED}.zip", headers=headers
        )
        assert connection.getresponse().read().startswith(b"PK")


def test_bearer_is_accepted_too(client):
    headers = {"Authorization": f"Bearer {client.token}"}
    assert client.details(COMPLETED, headers=headers).status_code == 200


@pytest.mark.parametrize(
    ("method", "path", "authorization", "status", "code"),
    [
        ("GET", f"/crm/bulk/v7/write/{COMPLETED}", None, 401, "AUTHENTICATION_FAILURE"),
        ("GET", f"/crm/bulk/v7/write/{COMPLETED}", "Basic eA==", 401, "AUTHENTICATION_FAILURE"),
        ("GET", f"/crm/bulk/v7/write/{COMPLETED}", "Bearer old", 401, "INVALID_TOKEN"),
        ("GET", "/crm/bulk/v7/write/999", "", 404, "RESOURCE_NOT_FOUND"),
        ("GET", "/crm/bulk/v7/write/nonsense", "", 404, "RESOURCE_NOT_FOUND"),
        ("GET", "/crm/bulk/v7/jobs/1", "", 404, "INVALID_URL_PATTERN"),
        ("GET", "/crm/bulk/latest/write/1", "", 404, "INVALID_URL_PATTERN"),
        ("GET", "/crm/bulk/v9/write/1", "", 400, "API_NOT_SUPPORTED"),
        ("DELETE", f"/crm/bulk/v7/write/{COMPLETED}", "", 400, "INVALID_REQUEST_METHOD"),
        ("GET", "/crm/bulk/v7/write", "", 400, "INVALID_REQUEST_METHOD"),
    ],
)
def test_errors(client, method, path, authorization, status, code):
    headers = {} if authorization == "" else {"Authorization": authorization}
    response = client.request(method, path, headers=headers)
    assert response.status_code == status
    assert response.headers["Content-Type"].startswith("application/json")
    assert response.json().keys() == {"code", "details", "message", "status"}
    assert response.json()["code"] == code
    assert response.json()["status"] == "error"


def test_in_version_2_the_module_is_a_string(client):
    old = client.details("111111000000700109", version="v2").json()["resource"]
    new = client.job("111111000000700109")["resource"]
    assert [one["module"] for one in old] == ["Products", "Price_Tiers"]
    assert [one["module"]["api_name"] for one in new] == ["Products", "Price_Tiers"]
    assert "code" not in old[0]
    assert "parent_column_index" in new[1]["field_mappings"][0]
    assert "parent_column_index" not in old[1]["field_mappings"][0]


def test_a_job_does_not_exist_before_it_was_created(client, clock):
    clock.now = EPOCH - 3600
    client.token = client.sandbox.issue_token()
    assert client.details("111111000000700115").json()["code"] == "RESOURCE_NOT_FOUND"


def test_the_landing_page_says_what_this_is(sandbox):
    page = requests.get(sandbox.url, timeout=5)
    assert page.headers["Content-Type"].startswith("text/html")
    assert "stands in for Zoho CRM" in page.text
    assert COMPLETED in page.text


def test_it_listens_on_the_loopback_interface_only(sandbox):
    assert sandbox._listener.server_address[0] == "127.0.0.1"
