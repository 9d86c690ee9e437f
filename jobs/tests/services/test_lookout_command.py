"""The lookout as a command: told of a stop, and asked once."""

import json

import pytest
from django.core import mail
from django.core.management import call_command
from django.db import connection as database

from jobs.models import Heartbeat
from jobs.tests.factories import make_user
from jobs.tests.services.lookouts import ALL_WELL, DATABASE, refuse_to_connect, subjects

# Its questions come from a thread, which sees only what was committed.
pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("lookout_installation"),
]


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
