"""What is found wrong with the monitor, and how old the data is said to be."""

import shutil
import socket
import time
from collections import namedtuple
from datetime import timedelta

import pytest
from django.core import mail
from django.db import connection as database
from django.db.utils import OperationalError
from django.utils import timezone

from jobs.models import Alert, Connection, Heartbeat
from jobs.services import alerting
from jobs.services.connections.connection_states import state_of
from jobs.services.health import monitoring
from jobs.services.health.monitoring import AgeState
from jobs.services.limits.credits import credits_of
from jobs.tests.factories import from_now, make_connection, make_job, make_user

LOST = Heartbeat.MAX_AGE + timedelta(seconds=1)
MINUTE = timedelta(minutes=1)


@pytest.fixture
def all_alive(db):
    for part in (Heartbeat.WORKER, Heartbeat.BEAT, Heartbeat.LOOKOUT):
        Heartbeat.note(part, timezone.now())


@pytest.fixture
def connection(all_alive):
    """A connection that works: one job is watched, and Zoho answered a moment ago."""
    made = make_connection(name="production", last_answer_at=timezone.now())
    make_job(made, next_poll_at=timezone.now() + MINUTE)
    return made


def found(**fields):
    return {
        finding.key.split("-")[-1]: finding
        for finding in monitoring.check(**{"broker_answers": True} | fields).findings
    }


def change(connection, **fields):
    Connection.objects.filter(pk=connection.pk).update(**fields)


def let_jobs_wait(connection, minutes):
    connection.jobs.update(next_poll_at=timezone.now() - minutes * MINUTE)


def test_nothing_is_wrong_when_all_is_well(connection):
    assert found() == {}


def test_two_questions_are_enough(connection, django_assert_num_queries):
    for number in range(5):
        make_job(make_connection(name=f"other-{number}"))

    with django_assert_num_queries(2):  # heartbeats, connections
        monitoring.check(broker_answers=True)


class TestParts:
    def test_a_dead_worker_blinds(self, connection):
        Heartbeat.note(Heartbeat.WORKER, timezone.now() - LOST)

        finding = found()["worker"]

        assert finding.is_blind
        assert finding.parts == ("worker",)
        assert timezone.now() - finding.since >= LOST

    def test_a_dead_beat_is_named_as_the_cause_of_a_worker_without_work(self, connection):
        for part in (Heartbeat.BEAT, Heartbeat.WORKER):
            Heartbeat.note(part, timezone.now() - LOST)

        assert set(found()) == {"beat"}
        assert set(found()["beat"].parts) == {"beat", "worker"}

    def test_a_dead_broker_is_named_as_the_cause_of_both(self, connection):
        for part in (Heartbeat.BEAT, Heartbeat.WORKER):
            Heartbeat.note(part, timezone.now() - LOST)

        assert set(found(broker_answers=False)) == {"broker"}
        assert set(found(broker_answers=False)["broker"].parts) == {"broker", "beat", "worker"}

    def test_a_sign_of_life_from_the_future_is_none(self, connection):
        Heartbeat.note(Heartbeat.WORKER, timezone.now() + timedelta(hours=1))

        assert set(found()) == {"worker"}

    @pytest.mark.parametrize("part", [Heartbeat.BEAT, Heartbeat.WORKER, Heartbeat.LOOKOUT])
    def test_what_was_never_seen_has_not_ended(self, connection, part):
        Heartbeat.objects.filter(part=part).delete()

        finding = found()[part]

        assert finding.title.endswith("was not seen yet.")
        assert "ended" not in finding.what_to_do
        assert finding.since is None

    @pytest.mark.parametrize("part", [Heartbeat.BEAT, Heartbeat.WORKER, Heartbeat.LOOKOUT])
    def test_what_starts_is_not_called_dead(self, connection, part):
        Heartbeat.note(part, timezone.now() - timedelta(days=1))

        [finding] = found(is_starting=True).values()

        assert (finding.key, finding.parts) == ("starting", (part,))
        assert not finding.is_blind

    def test_a_broker_that_does_not_answer_is_named_at_the_start_too(self, connection):
        Heartbeat.objects.all().delete()

        assert "broker" in found(broker_answers=False, is_starting=True)

    def test_a_dead_lookout_hinders(self, connection):
        Heartbeat.note(Heartbeat.LOOKOUT, timezone.now() - 61 * timedelta(seconds=1))

        assert not found()["lookout"].is_blind

    def test_a_dead_database_is_all_that_is_said(self, connection):
        def refuse(execute, *args):
            raise OperationalError("no")

        with database.execute_wrapper(refuse):
            assert set(found()) == {"database"}
            assert set(found(broker_answers=False)) == {"database", "broker"}

    def test_pages_ask_the_broker_only_when_a_part_is_lost(self, connection, settings):
        with socket.create_server(("127.0.0.1", 0)) as silent:
            silent.settimeout(0.2)
            settings.REDIS_URL = f"redis://127.0.0.1:{silent.getsockname()[1]}/0"

            assert found(broker_answers=None) == {}

            with pytest.raises(TimeoutError):
                silent.accept()

    def test_a_mute_broker_costs_pages_next_to_nothing(self, connection, settings):
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

    def test_a_broker_that_refuses_is_named_by_the_first_page(self, connection, settings):
        Heartbeat.note(Heartbeat.WORKER, timezone.now() - LOST)
        settings.REDIS_URL = "redis://127.0.0.1:9/3"

        assert set(found(broker_answers=None)) == {"broker"}


