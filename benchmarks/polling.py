"""Jobs polled and recorded per second, against bare GETs by as many threads.

    python -m benchmarks.polling [--jobs 5000] [--rounds 3]

Zoho is the sandbox with a latency of 50 ms. Baseline: 2 processes of 50 threads that do nothing
but `requests` GETs on a keep-alive session and JSON parsing. Product: `manage.py up` with 2 worker
processes and a connection of 100 calls at a time, on SQLite or `DATABASE_URL`.
"""

import argparse
import json
import multiprocessing
import statistics
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import requests

from benchmarks.ground import MANAGE, data_folder, free_port, running

PROCESSES = 2
THREADS = 50
LATENCY_MS = 50


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


def product(url: str, ids: list[str]) -> float:
    """Polls recorded per second by real workers, all of the jobs being due at once."""
    with data_folder():
        subprocess.run([*MANAGE, "migrate", "-v0"], check=True)
        track(url, ids)
        port = free_port()
        with running("up", "--port", str(port), ready_url=f"http://127.0.0.1:{port}/healthz"):
            return measured_rate(len(ids))


def track(url: str, ids: list[str]) -> None:
    import django

    django.setup()
    from jobs.models import Connection
    from jobs.services.connections import connecting
    from jobs.services.registering import tracking

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
    )
    connecting.save(connection)
    tracking.track(connection, tracking.read_ids("\n".join(ids)))


def measured_rate(jobs: int) -> float:
    """Polls per second from the first until each job was polled once.

    Jobs that come due a second time meanwhile are counted too.
    """
    from django.db.models import Max, Min, Sum

    from jobs.models import BulkWriteJob, Snapshot

    deadline = time.monotonic() + 300
    while BulkWriteJob.objects.filter(polls=0).exists():
        if time.monotonic() > deadline:
            raise SystemExit("the workers did not get through in time")
        time.sleep(0.05)
    first = Snapshot.objects.aggregate(at=Min("first_seen_at"))["at"]
    done = BulkWriteJob.objects.aggregate(last=Max("last_polled_at"), polls=Sum("polls"))
    return float(done["polls"] / ((done["last"] - first) / timedelta(seconds=1)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=5_000)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    ratios = []
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    sandbox = ("sandbox", "--port", str(port), "--latency-ms", str(LATENCY_MS))
    with data_folder(), running(*sandbox, ready_url=f"{url}/__sandbox__/health"):
        for number in range(1, options.rounds + 1):
            made = requests.post(
                f"{url}/__sandbox__/jobs", json={"count": options.jobs, "life": 3600}, timeout=60
            ).json()
            bare = baseline(url, made["ids"])
            # A process of its own: Django reads its settings, the data folder among them, once.
            with multiprocessing.get_context("spawn").Pool(1) as pool:
                polls = pool.apply(product, (url, made["ids"]))
            ratios.append(polls / bare)
            print(f"round {number}: {bare:,.0f} bare GETs/s, {polls:,.0f} polls/s recorded")
    print(f"polls recorded to bare GETs: median {statistics.median(ratios):.2f} {ratios}")


if __name__ == "__main__":
    main()
