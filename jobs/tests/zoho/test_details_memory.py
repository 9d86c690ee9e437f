"""Hostile answers about a job take no memory: measured in a process of its own that reads them."""

import gzip
import itertools
import json
import subprocess
import sys

import pytest

from jobs.tests.zoho.support import JOB_ID, answer, job_payload, raw_server
from jobs.zoho.client import MAX_DETAILS_BYTES
from jobs.zoho.payloads import MOST_MAPPINGS, MOST_PIECES

pytestmark = pytest.mark.slow

MIB = 1024 * 1024

# What growth is measured from: a worker that has read an answer.
READ = """
import json, sys
from pathlib import Path
from jobs.tests.zoho.support import FixedTokens
from jobs.zoho.client import BulkWriteClient
from jobs.zoho.errors import ZohoError
from jobs.zoho.payloads import canonical_digest
from jobs.zoho.regions import region_for

def peak():
    # Not getrusage: its peak is that of the tests' process, if that had more.
    [line] = [x for x in Path("/proc/self/status").read_text().splitlines() if "VmHWM" in x]
    return int(line.split()[1]) * 1024

region = region_for("custom", api_url=sys.argv[1], accounts_url=sys.argv[1])
with BulkWriteClient(region=region, tokens=FixedTokens()) as client:
    canonical_digest(client.job_details(sys.argv[2]))
    before = peak()
    try:
        details = client.job_details(sys.argv[2])
        canonical_digest(details)
        said = sum(len(resource.field_mappings) for resource in details.resources)
    except ZohoError as error:
        said = error.message
print(json.dumps({"grown": peak() - before, "said": said}))
"""
IN_DEFAULT = b'{"resource":[{"field_mappings":[{"api_name":"A","default_value":'
IN_ERROR = b'{"status":"error","code":"SOME_CODE","message":"said","details":'
MAPPING = (
    b'{"api_name":"A_Field_Of_The_Module_%d","index":17,"format":null,"find_by":null,'
    b'"default_value":null,"module":null},'
)


def filled(start, piece, end, *, most_pieces):
    """As many of these pieces as an answer may hold; `%d` in one is its number."""
    content, left, pieces = [start], MAX_DETAILS_BYTES - len(start) - len(end), most_pieces - 20
    for number in itertools.count():
        part = piece.replace(b"%d", b"%x" % number)
        left -= len(part)
        pieces -= sum(part.count(mark) for mark in (b"{", b"[", b",", b":"))
        if left < 0 or pieces < 0:
            break
        content.append(part)
    return b"".join([*content, end])


ANSWERS = {
    "empty objects": (b'{"resource":[', b"{},", b"{}]}"),
    "objects": (b'{"resource":[', b'{"":0},', b"{}]}"),
    "keys": (b'{"resource":[{', '"ā%d":0,'.encode(), b'"z":0}]}'),
    "characters of four bytes": ('{"status":"😀","resource":['.encode(), b"{},", b"{}]}"),
    "objects in a default value": (IN_DEFAULT + b"[", b'{"":0},', b"0]}]}]}"),
    "keys in a default value": (IN_DEFAULT + b"{", '"ā%d":0,'.encode(), b'"z":0}}]}]}'),
    "texts in a default value": (IN_DEFAULT + b"[", '"ā",'.encode(), b"0]}]}]}"),
    "escapes": (IN_DEFAULT + b"[", b'"\\u0101\\u0102\\u0103",', b"0]}]}]}"),
    "keys in an error": (IN_ERROR + b"{", '"ā%d":0,'.encode(), b'"z":0}}'),
    "objects in an error": (IN_ERROR + b"[", b'{"":0},', b"0]}"),
}


def read(body, status="200 OK"):
    """What reading this answer takes after an ordinary one, and what is said of it."""
    answers = [(json.dumps(job_payload()).encode(), "200 OK"), (body, status)]

    def serve(connection, head):
        content, how = answers.pop(0)
        answer(connection, gzip.compress(content), how, "Content-Encoding: gzip\r\n")

    with raw_server(serve) as server:
        done = subprocess.run(
            [sys.executable, "-c", READ, server.url, JOB_ID], capture_output=True, check=True
        )
    return json.loads(done.stdout)


@pytest.mark.parametrize("name", ANSWERS)
@pytest.mark.parametrize(
    ("status", "most_pieces"),
    [("200 OK", MOST_PIECES), ("200 OK", MAX_DETAILS_BYTES), ("404 Not Found", MAX_DETAILS_BYTES)],
)
def test_a_hostile_answer_is_read_or_refused_in_little_memory(name, status, most_pieces):
    got = read(filled(*ANSWERS[name], most_pieces=most_pieces), status)

    assert got["grown"] < 16 * MIB


def test_an_answer_just_below_the_cap_is_read():
    got = read(filled(b'{"resource":[{"field_mappings":[', MAPPING, b"{}]}]}", most_pieces=49_000))

    assert got["said"] == MOST_MAPPINGS
    assert got["grown"] < 16 * MIB


@pytest.mark.parametrize("size", [MAX_DETAILS_BYTES, 4 * MIB])
def test_a_larger_answer_is_refused_unread(size):
    got = read(b'{"resource":[' + b"{}," * (size // 3) + b"{}]}")

    assert "larger than" in got["said"]
    assert got["grown"] < 4 * MIB


def test_an_answer_of_too_many_pieces_is_refused_unread():
    got = read(b'{"resource":[' + b"{}," * (MOST_PIECES // 2) + b"{}]}")

    assert "too many pieces" in got["said"]
    assert got["grown"] < 4 * MIB
