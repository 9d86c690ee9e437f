"""Signing a connection in to Zoho: the walk, its form, and what the browser leaves with."""

import hashlib
import re
from datetime import timedelta
from urllib.parse import parse_qs, urlsplit

import pytest
from django.utils import timezone

from jobs import tasks
from jobs.models import Connection, SignIn
from jobs.sandbox.oauth import GRANT_CODE, SAMPLE_CONNECTION
from jobs.tests.factories import make_connection
from jobs.tests.views.sign_ins import CLIENT, RETURN, page_of, send, text, to
from jobs.zoho.regions import DATA_CENTERS


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
def test_the_walk_names_what_to_enter_where(admin_at_site, settings, data_center, console):
    settings.SITE_URL = "https://bulkwatch.example.com"
    connection = make_connection(data_center=data_center, api_url="", accounts_url="")

    page = text(admin_at_site.get(page_of(connection)))

    assert f'href="{console}"' in page
    assert '<code id="redirect-uri">https://bulkwatch.example.com/connections/signed-in/' in page
    assert 'data-copy="https://bulkwatch.example.com/connections/signed-in/"' in page
    assert '<code id="scope">ZohoCRM.bulk.ALL</code>' in page
    assert "without https" not in page
    assert "unconfirmed" not in page


def test_an_unconfirmed_data_center_and_a_site_without_https_are_said(admin_at_site):
    connection = make_connection(data_center="uk", api_url="", accounts_url="")

    page = text(admin_at_site.get(page_of(connection)))

    assert "Zoho CRM in this data centre is unconfirmed." in page
    assert "without https. Zoho accepts such a redirect address for a test" in page


def test_a_page_under_another_name_leads_to_where_zoho_sends_people(admin_at_site, unsigned):
    assert "send you back to another address" not in text(admin_at_site.get(page_of(unsigned)))

    page = text(admin_at_site.get(page_of(unsigned), headers={"host": "testserver"}))

    assert f'href="http://127.0.0.1:8000{page_of(unsigned)}"' in page


def test_the_form_may_lead_to_zohos_accounts_hosts_and_no_other(admin_at_site, unsigned, sandbox):
    in_canada = make_connection(data_center="ca", api_url="", accounts_url="")
    # Zoho sends whoever is signed in elsewhere on to that data centre.
    hosts = {f"https://{center.accounts_host}" for center in DATA_CENTERS.values()}

    for at, more in ((in_canada, set()), (unsigned, {sandbox.url})):
        for answer in (admin_at_site.get(page_of(at)), admin_at_site.post(page_of(at), {})):
            [policy] = [part for part in policy_of(answer) if part.startswith("form-action ")]
            assert set(policy.split()[1:]) == {"'self'"} | hosts | more
    for address in ("/", "/connections/add/", RETURN):
        assert "form-action 'self'" in policy_of(admin_at_site.get(address))


def test_no_secret_is_filled_in_or_given_back(admin_at_site, unsigned):
    answers = [
        send(admin_at_site, unsigned, client_secret="canary with blanks"),
        send(admin_at_site, unsigned, way="grant_code", grant_code="canary-code"),
        send(admin_at_site, unsigned, way="refresh_token", refresh_token="canary-token"),
        send(admin_at_site, unsigned, way="nonsense", refresh_token="canary-token"),
    ]
    Connection.objects.update(client_secret="canary-stored", refresh_token="canary-stored")
    answers.append(admin_at_site.get(page_of(unsigned)))

    for answer in answers:
        assert "canary" not in text(answer)
        fields = re.findall(r'<input type="password"[^>]*>', text(answer))
        assert len(fields) == 3
        assert all('autocomplete="new-password"' in field for field in fields)
        assert all("value=" not in field for field in fields)
    assert [answer.status_code for answer in answers] == [422, 422, 422, 422, 200]
    assert not SignIn.objects.exists()


# --- To Zoho


def test_connect_goes_to_the_consent_page_with_all_it_needs(admin_at_site, unsigned, sandbox):
    response = send(admin_at_site, unsigned)

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
    unsigned.refresh_from_db()
    assert unsigned.client_id == ""


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
def test_what_is_missing_is_told_at_its_field(admin_at_site, unsigned, sandbox, values, field):
    response = send(admin_at_site, unsigned, **values)

    assert response.status_code == 422
    assert list(response.context["form"].errors) == [field]
    assert not SignIn.objects.exists()
    assert sandbox.requests.count() == 0


@pytest.mark.parametrize(
    ("field", "value"),
    [("grant_code", GRANT_CODE), ("refresh_token", SAMPLE_CONNECTION["refresh_token"])],
)
def test_enter_in_a_field_takes_the_way_of_what_was_typed(admin_at_site, unsigned, field, value):
    # The browser sends the first button of the form, “Connect to Zoho”.
    response = send(admin_at_site, unsigned, **{field: value})

    assert response["Location"] == f"/connections/{unsigned.pk}/"
    unsigned.refresh_from_db()
    assert unsigned.is_signed_in


def test_enter_with_both_typed_asks_which_one_is_meant(admin_at_site, unsigned, sandbox):
    response = send(admin_at_site, unsigned, grant_code="x", refresh_token="y")

    assert response.status_code == 422
    assert set(response.context["form"].errors) == {"grant_code", "refresh_token"}
    assert sandbox.requests.count() == 0


def test_an_empty_secret_keeps_the_stored_one_of_the_same_client(admin_at_site, sandbox):
    connection = to(sandbox, **SAMPLE_CONNECTION)

    assert send(admin_at_site, connection, client_secret="").status_code == 302
    assert SignIn.objects.get().client_secret == CLIENT["client_secret"]
    assert (
        send(admin_at_site, connection, client_secret="", client_id="1000.OTHER").status_code == 422
    )


def test_sign_ins_that_nobody_came_back_from_are_deleted(admin_at_site, unsigned):
    send(admin_at_site, unsigned)
    SignIn.objects.update(created_at=timezone.now() - timedelta(minutes=16))

    send(admin_at_site, unsigned)

    assert SignIn.objects.count() == 1


def test_a_client_that_waits_in_vain_is_deleted_by_the_tidying(admin_at_site, unsigned):
    send(admin_at_site, unsigned)
    tasks.tidy_up()
    assert SignIn.objects.exists()
    SignIn.objects.update(created_at=timezone.now() - timedelta(minutes=16))

    tasks.tidy_up()

    assert not SignIn.objects.exists()


# --- The first steps


def test_the_welcome_page_leads_on_to_the_sign_in(admin_at_site, unsigned):
    page = text(admin_at_site.get("/"))

    assert "somebody has to sign in to Zoho for it yet" in page
    assert f'href="{page_of(unsigned)}"' in page
    assert "Connected:" not in page

    Connection.objects.update(**SAMPLE_CONNECTION)
    assert "Connected: production." in text(admin_at_site.get("/"))


def test_the_walk_says_what_can_go_wrong_and_names_no_file_of_the_source(admin, sandbox):
    page = admin.get(f"/connections/{to(sandbox).pk}/sign-in/").content.decode()

    assert "<summary>What can go wrong</summary>" in page
    assert "docs/" not in page