class TestPolling:
    def test_jobs_due_for_minutes_are_late(self, connection):
        let_jobs_wait(connection, 3)

        assert not found()["polling"].is_blind

    def test_a_dead_worker_is_blamed_and_not_late_polling(self, connection):
        let_jobs_wait(connection, 3)
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
    def test_jobs_that_are_not_to_be_asked_about_are_not_late(self, connection, fields):
        let_jobs_wait(connection, 10)
        now = timezone.now()
        for name, value in fields.items():
            change(connection, **{name: now + value if isinstance(value, timedelta) else value})

        assert found() == {}

    def test_after_a_wait_jobs_are_late_as_counted_from_its_end(self, connection):
        let_jobs_wait(connection, 30)
        change(connection, resume_at=timezone.now() - MINUTE)
        assert found() == {}

        change(connection, resume_at=timezone.now() - 3 * MINUTE)
        assert set(found()) == {"polling"}


class TestConnections:
    def test_one_that_needs_a_person_blinds_and_says_why(self, connection):
        error = {"message": "The refresh token was revoked.", "resolution": "Sign in again."}
        change(connection, blocked_at=timezone.now(), last_error=error)

        finding = found()["blocked"]

        assert finding.is_blind
        assert finding.title == "Connection production needs you."
        assert "The refresh token was revoked." in finding.text
        assert finding.what_to_do == "Sign in again."

    def test_one_without_answers_hinders_within_a_minute_and_blinds_after_five(self, connection):
        for seconds, severity in ((44, None), (46, "hindered"), (240, "hindered"), (360, "blind")):
            change(connection, unanswered_since=timezone.now() - timedelta(seconds=seconds))
            finding = found().get("silent")
            assert (finding and str(finding.severity)) == severity

    def test_nobody_waits_for_answers_where_no_job_is_watched(self, connection):
        change(connection, unanswered_since=timezone.now() - 6 * MINUTE)
        connection.jobs.update(poll_state="done", next_poll_at=None)

        assert found() == {}

    @pytest.mark.parametrize("waiting_for", ["throttled", "tokens"])
    def test_a_wait_that_lasts_hinders(self, connection, waiting_for):
        later = timezone.now() + 10 * MINUTE
        change(connection, waiting_for=waiting_for, resume_at=later)
        assert found() == {}

        change(connection, last_answer_at=timezone.now() - 6 * MINUTE)
        assert not found()["waits"].is_blind

    @pytest.mark.parametrize("waiting_for", ["throttled", "tokens", "credits"])
    def test_a_wait_with_a_known_end_is_no_silence(self, connection, waiting_for):
        since = timezone.now() - 10 * MINUTE
        change(connection, unanswered_since=since, last_answer_at=since, waiting_for=waiting_for)
        change(connection, resume_at=timezone.now() + MINUTE)
        assert set(found()) == {"waits"}

        change(connection, resume_at=timezone.now() - timedelta(seconds=1))
        assert "silent" not in found()

        change(connection, waiting_for="unavailable")
        assert found()["silent"].is_blind

    def test_used_up_credits_hinder_at_once_and_blind_after_half_an_hour(self, connection):
        later = timezone.now() + MINUTE
        change(connection, waiting_for="credits", resume_at=later)
        assert "polling may use within 24 hours are used up" in found()["waits"].text
        assert not found()["waits"].is_blind

        change(connection, last_answer_at=timezone.now() - 31 * MINUTE)
        assert found()["waits"].is_blind

        change(connection, resume_at=timezone.now() - MINUTE)
        assert found() == {}

    @pytest.mark.parametrize("remaining", [None, 0])
    def test_a_wait_is_told_in_the_words_of_the_connection_page(self, connection, remaining):
        now = timezone.now()
        fields = {"credits_remaining": remaining, "credits_seen_at": now}
        change(connection, waiting_for="credits", resume_at=now + MINUTE, **fields)
        connection.refresh_from_db()
        state = state_of(connection, now, credits_of(connection, now))

        finding = found()["waits"]

        assert finding.text.startswith(state.text)
        assert finding.what_to_do == state.what_to_do
        assert ("The org has hardly any" in finding.text) == (remaining == 0)

    @pytest.mark.parametrize(
        "trouble",
        [
            {"blocked_at": timedelta()},
            {"unanswered_since": -timedelta(hours=1)},
            {"waiting_for": "credits", "resume_at": timedelta(hours=1)},
        ],
    )
    def test_a_paused_one_is_no_blindness(self, connection, trouble):
        change(connection, paused=True, **from_now(trouble))

        assert found() == {}

    def test_one_that_nobody_has_signed_in_blinds_where_it_has_jobs_to_watch(self, connection):
        change(connection, refresh_token="")
        let_jobs_wait(connection, 10)

        [(key, finding)] = found().items()
        assert key == "unsigned"
        assert finding.is_blind
        assert "Sign in to Zoho" in finding.what_to_do
        assert not finding.is_told_by_alert

        connection.jobs.update(poll_state="done", next_poll_at=None)
        assert found() == {}


