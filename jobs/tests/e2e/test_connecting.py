"""Connecting Zoho in a real browser, against the sandbox's own consent page."""

import re
from collections.abc import Iterator
from typing import NamedTuple

import pytest
from playwright.sync_api import Page, expect

from jobs.models import Connection
from jobs.sandbox.oauth import GRANT_CODE, SAMPLE_CONNECTION
from jobs.sandbox.server import Sandbox
from jobs.tests.factories import make_user

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

CLIENT_ID, CLIENT_SECRET = SAMPLE_CONNECTION["client_id"], SAMPLE_CONNECTION["client_secret"]


class Zoho(NamedTuple):
    sandbox: Sandbox
    page: Page

    def fill_client(self) -> None:
        self.page.get_by_label("Client ID").fill(CLIENT_ID)
        self.page.get_by_label("Client secret").fill(CLIENT_SECRET)

    def go_to_consent(self) -> None:
        self.fill_client()
        self.page.get_by_role("button", name="Connect to Zoho").click()
        self.page.wait_for_url(f"{self.sandbox.url}/**")
        expect(self.page.get_by_text("Asked for: ZohoCRM.bulk.ALL")).to_be_visible()

    def decide(self, choice: str) -> None:
        self.page.get_by_role("link", name=choice, exact=True).click()


@pytest.fixture
def zoho(page: Page, live_server, settings) -> Iterator[Zoho]:
    """A signed-in admin on the sign-in page of a connection that was just added."""
    settings.ALLOW_CUSTOM_ZOHO_HOSTS = True
    settings.SITE_URL = live_server.url
    make_user("admin", is_staff=True)
    with Sandbox() as sandbox:
        page.goto("/accounts/login/?next=/")
        page.get_by_label("User name").fill("admin")
        page.get_by_label("Password").fill("correct horse")
        page.get_by_role("button", name="Sign in").click()
        page.get_by_role("link", name="Connect Zoho").click()
        page.get_by_label("Name", exact=True).fill("production")
        page.get_by_label("Data centre").select_option("custom")
        page.get_by_label("API address").fill(sandbox.url)
        page.get_by_label("Accounts address").fill(sandbox.url)
        page.get_by_role("button", name="Save and go on to signing in").click()
        expect(page.get_by_role("heading", name="Sign production in to Zoho")).to_be_visible()
        yield Zoho(sandbox, page)


def test_connect_refuse_connect_again_and_a_code_that_comes_twice(zoho, page, live_server):
    zoho.go_to_consent()
    zoho.decide("Reject")
    expect(page.get_by_role("heading", name="Consent was refused")).to_be_visible()
    assert page.url == f"{live_server.url}/connections/signed-in/"

    page.get_by_role("link", name="Go back to signing in").click()
    zoho.go_to_consent()
    answers = []
    page.on("response", lambda answer: answers.append(answer.url))
    zoho.decide("Accept")

    expect(page.get_by_text("Zoho accepts the sign-in")).to_be_visible()
    connection = Connection.objects.get()
    assert page.url == f"{live_server.url}/connections/{connection.pk}/"
    assert connection.is_signed_in

    (brought,) = [url for url in answers if "code=" in url]
    page.goto(brought)
    expect(page.get_by_text("This sign-in is not one that was begun here")).to_be_visible()
    assert page.url == f"{live_server.url}/connections/signed-in/"
    assert zoho.sandbox.requests.count("token") == 1
    # Neither the code nor the state is in what the browser keeps of its way.
    page.go_back()
    assert "code=" not in page.url


def test_a_wrong_state_exchanges_nothing(zoho, page):
    zoho.go_to_consent()
    page.goto(re.sub(r"state=[^&]+", "state=made-up", page.url))
    zoho.decide("Accept")

    expect(page.get_by_text("This sign-in is not one that was begun here")).to_be_visible()
    expect(page.get_by_text("no connection was changed")).to_be_visible()
    assert zoho.sandbox.requests.count("token") == 0


