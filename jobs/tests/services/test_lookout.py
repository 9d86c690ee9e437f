"""Whom the lookout tells of what, how often, and on how little it stands."""

import json
import stat
import threading
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
import time_machine
from django.core import mail
from django.core.management import call_command
from django.db import connection as database
from django.db import connections
from django.db.utils import OperationalError
from django.utils import timezone

from jobs.models import Alert, Connection, Heartbeat
from jobs.services.health import lookout
from jobs.services.health.lookout import Lookout
from jobs.tests.factories import make_connection, make_job, make_user

# Its questions come from a thread, which sees only what was committed.
pytestmark = pytest.mark.django_db(transaction=True)

ROUND = timedelta(seconds=15)
DATABASE = type(connections["default"])


@pytest.fixture(autouse=True)
def installation(settings, tmp_path, embedded_broker):
    """A folder of its own, and an operator to tell."""
    settings.DATA_DIR = tmp_path
    settings.OPERATORS = ["oncall@example.com"]


@pytest.fixture
def clock():
    with time_machine.travel(timezone.now(), tick=False) as traveller:
        yield traveller


class Watched:
    """A lookout, and the parts that it looks at."""

    def __init__(self, clock):
        self.clock = clock
        self.dead = set()
        self.lookout = Lookout()

    def look(self, seconds=0):
        """Rounds for so long, with signs of life of all parts but the dead ones."""
        for _ in range(max(round(seconds / ROUND.total_seconds()), 1)):
            self.clock.shift(ROUND)
            for part in {Heartbeat.WORKER, Heartbeat.BEAT} - self.dead:
                Heartbeat.note(part, timezone.now())
            self.lookout.look()

    def restart(self, after=0):
        self.clock.shift(after)
        self.lookout = Lookout()


@pytest.fixture
def watched(clock):
    running = Watched(clock)
    running.look(60)
    return running


def subjects():
    return [message.subject for message in mail.outbox]


WORKER_DEAD = "[Bulkwatch] The worker is not running"
ALL_WELL = "[Bulkwatch] All is well again"


def test_it_says_that_it_is_alive(watched):
    assert Heartbeat.objects.get(part=Heartbeat.LOOKOUT).seen_at == timezone.now()


def test_no_mail_while_all_is_well(watched):
    watched.look(3600)

    assert mail.outbox == []


def test_what_lasts_a_minute_is_told_once_and_again_when_it_is_over(watched):
    watched.dead = {Heartbeat.WORKER}
    watched.look(90)
    assert mail.outbox == []  # half a minute until it counts as dead, one until that counts

    watched.look(30)
    assert subjects() == [WORKER_DEAD]
    assert mail.outbox[0].to == ["oncall@example.com"]
    assert "Nothing is being polled" in mail.outbox[0].body
    assert "What to do:" in mail.outbox[0].body

    watched.look(3600)
    assert len(mail.outbox) == 1

    watched.dead = set()
    watched.look(150)
    assert len(mail.outbox) == 1
    watched.look(45)
    assert subjects() == [WORKER_DEAD, ALL_WELL]
    watched.look(3600)
    assert len(mail.outbox) == 2


def test_what_is_over_within_a_minute_is_not_told(watched):
    watched.dead = {Heartbeat.WORKER}
    watched.look(75)
    watched.dead = set()
    watched.look(600)

    assert mail.outbox == []


def test_what_comes_back_after_a_moment_is_not_told_as_new(watched):
    watched.dead = {Heartbeat.WORKER}
    watched.look(120)
    for _ in range(10):
        watched.dead = set()
        watched.look(30)
        watched.dead = {Heartbeat.WORKER}
        watched.look(120)

    assert subjects() == [WORKER_DEAD]


def test_it_is_told_again_every_day(watched):
    watched.dead = {Heartbeat.WORKER}
    watched.look(120)
    watched.clock.shift(timedelta(hours=23))
    watched.look(90)
    assert len(mail.outbox) == 1

    watched.clock.shift(timedelta(hours=1))
    watched.look(90)
    assert subjects() == [WORKER_DEAD] * 2


def test_one_mail_lists_all_that_is_wrong(watched):
    connection = make_connection(name="production", blocked_at=timezone.now())
    watched.dead = {Heartbeat.WORKER}
    watched.look(120)

    [message] = mail.outbox
    assert "Connection production needs you." in message.body
    assert "The worker is not running." in message.body
    assert connection.refresh_token not in message.body


def test_something_new_is_told_while_the_rest_lasts(watched):
    watched.dead = {Heartbeat.WORKER}
    watched.look(120)
    watched.dead = {Heartbeat.WORKER, Heartbeat.BEAT}
    watched.look(150)

    assert subjects() == [WORKER_DEAD, "[Bulkwatch] Beat, the schedule, is not running"]


