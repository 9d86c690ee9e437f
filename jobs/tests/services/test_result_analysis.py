"""What the analysis of a result ZIP finds, and what it says is odd."""

import io
from collections import Counter
from unittest import mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobs.models import FieldMapping, Resource, Result, SkipReason
from jobs.services.results import analysis, checks, column_facts, fetching
from jobs.services.results.analysis import analyse
from jobs.services.results.resources import resources_of_members
from jobs.tests.factories import make_job, make_result
from jobs.tests.stand_in import csv_of, zip_of
from jobs.zoho import result_text

COLUMNS = ("A", "B", "C")


def analysis_of(*rows, columns=COLUMNS, **options):
    """The analysis of a ZIP with one CSV of these rows."""
    content = zip_of(Leads=csv_of(*rows, columns=columns))
    [found] = analyse(io.BytesIO(content), **options)
    return found


def plain(analysis):
    """What was found of each reason, as it is stored."""
    return {
        key: {
            "rows": reason.rows,
            "first_rows": reason.first_rows,
            "samples": reason.samples,
            "facts": reason.facts and reason.facts.as_json(),
        }
        for key, reason in analysis.reasons.items()
    }


def counted_by_hand(rows):
    """The same by looking at all rows again for each reason."""
    hit = {}
    silent = {"skipped": ("NO_REASON_GIVEN", ""), "unprocessed": ("UNPROCESSED", "")}
    for number, (*_, status, _id, errors) in enumerate(rows, start=1):
        word = status.strip().lower()
        if word in ("added", "updated"):
            continue
        keys = set(errors)
        if not keys and word in silent:
            keys = {silent[word]}
        for key in keys:
            hit.setdefault(key, []).append(number)
    return {key: reason_by_hand(key, numbers, rows) for key, numbers in hit.items()}


def reason_by_hand(key, numbers, rows):
    facts = None
    if key[1] in COLUMNS:
        place = COLUMNS.index(key[1])
        values = Counter(rows[number - 1][place].strip() for number in numbers)
        empty = values.pop("", 0)
        facts = {
            "column": place,
            "empty": empty,
            "values": dict(values),
            "different": len(values),
            "repeated": None,
            "repeated_written": None,
        }
        if key[0] == "DUPLICATE_DATA":
            others = [others_of(number, place, rows) for number in numbers]
            facts["repeated"] = sum(bool(statuses) for statuses in others)
            facts["repeated_written"] = sum(
                bool(statuses & {"added", "updated"}) for statuses in others
            )
    return {
        "rows": len(numbers),
        "first_rows": numbers[:20],
        "samples": [{"row": n, "values": list(rows[n - 1][:3])} for n in numbers[:5]],
        "facts": facts,
    }


def others_of(number, place, rows):
    """The statuses of the other rows that have the value of this one; none for an empty value."""
    value = rows[number - 1][place].strip().casefold()
    return {
        row[3].strip().lower()
        for other, row in enumerate(rows, start=1)
        if value and other != number and row[place].strip().casefold() == value
    }


values = st.sampled_from(["", " ", "x", "X ", "y", "Straße", "STRASSE", 'say "z"', "a,b", "1\n2"])
errors = st.lists(
    st.tuples(
        st.sampled_from(["DUPLICATE_DATA", "INVALID_DATA"]),
        st.sampled_from([*COLUMNS, "D"]),
    ),
    max_size=3,
)
statuses = st.sampled_from(["ADDED", "updated", " Skipped ", "SKIPPED", "unprocessed", "odd"])
tables = st.lists(st.tuples(values, values, values, statuses, st.just(""), errors), max_size=40)


