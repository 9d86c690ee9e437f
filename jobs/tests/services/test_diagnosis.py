"""What a skip reason and the mappings say together: each sentence, and what it rests on."""

import pytest

from jobs.models import FieldMapping, Resource, SkipReason
from jobs.services.diagnosis import ImportedFile, default_text, diagnose, quoted

SHOWN = ("No.", "Email", "Stage")
HIDDEN = "which Zoho's result file does not show"
ATTACH = "Attach the uploaded file to get these rows with all their columns."


def mapping(api_name, index=None, **fields):
    return FieldMapping(api_name=api_name, index=index, **fields)


NUMBER, EMAIL, STAGE = mapping("External_Id", 0), mapping("Email", 1), mapping("Stage", 2)
CLOSING = mapping("Closing_Date", 8, format="dd/MM/yyyy")
THREE = (NUMBER, EMAIL, STAGE)
FOUR = (*THREE, CLOSING)


def facts(values=(), empty=0, **more):
    known = {"column": 0, "empty": empty, "values": [list(pair) for pair in values]}
    return known | {"different": None, "repeated": None, "repeated_written": None} | more


def said(code, field, rows, known=None, *, of=None, mappings=FOUR, columns=SHOWN, **file):
    """What is said of a reason on `rows` rows of a file of `of` rows."""
    reason = SkipReason(code=code, field=field, rows=rows, facts=known)
    return diagnose(reason, ImportedFile(columns, of, mappings=mappings, **file))


@pytest.mark.parametrize(
    ("field", "rows", "known", "mappings", "sentences"),
    [
        pytest.param(
            "Company", 500, None, THREE, ["Company is mandatory and was not mapped."],
            id="not mapped, all headers known",
        ),
        pytest.param(
            "Company", 500, None, FOUR,
            [
                "Company is mandatory and was not mapped: no mapping is named so. Should Company "
                f"be the header of a column {HIDDEN}, then that column was empty in these rows."
            ],
            id="not mapped, or a header that is not shown",
        ),
        pytest.param(
            "Company", 500, None, (),
            ["Where Company came from can't be told: no field mappings are known for this file."],
            id="no mappings known",
        ),
        pytest.param(
            "Company", 500, None, (mapping("company", 4), mapping("COMPANY", 5)),
            ["Where Company came from can't be told: several mappings could be meant."],
            id="fits two mappings",
        ),
        pytest.param(
            "Stage", 500, facts(empty=500), FOUR,
            ["Stage came from column 3 and is empty in all 500 rows hit."],
            id="empty in all",
        ),
        pytest.param(
            "Stage", 1, facts(empty=1), FOUR,
            ["Stage came from column 3 and is empty in the one row hit."],
            id="empty in the one",
        ),
        pytest.param(
            "Stage", 500, facts([("Won", 188)], empty=312), FOUR,
            [
                "Stage came from column 3 and is empty in 312 of the 500 rows hit.",
                "In the other 188 it holds a value, such as “Won”: perhaps one that leads to no "
                "record or user in Zoho CRM.",
            ],
            id="empty in some",
        ),
        pytest.param(
            "Stage", 5, facts([("Won", 5)]), FOUR,
            [
                "Stage came from column 3 and is not empty: in all 5 rows hit it holds a value, "
                "such as “Won”: perhaps one that leads to no record or user in Zoho CRM."
            ],
            id="empty in none",
        ),
        pytest.param(
            "No.", 7, facts(empty=7), FOUR,
            ["External_Id came from column 1, “No.” and is empty in all 7 rows hit."],
            id="named by its header",
        ),
        pytest.param(
            "Stage", 7, None, FOUR, ["Stage came from column 3."], id="read before facts were kept"
        ),
        pytest.param(
            "Closing_Date", 7, None, FOUR,
            [
                f"Closing_Date came from column 9, {HIDDEN}, so whether it was empty can't be seen "
                f"here. {ATTACH}"
            ],
            id="column not shown",
        ),
        pytest.param(
            "Stage", 7, facts(empty=7), (*THREE[:2], mapping("Stage", 2, default_value="New")),
            [
                "Stage came from column 3 and is empty in all 7 rows hit.",
                "Stage has the default value “New” in the mapping, which Zoho did not use for "
                "these rows.",
            ],
            id="with a default value",
        ),
        pytest.param(
            "Source", 7, None, (*THREE, mapping("Source", default_value={"value": "New"})),
            [
                "Source has no column: its mapping gives every row the default value “New”.",
                "Zoho found the field empty all the same.",
            ],
            id="a default value alone",
        ),
        pytest.param(
            "Owner", 7, None, (*THREE, mapping("Owner")),
            [
                "Owner is mapped, but to no column, and without a default value.",
                "Zoho found the field empty all the same.",
            ],
            id="mapped to nothing",
        ),
        pytest.param(
            "no. ext", 7, None, (*THREE, mapping("No_Ext", 7)),
            [
                f"No_Ext came from column 8, {HIDDEN}, so whether it was empty can't be seen here. "
                f"{ATTACH}"
            ],
            id="named by its label",
        ),
        pytest.param("", 7, None, FOUR, [], id="no field named"),
    ],
)  # fmt: skip
def test_a_mandatory_field_was_not_mapped_or_is_empty(field, rows, known, mappings, sentences):
    assert said("MANDATORY_NOT_FOUND", field, rows, known, mappings=mappings) == sentences


