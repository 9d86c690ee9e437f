"""`manage.py up` for real: what it starts, what it refuses, and that nothing of it stays."""

import contextlib
import os
import signal
import socket
import sqlite3
import stat

import pytest

from jobs.tests.ground.running import Up, copy_data, processes_in_sessions, unused_port, wait_until

pytestmark = pytest.mark.slow

CLEAN_UP_SECONDS = 15


@pytest.fixture(scope="module")
def first_start(tmp_path_factory):
    """A first start on an empty folder, stopped again: its folder and its output."""
    data_dir = tmp_path_factory.mktemp("first") / "data"
    with Up(data_dir) as up:
        up.wait_ready()
        answer = up.get()
        status = up.stop()
        left = up.left_over()
        return {
            "data_dir": data_dir,
            "output": up.output,
            "answer": answer,
            "status": status,
            "left": left,
            "port": up.port,
        }


@pytest.fixture
def data_dir(first_start, tmp_path):
    """A folder on which `up` has run before, so that the next start is a warm one."""
    return copy_data(first_start["data_dir"], tmp_path / "data")


def private(path):
    return stat.S_IMODE(path.stat().st_mode) & 0o077 == 0


class TestFirstStart:
    def test_the_site_answers_at_the_address_it_prints(self, first_start):
        assert first_start["answer"] == 200
        address = f"http://127.0.0.1:{first_start['port']}/"
        assert f"Bulkwatch is running at {address}\n" in first_start["output"]

    def test_the_first_user_and_where_to_change_the_password_are_printed(self, first_start):
        assert first_start["output"].count("Sign in as admin with the password") == 1
        assert "/accounts/password/" in first_start["output"]

    def test_ctrl_c_ends_with_status_0_and_leaves_no_process(self, first_start):
        assert first_start["status"] == 0
        assert first_start["left"] == {}
        assert "Traceback" not in first_start["output"]

    def test_what_it_keeps_is_for_its_user_alone(self, first_start):
        data_dir = first_start["data_dir"]
        for name in ("secret_key", "encryption_keys", "bulkwatch.sqlite3", "broker", "logs", "run"):
            assert private(data_dir / name), name


def test_the_next_start_shows_no_password(data_dir):
    with Up(data_dir) as up:
        up.wait_ready()
        assert up.get() == 200
        assert "password" not in up.output


def test_sigterm_stops_everything_with_status_0(data_dir):
    with Up(data_dir) as up:
        up.wait_ready()
        assert up.stop(signal.SIGTERM) == 0
        assert up.left_over() == {}


def test_a_second_one_on_the_same_data_is_refused_in_one_line(data_dir):
    with Up(data_dir) as up:
        up.wait_ready()
        with Up(data_dir) as second:
            assert second.process.wait(20) == 1
            assert str(up.process.pid) in second.output
            assert "already running" in second.output
            assert second.output.count("\n") == 1
        assert up.get() == 200


def test_a_port_in_use_is_one_line(data_dir):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with Up(data_dir, port=port) as up:
            assert up.process.wait(20) == 1
            assert f"Port {port} cannot be used" in up.output
            assert up.output.count("\n") == 1


@pytest.mark.parametrize(
    "secrets", [{}, {"SECRET_KEY": "x" * 50, "ENCRYPTION_KEYS": "A" * 43 + "="}]
)
def test_a_folder_that_cannot_be_written_is_one_line(tmp_path, secrets):
    file = tmp_path / "file"
    file.write_text("")

    with Up(file / "data", **secrets) as up:
        assert up.process.wait(20) == 1
        assert "cannot be written" in up.output
        assert up.output.count("\n") == 1


@pytest.mark.parametrize("count", ["0", "many"])
def test_a_process_count_that_makes_no_sense_is_one_line(data_dir, count):
    with Up(data_dir, WEB_PROCESSES=count) as up:
        assert up.process.wait(20) == 1
        assert "WEB_PROCESSES" in up.output
        assert up.output.count("\n") == 1


def test_an_unreachable_database_is_one_line(data_dir):
    url = f"postgres://nobody@127.0.0.1:{unused_port()}/nothing"
    with Up(data_dir, DATABASE_URL=url) as up:
        assert up.process.wait(20) == 1
        assert "The database could not be prepared" in up.output
        assert up.output.count("\n") == 1


