"""Answers that are slow, large, broken or compressed."""

import gzip
import json
import threading
import time
import tracemalloc

import pytest

from jobs.tests.zoho.clients import local
from jobs.tests.zoho.support import JOB_ID, FixedTokens, answer, job_payload, raw_server
from jobs.zoho import errors
from jobs.zoho.client import BulkWriteClient
from jobs.zoho.regions import region_for


class TestSlowAndLargeAnswers:
    def drip(self, first, rest=b"x"):
        def handle(connection, head):
            connection.sendall(first)
            for _ in range(60):
                time.sleep(0.05)
                connection.sendall(rest)

        return handle

    @pytest.mark.parametrize(
        "first",
        [
            b"",
            b"HTTP/1.1 ",
            b"HTTP/1.1 200 OK\r\nX-Slow: ",
            b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n{",
            b"HTTP/1.1 200 OK\r\n\r\n{",
        ],
    )
    def test_a_dripping_server_is_cut_off_at_the_deadline(self, first):
        with raw_server(self.drip(first)) as server, local(server, timeout=0.5) as client:
            started = time.monotonic()
            with pytest.raises(errors.ZohoUnavailableError, match="in time"):
                client.job_details(JOB_ID)
            assert 0.4 < time.monotonic() - started <= 0.6

    def test_dripping_chunks_are_cut_off_too(self):
        first = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
        with (
            raw_server(self.drip(first, b"1\r\nx\r\n")) as server,
            local(server, timeout=0.5) as client,
        ):
            started = time.monotonic()
            with pytest.raises(errors.ZohoUnavailableError, match="in time"):
                client.job_details(JOB_ID)
            assert time.monotonic() - started <= 0.6

    def test_a_dripping_tls_handshake_is_cut_off(self):
        handle = self.drip(b"\x16\x03\x03\x40\x00", b"\x02")
        with raw_server(handle, reads=False) as server:
            url = server.url.replace("http:", "https:")
            region = region_for("custom", api_url=url, accounts_url=url)
            client = BulkWriteClient(region=region, tokens=FixedTokens(), timeout=0.5)
            started = time.monotonic()
            with client, pytest.raises(errors.ZohoUnavailableError):
                client.job_details(JOB_ID)
            assert time.monotonic() - started <= 0.65

    def test_a_silent_server_is_cut_off(self):
        with (
            raw_server(lambda connection, head: time.sleep(2)) as server,
            local(server, timeout=0.3) as client,
        ):
            started = time.monotonic()
            with pytest.raises(errors.ZohoUnavailableError, match="in time"):
                client.job_details(JOB_ID)
            assert time.monotonic() - started <= 0.4

    def test_slow_servers_do_not_delay_the_other_threads(self):
        def handle(connection, head):
            if b"/slow" in head:
                time.sleep(3)
            answer(connection, json.dumps({"status": "ADDED"}).encode())

        ids = ["slow1", "slow2", *(str(number) for number in range(40))]
        with raw_server(handle) as server, local(server, timeout=0.6) as client:
            answers = list(client.job_details_many(ids, threads=4, seconds=5))
        assert len(answers) == 42
        assert sum(item.details is not None for item in answers) == 40

    @pytest.mark.parametrize(
        "answered",
        [
            b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n" + json.dumps(job_payload()).encode(),
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{}",
            b"HTTP/1.1 200 OK\r\nContent-Le",
            b"HTTP/9.9 nonsense\r\n\r\n",
            b"\x00\xff\x00",
            b"",
        ],
    )
    def test_an_answer_that_breaks_off_is_temporary(self, answered):
        def handle(connection, head):
            connection.sendall(answered[:200])
            connection.close()

        with (
            raw_server(handle) as server,
            local(server) as client,
            pytest.raises(errors.ZohoUnavailableError),
        ):
            client.job_details(JOB_ID)

    def test_a_refused_connection_is_temporary(self):
        with raw_server(lambda connection, head: None) as server:
            pass
        time.sleep(0.05)
        with local(server) as client, pytest.raises(errors.ZohoUnavailableError):
            client.job_details(JOB_ID)

    def test_a_gzip_bomb_is_refused_in_little_memory(self):
        bomb = gzip.compress(b'{"status":"' + b"A" * (200 * 1024 * 1024), 9)

        def handle(connection, head):
            answer(connection, bomb, headers="Content-Encoding: gzip\r\n")

        with raw_server(handle) as server, local(server) as client:
            tracemalloc.start()
            started = time.monotonic()
            with pytest.raises(errors.MalformedAnswerError, match="larger"):
                client.job_details(JOB_ID)
            elapsed = time.monotonic() - started
            peak = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
        assert elapsed < 1
        assert peak < 16 * 1024 * 1024

    def test_an_endless_answer_is_refused(self):
        def handle(connection, head):
            connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
            while True:
                connection.sendall(b" " * 65_536)

        with (
            raw_server(handle) as server,
            local(server) as client,
            pytest.raises(errors.MalformedAnswerError, match="larger"),
        ):
            client.job_details(JOB_ID)

    def test_a_compressed_answer_is_read(self):
        def handle(connection, head):
            body = gzip.compress(json.dumps(job_payload()).encode())
            answer(connection, body, headers="Content-Encoding: gzip\r\n")

        with raw_server(handle) as server, local(server) as client:
            assert client.job_details(JOB_ID).status == "COMPLETED"

    @pytest.mark.parametrize(
        "body",
        [b"\x1f\x8bnonsense", gzip.compress(b"{}" * 500)[:-12]],
        ids=["nonsense", "cut short"],
    )
    def test_damaged_compression_is_malformed(self, body):
        def handle(connection, head):
            answer(connection, body, headers="Content-Encoding: gzip\r\n")

        with (
            raw_server(handle) as server,
            local(server) as client,
            pytest.raises(errors.MalformedAnswerError),
        ):
            client.job_details(JOB_ID)

    def test_connections_are_kept_alive(self):
        connections = set()

        def handle(connection, head):
            connections.add(connection)
            answer(connection, json.dumps({"status": "ADDED"}).encode())

        with raw_server(handle) as server, local(server) as client:
            for _ in range(5):
                client.job_details(JOB_ID)
        assert len(connections) == 1


def test_the_watchdog_leaves_a_connection_alone_once_it_serves_another_call():
    def handle(connection, head):
        time.sleep(0.25)
        answer(connection, json.dumps({"status": "ADDED"}).encode())

    with raw_server(handle) as server, local(server, timeout=0.6) as client:
        for _ in range(4):
            assert client.job_details(JOB_ID).status == "ADDED"


def test_one_thread_watches_all_deadlines():
    def handle(connection, head):
        answer(connection, json.dumps({"status": "ADDED"}).encode())

    with raw_server(handle) as server, local(server) as client:
        list(client.job_details_many([str(n) for n in range(50)], threads=8, seconds=5))
    names = [thread.name for thread in threading.enumerate()]
    assert names.count("zoho-deadlines") == 1
