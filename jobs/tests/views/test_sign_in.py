"""Signing a connection in to Zoho: the walk, the way back, and all that can go wrong on it."""

import hashlib
import json
import re
from datetime import timedelta
from urllib.parse import parse_qs, parse_qsl, urlencode, urlsplit

import pytest
import requests
from django.contrib.auth.models import User
from django.contrib.messages import get_messages
from django.db import connection as database
from django.test import Client
from django.utils import timezone

from jobs import tasks
from jobs.models import Connection, SignIn
from jobs.sandbox.oauth import GRANT_CODE, SAMPLE_CONNECTION
from jobs.sandbox.server import Sandbox
from jobs.services.connections import access
from jobs.tests.factories import make_connection, make_job
from jobs.tests.stand_in import TOKEN_URL
from jobs.zoho.regions import DATA_CENTERS

CLIENT = {name: SAMPLE_CONNECTION[name] for name in ("client_id", "client_secret")}
RETURN = "/connections/signed-in/"


@pytest.fixture
def sandbox(settings):
    settings.ALLOW_CUSTOM_ZOHO_HOSTS = True
    settings.SITE_URL = "http://127.0.0.1:8000"
    settings.ALLOWED_HOSTS = ["testserver", "127.0.0.1"]
    with Sandbox() as running:
        yield running


@pytest.fixture
def connection(sandbox, db):
    """A connection to the sandbox that nobody has signed in."""
    return to(sandbox)


def to(sandbox, **fields):
    unsigned = {"client_id": "", "client_secret": "", "refresh_token": ""}
    own = {"api_url": sandbox.url, "accounts_url": sandbox.url, "name": "production"}
    return make_connection(**own | unsigned | fields)


def signed_in_browser(name="admin"):
    browser = Client(headers={"host": "127.0.0.1:8000"})
    user, _ = User.objects.get_or_create(username=name, defaults={"is_staff": True})
    browser.force_login(user)
    return browser


@pytest.fixture
def admin(db):
    return signed_in_browser()


def text(response):
    return " ".join(response.content.decode().split())


def page_of(connection):
    return f"/connections/{connection.pk}/sign-in/"


def send(admin, connection, way="consent", **values):
    return admin.post(page_of(connection), {"way": way, **CLIENT} | values)


def consent(address, decision="accept"):
    """What Zoho's consent page sends the browser back with, by the parts of its query."""
    asked = urlsplit(address)
    answer = requests.get(
        f"{asked.scheme}://{asked.netloc}{asked.path}/{decision}?{asked.query}",
        allow_redirects=False,
        timeout=5,
    )
    back = urlsplit(answer.headers["Location"])
    assert f"{back.scheme}://{back.netloc}{back.path}" == f"http://127.0.0.1:8000{RETURN}"
    return dict(parse_qsl(back.query))


def begun(admin, connection, decision="accept"):
    return consent(send(admin, connection)["Location"], decision)


def verdict(admin, brought):
    """The page that is shown after a sign-in that did not succeed."""
    response = admin.get(f"{RETURN}?{urlencode(brought)}")
    assert (response.status_code, response["Location"]) == (302, RETURN)
    page = admin.get(RETURN)
    assert page.status_code == 200
    assert "Not signed in" in text(page)
    return text(page)


def messages_of(response):
    return [str(message) for message in get_messages(response.wsgi_request)]


def policy_of(response):
    return response["Content-Security-Policy"].split("; ")


# --- The page


@pytest.mark.parametrize(
    ("data_center", "console"),
    [
        ("us", "https://api-console.zoho.com"),
        ("eu", "https://api-console.zoho.eu"),
        ("au", "https://api-console.zoho.com.au"),
        ("ca", "https://api-console.zohocloud.ca"),
    ],
)
def test_the_walk_names_what_to_enter_where(admin, settings, data_center, console):
    settings.SITE_URL = "https://bulkwatch.example.com"
    connection = make_connection(data_center=data_center, api_url="", accounts_url="")

    page = text(admin.get(page_of(connection)))

    assert f'href="{console}"' in page
    assert '<code id="redirect-uri">https://bulkwatch.example.com/connections/signed-in/' in page
    assert 'data-copy="https://bulkwatch.example.com/connections/signed-in/"' in page
    assert '<code id="scope">ZohoCRM.bulk.ALL</code>' in page
    assert "without https" not in page
    assert "unconfirmed" not in page


