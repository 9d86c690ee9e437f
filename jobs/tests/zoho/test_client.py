import gzip
import io
import json
import threading
import time
import tracemalloc

import pytest
import responses

from jobs.tests.zoho.support import JOB_ID, FixedTokens, answer, job_payload, raw_server
from jobs.zoho import errors
from jobs.zoho.client import BulkWriteClient
from jobs.zoho.regions import region_for

DETAILS_URL = f"https://www.zohoapis.com/crm/bulk/v7/write/{JOB_ID}"
ACCL = "https://download-accl.zoho.com"
API = "https://www.zohoapis.com"
RELATIVE = f"/v7/crm/org6196138/bulk-write/{JOB_ID}/{JOB_ID}.zip"
ZIP = b"PK\x03\x04" + b"x" * 1000


@pytest.fixture
def zoho():
    with responses.RequestsMock(assert_all_requests_are_fired=False) as mock:
        yield mock


@pytest.fixture
def tokens():
    return FixedTokens()


@pytest.fixture
def client(tokens):
    with BulkWriteClient(region=region_for("us"), tokens=tokens) as client:
        yield client


def envelope(code):
    return {"code": code, "details": {}, "message": "said", "status": "error"}


def local(server, tokens=None, **options):
    region = region_for("custom", api_url=server.url, accounts_url=server.url)
    return BulkWriteClient(region=region, tokens=tokens or FixedTokens(), **options)


class TestJobDetails:
    def test_a_job_is_read(self, zoho, client):
        zoho.get(DETAILS_URL, json=job_payload())
        assert client.job_details(JOB_ID).resources[0].file.skipped_count == 100
        headers = zoho.calls[0].request.headers
        assert headers["Authorization"] == "Zoho-oauthtoken first"
        assert headers["User-Agent"] == "Bulkwatch"

    def test_the_version_is_part_of_the_address(self, zoho, tokens):
        zoho.get(DETAILS_URL.replace("v7", "v2.1"), json=job_payload())
        client = BulkWriteClient(region=region_for("us"), tokens=tokens, api_version="v2.1")
        assert client.job_details(JOB_ID).status == "COMPLETED"
        with pytest.raises(ValueError, match="version"):
            BulkWriteClient(region=region_for("us"), tokens=tokens, api_version="../v7")

    def test_an_id_missing_in_the_answer_is_the_one_asked_for(self, zoho, client):
        zoho.get(DETAILS_URL, json={"status": "ADDED"})
        assert client.job_details(JOB_ID).job_id == JOB_ID

    def test_an_answer_for_another_job_is_not_believed(self, zoho, client):
        zoho.get(DETAILS_URL, json=job_payload(id="222"))
        with pytest.raises(errors.MalformedAnswerError, match="another job"):
            client.job_details(JOB_ID)

    @pytest.mark.parametrize("code", ["INVALID_TOKEN", "AUTHENTICATION_FAILURE"])
    def test_a_rejected_token_is_renewed_once_and_the_call_repeated(
        self, zoho, client, tokens, code
    ):
        zoho.get(DETAILS_URL, json=envelope(code), status=401)
        zoho.get(DETAILS_URL, json=job_payload())
        assert client.job_details(JOB_ID).status == "COMPLETED"
        assert tokens.renewals == 1
        assert zoho.calls[1].request.headers["Authorization"] == "Zoho-oauthtoken second"

    def test_a_token_rejected_twice_needs_a_person(self, zoho, client, tokens):
        zoho.get(DETAILS_URL, json=envelope("INVALID_TOKEN"), status=401)
        with pytest.raises(errors.ZohoSignInError, match="renewed just now"):
            client.job_details(JOB_ID)
        assert (len(zoho.calls), tokens.renewals) == (2, 1)

    @pytest.mark.parametrize("status", [401, 403])
    def test_a_missing_scope_is_never_renewed(self, zoho, client, tokens, status):
        zoho.get(DETAILS_URL, json=envelope("OAUTH_SCOPE_MISMATCH"), status=status)
        with pytest.raises(errors.ZohoSignInError) as caught:
            client.job_details(JOB_ID)
        assert "ZohoCRM.bulk" in caught.value.resolution
        assert (len(zoho.calls), tokens.renewals) == (1, 0)

    @pytest.mark.parametrize("status", [200, 404, 400])
    def test_an_error_envelope_is_that_error_whatever_its_status(self, zoho, client, status):
        zoho.get(DETAILS_URL, json=envelope("RESOURCE_NOT_FOUND"), status=status)
        with pytest.raises(errors.ZohoRejectedError) as caught:
            client.job_details(JOB_ID)
        assert caught.value.code == "RESOURCE_NOT_FOUND"

    @pytest.mark.parametrize("status", [200, 204, 304])
    def test_an_empty_answer_is_malformed(self, zoho, client, status):
        zoho.get(DETAILS_URL, body=b"", status=status)
        with pytest.raises(errors.MalformedAnswerError):
            client.job_details(JOB_ID)

    @pytest.mark.parametrize("job_id", ["", "../users", "1/2", "1?x", "1 2", "x" * 65, "1\n"])
    def test_what_is_no_id_is_not_asked_for(self, zoho, client, job_id):
        with pytest.raises(errors.ZohoRejectedError):
            client.job_details(job_id)
        assert len(zoho.calls) == 0

    def test_a_token_echoed_in_an_answer_is_not_kept(self, zoho, client, tokens):
        tokens.token = "opaque-canary"
        zoho.get(DETAILS_URL, body=b'{"code":"X","message":"opaque-canary"}', status=400)
        zoho.get(DETAILS_URL, body=b'["opaque-canary"]')
        for _ in range(2):
            with pytest.raises(errors.ZohoError) as caught:
                client.job_details(JOB_ID)
            assert "canary" not in str(caught.value) + repr(vars(caught.value))

    def test_the_api_domain_of_the_token_is_used_within_the_data_centre(self, zoho, client, tokens):
        zoho.get(DETAILS_URL, json=job_payload())
        tokens.api_domain = "https://evil.example"
        assert client.job_details(JOB_ID).status == "COMPLETED"


