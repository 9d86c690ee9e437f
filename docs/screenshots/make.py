"""Take the README's pictures from a running `bin/up --demo`.

    python docs/screenshots/make.py http://127.0.0.1:8000 admin PASSWORD [FOLDER]

Needs Chromium on the PATH, or named in CHROMIUM, and what requirements-dev.txt installs.
"""

import os
import shutil
import sys
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

PAGES = {
    "overview": "/",
    "jobs": "/jobs/",
    "register": "/jobs/track/",
    "alerts": "/alerts/",
    "connections": "/connections/",
}
JOBS = {
    "job": "/jobs/?q=111111000000541958",
    "job-partial": "/jobs/?outcome=partial&sort=-rows",
    "job-running": "/jobs/?outcome=running&sort=-rows",
    "job-failed": "/jobs/?outcome=failed",
}
LOOKS = [("light", 1280), ("dark", 1280), ("light", 390), ("dark", 390)]


def main(url: str, user: str, password: str, folder: Path, *, all_looks: bool) -> None:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=os.environ.get("CHROMIUM") or shutil.which("chromium"),
            args=["--no-sandbox", "--disable-gpu", "--disable-background-networking"],
        )
        for scheme, width in LOOKS if all_looks else LOOKS[:1]:
            context = browser.new_context(
                color_scheme=scheme, viewport={"width": width, "height": 900}
            )
            page = context.new_page()
            page.on("console", lambda message: complain(message.type, message.text))
            page.goto(f"{url}/accounts/login/")
            page.get_by_label("User name").fill(user)
            page.get_by_label("Password").fill(password)
            page.get_by_role("button", name="Sign in").click()
            page.wait_for_url(f"{url}/")
            look = f"-{scheme}-{width}" if all_looks else ""
            for name, path in PAGES.items():
                page.goto(url + path)
                picture(page, folder / f"{name}{look}.png", full=all_looks)
            for name, path in JOBS.items():
                page.goto(url + path)
                links = page.locator("#job-table a[id^=job-]")
                if links.count():
                    page.goto(url + str(links.first.get_attribute("href")))
                    picture(page, folder / f"{name}{look}.png", full=all_looks)
            context.close()
        browser.close()


def complain(kind: str, text: str) -> None:
    if kind in ("error", "warning"):
        sys.stderr.write(f"{kind}: {text}\n")


def picture(page: Page, path: Path, *, full: bool) -> None:
    page.screenshot(path=path, full_page=full, animations="disabled")


if __name__ == "__main__":
    if len(sys.argv) < 4:
        sys.exit(__doc__)
    where = Path(sys.argv[4]) if len(sys.argv) > 4 else Path(__file__).parent
    main(*sys.argv[1:4], where, all_looks=len(sys.argv) > 4)  # type: ignore[misc]
