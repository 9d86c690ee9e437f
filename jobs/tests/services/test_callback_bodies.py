"""Which jobs a callback's body names, whatever came as its body."""

import json
from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.services.registering.callback_bodies import MOST_IDS, job_ids

ID = "111111000000541958"
DETAILS = {
    "status": "COMPLETED",
    "character_encoding": "UTF-8",
    "resource": [
        {"status": "COMPLETED", "module": {"api_name": "Leads", "id": "3652397000002181"}}
    ],
    "id": ID,
    "result": {"download_url": "/v7/crm/org1/bulk-write/1/1.zip"},
    "created_by": {"id": "111111000000035795", "name": "Patricia Boyle"},
    "operation": "insert",
}


def text(value):
    return json.dumps(value).encode()


@pytest.mark.parametrize(
    "body",
    [
        text(DETAILS),
        b"\xef\xbb\xbf" + text(DETAILS),
        text({"data": [DETAILS]}),
        text({"data": DETAILS}),
        text([DETAILS]),
        text({"id": int(ID)}),
        text({"job_id": ID}),
        text({"status": "success", "code": "ADDED", "details": {"id": ID, "created_by": {}}}),
        urlencode({"id": ID}).encode(),
        urlencode({"job_id": ID, "status": "COMPLETED"}).encode(),
        urlencode(
            {name: json.dumps(value) for name, value in DETAILS.items()} | {"id": ID}
        ).encode(),
        urlencode({name: str(value) for name, value in DETAILS.items()}).encode(),
        urlencode({"payload": json.dumps(DETAILS)}).encode(),
        urlencode({"data": json.dumps([DETAILS])}).encode(),
        urlencode({"details": json.dumps({"id": ID})}).encode(),
        urlencode({json.dumps(DETAILS): ""}).encode(),
        f'--xyz\r\nContent-Disposition: form-data; name="id"\r\n\r\n{ID}\r\n--xyz--\r\n'.encode(),
        b'--xyz\r\nContent-Disposition: form-data; name="body"\r\n\r\n'
        + text(DETAILS)
        + b"\r\n--xyz--\r\n",
    ],
)
def test_the_id_is_found_in_json_and_in_forms(body):
    assert job_ids(body) == [ID]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"17",
        b'"111111000000541958"',
        b"{}",
        b"[[[[]]]]",
        text({"id": None}),
        text({"id": True}),
        text({"id": 1.5}),
        text({"id": "-5"}),
        text({"id": "1 or 1=1"}),
        text({"id": "١٢٣٤٥٦٧٨٩٠١٢٣٤٥٦"}),
        text({"id": {"id": ID}}),
        text({"id": "1" * 31}),
        text({"created_by": {"id": ID}}),
        text({"resource": [{"module": {"id": ID}}]}),
        b"\x00" * 1000,
        b"\xff\xfe\xfd",
        b"[" * 200_000,
        b'{"a":' * 200_000,
        b"id=%00%ff&job_id=",
        b"&".join(b"a=1" for _ in range(5_000)),
        b"--",
        b"--x\r\n--x\r\n--x",
    ],
)
def test_what_names_no_job_names_none_and_does_no_harm(body):
    assert job_ids(body) == []


def test_a_number_of_any_length_beside_the_id_does_not_hide_it():
    assert job_ids(b'{"count": ' + b"9" * 10_000 + b', "id": "' + ID.encode() + b'"}') == [ID]
    assert job_ids(b'{"id": ' + b"9" * 10_000 + b"}") == []


@pytest.mark.parametrize(
    "body",
    [
        {"id": ID, "operation": "read", "state": "COMPLETED", "query": {}, "result": {}},
        {"data": [{"id": ID, "operation": "read", "state": "COMPLETED"}]},
        {"job_id": ID, "state": "COMPLETED"},
        {"details": {"id": ID, "operation": "read", "state": "ADDED"}},
    ],
)
def test_a_bulk_reads_callback_names_no_bulk_write_job(body):
    assert job_ids(text(body)) == []
    assert job_ids(urlencode({"body": json.dumps(body)}).encode()) == []


def test_few_jobs_are_taken_of_one_call():
    many = [{"id": str(111111000000000000 + number)} for number in range(500)]

    assert len(job_ids(text({"data": many}))) == MOST_IDS


@given(st.binary(max_size=2_000))
def test_any_bytes_may_come(body):
    assert all(job_id.isascii() and job_id.isdigit() for job_id in job_ids(body))


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda inner: (
            st.lists(inner) | st.dictionaries(st.sampled_from(["id", "data", "x"]), inner)
        ),
    )
)
def test_any_json_may_come(value):
    assert all(job_id.isascii() and job_id.isdigit() for job_id in job_ids(text(value)))
