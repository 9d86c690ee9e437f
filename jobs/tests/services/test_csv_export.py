"""CSV files of our own making."""

import csv
from io import StringIO

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.services.csv_export import defuse, stream

DANGEROUS = ("=", "+", "-", "@", "\t", "\r", "\n")


def read(rows):
    text = b"".join(stream(rows)).decode("utf-8-sig")
    return list(csv.reader(StringIO(text, newline="")))


@pytest.mark.parametrize(
    "cell",
    [
        "=1+1",
        "+1",
        "-1",
        "@SUM(A1)",
        "\t=1",
        "\r=1",
        "\n=1",
        "\0=1",
        " =1",
        "=cmd|'/c calc'!A0",
    ],
)
def test_what_a_spreadsheet_takes_for_a_formula_is_defused(cell):
    assert defuse(cell).startswith("'")


@pytest.mark.parametrize("cell", ["", "Boyle", "a=b", "1-2", "x@example.com", "Ünïcödé", "'=1"])
def test_other_text_is_left_alone(cell):
    assert defuse(cell) == cell


@given(st.text())
def test_no_cell_begins_as_a_formula(cell):
    assert not defuse(cell).lstrip(" ").startswith(DANGEROUS)


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=30), min_size=1))
def test_cells_come_back_as_they_were_written(cells):
    assert read([cells]) == [[defuse(cell) for cell in cells]]


def test_a_byte_order_mark_comes_first():
    assert b"".join(stream([["ä"]])) == b'\xef\xbb\xbf"\xc3\xa4"\r\n'


def test_half_a_character_is_replaced():
    assert read([["\ud800"]]) == [["?"]]
