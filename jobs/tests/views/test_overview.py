"""The first page."""

from datetime import timedelta

import pytest
from django.utils import timezone

from jobs.models import Heartbeat, Outcome
from jobs.tests.factories import body, completed, make_connection, make_job, observe
from jobs.tests.factories import resource as part

TRIGGER = 'hx-trigger="every 5s"'
HTMX = {"HX-Request": "true"}


@pytest.fixture
def connection(db):
    return make_connection(name="production")


def test_who_is_not_signed_in_is_sent_to_the_sign_in(client, db):
    response = client.get("/")

    assert response.status_code == 302
    assert response.url.startswith("/accounts/login/")


def test_a_session_that_ends_takes_the_whole_page_to_the_sign_in(client, db):
    response = client.get("/", headers=HTMX | {"HX-Current-URL": "http://testserver/"})

    assert response["HX-Redirect"].startswith("/accounts/login/")


def test_the_first_visit_names_three_steps(admin):
    page = admin.get("/").content.decode()

    assert "Welcome" in page
    assert "/connections/add/" in page
    assert "/jobs/track/" in page
    assert "Say who gets mail" in page


def test_a_step_that_is_done_is_marked(alice, connection):
    page = alice.get("/").content.decode()

    assert "Connected: production." in page
    assert "Mails go to admin@example.com." in page


@pytest.fixture
def running_parts(db):
    for heartbeat in (Heartbeat.WORKER, Heartbeat.BEAT, Heartbeat.LOOKOUT):
        Heartbeat.note(heartbeat, timezone.now())


def test_nothing_needs_you_is_said_in_words(alice, connection, running_parts):
    job = make_job(connection)
    observe(job, completed(job, added=10, updated=0, skipped=0, total=10))

    assert "Nothing needs you." in alice.get("/").content.decode()


def test_what_needs_attention_is_named_with_its_verdict(alice, connection):
    job = make_job(connection, label="Nightly")
    observe(job, completed(job, added=0, updated=0, skipped=100, total=100))

    page = alice.get("/").content.decode()

    assert "Nothing needs you." not in page
    assert "Zoho says the job completed, but none of 100 rows is in the CRM." in page
    assert f'href="/jobs/{job.pk}/"' in page


def test_more_than_ten_lead_to_the_list(alice, connection):
    for _ in range(12):
        make_job(connection, outcome=Outcome.FAILED, needs_attention=True, poll_state="done")

    response = alice.get("/")

    assert len(response.context["attention"]) == 10
    assert response.context["attention_total"] == 12
    assert 'href="/jobs/?attention=1">All 12</a>' in response.content.decode()


def test_a_running_job_shows_how_far_it_is(alice, connection):
    job = make_job(connection)
    observe(
        job, body(job, "INPROGRESS", part("INPROGRESS", added=20, updated=0, skipped=5, total=100))
    )

    page = alice.get("/").content.decode()

    assert "25 of 100 rows done so far." in page
    assert "<span>25 %</span>" in page


def test_it_refreshes_itself_while_a_job_can_change(alice, connection):
    make_job(connection)

    assert TRIGGER in alice.get("/").content.decode()
    assert TRIGGER in alice.get("/", headers=HTMX).content.decode()


@pytest.mark.parametrize("state", ["ended", "paused", "blocked"])
def test_it_looks_seldom_where_only_the_monitor_itself_can_change(alice, connection, state):
    job = make_job(connection, outcome=Outcome.RUNNING)
    if state == "ended":
        job.poll_state = "done"
        job.save()
    elif state == "paused":
        connection.paused = True
    else:
        connection.blocked_at = timezone.now()
    connection.save()

    page = alice.get("/", headers=HTMX).content.decode()
    assert TRIGGER not in page
    assert 'hx-trigger="every 30s"' in page


def test_a_refresh_brings_the_live_part_and_the_banners_alone(alice, connection):
    make_job(connection)

    page = alice.get("/", headers=HTMX).content.decode()

    assert 'id="overview-live"' in page
    assert 'id="banners"' in page
    assert 'hx-swap-oob="true"' in page
    assert "<html" not in page
    assert "days-chart" not in page


def test_page_and_part_are_told_apart_by_caches(alice, connection):
    assert "HX-Request" in alice.get("/")["Vary"]


def test_rows_per_day_and_skips_by_module(alice, connection):
    job = make_job(connection)
    observe(job, completed(job, added=60, updated=15, skipped=25, total=100))

    response = alice.get("/")
    days = response.context["chart"].columns

    assert days[-1].numbers == {"added": 60, "updated": 15, "skipped": 25}
    assert len(days) == 14
    assert response.context["modules"] == [
        {"module": "Leads", "skipped": 25, "total": 100, "ratio": 0.25}
    ]
    assert 'role="img"' in response.content.decode()


@pytest.mark.parametrize("count", [10**12, 2**63 - 1])
def test_absurd_counts_of_several_jobs_do_not_take_it_down(alice, connection, count):
    for _ in range(3):
        job = make_job(connection)
        observe(job, completed(job, added=count, updated=0, skipped=count, total=count))

    assert alice.get("/").status_code == 200
    assert alice.get(f"/jobs/{job.pk}/").status_code == 200


def test_a_blind_monitor_says_so(alice, connection):
    make_job(connection)
    Heartbeat.note(Heartbeat.WORKER, timezone.now() - timedelta(hours=1))

    assert "the monitor is blind." in alice.get("/").content.decode()


def test_a_broken_connection_leads_to_its_repair(alice, connection):
    make_job(connection)
    connection.blocked_at = timezone.now()
    connection.last_error = {"message": "The refresh token was revoked."}
    connection.save()

    page = alice.get("/").content.decode()

    assert "Connection production needs you." in page
    assert "The refresh token was revoked." in page
    assert f"/connections/{connection.pk}/" in page


def test_nothing_needs_you_is_not_said_while_a_connection_does(alice, connection, running_parts):
    make_job(connection, outcome=Outcome.IMPORTED, poll_state="done")
    connection.blocked_at = timezone.now()
    connection.save()

    page = alice.get("/").content.decode()

    assert "Nothing needs you." not in page
    assert 'data-announce="No job needs you."' in page
    assert "No job needs you, but what blinds the monitor does" in page


def test_only_staff_is_led_to_connecting_zoho(alice, db):
    assert "/connections/add/" not in alice.get("/").content.decode()
    unsigned = make_connection(refresh_token="")
    assert f"/connections/{unsigned.pk}/sign-in/" not in alice.get("/").content.decode()


def test_the_number_of_queries_does_not_grow_with_jobs(
    alice, connection, django_assert_max_num_queries
):
    for _ in range(30):
        make_job(connection, outcome=Outcome.FAILED, needs_attention=True)

    # session, user, the monitor's health (3); counts by outcome, attention and its total,
    # running, unread, finished, due, live, alerts; days, modules; alerts of the navigation
    with django_assert_max_num_queries(17):
        alice.get("/")


def test_nothing_in_it_needs_inline_style_or_script(alice, connection):
    job = make_job(connection)
    observe(job, completed(job, added=60, updated=15, skipped=25, total=100))

    page = alice.get("/").content.decode()

    assert " style=" not in page
    assert "<script>" not in page
    assert " onclick=" not in page
