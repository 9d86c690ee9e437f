"""The way back from Zoho's consent page, and all that can go wrong on it."""

import html
from datetime import timedelta
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
from django.contrib.auth.models import User
from django.contrib.messages import get_messages
from django.db import connection as database
from django.test import Client
from django.utils import timezone

from jobs.models import Connection, SignIn
from jobs.tests.factories import make_connection, make_job
from jobs.tests.views.sign_ins import (
    CLIENT,
    RETURN,
    begun,
    page_of,
    send,
    signed_in_browser,
    text,
    to,
    verdict,
)


def messages_of(response):
    return [str(message) for message in get_messages(response.wsgi_request)]


def test_consent_signs_in_tests_and_goes_to_the_connection(admin_at_site, unsigned, sandbox):
    brought = begun(admin_at_site, unsigned)

    response = admin_at_site.get(f"{RETURN}?{urlencode(brought)}")

    assert (response.status_code, response["Location"]) == (302, f"/connections/{unsigned.pk}/")
    assert "no-store" in response["Cache-Control"]
    assert "Zoho accepts the sign-in and lets bulk write jobs be read." in messages_of(response)[0]
    unsigned.refresh_from_db()
    assert unsigned.client_id == CLIENT["client_id"]
    assert unsigned.client_secret == CLIENT["client_secret"]
    assert unsigned.is_signed_in
    assert not SignIn.objects.exists()
    # The access token that came with the code is used, and no other asked for.
    assert (sandbox.requests.count("token"), sandbox.requests.count("details")) == (1, 1)
    assert sandbox.accounts.refreshes == 0


def test_a_reconnect_keeps_jobs_and_brings_a_blocked_connection_back(admin_at_site, sandbox):
    connection = to(
        sandbox,
        client_id="1000.OLD",
        client_secret="old",
        refresh_token="old",
        blocked_at=timezone.now(),
        last_error={"message": "no"},
        resume_at=timezone.now() + timedelta(minutes=30),
        waiting_for="repair",
    )
    job = make_job(connection, zoho_job_id="111111000000541958")

    admin_at_site.get(f"{RETURN}?{urlencode(begun(admin_at_site, connection))}")

    connection.refresh_from_db()
    assert connection.client_id == CLIENT["client_id"]
    assert (connection.blocked_at, connection.last_error) == (None, None)
    assert connection.resume_at <= timezone.now()
    assert connection.jobs.get() == job
    assert Connection.objects.pollable(timezone.now()).exists()


def test_refused_consent_is_said_and_changes_nothing(admin_at_site, unsigned, sandbox):
    page = verdict(admin_at_site, begun(admin_at_site, unsigned, "reject"))

    assert "Consent was refused" in page
    assert f'href="{page_of(unsigned)}"' in page
    assert sandbox.accounts.issued == 0
    assert not SignIn.objects.exists()


def test_what_went_wrong_survives_a_reload_until_the_next_sign_in_begins(admin_at_site, unsigned):
    verdict(admin_at_site, begun(admin_at_site, unsigned, "reject"))

    assert "Consent was refused" in text(admin_at_site.get(RETURN))

    send(admin_at_site, unsigned)
    assert "No sign-in is under way here" in text(admin_at_site.get(RETURN))


def test_other_errors_of_the_consent_page_are_text(admin_at_site, unsigned):
    state = begun(admin_at_site, unsigned)["state"]

    page = verdict(admin_at_site, {"state": state, "error": "<script>alert(1)</script>"})

    assert "Zoho gave no code" in page
    assert "alert(1)" not in page


def refused(admin, brought, why, sandbox):
    issued = sandbox.accounts.issued + sandbox.accounts.refused
    page = verdict(admin, brought)
    assert "This sign-in is not one that was begun here" in page
    assert why in page
    assert "Begin again" in page
    assert sandbox.accounts.issued + sandbox.accounts.refused == issued


def test_a_state_that_nobody_made_is_refused(admin_at_site, unsigned, sandbox):
    brought = begun(admin_at_site, unsigned)

    for state in ("made-up", "", "\x00", "x" * 5000):
        refused(admin_at_site, brought | {"state": state}, "not known here", sandbox)
    del brought["state"]
    refused(admin_at_site, brought, "not known here", sandbox)
    assert SignIn.objects.count() == 1


