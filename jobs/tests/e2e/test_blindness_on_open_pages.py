"""What a page that is open shows, and keeps, when parts die behind it."""

from datetime import timedelta

import pytest
from django.utils import timezone
from playwright.sync_api import Page, expect

from jobs.models import Heartbeat
from jobs.tests.factories import make_connection, make_job, make_user


@pytest.fixture
def open_form(page: Page, live_server, client) -> Page:
    """A form that somebody is filling in, on a page that no job refreshes; all is well."""
    for part in (Heartbeat.WORKER, Heartbeat.BEAT, Heartbeat.LOOKOUT):
        Heartbeat.note(part, timezone.now())
    connection = make_connection(last_answer_at=timezone.now())
    make_job(connection, next_poll_at=timezone.now() + timedelta(hours=1))
    client.force_login(make_user("alice", is_staff=True))
    cookie = client.cookies["bulkwatch_session"].value
    page.context.add_cookies(
        [{"name": "bulkwatch_session", "value": cookie, "url": live_server.url}]
    )
    page.clock.install()
    page.goto("/jobs/track/")
    page.locator("textarea").first.fill("1234")
    return page


def let_half_a_minute_pass(page: Page) -> None:
    page.clock.run_for(26_000)


@pytest.mark.browser
class TestOpenPage:
    def test_a_banner_appears_and_goes_without_disturbing_who_types(self, open_form):
        box = open_form.locator("textarea").first
        expect(open_form.locator("#data-age")).to_contain_text("Zoho answered")
        Heartbeat.note(Heartbeat.WORKER, timezone.now() - timedelta(minutes=5))

        let_half_a_minute_pass(open_form)

        # Without a broker here, that is the cause.
        banner = open_form.locator("#banner-worker, #banner-broker")
        expect(banner).to_be_visible()
        expect(box).to_be_focused()
        expect(box).to_have_value("1234")
        expect(open_form.locator("#announcer")).to_contain_text("The")

        Heartbeat.note(Heartbeat.WORKER, timezone.now())
        let_half_a_minute_pass(open_form)
        expect(banner).to_have_count(0)
        expect(box).to_be_focused()

    @pytest.mark.parametrize(
        ("status", "told"),
        [(503, "The database does not answer."), (None, "This page is not refreshed.")],
    )
    def test_a_refresh_that_fails_leaves_the_page_and_says_so(
        self, open_form, page_errors, status, told
    ):
        def fail(route):
            route.abort() if status is None else route.fulfill(status=status, body="<p>no</p>")

        open_form.route("**/banners/**", fail)
        let_half_a_minute_pass(open_form)

        expect(open_form.locator("#no-contact")).to_contain_text(told)
        expect(open_form.get_by_text(told, exact=True)).to_be_visible()
        expect(open_form.locator("#announcer")).to_contain_text(told)
        expect(open_form.locator("#data-age")).to_contain_text("Zoho answered")
        assert page_errors  # the browser's own words about the request
        page_errors.clear()

        open_form.unroute("**/banners/**")
        let_half_a_minute_pass(open_form)
        expect(open_form.get_by_text(told, exact=True)).to_be_hidden()

    def test_whose_session_ends_stays_on_the_form_and_is_told(self, open_form, page_errors):
        open_form.context.clear_cookies()

        let_half_a_minute_pass(open_form)

        expect(open_form.get_by_text("You are signed out.", exact=True)).to_be_visible()
        expect(open_form.locator("textarea").first).to_have_value("1234")
        page_errors.clear()
