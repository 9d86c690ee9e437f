"""The list of alerts, trying one again, and the test mail."""

import smtplib
from datetime import timedelta
from itertools import count

import pytest
from django.contrib.auth.models import User
from django.core import mail
from django.utils import timezone

from jobs.models import Alert
from jobs.services import alerting
from jobs.tests.factories import make_connection, make_job

_abouts = count()
TRIGGER = 'hx-trigger="every 5s"'


@pytest.fixture
def viewer(client, db):
    client.force_login(User.objects.create_user("viewer", "viewer@example.com", "x"))
    return client


def make_alert(kind=Alert.Kind.FAILED, *, connection=None, job=None, text="It failed.", **fields):
    if job is None and connection is None:
        job = make_job(label="Nightly import")
    alert = alerting.make_alert(
        kind,
        text,
        connection=connection or job.connection,
        job=job,
        about=str(next(_abouts)),
        at=timezone.now(),
        hold=timedelta(),
    )
    for name, value in fields.items():
        setattr(alert, name, value)
    alert.save()
    return alert


def sent(**fields):
    now = timezone.now()
    return make_alert(
        state=Alert.State.SENT, sent_at=now, next_attempt_at=None, attempts=1, **fields
    )


def page_of(viewer, address="/alerts/", **headers):
    response = viewer.get(address, headers=headers)
    assert response.status_code == 200
    return " ".join(response.content.decode().split())


class Refusing:
    """A mail server that is down, in place of the backend: the wire of mails."""

    def __init__(self, **kwargs):
        pass

    def send_messages(self, messages):
        raise smtplib.SMTPServerDisconnected("canary: please run connect() first")


# --- The list


def test_a_list_without_alerts_says_so_in_words(viewer):
    assert "Nothing went wrong so far." in page_of(viewer)


def test_a_sent_alert_tells_whom_and_when(viewer):
    sent(recipients=["one@example.com", "two@example.com"])

    page = page_of(viewer)

    assert "one@example.com, two@example.com" in page
    assert "</svg>Sent</span>" in page
    assert "Try again" not in page


def test_a_failing_delivery_tells_attempts_error_and_the_next_attempt(viewer):
    alert = make_alert(
        attempts=3,
        error="The mail could not be sent: Connection refused",
        next_attempt_at=timezone.now() + timedelta(minutes=4, seconds=30),
    )

    page = page_of(viewer)

    assert "3 attempts failed; next" in page
    assert "in 4 min" in page
    assert "Connection refused" in page
    assert f'action="/alerts/{alert.pk}/retry/"' in page


def test_an_alert_that_should_have_gone_out_is_not_said_to_be_about_to(viewer):
    make_alert(next_attempt_at=timezone.now() - timedelta(minutes=10))

    page = page_of(viewer)

    assert "was due" in page
    assert "goes out" not in page


def test_a_given_up_alert_says_why_and_can_be_tried_again(viewer):
    make_alert(state=Alert.State.FAILED, attempts=55, error="550 no such box", next_attempt_at=None)

    page = page_of(viewer)

    assert "after 55 attempts. 550 no such box" in page
    assert "Try again now" in page


def test_an_alert_for_nobody_says_where_to_name_somebody(viewer):
    connection = make_connection(name="lonely", alert_recipients="")
    make_alert(connection=connection, state=Alert.State.NO_RECIPIENT, next_attempt_at=None)

    page = page_of(viewer)

    assert "nobody" in page
    assert f'<a href="/connections/{connection.pk}/edit/">the connection lonely</a>' in page


def test_a_waiting_alert_names_those_who_will_be_told(viewer):
    make_alert(job=make_job(alert_recipients="owner@example.com"))

    assert "owner@example.com" in page_of(viewer)


