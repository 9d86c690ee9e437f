"""Hostile result ZIPs take no memory: measured in a process of its own that analyses them."""

import json
import os
import random
import subprocess
import sys
import zipfile

import pytest

pytestmark = pytest.mark.slow

MIB = 1024 * 1024
HEADER = b"A,B,C,STATUS,RECORD_ID,ERRORS\n"
MANY = b",".join(b"c%d" % n for n in range(240))

# What growth is measured from: a worker that has loaded the product and read a result.
ANALYSE = """
import io, json, sys, zipfile
from pathlib import Path
import django
django.setup()
from jobs.services.results.analysis import analyse
from jobs.zoho.result_files import ResultFileError

def peak():
    # Not getrusage: its peak is that of the tests' process, if that had more.
    [line] = [x for x in Path("/proc/self/status").read_text().splitlines() if "VmHWM" in x]
    return int(line.split()[1]) * 1024

packed = io.BytesIO()
with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
    archive.writestr("a.csv", "A,STATUS,ERRORS\\n" + "x,added,\\n" * 10_000)
analyse(packed)
before = peak()
with open(sys.argv[1], "rb") as file:
    try:
        said = [[found.rows, found.error] for found in analyse(file)]
    except ResultFileError as error:
        said = str(error)
print(json.dumps({"grown": peak() - before, "said": said}))
"""


def numbered(line, count):
    return HEADER + b"".join(line % n for n in range(count))


def noise(count):
    dice = random.Random(5)
    return HEADER + b"".join(dice.randbytes(40) + b"\n" for _ in range(count))


def followed_values(count):
    """Different values of three columns said to be duplicates, and different reasons."""
    row = 'a{0},b{0},c{0},skipped,,"DUPLICATE_DATA-A,B,C:INVALID_DATA-A,f{0}"\n'
    return HEADER + "".join(row.format(n) for n in range(count)).encode()


def wide_values(count):
    """Different long values of characters that take four bytes each in memory."""
    row = "{}{},x,y,skipped,,DUPLICATE_DATA-A:INVALID_DATA-A,B\n"
    return HEADER + "".join(row.format("\U0001f600" * 190, n) for n in range(count)).encode()


FILES = {
    "NULs": (lambda: b"\0" * 60 * MIB, "is empty"),
    "NULs in a cell": (lambda: HEADER + b"x" + b"\0" * 60 * MIB + b",y,z,added,1,\n", 1),
    "plain rows": (lambda: HEADER + b"x,y,z,skipped,,INVALID_DATA-A\n" * 1_000_000, 1_000_000),
    "an endless line": (lambda: HEADER + b"xy," * 10_000_000, "endless row"),
    "an endless cell": (lambda: HEADER + b"x" * 50_000_000, "endless row"),
    "an endless quoted cell": (lambda: HEADER + b'"' + b"x\n" * 20_000_000, "field larger"),
    "an endless quoted row": (lambda: HEADER + b'"xy\n",' * 5_000_000, "endless row"),
    "rows to be padded": (
        lambda: MANY + b",STATUS,ERRORS\n" + b"x\n" * 300_000,
        300_000,
    ),
    "different reasons": (
        lambda: numbered(b"x,y,z,skipped,,SOME_CODE-field %d\n", 200_000),
        200_000,
    ),
    "different values": (
        lambda: numbered(b"value %d,y,z,skipped,,DUPLICATE_DATA-A\n", 300_000),
        300_000,
    ),
    "three columns of different values, and other reasons": (
        lambda: followed_values(40_000),
        40_000,
    ),
    "different wide values": (lambda: wide_values(40_000), 40_000),
    "different statuses": (lambda: numbered(b"x,y,z,status %d,,\n", 300_000), 300_000),
    "noise": (lambda: noise(200_000), None),
    "text in UTF-16": (
        lambda: ("A,STATUS,ERRORS\n" + "x,added,\n" * 500_000).encode("utf-16"),
        500_000,
    ),
}


def analysed(path):
    answer = subprocess.run(
        [sys.executable, "-c", ANALYSE, str(path)],
        capture_output=True,
        check=True,
        env=os.environ | {"DJANGO_SETTINGS_MODULE": "config.settings"},
    )
    return json.loads(answer.stdout)


def packed(path, *contents):
    """A ZIP of CSVs at this path."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for number, content in enumerate(contents):
            archive.writestr(f"{number}.csv", content)
    return path


@pytest.mark.parametrize("name", FILES)
def test_a_hostile_file_is_analysed_or_refused_in_little_memory(tmp_path, name):
    make, expected = FILES[name]
    answer = analysed(packed(tmp_path / "result.zip", make()))
    if isinstance(expected, int):
        assert answer["said"] == [[expected, ""]]
    elif expected:
        assert expected in str(answer["said"])
    assert answer["grown"] < 16 * MIB


def test_many_hostile_files_in_one_zip_take_no_more_memory_than_one(tmp_path):
    content = HEADER + b"".join(
        b"value %d,y,z,skipped,,INVALID_DATA-A:CODE-field %d\n" % (n, n) for n in range(1_500)
    )
    answer = analysed(packed(tmp_path / "result.zip", *[content] * 40))
    assert answer["said"] == [[1_500, ""]] * 40
    assert answer["grown"] < 16 * MIB


def test_a_bomb_is_refused_unread(tmp_path):
    path = tmp_path / "result.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.csv", b"\0" * 200 * MIB)
    answer = analysed(path)
    assert "packed too tightly" in answer["said"]
    assert answer["grown"] < 16 * MIB
