"""Synthetic jobs, exact bodies, the request log, reset."""

import base64
import threading

import pytest
import requests

from jobs.sandbox.server import Sandbox
from jobs.tests.sandbox.conftest import Client

JOB = "111111000000541958"


def test_synthetic_jobs_are_made_by_the_thousand(client, clock):
    made = client.control("POST", "jobs", {"count": 20000, "life": 30, "rows": 50, "kind": "mixed"})
    ids = made["ids"]
    assert len(set(ids)) == made["count"] == 20000
    assert all(len(job_id) == 18 for job_id in ids)
    assert client.job(ids[-1])["status"] == "ADDED"
    clock.forward(15)
    assert client.job(ids[-1])["status"] == "INPROGRESS"
    clock.forward(20)
    ends = [client.job(job_id)["status"] for job_id in ids[:6]]
    assert ends == ["COMPLETED", "COMPLETED", "COMPLETED", "FAILED", "SKIPPED", "INPROGRESS"]
    assert len(client.details(ids[0]).content) < 900


def test_the_next_batch_has_other_ids_and_a_batch_can_name_its_first(client):
    first = client.control("POST", "jobs", {"count": 2})["ids"]
    second = client.control("POST", "jobs", {"count": 2})["ids"]
    named = client.control("POST", "jobs", {"count": 2, "start_id": "333333000000000007"})["ids"]
    assert not set(first) & set(second)
    assert named == ["333333000000000007", "333333000000000008"]


def test_a_batch_can_end_spread_over_time(sandbox, client, clock):
    ids = sandbox.add_jobs(10, life=10, spread=100)
    clock.forward(61)
    assert client.job(ids[0])["status"] == "COMPLETED"
    assert client.job(ids[9])["status"] == "INPROGRESS"


def test_synthetic_results_agree_with_counts(sandbox, client, clock):
    job_id = sandbox.add_jobs(1, kind="partial", rows=10)[0]
    clock.forward(11)
    details = client.job(job_id)
    assert details["resource"][0]["file"]["skipped_count"] == 4
    assert client.get(details["result"]["download_url"]).content.startswith(b"PK")


@pytest.mark.parametrize("order", [{"count": 0}, {"kind": "odd"}, {"rows": -1}, {"count": "many"}])
def test_batches_that_make_no_sense(client, order):
    url = f"{client.sandbox.url}/__sandbox__/jobs"
    assert client.session.post(url, json=order, timeout=5).status_code == 400


def test_an_exact_body(client):
    order = {"status": 418, "content_type": "text/odd", "body": "{", "headers": {"X-A": "b"}}
    client.control("PUT", f"jobs/{JOB}/body", order)
    response = client.details(JOB)
    assert (response.status_code, response.content) == (418, b"{")
    assert (response.headers["Content-Type"], response.headers["X-A"]) == ("text/odd", "b")

    raw = base64.b64encode(b"\xff\x00").decode()
    client.control("PUT", f"jobs/{JOB}/body", {"body_base64": raw})
    assert client.details(JOB).content == b"\xff\x00"

    client.control("DELETE", f"jobs/{JOB}/body")
    assert client.job(JOB)["status"] == "COMPLETED"


def test_bodies_one_after_the_other_for_a_job_that_is_not_there(client):
    answers = [{"body": {"status": "COMPLETED"}}, {"body": {"status": "INPROGRESS"}}]
    client.control("PUT", "jobs/42/body", {"answers": answers})
    seen = [client.details("42").json()["status"] for _ in range(3)]
    assert seen == ["COMPLETED", "INPROGRESS", "INPROGRESS"]


def test_an_exact_body_still_needs_a_token(client, sandbox):
    sandbox.set_body(JOB, {"status": "COMPLETED"})
    sandbox.invalidate_tokens()
    assert client.details(JOB).status_code == 401