class TestToldByAlert:
    def tell(self, connection, kind, minutes=0, **fields):
        alerting.write(
            [
                alerting.make_alert(
                    kind,
                    "It is not read.",
                    connection=connection,
                    job=None,
                    about=str(minutes),
                    at=timezone.now() - minutes * MINUTE,
                    hold=timedelta(),
                )
            ]
        )
        Alert.objects.filter(about=str(minutes)).update(**fields)

    def is_told(self):
        return next(each for key, each in found().items() if key != "mail").is_told_by_alert

    @pytest.mark.parametrize(
        ("state", "is_told"),
        [("pending", True), ("sent", True), ("failed", False), ("no_recipient", False)],
    )
    def test_an_alert_that_went_out_or_will_tells_it(self, connection, state, is_told):
        change(connection, blocked_at=timezone.now() - MINUTE)
        assert not self.is_told()

        self.tell(connection, Alert.Kind.CONNECTION_BLOCKED, state=state)

        assert self.is_told() == is_told

    def test_recipients_who_were_named_later_got_none(self, connection):
        change(connection, blocked_at=timezone.now() - MINUTE, alert_recipients="")
        self.tell(connection, Alert.Kind.CONNECTION_BLOCKED)
        assert not self.is_told()
        alerting.deliver_due()

        change(connection, alert_recipients="late@example.com")

        assert not self.is_told()
        assert mail.outbox == []

    def test_one_of_an_earlier_trouble_tells_nothing(self, connection):
        self.tell(connection, Alert.Kind.CONNECTION_BLOCKED, minutes=5, state="sent")
        change(connection, blocked_at=timezone.now() - MINUTE)
        self.tell(connection, Alert.Kind.UNREACHABLE, state="sent")

        assert not self.is_told()

    def test_an_outage_is_left_to_the_alert_that_comes_after_half_an_hour(self, connection):
        change(connection, unanswered_since=timezone.now() - 10 * MINUTE)
        assert self.is_told()

        change(connection, alert_recipients="")
        assert not self.is_told()

        change(
            connection,
            alert_recipients="a@example.com",
            unanswered_since=timezone.now() - 50 * MINUTE,
        )
        assert not self.is_told()

        self.tell(connection, Alert.Kind.UNREACHABLE, minutes=20, state="sent")
        assert self.is_told()

    def test_a_long_wait_is_told_by_its_alert(self, connection):
        answered_at = timezone.now() - 40 * MINUTE
        later = timezone.now() + MINUTE
        change(connection, waiting_for="credits", resume_at=later, last_answer_at=answered_at)
        assert not self.is_told()

        self.tell(connection, Alert.Kind.UNREACHABLE, state="sent")
        assert self.is_told()


