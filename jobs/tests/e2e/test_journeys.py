"""What an admin does, in a real browser, on the whole product as `up --demo` runs it."""

import csv
import re
from collections.abc import Iterator
from dataclasses import dataclass
from email import message_from_bytes
from email.policy import default
from pathlib import Path

import pytest
import requests
from playwright.sync_api import Page, expect

from jobs.tests.ground.running import Up, wait_until
from jobs.tests.plugins import environment

pytestmark = [
    pytest.mark.browser,
    pytest.mark.slow,
]

PARTS = 6
LATE_MILLISECONDS = 60_000


@dataclass
class Demo:
    url: str
    password: str
    sandbox_url: str
    data_dir: Path

    def new_job(self, kind: str, *, rows: int = 20, life: float = 6.0) -> str:
        """Start a job in the sandbox; its id."""
        answer = requests.post(
            f"{self.sandbox_url}/__sandbox__/jobs",
            json={"count": 1, "kind": kind, "rows": rows, "life": life},
            timeout=10,
        )
        return str(answer.json()["ids"][0])

    def uploaded(self, job_id: str) -> bytes:
        """The CSV that was once uploaded for a job."""
        url = f"{self.sandbox_url}/__sandbox__/jobs/{job_id}/upload"
        return requests.get(url, timeout=10).content

    def link_in_mail_about(self, job_id: str) -> str:
        """The address of the job's page in the first alert mail about it, once that is there."""
        found: list[str] = []

        def look() -> bool:
            for path in (self.data_dir / "mail").glob("*"):
                parsed = message_from_bytes(path.read_bytes(), policy=default)
                text = parsed.get_body(("plain",)).get_content()
                if job_id in text:
                    found.extend(re.findall(rf"{self.url}/jobs/\d+/", text))
            return bool(found)

        wait_until(look, LATE_MILLISECONDS / 1000, f"a mail about {job_id}")
        return found[0]

    def set_body(self, job_id: str, body: object) -> None:
        requests.put(
            f"{self.sandbox_url}/__sandbox__/jobs/{job_id}/body", json={"body": body}, timeout=10
        ).raise_for_status()


@pytest.fixture(scope="module")
def demo() -> Iterator[Demo]:
    data_dir = environment.run_folder / "journeys"
    with Up(data_dir, "--demo") as up:
        wait_until(lambda: "Ctrl-C stops it" in up.output, 60, up.output)
        password = re.search(r"the password (\S+)", up.output)
        sandbox = re.search(r"http://127\.0\.0\.1:\d+", (data_dir / "logs/sandbox.log").read_text())
        assert password and sandbox, up.output
        yield Demo(f"http://127.0.0.1:{up.port}", password[1], sandbox[0], data_dir)


@pytest.fixture
def admin(page: Page, demo: Demo) -> Page:
    """A signed-in page."""
    page.goto(f"{demo.url}/")
    page.get_by_label("User name").fill("admin")
    page.get_by_label("Password").fill(demo.password)
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("heading", name="Needs attention")).to_be_visible()
    return page


def register(page: Page, demo: Demo, text: str) -> None:
    page.goto(f"{demo.url}/jobs/track/")
    page.get_by_label("Job ids").fill(text)
    page.get_by_role("button", name="Register", exact=True).click()


def test_register_watch_a_job_finish_without_reloading_and_download_the_skipped_rows(
    admin, demo, tmp_path
):
    job_id = demo.new_job("partial", rows=20, life=8)
    register(admin, demo, job_id)
    expect(admin.get_by_text("1 job is registered.")).to_be_visible()
    admin.get_by_role("link", name=job_id).first.click()
    expect(admin.locator("#verdict")).to_contain_text(re.compile("Running|Waiting|Not read yet"))
    admin.evaluate("window.wasNotReloaded = true")

    expect(admin.locator("#verdict")).to_contain_text(
        "Imported with skips", timeout=LATE_MILLISECONDS
    )
    expect(admin.locator("#download-skipped")).to_be_visible(timeout=LATE_MILLISECONDS)
    assert admin.evaluate("window.wasNotReloaded")

    with admin.expect_download() as download:
        admin.locator("#download-skipped").click()
    path = tmp_path / "skipped.csv"
    download.value.save_as(path)
    header, *rows = csv.reader(path.read_text(encoding="utf-8-sig").splitlines())
    assert "Reason" in header
    assert rows
    assert {row[header.index("Status")] for row in rows} <= {"skipped", "unprocessed"}
    # Nothing can change any more, once the mail is out: the page no longer asks.
    expect(admin.locator("#job-live[hx-trigger]")).to_have_count(0, timeout=LATE_MILLISECONDS)


