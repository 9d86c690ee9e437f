"""Seconds that pages take with many jobs, against a trivial view through the same server.

    python -m benchmarks.pages [--jobs 10000] [--rounds 5]

Signed in, over one keep-alive connection, pages and trivial view in alternation; medians. The jobs
belong to a paused connection, so that nothing else is at work.
"""

import argparse
import os
import random
import statistics
import subprocess
import time
from collections.abc import Sequence
from datetime import timedelta

import requests

from benchmarks.ground import MANAGE, data_folder, free_port, running

REQUESTS_PER_ROUND = 20
TRIVIAL = "/benchmark/trivial/"
PAGES = [
    "/",
    "/jobs/",
    "/jobs/?page=100",
    "/jobs/?outcome=partial",
    "/jobs/?sort=-skip_ratio",
    "/jobs/?q=week",
    "/jobs/track/",
    "/alerts/",
]


def fill(jobs: int) -> tuple[str, str]:
    """Make jobs with two snapshots each; return a session cookie's name and value."""
    import django

    django.setup()
    from django.utils import timezone

    from jobs.models import BulkWriteJob, Connection, Outcome, Resource, Snapshot

    now = timezone.now()
    chance = random.Random(1)
    connection = Connection.objects.create(
        name="bench",
        data_center="us",
        client_id="x",
        client_secret="x",
        refresh_token="x",
        paused=True,
    )
    made = []
    for number in range(jobs):
        outcome = chance.choice(Outcome.values)
        skipped = chance.randrange(0, 900)
        module = chance.choice(["Leads", "Contacts", "Deals", "Accounts"])
        job = BulkWriteJob(
            connection=connection,
            zoho_job_id=str(111111000000000000 + number),
            label=f"Import week {number % 52}",
            tracked_at=now - timedelta(minutes=number),
            status="INPROGRESS" if outcome == "running" else "COMPLETED",
            status_raw="COMPLETED",
            outcome=outcome,
            operation="insert",
            needs_attention=outcome in ("failed", "skipped", "nothing_imported", "stuck"),
            added_count=1000 - skipped,
            updated_count=0,
            skipped_count=skipped,
            total_count=1000,
            skip_ratio=skipped / 1000,
            modules=module,
            file_names=f"{module}.csv",
            created_by_name="Patricia Boyle",
            created_time=now - timedelta(minutes=number),
            last_changed_at=now - timedelta(minutes=number),
            last_polled_at=now,
            ended_at=None if outcome == "running" else now - timedelta(minutes=number),
            poll_state="active" if outcome == "running" else "done",
        )
        job.search_text = job.make_search_text()
        made.append(job)
    BulkWriteJob.objects.bulk_create(made, batch_size=500)
    Resource.objects.bulk_create(
        (
            Resource(job=job, position=0, module=job.modules, total_count=1000, status="COMPLETED")
            for job in made
        ),
        batch_size=500,
    )
    Snapshot.objects.bulk_create(
        (
            Snapshot(
                job=job,
                first_seen_at=now,
                last_seen_at=now,
                status=status,
                outcome=job.outcome,
                digest="0" * 64,
                raw="{}",
            )
            for job in made
            for status in ("ADDED", "COMPLETED")
        ),
        batch_size=500,
    )
    return signed_in()


def signed_in() -> tuple[str, str]:
    """The name and value of an administrator's session cookie."""
    from django.conf import settings
    from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
    from django.contrib.auth.models import User
    from django.contrib.sessions.backends.db import SessionStore

    user = User.objects.create_superuser("bench", "bench@example.com", "bench")
    session = SessionStore()
    session[SESSION_KEY] = str(user.pk)
    session[BACKEND_SESSION_KEY] = "django.contrib.auth.backends.ModelBackend"
    session[HASH_SESSION_KEY] = user.get_session_auth_hash()
    session.create()
    return settings.SESSION_COOKIE_NAME, str(session.session_key)


def seconds(session: requests.Session, url: str) -> float:
    started = time.perf_counter()
    answer = session.get(url, timeout=60)
    taken = time.perf_counter() - started
    if not answer.ok or answer.history:
        raise SystemExit(f"{url}: HTTP {answer.status_code}")
    return taken


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    with data_folder():
        os.environ["DJANGO_SETTINGS_MODULE"] = "benchmarks.settings"
        subprocess.run([*MANAGE, "migrate", "-v0"], check=True)
        cookie = fill(options.jobs)
        port = free_port()
        url = f"http://127.0.0.1:{port}"
        with running("up", "--port", str(port), ready_url=f"{url}/healthz"):
            print(f"{options.jobs:,} jobs")
            measure(url, cookie, PAGES, options.rounds)


def measure(url: str, cookie: tuple[str, str], paths: Sequence[str], rounds: int) -> None:
    """Print what the pages take, the first request of each, and the ratios to the trivial view."""
    taken: dict[str, list[float]] = {path: [] for path in [TRIVIAL, *paths]}
    with requests.Session() as session:
        session.trust_env = False
        session.cookies.set(*cookie)
        first = {path: seconds(session, url + path) for path in taken}
        for _ in range(rounds * REQUESTS_PER_ROUND):
            for path, seen in taken.items():
                seen.append(seconds(session, url + path))
    trivial = statistics.median(taken[TRIVIAL])
    print(f"medians of {rounds * REQUESTS_PER_ROUND} requests")
    for path, seen in taken.items():
        median = statistics.median(seen)
        print(
            f"{path:44} {median * 1000:7.1f} ms  {median / trivial:5.1f} of trivial"
            f"  (first {first[path] * 1000:.1f} ms)"
        )


if __name__ == "__main__":
    main()