@settings(max_examples=120, deadline=None)
@given(tables, st.sampled_from([16, 65_536]))
def test_all_figures_are_those_that_counting_by_hand_gives(rows, piece):
    written = [(*row[:5], ":".join(f"{code}-{column}" for code, column in row[5])) for row in rows]
    with mock.patch.object(result_text, "PIECE_BYTES", piece):
        found = analysis_of(*written)
    expected = counted_by_hand(rows)
    shown = plain(found)
    for key, reason in shown.items():
        if reason["facts"] is not None:
            # Which of equally frequent values are shown is left open.
            all_values = expected[key]["facts"].pop("values")
            top = reason["facts"].pop("values")
            assert [all_values[value] for value, _ in top] == [rows for _, rows in top]
            assert [rows for _, rows in top] == sorted(all_values.values(), reverse=True)[:5]
    assert shown == expected
    assert found.statuses == Counter(row[3].strip().lower() for row in rows)
    assert found.rows == len(rows)
    assert found.other_rows == [n for n, row in enumerate(rows, 1) if row[3] == "odd"][:20]


def test_values_are_cut_but_counted_as_they_are():
    long = "x" * 300
    rows = [(long, "", "", "skipped", "", "INVALID_DATA-A")] * 2
    rows.append((long + "y", "", "", "skipped", "", "INVALID_DATA-A"))
    facts = plain(analysis_of(*rows))["INVALID_DATA", "A"]["facts"]
    assert facts["values"] == [["x" * 200, 2], ["x" * 200, 1]]
    assert facts["different"] == 2


def test_too_many_values_are_left_out_and_never_counted_wrong(monkeypatch):
    monkeypatch.setattr(column_facts, "MOST_COUNTED", 3)
    monkeypatch.setattr(column_facts, "MOST_FOLLOWED", 3)
    rows = [(f"v{n}", "", "", "skipped", "", "DUPLICATE_DATA-A") for n in (1, 2, 3)]
    facts = plain(analysis_of(*rows))["DUPLICATE_DATA", "A"]["facts"]
    assert (facts["different"], facts["repeated"], len(facts["values"])) == (3, 0, 3)
    rows.append(("v4", "", "", "skipped", "", "DUPLICATE_DATA-A"))
    facts = plain(analysis_of(*rows))["DUPLICATE_DATA", "A"]["facts"]
    assert facts["values"] == []
    assert facts["different"] is facts["repeated"] is facts["repeated_written"] is None
    assert facts["empty"] == 0


@pytest.mark.parametrize("memory", ["REASONS_MEMORY", "VALUES_MEMORY", "FOLLOWED_MEMORY"])
def test_whatever_memory_runs_out_each_reason_has_all_its_rows_or_none(monkeypatch, memory):
    rows = [(f"v{n}", "", "", "skipped", "", f"DUPLICATE_DATA-A:ODD-f{n % 9}") for n in range(99)]
    everything = plain(analysis_of(*rows))
    monkeypatch.setattr(result_text, "PIECE_BYTES", 64)
    for size in (0, 500, 4_000, 9_000):
        monkeypatch.setattr(analysis, memory, size)
        found = plain(analysis_of(*rows))
        has_others = found.pop(("OTHER_REASONS", ""), None) is not None
        assert has_others is (memory == "REASONS_MEMORY")
        assert all(reason["rows"] == everything[key]["rows"] for key, reason in found.items())


def test_a_column_with_too_many_values_is_followed_no_further_and_leaves_room(monkeypatch):
    monkeypatch.setattr(result_text, "PIECE_BYTES", 64)
    monkeypatch.setattr(analysis, "FOLLOWED_MEMORY", 20 * column_facts.FOLLOWED_BYTES)
    many = [(f"v{n}", "", "", "skipped", "", "DUPLICATE_DATA-A") for n in range(60)]
    few = [("", f"v{n}", "", "skipped", "", "DUPLICATE_DATA-B") for n in range(20)]
    found = plain(analysis_of(*many, *few, few[0]))
    repeated = [found["DUPLICATE_DATA", name]["facts"]["repeated"] for name in "AB"]
    assert repeated == [None, None]
    found = plain(analysis_of(*many, *few[:19], few[0]))
    repeated = [found["DUPLICATE_DATA", name]["facts"]["repeated"] for name in "AB"]
    assert repeated == [None, 2]