def test_killed_it_leaves_nothing_and_starts_again_at_once(data_dir):
    with Up(data_dir) as up:
        up.wait_ready()
        up.process.kill()
        up.process.wait()
        with Up(data_dir) as second:
            second.wait_ready()
            assert up.left_over() == {}
            assert second.get() == 200


def test_killed_while_it_starts_it_leaves_nothing(data_dir):
    with Up(data_dir) as up:
        wait_until(lambda: len(up.parts()) >= 2, 20, "the first part is started")
        up.note_sessions()
        up.process.kill()
        up.process.wait()
        wait_until(lambda: not up.left_over(), CLEAN_UP_SECONDS, "all is gone")


@pytest.mark.parametrize("name", ["broker", "web", "worker", "beat", "lookout", "watchdog"])
def test_the_end_of_one_part_stops_all_and_is_named_and_mailed(data_dir, name):
    with Up(data_dir, OPERATORS="oncall@example.com") as up:
        up.wait_ready()
        os.kill(up.parts()[name], signal.SIGKILL)
        assert up.process.wait(30) == 1
        assert f"{name} was killed by SIGKILL" in up.output
        assert up.left_over() == {}
    [mail] = [path.read_text() for path in (data_dir / "mail").iterdir()]
    assert "To: oncall@example.com" in mail
    assert f"Subject: [Bulkwatch] Bulkwatch has stopped: {name} was killed by SIGKILL" in mail


def test_a_stop_that_was_asked_for_is_not_mailed(data_dir):
    with Up(data_dir, OPERATORS="oncall@example.com") as up:
        up.wait_ready()
        assert up.stop(signal.SIGTERM) == 0
    assert not (data_dir / "mail").exists()


def test_a_mail_server_that_keeps_silent_does_not_keep_up_from_ending(data_dir):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"smtp://127.0.0.1:{silent.getsockname()[1]}"
        with Up(data_dir, OPERATORS="oncall@example.com", EMAIL_URL=url) as up:
            up.wait_ready()
            os.kill(up.parts()["beat"], signal.SIGKILL)
            assert up.process.wait(40) == 1
            assert "beat was killed by SIGKILL" in up.output


def test_a_killed_web_process_comes_back_while_the_other_answers(data_dir):
    with Up(data_dir) as up:
        up.wait_ready()
        web = up.parts()["web"]
        before = set(processes_in_sessions({web})) - {web}
        victim = min(before)
        os.kill(victim, signal.SIGKILL)

        def replaced():
            # A request that had just come in at the killed process is cut off; no other is.
            with contextlib.suppress(OSError):
                assert up.get() == 200
            now = set(processes_in_sessions({web})) - {web}
            return victim not in now and len(now) == len(before)

        wait_until(replaced, 10, "a new web process")
        assert [up.get() for _ in range(20)] == [200] * 20
        assert up.process.poll() is None


@pytest.mark.parametrize("survivors", [(), ("broker",)])
def test_after_a_power_cut_it_starts_and_its_data_is_whole(data_dir, survivors):
    with Up(data_dir) as up:
        parts = up.wait_ready().parts()
        spared = {parts[name] for name in survivors}
        for pid in {up.process.pid, parts["watchdog"], *up.left_over()} - spared:
            # A process may end by itself between the look and the kill.
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        up.process.wait()

        with Up(data_dir) as second:
            second.wait_ready()
            assert second.get() == 200
        with sqlite3.connect(data_dir / "bulkwatch.sqlite3") as database:
            assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        database.close()


def test_what_the_parts_say_is_kept(data_dir):
    with Up(data_dir) as up:
        up.wait_ready()
        log = data_dir / "logs" / "worker.log"
        wait_until(
            lambda: log.exists() and " ready." in log.read_text(), 10, "a line of the worker"
        )


def test_a_demo_watches_its_sample_org(data_dir):
    with Up(data_dir, "--demo") as up:
        up.wait_ready()
        database = sqlite3.connect(data_dir / "bulkwatch.sqlite3")
        count = database.execute("SELECT count(*) FROM jobs_bulkwritejob").fetchone()[0]
        database.close()
        assert count > 0
        assert up.stop() == 0
        assert up.left_over() == {}
