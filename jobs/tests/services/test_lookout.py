"""Whom the lookout tells of what, and how often."""

from datetime import timedelta

import pytest
from django.core import mail
from django.utils import timezone

from jobs.models import Alert, Connection, Heartbeat
from jobs.services.health import lookout
from jobs.tests.factories import make_connection, make_job, make_user
from jobs.tests.services.lookouts import ALL_WELL, WORKER_DEAD, subjects

# Its questions come from a thread, which sees only what was committed.
pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("lookout_installation"),
]


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

    @pytest.mark.parametrize("part", [Heartbeat.BEAT, Heartbeat.WORKER])
    def test_what_an_alert_tells_is_told_where_no_alert_can_leave(self, watched, part):
        watched.dead = {part}
        watched.look(120)
        assert len(mail.outbox) == 1

        blocked = make_connection(name="production", blocked_at=timezone.now())
        kind = Alert.Kind.CONNECTION_BLOCKED
        Alert.objects.create(connection=blocked, kind=kind, created_at=timezone.now())
        watched.look(120)

        [_, message] = mail.outbox
        assert message.subject.endswith("is not running (and 1 more)")
        assert "Connection production needs you." in message.body

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
