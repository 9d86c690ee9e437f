"""Fixtures with a real browser: Debian's Chromium, or whichever `CHROMIUM` names."""

import os
import shutil
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Error, Page, sync_playwright

BROWSER_NAMES = ("chromium", "chromium-browser", "google-chrome")
BROWSER_ARGUMENTS = [
    "--no-sandbox",
    "--disable-background-networking",
    "--disable-component-update",
    "--no-first-run",
    "--disable-sync",
    "--disable-quic",
    "--disable-gpu",
]
TIMEOUT_MILLISECONDS = 10_000
REQUIRED = "BULKWATCH_REQUIRE_BROWSER"
MISSING = "no Chromium was found: install one, or name it in CHROMIUM"


def find_chromium() -> str | None:
    named = os.environ.get("CHROMIUM")
    if named:
        return shutil.which(named)
    return next(filter(None, map(shutil.which, BROWSER_NAMES)), None)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    # Last, because the browser's event loop runs on in this process.
    items.sort(key=lambda item: item.get_closest_marker("browser") is not None)


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("browser") and find_chromium() is None:
        if os.environ.get(REQUIRED) == "1":
            pytest.fail(f"{REQUIRED} is set, and {MISSING}")
        pytest.skip(MISSING)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    skipped = [
        report
        for report in terminalreporter.getreports("skipped")
        if MISSING in str(report.longrepr)
    ]
    if skipped:
        terminalreporter.section("BROWSER TESTS NOT RUN", red=True, bold=True)
        terminalreporter.line(f"{len(skipped)} browser tests were skipped: {MISSING}.")


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """One Chromium for all tests of this process."""
    # Playwright's synchronous API runs an event loop in this thread, and Django would refuse
    # to touch the database beside it.
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "true"
    try:
        with sync_playwright() as playwright:
            chromium = playwright.chromium.launch(
                executable_path=find_chromium(), args=BROWSER_ARGUMENTS
            )
            yield chromium
            chromium.close()
    finally:
        del os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"]


@pytest.fixture
def page_errors() -> list[str]:
    """What the page complained of; a test that provokes complaints checks and clears them."""
    return []


@pytest.fixture
def page(
    request: pytest.FixtureRequest, browser: Browser, page_errors: list[str]
) -> Iterator[Page]:
    """A page in a fresh context; errors in its console, CSP violations too, fail the test.

    In a test with `live_server`, addresses are relative to that server.
    """
    base_url = None
    if "live_server" in request.fixturenames:
        base_url = request.getfixturevalue("live_server").url

    def keep_message(message: ConsoleMessage) -> None:
        url = message.location.get("url", "")
        # Chromium asks for it by itself where an answer is no page of ours.
        if message.type == "error" and not url.endswith("/favicon.ico"):
            page_errors.append(f"{message.text} ({url})")

    def keep_exception(error: Error) -> None:
        page_errors.append(str(error))

    context = browser.new_context(base_url=base_url, locale="en-US")
    context.set_default_timeout(TIMEOUT_MILLISECONDS)
    context.on("console", keep_message)
    context.on("weberror", lambda error: keep_exception(error.error))
    yield context.new_page()
    context.close()
    assert page_errors == []
