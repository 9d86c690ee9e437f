"""Pinning and deleting a result, in a real browser."""

import pytest
from django.test import Client
from playwright.sync_api import Page, expect

from jobs.models import BulkWriteJob, Result
from jobs.tests.factories import completed, make_connection, make_job, make_result, make_user
from jobs.tests.factories import observe as see

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

ROWS = "Last_Name,STATUS,RECORD_ID,ERRORS\nBoyle,ADDED,1,\nIto,SKIPPED,,INVALID_DATA-Last_Name\n"


@pytest.fixture
def job(transactional_db) -> BulkWriteJob:
    job = make_job(make_connection())
    see(job, completed(job, added=1, updated=0, skipped=1, total=2))
    make_result(job, {"Leads.csv": ROWS})
    return job


@pytest.fixture
def admin(live_server, page: Page, settings) -> Page:
    """A page that an administrator has signed in on."""
    client = Client()
    client.force_login(make_user("admin", is_staff=True, is_superuser=True))
    session = client.cookies[settings.SESSION_COOKIE_NAME].value
    page.context.add_cookies(
        [{"name": settings.SESSION_COOKIE_NAME, "value": session, "url": live_server.url}]
    )
    return page


def test_pinning_with_the_keyboard_keeps_place_and_focus(admin, job):
    admin.set_viewport_size({"width": 390, "height": 600})
    admin.goto(f"/jobs/{job.pk}/")
    button = admin.locator("#result-pin")
    button.scroll_into_view_if_needed()
    button.focus()
    place = admin.evaluate("scrollY")
    assert place > 0

    admin.keyboard.press("Enter")

    expect(button).to_have_text("Pinned: kept whatever its age. Unpin")
    expect(button).to_be_focused()
    assert admin.evaluate("scrollY") == place
    admin.keyboard.press("Enter")
    expect(button).to_have_text("Keep this result")


@pytest.mark.parametrize("javascript", [True, False])
def test_a_result_is_deleted_in_two_clicks_with_and_without_javascript(
    admin, browser, live_server, job, javascript
):
    context = browser.new_context(java_script_enabled=javascript, base_url=live_server.url)
    context.add_cookies(admin.context.cookies())
    page = context.new_page()
    page.goto(f"/jobs/{job.pk}/")

    page.locator("#result-delete").click()
    expect(page.locator("h1")).to_have_text("Delete our copy of the result?")
    page.locator("#delete-confirm").click()

    expect(page.get_by_text("Our copy of the result was deleted.")).to_be_visible()
    expect(page.locator("#result-lifetime")).to_contain_text("by admin")
    assert Result.objects.get(job=job).state == Result.State.DELETED
    context.close()


@pytest.mark.parametrize("width", [320, 390, 1280])
def test_nothing_reaches_over_the_edge(admin, job, width):
    admin.set_viewport_size({"width": width, "height": 800})
    for address in (f"/jobs/{job.pk}/", f"/jobs/{job.pk}/result/delete/"):
        admin.goto(address)
        wide = "document.documentElement.scrollWidth > document.documentElement.clientWidth"
        assert admin.evaluate(wide) is False
