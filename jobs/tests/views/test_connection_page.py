"""The list of connections, and the page of one."""

import re
from datetime import timedelta

import pytest
from django.utils import timezone

from jobs.models import Connection, CreditUse
from jobs.services.registering import callbacks
from jobs.tests.factories import from_now, make_connection, make_job
from jobs.tests.views.pages import plain_text

HTMX = {"HX-Request": "true"}


def working(**fields):
    now = timezone.now()
    return make_connection(**{"last_polled_at": now, "last_answer_at": now} | fields)


def used(connection, calls, hours=0):
    hour = timezone.now().replace(minute=0, second=0, microsecond=0)
    CreditUse.objects.create(connection=connection, hour=hour - timedelta(hours=hours), calls=calls)


# --- The list


def test_each_connection_of_the_list_leads_to_its_page(viewer):
    connection = working(name="production")

    page = plain_text(viewer.get("/connections/"))

    assert f'href="/connections/{connection.pk}/">production</a>' in page
    assert "0 of 5,025 used in 24 hours" in page


def test_the_list_refreshes_itself(viewer):
    working(name="production")

    assert 'hx-get="/connections/" hx-trigger="every 15s"' in plain_text(
        viewer.get("/connections/")
    )
    part = plain_text(viewer.get("/connections/", headers=HTMX))
    assert "<html" not in part
    assert "production" in part


# --- The page of one


def test_the_page_says_first_how_the_connection_is_doing(viewer):
    connection = working(name="production")
    make_job(connection)

    page = plain_text(viewer.get(f"/connections/{connection.pk}/"))

    heading = re.search(r"<h1[^>]*>(.*?)</h1>", page)
    assert heading.group(1) == "Working: Zoho answers about its jobs."


@pytest.mark.parametrize("address", ["/connections/", "/connections/{pk}/"])
@pytest.mark.parametrize(
    ("who", "words"),
    [("admin", "What to do:"), ("viewer", "What an administrator of Bulkwatch can do:")],
)
def test_what_to_do_is_said_of_those_who_may(request, address, who, words):
    browser = request.getfixturevalue(who)
    connection = working(refresh_token="")

    page = plain_text(browser.get(address.format(pk=connection.pk)))

    assert f"<strong>{words}</strong> Sign in to Zoho." in page


def test_what_needs_a_person_says_what_to_do_and_leads_there(admin):
    now = timezone.now()
    error = {"code": "invalid_code", "message": "Not accepted.", "resolution": "Sign in again."}
    connection = make_connection(
        blocked_at=now, last_error=error, resume_at=now + timedelta(minutes=20)
    )

    page = plain_text(admin.get(f"/connections/{connection.pk}/"))

    assert "(invalid_code: “Not accepted.”)" in page
    assert "What to do:</strong> Sign in again." in page
    assert "It is tried again by itself" in page
    assert f'btn-primary" id="action-sign-in" href="/connections/{connection.pk}/sign-in/"' in page


@pytest.mark.parametrize(
    ("code", "button"), [("API_NOT_SUPPORTED", "edit"), ("NO_PERMISSION", "test")]
)
def test_the_button_that_stands_out_is_the_one_that_helps(admin, code, button):
    error = {"code": code, "http_status": 400, "message": "No."}
    connection = make_connection(blocked_at=timezone.now(), last_error=error)

    page = plain_text(admin.get(f"/connections/{connection.pk}/"))

    assert re.findall(r'class="btn btn-primary" id="([^"]+)"', page) == [f"action-{button}"]


def test_what_can_be_opened_keeps_the_focus_over_a_refresh(viewer):
    connection = working()
    used(connection, 5)

    page = plain_text(viewer.get(f"/connections/{connection.pk}/", headers=HTMX))

    assert "<summary id=" in page
    assert "<summary>" not in page


def test_one_without_a_sign_in_offers_that_and_no_test(admin):
    connection = make_connection(refresh_token="")

    page = plain_text(admin.get(f"/connections/{connection.pk}/"))

    assert "Sign in to Zoho</a>" in page
    assert "/test/" not in page


def test_only_staff_is_shown_what_only_staff_may_do(viewer):
    connection = working()

    page = plain_text(viewer.get(f"/connections/{connection.pk}/"))

    for address in ("/test/", "/pause/", "/edit/", "/sign-in/", "/callback/"):
        assert address not in page


def test_the_page_refreshes_itself_as_a_part(viewer):
    connection = working()
    address = f"/connections/{connection.pk}/"

    assert f'hx-get="{address}" hx-trigger="every 15s"' in plain_text(viewer.get(address))
    part = plain_text(viewer.get(address, headers=HTMX))
    assert "<html" not in part
    assert 'id="connection-live"' in part


def test_the_page_names_the_edition_and_what_zoho_allows_it(viewer):
    connection = working(edition="enterprise", paid_users=40)

    page = plain_text(viewer.get(f"/connections/{connection.pk}/"))

    assert "<dd>Enterprise or Zoho One, 40 paid users</dd>" in page
    assert "(Zoho allows this edition 20)" in page


def test_a_page_of_no_connection_is_not_found(viewer):
    assert viewer.get("/connections/999/").status_code == 404


