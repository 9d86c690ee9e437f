"""Jobs polled and recorded per second, against bare GETs by as many threads.

    python -m benchmarks.polling [--jobs 5000] [--rounds 3]
    python -m benchmarks.polling --backlog [--jobs 10000] [--rounds 1]

Zoho is the sandbox with a latency of 50 ms. Baseline: 2 processes of 50 threads that do nothing
but `requests` GETs on a keep-alive session and JSON parsing. Product: `manage.py up` with 2 worker
processes and a connection of 100 calls at a time, on SQLite or `DATABASE_URL`.

With `--backlog`: jobs that all came due while Zoho cut every connection, from the first answer
afterwards until all are recorded, against jobs times latency over calls at a time; and how often
Zoho was asked about each, which is to be once.
"""

import argparse
import json
import multiprocessing
import statistics
import subprocess
import time
import traceback
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import TypeVar

import requests

from benchmarks.ground import MANAGE, data_folder, free_port, running

T = TypeVar("T")

PROCESSES = 2
THREADS = 50
LATENCY_MS = 50
PATIENCE_SECONDS = 300
# That are registered at a time.
MOST_IDS = 5_000
# Longer than the schedule's tick: whoever would be asked twice is by then.
SETTLE_SECONDS = 5


def bare_gets(url: str, token: str, ids: list[str]) -> None:
    session = requests.Session()
    session.trust_env = False
    session.mount("http://", requests.adapters.HTTPAdapter(pool_maxsize=THREADS))
    headers = {"Authorization": f"Zoho-oauthtoken {token}"}

    def get(job_id: str) -> object:
        answer = session.get(f"{url}/crm/bulk/v7/write/{job_id}", headers=headers, timeout=20)
        return json.loads(answer.content)

    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(get, ids))