def test_a_shown_column_that_fits_no_mapping_is_called_a_column_of_the_file():
    # Neither the names nor the order of these mappings tell what fed the column.
    mappings = (mapping("A", 9), mapping("B", 4))

    found = said(
        "MANDATORY_NOT_FOUND", "Firm", 7, facts(empty=7), columns=("Firm",), mappings=mappings
    )

    assert found == ["Firm is a column of the file and is empty in all 7 rows hit."]


@pytest.mark.parametrize(
    ("field", "rows", "known", "sentences"),
    [
        pytest.param(
            "Email", 40, facts([("n/a", 26), ("a b", 9), ("c", 1)], empty=1, different=6),
            ["Email came from column 2: “n/a” stands in 26 of the 40 rows hit, “a b” in 9, 4 hold "
             "other values, 1 is empty."],
            id="frequent values",
        ),
        pytest.param(
            "Email", 1, facts([("n/a", 1)], different=1),
            ["Email came from column 2: “n/a” stands in the one row hit."],
            id="one row",
        ),
        pytest.param(
            "Email", 3, facts([("x@", 1), ("y@", 1), ("z@", 1)], different=3),
            ["Email came from column 2: 3 different values, such as “x@”, “y@”, “z@”."],
            id="all different",
        ),
        pytest.param(
            "Email", 9000, facts(empty=1, different=None),
            ["Email came from column 2: 1 of the 9,000 rows hit is empty."],
            id="too many to count",
        ),
        pytest.param(
            "Stage", 40, facts([("Wno", 40)], different=1),
            ["Stage came from column 3: “Wno” stands in all 40 rows hit.",
             "If Stage is a picklist, it may not have these choices in Zoho CRM."],
            id="few values may be choices",
        ),
        pytest.param(
            "Stage", 40, facts([], different=1),
            ["Stage came from column 3."],
            id="values that were deleted may have been anything",
        ),
        pytest.param(
            "Email", 40, facts([("a at b@", 40)], different=1),
            ["Email came from column 2: “a at b@” stands in all 40 rows hit."],
            id="an address is no choice",
        ),
        pytest.param(
            "Stage", 4, facts([("31/12/2026", 4)], different=1),
            ["Stage came from column 3: “31/12/2026” stands in all 4 rows hit.",
             "“31/12/2026” looks like a date, and the mapping names no format for Stage: Zoho may "
             "read it in another order of day, month and year."],
            id="a date without a format",
        ),
        pytest.param(
            "No.", 4, facts([("3.65E+17", 4)], different=1),
            ["External_Id came from column 1, “No.”: “3.65E+17” stands in all 4 rows hit.",
             "“3.65E+17” is how a spreadsheet shortens a long number: its digits are lost. Write "
             "the column as text from the source."],
            id="a number that a spreadsheet shortened",
        ),
        pytest.param(
            "Closing_Date", 4, None,
            [f"Closing_Date came from column 9, {HIDDEN}, so its values can't be seen here. "
             f"{ATTACH}",
             "Zoho was told to read Closing_Date as dd/MM/yyyy."],
            id="column not shown",
        ),
        pytest.param(
            "Phone", 4, None, ["Where Phone came from can't be told: no mapping is named so."],
            id="no mapping named so",
        ),
        pytest.param("", 4, None, [], id="no field named"),
    ],
)  # fmt: skip
def test_invalid_data_names_the_values(field, rows, known, sentences):
    assert said("INVALID_DATA", field, rows, known) == sentences


