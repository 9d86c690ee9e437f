"""The outbox: each fact told once, to the right people, whatever the mail server does."""

import smtplib
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
import time_machine
from django.core import mail
from django.core.mail.backends.locmem import EmailBackend
from django.db import connection as database
from django.utils import timezone

from jobs.models import Alert, BulkWriteJob, Connection
from jobs.services import alerting
from jobs.tests.factories import body, completed, make_connection, make_job, observe, resource

pytestmark = pytest.mark.django_db
State = Alert.State


def failed(**fields) -> BulkWriteJob:
    """A job that has failed, which its alert waits to tell."""
    job = make_job(**fields)
    observe(job, body(job, "FAILED", resource("FAILED")))
    return job


def deliver_after(**span: float) -> int:
    with time_machine.travel(timezone.now() + timedelta(**span)):
        return alerting.deliver_due()


@pytest.fixture
def mail_server_down(settings):
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", 9


class TestAFact:
    def test_is_written_once_however_often_it_is_told(self):
        org = make_connection()
        job = make_job(org)
        for about_job in (job, None, job, None):
            alert = alerting.make_alert(
                Alert.Kind.FAILED,
                "It failed.",
                connection=org,
                job=about_job,
                about="once",
                at=timezone.now(),
                hold=timedelta(),
            )
            alerting.write([alert, alert])

        assert list(Alert.objects.order_by("job").values_list("job", flat=True)) in (
            [job.pk, None],
            [None, job.pk],
        )

    def test_about_another_job_is_another_fact(self):
        org = make_connection()
        for _ in range(2):
            failed(connection=org)

        assert Alert.objects.count() == 2

    def test_whose_text_is_too_long_is_cut_not_lost(self):
        job = failed(zoho_job_id="1" * 30)
        alert = alerting.make_alert(
            Alert.Kind.BLOCKED,
            "x" * 10_000,
            connection=job.connection,
            job=job,
            about="y" * 10_000,
            at=timezone.now(),
            hold=timedelta(),
        )
        alerting.write([alert])

        assert Alert.objects.filter(kind=Alert.Kind.BLOCKED).exists()


class TestDelivery:
    def test_sends_text_and_html_with_the_alerts_own_message_id(self):
        job = failed()

        assert alerting.deliver_due() == 1

        [message] = mail.outbox
        alert = Alert.objects.get()
        assert message.to == ["admin@example.com"]
        assert message.message()["Message-ID"] == alert.message_id
        [(html, mime_type)] = message.alternatives
        assert mime_type == "text/html"
        for text in (message.body, html):
            assert f"http://testserver{job.get_absolute_url()}" in text
        assert (alert.state, alert.recipients) == (State.SENT, ["admin@example.com"])
        assert alert.subject == message.subject
        assert alert.sent_at is not None
        assert job.events.filter(kind="alert", text__contains="admin@example.com").exists()

    def test_sends_nothing_twice(self):
        failed()
        alerting.deliver_due()

        assert alerting.deliver_due() == 0
        assert deliver_after(days=3) == 0
        assert len(mail.outbox) == 1

    def test_gives_each_alert_a_message_id_of_its_own(self):
        for _ in range(3):
            failed()

        assert len(set(Alert.objects.values_list("message_id", flat=True))) == 3

    @pytest.mark.parametrize(
        ("own", "of_connection", "told"),
        [
            ("me@example.com; you@example.com", "all@example.com", 2),
            ("", "all@example.com", 1),
            (" \n", "a@example.com\nb@example.com,c@example.com", 3),
        ],
    )
    def test_tells_the_jobs_own_people_before_its_connections(self, own, of_connection, told):
        failed(connection=make_connection(alert_recipients=of_connection), alert_recipients=own)
        alerting.deliver_due()

        assert len(mail.outbox[0].to) == told
        assert ("me@example.com" in mail.outbox[0].to) is bool(own.strip())

    def test_with_nobody_to_tell_shows_that(self):
        job = failed(connection=make_connection(alert_recipients=""))

        assert alerting.deliver_due() == 0
        alert = Alert.objects.get()
        assert (alert.state, alert.next_attempt_at) == (State.NO_RECIPIENT, None)
        assert job.events.filter(kind="alert", text__startswith="No recipient").exists()

        Connection.objects.update(alert_recipients="new@example.com")
        alerting.retry(alert)
        assert alerting.deliver_due() == 1

    @pytest.mark.parametrize("name", ["label", "file", "module"])
    def test_lets_no_name_add_a_header(self, name):
        evil = "Leads\r\nBcc: victim@example.com\r\n\r\nHello"
        job = make_job(label=evil if name == "label" else "")
        part = resource(
            "FAILED",
            module=evil if name == "module" else "Leads",
            file=evil if name == "file" else None,
        )
        observe(job, body(job, "FAILED", part))

        alerting.deliver_due()

        [message] = mail.outbox
        assert "\n" not in message.subject
        assert message.message()["Bcc"] is None
        assert message.recipients() == ["admin@example.com"]