def test_three_columns_of_as_many_rows_as_zoho_takes_are_followed_and_leave_reasons_room():
    rows = [
        (f"a{n}", f"b{n}", f"c{n // 2}", "skipped", "", "DUPLICATE_DATA-A,B,C")
        for n in range(25_000)
    ]
    found = plain(analysis_of(*rows, ("", "", "", "skipped", "", "MANDATORY_NOT_FOUND-Last_Name")))
    assert {key: reason["rows"] for key, reason in found.items()} == {
        ("DUPLICATE_DATA", "A"): 25_000,
        ("DUPLICATE_DATA", "B"): 25_000,
        ("DUPLICATE_DATA", "C"): 25_000,
        ("MANDATORY_NOT_FOUND", "Last_Name"): 1,
    }
    repeated = [found["DUPLICATE_DATA", name]["facts"]["repeated"] for name in COLUMNS]
    assert repeated == [0, 0, 25_000]


def test_no_more_than_three_columns_are_followed():
    text = "DUPLICATE_DATA-A,B,C,D"
    found = plain(analysis_of(("x", "x", "x", "x", "skipped", "", text), columns=[*COLUMNS, "D"]))
    followed = [found["DUPLICATE_DATA", column]["facts"]["repeated"] for column in "ABCD"]
    assert followed == [0, 0, 0, None]


def test_a_row_with_many_unlisted_reasons_counts_once_among_them():
    limit = analysis.MAX_REASONS_PER_FILE
    rows = [("", "", "", "skipped", "", f"INVALID_DATA-f{n}") for n in range(limit)]
    rows.append(("", "", "", "skipped", "", "INVALID_DATA-g,h,f1"))
    found = plain(analysis_of(*rows))
    assert len(found) == limit + 1
    assert found["OTHER_REASONS", ""]["rows"] == 1
    assert found["INVALID_DATA", "f1"]["rows"] == 2
    assert sum(reason["rows"] for reason in found.values()) == limit + 2


def test_countless_statuses_are_counted_as_other():
    rows = [("", "", "", f"status {n}", "", "") for n in range(300)]
    found = analysis_of(*rows)
    assert (len(found.statuses), found.rows) == (101, 300)
    assert found.row_counts()["other_rows"] == 300


def test_a_zip_of_many_files_gives_the_memory_of_one(monkeypatch):
    monkeypatch.setattr(analysis, "REASONS_MEMORY", 100_000)
    text = csv_of(*((f"{n}", "", "", "skipped", "", f"ODD_CODE-f{n}") for n in range(100)))
    files = {f"f{n}": text for n in range(20)}
    found = analyse(io.BytesIO(zip_of(**files)))
    assert all(sum(reason.rows for reason in file.reasons.values()) == 100 for file in found)
    assert sum(len(file.reasons) for file in found) < 100


@pytest.fixture
def job(db):
    return make_job()


def make_resource(job, position, module, *names, **fields):
    resource = Resource.objects.create(job=job, position=position, module=module, **fields)
    FieldMapping.objects.bulk_create(
        FieldMapping(resource=resource, position=place, index=place, api_name=name)
        for place, name in enumerate(names)
    )
    return resource


def test_each_file_is_read_with_the_names_of_its_own_resource(job):
    parent = make_resource(job, 0, "Deals", "Name", "A,B")
    child = make_resource(job, 1, "Stages", "Name", "A", "B")
    text = csv_of(("x", "skipped", "", "INVALID_DATA-A,B"), columns=["Header"])
    content = zip_of(**{"Stages-up": text, "deals-UP": text, "Other": text})
    found = analyse(io.BytesIO(content), resources=[parent, child])
    assert [file.resource for file in found] == [child, parent, None]
    assert [sorted(column for _, column in file.reasons) for file in found] == [
        ["A", "B"],
        ["A,B"],
        ["A,B"],
    ]


def test_the_column_of_a_field_is_found_by_its_mapping(job):
    resource = make_resource(job, 0, "Leads", "Last_Name", "Company", "Email", "Phone")
    found = analysis_of(
        ("Meier", " ", "m@x", "skipped", "", "MANDATORY_NOT_FOUND-Company,Phone"),
        columns=["Name", "Firm", "Mail"],
        resources=[resource],
    )
    facts = plain(found)["MANDATORY_NOT_FOUND", "Company"]["facts"]
    assert (facts["column"], facts["empty"], facts["values"]) == (1, 1, [])
    assert plain(found)["MANDATORY_NOT_FOUND", "Phone"]["facts"] is None