class TestNobodyIsTold:
    def test_it_hinders_where_nobody_is_named_at_all(self, connection, settings):
        change(connection, alert_recipients="")

        finding = found()["nobody"]

        assert not finding.is_blind
        assert "OPERATORS" in finding.what_to_do

        settings.OPERATORS = ["oncall@example.com"]
        assert found() == {}
        settings.OPERATORS = []
        make_user("root", email="root@example.com", is_superuser=True)
        assert found() == {}

    def test_it_is_no_matter_where_nothing_is_watched(self, connection):
        change(connection, alert_recipients="", paused=True)

        assert found() == {}


class TestMail:
    def refuse(self, settings):
        settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
        settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", 9

    def alert(self, connection, minutes):
        alert = alerting.make_alert(
            Alert.Kind.CONNECTION_BLOCKED,
            "It needs you.",
            connection=connection,
            job=None,
            about=str(minutes),
            at=timezone.now() - minutes * MINUTE,
            hold=timedelta(),
        )
        alerting.write([alert])

    def test_an_alert_that_cannot_be_sent_for_ten_minutes_blinds(self, connection, settings):
        self.refuse(settings)
        self.alert(connection, 11)
        alerting.deliver_due()

        finding = found()["mail"]

        assert finding.is_blind
        assert "One alert waits to be mailed." in finding.text
        assert "refused" in finding.text

    def test_one_that_nobody_tries_to_send_is_seen_too(self, connection):
        self.alert(connection, 11)

        assert set(found()) == {"mail"}

    @pytest.mark.parametrize("part", [Heartbeat.WORKER, Heartbeat.BEAT])
    def test_the_mail_server_is_not_blamed_for_what_nobody_tries(self, connection, part, settings):
        self.alert(connection, 11)
        Heartbeat.note(part, timezone.now() - LOST)
        assert set(found()) == {part}
        assert "mail" not in found(broker_answers=False)

        self.refuse(settings)
        alerting.deliver_due()
        assert set(found()) == {part, "mail"}

    def test_a_young_one_is_no_news(self, connection, settings):
        self.refuse(settings)
        self.alert(connection, 9)
        alerting.deliver_due()

        assert found() == {}

    def test_it_is_over_when_the_alert_has_left(self, connection):
        self.alert(connection, 11)
        alerting.deliver_due()

        assert len(mail.outbox) == 1
        assert found() == {}


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
    connection, monkeypatch, total, free, expected
):
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Disk(total, total - free, free))

    finding = found().get("disk")

    assert (finding and str(finding.severity)) == expected


class TestAge:
    def age(self):
        return monitoring.check(broker_answers=True).age

    def test_fresh_where_zoho_answered_and_nothing_is_overdue(self, connection):
        assert self.age().state == AgeState.FRESH
        assert self.age().answered_at == Connection.objects.get().last_answer_at

    def test_idle_where_nothing_is_watched(self, connection):
        change(connection, paused=True)
        assert self.age().state == AgeState.IDLE

        change(connection, paused=False)
        connection.jobs.update(poll_state="done", next_poll_at=None)
        assert self.age().state == AgeState.IDLE

    def test_stale_where_nobody_has_signed_in_for_what_is_watched(self, connection):
        change(connection, refresh_token="", last_answer_at=None)
        other = make_connection(name="other", last_answer_at=timezone.now())
        make_job(other, next_poll_at=timezone.now() + MINUTE)

        assert self.age().state == AgeState.STALE
        assert self.age().answered_at is None

    def test_unanswered_where_watching_has_just_begun(self, connection):
        change(connection, last_answer_at=None)

        assert self.age().state == AgeState.UNANSWERED

    @pytest.mark.parametrize(
        "fields",
        [
            {},
            {"blocked_at": timedelta()},
            {"resume_at": timedelta(hours=1), "waiting_for": "throttled"},
        ],
    )
    def test_stale_where_a_job_is_overdue_whatever_the_reason(self, connection, fields):
        let_jobs_wait(connection, 3)
        change(connection, **from_now(fields))

        assert self.age().state == AgeState.STALE

    def test_the_stale_connection_is_not_hidden_by_one_that_is_answered(self, connection):
        long_ago = timezone.now() - timedelta(hours=2)
        for name, answered_at in (("silent", long_ago), ("late", timezone.now() - 3 * MINUTE)):
            other = make_connection(name=name, last_answer_at=answered_at)
            make_job(other, next_poll_at=timezone.now() - 3 * MINUTE)

        assert self.age().state == AgeState.STALE
        assert self.age().answered_at == long_ago