def test_an_unconfirmed_data_center_and_a_site_without_https_are_said(admin):
    connection = make_connection(data_center="uk", api_url="", accounts_url="")

    page = text(admin.get(page_of(connection)))

    assert "Zoho CRM in this data centre is unconfirmed." in page
    assert "without https. Zoho accepts such a redirect address for a test" in page


def test_a_page_under_another_name_leads_to_where_zoho_sends_people(admin, connection):
    assert "send you back to another address" not in text(admin.get(page_of(connection)))

    page = text(admin.get(page_of(connection), headers={"host": "testserver"}))

    assert f'href="http://127.0.0.1:8000{page_of(connection)}"' in page


def test_the_form_may_lead_to_zohos_accounts_hosts_and_no_other(admin, connection, sandbox):
    in_canada = make_connection(data_center="ca", api_url="", accounts_url="")
    # Zoho sends whoever is signed in elsewhere on to that data centre.
    hosts = {f"https://{center.accounts_host}" for center in DATA_CENTERS.values()}

    for at, more in ((in_canada, set()), (connection, {sandbox.url})):
        for answer in (admin.get(page_of(at)), admin.post(page_of(at), {})):
            [policy] = [part for part in policy_of(answer) if part.startswith("form-action ")]
            assert set(policy.split()[1:]) == {"'self'"} | hosts | more
    for address in ("/", "/connections/add/", RETURN):
        assert "form-action 'self'" in policy_of(admin.get(address))


def test_no_secret_is_filled_in_or_given_back(admin, connection):
    answers = [
        send(admin, connection, client_secret="canary with blanks"),
        send(admin, connection, way="grant_code", grant_code="canary-code"),
        send(admin, connection, way="refresh_token", refresh_token="canary-token"),
        send(admin, connection, way="nonsense", refresh_token="canary-token"),
    ]
    Connection.objects.update(client_secret="canary-stored", refresh_token="canary-stored")
    answers.append(admin.get(page_of(connection)))

    for answer in answers:
        assert "canary" not in text(answer)
        fields = re.findall(r'<input type="password"[^>]*>', text(answer))
        assert len(fields) == 3
        assert all('autocomplete="new-password"' in field for field in fields)
        assert all("value=" not in field for field in fields)
    assert [answer.status_code for answer in answers] == [422, 422, 422, 422, 200]
    assert not SignIn.objects.exists()


# --- To Zoho


def test_connect_goes_to_the_consent_page_with_all_it_needs(admin, connection, sandbox):
    response = send(admin, connection)

    address = urlsplit(response["Location"])
    assert f"{address.scheme}://{address.netloc}" == sandbox.url
    query = {name: value for name, [value] in parse_qs(address.query).items()}
    state = query.pop("state")
    assert query == {
        "response_type": "code",
        "client_id": CLIENT["client_id"],
        "scope": "ZohoCRM.bulk.ALL",
        "redirect_uri": "http://127.0.0.1:8000/connections/signed-in/",
        "access_type": "offline",
        "prompt": "consent",
    }
    # 256 random bits
    assert len(state) == 43
    begun = SignIn.objects.get()
    assert begun.state_digest == hashlib.sha256(state.encode()).hexdigest()
    assert CLIENT["client_secret"] not in response["Location"]
    connection.refresh_from_db()
    assert connection.client_id == ""


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"client_id": ""}, "client_id"),
        ({"client_secret": ""}, "client_secret"),
        ({"client_secret": "two words"}, "client_secret"),
        ({"way": "grant_code"}, "grant_code"),
        ({"way": "refresh_token"}, "refresh_token"),
        ({"way": "grant_code", "grant_code": "x", "refresh_token": "y"}, "refresh_token"),
        ({"way": ""}, "way"),
    ],
)
def test_what_is_missing_is_told_at_its_field(admin, connection, sandbox, values, field):
    response = send(admin, connection, **values)

    assert response.status_code == 422
    assert list(response.context["form"].errors) == [field]
    assert not SignIn.objects.exists()
    assert sandbox.requests.count() == 0


