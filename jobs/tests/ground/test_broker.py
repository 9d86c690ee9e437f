"""How Celery comes back to a broker that was lost."""

import pytest
from kombu.utils import functional

from config.celery import app


class EnoughError(Exception):
    pass


def test_a_lost_broker_is_tried_every_two_seconds_for_ever(monkeypatch):
    monkeypatch.setattr(functional, "sleep", lambda seconds: None)
    waits = []

    def keep_wait(error, wait):
        waits.append(wait)
        if len(waits) == 200:
            raise EnoughError

    with app.connection_for_read("redis://127.0.0.1:9/0") as lost, pytest.raises(EnoughError):
        # As the worker and beat call it.
        lost.ensure_connection(keep_wait, app.conf.broker_connection_max_retries)

    assert set(waits) == {2}