def test_a_state_is_good_once(admin_at_site, unsigned, sandbox):
    brought = begun(admin_at_site, unsigned)
    admin_at_site.get(f"{RETURN}?{urlencode(brought)}")

    refused(admin_at_site, brought, "was used before", sandbox)


def test_of_two_returns_at_once_one_goes_on(admin_at_site, unsigned, sandbox):
    brought = begun(admin_at_site, unsigned)
    address = f"{RETURN}?{urlencode(brought)}"
    other = Client(headers={"host": "127.0.0.1:8000"})
    other.cookies = admin_at_site.cookies
    others = []

    def overtaken(execute, sql, *rest):
        if sql.startswith("DELETE") and "signin" in sql and not others:
            others.append(None)
            others[0] = other.get(address)
        return execute(sql, *rest)

    with database.execute_wrapper(overtaken):
        mine = admin_at_site.get(address)

    assert others[0]["Location"] == f"/connections/{unsigned.pk}/"
    assert mine["Location"] == RETURN
    assert sandbox.requests.count("token") == 1


def test_a_state_is_good_for_15_minutes(admin_at_site, unsigned, sandbox):
    brought = begun(admin_at_site, unsigned)
    SignIn.objects.update(created_at=timezone.now() - timedelta(minutes=15, seconds=1))

    refused(admin_at_site, brought, "more than 15 minutes ago", sandbox)


@pytest.mark.parametrize("who", ["admin", "other"])
def test_a_state_is_good_in_the_browser_and_for_the_person_that_began(
    admin_at_site, unsigned, sandbox, who
):
    brought = begun(admin_at_site, unsigned)
    another = signed_in_browser(who)
    # One that has begun a sign-in of its own, so that its session holds a secret too.
    send(another, unsigned)

    refused(another, brought, "in another browser, or by somebody else", sandbox)

    # It is not used up by that.
    assert admin_at_site.get(f"{RETURN}?{urlencode(brought)}")["Location"] != RETURN


def test_who_is_not_signed_in_here_is_asked_to_without_the_code_in_the_address(
    unsigned, admin_at_site
):
    brought = begun(admin_at_site, unsigned)

    response = Client().get(f"{RETURN}?{urlencode(brought)}")

    assert response["Location"] == f"/accounts/login/?next={RETURN}"


def test_only_staff_come_back(admin_at_site, unsigned, sandbox):
    brought = begun(admin_at_site, unsigned)
    viewer = Client()
    viewer.force_login(User.objects.create_user("viewer"))

    assert viewer.get(f"{RETURN}?{urlencode(brought)}").status_code == 403
    assert sandbox.accounts.issued == 0


def test_the_page_without_anything_brought_says_that_nothing_is_under_way(admin_at_site):
    assert "No sign-in is under way here" in text(admin_at_site.get(RETURN))
    assert admin_at_site.head(RETURN).status_code == 405


@pytest.mark.parametrize(
    ("brought", "place"),
    [
        ({"location": "eu"}, "Europe (accounts.zoho.eu)"),
        ({"accounts-server": "https://accounts.zoho.in"}, "India (accounts.zoho.in)"),
        (
            {"location": "us", "accounts-server": "https://accounts.zoho.eu"},
            "Europe (accounts.zoho.eu)",
        ),
    ],
)
def test_another_data_center_is_named_and_nothing_exchanged(admin_at_site, zoho, brought, place):
    connection = make_connection(data_center="us", api_url="", accounts_url="", name="production")
    state = parse_qs(urlsplit(send(admin_at_site, connection)["Location"]).query)["state"][0]

    page = verdict(admin_at_site, {"state": state, "code": "canary"} | brought)

    assert "You signed in at another data centre" in page
    assert place in page
    assert "but production is a connection to “United States (zoho.com)”" in page
    assert "choose that one" in page
    assert zoho.asked() == []
    connection.refresh_from_db()
    assert connection.refresh_token == "canary-refresh-token"