@pytest.mark.parametrize(
    ("field", "value"),
    [("grant_code", GRANT_CODE), ("refresh_token", SAMPLE_CONNECTION["refresh_token"])],
)
def test_enter_in_a_field_takes_the_way_of_what_was_typed(admin, connection, field, value):
    # The browser sends the first button of the form, “Connect to Zoho”.
    response = send(admin, connection, **{field: value})

    assert response["Location"] == f"/connections/{connection.pk}/"
    connection.refresh_from_db()
    assert connection.is_signed_in


def test_enter_with_both_typed_asks_which_one_is_meant(admin, connection, sandbox):
    response = send(admin, connection, grant_code="x", refresh_token="y")

    assert response.status_code == 422
    assert set(response.context["form"].errors) == {"grant_code", "refresh_token"}
    assert sandbox.requests.count() == 0


def test_an_empty_secret_keeps_the_stored_one_of_the_same_client(admin, sandbox):
    connection = to(sandbox, **SAMPLE_CONNECTION)

    assert send(admin, connection, client_secret="").status_code == 302
    assert SignIn.objects.get().client_secret == CLIENT["client_secret"]
    assert send(admin, connection, client_secret="", client_id="1000.OTHER").status_code == 422


def test_sign_ins_that_nobody_came_back_from_are_deleted(admin, connection):
    send(admin, connection)
    SignIn.objects.update(created_at=timezone.now() - timedelta(minutes=16))

    send(admin, connection)

    assert SignIn.objects.count() == 1


def test_a_client_that_waits_in_vain_is_deleted_by_the_tidying(admin, connection):
    send(admin, connection)
    tasks.tidy_up()
    assert SignIn.objects.exists()
    SignIn.objects.update(created_at=timezone.now() - timedelta(minutes=16))

    tasks.tidy_up()

    assert not SignIn.objects.exists()


# --- Back from Zoho


def test_consent_signs_in_tests_and_goes_to_the_connection(admin, connection, sandbox):
    brought = begun(admin, connection)

    response = admin.get(f"{RETURN}?{urlencode(brought)}")

    assert (response.status_code, response["Location"]) == (302, f"/connections/{connection.pk}/")
    assert "no-store" in response["Cache-Control"]
    assert "Zoho accepts the sign-in and lets bulk write jobs be read." in messages_of(response)[0]
    connection.refresh_from_db()
    assert connection.client_id == CLIENT["client_id"]
    assert connection.client_secret == CLIENT["client_secret"]
    assert connection.is_signed_in
    assert not SignIn.objects.exists()
    # The access token that came with the code is used, and no other asked for.
    assert (sandbox.requests.count("token"), sandbox.requests.count("details")) == (1, 1)
    assert sandbox.accounts.refreshes == 0


def test_a_reconnect_keeps_jobs_and_brings_a_blocked_connection_back(admin, sandbox):
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

    admin.get(f"{RETURN}?{urlencode(begun(admin, connection))}")

    connection.refresh_from_db()
    assert connection.client_id == CLIENT["client_id"]
    assert (connection.blocked_at, connection.last_error) == (None, None)
    assert connection.resume_at <= timezone.now()
    assert connection.jobs.get() == job
    assert Connection.objects.pollable(timezone.now()).exists()


def test_refused_consent_is_said_and_changes_nothing(admin, connection, sandbox):
    page = verdict(admin, begun(admin, connection, "reject"))

    assert "Consent was refused" in page
    assert f'href="{page_of(connection)}"' in page
    assert sandbox.accounts.issued == 0
    assert not SignIn.objects.exists()