def test_from_the_alert_mail_to_the_re_import_file_in_three_clicks(admin, demo, tmp_path):
    sample = "111111000000700120"
    upload = demo.uploaded(sample)
    attached = tmp_path / "Debitoren.csv"
    attached.write_bytes(upload)
    link = demo.link_in_mail_about(sample)

    admin.goto(link)  # the first click, in the mail
    admin.locator("#id_upload").set_input_files(attached)
    admin.locator("#reimport-attach").click()
    with admin.expect_download() as download:
        admin.locator("#reimport-0-csv").click()

    path = tmp_path / "again.csv"
    download.value.save_as(path)
    header, *lines = upload.splitlines(keepends=True)
    rows = admin.request.get(f"{link}rows.csv?file=0&status=left_out").text()
    left_out = [int(row["Row"]) for row in csv.DictReader(rows.removeprefix("\ufeff").splitlines())]
    assert len(left_out) == 133
    assert path.read_bytes() == header + b"".join(lines[number - 1] for number in left_out)


def test_a_file_that_was_chosen_stays_chosen_while_the_page_refreshes_itself(admin, demo, tmp_path):
    job_id = demo.new_job("partial", rows=20, life=3)
    register(admin, demo, job_id)
    admin.get_by_role("link", name=job_id).first.click()
    expect(admin.locator("#id_upload")).to_be_visible(timeout=LATE_MILLISECONDS)
    attached = tmp_path / "chosen.csv"
    attached.write_bytes(demo.uploaded(job_id))
    admin.locator("#id_upload").set_input_files(attached)

    with admin.expect_response(re.compile("refresh")):
        admin.locator("#action-refresh").click()
    expect(admin.locator(".messages")).to_contain_text("Zoho is being asked")

    assert admin.locator("#id_upload").evaluate("input => input.files[0].name") == "chosen.csv"


def test_an_open_part_and_the_focus_survive_a_refresh(admin, demo):
    job_id = demo.new_job("imported", rows=5000, life=60)
    register(admin, demo, job_id)
    admin.get_by_role("link", name=job_id).first.click()
    expect(admin.locator("#verdict")).to_contain_text("Running", timeout=LATE_MILLISECONDS)
    fold = admin.locator("details[id]").first
    fold.locator("summary").first.click()
    admin.locator("#action-refresh").focus()
    fold_id = fold.get_attribute("id")
    before = admin.locator("#verdict").inner_text()

    expect(admin.locator("#verdict")).not_to_have_text(before, timeout=LATE_MILLISECONDS)

    expect(admin.locator(f"#{fold_id}")).to_have_attribute("open", "")
    expect(admin.locator("#action-refresh")).to_be_focused()


def test_the_overview_shows_imports_of_every_outcome(admin, demo):
    admin.goto(f"{demo.url}/jobs/")
    for outcome in (
        "Imported",
        "Imported with skips",
        "Nothing imported",
        "Skipped",
        "Failed",
        "Unknown",
        "Running",
        "Stuck",
    ):
        chip = admin.locator(".pills a").filter(has_text=re.compile(rf"^\s*{outcome}\s*\d"))
        expect(chip).to_be_visible(timeout=3 * LATE_MILLISECONDS)
    expect(admin.get_by_text("Sample data.")).to_be_visible()
    assert list((demo.data_dir / "mail").iterdir())


def test_bad_ids_are_named_line_by_line_and_nothing_is_lost(admin, demo):
    known = demo.new_job("imported", life=1)
    register(admin, demo, f"{known}\nhello world\nhello\n{known}\n12ab34\n999999999999999999")

    expect(admin.get_by_text("2 jobs are registered.")).to_be_visible()
    expect(admin.get_by_text("1 line holds no id.")).to_be_visible()
    report = admin.get_by_role("table")
    expect(report).to_contain_text("Stands there more than once")
    assert admin.get_by_label("Job ids").input_value().split("\n") == ["hello", "12ab34"]

    admin.goto(f"{demo.url}/jobs/?q=999999999999999999")
    admin.get_by_role("link", name="999999999999999999").click()
    expect(admin.get_by_text("RESOURCE_NOT_FOUND").first).to_be_visible(timeout=LATE_MILLISECONDS)
    expect(admin.locator("#poll-error")).to_contain_text("Check the ID")


