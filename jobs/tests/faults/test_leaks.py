"""No secret of Zoho's leaves the sealed columns: not into logs, pages, mails, tasks or errors."""

import json
import logging
import time
import traceback
from http.client import HTTPConnection
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
from celery.signals import before_task_publish
from django.contrib import admin as django_admin
from django.contrib.auth.models import User
from django.contrib.sessions.models import Session
from django.core import mail
from django.db import connection as database
from django.db import connections
from django.test import Client
from django.urls import reverse

from jobs import tasks
from jobs.models import Alert, BulkWriteJob, Connection, Result, SharedToken
from jobs.services.connections import access
from jobs.tests.plugins.stand_in_org import track
from jobs.zoho.errors import ZohoError

CLIENT_SECRET = "canary-client-secret-7f3a"
REFRESH_TOKEN = "1000.0000000000000000canary00000001.0000000000000000canary00000002"
CLIENT = {"client_id": "1000.CANARYCLIENT", "client_secret": CLIENT_SECRET}
WRONG = ("canary-wrong-secret-1", "1000.wrong.canary-refresh", "canary-wrong-code")


class Seen:
    """All that was seen anywhere, by where; and the secrets that must not be in it."""

    def __init__(self):
        self.secrets = {CLIENT_SECRET, REFRESH_TOKEN, *WRONG}
        self.places = []

    def note(self, where, what):
        self.places.append((where, what))

    def leaks(self):
        return [
            (where, secret)
            for where, what in self.places
            for secret in self.secrets
            if secret in what
        ]


@pytest.fixture
def seen():
    return Seen()


@pytest.fixture
def published(seen):
    """Everything that is put into a queue."""

    def note(body=None, headers=None, **kwargs):
        seen.note("queue", f"{body!r} {headers!r}")

    before_task_publish.connect(note)
    yield
    before_task_publish.disconnect(note)


class Visitor:
    """A browser of a superuser that keeps what it was shown."""

    def __init__(self, seen):
        self.seen = seen
        self.client = Client(headers={"host": "127.0.0.1:8000"})
        self.client.force_login(User.objects.create_superuser("root", password="x"))

    def _keep(self, address, response, hide_location):
        headers = dict(response.headers)
        if hide_location:
            headers.pop("Location")
        where = f"page {address.partition('?')[0]}"
        self.seen.note(where, response.content.decode("utf-8", "replace") + repr(headers))
        return response

    def get(self, address):
        return self._keep(address, self.client.get(address), False)

    def post(self, address, values, hide_location=False):
        return self._keep(address, self.client.post(address, values), hide_location)


def sign_in(visitor, connection, seen, *, decision="accept", **changes):
    """Go to the consent page and come back with what `changes` leaves of the answer."""
    # The address of the consent page must hold the state.
    address = f"/connections/{connection.pk}/sign-in/"
    response = visitor.post(address, CLIENT | {"way": "consent"}, hide_location=True)
    target = urlsplit(response["Location"])
    seen.secrets.add(parse_qs(target.query)["state"][0])
    # The person's browser, whose requests no log of ours is about.
    browser = HTTPConnection(target.netloc, timeout=5)
    browser.request("GET", f"{target.path}/{decision}?{target.query}")
    back = browser.getresponse().headers["Location"]
    browser.close()
    brought = {name: value for name, [value] in parse_qs(urlsplit(back).query).items()} | changes
    if "code" in brought:
        seen.secrets.add(brought["code"])
    answer = visitor.get(f"/connections/signed-in/?{urlencode(brought)}")
    visitor.get(answer["Location"])
    return answer


def rows_as_text():
    """Every table of the database, row by row."""
    with database.cursor() as cursor:
        for table in database.introspection.table_names(cursor):
            cursor.execute(f"SELECT * FROM {database.ops.quote_name(table)}")  # noqa: S608
            for row in cursor.fetchall():
                yield f"table {table}", repr(row)
    for session in Session.objects.all():
        yield "session", json.dumps(session.get_decoded())


def visit_admin(visitor):
    for model, model_admin in django_admin.site._registry.items():
        name = f"admin:{model._meta.app_label}_{model._meta.model_name}"
        visitor.get(reverse(f"{name}_changelist"))
        for row in list(model._default_manager.all()[:5]):
            visitor.get(reverse(f"{name}_change", args=[row.pk]))
            if model_admin.has_view_permission:
                visitor.get(reverse(f"{name}_history", args=[row.pk]))


def wait_until(condition, what):
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, what
        tasks.dispatch_due_polls.delay()
        tasks.fetch_due_results.delay()
        tasks.deliver_alerts.delay()
        time.sleep(0.5)