def test_another_data_center_and_a_scope_that_was_not_granted(zoho, page):
    zoho.sandbox.set_options(accounts_server="https://accounts.zoho.eu", location="eu")
    zoho.go_to_consent()
    zoho.decide("Accept")
    expect(page.get_by_text("Zoho sent you back from Europe (accounts.zoho.eu)")).to_be_visible()

    zoho.sandbox.set_options(accounts_server="", granted_scope="ZohoCRM.modules.ALL")
    page.get_by_role("link", name="Go back to signing in").click()
    zoho.go_to_consent()
    zoho.decide("Accept")
    expect(page.get_by_text("Zoho granted the scope ZohoCRM.modules.ALL")).to_be_visible()
    assert not Connection.objects.get().is_signed_in


def test_a_grant_code_and_a_refresh_token(zoho, page, page_errors):
    zoho.fill_client()
    page.get_by_label("Grant code").fill("mistyped")
    page.get_by_role("button", name="Use the grant code").click()
    expect(page.get_by_text("Zoho does not accept this grant code")).to_be_visible()
    assert page.get_by_label("Client secret").input_value() == ""

    zoho.fill_client()
    page.get_by_label("Grant code").fill(GRANT_CODE)
    page.get_by_role("button", name="Use the grant code").click()
    expect(page.get_by_text("Zoho accepts the sign-in")).to_be_visible()

    page.get_by_role("link", name="Sign in again").click()
    page.get_by_label("Refresh token").fill(SAMPLE_CONNECTION["refresh_token"])
    page.get_by_role("button", name="Use the refresh token").click()
    expect(page.get_by_text("Zoho accepts the sign-in")).to_be_visible()
    assert Connection.objects.get().refresh_token == SAMPLE_CONNECTION["refresh_token"]
    # The answer of 422 to what was mistyped.
    assert len(page_errors) == 1
    page_errors.clear()


def test_the_walk_works_without_scripts(browser, zoho, page, live_server):
    context = browser.new_context(
        base_url=live_server.url,
        java_script_enabled=False,
        storage_state=page.context.storage_state(),
    )
    plain = Zoho(zoho.sandbox, context.new_page())
    plain.page.goto(page.url)
    plain.go_to_consent()
    plain.decide("Accept")

    expect(plain.page.get_by_text("Zoho accepts the sign-in")).to_be_visible()
    context.close()


@pytest.mark.parametrize("width", [320, 390, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_page_of_the_walk_scrolls_sideways(zoho, page, width, scheme):
    page.emulate_media(color_scheme=scheme)
    page.set_viewport_size({"width": width, "height": 800})
    pk = Connection.objects.get().pk
    pages = ("add/", f"{pk}/sign-in/", f"{pk}/edit/", "signed-in/")
    for path in pages:
        page.goto(f"/connections/{path}")
        wide = page.evaluate("document.documentElement.scrollWidth")
        assert wide <= width, f"{path} is {wide} px wide"


# What the part does by itself every 15 seconds.
REFRESH = """async () => {
    const part = document.getElementById("connection-live");
    await htmx.ajax("GET", part.getAttribute("hx-get"), {source: part, swap: "outerHTML"});
    return document.getElementById("connection-live") !== part;
}"""


def test_a_test_says_that_it_is_under_way_and_the_page_keeps_its_place(zoho, page):
    zoho.fill_client()
    page.get_by_label("Refresh token").fill(SAMPLE_CONNECTION["refresh_token"])
    page.get_by_role("button", name="Use the refresh token").click()
    expect(page.get_by_text("Zoho accepts the sign-in")).to_be_visible()
    page.locator("#hours-table-summary").press("Enter")
    assert page.evaluate(REFRESH)
    expect(page.locator("#hours-table-summary")).to_be_focused()
    expect(page.locator("#hours-table")).to_have_attribute("open", "")

    # As while the answer is awaited: Playwright would wait for it too.
    page.evaluate('document.addEventListener("submit", (event) => event.preventDefault())')
    button = page.locator("#action-test")
    button.click()
    expect(button).to_have_text("Testing…")
    expect(button).to_be_disabled()
    assert not page.evaluate(REFRESH), "a fresh copy of the button could be pressed again"
    expect(page.locator("#announcer")).to_have_text("Testing…")

    page.reload()
    button.click()
    expect(page.get_by_text("Zoho accepts the sign-in")).to_be_visible()
    expect(button).to_have_text("Test")
    expect(button).to_be_enabled()
