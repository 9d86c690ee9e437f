"""Getting left-out rows back, in a real browser."""

from pathlib import Path

import pytest
from django.test import Client
from playwright.sync_api import Browser, Page, expect

from jobs.models import BulkWriteJob, OriginalFile
from jobs.tests.factories import completed, make_connection, make_job, make_result, make_user
from jobs.tests.factories import observe as see
from jobs.tests.stand_in import csv_of

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

HEADER = "Id;Last_Name;Phone\r\n"
LINES = [
    "1;Boyle;+49 30 1\r\n",
    '2;"";"two\r\nlines"\r\n',
    "3;Zuse;=1+1\r\n",
    '4;"Müller; ""X""";\r\n',
]
UPLOAD = (HEADER + "".join(LINES)).encode()
HIT = "window.wasHit = true"
HOSTILE = f"<img src=x onerror='{HIT}'>\"'><script>{HIT}</script>"


@pytest.fixture
def job(transactional_db) -> BulkWriteJob:
    job = make_job(make_connection())
    see(job, completed(job, added=2, updated=0, skipped=2, total=4))
    rows = [
        ("Boyle", "ADDED", "1", ""),
        ("", "SKIPPED", "", "MANDATORY_NOT_FOUND-Last_Name"),
        ("Zuse", "ADDED", "2", ""),
        ('Müller; "X"', "SKIPPED", "", "DUPLICATE_DATA-Last_Name"),
    ]
    make_result(job, {"Leads-leads.csv": csv_of(*rows).decode()})
    return job


@pytest.fixture
def alice(live_server, page: Page, settings) -> Page:
    client = Client()
    client.force_login(make_user("alice"))
    session = client.cookies[settings.SESSION_COOKIE_NAME].value
    page.context.add_cookies(
        [{"name": settings.SESSION_COOKIE_NAME, "value": session, "url": live_server.url}]
    )
    return page


def file(tmp_path: Path, content: bytes = UPLOAD, name: str = "leads.csv") -> Path:
    path = tmp_path / name
    path.write_bytes(content)
    return path


def downloaded(page: Page, button: str, tmp_path: Path) -> bytes:
    with page.expect_download() as download:
        page.locator(button).click()
    download.value.save_as(tmp_path / "got")
    return (tmp_path / "got").read_bytes()


@pytest.mark.parametrize("javascript", [True, False])
def test_from_the_job_to_the_rows_in_three_clicks_with_and_without_javascript(
    alice: Page, browser: Browser, live_server, job, javascript, tmp_path
):
    context = browser.new_context(java_script_enabled=javascript, base_url=live_server.url)
    context.add_cookies(alice.context.cookies())
    page = context.new_page()
    page.goto(f"/jobs/{job.pk}/")

    page.locator("#action-reimport").click()
    page.get_by_label("The CSV or ZIP that was uploaded to Zoho").set_input_files(file(tmp_path))
    page.locator("#reimport-attach").click()
    got = downloaded(page, "#reimport-0-csv", tmp_path)

    assert got == (HEADER + LINES[1] + LINES[3]).encode()
    page.locator("#reimport-0-delete").click()
    expect(page.get_by_text("No file is attached yet.")).to_be_visible()
    assert not OriginalFile.objects.exists()
    context.close()


def test_a_wrong_file_is_told_beside_the_field_and_the_right_one_then_taken(alice, job, tmp_path):
    alice.goto(f"/jobs/{job.pk}/reimport/")
    field = alice.get_by_label("The CSV or ZIP that was uploaded to Zoho")

    field.set_input_files(file(tmp_path, b"%PDF-1.7", "leads.pdf"))
    alice.locator("#reimport-attach").click()

    expect(alice.locator("#reimport-refused")).to_contain_text("The file was not attached.")
    expect(alice.locator("#id_upload_error")).to_contain_text("The file is no CSV but a PDF.")
    expect(field).to_have_attribute("aria-invalid", "true")
    field.set_input_files(file(tmp_path))
    alice.locator("#reimport-attach").click()
    expect(alice.get_by_text("2 of 2 left-out rows are found in leads.csv.")).to_be_visible()
    assert alice.url.endswith("#file-0")


@pytest.mark.parametrize(("width", "scheme"), [(320, "light"), (390, "dark"), (1280, "light")])
def test_whatever_stands_in_a_file_is_shown_as_text_and_fits(alice, tmp_path, width, scheme):
    job = make_job(make_connection())
    see(job, completed(job, added=1, updated=0, skipped=5, total=6))
    long = "n" * 3_000
    values = [HOSTILE, HOSTILE, "gone", long, "changed", ""]
    rows = [
        (value, "SKIPPED" if number else "ADDED", "", "") for number, value in enumerate(values)
    ]
    make_result(job, {"Leads-leads.csv": csv_of(*rows, columns=(HOSTILE,)).decode()})
    quoted = HOSTILE.replace('"', '""')
    attached = [HOSTILE, HOSTILE, HOSTILE, long, f"{HOSTILE} now", ""]
    lines = [
        f'"{cell}";x{number}\n'.replace(HOSTILE, quoted) for number, cell in enumerate(attached)
    ]
    content = f'"{quoted}";Id\n{"".join(lines)}'.encode()
    alice.set_viewport_size({"width": width, "height": 800})
    alice.emulate_media(color_scheme=scheme)

    alice.goto(f"/jobs/{job.pk}/reimport/")
    alice.locator("#id_upload").set_input_files(file(tmp_path, content, "a'b<b>c.csv"))
    alice.locator("#reimport-attach").click()
    for summary in alice.locator("details.samples summary").all():
        summary.click()

    expect(alice.locator("#reimport-0-ambiguous")).to_contain_text("<script>")
    expect(alice.locator("#reimport-0-changed")).to_contain_text("changed")
    expect(alice.locator("#reimport-0-missing")).to_contain_text("gone")
    assert not alice.evaluate("window.wasHit")
    assert alice.evaluate("document.documentElement.scrollWidth") <= width