def test_a_restart_tells_nothing_twice_and_what_is_over_all_the_same(watched):
    watched.dead = {Heartbeat.WORKER}
    watched.look(120)
    watched.restart()
    watched.look(120)
    assert subjects() == [WORKER_DEAD]

    watched.dead = set()
    watched.restart(after=600)
    watched.look(150)
    assert len(mail.outbox) == 1  # it may end again
    watched.look(60)
    assert subjects() == [WORKER_DEAD, ALL_WELL]


def test_old_signs_of_life_at_the_start_are_given_a_minute(watched):
    watched.restart(after=86_400)
    watched.dead = {Heartbeat.WORKER, Heartbeat.BEAT}
    watched.look(45)
    watched.dead = set()
    watched.look(120)

    assert mail.outbox == []


def test_what_was_not_up_yet_before_a_restart_is_not_told_at_once(watched):
    watched.dead = {Heartbeat.WORKER, Heartbeat.BEAT}
    watched.look(75)
    watched.restart(after=45)
    watched.look(30)
    watched.dead = set()
    watched.look(120)

    assert mail.outbox == []


class TestConnections:
    def test_what_an_alert_tells_is_not_told_twice(self, watched):
        now = timezone.now()
        blocked = make_connection(blocked_at=now)
        silent = make_connection(unanswered_since=now - timedelta(hours=1))
        make_job(silent, next_poll_at=now)
        for each, kind in (
            (blocked, Alert.Kind.CONNECTION_BLOCKED),
            (silent, Alert.Kind.UNREACHABLE),
        ):
            Alert.objects.create(
                connection=each, kind=kind, created_at=now, state=Alert.State.SENT, sent_at=now
            )

        watched.look(300)

        assert mail.outbox == []

    def test_what_no_alert_can_tell_for_want_of_recipients_is_told(self, watched):
        lonely = make_connection(name="lonely", blocked_at=timezone.now(), alert_recipients="")
        Alert.objects.create(
            connection=lonely,
            kind=Alert.Kind.CONNECTION_BLOCKED,
            created_at=timezone.now(),
            state=Alert.State.NO_RECIPIENT,
        )
        # Named too late for that alert.
        Connection.objects.update(alert_recipients="admin@example.com")

        watched.look(120)

        assert subjects() == ["[Bulkwatch] Connection lonely needs you"]


class TestWithoutDatabase:
    def break_off(self, monkeypatch):
        monkeypatch.setattr(DATABASE, "connect", refuse_to_connect)

    def test_it_mails_whom_it_remembers(self, watched, settings, monkeypatch):
        settings.OPERATORS = []
        make_user("root", email="root@example.com", is_superuser=True)
        watched.look()
        self.break_off(monkeypatch)
        watched.look(90)

        assert subjects() == ["[Bulkwatch] The database does not answer"]
        assert mail.outbox[0].to == ["root@example.com"]

        monkeypatch.undo()
        watched.look(210)
        assert subjects()[1:] == [ALL_WELL]

    def test_one_that_keeps_silent_counts_as_dead_and_is_asked_no_more(self, watched, monkeypatch):
        monkeypatch.setattr(lookout, "DATABASE_SECONDS", 0.2)
        silence = threading.Event()
        asked = []

        def keep_silent(self):
            asked.append(1)
            silence.wait(20)
            refuse_to_connect(self)

        monkeypatch.setattr(DATABASE, "connect", keep_silent)
        try:
            for _ in range(6):
                watched.clock.shift(ROUND)
                watched.lookout.look()
            assert subjects() == ["[Bulkwatch] The database does not answer"]
            assert len(asked) == 1
        finally:
            silence.set()
            watched.lookout._asking.join()


def refuse_to_connect(self):
    raise OperationalError("connection refused")


class TestWhoIsTold:
    def test_operators_come_first(self):
        make_user("root", email="root@example.com", is_superuser=True)
        assert lookout.find_operators() == ["oncall@example.com"]

    def test_then_administrators_with_an_address(self, settings):
        settings.OPERATORS = []
        make_connection(alert_recipients="sales@example.com")
        make_user("root", email="root@example.com", is_superuser=True)
        make_user("gone", email="gone@example.com", is_superuser=True, is_active=False)
        make_user("clerk", email="clerk@example.com")

        assert lookout.find_operators() == ["root@example.com"]

    def test_then_all_who_get_alerts(self, settings):
        settings.OPERATORS = []
        make_user("root", is_superuser=True)
        make_connection(alert_recipients="a@example.com, b@example.com")
        make_connection(alert_recipients="b@example.com")

        assert lookout.find_operators() == ["a@example.com", "b@example.com"]

    def test_nobody_is_an_error_in_the_log(self, watched, settings, caplog):
        settings.OPERATORS = []
        watched.dead = {Heartbeat.WORKER}
        watched.look(150)

        assert mail.outbox == []
        assert "Nobody can be told by mail" in caplog.text