def baseline(url: str, ids: list[str]) -> float:
    """Bare GETs per second."""
    samples = requests.get(f"{url}/__sandbox__/samples", timeout=10).json()["connection"]
    token = requests.post(
        f"{url}/oauth/v2/token",
        data={
            "grant_type": "refresh_token",
            "client_id": samples["client_id"],
            "client_secret": samples["client_secret"],
            "refresh_token": samples["refresh_token"],
        },
        timeout=10,
    ).json()["access_token"]
    started = time.perf_counter()
    workers = [
        multiprocessing.Process(target=bare_gets, args=(url, token, ids[part::PROCESSES]))
        for part in range(PROCESSES)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return len(ids) / (time.perf_counter() - started)


def product(url: str, ids: list[str], measure: Callable[[str, int], T]) -> T:
    """What `measure` finds while real workers poll, all of the jobs being due at once."""
    with data_folder():
        subprocess.run([*MANAGE, "migrate", "-v0"], check=True)
        track(url, ids)
        port = free_port()
        with running("up", "--port", str(port), ready_url=f"http://127.0.0.1:{port}/healthz"):
            return measure(url, len(ids))


def track(url: str, ids: list[str]) -> None:
    import django

    django.setup()
    from jobs.models import Connection
    from jobs.services.connections import connecting
    from jobs.services.registering import job_ids, tracking

    samples = requests.get(f"{url}/__sandbox__/samples", timeout=10).json()["connection"]
    connection = Connection(
        name="bench",
        data_center="custom",
        api_url=url,
        accounts_url=url,
        client_id=samples["client_id"],
        client_secret=samples["client_secret"],
        refresh_token=samples["refresh_token"],
        max_concurrency=PROCESSES * THREADS,
        daily_credits=10_000_000,
        longest_interval_seconds=3_600,
    )
    connecting.save(connection)
    for first in range(0, len(ids), MOST_IDS):
        text = "\n".join(ids[first : first + MOST_IDS])
        tracking.track(connection, job_ids.read(text).entries)


def wait_until(condition: Callable[[], bool], every: float = 0.05) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        if time.monotonic() > deadline:
            raise SystemExit("the workers did not get through in time")
        time.sleep(every)


def measured_rate(url: str, jobs: int) -> float:
    """Polls per second from the first until each job was polled once.

    Jobs that come due a second time meanwhile are counted too.
    """
    from django.db.models import Max, Min, Sum

    from jobs.models import BulkWriteJob, Snapshot

    wait_until(lambda: not BulkWriteJob.objects.filter(polls=0).exists())
    first = Snapshot.objects.aggregate(at=Min("first_seen_at"))["at"]
    done = BulkWriteJob.objects.aggregate(last=Max("last_polled_at"), polls=Sum("polls"))
    return float(done["polls"] / ((done["last"] - first) / timedelta(seconds=1)))


def measured_backlog(url: str, jobs: int) -> tuple[float, float]:
    """Seconds from the first answer after an outage until all is recorded; requests per job."""
    from django.utils import timezone

    from jobs.models import BulkWriteJob, Connection

    def asked() -> dict[str, int]:
        counts = requests.get(f"{url}/__sandbox__/requests", timeout=10).json()
        by_status: dict[str, int] = counts["by_route"].get("details", {})
        return by_status

    wait_until(lambda: not BulkWriteJob.objects.filter(polls=0).exists())
    requests.put(f"{url}/__sandbox__/faults", json={"kind": "reset"}, timeout=10)
    wait_until(lambda: Connection.objects.filter(failures__gt=0).exists())
    now = timezone.now()
    # Jobs as old as these are asked about every twelve minutes: each second request is too many.
    BulkWriteJob.objects.update(next_poll_at=now, created_time=now - timedelta(hours=10))
    requests.post(f"{url}/__sandbox__/requests/reset", timeout=10)
    requests.delete(f"{url}/__sandbox__/faults", timeout=10)

    wait_until(lambda: asked().get("200", 0) > 0, every=0.02)
    started = time.perf_counter()
    wait_until(lambda: asked().get("200", 0) >= jobs)
    wait_until(lambda: not BulkWriteJob.objects.filter(lease_until__isnull=False).exists())
    seconds = time.perf_counter() - started
    time.sleep(SETTLE_SECONDS)
    return seconds, asked()["200"] / jobs


def in_a_process(url: str, ids: list[str], measure: Callable[[str, int], T]) -> T:
    """`product` in a process of its own: Django reads its settings, `DATA_DIR` too, once."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(_told, (url, ids, measure))


def _told(url: str, ids: list[str], measure: Callable[[str, int], T]) -> T:
    """`product`, with errors that another process can read: it knows none of Django's."""
    try:
        return product(url, ids, measure)
    except (Exception, SystemExit) as error:
        raise RuntimeError("".join(traceback.format_exception(error))) from None


def polling_rounds(url: str, jobs: int, rounds: int) -> None:
    ratios = []
    for number in range(1, rounds + 1):
        ids = make_jobs(url, jobs)
        bare = baseline(url, ids)
        polls = in_a_process(url, ids, measured_rate)
        ratios.append(polls / bare)
        print(f"round {number}: {bare:,.0f} bare GETs/s, {polls:,.0f} polls/s recorded")
    print(f"polls recorded to bare GETs: median {statistics.median(ratios):.2f} {ratios}")


def backlog_rounds(url: str, jobs: int, rounds: int) -> None:
    ideal = jobs * LATENCY_MS / 1000 / (PROCESSES * THREADS)
    ratios = []
    for number in range(1, rounds + 1):
        seconds, polls = in_a_process(url, make_jobs(url, jobs), measured_backlog)
        ratios.append(seconds / ideal)
        print(f"round {number}: {seconds:.1f} s, ideal {ideal:.1f} s, {polls:.4f} polls per job")
        if polls != 1:
            raise SystemExit("each job is to be asked about once, and no more")
    print(f"drained to ideal: median {statistics.median(ratios):.2f} {ratios}")


def make_jobs(url: str, jobs: int) -> list[str]:
    """The ids of new jobs that are under way for as long as anybody looks."""
    order = {"count": jobs, "kind": "running", "life": 360_000}
    made = requests.post(f"{url}/__sandbox__/jobs", json=order, timeout=60).json()
    ids: list[str] = made["ids"]
    return ids


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--backlog", action="store_true", help="what an outage has left")
    parser.add_argument("--jobs", type=int, help="5000; 10000 with --backlog")
    parser.add_argument("--rounds", type=int, help="3; 1 with --backlog")
    options = parser.parse_args()
    rounds_of, jobs, rounds = (
        (backlog_rounds, 10_000, 1) if options.backlog else (polling_rounds, 5_000, 3)
    )
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    sandbox = ("sandbox", "--port", str(port), "--latency-ms", str(LATENCY_MS))
    with data_folder(), running(*sandbox, ready_url=f"{url}/__sandbox__/health"):
        rounds_of(url, options.jobs or jobs, options.rounds or rounds)


if __name__ == "__main__":
    main()