def test_a_file_that_cannot_be_read_leaves_the_others_as_they_are():
    good = csv_of(("", "", "", "skipped", "", "INVALID_DATA-A"), columns=COLUMNS)
    broken = good + b'"' + b"x" * 200_000
    first, second = analyse(io.BytesIO(zip_of(Broken=broken, Good=good)))
    assert "field larger" in first.error
    assert (first.rows, first.reasons, first.row_counts()["skipped_rows"]) == (None, {}, None)
    assert (second.error, second.rows) == ("", 1)


@pytest.mark.parametrize(
    ("members", "resources", "expected"),
    [
        (["Deals-bulkwrite"], [("Deals", "Deals.csv")], [0]),
        (["anything"], [("Deals", "Deals.csv")], [0]),
        (["STAGES-x.CSV", "deals-x"], [("Deals", ""), ("Stages", "")], [1, 0]),
        (["Deals_2-x", "Deals-x"], [("Deals", ""), ("Deals_2", "")], [1, 0]),
        (["Deals-b.csv", "Deals-a.csv"], [("Deals", "a.csv"), ("Deals", "b.csv")], [1, 0]),
        (["b", "a"], [("Deals", "a.csv"), ("Deals", "b.csv")], [1, 0]),
        (["Deals-up", "Deals-up"], [("Deals", "a.csv"), ("Deals", "b.csv")], [0, 1]),
        (["Deals-b", "Deals-x"], [("Deals", "a.csv"), ("Deals", "b.csv")], [1, None]),
        (["Stages-x", "other"], [("Deals", ""), ("Stages", "")], [1, None]),
        (["Deals-x", "other"], [("Deals", ""), ("Stages", "")], [0, 1]),
        (["x", "y"], [("Deals", ""), ("Stages", ""), ("Notes", "")], [None, None]),
        (["Deals-1", "Deals-2"], [("Deals", "")], [0, 0]),
        (["Deals-a", "Stages-a"], [("Deals", "a.csv"), ("Stages", "a.csv")], [0, 1]),
        (["x"], [], [None]),
    ],
)
def test_files_belong_to_resources_by_name_then_by_order(members, resources, expected):
    known = [Resource(module=module, file_name=name) for module, name in resources]
    found = resources_of_members(members, known)
    assert [known.index(item) if item else None for item in found] == expected


def warned(job, **files):
    """The warnings of a result of these CSVs."""
    return make_result(job, {name: text.decode() for name, text in files.items()}).warnings


ADDED, SKIPPED = ("x", "added", "1", ""), ("x", "skipped", "", "INVALID_DATA-Last_Name")


def test_an_orderly_result_has_no_warnings(job):
    make_resource(job, 0, "Deals", added_count=1, updated_count=0, skipped_count=1, total_count=2)
    make_resource(job, 1, "Stages", added_count=1, skipped_count=0, total_count=1)
    make_resource(job, 2, "Notes", total_count=0)
    assert warned(job, Deals=csv_of(ADDED, SKIPPED), Stages=csv_of(ADDED)) == []


def test_the_counts_of_each_resource_are_compared_with_its_file(job):
    make_resource(job, 0, "Deals", added_count=2, skipped_count=0, total_count=2)
    make_resource(job, 1, "Stages", added_count=1, skipped_count=1, total_count=2)
    assert warned(job, Deals=csv_of(ADDED, SKIPPED), Stages=csv_of(ADDED, ADDED)) == [
        "Zoho's count and its result file for Deals differ: 2 rows added by the count, 1 in the "
        "file.",
        "Zoho's count and its result file for Deals differ: 0 rows skipped by the count, 1 in the "
        "file.",
        "Zoho's count and its result file for Stages differ: 1 rows added by the count, 2 in the "
        "file.",
        "Zoho's count and its result file for Stages differ: 1 rows skipped by the count, 0 in "
        "the file.",
    ]


