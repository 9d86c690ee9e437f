"""Every switch does what it says."""

import gzip
import http.client
import io
import time
import zipfile

import pytest
import requests

from jobs.sandbox.errors import ERRORS
from jobs.sandbox.faults import KINDS
from jobs.sandbox.oauth import SAMPLE_CONNECTION
from jobs.sandbox.store import KINDS as JOB_KINDS

JOB = "111111000000541958"
OTHER = "111111000000541957"
ZIP = f"/v7/crm/org6196138/bulk-write/{JOB}/{JOB}.zip"


def refresh(sandbox):
    form = {"grant_type": "refresh_token", **SAMPLE_CONNECTION}
    return requests.post(f"{sandbox.url}/oauth/v2/token", data=form, timeout=5)


@pytest.mark.parametrize("code", ERRORS)
def test_error_codes(client, code):
    client.control("PUT", "faults", {"kind": code})
    response = client.details(JOB)
    assert response.status_code == ERRORS[code][0]
    body = response.json()
    assert (body["code"], body["status"], body["details"]) == (code, "error", {})


def test_status_message_and_headers_can_be_others(client, sandbox):
    sandbox.add_fault(
        "TOO_MANY_REQUESTS", status=400, message="later", headers={"Retry-After": "Wed, 21 Oct"}
    )
    response = client.details(JOB)
    assert response.status_code == 400
    assert response.headers["Retry-After"] == "Wed, 21 Oct"
    assert response.json()["message"] == "later"


def test_only_the_next_few_requests(client, sandbox):
    sandbox.add_fault("INTERNAL_ERROR", count=3)
    assert [client.details(JOB).status_code for _ in range(5)] == [500, 500, 500, 200, 200]


def test_only_one_job_or_one_route(client, sandbox):
    sandbox.add_fault("NO_PERMISSION", job_id=JOB, route="details")
    assert client.details(JOB).status_code == 403
    assert client.details(OTHER).status_code == 200
    assert client.get(ZIP).status_code == 200
    assert refresh(sandbox).status_code == 200


def test_the_token_endpoint_is_spared_unless_it_is_meant(sandbox):
    sandbox.add_fault("INTERNAL_ERROR")
    assert refresh(sandbox).status_code == 200
    sandbox.add_fault("SERVICE_UNAVAILABLE", route="token")
    assert refresh(sandbox).status_code == 503


def test_some_of_the_requests(client, sandbox):
    sandbox.add_fault("INTERNAL_ERROR", probability=0.5)
    failed = sum(client.details(JOB).status_code == 500 for _ in range(200))
    assert 50 < failed < 150


def test_delay(client, sandbox):
    sandbox.add_fault("delay", seconds=0.3, count=1)
    assert client.details(JOB).elapsed.total_seconds() > 0.29
    assert client.details(JOB).elapsed.total_seconds() < 0.29


def test_latency_is_for_the_api_alone(client):
    client.control("PUT", "latency", {"ms": 120})
    assert client.details(JOB).elapsed.total_seconds() > 0.11
    started = time.monotonic()
    client.control("GET", "health")
    assert time.monotonic() - started < 0.1


@pytest.mark.parametrize("kind", ["drip_headers", "drip_body"])
def test_drip(client, sandbox, kind):
    sandbox.add_fault(kind, seconds=0.001)
    sandbox.set_body(JOB, "x" * 200)
    response = client.details(JOB)
    assert response.content == b"x" * 200
    slow_headers = response.elapsed.total_seconds() > 0.1
    assert slow_headers == (kind == "drip_headers")


def test_a_drip_ends_with_the_server(client, sandbox):
    sandbox.add_fault("drip_headers", seconds=30)
    with pytest.raises(requests.Timeout):
        client.details(JOB, timeout=0.2)
    started = time.monotonic()
    sandbox.stop()
    assert time.monotonic() - started < 1


def test_reset(client, sandbox):
    sandbox.add_fault("reset", count=1)
    with pytest.raises(requests.ConnectionError):
        client.details(JOB)
    assert client.details(JOB).status_code == 200
    assert sandbox.requests.count("details", 0) == 1


def test_refuse(client):
    client.control("POST", "faults", {"kind": "refuse", "seconds": 0.5})
    time.sleep(0.25)
    with pytest.raises(requests.ConnectionError):
        requests.get(f"{client.sandbox.url}/__sandbox__/health", timeout=5)
    time.sleep(0.6)
    assert client.details(JOB).status_code == 200


def test_truncated(client, sandbox):
    sandbox.add_fault("truncated", bytes=10)
    with pytest.raises(requests.exceptions.ChunkedEncodingError):
        client.details(JOB)
    raw = client.details(JOB, stream=True).raw
    with pytest.raises(Exception, match="IncompleteRead"):
        raw.read()


def test_html_with_200(client, sandbox):
    sandbox.add_fault("html")
    response = client.details(JOB)
    assert response.status_code == 200
    assert response.headers["Content-Type"].startswith("text/html")
    assert "maintenance" in response.text


@pytest.mark.parametrize(
    ("fault", "status", "body"),
    [
        ({"kind": "empty"}, 200, b""),
        ({"kind": "no_content"}, 204, b""),
        ({"kind": "not_modified"}, 304, b""),
        ({"kind": "body", "body": "[1"}, 200, b"[1"),
        ({"kind": "html", "status": 502, "body": "<p>x"}, 502, b"<p>x"),
    ],
)
def test_other_answers(client, fault, status, body):
    client.control("PUT", "faults", {"faults": [fault]})
    for _ in range(2):  # the second one on the same connection
        response = client.details(JOB)
        assert (response.status_code, response.content) == (status, body)