def test_each_alert_leads_to_what_it_is_about(viewer):
    job = make_job(label="Nightly import")
    make_alert(job=job)
    connection = make_connection(name="broken")
    make_alert(Alert.Kind.CONNECTION_BLOCKED, connection=connection)

    page = page_of(viewer)

    assert f'<a href="/jobs/{job.pk}/">Nightly import</a>' in page
    assert f'<a href="/connections/#connection-{connection.pk}">Connection broken</a>' in page


def test_the_kind_is_not_said_twice(viewer):
    make_alert(Alert.Kind.FAILED, text="Failed: Zoho could not carry out the job.")

    assert "<strong>Failed.</strong> Zoho could not carry out the job." in page_of(viewer)


def test_hostile_names_are_text(viewer):
    make_alert(job=make_job(label="<script>alert(1)</script>"), text="<img src=x>", error="<b>")

    page = page_of(viewer)

    assert "<script>alert(1)" not in page
    assert "<img src=x>" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page


# --- Filters and pages


def test_filters_stand_in_the_address(viewer):
    sent(kind=Alert.Kind.STUCK, text="first one")
    make_alert(Alert.Kind.STUCK, text="second one")
    make_alert(Alert.Kind.BLOCKED, text="third one")

    page = page_of(viewer, "/alerts/?state=pending&kind=stuck")

    assert "second one" in page
    assert "first one" not in page
    assert "third one" not in page
    assert '<option value="pending" selected>' in page
    assert '<option value="stuck" selected>' in page


def test_a_filter_that_makes_no_sense_is_left_out_and_said(viewer):
    make_alert(text="still here")

    page = page_of(viewer, "/alerts/?state=%3Cb%3E&kind=stuck&page=nonsense")

    assert "makes no sense and was left out: state" in page
    assert "<b>" not in page
    assert "still here" not in page  # the other filter holds


def test_a_list_that_filters_to_nothing_says_so(viewer):
    sent()

    assert "No alert matches these filters." in page_of(viewer, "/alerts/?state=failed")


def test_pages_have_50_alerts_and_keep_the_filters(viewer):
    job = make_job()
    for number in range(51):
        make_alert(job=job, text=f"alert number {number}.")

    first = page_of(viewer, "/alerts/?state=pending")
    second = page_of(viewer, "/alerts/?state=pending&page=2")

    assert "alert number 50." in first
    assert "alert number 0." not in first
    assert "alert number 0." in second
    assert "/alerts/?state=pending&amp;page=2" in first or "?state=pending&amp;page=2" in first


def test_query_count_does_not_grow_with_alerts(viewer, django_assert_num_queries):
    for _ in range(3):
        make_alert()
    make_alert(connection=make_connection())
    # session, user, number of alerts, page, any pending; for every page: heartbeats,
    # connections, latest alerts.
    with django_assert_num_queries(8):
        viewer.get("/alerts/")


# --- Live refresh


def test_the_list_refreshes_itself_while_an_alert_waits(viewer):
    make_alert()

    page = page_of(viewer, "/alerts/?state=pending")

    assert f'hx-get="/alerts/?state=pending" {TRIGGER}' in page


def test_the_list_stops_refreshing_when_nothing_can_change(viewer):
    sent()
    make_alert(state=Alert.State.FAILED, next_attempt_at=None)
    make_alert(state=Alert.State.NO_RECIPIENT, next_attempt_at=None)

    page = page_of(viewer, **{"HX-Request": "true"})

    assert 'id="alert-table"' in page
    assert TRIGGER not in page


def test_a_refresh_is_the_table_alone(viewer):
    make_alert()

    fragment = page_of(viewer, **{"HX-Request": "true"})

    assert TRIGGER in fragment
    assert "<html" not in fragment
    assert "test-mail" not in fragment


def test_caches_keep_page_and_fragment_apart(viewer):
    assert "HX-Request" in viewer.get("/alerts/")["Vary"]


# --- Try again now


