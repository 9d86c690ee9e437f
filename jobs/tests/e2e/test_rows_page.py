"""The rows page in a real browser."""

import csv
import re
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from jobs.tests.factories import completed, make_connection, make_job, make_result, make_user
from jobs.tests.factories import observe as see
from jobs.tests.stand_in import csv_of

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

HIT = "window.wasHit = true"
HOSTILE = [
    f"<script>{HIT}</script>",
    f"<img src=x onerror='{HIT}'>",
    f'"><svg onload="{HIT}">',
    f"</td></tr></table><iframe srcdoc='<script>parent.{HIT}</script>'>",
    f"<div hx-get='/x' hx-trigger='load' hx-on::load='{HIT}'>",
    f"<a href='javascript:{HIT}' autofocus onfocus='{HIT}'>x</a>",
    f"<details open ontoggle='{HIT}'>",
    f"<style>@import 'javascript:{HIT}'</style>",
]


@pytest.fixture
def alice(page: Page, live_server, client) -> Page:
    client.force_login(make_user("alice"))
    (cookie,) = client.cookies.values()
    page.context.add_cookies([{"name": cookie.key, "value": cookie.value, "url": live_server.url}])
    return page


def make(rows, columns, name="Leads-Leads.csv"):
    job = make_job(make_connection())
    see(job, completed(job, added=0, updated=0, skipped=0, total=len(rows)))
    make_result(job, {name: csv_of(*rows, columns=columns).decode()})
    return job


def test_nothing_in_a_result_runs_or_becomes_markup(alice):
    rows = [("a", bad, bad, bad, f"INVALID_DATA-{bad}") for bad in HOSTILE] + [
        ("b", f"{bad}\n{bad}", "SKIPPED", "", bad) for bad in HOSTILE
    ]
    job = make(rows, ("Name", HOSTILE[1]), f"{HOSTILE[0].replace('/', '')}.csv")

    alice.goto(f"/jobs/{job.pk}/rows/")
    for summary in alice.locator(".result-rows summary").all():
        summary.click()
    alice.locator("#reason-menu").click()
    expect(alice.locator(".result-rows")).to_contain_text("<script>")
    alice.goto(f"/jobs/{job.pk}/rows/?q={HOSTILE[2]}&code={HOSTILE[0]}&file={HOSTILE[1]}")

    assert not alice.evaluate("window.wasHit")
    assert alice.locator("iframe, .result-rows script, .result-rows img").count() == 0


def test_filters_search_and_pages_swap_the_table_and_keep_the_address(alice, tmp_path: Path):
    rows = [
        (f"Name {number}", "SKIPPED", "", "INVALID_DATA-Last_Name")
        if number % 2
        else (f"Name {number}", "ADDED", str(number), "")
        for number in range(240)
    ]
    job = make(rows, ("Last_Name",))
    alice.goto(f"/jobs/{job.pk}/rows/")
    alice.evaluate("window.wasNotReloaded = true")

    alice.locator("#pill-left_out").click()
    expect(alice.locator("#rows-summary")).to_have_text(re.compile("120 rows of 240"))
    alice.locator("#page-next").click()
    expect(alice.locator(".pages-range")).to_have_text(re.compile("51.100 of 120"))
    alice.locator("#row-q").fill("name 23")
    expect(alice.locator("#rows-summary")).to_have_text(re.compile("8 rows of 240"))
    assert "status=left_out" in alice.url
    assert "q=name%2023" in alice.url
    assert "page" not in alice.url
    alice.locator("#reason-menu").click()
    alice.locator(".reason-menu .menu-panel a").click()
    expect(alice.locator("#pill-reason")).to_contain_text("INVALID_DATA-Last_Name")
    assert alice.evaluate("window.wasNotReloaded")

    with alice.expect_download() as download:
        alice.locator("#download-rows").click()
    path = tmp_path / "rows.csv"
    download.value.save_as(path)
    _, *lines = csv.reader(path.read_text(encoding="utf-8-sig").splitlines())
    assert [line[2] for line in lines] == [
        f"Name {n}" for n in (23, 123, 223, 231, 233, 235, 237, 239)
    ]

    alice.go_back()
    expect(alice.locator("#pill-reason")).to_have_count(0)
    expect(alice.locator("#rows-summary")).to_have_text(re.compile("8 rows of 240"))


@pytest.mark.parametrize("width", [320, 1280])
def test_long_and_right_to_left_values_do_not_widen_the_page(alice, width):
    long = "x" * 119
    rows = [
        (long, "\u0645\u0631\u062d\u0628\u0627 " * 12, long * 9, "ADDED", "1", ""),
        ("\u202eevil", long, "", "SKIPPED", "", f"INVALID_DATA-{long}"),
    ]
    job = make(rows, ("A", "B", long))
    alice.set_viewport_size({"width": width, "height": 800})

    alice.goto(f"/jobs/{job.pk}/rows/")
    for summary in alice.locator(".result-rows summary").all():
        summary.click()

    assert alice.evaluate("document.documentElement.scrollWidth") <= width