def test_what_went_wrong_survives_a_reload_until_the_next_sign_in_begins(admin, connection):
    verdict(admin, begun(admin, connection, "reject"))

    assert "Consent was refused" in text(admin.get(RETURN))

    send(admin, connection)
    assert "No sign-in is under way here" in text(admin.get(RETURN))


def test_other_errors_of_the_consent_page_are_text(admin, connection):
    state = begun(admin, connection)["state"]

    page = verdict(admin, {"state": state, "error": "<script>alert(1)</script>"})

    assert "Zoho gave no code" in page
    assert "alert(1)" not in page


def refused(admin, brought, why, sandbox):
    issued = sandbox.accounts.issued + sandbox.accounts.refused
    page = verdict(admin, brought)
    assert "This sign-in is not one that was begun here" in page
    assert why in page
    assert "Begin again" in page
    assert sandbox.accounts.issued + sandbox.accounts.refused == issued


def test_a_state_that_nobody_made_is_refused(admin, connection, sandbox):
    brought = begun(admin, connection)

    for state in ("made-up", "", "\x00", "x" * 5000):
        refused(admin, brought | {"state": state}, "not known here", sandbox)
    del brought["state"]
    refused(admin, brought, "not known here", sandbox)
    assert SignIn.objects.count() == 1


def test_a_state_is_good_once(admin, connection, sandbox):
    brought = begun(admin, connection)
    admin.get(f"{RETURN}?{urlencode(brought)}")

    refused(admin, brought, "was used before", sandbox)


def test_of_two_returns_at_once_one_goes_on(admin, connection, sandbox):
    brought = begun(admin, connection)
    address = f"{RETURN}?{urlencode(brought)}"
    other = Client(headers={"host": "127.0.0.1:8000"})
    other.cookies = admin.cookies
    others = []

    def overtaken(execute, sql, *rest):
        if sql.startswith("DELETE") and "signin" in sql and not others:
            others.append(None)
            others[0] = other.get(address)
        return execute(sql, *rest)

    with database.execute_wrapper(overtaken):
        mine = admin.get(address)

    assert others[0]["Location"] == f"/connections/{connection.pk}/"
    assert mine["Location"] == RETURN
    assert sandbox.requests.count("token") == 1


def test_a_state_is_good_for_15_minutes(admin, connection, sandbox):
    brought = begun(admin, connection)
    SignIn.objects.update(created_at=timezone.now() - timedelta(minutes=15, seconds=1))

    refused(admin, brought, "more than 15 minutes ago", sandbox)


@pytest.mark.parametrize("who", ["admin", "other"])
def test_a_state_is_good_in_the_browser_and_for_the_person_that_began(
    admin, connection, sandbox, who
):
    brought = begun(admin, connection)
    another = signed_in_browser(who)
    # One that has begun a sign-in of its own, so that its session holds a secret too.
    send(another, connection)

    refused(another, brought, "in another browser, or by somebody else", sandbox)

    # It is not used up by that.
    assert admin.get(f"{RETURN}?{urlencode(brought)}")["Location"] != RETURN


def test_who_is_not_signed_in_here_is_asked_to_without_the_code_in_the_address(connection, admin):
    brought = begun(admin, connection)

    response = Client().get(f"{RETURN}?{urlencode(brought)}")

    assert response["Location"] == f"/accounts/login/?next={RETURN}"


def test_only_staff_come_back(admin, connection, sandbox):
    brought = begun(admin, connection)
    viewer = Client()
    viewer.force_login(User.objects.create_user("viewer"))

    assert viewer.get(f"{RETURN}?{urlencode(brought)}").status_code == 403
    assert sandbox.accounts.issued == 0


def test_the_page_without_anything_brought_says_that_nothing_is_under_way(admin):
    assert "No sign-in is under way here" in text(admin.get(RETURN))
    assert admin.head(RETURN).status_code == 405


