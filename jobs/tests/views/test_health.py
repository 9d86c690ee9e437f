"""What machines are told, `/healthz` and `/readyz`, and open pages: `/banners/`."""

import socket
import threading
import time
from datetime import timedelta

import pytest
from django.db import connection as database
from django.db.utils import OperationalError
from django.http import HttpResponse
from django.utils import timezone
from django.utils.log import log_response

from jobs.models import Heartbeat
from jobs.tests.factories import make_connection

NOBODY = "redis://127.0.0.1:9/0"
PARTS = (
    "database",
    "broker",
    "beat",
    "worker",
    "lookout",
    "polling",
    "connections",
    "mail",
    "disk",
)


@pytest.fixture
def all_alive(db, embedded_broker):
    for part in (Heartbeat.WORKER, Heartbeat.BEAT, Heartbeat.LOOKOUT):
        Heartbeat.note(part, timezone.now())


def test_healthz_asks_nobody_else(client, settings):
    settings.REDIS_URL = NOBODY

    response = client.get("/healthz")  # without the `db` fixture, any query would fail

    assert response.status_code == 200
    assert response.content == b"ok\n"


def test_readyz_is_200_when_every_part_works(client, all_alive):
    response = client.get("/readyz")

    assert response.status_code == 200
    assert response.json() == {"ok": True, "checks": dict.fromkeys(PARTS, True)}
    assert "no-store" in response["Cache-Control"]


def test_readyz_costs_two_queries_and_asks_for_no_session(
    client, all_alive, django_assert_num_queries
):
    with django_assert_num_queries(2):  # heartbeats, connections
        client.get("/readyz")


def failing(response):
    return {name for name, ok in response.json()["checks"].items() if not ok}


@pytest.mark.parametrize("part", [Heartbeat.WORKER, Heartbeat.BEAT, Heartbeat.LOOKOUT])
def test_a_part_that_was_not_seen_lately_makes_it_503(client, all_alive, part):
    Heartbeat.note(part, timezone.now() - timedelta(seconds=61))

    response = client.get("/readyz")

    assert response.status_code == 503
    assert response.json()["ok"] is False
    assert failing(response) == {part}


def test_that_something_is_not_ready_is_no_error_in_the_log(client, db, embedded_broker, caplog):
    assert client.get("/readyz").status_code == 503

    assert "/readyz" not in caplog.text


@pytest.mark.parametrize(
    ("path", "status", "exception"),
    [("/jobs/", 503, None), ("/readyz", 500, None), ("/readyz", 503, ValueError("odd"))],
)
def test_other_errors_stay_in_the_log(rf, caplog, path, status, exception):
    response = HttpResponse(status=status)

    log_response("%s: odd", path, response=response, request=rf.get(path), exception=exception)

    assert f"{path}: odd" in caplog.text


def test_parts_that_were_never_seen_are_not_ready(client, db, embedded_broker):
    assert failing(client.get("/readyz")) == {"worker", "beat", "lookout"}


def test_a_connection_that_needs_a_person_makes_it_503_and_is_not_named(client, all_alive):
    make_connection(name="geheim", blocked_at=timezone.now(), last_error={"message": "geheim"})

    response = client.get("/readyz")

    assert response.status_code == 503
    assert failing(response) == {"connections"}
    assert b"geheim" not in response.content


def test_a_dead_broker_makes_it_503_and_tells_no_address(client, all_alive, settings):
    settings.REDIS_URL = "redis://user:geheim@127.0.0.1:9/0"

    response = client.get("/readyz")

    assert response.status_code == 503
    assert response.json()["checks"]["broker"] is False
    assert b"geheim" not in response.content
    assert b"127.0.0.1" not in response.content


def test_a_broker_that_takes_connections_and_says_nothing_is_given_a_second(
    client, all_alive, settings
):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        settings.REDIS_URL = f"redis://127.0.0.1:{silent.getsockname()[1]}/0"
        started = time.monotonic()

        response = client.get("/readyz")

    assert response.json()["checks"]["broker"] is False
    assert time.monotonic() - started < 1.8


def test_a_dead_database_is_told_and_is_no_error_page(client, embedded_broker, db):
    def refuse(execute, *args):
        raise OperationalError("could not connect to server at 10.0.0.7")

    with database.execute_wrapper(refuse):
        response = client.get("/readyz")

    assert response.status_code == 503
    assert failing(response) == set(PARTS) - {"broker", "disk"}
    assert b"10.0.0.7" not in response.content


@pytest.mark.parametrize("address", ["/healthz", "/readyz"])
def test_they_are_asked_and_change_nothing(client, address):
    assert client.post(address).status_code == 405


def test_no_thread_is_left_behind(client, all_alive):
    before = threading.active_count()

    client.get("/readyz")

    assert threading.active_count() == before
