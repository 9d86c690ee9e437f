"""One call for a job's details: what is sent, and what an answer means."""

import json

import pytest

from jobs.tests.zoho.clients import DETAILS_URL, envelope, local
from jobs.tests.zoho.support import JOB_ID, FixedTokens, answer, job_payload, raw_server
from jobs.zoho import errors
from jobs.zoho.client import BulkWriteClient
from jobs.zoho.regions import region_for


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

    def test_a_long_answer_that_describes_no_job_is_not_read_as_an_error(self, zoho, client):
        zoho.get(DETAILS_URL, json=envelope("NO_PERMISSION") | {"details": "x" * 70_000})
        with pytest.raises(errors.MalformedAnswerError):
            client.job_details(JOB_ID)

    @pytest.mark.parametrize("code", ["INVALID_TOKEN", "invalid_token", "AUTHENTICATION_FAILURE"])
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
        with pytest.raises(errors.ZohoSignInError, match="only just given") as caught:
            client.job_details(JOB_ID)
        assert "Correct the data centre or the environment" in caught.value.resolution
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

    @pytest.mark.parametrize("domain", ["https://evil.example", "https://www.zohoapis.eu"])
    def test_a_foreign_api_domain_of_the_token_is_not_asked(self, zoho, client, tokens, domain):
        zoho.get(DETAILS_URL, json=job_payload())
        tokens.api_domain = domain
        assert client.job_details(JOB_ID).status == "COMPLETED"

    def test_another_api_domain_within_the_data_centre_is_asked(self, zoho, client, tokens):
        zoho.get(DETAILS_URL.replace("zohoapis.com", "zohocrm.com"), json=job_payload())
        tokens.api_domain = "https://www.zohocrm.com"
        assert client.job_details(JOB_ID).status == "COMPLETED"

    def test_another_api_domain_on_ones_own_hosts_is_asked_and_no_foreign_one(self):
        def give(connection, head):
            answer(connection, json.dumps(job_payload()).encode())

        with raw_server(give) as given, raw_server(give) as own, raw_server(give) as foreign:
            region = region_for("custom", api_url=given.url, accounts_url=own.url)
            for named in (foreign, own):
                tokens = FixedTokens()
                tokens.api_domain = named.url
                with BulkWriteClient(region=region, tokens=tokens) as client:
                    client.job_details(JOB_ID)
        assert [len(server.heads) for server in (given, own, foreign)] == [1, 1, 0]


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


def test_nothing_shows_a_token():
    tokens = FixedTokens()
    tokens.token = "canary"
    client = BulkWriteClient(region=region_for("us"), tokens=tokens)
    assert "canary" not in repr(client)