def test_a_mail_server_that_is_down_is_tried_until_it_takes_the_mail(watched, settings, caplog):
    working = settings.EMAIL_BACKEND
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", 9
    watched.dead = {Heartbeat.WORKER}
    watched.look(1200)
    errors = [each for each in caplog.records if each.levelname == "ERROR"]
    assert 3 < len(errors) < 15  # less and less often

    settings.EMAIL_BACKEND = working
    watched.look(300)
    assert subjects() == [WORKER_DEAD]


NAIVE = json.dumps(
    {
        "wrong": {"worker": dict.fromkeys(["seen_at", "last_seen_at", "told_at"], "2026-11-25")},
        "operators": [],
        "told_of_trouble": True,
    }
)


class TestMemory:
    def test_it_is_private_and_holds_no_secret(self, watched, settings):
        make_connection(blocked_at=timezone.now())
        watched.dead = {Heartbeat.WORKER}
        watched.look(120)
        file = settings.DATA_DIR / "run" / "lookout.json"

        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert "canary" not in file.read_text()
        assert "worker" in json.loads(file.read_text())["wrong"]

    @pytest.mark.parametrize(
        "damage",
        ["", "{", "[]", '{"wrong": {"worker": 1}}', '{"wrong": null}', NAIVE],
    )
    def test_a_damaged_file_is_begun_anew(self, watched, settings, damage):
        (settings.DATA_DIR / "run" / "lookout.json").write_text(damage)
        watched.restart()
        watched.dead = {Heartbeat.WORKER}
        watched.look(120)

        assert subjects() == [WORKER_DEAD]

    def test_a_folder_that_cannot_be_written_does_not_keep_it_from_mailing(
        self, watched, settings, tmp_path
    ):
        (tmp_path / "file").write_text("")
        settings.DATA_DIR = tmp_path / "file" / "data"
        watched.restart()
        watched.look(120)

        assert subjects() == ["[Bulkwatch] The folder of all data cannot be read"]


class TestStopped:
    def test_it_is_mailed_once_until_all_was_well(self, watched):
        for _ in range(3):
            call_command("lookout", stopped="worker was killed by SIGKILL")
            watched.restart(after=5)
            watched.look(30)
        assert subjects() == ["[Bulkwatch] Bulkwatch has stopped: worker was killed by SIGKILL"]

        watched.look(180)
        assert subjects()[1:] == [ALL_WELL]

        call_command("lookout", stopped="beat ended with status 1")
        assert subjects()[2:] == ["[Bulkwatch] Bulkwatch has stopped: beat ended with status 1"]

    def test_no_database_is_needed(self, watched, settings, monkeypatch):
        settings.OPERATORS = []
        make_user("root", email="root@example.com", is_superuser=True)
        watched.look()
        monkeypatch.setattr(DATABASE, "connect", refuse_to_connect)
        database.close()

        call_command("lookout", stopped="web ended with status 3")

        assert mail.outbox[0].to == ["root@example.com"]


class TestOnce:
    def once(self, capsys, *arguments):
        try:
            call_command("lookout", "--once", *arguments)
            status = 0
        except SystemExit as end:
            status = end.code
        return status, capsys.readouterr()

    def test_blind_is_status_1_and_says_why(self, watched, capsys):
        Heartbeat.objects.filter(part=Heartbeat.WORKER).delete()

        status, said = self.once(capsys, "--json")

        assert status == 1
        assert "The worker was not seen yet." in said.err
        told = json.loads(said.out)
        assert told["blind"] is True
        assert [each["key"] for each in told["findings"]] == ["worker"]

    def test_hindered_and_well_are_status_0(self, watched, capsys):
        assert self.once(capsys) == (0, ("", "Nothing is wrong.\n"))

        Heartbeat.objects.filter(part=Heartbeat.LOOKOUT).delete()
        status, said = self.once(capsys)
        assert status == 0
        assert "The lookout was not seen yet." in said.err

    def test_it_mails_nobody_and_is_no_sign_of_life(self, watched, capsys):
        Heartbeat.objects.all().delete()
        self.once(capsys)

        assert mail.outbox == []
        assert not Heartbeat.objects.exists()


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


def test_a_round_that_fails_is_not_the_last(watched, monkeypatch, caplog):
    class EnoughError(BaseException):
        pass

    rounds = []

    def no_rest(seconds):
        rounds.append(seconds)
        if len(rounds) == 3:
            raise EnoughError

    monkeypatch.setattr(lookout.time, "sleep", no_rest)
    monkeypatch.setattr(Connection.objects, "annotate", None, raising=False)
    with pytest.raises(EnoughError):
        watched.lookout.run()

    assert len(rounds) == 3
