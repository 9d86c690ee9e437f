"""The grammar of the ERRORS column, and what its codes mean."""

import itertools
import re

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
        (
            "INVALID_DATA-Email: DUPLICATE_DATA-Phone: NOT_APPROVED",
            [("INVALID_DATA", "Email"), ("DUPLICATE_DATA", "Phone"), ("NOT_APPROVED", "")],
        ),
        ("NOT_APPROVED: INVALID_DATA-A", [("NOT_APPROVED", ""), ("INVALID_DATA", "A")]),
        ("INVALID_DATA-Ratio: NET-A", [("INVALID_DATA", "Ratio: NET-A")]),
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


@pytest.mark.parametrize(
    ("known", "errors"),
    [
        (["A,B", "C"], [("INVALID_DATA", "A,B"), ("DUPLICATE_DATA", "C")]),
        (["A,B: DUPLICATE_DATA-C"], [("INVALID_DATA", "A,B: DUPLICATE_DATA-C")]),
        (["A", "B"], [("INVALID_DATA", "A"), ("INVALID_DATA", "B"), ("DUPLICATE_DATA", "C")]),
    ],
)
def test_a_space_after_the_colon_parts_errors_unless_a_known_column_has_it(known, errors):
    assert list(parse_errors("INVALID_DATA-A,B: DUPLICATE_DATA-C", known)) == errors


def test_after_a_space_too_a_reading_that_knows_all_columns_wins():
    text = "NOT_APPROVED: INVALID_DATA-A,B,C"
    assert list(parse_errors(text, ["A", "A,B", "B,C"])) == [
        ("NOT_APPROVED", ""),
        ("INVALID_DATA", "A"),
        ("INVALID_DATA", "B,C"),
    ]


def test_mapped_columns_and_the_header_are_known():
    text = 'Name,"City, State",STATUS,ERRORS\nx,y,skipped,"INVALID_DATA-City, State,A,B"\n'
    [row] = rows(text, mapped_columns=["A,B"])
    assert row.errors == (
        RowError("INVALID_DATA", "City, State"),
        RowError("INVALID_DATA", "A,B"),
    )


names = st.text(
    st.sampled_from("aB -:,_Zé") | st.characters(exclude_categories=["Cs", "C", "Z"]),
    min_size=1,
    max_size=8,
) | st.sampled_from(
    [
        "a,b",
        "E-Mail",
        "NOT_APPROVED",
        "INVALID_DATA-x",
        "a:NOT_APPROVED",
        "a:INVALID_DATA-b",
        "A_B-c",
    ]
)
names = names.map(str.strip).filter(bool)
known_names = st.lists(names, min_size=1, max_size=6, unique=True)


@st.composite
def written_errors(draw):
    """Names of columns, errors on some of them, and how Zoho writes these."""
    known = draw(known_names)
    columns = st.lists(st.sampled_from(known), min_size=1, max_size=3)
    errors = draw(
        st.lists(st.tuples(st.sampled_from(sorted(RESULT_CODES)), columns), min_size=1, max_size=4)
    )
    text = ":".join(f"{code}-{','.join(hit)}" for code, hit in errors)
    return known, [(code, name) for code, hit in errors for name in hit], text


def readings(text, known, code=""):
    """All readings of a text by documented codes and known columns, longer names first."""
    if not code:
        for begun in RESULT_CODES:
            if text == begun:
                yield [(begun, "")]
            elif text.startswith(f"{begun}:"):
                yield from (
                    [(begun, ""), *rest] for rest in readings(text[len(begun) + 1 :], known)
                )
            elif text.startswith(f"{begun}-"):
                yield from readings(text[len(begun) + 1 :], known, begun)
        return
    for name in sorted(known, key=len, reverse=True):
        if text == name:
            yield [(code, name)]
        elif text.startswith(f"{name},"):
            rests = readings(text[len(name) + 1 :], known, code)
            yield from ([(code, name), *rest] for rest in rests)
        elif text.startswith(f"{name}:"):
            yield from ([(code, name), *rest] for rest in readings(text[len(name) + 1 :], known))


