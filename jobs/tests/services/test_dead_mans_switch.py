"""When the lookout pings the dead man's switch, and when it tells it of a failure."""

import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from django.core.management import call_command
from django.utils import timezone

from jobs.models import Heartbeat
from jobs.tests.factories import make_connection
from jobs.tests.services.lookouts import Watched

# Its questions come from a thread, which sees only what was committed.
pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("lookout_installation"),
]


class Switch:
    """A dead man's switch: what it was asked for."""

    def __init__(self):
        self.paths = paths = []

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                paths.append(self.path)
                self.send_response(302 if "moved" in self.path else 200)
                self.send_header("Location", "/elsewhere")
                self.end_headers()

            def log_message(self, *args):
                pass

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()


@pytest.fixture
def switch(settings):
    made = Switch()
    settings.HEARTBEAT_URL = f"{made.url}/ping/geheim"
    yield made
    made.server.shutdown()
    made.server.server_close()


class TestDeadMansSwitch:
    def test_it_is_pinged_every_minute_while_all_is_well(self, clock, switch):
        Watched(clock).look(600)

        assert switch.paths[:1] == ["/ping/geheim"]
        assert 9 <= len(switch.paths) <= 11
        assert set(switch.paths) == {"/ping/geheim"}

    def test_it_is_told_of_blindness_that_lasts(self, clock, switch):
        watched = Watched(clock)
        watched.look(60)
        del switch.paths[:]
        watched.dead = {Heartbeat.WORKER}
        watched.look(600)

        assert switch.paths.count("/ping/geheim") <= 1
        assert switch.paths[-5:] == ["/ping/geheim/fail"] * 5

        watched.dead = set()
        watched.look(120)
        assert switch.paths[-1] == "/ping/geheim"

    def test_a_connection_that_needs_a_person_blinds_though_an_alert_tells_it(self, clock, switch):
        make_connection(blocked_at=timezone.now())
        Watched(clock).look(300)

        assert switch.paths[-1] == "/ping/geheim/fail"

    def test_a_stop_is_told_at_once(self, watched, switch):
        call_command("lookout", stopped="worker was killed by SIGKILL")

        assert switch.paths == ["/ping/geheim/fail"]

    def test_no_redirect_is_followed_and_the_address_is_in_no_log(
        self, clock, switch, settings, caplog
    ):
        settings.HEARTBEAT_URL = f"{switch.url}/moved/geheim"
        Watched(clock).look()
        settings.HEARTBEAT_URL = "http://127.0.0.1:9/geheim"
        Watched(clock).look()

        assert switch.paths == ["/moved/geheim"]
        assert "HTTP 302" in caplog.text
        assert "ConnectionError" in caplog.text
        assert "geheim" not in caplog.text