def test_the_credits_are_told_in_numbers(viewer):
    connection = working(paid_users=40, daily_credits=2_000)
    used(connection, 100)
    used(connection, 300, hours=5)
    for _ in range(3):
        make_job(connection)

    page = plain_text(viewer.get(f"/connections/{connection.pk}/"))

    assert "<strong>400</strong> of 2,000 used in the last 24 hours" in page
    assert "3 jobs: 864 credits a day" in page
    assert "3.3 % of the 60,000 that Zoho gives an org of this edition with 40 paid users" in page
    assert "not told: Zoho names it only once half is used" in page
    rows = dict(
        re.findall(r'<th scope="row">(\d+ \w+, \d\d:\d\d)</th><td class="n">(\S+)</td>', page)
    )
    assert len(rows) == 25
    assert sorted(rows.values(), key=int)[-3:] == ["0", "100", "300"]


def test_what_another_interval_would_cost_stands_in_a_table(viewer):
    connection = working(daily_credits=2_000)
    make_job(connection)

    page = plain_text(viewer.get(f"/connections/{connection.pk}/"))

    assert '<th scope="row">1 min</th> <td class="n">1,440</td> <td class="n">72 %</td>' in page
    current = re.search(r'<tr aria-current="true".*?</tr>', page).group()
    assert "5 min <span" in current
    assert '<td class="n">288</td>' in current
    shortest = re.search(r'<th scope="row">30 s.*?</tr>', page).group()
    assert '<td class="n">2,880</td>' in shortest
    assert "over</span>" in shortest
    assert page.count(">over</span>") == 1


def test_what_zoho_says_is_left_is_told_with_its_age(viewer):
    connection = working(credits_remaining=20_000, credits_seen_at=timezone.now())

    page = plain_text(viewer.get(f"/connections/{connection.pk}/"))

    assert "20,000 of about 50,250 for the whole org, it said" in page


def test_a_connection_that_is_slowed_down_says_so_in_words(viewer):
    connection = working(daily_credits=1_000)
    used(connection, 750)
    make_job(connection)

    page = plain_text(viewer.get(f"/connections/{connection.pk}/"))

    assert "Slowed down: 75 % of the API credits" in page
    assert "come 2 times less often than planned, as the rest of the budget has to last" in page
    assert "75 %: more than half" in page


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"paused": True}, "none come now"),
        ({"refresh_token": ""}, "none come now"),
        (
            {"waiting_for": "credits", "resume_at": timedelta(hours=1)},
            "none come until the wait is over",
        ),
        (
            {"blocked_at": timedelta(), "waiting_for": "repair", "resume_at": timedelta(hours=1)},
            "none come until it is repaired: one is tried",
        ),
        (
            {
                "unanswered_since": timedelta(),
                "waiting_for": "unavailable",
                "resume_at": timedelta(hours=1),
            },
            "none come until the next try,",
        ),
    ],
)
def test_of_polls_that_do_not_come_no_pace_is_told(viewer, fields, words):
    connection = working(
        daily_credits=1_000, last_error={"message": "Of long ago."}, **from_now(fields)
    )
    used(connection, 750)
    assert "none come now: no job is watched" in plain_text(
        viewer.get(f"/connections/{connection.pk}/")
    )
    make_job(connection)

    page = plain_text(viewer.get(f"/connections/{connection.pk}/"))

    assert f"<dd>{words}" in page
    assert "come as planned" not in page
    assert "less often than planned" not in page
    assert ("The latest problem" in page) == ("waiting_for" not in fields)


@pytest.mark.parametrize(
    ("calls", "hours", "words"),
    [
        (700, 0.2, "too early to tell"),
        (70, 100, r"\d{3} credits a day, by the calls of the last [34](\.\d)? h"),
        (
            700,
            100,
            r"more than the budget of 1,000 a day, by the calls of the last [\d. ]+h: polls will",
        ),
    ],
)
def test_a_pace_is_told_with_what_it_is_taken_from_and_only_one_that_can_be_kept(
    viewer, calls, hours, words
):
    connection = working(daily_credits=1_000)
    Connection.objects.update(created_at=timezone.now() - timedelta(hours=hours))
    used(connection, calls)

    page = plain_text(viewer.get(f"/connections/{connection.pk}/"))

    assert re.search(f"<dt>At this pace</dt> ?<dd>{words}", page)


def test_large_shares_have_separators(viewer):
    connection = working(daily_credits=1)
    make_job(connection)

    assert ">144,000 %<" in plain_text(viewer.get(f"/connections/{connection.pk}/"))


@pytest.mark.parametrize("jobs", [1, 40])
def test_the_page_costs_the_same_with_many_jobs(viewer, django_assert_num_queries, jobs):
    connection = working()
    for _ in range(jobs):
        make_job(connection)
    used(connection, 5)

    # session, user, connection, three kinds of job counts, credits by hour; for every page:
    # heartbeats, connections, alerts.
    with django_assert_num_queries(10):
        viewer.get(f"/connections/{connection.pk}/")


def test_no_page_but_the_callbacks_shows_the_secret_address(admin):
    connection = working()
    callbacks.ensure_address(connection)
    token = connection.hook_token

    for address in (
        "/connections/",
        f"/connections/{connection.pk}/",
        f"/connections/{connection.pk}/edit/",
        f"/connections/{connection.pk}/callback/rotate/",
        f"/admin/jobs/connection/{connection.pk}/change/",
    ):
        assert token not in plain_text(admin.get(address, follow=True)), address
    shown = admin.get(f"/connections/{connection.pk}/callback/")
    assert token in plain_text(shown)
    assert "no-store" in shown.headers["Cache-Control"]
