import pytest

from jobs.sandbox.server import Sandbox
from jobs.tests.factories import make_user
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
