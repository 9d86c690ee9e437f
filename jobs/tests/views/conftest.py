import json
from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

from jobs.models import BulkWriteJob
from jobs.sandbox.server import Sandbox
from jobs.services.registering import callbacks
from jobs.tests.factories import make_connection, make_job, make_user
from jobs.tests.stand_in import zoho
from jobs.tests.views.sign_ins import signed_in_browser, to

__all__ = ["zoho"]


@pytest.fixture
def alice(client, db):
    """A browser in which somebody is signed in who is no staff."""
    client.force_login(make_user("alice"))
    return client


@pytest.fixture
def viewer(client, db):
    """A browser in which somebody is signed in who is no staff."""
    client.force_login(make_user("viewer"))
    return client


@pytest.fixture
def admin(client, db):
    """A browser in which somebody of the staff is signed in."""
    client.force_login(make_user("admin", is_staff=True))
    return client


@pytest.fixture
def sandbox(settings):
    """A stand-in for Zoho that sends people back to this site."""
    settings.ALLOW_CUSTOM_ZOHO_HOSTS = True
    settings.SITE_URL = "http://127.0.0.1:8000"
    settings.ALLOWED_HOSTS = ["testserver", "127.0.0.1"]
    with Sandbox() as running:
        yield running


@pytest.fixture
def unsigned(sandbox, db):
    """A connection to the sandbox that nobody has signed in."""
    return to(sandbox)


@pytest.fixture
def admin_at_site(db):
    """A browser of the staff, at the address that Zoho sends people back to."""
    return signed_in_browser()


@pytest.fixture
def hooked(db):
    """A connection with an address that Zoho may call."""
    connection = make_connection()
    callbacks.ensure_address(connection)
    return connection


@pytest.fixture
def zoho_calls(hooked):
    """A POST to the connection's address, as Zoho sends one: no session, no CSRF token."""
    client = Client(enforce_csrf_checks=True)

    def call(what, content_type="application/json", token=None, **headers):
        content = what if isinstance(what, bytes | str) else json.dumps(what)
        address = f"/hooks/zoho/{token or hooked.hook_token}/"
        return client.post(address, content, content_type=content_type, **headers)

    return call


@pytest.fixture
def later_job(hooked):
    """A running job that is to be asked about again in some minutes."""
    job = make_job(hooked, next_poll_at=timezone.now() + timedelta(minutes=5))
    BulkWriteJob.objects.filter(pk=job.pk).update(
        last_polled_at=timezone.now() - timedelta(minutes=1)
    )
    return job
