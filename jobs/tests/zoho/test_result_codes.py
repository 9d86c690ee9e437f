"""The grammar of the ERRORS column, and what its codes mean."""

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobs.tests.zoho.result_zips import rows
from jobs.zoho.result_codes import RESULT_CODES, UNKNOWN, describe_result_code, parse_errors
from jobs.zoho.result_files import RowError


@pytest.mark.parametrize(
    ("text", "errors"),
    [
        ("", []),
        ("  ", []),
        ("INVALID_DATA-Amount", [("INVALID_DATA", "Amount")]),
        (
            "MANDATORY_NOT_FOUND-Company,Last_Name:DUPLICATE_DATA-Email",
            [
                ("MANDATORY_NOT_FOUND", "Company"),
                ("MANDATORY_NOT_FOUND", "Last_Name"),
                ("DUPLICATE_DATA", "Email"),
            ],
        ),
        ("INVALID_DATA-E-Mail", [("INVALID_DATA", "E-Mail")]),
        ("INVALID_DATA-Ratio: net", [("INVALID_DATA", "Ratio: net")]),
        ("INVALID_DATA-a:b:NOT_APPROVED-c", [("INVALID_DATA", "a:b"), ("NOT_APPROVED", "c")]),
        ("NOT_APPROVED", [("NOT_APPROVED", "")]),
        ("INVALID_DATA-A:NOT_APPROVED", [("INVALID_DATA", "A"), ("NOT_APPROVED", "")]),
        ("NOT_APPROVED:INVALID_DATA-A", [("NOT_APPROVED", ""), ("INVALID_DATA", "A")]),
        ("BRAND_NEW-A", [("BRAND_NEW", "A")]),
        ("BRAND_NEW", [("BRAND_NEW", "")]),
        ("INVALID_DATA-", [("INVALID_DATA", "")]),
        ("INVALID_DATA- A , B ", [("INVALID_DATA", "A"), ("INVALID_DATA", "B")]),
        ("something went wrong", [(UNKNOWN, "something went wrong")]),
        (": - ,", [(UNKNOWN, ": - ,")]),
    ],
)
def test_the_grammar(text, errors):
    assert list(parse_errors(text)) == errors


def test_known_columns_settle_what_the_grammar_leaves_open():
    text = "INVALID_DATA-City, State,Ratio:ABC-D,Plain:DUPLICATE_DATA-E-Mail"
    known = ["City", "City, State", "Ratio:ABC-D", "E-Mail"]
    assert list(parse_errors(text, known)) == [
        ("INVALID_DATA", "City, State"),
        ("INVALID_DATA", "Ratio:ABC-D"),
        ("INVALID_DATA", "Plain"),
        ("DUPLICATE_DATA", "E-Mail"),
    ]


def test_mapped_columns_and_the_header_are_known():
    text = 'Name,"City, State",STATUS,ERRORS\nx,y,skipped,"INVALID_DATA-City, State,A,B"\n'
    [row] = rows(text, mapped_columns=["A,B"])
    assert row.errors == (
        RowError("INVALID_DATA", "City, State"),
        RowError("INVALID_DATA", "A,B"),
    )


columns = st.lists(
    st.text(st.sampled_from("aB c-:,_Z"), min_size=1, max_size=8)
    .map(str.strip)
    .filter(lambda name: name and name[0] not in ",:" and name[-1] not in ",:"),
    min_size=1,
    max_size=3,
    unique=True,
)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(sorted(RESULT_CODES)), columns), max_size=4))
def test_what_is_written_with_simple_names_is_read_back(errors):
    simple = [
        (code, [name.translate(dict.fromkeys(map(ord, ",:"), "x")) for name in names])
        for code, names in errors
    ]
    text = ":".join(f"{code}-{','.join(names)}" for code, names in simple)
    expected = [(code, name) for code, names in simple for name in names]
    assert list(parse_errors(text)) == expected


@settings(max_examples=500, deadline=None)
@given(st.text(st.sampled_from("ABZ_-:, xNOT_APPROVED")) | st.text(), columns)
def test_any_text_gives_errors(text, known):
    errors = parse_errors(text, known)
    assert bool(errors) is bool(text.strip())
    assert all(code for code, _ in errors)


def test_a_long_text_is_read_quickly():
    started = time.monotonic()
    for text in (":A_-" * 10_000, "INVALID_DATA-" + "," * 50_000, "A" * 50_000, "A-:" * 20_000):
        assert len(parse_errors(text, [f"c{n}" for n in range(200)])) <= 200
    assert time.monotonic() - started < 1


def test_every_documented_code_is_explained():
    assert len(RESULT_CODES) == 8
    for code in RESULT_CODES:
        help_ = describe_result_code(code.lower())
        assert help_.code == code
        assert help_.meaning.endswith(".")
        assert help_.what_to_do.endswith(".")


def test_an_unknown_code_is_said_to_be_unknown():
    assert "does not explain" in describe_result_code("BRAND_NEW").meaning
    assert describe_result_code(UNKNOWN).code == UNKNOWN