@settings(max_examples=200, deadline=None)
@given(written_errors())
def test_errors_on_known_columns_are_read_back_as_they_were_written(case):
    known, errors, text = case
    possible = list(itertools.islice(readings(text, known), 100))
    assert errors in possible or len(possible) == 100
    found = list(parse_errors(text, known))
    assert found == possible[0]
    if len(possible) == 1:
        assert found == errors


plain_names = st.text(st.sampled_from("aB cé-_Z"), min_size=1, max_size=8).map(str.strip)


@settings(max_examples=300, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(sorted(RESULT_CODES)),
            st.lists(plain_names.filter(bool), min_size=1, max_size=3),
        ),
        max_size=4,
    )
)
def test_names_without_commas_and_colons_need_not_be_known(errors):
    text = ":".join(f"{code}-{','.join(names)}" for code, names in errors)
    assert list(parse_errors(text)) == [(code, name) for code, names in errors for name in names]


@pytest.mark.parametrize(
    ("known", "columns"),
    [
        (["A", "B", "A,B"], ["A,B"]),
        (["A", "A,B", "B,C"], ["A", "B,C"]),
        (["A", "B,C", "A,B"], ["A", "B,C"]),
        (["A", "B"], ["A", "B", "C"]),
    ],
)
def test_a_reading_that_knows_all_columns_wins_then_the_longer_name(known, columns):
    text = ",".join(columns) if "C" in str(columns) else "A,B"
    assert [error.column for error in parse_errors(f"INVALID_DATA-{text}", known)] == columns


def letters(text):
    return re.sub(r"[\s,:-]", "", text)


texts = st.text(max_size=60) | st.lists(
    st.sampled_from([*RESULT_CODES, "ABC", "a", "B c", "-", ":", ",", " ", "é", "\0"]), max_size=14
).map("".join)


@settings(max_examples=300, deadline=None)
@given(texts, st.lists(names, max_size=4))
def test_any_text_gives_errors_that_hold_all_of_it(text, known):
    errors = parse_errors(text, known)
    assert bool(errors) is bool(text.strip())
    if [error.code for error in errors] == [UNKNOWN]:
        assert errors[0].column == text.strip()
        return
    left = letters(text)
    for place, (code, column) in enumerate(errors):
        assert code
        is_another_column = place and code == errors[place - 1].code
        head = letters(code)
        if left.startswith(head + letters(column)) or not is_another_column:
            left = left.removeprefix(head)
        assert left.startswith(letters(column))
        left = left.removeprefix(letters(column))
    assert left == ""


@pytest.mark.parametrize(
    "piece",
    [
        *(":A_-", "INVALID_DATA-", ",", "A", "A-:", " :", "x"),
        *("NOT_APPROVED:", "NOT_APPROVED: ", ":NOT_APPROVED", "NOT_APPROVED,"),
        *("INVALID_DATA-c1:", "INVALID_DATA-c1,c2: NOT_APPROVED:", "c1,", "c1:", "c1,c1:"),
    ],
)
@pytest.mark.parametrize("start", ["", "INVALID_DATA-", "INVALID_DATA-c1:NOT_APPROVED:"])
@pytest.mark.parametrize("end", ["", "NOT_APPROVED", "INVALID_DATA-c1", "?"])
def test_no_text_however_long_raises_or_gives_more_than_200_errors(piece, start, end):
    known = [*(f"c{n}" for n in range(200)), "c1,c1", "c1:NOT_APPROVED"]
    for length in (500, 19_900, 50_000):
        text = start + piece * (length // len(piece)) + end
        assert 1 <= len(parse_errors(text, known)) <= 200


def test_of_more_than_200_errors_the_first_are_read_with_the_known_columns():
    text = ":".join(["NOT_APPROVED", "INVALID_DATA-A,B"] * 300)
    expected = [("NOT_APPROVED", ""), ("INVALID_DATA", "A,B")] * 100
    assert list(parse_errors(text, ["A,B"])) == expected


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