@pytest.mark.parametrize(
    ("brought", "place"),
    [
        ({"location": "eu"}, "Europe (accounts.zoho.eu)"),
        ({"accounts-server": "https://accounts.zoho.in"}, "India (accounts.zoho.in)"),
        (
            {"location": "us", "accounts-server": "https://accounts.zoho.eu"},
            "Europe (accounts.zoho.eu)",
        ),
        ({"accounts-server": "https://evil.example"}, "another server than the one"),
        ({"accounts-server": "https://accounts.zoho.com.evil.example"}, "another server"),
        ({"accounts-server": "javascript:alert(1)"}, "another server"),
    ],
)
def test_another_data_center_is_named_and_nothing_exchanged(admin, zoho, brought, place):
    connection = make_connection(data_center="us", api_url="", accounts_url="", name="production")
    state = parse_qs(urlsplit(send(admin, connection)["Location"]).query)["state"][0]

    page = verdict(admin, {"state": state, "code": "canary"} | brought)

    assert "You signed in at another data centre" in page
    assert place in page
    assert "production names United States (zoho.com)" in page
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
def test_the_code_goes_to_the_connections_own_accounts_host(admin, zoho, brought):
    connection = make_connection(data_center="us", api_url="", accounts_url="")
    url = "https://accounts.zoho.com/oauth/v2/token"
    zoho.mock.post(url, json={"error": "invalid_code"})
    state = parse_qs(urlsplit(send(admin, connection)["Location"]).query)["state"][0]

    page = verdict(admin, {"state": state, "code": "canary-code"} | brought)

    assert "Zoho does not accept this grant code" in page
    (request,) = zoho.asked()
    assert request.url == url
    assert "code=canary-code" in request.body


def test_a_scope_that_does_not_suffice_is_said_and_not_stored(admin, sandbox):
    connection = to(sandbox, client_id="1000.OLD", client_secret="old", refresh_token="old")
    sandbox.set_options(granted_scope="ZohoCRM.modules.ALL")

    page = verdict(admin, begun(admin, connection))

    assert "Zoho granted the scope ZohoCRM.modules.ALL" in page
    assert "ask for the scope ZohoCRM.bulk.ALL" in page
    connection.refresh_from_db()
    assert (connection.client_id, connection.refresh_token) == ("1000.OLD", "old")


def test_a_code_that_zoho_does_not_take_leaves_the_connection_as_it_is(admin, sandbox):
    connection = to(sandbox, client_id="1000.OLD", client_secret="old", refresh_token="old")
    first = begun(admin, connection)
    admin.get(f"{RETURN}?{urlencode(first)}")
    signed_in = Connection.objects.get().refresh_token

    page = verdict(admin, begun(admin, connection) | {"code": first["code"]})

    assert "Zoho does not accept this grant code" in page
    assert Connection.objects.get().refresh_token == signed_in


def test_throttled_exchanges_say_until_when(admin, connection, sandbox):
    brought = begun(admin, connection)
    sandbox.add_fault("token_throttled", language="zh")

    page = verdict(admin, brought)

    assert "Zoho refuses further access tokens for a while" in page
    assert "It ends at" in page


def test_a_connection_that_moved_meanwhile_gets_nothing_of_the_old_sign_in(
    admin, connection, sandbox
):
    brought = begun(admin, connection)
    values = {"name": "production", "edition": "standard", "environment": "sandbox"}
    values |= {"api_version": "v7", "skip_threshold_percent": 10, "stuck_after_minutes": 30}
    values |= {"max_concurrency": 10, "longest_interval_seconds": 300, "data_center": "eu"}
    assert admin.post(f"/connections/{connection.pk}/edit/", values).status_code == 302

    refused(admin, brought, "not known here", sandbox)


# --- The other two ways


