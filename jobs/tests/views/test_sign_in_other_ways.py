"""Signing in with a grant code or a refresh token, and what is stored of any way."""

import json
import socket
from urllib.parse import parse_qs, urlsplit

import pytest
import requests
from urllib3.exceptions import NameResolutionError

from jobs.models import Connection
from jobs.sandbox.oauth import GRANT_CODE, SAMPLE_CONNECTION
from jobs.services.connections import access
from jobs.tests.factories import make_connection
from jobs.tests.stand_in import TOKEN_URL
from jobs.tests.views.sign_ins import CLIENT, page_of, send, text, to, verdict

NO_NAME = NameResolutionError("accounts.zoho.eu", "a connection", socket.gaierror())


def test_a_grant_code_of_a_self_client_signs_in(admin_at_site, unsigned, sandbox):
    response = send(admin_at_site, unsigned, way="grant_code", grant_code=f"  {GRANT_CODE}\n")

    assert response["Location"] == f"/connections/{unsigned.pk}/"
    unsigned.refresh_from_db()
    assert unsigned.is_signed_in
    assert sandbox.requests.count("token") == 1

    again = send(admin_at_site, unsigned, way="grant_code", grant_code=GRANT_CODE)
    assert again.status_code == 422
    assert "Make a new code and use it within its few minutes." in text(again)
    assert Connection.objects.get().refresh_token == unsigned.refresh_token


def test_a_refresh_token_signs_in(admin_at_site, unsigned, sandbox):
    token = SAMPLE_CONNECTION["refresh_token"]

    response = send(admin_at_site, unsigned, way="refresh_token", refresh_token=token)

    assert response["Location"] == f"/connections/{unsigned.pk}/"
    unsigned.refresh_from_db()
    assert unsigned.refresh_token == token
    assert sandbox.requests.count("token") == 1


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"refresh_token": "1000.wrong"}, "Zoho does not accept the refresh token"),
        ({"client_secret": "wrong"}, "The client secret does not belong to the client ID."),
        ({"client_id": "1000.NOBODY"}, "Zoho does not know this client ID in this data centre."),
    ],
)
def test_what_zoho_refuses_is_not_stored_and_what_works_goes_on(
    admin_at_site, sandbox, values, said
):
    connection = to(sandbox, **SAMPLE_CONNECTION)
    access.open_tokens(connection).get()
    given = {"refresh_token": SAMPLE_CONNECTION["refresh_token"]} | values

    response = send(admin_at_site, connection, way="refresh_token", **given)

    assert response.status_code == 422
    assert said in text(response)
    stored = Connection.objects.get()
    assert {name: getattr(stored, name) for name in SAMPLE_CONNECTION} == SAMPLE_CONNECTION
    assert access.open_tokens(stored).get()
    assert stored.blocked_at is None


@pytest.mark.parametrize("way", ["grant_code", "refresh_token", "consent"])
@pytest.mark.parametrize(
    ("answer", "said", "cure"),
    [
        (
            {"body": requests.ConnectionError(NO_NAME)},
            "could not be resolved.",
            "Nothing was stored. Try again in a moment. If it lasts, check the network",
        ),
        ({"status": 503, "body": "<html>"}, "(HTTP 503)", "Nothing was stored. Try again in a"),
        (
            {"status": 429, "body": "{}"},
            "can be asked again",
            "Nothing was stored. Try again later",
        ),
    ],
)
def test_what_passes_is_not_said_to_be_tried_again_as_nothing_is_stored(
    admin_at_site, zoho, way, answer, said, cure
):
    connection = make_connection(client_id="", client_secret="", refresh_token="")
    zoho.mock.post(TOKEN_URL, **answer)

    if way == "consent":
        back = send(admin_at_site, connection)["Location"]
        state = parse_qs(urlsplit(back).query)["state"][0]
        page = verdict(admin_at_site, {"state": state, "code": "a-code"})
        assert "The sign-in could not be finished" in page
        assert "did not accept" not in page
    else:
        page = text(send(admin_at_site, connection, way=way, **{way: "canary"}))

    assert said in page
    assert cure in page
    assert "tries again" not in page
    assert "the dashboard waits" not in page
    assert Connection.objects.get().refresh_token == ""


def test_unreadable_secrets_are_replaced_here(admin_at_site, sandbox, settings):
    connection = to(sandbox, **SAMPLE_CONNECTION)
    settings.ENCRYPTION_KEYS = ["b3RoZXItb3RoZXItb3RoZXItb3RoZXItb3RoZXItb3Q="]

    assert "The stored secrets cannot be read." in text(admin_at_site.get(page_of(connection)))
    assert send(admin_at_site, connection, client_secret="").status_code == 422
    done = send(
        admin_at_site,
        connection,
        way="refresh_token",
        refresh_token=SAMPLE_CONNECTION["refresh_token"],
    )

    assert done.status_code == 302
    assert Connection.objects.get().client_secret == CLIENT["client_secret"]


@pytest.mark.parametrize("way", ["grant_code", "refresh_token", "consent"])
@pytest.mark.parametrize(
    "moved", [{"environment": "sandbox"}, {"data_center": "eu", "api_url": "", "accounts_url": ""}]
)
def test_no_secret_is_stored_for_another_place_than_the_one_that_took_it(
    admin_at_site, zoho, way, moved
):
    old = {"client_id": "", "client_secret": "", "refresh_token": ""}
    connection = make_connection(**old)

    def answer(request):
        Connection.objects.update(**moved)
        tokens = {"access_token": "at", "refresh_token": "canary", "expires_in": 3600}
        return 200, {}, json.dumps(tokens)

    zoho.mock.add_callback("POST", TOKEN_URL, answer)
    if way == "consent":
        back = send(admin_at_site, connection)["Location"]
        state = parse_qs(urlsplit(back).query)["state"][0]
        said = verdict(admin_at_site, {"state": state, "code": "a-code"})
    else:
        response = send(admin_at_site, connection, way=way, **{way: "canary"})
        assert response.status_code == 422
        said = text(response)

    assert "was changed meanwhile" in said
    assert "sign in again" in said
    connection.refresh_from_db()
    assert {name: getattr(connection, name) for name in old} == old