@pytest.mark.worker
@pytest.mark.slow
def test_no_secret_is_found_anywhere_after_all_that_is_done_with_it(
    connect, sandbox, live_worker, published, seen, settings, caplog, monkeypatch
):
    settings.SITE_URL = "http://127.0.0.1:8000"
    settings.ALLOWED_HOSTS = ["127.0.0.1"]
    for logger in (None, "django", "celery", "celery.app.trace", "django.request", "axes"):
        caplog.set_level(logging.DEBUG, logger)
    # Not of the proxy, from which the attribute would be deleted afterwards.
    monkeypatch.setattr(connections["default"], "force_debug_cursor", True)
    sandbox.accounts.add_client(refresh_token=REFRESH_TOKEN, **CLIENT)
    visitor = Visitor(seen)

    # Added and signed in on its pages, with everything going wrong before it goes right.
    values = {"name": "canary", "data_center": "custom", "environment": "production"}
    values |= {"edition": "standard", "alert_recipients": "ops@example.com"}
    values |= {"api_url": sandbox.url, "accounts_url": sandbox.url}
    added = visitor.post("/connections/add/", values)
    connection = Connection.objects.get()
    address = added["Location"]
    visitor.get(address)
    for way, wrong in (
        ("refresh_token", {"client_secret": WRONG[0], "refresh_token": REFRESH_TOKEN}),
        ("refresh_token", {"refresh_token": WRONG[1]}),
        ("grant_code", {"grant_code": WRONG[2]}),
        ("consent", {"grant_code": WRONG[2]}),
        ("grant_code", {"grant_code": WRONG[2], "client_id": ""}),
    ):
        assert visitor.post(address, CLIENT | {"way": way} | wrong).status_code == 422
    sign_in(visitor, connection, seen, decision="reject")
    sign_in(visitor, connection, seen, state="canary-made-up-state")
    sign_in(visitor, connection, seen, code=WRONG[2])
    sign_in(visitor, connection, seen, location="eu", **{"accounts-server": "https://x.example"})
    sandbox.set_options(granted_scope="ZohoCRM.modules.ALL")
    sign_in(visitor, connection, seen)
    sandbox.set_options(granted_scope="")
    assert not Connection.objects.get().is_signed_in
    done = sign_in(visitor, connection, seen)
    assert done["Location"] == f"/connections/{connection.pk}/"
    code = sandbox.accounts.new_grant(CLIENT["client_id"])
    seen.secrets.add(code)
    visitor.post(address, CLIENT | {"way": "grant_code", "grant_code": code})
    by_token = {"way": "refresh_token", "refresh_token": REFRESH_TOKEN}
    visitor.post(address, CLIENT | by_token)

    # Polled, its result fetched, its alerts sent, with the token refused on the way.
    bad_answers = [*sandbox.add_jobs(1, kind="partial", rows=20, life=0.5)]
    track(connection, bad_answers)
    wait_until(lambda: Result.objects.filter(state="archived").exists(), "no result was fetched")
    wait_until(lambda: Alert.objects.filter(state="sent").exists(), "no alert was sent")
    sandbox.add_fault("tokens_die", count=1)
    visitor.post(f"/connections/{connection.pk}/test/", {})
    for kind in ("INVALID_TOKEN", "NO_PERMISSION", "html", "reset"):
        fault = sandbox.add_fault(kind)
        visitor.post(f"/connections/{connection.pk}/test/", {})
        sandbox.faults.remove(fault)
    sandbox.add_fault("invalid_code")
    SharedToken.objects.all().delete()
    BulkWriteJob.objects.update(poll_state="active", next_poll_at="2020-01-01T00:00Z")
    Connection.objects.update(resume_at=None, blocked_at=None)
    wait_until(lambda: Connection.objects.exclude(blocked_at=None).exists(), "never blocked")
    wait_until(lambda: Alert.objects.filter(kind="connection_blocked").exists(), "nobody told")
    wait_until(lambda: not Alert.objects.filter(state="pending").exists(), "no mail")

    # An error that a script sees.
    with pytest.raises(ZohoError) as raised, access.open_client(connection) as client:
        client.job_details("111111000000541958")
    seen.note("error", f"{raised.value!r} {raised.value} {raised.value.__dict__}")
    seen.note("error", "".join(traceback.format_exception(raised.value)))
    stored = Connection.objects.get()
    for thing in (stored, access.open_tokens(stored), stored.__dict__):
        seen.note("repr", repr(thing))

    for page in ("/", "/jobs/", "/connections/", "/alerts/", f"/connections/{connection.pk}/"):
        visitor.get(page)
    visitor.get(f"/connections/{connection.pk}/edit/")
    visitor.get(address)
    visitor.get(BulkWriteJob.objects.get().get_absolute_url())
    visit_admin(visitor)

    accounts = sandbox.accounts
    seen.secrets |= {*accounts._active, *accounts._token_scopes, *accounts._refresh_tokens}
    seen.secrets -= {"1000.5a4d0b0c5a4d0b0c5a4d0b0c5a4d0b0c.0c0b4d5a0c0b4d5a0c0b4d5a0c0b4d5a"}
    formatter = logging.Formatter()
    for record in caplog.records:
        seen.note(f"log {record.name}", formatter.format(record) + repr(record.__dict__))
    for message in mail.outbox:
        seen.note("mail", message.message().as_string())
    for where, what in rows_as_text():
        seen.note(where, what)

    assert len(seen.secrets) > 12
    places = {where.partition(" ")[0] for where, _ in seen.places}
    assert places >= {"queue", "page", "log", "mail", "table", "session", "error", "repr"}
    assert any("jobs_signin" in what for where, what in seen.places if where.startswith("log"))
    assert seen.leaks() == []
