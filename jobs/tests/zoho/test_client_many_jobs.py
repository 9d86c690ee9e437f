"""Asking about many jobs at a time, and what ends the asking."""

import json
import threading
import time

import pytest

from jobs.tests.zoho.clients import DETAILS_URL, envelope, local
from jobs.tests.zoho.support import JOB_ID, FixedTokens, answer, job_payload, raw_server
from jobs.zoho import errors
from jobs.zoho.client import BulkWriteClient
from jobs.zoho.regions import region_for


class TestManyJobs:
    def ids(self, count):
        return [str(1000 + number) for number in range(count)]

    def serve(self, delay=0.0, refuse_after=None, refusal=b"", status="429 Too Many Requests"):
        seen = []

        def handle(connection, head):
            job_id = head.split()[1].rsplit(b"/", 1)[1].decode()
            seen.append(job_id)
            time.sleep(delay)
            if refuse_after is not None and len(seen) > refuse_after:
                answer(connection, refusal, status, "Retry-After: 7\r\n")
                return
            answer(connection, json.dumps({"status": "ADDED", "id": job_id}).encode())

        return handle, seen

    def test_every_job_is_asked_for_once(self):
        handle, _ = self.serve()
        with raw_server(handle) as server, local(server) as client:
            answers = list(client.job_details_many(self.ids(100), threads=10, seconds=10))
        assert sorted(item.job_id for item in answers) == self.ids(100)
        assert all(item.details.job_id == item.job_id for item in answers)
        assert all(item.asked_at.utcoffset().total_seconds() == 0 for item in answers)

    def test_answers_come_as_they_arrive(self):
        handle, seen = self.serve(delay=0.05)
        with raw_server(handle) as server, local(server) as client:
            next(client.job_details_many(self.ids(40), threads=1, seconds=10))
            assert len(seen) < 10

    def test_no_job_is_asked_for_after_the_time(self):
        handle, seen = self.serve(delay=0.1)
        with raw_server(handle) as server, local(server) as client:
            started = time.monotonic()
            answers = list(client.job_details_many(self.ids(100), threads=2, seconds=0.35))
            assert time.monotonic() - started < 0.7
        assert 4 <= len(answers) == len(seen) <= 8

    @pytest.mark.parametrize(
        ("code", "status", "kind"),
        [
            ("TOO_MANY_REQUESTS", "429 Too Many Requests", errors.ZohoThrottledError),
            ("OAUTH_SCOPE_MISMATCH", "401 Unauthorized", errors.ZohoSignInError),
        ],
    )
    def test_a_pause_or_sign_in_wanted_by_zoho_ends_the_asking(self, code, status, kind):
        refusal = json.dumps(envelope(code)).encode()
        handle, seen = self.serve(0.01, 5, refusal, status)
        with raw_server(handle) as server, local(server) as client:
            answers = list(client.job_details_many(self.ids(500), threads=4, seconds=10))
        assert len(answers) == len(seen) <= 5 + 4
        refused = [item.error for item in answers if item.error]
        assert refused
        assert all(isinstance(error, kind) for error in refused)

    def test_other_errors_do_not_end_the_asking(self):
        refusal = json.dumps(envelope("RESOURCE_NOT_FOUND")).encode()
        handle, _ = self.serve(0, 5, refusal, "404 Not Found")
        with raw_server(handle) as server, local(server) as client:
            answers = list(client.job_details_many(self.ids(30), threads=1, seconds=10))
        assert [item.error is None for item in answers] == [True] * 5 + [False] * 25

    def test_without_a_token_one_answer_says_so(self, zoho):
        class NoTokens(FixedTokens):
            def get(self):
                raise errors.ZohoSignInError("no")

        client = BulkWriteClient(region=region_for("us"), tokens=NoTokens())
        answers = list(client.job_details_many(self.ids(30), threads=10, seconds=5))
        assert [(item.job_id, item.error.kind) for item in answers] == [("1000", "sign_in")]
        assert len(zoho.calls) == 0

    def test_no_ids_are_no_answers(self, client):
        assert list(client.job_details_many([], threads=5, seconds=1)) == []

    def test_a_caller_that_says_stop_still_gets_what_is_under_way(self):
        handle, seen = self.serve(delay=0.05)
        stop = threading.Event()
        with raw_server(handle) as server, local(server) as client:
            answers = client.job_details_many(self.ids(200), threads=4, seconds=10, stop=stop)
            got = [next(answers)]
            stop.set()
            got.extend(answers)
        assert len(got) == len(seen) < 20

    def test_so_many_failures_on_end_end_the_asking(self):
        handle, seen = self.serve(0, 5, b"<html>", "503 Service Unavailable")
        with raw_server(handle) as server, local(server) as client:
            asking = client.job_details_many(self.ids(200), threads=2, seconds=10, most_failures=10)
            answers = list(asking)
        assert 15 <= len(answers) == len(seen) <= 16

    def test_failures_between_answers_do_not_end_the_asking(self, zoho, client):
        for number, job_id in enumerate(self.ids(30)):
            url = DETAILS_URL.replace(JOB_ID, job_id)
            zoho.get(url, json=job_payload(id=job_id), status=503 if number % 3 else 200)
        asking = client.job_details_many(self.ids(30), threads=1, seconds=10, most_failures=3)
        assert len(list(asking)) == 30

    def test_a_caller_that_stops_listening_ends_the_asking(self):
        handle, seen = self.serve(delay=0.02)
        with raw_server(handle) as server, local(server) as client:
            answers = client.job_details_many(self.ids(200), threads=2, seconds=10)
            next(answers)
            answers.close()
            time.sleep(0.1)
            asked = len(seen)
            time.sleep(0.1)
            assert len(seen) == asked < 20