def test_a_grant_code_of_a_self_client_signs_in(admin, connection, sandbox):
    response = send(admin, connection, way="grant_code", grant_code=f"  {GRANT_CODE}\n")

    assert response["Location"] == f"/connections/{connection.pk}/"
    connection.refresh_from_db()
    assert connection.is_signed_in
    assert sandbox.requests.count("token") == 1

    again = send(admin, connection, way="grant_code", grant_code=GRANT_CODE)
    assert again.status_code == 422
    assert "Make a new code and use it within its few minutes." in text(again)
    assert Connection.objects.get().refresh_token == connection.refresh_token


def test_a_refresh_token_signs_in(admin, connection, sandbox):
    token = SAMPLE_CONNECTION["refresh_token"]

    response = send(admin, connection, way="refresh_token", refresh_token=token)

    assert response["Location"] == f"/connections/{connection.pk}/"
    connection.refresh_from_db()
    assert connection.refresh_token == token
    assert sandbox.requests.count("token") == 1


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"refresh_token": "1000.wrong"}, "Zoho does not accept the refresh token"),
        ({"client_secret": "wrong"}, "The client secret does not belong to the client ID."),
        ({"client_id": "1000.NOBODY"}, "Zoho does not know this client ID in this data centre."),
    ],
)
def test_what_zoho_refuses_is_not_stored_and_what_works_goes_on(admin, sandbox, values, said):
    connection = to(sandbox, **SAMPLE_CONNECTION)
    access.open_tokens(connection).get()
    given = {"refresh_token": SAMPLE_CONNECTION["refresh_token"]} | values

    response = send(admin, connection, way="refresh_token", **given)

    assert response.status_code == 422
    assert said in text(response)
    stored = Connection.objects.get()
    assert {name: getattr(stored, name) for name in SAMPLE_CONNECTION} == SAMPLE_CONNECTION
    assert access.open_tokens(stored).get()
    assert stored.blocked_at is None


def test_unreadable_secrets_are_replaced_here(admin, sandbox, settings):
    connection = to(sandbox, **SAMPLE_CONNECTION)
    settings.ENCRYPTION_KEYS = ["b3RoZXItb3RoZXItb3RoZXItb3RoZXItb3RoZXItb3Q="]

    assert "The stored secrets cannot be read." in text(admin.get(page_of(connection)))
    assert send(admin, connection, client_secret="").status_code == 422
    done = send(
        admin, connection, way="refresh_token", refresh_token=SAMPLE_CONNECTION["refresh_token"]
    )

    assert done.status_code == 302
    assert Connection.objects.get().client_secret == CLIENT["client_secret"]


# --- The first steps


def test_the_welcome_page_leads_on_to_the_sign_in(admin, connection):
    page = text(admin.get("/"))

    assert "somebody has to sign in to Zoho for it yet" in page
    assert f'href="{page_of(connection)}"' in page
    assert "Connected:" not in page

    Connection.objects.update(**SAMPLE_CONNECTION)
    assert "Connected: production." in text(admin.get("/"))


# --- The connection is changed while Zoho answers


@pytest.mark.parametrize("way", ["grant_code", "refresh_token", "consent"])
@pytest.mark.parametrize(
    "moved", [{"environment": "sandbox"}, {"data_center": "eu", "api_url": "", "accounts_url": ""}]
)
def test_no_secret_is_stored_for_another_place_than_the_one_that_took_it(admin, zoho, way, moved):
    old = {"client_id": "", "client_secret": "", "refresh_token": ""}
    connection = make_connection(**old)

    def answer(request):
        Connection.objects.update(**moved)
        tokens = {"access_token": "at", "refresh_token": "canary", "expires_in": 3600}
        return 200, {}, json.dumps(tokens)

    zoho.mock.add_callback("POST", TOKEN_URL, answer)
    if way == "consent":
        back = send(admin, connection)["Location"]
        state = parse_qs(urlsplit(back).query)["state"][0]
        said = verdict(admin, {"state": state, "code": "a-code"})
    else:
        response = send(admin, connection, way=way, **{way: "canary"})
        assert response.status_code == 422
        said = text(response)

    assert "was changed meanwhile" in said
    assert "sign in again" in said
    connection.refresh_from_db()
    assert {name: getattr(connection, name) for name in old} == old
