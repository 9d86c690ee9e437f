import re

import requests

from jobs.sandbox.oauth import ACTIVE_TOKENS, GRANT_CODE, SAMPLE_CONNECTION

REFRESH = {"grant_type": "refresh_token", **SAMPLE_CONNECTION}


def ask(sandbox, form=None, **query):
    return requests.post(f"{sandbox.url}/oauth/v2/token", data=form, params=query, timeout=5)


def test_a_refresh_token_gives_an_access_token_that_works(sandbox, client):
    response = ask(sandbox, REFRESH)

    granted = response.json()
    assert response.status_code == 200
    assert granted["api_domain"] == sandbox.url
    assert granted["token_type"] == "Bearer"
    assert granted["expires_in"] == 3600
    assert "ZohoCRM.bulk.ALL" in granted["scope"]
    client.token = granted["access_token"]
    assert client.details("111111000000541958").status_code == 200


def test_parameters_may_stand_in_the_query_string(sandbox):
    assert "access_token" in ask(sandbox, **REFRESH).json()


def test_refusals_come_with_status_200(sandbox):
    for change, error in (
        ({"client_id": "1000.NOBODY"}, "invalid_client"),
        ({"client_secret": "wrong"}, "invalid_client_secret"),
        ({"refresh_token": "1000.revoked"}, "invalid_code"),
        ({"grant_type": "password"}, "unsupported_grant_type"),
    ):
        response = ask(sandbox, REFRESH | change)
        assert (response.status_code, response.json()) == (200, {"error": error})


def test_the_eleventh_token_in_ten_minutes_is_denied(sandbox, clock):
    for _ in range(10):
        assert "access_token" in ask(sandbox, REFRESH).json()

    denied = ask(sandbox, REFRESH)
    assert denied.status_code == 400
    assert denied.json() == {
        "error_description": "You have made too many requests continuously. "
        "Please try again after some time.",
        "error": "Access Denied",
        "status": "failure",
    }

    clock.forward(601)
    assert "access_token" in ask(sandbox, REFRESH).json()
    assert (sandbox.accounts.refreshes, sandbox.accounts.refused) == (11, 1)


def test_throttling_can_be_switched_off(sandbox):
    sandbox.set_options(token_throttling=False)
    answers = [ask(sandbox, REFRESH).json() for _ in range(12)]
    assert all("access_token" in answer for answer in answers)


def test_thirty_tokens_are_active_and_the_oldest_gives_way(sandbox, client):
    tokens = [sandbox.issue_token() for _ in range(ACTIVE_TOKENS)]
    assert not sandbox.accounts.is_active(client.token)
    assert all(sandbox.accounts.is_active(token) for token in tokens)


def test_a_token_lives_for_an_hour(client, clock):
    clock.forward(3599)
    assert client.details("111111000000541958").status_code == 200
    clock.forward(2)
    assert client.details("111111000000541958").json()["code"] == "INVALID_TOKEN"


def test_a_grant_code_works_once(sandbox):
    form = REFRESH | {"grant_type": "authorization_code", "code": GRANT_CODE}
    granted = ask(sandbox, form).json()
    again = ask(sandbox, form).json()

    assert again == {"error": "invalid_code"}
    renewed = ask(sandbox, REFRESH | {"refresh_token": granted["refresh_token"]}).json()
    assert "access_token" in renewed


def test_a_revoked_refresh_token_takes_its_access_tokens_along(sandbox, client):
    form = {"token": SAMPLE_CONNECTION["refresh_token"]}
    requests.post(f"{sandbox.url}/oauth/v2/token/revoke", data=form, timeout=5)

    assert client.details("111111000000541958").json()["code"] == "INVALID_TOKEN"
    assert ask(sandbox, REFRESH).json() == {"error": "invalid_code"}


def consent(sandbox, path="", **changes):
    query = {
        "response_type": "code",
        "client_id": SAMPLE_CONNECTION["client_id"],
        "scope": "ZohoCRM.bulk.ALL",
        "redirect_uri": "http://127.0.0.1:8000/connections/callback/",
        "state": "s&t",
        **changes,
    }
    url = f"{sandbox.url}/oauth/v2/auth{path}"
    return requests.get(url, params=query, timeout=5, allow_redirects=False)


def test_the_browser_comes_back_from_the_consent_page_with_a_code(sandbox):
    assert "Accept" in consent(sandbox).text

    location = consent(sandbox, "/accept").headers["Location"]
    assert location.startswith("http://127.0.0.1:8000/connections/callback/?state=s%26t&code=")
    code = re.search(r"code=([^&]+)", location).group(1)
    form = REFRESH | {"grant_type": "authorization_code", "code": code}
    assert ask(sandbox, form).json() == {"error": "invalid_redirect_uri"}
    form["redirect_uri"] = "http://127.0.0.1:8000/connections/callback/"
    granted = ask(sandbox, form).json()
    assert granted["scope"] == "ZohoCRM.bulk.ALL"
    assert "refresh_token" in granted


def test_consent_can_be_given_for_another_scope_and_in_another_data_center(sandbox, client):
    sandbox.set_options(
        granted_scope="ZohoCRM.modules.ALL",
        location="eu",
        accounts_server="https://accounts.zoho.eu",
    )
    location = consent(sandbox, "/accept").headers["Location"]
    assert location.endswith("&location=eu&accounts-server=https%3A%2F%2Faccounts.zoho.eu")

    code = re.search(r"code=([^&]+)", location).group(1)
    form = REFRESH | {"grant_type": "authorization_code", "code": code}
    form["redirect_uri"] = "http://127.0.0.1:8000/connections/callback/"
    client.token = ask(sandbox, form).json()["access_token"]
    refused = client.details("111111000000541958")
    assert (refused.status_code, refused.json()["code"]) == (401, "OAUTH_SCOPE_MISMATCH")


def test_a_self_client_makes_codes(sandbox):
    order = {"client_id": SAMPLE_CONNECTION["client_id"], "scope": "ZohoCRM.bulk.CREATE"}
    made = requests.post(f"{sandbox.url}/__sandbox__/grants", json=order, timeout=5).json()

    form = REFRESH | {"grant_type": "authorization_code", "code": made["code"]}
    assert ask(sandbox, form).json()["scope"] == "ZohoCRM.bulk.CREATE"


def test_a_refused_consent_and_a_foreign_redirect(sandbox):
    assert "error=access_denied" in consent(sandbox, "/reject").headers["Location"]
    assert consent(sandbox, "/accept", redirect_uri="https://evil.example/").status_code == 400
    assert consent(sandbox, client_id="1000.NOBODY").status_code == 400