@pytest.mark.parametrize(
    "state", [Alert.State.PENDING, Alert.State.FAILED, Alert.State.NO_RECIPIENT]
)
def test_try_again_makes_an_alert_due_and_it_is_sent(viewer, state):
    alert = make_alert(state=state, next_attempt_at=timezone.now() + timedelta(hours=1))

    response = viewer.post(
        f"/alerts/{alert.pk}/retry/", {"next": "/alerts/?state=failed"}, follow=True
    )
    alerting.deliver_due()

    assert response.redirect_chain[0][0] == "/alerts/?state=failed"
    assert b"goes out within seconds" in response.content
    assert len(mail.outbox) == 1


def test_a_sent_alert_is_not_sent_again(viewer):
    alert = sent()

    response = viewer.post(f"/alerts/{alert.pk}/retry/", follow=True)
    alerting.deliver_due()

    assert b"has been sent already" in response.content
    assert mail.outbox == []


def test_an_alert_that_a_worker_is_sending_is_left_to_it(viewer):
    lease = timezone.now() + timedelta(minutes=1)
    alert = make_alert(lease_until=lease)

    viewer.post(f"/alerts/{alert.pk}/retry/")

    alert.refresh_from_db()
    assert alert.lease_until == lease


def test_the_way_back_leads_to_no_other_host(viewer):
    alert = make_alert()

    response = viewer.post(f"/alerts/{alert.pk}/retry/", {"next": "https://evil.example/"})

    assert response["Location"] == "/alerts/"


@pytest.mark.parametrize("address", ["/alerts/1/retry/", "/alerts/test-mail/"])
def test_a_link_sends_nothing(viewer, address):
    assert viewer.get(address).status_code == 405


# --- The test mail


def test_the_test_mail_is_offered_to_oneself(viewer):
    assert 'value="viewer@example.com"' in page_of(viewer)


def test_a_test_mail_goes_to_the_address(viewer):
    page = viewer.post("/alerts/test-mail/", {"recipient": "a@example.com"}, follow=True)

    (message,) = mail.outbox
    assert message.to == ["a@example.com"]
    assert b"The mail server took the test mail for a@example.com." in page.content


@pytest.mark.parametrize("recipient", ["", "nobody", "a@example.com\nBcc: b@example.com", "<b>@x"])
def test_a_test_mail_to_no_address_is_refused_in_words(viewer, recipient):
    page = viewer.post("/alerts/test-mail/", {"recipient": recipient}, follow=True)

    assert b"No test mail was sent." in page.content
    assert mail.outbox == []


def test_a_mail_server_that_is_down_is_a_message(viewer, settings):
    settings.EMAIL_BACKEND = f"{__name__}.Refusing"

    response = viewer.post("/alerts/test-mail/", {"recipient": "a@example.com"}, follow=True)

    assert response.status_code == 200
    assert b"The test mail could not be sent: canary" in response.content
    assert b"EMAIL_URL" in response.content


def test_nobody_listening_at_the_mail_server_is_a_message(viewer, settings):
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", 9

    response = viewer.post("/alerts/test-mail/", {"recipient": "a@example.com"}, follow=True)

    assert response.status_code == 200
    assert b"could not be sent" in response.content


def test_mails_that_are_only_written_to_files_are_not_called_sent(viewer, settings, tmp_path):
    settings.EMAIL_BACKEND = "django.core.mail.backends.filebased.EmailBackend"
    settings.EMAIL_FILE_PATH = str(tmp_path)

    page = viewer.post("/alerts/test-mail/", {"recipient": "a@example.com"}, follow=True)

    text = page.content.decode()
    assert "Nobody receives the test mail" in text
    assert "Nobody receives these mails." in text  # the note above the list
    assert str(tmp_path) in text
    assert "took the test mail" not in text
    assert len(list(tmp_path.iterdir())) == 1


def test_where_mails_are_sent_there_is_no_note(viewer):
    assert "Nobody receives" not in page_of(viewer)
