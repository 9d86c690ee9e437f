import pytest

from jobs.models import Connection
from jobs.services.observing import asking
from jobs.tests.factories import make_connection
from jobs.tests.services.attached import empty_storage, result
from jobs.tests.stand_in import zoho

__all__ = ["empty_storage", "result", "zoho"]


@pytest.fixture
def quick_batches(monkeypatch):
    """All that happens every few seconds of a batch happens several times in a second."""
    for name in ("PORTION_SECONDS", "LOOK_SECONDS", "KEEP_SECONDS", "TICK_SECONDS"):
        monkeypatch.setattr(asking, name, 0.05)


@pytest.fixture
def org(zoho, db) -> Connection:
    """A connection that Zoho gives access tokens, with three calls at a time."""
    zoho.gives_tokens()
    return make_connection(name="production", max_concurrency=3)
