import pytest
import time_machine
from django.utils import timezone

from jobs.models import Connection, Heartbeat
from jobs.services.observing import asking
from jobs.tests.factories import make_connection, make_job
from jobs.tests.services.attached import empty_storage, result
from jobs.tests.services.findings import MINUTE
from jobs.tests.services.lookouts import Watched
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


@pytest.fixture
def all_alive(db):
    """All parts of the monitor have just said that they are alive."""
    for part in (Heartbeat.WORKER, Heartbeat.BEAT, Heartbeat.LOOKOUT):
        Heartbeat.note(part, timezone.now())


@pytest.fixture
def working(all_alive):
    """A connection that works: one job is watched, and Zoho answered a moment ago."""
    made = make_connection(name="production", last_answer_at=timezone.now())
    make_job(made, next_poll_at=timezone.now() + MINUTE)
    return made


@pytest.fixture
def lookout_installation(settings, tmp_path, embedded_broker):
    """A folder of its own, and an operator to tell."""
    settings.DATA_DIR = tmp_path
    settings.OPERATORS = ["oncall@example.com"]


@pytest.fixture
def clock():
    """A clock that stands still until a test shifts it."""
    with time_machine.travel(timezone.now(), tick=False) as traveller:
        yield traveller


@pytest.fixture
def watched(clock):
    """A lookout that has seen all parts alive for a minute."""
    running = Watched(clock)
    running.look(60)
    return running


@pytest.fixture
def production(db):
    """A connection that is called production."""
    return make_connection(name="production")