@pytest.mark.parametrize(
    ("pattern", "value", "ending"),
    [
        ("dd/MM/yyyy", "31/02/2026", "; “31/02/2026” is no date in that form"),
        ("dd/MM/yyyy", "2026-12-31", "; “2026-12-31” is no date in that form"),
        ("dd/MM/yyyy", "31/12/2026", ""),
        ("yyyy-MM-dd HH:mm:ss", "2026-12-31 23:59:59", ""),
        ("yyyy-MM-dd'T'HH:mm:ss", "next week", ""),  # letters that are not known here
        ("dd dd", "31 31", ""),
        ("dd %", "31 %", ""),
        ("", "n/a", None),
    ],
)
def test_invalid_dates_are_held_against_the_format(pattern, value, ending):
    mappings = (*THREE[:2], mapping("Stage", 2, format=pattern))

    sentences = said("INVALID_DATA", "Stage", 1, facts([(value, 1)]), mappings=mappings)

    told = [line for line in sentences if "was told to read" in line]
    expected = [] if ending is None else [f"Zoho was told to read Stage as {pattern}{ending}."]
    assert told == expected


def test_a_default_value_alone_is_what_zoho_refused():
    mappings = (*THREE, mapping("Owner", default_value={"name": "Ann", "value": None}))

    assert said("INVALID_DATA", "Owner", 3, mappings=mappings) == [
        "Owner has no column: its mapping gives every row the default value “Ann”."
    ]


ONCE = (
    "The Email stands only once in this file, for {}: a record in the CRM had it before, or "
    "another import brought it."
)


@pytest.mark.parametrize(
    ("known", "sentences"),
    [
        pytest.param(
            facts(repeated=46, repeated_written=41),
            ["The same Email stands in another row of this file that was imported, for 41 of the "
             "50 rows hit: the file itself repeats it.",
             "The same Email stands in other rows of this file, none of them imported, for 5 of "
             "the 50 rows hit: a record may have had it before.",
             ONCE.format("4 of the 50 rows hit")],
            id="each kind",
        ),
        pytest.param(
            facts(repeated=0, repeated_written=0), [ONCE.format("all 50 rows hit")],
            id="none repeated",
        ),
        pytest.param(
            facts(repeated=48, repeated_written=48, empty=2),
            ["The same Email stands in another row of this file that was imported, for 48 of the "
             "50 rows hit: the file itself repeats it."],
            id="empty ones are not once",
        ),
        pytest.param(
            facts(repeated=50, repeated_written=None),
            ["The same Email stands in another row of this file, for all 50 rows hit."],
            id="written or not is not known",
        ),
        pytest.param(
            facts(),
            ["Whether this file repeats its values of Email or the CRM had them before is not "
             "known: they were not followed through the file."],
            id="not followed",
        ),
        pytest.param(
            {},
            ["Whether this file repeats its values of Email or the CRM had them before is not "
             "known: they were not followed through the file."],
            id="read before facts were kept",
        ),
    ],
)  # fmt: skip
def test_duplicates_in_the_file_are_told_from_those_in_the_crm(known, sentences):
    assert said("DUPLICATE_DATA", "Email", 50, known) == sentences


