"""Ids that are pasted and are none of a bulk write job."""

import json

import pytest

from jobs.services.registering import job_ids
from jobs.services.registering.job_ids import Verdict
from jobs.tests import seed
from jobs.tests.services.pastes import CREATOR, FILE, ONE, ORG, READ_DETAILS, TWO, ids, told

READ_CREATED = {
    "data": [
        {
            "status": "success",
            "code": "ADDED",
            "message": "Bulk read job created successfully.",
            "details": {"id": TWO, "operation": "read", "state": "ADDED"},
        }
    ]
}
UPLOADED = {"status": "success", "code": "FILE_UPLOAD_SUCCESS", "details": {"file_id": FILE}}
REFUSED = {"status": "error", "code": "INVALID_FILE_ID", "message": "x", "details": {"id": FILE}}

BULK_READS = {
    "an address": f"https://www.zohoapis.com/crm/bulk/v7/read/{TWO}",
    "the address of its result": f"GET /crm/bulk/v7/read/{TWO}/result",
    "the answer of its create call": json.dumps(READ_CREATED),
    "its details": json.dumps(READ_DETAILS, indent=2),
    "details with a state alone": json.dumps({"id": TWO, "state": "QUEUED"}),
    "details with a query alone": json.dumps({"id": TWO, "query": {"module": "Leads"}}),
    "a python dict": repr(READ_DETAILS),
    "words": f"created bulk read job {TWO}",
}


@pytest.mark.parametrize("text", BULK_READS.values(), ids=BULK_READS)
def test_a_bulk_read_job_is_named_and_not_taken(text):
    [entry] = job_ids.read(text).entries

    assert (entry.verdict, entry.job_id) == (Verdict.BULK_READ, TWO)
    assert "Bulk Write" in entry.why


def test_an_id_that_zoho_shows_to_be_of_a_bulk_read_job_is_one_wherever_it_stands():
    text = f"{ONE}\njob {TWO} was created\n{json.dumps(READ_DETAILS)}"

    assert told(text) == [
        (1, "tracked", ONE),
        (2, "bulk_read", TWO),
        (3, "repeated", TWO),
    ]


@pytest.mark.parametrize(
    "text", ["1.11111E+17", "1,11111E+17", '"1.11111000000542e+17"', "111,111,000,000,542,000"]
)
def test_what_excel_has_rounded_is_said_with_what_to_do(text):
    [entry] = job_ids.read(text).entries

    assert (entry.verdict, entry.job_id) == (Verdict.ROUNDED, "")
    assert "formatted as text" in entry.why


def test_ids_that_all_end_in_noughts_are_suspected():
    assert job_ids.read("111111000000541000\n111111000000542000").notes
    assert not job_ids.read("111111000000541000\n111111000000542001").notes


def test_ids_that_were_floats_are_suspected():
    assert job_ids.read(f"{float(ONE):.1f}").notes
    assert not job_ids.read(f"{ONE}.0").notes


OTHERS = {
    "an upload's answer": (json.dumps(UPLOADED), "uploaded file"),
    "a file's id in a log": (f"uploaded, file_id={FILE}", "uploaded file"),
    "a lead in a log": (f"converted lead_id={CREATOR}", "“lead”"),
    "a record in a log": (f"Record Id: {CREATOR}", "“record”"),
    "a user in a log": (f"signed in as user {CREATOR}", "“user”"),
    "an org in a log": (f"zgid: {ORG}", "“zgid”"),
    "a refused call": (
        '{"code":"INVALID_FILE_ID","details":{},"status":"error"}',
        "INVALID_FILE_ID",
    ),
    "a refused call that names a file": (json.dumps(REFUSED), "INVALID_FILE_ID"),
    "the same over several lines": (json.dumps({"data": [REFUSED]}, indent=2), "INVALID_FILE_ID"),
    "the same as python prints it": (repr(REFUSED), "INVALID_FILE_ID"),
    "the same in a log": (f"18:00:01 got {json.dumps(REFUSED)} at once", "INVALID_FILE_ID"),
    "a refused call with more in its details": (
        json.dumps(REFUSED | {"details": {"data": {"id": FILE, "operation": "insert"}}}),
        "INVALID_FILE_ID",
    ),
    "a record": (json.dumps({"data": [{"id": ONE, "Modified_Time": "x"}]}), "of a record"),
}


ADDRESSES = {
    "a record": ("https://crm.zoho.com/crm/org6196138/tab/Leads/{}", "of a record"),
    "a record elsewhere": ("see https://crm.zoho.com.au/crm/org6/tab/Deals/{} please", "a record"),
    "a record of a module of one's own": ("crm.zoho.eu/crm/org6/tab/CustomModule12/{}", "a record"),
    "a record without a host": ("/crm/org6196138/tab/Leads/{}/edit", "of a record"),
    "a record in a list": ("https://crm.zoho.eu/crm/tab/Leads/{}, abc", "of a record"),
    "a record at the API": ("https://www.zohoapis.com/crm/v7/Leads/{}", "of a record"),
    "a record at a path": ("PUT /crm/v2.1/Leads/{}", "of a record"),
    "an import": (
        "https://crm.zoho.com/crm/org6196138/settings/import-history/{}",
        "not known to be a job's",
    ),
    "an old page": (
        "https://crm.zoho.com/crm/EntityInfo.do?module=Leads&id={}",
        "not known to be a job's",
    ),
}


@pytest.mark.parametrize(("address", "why"), ADDRESSES.values(), ids=ADDRESSES)
def test_what_stands_in_an_address_of_something_else_is_not_taken(address, why):
    [entry] = job_ids.read(address.format(ONE)).entries

    assert (entry.verdict, entry.job_id) == (Verdict.NO_JOB, "")
    assert why in entry.why


@pytest.mark.parametrize(
    "text",
    [
        f"https://www.zohoapis.com/crm/bulk/v7/write/{ONE}",
        f"https://crm.zoho.com/crm/org6/tab/Leads/{FILE} came from job {ONE}",
        f"https://crm.zoho.com/crm/org6/page?job_id={ONE}&id={FILE}",
        f"https://crm.zoho.com/crm/org6/tab/Leads/{FILE} {ONE}",
    ],
)
def test_a_job_beside_or_in_an_address_is_taken(text):
    assert ids(text) == [ONE]


@pytest.mark.parametrize(("text", "why"), OTHERS.values(), ids=OTHERS)
def test_ids_of_something_else_are_not_taken_and_it_is_said_of_what(text, why):
    [entry] = job_ids.read(text).entries

    assert (entry.verdict, entry.job_id) == (Verdict.NO_JOB, "")
    assert why in entry.why


def test_neither_users_nor_modules_nor_files_are_taken_from_details():
    job = seed.COMPLETED | {"owner": {"id": ORG}, "query_id": ORG}

    assert ids(json.dumps(job)) == [ONE]
    assert ids(repr(job)) == [ONE]
    assert ids(f"got {job!r} in 0.1 s") == [ONE]


def test_a_job_that_is_named_beside_a_refusal_is_taken():
    assert ids(json.dumps(REFUSED | {"job_id": ONE})) == [ONE]
    assert ids(json.dumps([REFUSED, {"details": {"id": ONE}}])) == [ONE]
