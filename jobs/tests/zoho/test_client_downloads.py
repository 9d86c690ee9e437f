"""Fetching a result file: its hosts, its limits, and where it may be fetched from."""

import io
import time

import pytest

from jobs.tests.zoho.clients import envelope, local
from jobs.tests.zoho.support import JOB_ID, FixedTokens, answer, raw_server
from jobs.zoho import errors
from jobs.zoho.client import BulkWriteClient
from jobs.zoho.regions import region_for

ACCL = "https://download-accl.zoho.com"
API = "https://www.zohoapis.com"
RELATIVE = f"/v7/crm/org6196138/bulk-write/{JOB_ID}/{JOB_ID}.zip"
ZIP = b"PK\x03\x04" + b"x" * 1000


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

    def test_the_api_host_is_the_one_that_came_with_the_token(self, zoho, client, tokens):
        tokens.api_domain = "https://www.zohocrm.com"
        zoho.get(ACCL + RELATIVE, body=b"<html>", status=404)
        zoho.get("https://www.zohocrm.com" + RELATIVE, body=ZIP)
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

    def test_a_token_that_no_host_takes_is_renewed_once(self, zoho, client, tokens):
        for base in (ACCL, API):
            zoho.get(base + RELATIVE, json=envelope("INVALID_TOKEN"), status=401)
        zoho.get(ACCL + RELATIVE, body=ZIP)
        assert self.get(client) == ZIP
        assert (tokens.renewals, client.calls) == (1, 3)
        assert zoho.calls[2].request.headers["Authorization"] == "Zoho-oauthtoken second"

    @pytest.mark.parametrize("code", ["INVALID_TOKEN", "AUTHENTICATION_FAILURE"])
    def test_a_file_host_that_takes_no_token_costs_none(self, zoho, client, tokens, code):
        zoho.get(ACCL + RELATIVE, json=envelope(code), status=401)
        zoho.get(API + RELATIVE, body=ZIP)
        assert self.get(client) == ZIP
        assert (tokens.renewals, client.calls) == (0, 2)

    @pytest.mark.parametrize("api", [404, 503, "elsewhere"])
    def test_only_the_api_s_own_host_tells_that_a_token_is_bad(self, zoho, client, tokens, api):
        zoho.get(ACCL + RELATIVE, json=envelope("INVALID_TOKEN"), status=401)
        if api == "elsewhere":
            zoho.get(API + RELATIVE, status=302, headers={"Location": ACCL + RELATIVE})
        else:
            zoho.get(API + RELATIVE, json={}, status=api)
        with pytest.raises(errors.ZohoError):
            self.get(client)
        assert tokens.renewals == 0

    def test_a_token_that_no_host_takes_though_it_is_new_concerns_the_job_alone(
        self, zoho, client, tokens
    ):
        for base in (ACCL, API):
            zoho.get(base + RELATIVE, json=envelope("INVALID_TOKEN"), status=401)
        with pytest.raises(errors.ZohoSignInError) as caught:
            self.get(client)
        assert (caught.value.scope, tokens.renewals, client.calls) == ("job", 1, 4)
        assert "ZohoFiles" in caught.value.resolution

    def test_that_no_other_token_is_given_is_no_reason_to_pause(self, zoho, client, tokens):
        for base in (ACCL, API):
            zoho.get(base + RELATIVE, json=envelope("INVALID_TOKEN"), status=401)

        def renew(rejected):
            raise errors.TokensThrottledError("Ten are enough.", retry_after=500)

        tokens.renew = renew
        with pytest.raises(errors.ZohoUnavailableError, match="Ten are enough") as caught:
            self.get(client)
        assert caught.value.scope == "job"

    @pytest.mark.parametrize("error", [errors.ZohoSignInError, errors.TokensThrottledError])
    def test_without_a_token_no_host_is_asked(self, zoho, client, tokens, error):
        def get():
            raise error("No token.")

        tokens.get = get
        with pytest.raises(error) as caught:
            self.get(client)
        assert (caught.value.scope, client.calls) == ("connection", 0)

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
