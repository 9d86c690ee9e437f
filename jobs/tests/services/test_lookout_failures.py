"""The lookout while the database, the mail server or its own memory fails."""

import json
import stat
import threading

import pytest
from django.core import mail
from django.utils import timezone

from jobs.models import Connection, Heartbeat
from jobs.services.health import lookout
from jobs.tests.factories import make_connection, make_user
from jobs.tests.services.lookouts import (
    ALL_WELL,
    DATABASE,
    ROUND,
    WORKER_DEAD,
    refuse_to_connect,
    subjects,
)

# Its questions come from a thread, which sees only what was committed.
pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("lookout_installation"),
]


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