def test_error_envelope_with_200(client, sandbox):
    sandbox.add_fault("envelope_200", code="INVALID_TOKEN")
    response = client.details(JOB)
    assert (response.status_code, response.json()["code"]) == (200, "INVALID_TOKEN")


def test_redirect(client, sandbox):
    sandbox.add_fault("redirect", location="http://elsewhere.example/x", status=307)
    response = client.details(JOB)
    assert (response.status_code, response.headers["Location"]) == (
        307,
        "http://elsewhere.example/x",
    )


def test_huge_body(client, sandbox):
    sandbox.add_fault("huge_body", mib=3)
    assert len(client.details(JOB).json()["padding"]) == 3 * 1024 * 1024


def test_gzip_bomb(client, sandbox):
    sandbox.add_fault("gzip_bomb", mib=5)
    response = client.details(JOB, stream=True)
    packed = response.raw.read(decode_content=False)
    assert response.headers["Content-Encoding"] == "gzip"
    assert len(packed) < 10_000
    assert len(gzip.decompress(packed)) == 5 * 1024 * 1024 + 2


def test_invalid_utf8_and_wrong_types(client, sandbox):
    sandbox.add_fault("invalid_utf8", count=1)
    with pytest.raises(UnicodeDecodeError):
        client.details(JOB).content.decode()
    sandbox.add_fault("wrong_types", count=1)
    body = client.details(JOB).json()
    assert isinstance(body["id"], int)
    assert isinstance(body["resource"], dict)


def test_all_tokens_die(client, sandbox):
    client.control("PUT", "faults", {"kind": "tokens_die"})
    assert client.details(JOB).json()["code"] == "INVALID_TOKEN"
    assert sandbox.faults.as_json() == []
    client.token = sandbox.issue_token()
    assert client.details(JOB).status_code == 200
    assert client.control("POST", "tokens/invalidate")["invalidated"] == 1


@pytest.mark.parametrize(("language", "text"), [("en", "too many requests"), ("zh", "请求")])
def test_throttled_token_endpoint(sandbox, language, text):
    sandbox.add_fault("token_throttled", language=language)
    response = refresh(sandbox)
    assert response.status_code == 400
    assert response.json()["error"] == "Access Denied"
    assert text in response.json()["error_description"]


@pytest.mark.parametrize("kind", ["invalid_client_secret", "invalid_code", "invalid_client"])
def test_refused_secrets(client, sandbox, kind):
    sandbox.add_fault(kind)
    assert refresh(sandbox).json() == {"error": kind}
    assert client.details(JOB).status_code == 200


def test_expired_link(client, sandbox):
    fault = sandbox.add_fault("expired_link")
    response = client.get(ZIP)
    assert (response.status_code, response.json()["x-info"]) == (410, "Link not valid")
    sandbox.faults.remove(fault)
    sandbox.add_fault("expired_link", status=403)
    assert client.get(ZIP).status_code == 403
    assert client.details(JOB).status_code == 200


def test_a_result_that_is_no_zip_or_lacks_the_columns(client, sandbox):
    sandbox.add_fault("result_not_zip", count=1)
    response = client.get(ZIP)
    assert response.headers["Content-Type"] == "application/zip"
    assert not zipfile.is_zipfile(io.BytesIO(response.content))

    sandbox.add_fault("result_without_columns", count=1)
    with zipfile.ZipFile(io.BytesIO(client.get(ZIP).content)) as archive:
        assert archive.read("Deals-bulkwrite.csv").startswith(b"Deal_Name,Stage\n")


def test_zip_bomb(client, sandbox):
    sandbox.add_fault("zip_bomb", mib=8)
    content = client.get(ZIP).content
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        assert archive.infolist()[0].file_size > 8 * 1024 * 1024
    assert len(content) < 20_000


def test_a_result_that_appears_late(client, sandbox, clock):
    sandbox.add_fault("result_delayed", seconds=30)
    assert "result" not in client.job("111111000000700101")
    clock.forward(31)
    assert "result" in client.job("111111000000700101")


def test_a_concurrency_limit(client, sandbox):
    sandbox.set_options(concurrency_limit=0)
    response = client.details(JOB)
    assert (response.status_code, response.json()["code"]) == (429, "TOO_MANY_REQUESTS")


def test_a_credit_allowance(client, sandbox):
    sandbox.set_options(credit_allowance=4)
    answers = [client.details(JOB) for _ in range(5)]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 200, 429]
    left = [answer.headers.get("X-API-CREDITS-REMAINING") for answer in answers[:4]]
    assert left == [None, "2", "1", "0"]


def test_faults_can_be_seen_added_and_cleared(client):
    client.control("PUT", "faults", {"kind": "html"})
    client.control("POST", "faults", {"kind": "empty", "count": 2})
    shown = client.control("GET", "faults")["faults"]
    assert [(fault["kind"], fault["count"]) for fault in shown] == [("html", None), ("empty", 2)]
    assert client.control("DELETE", "faults") == {"faults": []}
    assert client.details(JOB).status_code == 200


@pytest.mark.parametrize("order", [{"kind": "gremlins"}, {"kind": "html", "colour": 1}, [], 7])
def test_a_fault_that_makes_no_sense_is_refused(client, order):
    url = f"{client.sandbox.url}/__sandbox__/faults"
    assert client.session.put(url, json=order, timeout=5).status_code == 400


def test_every_kind_is_known():
    assert {"delay", "reset", "gzip_bomb", "INVALID_TOKEN"} <= KINDS
    assert "mixed" in JOB_KINDS
    assert http.client.responses[429] == "Too Many Requests"