@pytest.mark.parametrize(
    "location",
    [
        "http://127.0.0.1:{port}/",
        "//127.0.0.1:{port}/",
        "http://localhost:{port}/x",
        "http:/127.0.0.1:{port}/",
        "http://user@127.0.0.1:{port}/",
        "\\\\127.0.0.1:{port}\\",
        "/other",
        "https://www.zohoapis.com/x",
        "https://169.254.169.254/",
        "javascript:alert(1)",
        "http://[::1]:{port}/",
        "",
        "http://127.0.0.1:999999/",
    ],
)
@pytest.mark.parametrize("status", ["302 Found", "307 Temporary Redirect"])
def test_a_redirect_of_the_api_is_refused_and_sees_no_token(location, status):
    with raw_server(lambda connection, head: answer(connection, b"{}")) as other:
        where = location.format(port=other.port)

        def redirect(connection, head):
            answer(connection, b"x" * 100, status, f"Location: {where}\r\n")

        with (
            raw_server(redirect) as server,
            local(server) as client,
            pytest.raises(errors.ZohoUnavailableError, match="Redirect refused"),
        ):
            client.job_details(JOB_ID)
        assert other.heads == []
        assert len(server.heads) == 1


class TestSlowAndLargeAnswers:
    def drip(self, first, rest=b"x"):
        def handle(connection, head):
            connection.sendall(first)
            for _ in range(60):
                time.sleep(0.05)
                connection.sendall(rest)

        return handle

    @pytest.mark.parametrize(
        "first",
        [
            b"",
            b"HTTP/1.1 ",
            b"HTTP/1.1 200 OK\r\nX-Slow: ",
            b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n{",
            b"HTTP/1.1 200 OK\r\n\r\n{",
        ],
    )
    def test_a_dripping_server_is_cut_off_at_the_deadline(self, first):
        with raw_server(self.drip(first)) as server, local(server, timeout=0.5) as client:
            started = time.monotonic()
            with pytest.raises(errors.ZohoUnavailableError, match="in time"):
                client.job_details(JOB_ID)
            assert 0.4 < time.monotonic() - started <= 0.6

    def test_dripping_chunks_are_cut_off_too(self):
        first = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
        with (
            raw_server(self.drip(first, b"1\r\nx\r\n")) as server,
            local(server, timeout=0.5) as client,
        ):
            started = time.monotonic()
            with pytest.raises(errors.ZohoUnavailableError, match="in time"):
                client.job_details(JOB_ID)
            assert time.monotonic() - started <= 0.6

    def test_a_dripping_tls_handshake_is_cut_off(self):
        handle = self.drip(b"\x16\x03\x03\x40\x00", b"\x02")
        with raw_server(handle, reads=False) as server:
            url = server.url.replace("http:", "https:")
            region = region_for("custom", api_url=url, accounts_url=url)
            client = BulkWriteClient(region=region, tokens=FixedTokens(), timeout=0.5)
            started = time.monotonic()
            with client, pytest.raises(errors.ZohoUnavailableError):
                client.job_details(JOB_ID)
            assert time.monotonic() - started <= 0.65

    def test_a_silent_server_is_cut_off(self):
        with (
            raw_server(lambda connection, head: time.sleep(2)) as server,
            local(server, timeout=0.3) as client,
        ):
            started = time.monotonic()
            with pytest.raises(errors.ZohoUnavailableError, match="in time"):
                client.job_details(JOB_ID)
            assert time.monotonic() - started <= 0.4

    def test_slow_servers_do_not_delay_the_other_threads(self):
        def handle(connection, head):
            if b"/slow" in head:
                time.sleep(3)
            answer(connection, json.dumps({"status": "ADDED"}).encode())

        ids = ["slow1", "slow2", *(str(number) for number in range(40))]
        with raw_server(handle) as server, local(server, timeout=0.6) as client:
            answers = list(client.job_details_many(ids, threads=4, seconds=5))
        assert len(answers) == 42
        assert sum(item.details is not None for item in answers) == 40

    @pytest.mark.parametrize(
        "answered",
        [
            b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n" + json.dumps(job_payload()).encode(),
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{}",
            b"HTTP/1.1 200 OK\r\nContent-Le",
            b"HTTP/9.9 nonsense\r\n\r\n",
            b"\x00\xff\x00",
            b"",
        ],
    )
    def test_an_answer_that_breaks_off_is_temporary(self, answered):
        def handle(connection, head):
            connection.sendall(answered[:200])
            connection.close()

        with (
            raw_server(handle) as server,
            local(server) as client,
            pytest.raises(errors.ZohoUnavailableError),
        ):
            client.job_details(JOB_ID)

    def test_a_refused_connection_is_temporary(self):
        with raw_server(lambda connection, head: None) as server:
            pass
        time.sleep(0.05)
        with local(server) as client, pytest.raises(errors.ZohoUnavailableError):
            client.job_details(JOB_ID)

    def test_a_gzip_bomb_is_refused_in_little_memory(self):
        bomb = gzip.compress(b'{"status":"' + b"A" * (200 * 1024 * 1024), 9)

        def handle(connection, head):
            answer(connection, bomb, headers="Content-Encoding: gzip\r\n")

        with raw_server(handle) as server, local(server) as client:
            tracemalloc.start()
            started = time.monotonic()
            with pytest.raises(errors.MalformedAnswerError, match="larger"):
                client.job_details(JOB_ID)
            elapsed = time.monotonic() - started
            peak = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
        assert elapsed < 1
        assert peak < 16 * 1024 * 1024

    def test_an_endless_answer_is_refused(self):
        def handle(connection, head):
            connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
            while True:
                connection.sendall(b" " * 65_536)

        with (
            raw_server(handle) as server,
            local(server) as client,
            pytest.raises(errors.MalformedAnswerError, match="larger"),
        ):
            client.job_details(JOB_ID)

    def test_a_compressed_answer_is_read(self):
        def handle(connection, head):
            body = gzip.compress(json.dumps(job_payload()).encode())
            answer(connection, body, headers="Content-Encoding: gzip\r\n")

        with raw_server(handle) as server, local(server) as client:
            assert client.job_details(JOB_ID).status == "COMPLETED"

    @pytest.mark.parametrize(
        "body",
        [b"\x1f\x8bnonsense", gzip.compress(b"{}" * 500)[:-12]],
        ids=["nonsense", "cut short"],
    )
    def test_damaged_compression_is_malformed(self, body):
        def handle(connection, head):
            answer(connection, body, headers="Content-Encoding: gzip\r\n")

        with (
            raw_server(handle) as server,
            local(server) as client,
            pytest.raises(errors.MalformedAnswerError),
        ):
            client.job_details(JOB_ID)

    def test_connections_are_kept_alive(self):
        connections = set()

        def handle(connection, head):
            connections.add(connection)
            answer(connection, json.dumps({"status": "ADDED"}).encode())

        with raw_server(handle) as server, local(server) as client:
            for _ in range(5):
                client.job_details(JOB_ID)
        assert len(connections) == 1


class TestManyJobs:
    def ids(self, count):
        return [str(1000 + number) for number in range(count)]

    def serve(self, delay=0.0, refuse_after=None, refusal=b"", status="429 Too Many Requests"):
        seen = []

        def handle(connection, head):
            job_id = head.split()[1].rsplit(b"/", 1)[1].decode()
            seen.append(job_id)
            time.sleep(delay)
            if refuse_after is not None and len(seen) > refuse_after:
                answer(connection, refusal, status, "Retry-After: 7\r\n")
                return
            answer(connection, json.dumps({"status": "ADDED", "id": job_id}).encode())

        return handle, seen

    def test_every_job_is_asked_for_once(self):
        handle, _ = self.serve()
        with raw_server(handle) as server, local(server) as client:
            answers = list(client.job_details_many(self.ids(100), threads=10, seconds=10))
        assert sorted(item.job_id for item in answers) == self.ids(100)
        assert all(item.details.job_id == item.job_id for item in answers)
        assert all(item.asked_at.utcoffset().total_seconds() == 0 for item in answers)

    def test_answers_come_as_they_arrive(self):
        handle, seen = self.serve(delay=0.05)
        with raw_server(handle) as server, local(server) as client:
            next(client.job_details_many(self.ids(40), threads=1, seconds=10))
            assert len(seen) < 10

    def test_no_job_is_asked_for_after_the_time(self):
        handle, seen = self.serve(delay=0.1)
        with raw_server(handle) as server, local(server) as client:
            started = time.monotonic()
            answers = list(client.job_details_many(self.ids(100), threads=2, seconds=0.35))
            assert time.monotonic() - started < 0.7
        assert 4 <= len(answers) == len(seen) <= 8

    @pytest.mark.parametrize(
        ("code", "status", "kind"),
        [
            ("TOO_MANY_REQUESTS", "429 Too Many Requests", errors.ZohoThrottledError),
            ("OAUTH_SCOPE_MISMATCH", "401 Unauthorized", errors.ZohoSignInError),
        ],
    )
    def test_a_pause_or_sign_in_wanted_by_zoho_ends_the_asking(self, code, status, kind):
        refusal = json.dumps(envelope(code)).encode()
        handle, seen = self.serve(0.01, 5, refusal, status)
        with raw_server(handle) as server, local(server) as client:
            answers = list(client.job_details_many(self.ids(500), threads=4, seconds=10))
        assert len(answers) == len(seen) <= 5 + 4
        refused = [item.error for item in answers if item.error]
        assert refused
        assert all(isinstance(error, kind) for error in refused)

    def test_other_errors_do_not_end_the_asking(self):
        refusal = json.dumps(envelope("RESOURCE_NOT_FOUND")).encode()
        handle, _ = self.serve(0, 5, refusal, "404 Not Found")
        with raw_server(handle) as server, local(server) as client:
            answers = list(client.job_details_many(self.ids(30), threads=1, seconds=10))
        assert [item.error is None for item in answers] == [True] * 5 + [False] * 25

    def test_without_a_token_one_answer_says_so(self, zoho):
        class NoTokens(FixedTokens):
            def get(self):
                raise errors.ZohoSignInError("no")

        client = BulkWriteClient(region=region_for("us"), tokens=NoTokens())
        answers = list(client.job_details_many(self.ids(30), threads=10, seconds=5))
        assert [(item.job_id, item.error.kind) for item in answers] == [("1000", "sign_in")]
        assert len(zoho.calls) == 0

    def test_no_ids_are_no_answers(self, client):
        assert list(client.job_details_many([], threads=5, seconds=1)) == []

    def test_a_caller_that_says_stop_still_gets_what_is_under_way(self):
        handle, seen = self.serve(delay=0.05)
        stop = threading.Event()
        with raw_server(handle) as server, local(server) as client:
            answers = client.job_details_many(self.ids(200), threads=4, seconds=10, stop=stop)
            got = [next(answers)]
            stop.set()
            got.extend(answers)
        assert len(got) == len(seen) < 20

    def test_so_many_failures_on_end_end_the_asking(self):
        handle, seen = self.serve(0, 5, b"<html>", "503 Service Unavailable")
        with raw_server(handle) as server, local(server) as client:
            asking = client.job_details_many(self.ids(200), threads=2, seconds=10, most_failures=10)
            answers = list(asking)
        assert 15 <= len(answers) == len(seen) <= 16

    def test_failures_between_answers_do_not_end_the_asking(self, zoho, client):
        for number, job_id in enumerate(self.ids(30)):
            url = DETAILS_URL.replace(JOB_ID, job_id)
            zoho.get(url, json=job_payload(id=job_id), status=503 if number % 3 else 200)
        asking = client.job_details_many(self.ids(30), threads=1, seconds=10, most_failures=3)
        assert len(list(asking)) == 30

    def test_a_caller_that_stops_listening_ends_the_asking(self):
        handle, seen = self.serve(delay=0.02)
        with raw_server(handle) as server, local(server) as client:
            answers = client.job_details_many(self.ids(200), threads=2, seconds=10)
            next(answers)
            answers.close()
            time.sleep(0.1)
            asked = len(seen)
            time.sleep(0.1)
            assert len(seen) == asked < 20


class TestDownload:
    def get(self, client, url=RELATIVE, max_bytes=10_000, seconds=5.0, target=None):
        target = target if target is not None else io.BytesIO()
        size = client.download(url, target, max_bytes=max_bytes, seconds=seconds)
        assert size == len(target.getvalue())
        return target.getvalue()

    def test_the_download_host_is_tried_first(self, zoho, client):
        zoho.get(ACCL + RELATIVE, body=ZIP, content_type="application/zip")
        assert self.get(client) == ZIP
        assert zoho.calls[0].request.headers["Authorization"] == "Zoho-oauthtoken first"

    @pytest.mark.parametrize("status", [404, 410, 500])
    def test_the_api_host_is_tried_next(self, zoho, client, status):
        zoho.get(ACCL + RELATIVE, body=b"<html>", status=status)
        zoho.get(API + RELATIVE, body=ZIP)
        assert self.get(client) == ZIP

    @pytest.mark.parametrize(
        ("status", "body"),
        [
            (404, envelope("RESOURCE_NOT_FOUND")),
            (404, envelope("INVALID_URL_PATTERN")),
            (410, {}),
            (403, {"info": "Forbidden", "x-info": "Link not valid"}),
            (200, {"x-info": "Link not valid"}),
        ],
    )
    def test_a_result_no_host_has_is_gone(self, zoho, client, status, body):
        zoho.get(ACCL + RELATIVE, json=body, status=status)
        zoho.get(API + RELATIVE, json=body, status=status)
        target = io.BytesIO()
        with pytest.raises(errors.ResultGoneError):
            self.get(client, target=target)
        assert len(zoho.calls) == 2
        assert target.getvalue() == b""

    def test_a_result_is_not_gone_while_a_host_does_not_answer(self, zoho, client):
        zoho.get(ACCL + RELATIVE, status=503)
        zoho.get(API + RELATIVE, json=envelope("INVALID_URL_PATTERN"), status=404)
        with pytest.raises(errors.ZohoUnavailableError):
            self.get(client)

    def test_a_rejected_token_is_renewed_once(self, zoho, client, tokens):
        zoho.get(ACCL + RELATIVE, json=envelope("INVALID_TOKEN"), status=401)
        zoho.get(ACCL + RELATIVE, body=ZIP)
        assert self.get(client) == ZIP
        assert tokens.renewals == 1

    def test_a_file_host_that_takes_no_token_concerns_the_job_alone(self, zoho, client, tokens):
        zoho.get(ACCL + RELATIVE, json=envelope("INVALID_TOKEN"), status=401)
        zoho.get(API + RELATIVE, json=envelope("INVALID_TOKEN"), status=401)
        with pytest.raises(errors.ZohoSignInError) as caught:
            self.get(client)
        assert (caught.value.scope, tokens.renewals) == ("job", 1)

    def test_throttling_is_not_answered_with_a_second_call(self, zoho, client):
        zoho.get(ACCL + RELATIVE, json=envelope("TOO_MANY_REQUESTS"), status=429)
        with pytest.raises(errors.ZohoThrottledError):
            self.get(client)
        assert len(zoho.calls) == 1

    @pytest.mark.parametrize("headers", [{}, {"Content-Length": "20000"}])
    def test_a_file_that_is_too_large_is_refused(self, zoho, client, headers):
        zoho.get(ACCL + RELATIVE, body=b"PK" * 10_000, headers=headers)
        target = io.BytesIO()
        with pytest.raises(errors.TooLargeError):
            self.get(client, target=target)
        assert target.getvalue() == b""

    def test_a_page_in_place_of_a_file_is_malformed(self, zoho, client):
        for base in (ACCL, API):
            zoho.get(base + RELATIVE, body=b"<html>Sign in", content_type="application/zip")
        with pytest.raises(errors.MalformedAnswerError):
            self.get(client)

    def test_what_a_broken_attempt_wrote_is_cut_off(self):
        calls = []

        def handle(connection, head):
            calls.append(head)
            if len(calls) == 1:
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\nPKbroken")
                connection.close()
                return
            answer(connection, ZIP)

        with raw_server(handle) as server, raw_server(handle) as second:
            region = region_for(
                "custom", api_url=second.url, accounts_url=server.url, download_url=server.url
            )
            target = io.BytesIO(b"kept")
            target.seek(4)
            with BulkWriteClient(region=region, tokens=FixedTokens()) as client:
                size = client.download("/x.zip", target, max_bytes=10_000, seconds=5)
        assert size == len(ZIP)
        assert target.getvalue() == b"kept" + ZIP

    def test_nothing_is_left_of_a_file_that_broke_off(self):
        def handle(connection, head):
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\nPKbroken")
            connection.close()

        target = io.BytesIO()
        with (
            raw_server(handle) as server,
            local(server) as client,
            pytest.raises(errors.ZohoUnavailableError),
        ):
            self.get(client, url="/x.zip", target=target)
        assert target.getvalue() == b""

    def test_a_dripping_file_is_cut_off_at_the_deadline(self):
        def handle(connection, head):
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\nPK")
            for _ in range(60):
                time.sleep(0.05)
                connection.sendall(b"x")

        with raw_server(handle) as server, local(server) as client:
            started = time.monotonic()
            with pytest.raises(errors.ZohoUnavailableError, match="in time"):
                self.get(client, url="/x.zip", seconds=0.5)
            assert time.monotonic() - started <= 0.6

    def test_a_redirect_to_an_own_host_is_followed(self, zoho, client):
        moved = "https://download.zohocrm.com/x.zip"
        zoho.get(ACCL + RELATIVE, status=302, headers={"Location": moved})
        zoho.get(moved, body=ZIP)
        assert self.get(client) == ZIP

    @pytest.mark.parametrize(
        "location", ["https://evil.example/x", "//evil.example/x", "http://www.zohoapis.com/", ""]
    )
    def test_a_redirect_elsewhere_is_refused(self, zoho, client, location):
        zoho.get(ACCL + RELATIVE, status=302, headers={"Location": location})
        with pytest.raises(errors.UnsafeUrlError, match="Redirect refused"):
            self.get(client)
        assert len(zoho.calls) == 1

    def test_redirects_in_circles_end(self, zoho, client):
        zoho.get(ACCL + RELATIVE, status=302, headers={"Location": ACCL + RELATIVE})
        zoho.get(API + RELATIVE, json={}, status=404)
        with pytest.raises(errors.ZohoUnavailableError, match="circles"):
            self.get(client)
        assert len(zoho.calls) < 8

    def test_an_address_elsewhere_is_never_called(self, zoho, client):
        with pytest.raises(errors.UnsafeUrlError):
            self.get(client, url="https://evil.example/x.zip")
        assert len(zoho.calls) == 0

    def test_a_full_disk_is_the_caller_s_error(self, zoho, client):
        class FullDisk(io.BytesIO):
            def write(self, data):
                raise OSError(28, "No space left on device")

        zoho.get(ACCL + RELATIVE, body=ZIP)
        with pytest.raises(OSError, match="No space"):
            self.get(client, target=FullDisk())


def test_nothing_shows_a_token():
    tokens = FixedTokens()
    tokens.token = "canary"
    client = BulkWriteClient(region=region_for("us"), tokens=tokens)
    assert "canary" not in repr(client)


def test_the_watchdog_leaves_a_connection_alone_once_it_serves_another_call():
    def handle(connection, head):
        time.sleep(0.25)
        answer(connection, json.dumps({"status": "ADDED"}).encode())

    with raw_server(handle) as server, local(server, timeout=0.6) as client:
        for _ in range(4):
            assert client.job_details(JOB_ID).status == "ADDED"


def test_one_thread_watches_all_deadlines():
    def handle(connection, head):
        answer(connection, json.dumps({"status": "ADDED"}).encode())

    with raw_server(handle) as server, local(server) as client:
        list(client.job_details_many([str(n) for n in range(50)], threads=8, seconds=5))
    names = [thread.name for thread in threading.enumerate()]
    assert names.count("zoho-deadlines") == 1