def test_an_exact_result(client):
    raw = base64.b64encode(b"PK nonsense").decode()
    client.control("PUT", f"jobs/{JOB}/result", {"body_base64": raw, "content_type": "a/b"})
    path = client.job(JOB)["result"]["download_url"]
    assert client.get(path).content == b"PK nonsense"
    client.control("DELETE", f"jobs/{JOB}/result")
    assert client.get(path).headers["Content-Type"] == "application/zip"


def test_the_uploaded_csv_can_be_had_back(client):
    url = f"{client.sandbox.url}/__sandbox__/jobs/111111000000700109/upload"
    first, child = requests.get(url, timeout=5), requests.get(f"{url}/1", timeout=5)
    assert first.text.startswith("Product_Code,Product_Name,Unit_Price,Product_Active\n")
    assert child.text.startswith("Product_Code,From_Quantity,Tier_Price\n")
    assert 'filename="products.csv"' in first.headers["Content-Disposition"]


def test_the_request_log(client):
    client.details(JOB)
    client.details(JOB)
    client.details("404")
    log = client.control("GET", "requests?with=polls,recent")
    assert log["by_route"] == {"details": {"200": 2, "404": 1}}
    assert (log["total"], log["in_flight"], log["max_in_flight"]) == (3, 0, 1)
    assert len(log["polls"][JOB]) == 2
    assert log["recent"][0]["path"].endswith(JOB)
    assert log["recent"][0]["with_token"] is True
    assert client.token not in str(log)
    assert log["tokens"] == {"issued": 1, "refreshes": 0, "refused": 0}
    assert len(client.control("GET", f"requests/{JOB}")["polls"]) == 2
    client.control("POST", "requests/reset")
    assert client.control("GET", "requests")["total"] == 0


def test_concurrency_is_observed(sandbox):
    sandbox.set_options(latency=0.2)
    threads = [
        threading.Thread(target=Client(sandbox).details, args=(JOB if n < 3 else f"{n}",))
        for n in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sandbox.requests.max_in_flight == 8
    assert sandbox.requests.max_in_flight_per_job == 3


def test_reset_goes_back_to_the_beginning(client, sandbox):
    sandbox.add_fault("html")
    made = client.control("POST", "jobs", {"count": 3})["ids"]
    sandbox.set_options(latency=0.01)
    client.control("POST", "reset")
    client.token = sandbox.issue_token()
    assert client.details(made[0]).status_code == 404
    assert client.job(JOB)["status"] == "COMPLETED"
    assert sandbox.options["latency"] == 0.0


def test_options_and_their_refusal(client):
    assert client.control("PUT", "options", {"absolute_download_url": True})
    url = client.job(JOB.replace("541958", "700101"))["result"]["download_url"]
    assert url.startswith(client.sandbox.url + "/v7/crm/")
    wrong = client.session.put(
        f"{client.sandbox.url}/__sandbox__/options", json={"colour": 1}, timeout=5
    )
    assert wrong.status_code == 400
    with pytest.raises(ValueError, match="colour"):
        Sandbox(colour=1)


def test_more_clients_can_be_let_in(client):
    given = {"client_id": "1000.X", "client_secret": "s", "refresh_token": "1000.r"}
    client.control("POST", "clients", given)
    form = {"grant_type": "refresh_token", **given}
    answer = requests.post(f"{client.sandbox.url}/oauth/v2/token", data=form, timeout=5).json()
    assert "access_token" in answer


def test_unknown_control_addresses(client):
    url = f"{client.sandbox.url}/__sandbox__/nonsense"
    assert client.session.get(url, timeout=5).status_code == 404


def test_many_requests_on_one_connection_are_quick(client):
    ids = client.sandbox.add_jobs(100)
    started = client.sandbox.requests.total
    for job_id in ids * 3:
        # 40 ms would betray a delayed ACK.
        assert client.details(job_id).elapsed.total_seconds() < 0.039
    assert client.sandbox.requests.total == started + 300
