"""Browsers that walk through a sign-in to Zoho, there and back."""

from urllib.parse import parse_qsl, urlencode, urlsplit

import requests
from django.contrib.auth.models import User
from django.test import Client

from jobs.sandbox.oauth import SAMPLE_CONNECTION
from jobs.tests.factories import make_connection

CLIENT = {name: SAMPLE_CONNECTION[name] for name in ("client_id", "client_secret")}
RETURN = "/connections/signed-in/"


def to(sandbox, **fields):
    unsigned = {"client_id": "", "client_secret": "", "refresh_token": ""}
    own = {"api_url": sandbox.url, "accounts_url": sandbox.url, "name": "production"}
    return make_connection(**own | unsigned | fields)


def signed_in_browser(name="admin"):
    browser = Client(headers={"host": "127.0.0.1:8000"})
    user, _ = User.objects.get_or_create(username=name, defaults={"is_staff": True})
    browser.force_login(user)
    return browser


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