def test_duplicates_in_a_column_that_is_not_shown_are_not_guessed_at():
    assert said("DUPLICATE_DATA", "Closing_Date", 50) == [
        f"Closing_Date came from column 9, {HIDDEN}, so whether this file repeats its values or "
        f"the CRM had them before can't be seen here. {ATTACH}"
    ]
    assert said("DUPLICATE_DATA", "", 50) == []


BY_KEY = (
    "The job finds records by External_Id; Email is another field that must be unique, and another "
    "record has its value."
)
INSERTS = (
    "The job only inserts. With upsert and Email as find_by, Zoho would update the record that has "
    "the value."
)
KEY_OF_MAPPING = (mapping("External_Id", 0, find_by="External_Id"), EMAIL, STAGE)
LOOK_UP = (mapping("Account", 0, find_by="Account_Name"), EMAIL, STAGE)


@pytest.mark.parametrize(
    ("operation", "find_by", "mappings", "sentences"),
    [
        ("insert", "", FOUR, [INSERTS]),
        ("Insert", "", FOUR, [INSERTS]),
        ("upsert", "External_Id", FOUR, [BY_KEY]),
        ("upsert", "", KEY_OF_MAPPING, [BY_KEY]),
        ("update", "External_Id", FOUR, [BY_KEY]),
        ("upsert", "", LOOK_UP, []),
        ("upsert", "Email", FOUR, []),
        ("upsert", "", FOUR, []),
        ("", "", FOUR, []),
    ],
)
def test_duplicates_are_told_with_what_the_operation_finds_records_by(
    operation, find_by, mappings, sentences
):
    once = facts(repeated=0, repeated_written=0)
    resource = Resource(module="Leads", find_by=find_by)

    found = said(
        "DUPLICATE_DATA", "Email", 50, once,
        operation=operation, resource=resource, mappings=mappings,
    )  # fmt: skip

    assert found == [ONCE.format("all 50 rows hit"), *sentences]


TIERS = (mapping("Parent_Id", 0, parent_column_index=1, module="Products"), mapping("Price", 1))
PRODUCTS = Resource(module="Products", position=0, skipped_count=17)
UNTOLD = facts([("PRD-1", 2)], different=2)
CODES = (
    "Parent_Id came from column 1, “Code”: “PRD-1” stands in 2 of the 3 rows hit, 1 holds another "
    "value."
)


@pytest.mark.parametrize(
    ("parent", "sentences"),
    [
        (None, []),
        (Resource(module="Products", skipped_count=None), []),
        (Resource(module="Products", skipped_count=0), []),
        (
            PRODUCTS,
            ["Of Products, 17 rows were skipped: rows that belong to those may have no parent."],
        ),
    ],
)
def test_a_row_without_its_parent_says_where_the_parent_was_looked_for(parent, sentences):
    found = said(
        "RESOURCE_NOT_FOUND", "Parent_Id", 3, UNTOLD,
        mappings=TIERS, columns=("Code", "Price"), parent=parent,
    )  # fmt: skip

    assert found == [
        "Parent_Id leads to the row's parent, a Products record: its value was looked for in "
        "column 2 of the parents' file.",
        *sentences,
        CODES,
    ]


@pytest.mark.parametrize(
    ("parent", "named", "where"),
    [
        (Resource(module="Products", file_name="p.csv"), "a Products record", "p.csv"),
        (PRODUCTS, "a Products record", "the parents' file"),
        (None, "a record", "the parents' file"),
    ],
)
def test_a_parent_is_named_as_far_as_it_is_known(parent, named, where):
    mappings = (mapping("Parent_Id", 5, parent_column_index=0),)

    first = said("RESOURCE_NOT_FOUND", "Parent_Id", 3, mappings=mappings, parent=parent)[0]

    assert first == (
        f"Parent_Id leads to the row's parent, {named}: its value was looked for in column 1 of "
        f"{where}."
    )