@pytest.mark.parametrize(
    "server",
    [
        "https://evil.example",
        "https://accounts.zoho.com.evil.example",
        "http://accounts.zoho.com",
        "javascript:alert(1)",
    ],
)
def test_a_server_that_is_none_of_zohos_is_warned_of(admin_at_site, zoho, server):
    connection = make_connection(data_center="us", api_url="", accounts_url="", name="production")
    state = parse_qs(urlsplit(send(admin_at_site, connection)["Location"]).query)["state"][0]

    page = verdict(admin_at_site, {"state": state, "code": "canary", "accounts-server": server})

    assert "names an accounts server that is none of Zoho's" in html.unescape(page)
    assert "Nothing was sent to that server" in page
    assert "Begin again from the sign-in page" in page
    assert "data centre" not in page
    assert "Edit the connection" not in page
    assert "evil" not in page
    assert zoho.asked() == []
    connection.refresh_from_db()
    assert connection.refresh_token == "canary-refresh-token"


@pytest.mark.parametrize(
    "brought",
    [
        {"location": "us", "accounts-server": "https://accounts.zoho.com"},
        {"location": "us"},
        {},
        {"location": "moon"},
    ],
)
def test_the_code_goes_to_the_connections_own_accounts_host(admin_at_site, zoho, brought):
    connection = make_connection(data_center="us", api_url="", accounts_url="")
    url = "https://accounts.zoho.com/oauth/v2/token"
    zoho.mock.post(url, json={"error": "invalid_code"})
    state = parse_qs(urlsplit(send(admin_at_site, connection)["Location"]).query)["state"][0]

    page = verdict(admin_at_site, {"state": state, "code": "canary-code"} | brought)

    assert "Zoho does not accept this grant code" in page
    (request,) = zoho.asked()
    assert request.url == url
    assert "code=canary-code" in request.body


def test_a_scope_that_does_not_suffice_is_said_and_not_stored(admin_at_site, sandbox):
    connection = to(sandbox, client_id="1000.OLD", client_secret="old", refresh_token="old")
    sandbox.set_options(granted_scope="ZohoCRM.modules.ALL")

    page = verdict(admin_at_site, begun(admin_at_site, connection))

    assert "Zoho granted the scope ZohoCRM.modules.ALL" in page
    assert "Sign in again, and choose Accept for all that is asked." in page
    connection.refresh_from_db()
    assert (connection.client_id, connection.refresh_token) == ("1000.OLD", "old")


def test_a_code_that_zoho_does_not_take_leaves_the_connection_as_it_is(admin_at_site, sandbox):
    connection = to(sandbox, client_id="1000.OLD", client_secret="old", refresh_token="old")
    first = begun(admin_at_site, connection)
    admin_at_site.get(f"{RETURN}?{urlencode(first)}")
    signed_in = Connection.objects.get().refresh_token

    page = verdict(admin_at_site, begun(admin_at_site, connection) | {"code": first["code"]})

    assert "Zoho does not accept this grant code" in page
    assert "Sign in again, and choose Accept." in page
    assert "Make a new code" not in page
    assert Connection.objects.get().refresh_token == signed_in


def test_throttled_exchanges_say_until_when(admin_at_site, unsigned, sandbox):
    brought = begun(admin_at_site, unsigned)
    sandbox.add_fault("token_throttled", language="zh")

    page = verdict(admin_at_site, brought)

    assert "Zoho refuses further access tokens for a while" in page
    assert "Zoho can be asked again" in page


def test_a_connection_that_moved_meanwhile_gets_nothing_of_the_old_sign_in(
    admin_at_site, unsigned, sandbox
):
    brought = begun(admin_at_site, unsigned)
    values = {"name": "production", "edition": "standard", "environment": "sandbox"}
    values |= {"api_version": "v7", "skip_threshold_percent": 10, "stuck_after_minutes": 30}
    values |= {"max_concurrency": 10, "longest_interval_seconds": 300, "data_center": "eu"}
    assert admin_at_site.post(f"/connections/{unsigned.pk}/edit/", values).status_code == 302

    refused(admin_at_site, brought, "not known here", sandbox)