class TestTheHold:
    def test_for_the_result_file_is_bounded(self):
        job = make_job()
        observe(job, completed(job, added=0, updated=0, skipped=9, total=9))

        assert alerting.deliver_due() == 0
        assert deliver_after(seconds=alerting.HOLD_FOR_RESULT.total_seconds() - 5) == 0
        assert deliver_after(seconds=alerting.HOLD_FOR_RESULT.total_seconds() + 1) == 1

    def test_is_none_where_no_result_is_to_come(self):
        failed()

        assert alerting.deliver_due() == 1

    def test_ends_with_the_result_for_that_job_alone(self):
        jobs = [make_job(), make_job()]
        for job in jobs:
            observe(job, completed(job, added=0, updated=0, skipped=9, total=9))
        alerting.release_held(jobs[0].pk)

        assert alerting.deliver_due() == 1
        assert Alert.objects.get(state=State.SENT).job == jobs[0]


class TestAMailServer:
    def test_that_is_down_loses_nothing_and_gets_each_mail_once_when_it_is_back(
        self, mail_server_down, settings
    ):
        for _ in range(4):
            failed()
        ids = set(Alert.objects.values_list("message_id", flat=True))
        for minutes in range(0, 30, 5):
            assert deliver_after(minutes=minutes) == 0
        assert set(Alert.objects.values_list("state", flat=True)) == {State.PENDING}
        assert Alert.objects.exclude(error="").filter(attempts__gt=1).exists()

        settings.EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
        assert deliver_after(hours=2) == 4
        assert deliver_after(hours=4) == 0
        assert {message.message()["Message-ID"] for message in mail.outbox} == ids

    def test_that_is_down_is_asked_once_a_run_not_once_a_mail(self, mail_server_down):
        for _ in range(5):
            failed()
        alerting.deliver_due()

        assert Alert.objects.filter(attempts=0).count() == 4
        assert not Alert.objects.due(timezone.now()).exists()

    def test_that_refuses_one_recipient_does_not_hold_up_the_others(self, monkeypatch):
        send = EmailBackend.send_messages

        def refuse_some(self, messages):
            if "refused@example.com" in messages[0].to:
                raise smtplib.SMTPRecipientsRefused({"refused@example.com": (550, b"No.")})
            return send(self, messages)

        monkeypatch.setattr(EmailBackend, "send_messages", refuse_some)
        refused = failed(alert_recipients="refused@example.com")
        failed()

        assert alerting.deliver_due() == 1
        alert = refused.alerts.get()
        assert (alert.state, alert.attempts) == (State.PENDING, 1)
        assert "550" in alert.error

    def test_that_stays_down_is_given_up_visibly_and_a_person_can_try_again(
        self, mail_server_down, settings
    ):
        job = failed()
        deliver_after(hours=49)

        alert = Alert.objects.get()
        assert (alert.state, alert.next_attempt_at) == (State.FAILED, None)
        assert job.events.filter(text__startswith="Given up").exists()
        settings.EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
        alerting.retry(alert)
        assert alerting.deliver_due() == 1

    def test_is_asked_less_and_less_often(self, mail_server_down):
        failed()
        waits, at = [], timezone.now()
        for _ in range(9):
            with time_machine.travel(at):
                alerting.deliver_due()
            due = Alert.objects.get().next_attempt_at
            waits.append(round((due - at).total_seconds()))
            at = due

        assert waits == [30, 60, 120, 240, 480, 960, 1920, 3600, 3600]


class TestAWorker:
    def test_that_dies_right_after_sending_leaves_a_mail_that_goes_out_again_as_the_same_one(
        self, monkeypatch
    ):
        failed()
        send = EmailBackend.send_messages

        def send_and_die(self, messages):
            send(self, messages)
            raise SystemExit

        with monkeypatch.context() as patched, pytest.raises(SystemExit):
            patched.setattr(EmailBackend, "send_messages", send_and_die)
            alerting.deliver_due()

        assert alerting.deliver_due() == 0
        assert deliver_after(seconds=alerting.LEASE.total_seconds() + 1) == 1
        first, second = mail.outbox
        assert first.message()["Message-ID"] == second.message()["Message-ID"]

    def test_keeps_the_alert_it_is_sending_though_a_person_asks_for_it_again(self):
        failed()
        alert = Alert.objects.get()
        Alert.objects.update(lease_until=timezone.now() + timedelta(minutes=1))

        alerting.retry(alert)

        assert alerting.deliver_due() == 0

    def test_does_not_send_again_what_was_sent(self):
        failed()
        alerting.deliver_due()

        alerting.retry(Alert.objects.get())

        assert alerting.deliver_due() == 0


@pytest.mark.django_db(transaction=True)
def test_workers_at_the_same_time_send_each_mail_once():
    for _ in range(12):
        failed()

    def deliver(_: int) -> int:
        try:
            return alerting.deliver_due()
        finally:
            database.close()

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(deliver, range(4))) == 12
    assert len({message.message()["Message-ID"] for message in mail.outbox}) == 12
    assert len(mail.outbox) == 12