def test_of_one_file_the_counts_are_not_compared_here(job):
    make_resource(job, 0, "Deals", added_count=2, skipped_count=0, total_count=2)
    assert warned(job, Deals=csv_of(ADDED, SKIPPED)) == []
    make_resource(job, 1, "Stages", total_count=0)
    assert warned(job, Deals=csv_of(ADDED, SKIPPED)) == []


def test_reasons_are_stored_with_their_rows_and_what_their_column_shows(job):
    make_resource(job, 0, "Leads", "Last_Name", "Company")
    make_result(job, {"Leads-up": csv_of(ADDED, SKIPPED, SKIPPED).decode()})
    reason = SkipReason.objects.get()
    assert (str(reason), reason.first_rows, len(reason.samples)) == (
        "INVALID_DATA-Last_Name",
        [2, 3],
        2,
    )
    assert reason.facts == {
        "column": 0,
        "empty": 0,
        "values": [["x", 2]],
        "different": 1,
        "repeated": None,
        "repeated_written": None,
    }
    assert reason.file.resource.module == "Leads"


def test_a_resource_that_is_gone_when_the_result_is_stored_is_not_referred_to(job):
    gone = make_resource(job, 0, "Leads", "Last_Name")
    content = io.BytesIO(zip_of(Leads=csv_of(SKIPPED)))
    found = analyse(content, resources=fetching.resources_of(job))
    gone.delete()
    result = Result.objects.create(job=job)
    fetching._keep(result, content, found)
    assert (result.is_archived, result.files.get().resource) == (True, None)


def test_a_resource_without_a_file_and_with_two_is_told(job):
    make_resource(job, 0, "Deals", total_count=2)
    make_resource(job, 1, "Stages")
    assert warned(job, **{"Deals-1": csv_of(ADDED), "Deals-2": csv_of(ADDED)}) == [
        "The result has 2 files of Deals: Deals-1, Deals-2.",
        "No file in the result is known to be that of Stages.",
    ]


def test_odd_rows_are_told_with_their_numbers(job):
    odd = ("x", "on hold", "", "")
    assert warned(job, Leads=csv_of(ADDED, odd, ADDED, *[odd] * 7)) == [
        "Leads has 8 rows whose STATUS is none of added, updated, skipped, unprocessed: rows 2, "
        "4, 5, 6, 7 and others."
    ]
    assert warned(make_job(), Leads=csv_of(odd)) == [
        "Leads has 1 row whose STATUS is none of added, updated, skipped, unprocessed: row 1."
    ]
    assert warned(make_job(), Leads=csv_of(ADDED, (*ADDED, "y"), ADDED, (*ADDED, "y"))) == [
        "Leads has rows with more or fewer cells than its header: rows 2 and 4."
    ]


def test_characters_that_cannot_be_read_are_told():
    content = csv_of(ADDED, ADDED).replace(b"\r\nx", b"\r\n\xff\xfe", 1)
    found = analyse(io.BytesIO(zip_of(Leads=content)))
    assert checks.warnings(found, []) == [
        "Leads.csv has 2 characters that cannot be read as UTF-8, shown as \ufffd: row 1."
    ]


def test_an_unreadable_file_is_told_and_its_counts_are_not_compared(job):
    deals = make_resource(job, 0, "Deals", added_count=2, total_count=2)
    stages = make_resource(job, 1, "Stages", added_count=1, total_count=1)
    content = zip_of(Deals=b"Name\nx\n", Stages=csv_of(ADDED))
    resources = [deals, stages]
    found = analyse(io.BytesIO(content), resources=resources)
    [only] = checks.warnings(found, resources)
    assert only.startswith("Deals.csv could not be read: The ")
    assert "no STATUS and ERRORS columns" in only


def test_rows_in_the_crm_are_kept_out_by_no_reason():
    found = analysis_of(
        ("a", "b", "c", "added", "1", "INVALID_DATA-B"),
        ("d", "e", "f", "skipped", "", "INVALID_DATA-B"),
        ("g", "h", "i", "added", "2", " "),
    )

    assert found.reasons["INVALID_DATA", "B"].first_rows == [2]
    [warning] = checks.warnings([found], [])
    assert "1 row added or updated although Zoho names an error" in warning
