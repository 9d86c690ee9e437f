"""Bodies that Zoho, a proxy or a broken line may send: none changes a state or raises."""

import gzip
import json

import pytest
import responses

from jobs.models import BulkWriteJob
from jobs.services.observing import polling
from jobs.tests import seed
from jobs.tests.factories import make_job
from jobs.tests.stand_in import details_url

SEED = json.dumps(seed.IN_PROGRESS).encode()
AS_PRINTED = b"""{
  "status": "ADDED",
  "resource": [\\
    {\\
      "status": "INPROGRESS",\\
      "code":"ADDED"\\
      "type": "data",\\
    }\\
  ],
  "id": "111111000000541958"
}"""

NO_JOB = {
    "empty": b"",
    "blank": b"  \n",
    "html": b"<!doctype html><title>Sign in</title>",
    "xml": b"<?xml version='1.0'?><error/>",
    "null": b"null",
    "true": b"true",
    "number": b"7",
    "string": b'"COMPLETED"',
    "list": b"[]",
    "empty_object": b"{}",
    "list_of_jobs": b"[" + SEED + b"]",
    "error_with_200": b'{"code":"INTERNAL_ERROR","status":"error","message":"m"}',
    "another_job": SEED.replace(b"541958", b"541959"),
    "sample_as_printed": AS_PRINTED,
    "nan": SEED.replace(b"100", b"NaN"),
    "infinity": SEED.replace(b"100", b"Infinity"),
    "huge_exponent": SEED.replace(b"100", b"1e999"),
    "number_of_5000_digits": SEED.replace(b"100", b"1" * 5000),
    "nested_too_deeply": b"[" * 100_000,
    "objects_nested_too_deeply": b'{"a":' * 100_000,
    "utf_16": SEED.decode().encode("utf-16"),
    "gzip_unasked": gzip.compress(SEED),
    "binary": bytes(range(256)),
    "two_objects": SEED + SEED,
    "only_nul": b"\0" * 100,
} | {f"cut_after_{at}": SEED[:at] for at in range(1, len(SEED), max(len(SEED) // 180, 1))}


@pytest.fixture
def job(zoho, db) -> BulkWriteJob:
    """A running job that was read once."""
    job = make_job(zoho_job_id=seed.JOB_ID)
    zoho.gives_tokens()
    zoho.says(job, SEED)
    polling.poll_now([job])
    job.refresh_from_db()
    assert job.status == "INPROGRESS"
    return job


def state_of(job: BulkWriteJob) -> tuple[object, ...]:
    job.refresh_from_db()
    counts = (job.added_count, job.updated_count, job.skipped_count, job.total_count)
    return (job.status, job.outcome, *counts, job.state_digest, job.snapshots.count())


def test_the_corpus_is_large_enough():
    assert len(NO_JOB) >= 200


def test_no_body_that_is_no_job_changes_anything(zoho, job):
    before = state_of(job)
    for number, (name, content) in enumerate(NO_JOB.items(), start=1):
        zoho.mock.replace(responses.GET, details_url(job), body=content)

        polling.poll_now([job])

        assert state_of(job) == before, name
        assert job.poll_error is not None, name
        assert job.polls == number + 1, name
    excerpts = job.events.exclude(excerpt="").values_list("excerpt", flat=True)
    assert max(len(excerpt.encode()) for excerpt in excerpts) <= 4096
    assert job.snapshots.get().polls == 1


ODD_JOBS = {
    "no_resource": b'{"status":"INPROGRESS","id":"%s"}',
    "resource_an_object": b'{"status":"INPROGRESS","id":"%s","resource":{"status":"ADDED"}}',
    "resource_of_wrong_types": b'{"status":"INPROGRESS","id":"%s","resource":[1,null,"a",[]]}',
    "file_missing": b'{"status":"INPROGRESS","id":"%s","resource":[{"status":"ADDED"}]}',
    "file_of_wrong_type": b'{"status":"INPROGRESS","id":"%s","resource":[{"file":"a.csv"}]}',
    "module_a_string": b'{"status":"INPROGRESS","id":"%s","resource":[{"module":"Leads"}]}',
    "status_with_a_blank": b'{"status":"IN PROGRESS","id":"%s"}',
    "status_with_a_hyphen": b'{"status":"In-Progress","id":"%s"}',
    "doubled_keys": b'{"status":"ADDED","status":"INPROGRESS","id":"%s"}',
    "byte_order_mark": b'\xef\xbb\xbf{"status":"INPROGRESS","id":"%s"}',
    "bytes_that_are_no_utf_8": b'{"status":"INPROGRESS","id":"%s","operation":"\xff\xfe"}',
    "half_surrogates": b'{"status":"INPROGRESS","id":"%s",'
    b'"operation":"\\ud800\\udc00\\udfff\\u0000"}',
    "wrong_types_everywhere": b'{"status":"INPROGRESS","id":"%s","operation":{},"created_by":[],'
    b'"result":[1],"character_encoding":7,"created_time":{},"callback":"x"}',
}


@pytest.mark.parametrize("content", ODD_JOBS.values(), ids=ODD_JOBS)
def test_an_oddly_shaped_job_is_still_read(zoho, job, content):
    zoho.mock.replace(
        responses.GET, details_url(job), body=content.replace(b"%s", seed.JOB_ID.encode())
    )

    polling.poll_now([job])

    job.refresh_from_db()
    assert (job.status, job.outcome, job.poll_error) == ("INPROGRESS", "running", None)


def test_a_status_nobody_has_seen_is_shown_as_it_is_and_watched_on(zoho, job):
    content = SEED.replace(b'"INPROGRESS"', b'"Waiting for approval"')
    zoho.mock.replace(responses.GET, details_url(job), body=content)

    polling.poll_now([job])

    job.refresh_from_db()
    assert (job.status_raw, job.outcome) == ("Waiting for approval", "running")
    assert job.poll_state == BulkWriteJob.PollState.ACTIVE