def test_ids_are_checked_with_zoho_before_any_is_registered(admin, demo):
    known = [demo.new_job("running", life=600) for _ in range(2)]
    admin.goto(f"{demo.url}/jobs/track/")
    admin.get_by_label("Job ids").fill("\n".join([*known, "111111000000999999", "nonsense"]))
    admin.get_by_role("button", name="Check with Zoho first").click()
    admin.evaluate("window.wasNotReloaded = true")

    verdict = admin.locator("#check-verdict")
    expect(verdict).to_have_text(
        "Zoho knows 2 of 3 ids; 1 line is no job id", timeout=LATE_MILLISECONDS
    )
    assert admin.evaluate("window.wasNotReloaded")
    expect(admin.get_by_role("row", name="111111000000999999")).to_contain_text("Unknown to Zoho")

    admin.get_by_role("button", name="Register the 2 that Zoho knows").click()
    expect(admin.get_by_text("2 jobs are registered.")).to_be_visible()
    expect(admin.get_by_text("2 lines were left out.")).to_be_visible()
    expect(admin.get_by_role("row", name=known[0])).to_contain_text(
        "Running", timeout=LATE_MILLISECONDS
    )


def test_an_empty_paste_says_what_to_do(admin, demo):
    admin.goto(f"{demo.url}/jobs/track/")
    admin.evaluate("document.querySelector('#id_ids').removeAttribute('required')")
    admin.get_by_role("button", name="Register", exact=True).click()

    expect(admin.get_by_text("Paste at least one job id.")).to_be_visible()


def test_five_hundred_ids_at_once(admin, demo):
    first = 111222000000000000
    register(admin, demo, "\n".join(str(first + number) for number in range(500)))

    expect(admin.get_by_text("500 jobs are registered.")).to_be_visible()


def test_script_tags_from_zoho_are_text(admin, demo):
    job_id = demo.new_job("imported", life=600)
    bad = '<script>window.wasHit = true</script><img src=x onerror="window.wasHit = true">'
    demo.set_body(
        job_id,
        {
            "id": job_id,
            "status": "INPROGRESS",
            "operation": bad,
            "created_by": {"id": "1", "name": bad},
            "resource": [
                {
                    "status": bad,
                    "module": {"api_name": bad},
                    "field_mappings": [{"api_name": bad, "index": 0, "default_value": {"v": bad}}],
                    "file": {"status": "INPROGRESS", "name": f"{bad}.csv", "total_count": 5},
                }
            ],
        },
    )
    register(admin, demo, job_id)
    for path in (f"/jobs/?q={job_id}", "/", "/jobs/"):
        admin.goto(f"{demo.url}{path}")
        assert not admin.evaluate("window.wasHit")
    admin.goto(f"{demo.url}/jobs/?q={job_id}")
    admin.locator("#job-table a[id^=job-]").first.click()
    expect(admin.locator("#job-live")).to_contain_text("<script>", timeout=LATE_MILLISECONDS)
    assert not admin.evaluate("window.wasHit")


def test_a_session_that_ended_goes_to_the_sign_in_page_as_a_whole(admin, demo):
    admin.goto(f"{demo.url}/")
    admin.context.clear_cookies()

    admin.wait_for_url("**/accounts/login/**", timeout=LATE_MILLISECONDS)
    expect(admin.get_by_role("button", name="Sign in")).to_be_visible()
    expect(admin.get_by_role("navigation")).to_have_count(0)


@pytest.mark.parametrize("width", [320, 390])
def test_no_page_scrolls_sideways_on_a_phone(admin, demo, width):
    admin.set_viewport_size({"width": width, "height": 800})
    admin.goto(f"{demo.url}/jobs/?outcome=partial")
    job = admin.locator("#job-table a[id^=job-]").first.get_attribute("href")
    pages = ("/", "/jobs/", "/jobs/track/", "/connections/", "/connections/add/", "/alerts/", job)
    for path in pages:
        admin.goto(f"{demo.url}{path}")
        wide = admin.evaluate("document.documentElement.scrollWidth")
        assert wide <= width, f"{path} is {wide} px wide"
