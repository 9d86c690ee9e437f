import pytest

from jobs.tests.factories import make_user
from jobs.tests.stand_in import zoho

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
