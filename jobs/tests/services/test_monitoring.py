"""What is found wrong with the parts of the monitor, its polling and its disk."""

import shutil
import socket
import time
from collections import namedtuple
from datetime import timedelta

import pytest
from django.db import connection as database
from django.db.utils import OperationalError
from django.utils import timezone

from jobs.models import Heartbeat
from jobs.services.health import broker, monitoring
from jobs.tests.factories import make_connection, make_job
from jobs.tests.services.findings import LOST, MINUTE, change, found, let_jobs_wait


def test_nothing_is_wrong_when_all_is_well(working):
    assert found() == {}


def test_two_questions_are_enough(working, django_assert_num_queries):
    for number in range(5):
        make_job(make_connection(name=f"other-{number}"))

    with django_assert_num_queries(2):  # heartbeats, connections
        monitoring.check(broker_answers=True)


class TestParts:
    def test_a_dead_worker_blinds(self, working):
        Heartbeat.note(Heartbeat.WORKER, timezone.now() - LOST)

        finding = found()["worker"]

        assert finding.is_blind
        assert finding.parts == ("worker",)
        assert timezone.now() - finding.since >= LOST

    def test_a_dead_beat_is_named_as_the_cause_of_a_worker_without_work(self, working):
        for part in (Heartbeat.BEAT, Heartbeat.WORKER):
            Heartbeat.note(part, timezone.now() - LOST)

        assert set(found()) == {"beat"}
        assert set(found()["beat"].parts) == {"beat", "worker"}

    def test_a_dead_broker_is_named_as_the_cause_of_both(self, working):
        for part in (Heartbeat.BEAT, Heartbeat.WORKER):
            Heartbeat.note(part, timezone.now() - LOST)

        assert set(found(broker_answers=False)) == {"broker"}
        assert set(found(broker_answers=False)["broker"].parts) == {"broker", "beat", "worker"}

    def test_a_sign_of_life_from_the_future_is_none(self, working):
        Heartbeat.note(Heartbeat.WORKER, timezone.now() + timedelta(hours=1))

        assert set(found()) == {"worker"}

    @pytest.mark.parametrize("part", [Heartbeat.BEAT, Heartbeat.WORKER, Heartbeat.LOOKOUT])
    def test_what_was_never_seen_has_not_ended(self, working, part):
        Heartbeat.objects.filter(part=part).delete()

        finding = found()[part]

        assert finding.title.endswith("was not seen yet.")
        assert "ended" not in finding.what_to_do
        assert finding.since is None

    @pytest.mark.parametrize("part", [Heartbeat.BEAT, Heartbeat.WORKER, Heartbeat.LOOKOUT])
    def test_what_starts_is_not_called_dead(self, working, part):
        Heartbeat.note(part, timezone.now() - timedelta(days=1))

        [finding] = found(is_starting=True).values()

        assert (finding.key, finding.parts) == ("starting", (part,))
        assert not finding.is_blind

    def test_a_broker_that_does_not_answer_is_named_at_the_start_too(self, working):
        Heartbeat.objects.all().delete()

        assert "broker" in found(broker_answers=False, is_starting=True)

    def test_a_dead_lookout_hinders(self, working):
        Heartbeat.note(Heartbeat.LOOKOUT, timezone.now() - 61 * timedelta(seconds=1))

        assert not found()["lookout"].is_blind

    def test_a_dead_database_is_all_that_is_said(self, working):
        def refuse(execute, *args):
            raise OperationalError("no")

        with database.execute_wrapper(refuse):
            assert set(found()) == {"database"}
            assert set(found(broker_answers=False)) == {"database", "broker"}

    def test_pages_ask_the_broker_only_when_a_part_is_lost(self, working, settings):
        with socket.create_server(("127.0.0.1", 0)) as silent:
            silent.settimeout(0.2)
            settings.REDIS_URL = f"redis://127.0.0.1:{silent.getsockname()[1]}/0"

            assert found(broker_answers=None) == {}

            with pytest.raises(TimeoutError):
                silent.accept()

    @pytest.mark.parametrize("answered_before", [None, True, False])
    def test_beat_is_not_blamed_before_the_broker_has_answered(
        self, working, settings, monkeypatch, answered_before
    ):
        for part in (Heartbeat.BEAT, Heartbeat.WORKER):
            Heartbeat.note(part, timezone.now() - LOST)
        with socket.create_server(("127.0.0.1", 0)) as silent:
            settings.REDIS_URL = f"redis://127.0.0.1:{silent.getsockname()[1]}/0"
            known = broker._LastKnown()
            known._url, known._answers = settings.REDIS_URL, answered_before
            known._asked_at = time.monotonic() - broker.ASKED_AGAIN_AFTER_SECONDS
            monkeypatch.setattr(broker, "_last_known", known)

            [finding] = found(broker_answers=None).values()
            assert finding.key == ("broker" if answered_before is False else "cause-unknown")
            assert finding.is_blind
            assert "beat" in finding.parts

            time.sleep(broker.TIMEOUT_SECONDS + 0.3)
            assert set(found(broker_answers=None)) == {"broker"}

    def test_a_mute_broker_costs_pages_next_to_nothing(self, working, settings):
        Heartbeat.note(Heartbeat.WORKER, timezone.now() - LOST)
        with socket.create_server(("127.0.0.1", 0)) as silent:
            settings.REDIS_URL = f"redis://127.0.0.1:{silent.getsockname()[1]}/0"
            started = time.monotonic()
            for _ in range(20):
                found(broker_answers=None)
            assert time.monotonic() - started < 1.0

            time.sleep(max(0.0, 1.3 - (time.monotonic() - started)))
            # By now it is known that nobody answers.
            assert set(found(broker_answers=None)) == {"broker"}

            silent.settimeout(0.1)
            silent.accept()[0].close()
            with pytest.raises(TimeoutError):
                silent.accept()

    def test_a_broker_that_refuses_is_named_by_the_first_page(self, working, settings):
        Heartbeat.note(Heartbeat.WORKER, timezone.now() - LOST)
        settings.REDIS_URL = "redis://127.0.0.1:9/3"

        assert set(found(broker_answers=None)) == {"broker"}