@pytest.mark.parametrize(
    ("linked", "by"),
    [
        ({"module": "Accounts", "find_by": "Account_Name"}, "by Account_Name"),
        ({"module": "Accounts"}, "by its record ID"),
    ],
)
def test_a_look_up_says_which_record_was_looked_for(linked, by):
    mappings = (*THREE[:2], mapping("Account", 2, **linked))

    assert said("RESOURCE_NOT_FOUND", "Account", 3, facts([("x", 3)]), mappings=mappings) == [
        f"Account refers to a record of Accounts, which was looked for {by}.",
        "Account came from column 3, “Stage”: “x” stands in all 3 rows hit.",
    ]


@pytest.mark.parametrize(
    ("operation", "field", "find_by", "sentences"),
    [
        ("update", "id", "", ["The record to update was looked for by id and not found."]),
        (
            "update", "External_Id", "External_Id",
            ["The record to update was looked for by External_Id and not found."],
        ),
        (
            "update", "", "External_Id",
            ["The record to update was looked for by External_Id and not found."],
        ),
        ("update", "", "", ["The record to update was looked for and not found."]),
        ("update", "Stage", "External_Id", []),
        ("insert", "id", "", []),
    ],
)  # fmt: skip
def test_an_update_says_by_what_its_record_was_looked_for(operation, field, find_by, sentences):
    mappings = (mapping("id", 1), mapping("External_Id", 0), mapping("Stage", 2))
    resource = Resource(find_by=find_by)

    found = said(
        "RESOURCE_NOT_FOUND", field, 3,
        mappings=mappings, columns=(), operation=operation, resource=resource,
    )  # fmt: skip

    assert [line for line in found if "record to update" in line] == sentences


@pytest.mark.parametrize(
    ("code", "sentence"),
    [
        ("MANDATORY_NOT_FOUND", "that can come from the mapping rather than from the rows"),
        ("INVALID_DATA", "that can come from the mapping rather than from the rows"),
        ("RESOURCE_NOT_FOUND", "that can come from the mapping rather than from the rows"),
        ("DUPLICATE_DATA", "the file may have been imported before, or a wrong column is mapped"),
    ],
)
def test_a_reason_of_all_rows_is_told(code, sentence):
    assert f"All 500 rows of the file were hit: {sentence}." in said(code, "Email", 500, of=500)
    for rows, of in ((499, 500), (500, None), (9, 9)):
        assert not any("of the file were hit" in line for line in said(code, "Email", rows, of=of))


@pytest.mark.parametrize(
    "code",
    ["NOT_APPROVED", "BLOCKED_RECORD", "CANNOT_PROCESS", "LIMIT_EXCEEDED", "BRAND_NEW", "UNKNOWN"],
)
def test_codes_of_which_no_more_is_known_say_nothing_more(code):
    assert said(code, "Email", 500, facts([("x", 500)]), of=500) == []


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({"value": "Web form"}, "“Web form”"),
        ({"name": "Ann", "id": "4"}, "“Ann”"),
        ({"value": {"name": "Acme", "id": "4"}}, "“Acme”"),
        ("plain", "“plain”"),
        ({"value": True}, "“true”"),
        ({"value": None}, '“{"value": null}”'),
        ([1, "é"], '“[1, "é"]”'),
    ],
)
def test_default_values_are_told_as_people_read_them(value, text):
    assert default_text(value) == text


def test_values_stay_on_one_short_line():
    assert quoted("a\n b\tc") == "“a b c”"
    assert quoted("x" * 200) == f"“{'x' * 60}…”"
