"""Reports of unforeseen errors, which show variables and what a form sent."""

import re
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
from django.contrib.auth.models import User
from django.core import mail
from django.test import Client

from jobs.tests.factories import make_connection

CLIENT_SECRET, CODE, REFRESH_TOKEN = "typed-secret", "typed-code", "typed-token"
CLIENT = {"client_id": "1000.A", "client_secret": CLIENT_SECRET}


@pytest.mark.django_db
@pytest.mark.parametrize("debug", [True, False])
def test_a_report_shows_no_secret(settings, zoho, debug):
    """The page of DEBUG, and the report that error mails hold."""
    settings.DEBUG = debug
    settings.ADMINS = [("Ops", "ops@example.com")]
    settings.SITE_URL = "http://127.0.0.1:8000"
    settings.ALLOWED_HOSTS = ["127.0.0.1"]
    connection = make_connection()
    zoho.mock.post(re.compile(".*"), body=RuntimeError("unforeseen"))
    browser = Client(raise_request_exception=False, headers={"host": "127.0.0.1:8000"})
    browser.force_login(User.objects.create_superuser("root", password="x"))
    address = f"/connections/{connection.pk}/sign-in/"
    answers = [
        browser.post(address, CLIENT | {"way": "grant_code", "grant_code": CODE}),
        browser.post(address, CLIENT | {"way": "refresh_token", "refresh_token": REFRESH_TOKEN}),
        browser.post(f"/connections/{connection.pk}/test/"),
    ]
    begun = browser.post(address, CLIENT | {"way": "consent"})
    state = parse_qs(urlsplit(begun["Location"]).query)["state"][0]
    back = urlencode({"state": state, "code": CODE})
    answers.append(browser.get(f"/connections/signed-in/?{back}"))

    reports = [answer.content.decode() for answer in answers]
    if not debug:
        reports = [str(message.message()) + str(message.alternatives) for message in mail.outbox]
    assert [answer.status_code for answer in answers] == [500] * 4
    assert len(reports) == 4
    secrets = (CLIENT_SECRET, REFRESH_TOKEN, CODE, state, "canary-client", "canary-refresh")
    for report in reports:
        assert "unforeseen" in report
        assert [secret for secret in secrets if secret in report] == []
