"""Whether what is found wrong reaches anybody: alerts, recipients, mail."""

from datetime import timedelta

import pytest
from django.core import mail
from django.utils import timezone

from jobs.models import Alert, Heartbeat
from jobs.services import alerting
from jobs.tests.factories import make_user
from jobs.tests.services.findings import LOST, MINUTE, change, found


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
    def test_an_alert_that_went_out_or_will_tells_it(self, working, state, is_told):
        change(working, blocked_at=timezone.now() - MINUTE)
        assert not self.is_told()

        self.tell(working, Alert.Kind.CONNECTION_BLOCKED, state=state)

        assert self.is_told() == is_told

    def test_recipients_who_were_named_later_got_none(self, working):
        change(working, blocked_at=timezone.now() - MINUTE, alert_recipients="")
        self.tell(working, Alert.Kind.CONNECTION_BLOCKED)
        assert not self.is_told()
        alerting.deliver_due()

        change(working, alert_recipients="late@example.com")

        assert not self.is_told()
        assert mail.outbox == []

    def test_one_of_an_earlier_trouble_tells_nothing(self, working):
        self.tell(working, Alert.Kind.CONNECTION_BLOCKED, minutes=5, state="sent")
        change(working, blocked_at=timezone.now() - MINUTE)
        self.tell(working, Alert.Kind.UNREACHABLE, state="sent")

        assert not self.is_told()

    def test_an_outage_is_left_to_the_alert_that_comes_after_half_an_hour(self, working):
        change(working, unanswered_since=timezone.now() - 10 * MINUTE)
        assert self.is_told()

        change(working, alert_recipients="")
        assert not self.is_told()

        change(
            working,
            alert_recipients="a@example.com",
            unanswered_since=timezone.now() - 50 * MINUTE,
        )
        assert not self.is_told()

        self.tell(working, Alert.Kind.UNREACHABLE, minutes=20, state="sent")
        assert self.is_told()

    def test_a_long_wait_is_told_by_its_alert(self, working):
        answered_at = timezone.now() - 40 * MINUTE
        later = timezone.now() + MINUTE
        change(working, waiting_for="credits", resume_at=later, last_answer_at=answered_at)
        assert not self.is_told()

        self.tell(working, Alert.Kind.UNREACHABLE, state="sent")
        assert self.is_told()

    def test_a_wait_that_comes_each_hour_is_told_by_the_alert_of_that_day(self, working):
        later = timezone.now() + MINUTE
        self.tell(working, Alert.Kind.UNREACHABLE, minutes=90, state="sent")
        Alert.objects.update(about="wait for credits from this morning")
        self.tell(working, Alert.Kind.RECOVERED, minutes=45, state="sent")
        answered_at = timezone.now() - 40 * MINUTE
        change(working, waiting_for="credits", resume_at=later, last_answer_at=answered_at)
        assert self.is_told()

        change(working, waiting_for="throttled")
        assert not self.is_told()

        change(working, waiting_for="credits")
        Alert.objects.update(created_at=timezone.now() - timedelta(hours=25))
        assert not self.is_told()


class TestNobodyIsTold:
    def test_it_hinders_where_nobody_is_named_at_all(self, working, settings):
        change(working, alert_recipients="")

        finding = found()["nobody"]

        assert not finding.is_blind
        assert "OPERATORS" in finding.what_to_do

        settings.OPERATORS = ["oncall@example.com"]
        assert found() == {}
        settings.OPERATORS = []
        make_user("root", email="root@example.com", is_superuser=True)
        assert found() == {}

    def test_it_is_no_matter_where_nothing_is_watched(self, working):
        change(working, alert_recipients="", paused=True)

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

    def test_an_alert_that_cannot_be_sent_for_ten_minutes_blinds(self, working, settings):
        self.refuse(settings)
        self.alert(working, 11)
        alerting.deliver_due()

        finding = found()["mail"]

        assert finding.is_blind
        assert "One alert waits to be mailed." in finding.text
        assert "refused" in finding.text

    def test_one_that_nobody_tries_to_send_is_seen_too(self, working):
        self.alert(working, 11)

        assert set(found()) == {"mail"}

    @pytest.mark.parametrize("part", [Heartbeat.WORKER, Heartbeat.BEAT])
    def test_the_mail_server_is_not_blamed_for_what_nobody_tries(self, working, part, settings):
        self.alert(working, 11)
        Heartbeat.note(part, timezone.now() - LOST)
        assert set(found()) == {part}
        assert "mail" not in found(broker_answers=False)

        self.refuse(settings)
        alerting.deliver_due()
        assert set(found()) == {part, "mail"}

    def test_a_young_one_is_no_news(self, working, settings):
        self.refuse(settings)
        self.alert(working, 9)
        alerting.deliver_due()

        assert found() == {}

    def test_it_is_over_when_the_alert_has_left(self, working):
        self.alert(working, 11)
        alerting.deliver_due()

        assert len(mail.outbox) == 1
        assert found() == {}
