"""Which mapping and which column of the result file a name in ERRORS means."""

from dataclasses import dataclass

import pytest

from jobs.services.field_names import FieldNames


@dataclass
class Mapping:
    api_name: str
    index: int | None = None


LAST, EMAIL, COMPANY = Mapping("Last_Name", 2), Mapping("Email", 5), Mapping("Company", 7)
SOURCE = Mapping("Lead_Source")
LEADS = [LAST, EMAIL, COMPANY, SOURCE]


def names(columns, mappings=LEADS):
    return FieldNames(mappings, columns)


@pytest.mark.parametrize(
    ("name", "mapping", "column"),
    [
        ("Email", EMAIL, 1),
        ("E-Mail address", EMAIL, 1),
        ("Surname", LAST, 0),
        ("last name", LAST, 0),
        ("Lead_Source", SOURCE, None),
        ("Stage", None, None),
        ("", None, None),
    ],
)
def test_api_names_headers_and_labels_lead_to_the_mapping_and_its_column(name, mapping, column):
    known = names(["Surname", "E-Mail address", "Firm"])

    assert known.mapping_of(name) is mapping
    assert known.column_of(name) == column


def test_the_order_tells_nothing_where_list_and_indexes_order_differently():
    known = names(["A", "B", "C"], [Mapping("Last_Name", 5), Mapping("Email", 2)])

    assert known.mapping_of("A") is None
    assert known.column_of("A") == 0
    assert known.column_of("Last_Name") is None


def test_a_name_that_is_one_fields_and_the_header_over_another_tells_nothing():
    first, second = Mapping("Secondary_Email", 0), Mapping("Email", 1)
    known = names(["Email", "Mail"], [first, second])

    assert known.mapping_of("Email") is None
    assert known.column_of("Email") == 0


def test_one_column_that_feeds_two_fields_is_shown_once():
    first, twin, other = Mapping("Name", 0), Mapping("Title", 0), Mapping("Phone", 1)
    known = names(["Full name", "Tel"], [first, twin, other])

    assert known.mapping_of("Tel") is other
    assert known.column_of("Title") == 0


def test_two_fields_that_are_named_alike_are_not_guessed_between():
    known = names([], [Mapping("Last_Name", 0), Mapping("LastName", 1)])

    assert known.mapping_of("Last Name") is None
    assert known.mapping_of("LastName").index == 1


def test_names_that_deny_the_order_leave_it_no_column():
    mappings = [Mapping("Last_Name", 0), Mapping("Email", 1), Mapping("City", 2)]
    known = names(["Email", "City", "Phone"], mappings)

    assert [known.mapping_shown(place) for place in range(3)] == [None, None, None]
    assert known.mapping_of("Phone") is None