class TestPolling:
    def test_jobs_due_for_minutes_are_late(self, working):
        let_jobs_wait(working, 3)

        assert not found()["polling"].is_blind

    def test_a_dead_worker_is_blamed_and_not_late_polling(self, working):
        let_jobs_wait(working, 3)
        Heartbeat.note(Heartbeat.WORKER, timezone.now() - LOST)

        assert set(found()) == {"worker"}

    @pytest.mark.parametrize(
        "fields",
        [
            {"paused": True},
            {"resume_at": timedelta(hours=1)},
            {"unanswered_since": timedelta()},
        ],
    )
    def test_jobs_that_are_not_to_be_asked_about_are_not_late(self, working, fields):
        let_jobs_wait(working, 10)
        now = timezone.now()
        for name, value in fields.items():
            change(working, **{name: now + value if isinstance(value, timedelta) else value})

        assert found() == {}

    def test_after_a_wait_jobs_are_late_as_counted_from_its_end(self, working):
        let_jobs_wait(working, 30)
        change(working, resume_at=timezone.now() - MINUTE)
        assert found() == {}

        change(working, resume_at=timezone.now() - 3 * MINUTE)
        assert set(found()) == {"polling"}


Disk = namedtuple("Disk", "total used free")
GB = 1024**3
MB = 1024**2


@pytest.mark.parametrize(
    "total, free, expected",
    [
        (100 * GB, 3 * GB, None),
        (100 * GB, 1 * GB, "hindered"),
        (10_000 * GB, 50 * GB, None),
        (1 * GB, 210 * MB, None),
        (1 * GB, 190 * MB, "hindered"),
        (1 * GB, 10 * MB, "blind"),
    ],
)
def test_a_disk_that_fills_up_hinders_and_a_full_one_blinds(
    working, monkeypatch, total, free, expected
):
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Disk(total, total - free, free))

    finding = found().get("disk")

    assert (finding and str(finding.severity)) == expected
