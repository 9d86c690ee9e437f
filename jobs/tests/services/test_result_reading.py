"""Reading pages of rows from a kept result."""

import csv
import unicodedata
from io import StringIO
from pathlib import Path
from unittest.mock import patch

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jobs.models import ResultFile
from jobs.services.reasons import OTHER_REASONS, UNPROCESSED
from jobs.services.results import reading
from jobs.services.results.reading import (
    CHARACTERS_SHOWN,
    COLUMNS_SHOWN,
    ROW_STATUSES,
    NotKeptError,
    RowFilter,
    known_total,
    matching_rows,
    open_file,
    page_of_rows,
)
from jobs.tests.factories import completed, make_job, make_result
from jobs.tests.factories import observe as see
from jobs.tests.stand_in import csv_of
from jobs.zoho.result_files import Block, RowReader

SIZE = 3


def keep(*rows, columns=("Last_Name",), **more_files):
    """A kept result and its first file; each row is its values, STATUS, RECORD_ID, ERRORS."""
    job = make_job()
    see(job, completed(job, added=0, updated=0, skipped=0, total=0))
    files = {"Leads-Leads.csv": csv_of(*rows, columns=columns).decode()}
    result = make_result(job, files | {f"{name}.csv": text for name, text in more_files.items()})
    return result, result.files.first()


def numbers(kept, **wanted):
    return [row.number for row in rows_of(*kept, RowFilter(**wanted))]


def rows_of(result, file, wanted):
    with open_file(result, file) as reader:
        return list(matching_rows(reader, file, wanted))


@pytest.fixture
def kept(db):
    return keep(
        ("Boyle", "ADDED", "101", ""),
        ("Huber", " Skipped ", "", "INVALID_DATA-Last_Name"),
        ("Huber & Sons", "UPDATED", "102", ""),
        ("", "SKIPPED", "", "MANDATORY_NOT_FOUND-Last_Name,Company:INVALID_DATA-Email"),
        ("Straße", "unprocessed", "", ""),
        ("O'Neil", "ODD", "", "INVALID_DATA"),
        ("Zoë", "ADDED", "103", ""),
    )


def test_all_rows_come_in_the_order_of_the_file(kept):
    rows = rows_of(*kept, RowFilter())

    assert [row.number for row in rows] == [1, 2, 3, 4, 5, 6, 7]
    assert rows[1].status == "skipped"
    assert rows[0].record_id == "101"
    assert rows[2].values == ("Huber & Sons",)


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ({"status": "added"}, [1, 7]),
        ({"status": "updated"}, [3]),
        ({"status": "skipped"}, [2, 4]),
        ({"status": "unprocessed"}, [5]),
        ({"status": "left_out"}, [2, 4, 5]),
        ({"status": "other"}, [6]),
        ({"code": "INVALID_DATA"}, [2, 4, 6]),
        ({"code": "INVALID_DATA", "field": "Last_Name"}, [2]),
        ({"code": "INVALID_DATA", "field": ""}, [6]),
        ({"field": "Last_Name"}, [2, 4]),
        ({"field": "Company"}, [4]),
        ({"code": UNPROCESSED, "field": ""}, [5]),
        ({"code": "NOT_APPROVED", "field": "Company"}, []),
        ({"code": "INVALID_DATA", "status": "skipped"}, [2, 4]),
        ({"code": "INVALID_DATA", "status": "other"}, [6]),
        ({"text": "huber"}, [2, 3]),
        ({"text": "SONS hub"}, [3]),
        ({"text": "strasse"}, [5]),
        ({"text": "102"}, [3]),
        ({"text": "nowhere"}, []),
        ({"text": "skipped"}, []),
        ({"text": "zoë", "status": "added"}, [7]),
        ({"text": "huber", "status": "left_out", "code": "INVALID_DATA"}, [2]),
        ({"text": "  "}, [1, 2, 3, 4, 5, 6, 7]),
    ],
)
def test_rows_are_filtered(kept, wanted, found):
    assert numbers(kept, **wanted) == found
    page = page_of_rows(*kept, RowFilter(**wanted), 1, 50)
    assert [row.number for row in page.rows] == found
    assert page.total == len(found)


@pytest.mark.parametrize(
    ("number", "shown", "is_at"),
    [(1, [1, 2, 3], 1), (2, [4, 5, 6], 2), (3, [7], 3), (4, [7], 3), (10**8, [7], 3)],
)
@pytest.mark.parametrize("is_total_known", [True, False])
@pytest.mark.parametrize("in_block", [1, 2, SIZE, 7])
def test_a_page_beyond_the_last_is_the_last(
    kept, monkeypatch, number, shown, is_at, is_total_known, in_block
):
    monkeypatch.setattr(RowReader, "blocks", in_blocks_of(in_block))
    if not is_total_known:
        monkeypatch.setattr(reading, "known_total", lambda file, wanted: None)
    page = page_of_rows(*kept, RowFilter(), number, SIZE)

    assert [row.number for row in page.rows] == shown
    assert page.number == is_at
    assert page.total == 7


@pytest.mark.parametrize(
    ("wanted", "total"),
    [
        ({}, 7),
        ({"status": "left_out"}, 3),
        ({"status": "other"}, 1),
        ({"status": "updated"}, 1),
        ({"code": "INVALID_DATA", "field": "Last_Name"}, 1),
        ({"code": "INVALID_DATA"}, None),
        ({"field": "Last_Name"}, None),
        ({"code": "INVALID_DATA", "field": "Last_Name", "status": "skipped"}, None),
        ({"code": "NOT_APPROVED", "field": "x"}, None),
        ({"code": OTHER_REASONS, "field": ""}, None),
        ({"text": "huber"}, None),
    ],
)
def test_the_stored_figures_tell_how_many_match_where_they_can(kept, wanted, total):
    assert known_total(kept[1], RowFilter(**wanted)) == total


def test_no_more_is_read_than_a_page_needs(db, monkeypatch):
    rows = [(f"Name {number}", "ADDED", str(number), "") for number in range(10_000)]
    kept = keep(*rows)
    blocks = []
    read = RowReader.blocks
    monkeypatch.setattr(
        RowReader,
        "blocks",
        lambda self: (blocks.append(block.first) or block for block in read(self)),
    )

    page_of_rows(*kept, RowFilter(), 1, SIZE)
    few = len(blocks)
    page_of_rows(*kept, RowFilter(text="name"), 1, SIZE)

    assert few == 1
    assert len(blocks) - few > 2


def test_where_rows_are_searched_they_are_counted_by_status(kept):
    page = page_of_rows(*kept, RowFilter(text="e", status="added"), 1, SIZE)

    assert page.total == 1
    assert {status: rows for status, rows in page.statuses.items() if rows} == {
        "": 5,
        "added": 1,
        "skipped": 1,
        "updated": 1,
        "unprocessed": 1,
        "left_out": 2,
        "other": 1,
    }
    assert set(page.statuses) <= {"", *ROW_STATUSES}


@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_accents_are_found_however_they_are_written(db, form):
    job = make_job()
    see(job, completed(job, added=1, updated=0, skipped=0, total=1))
    name = unicodedata.normalize(form, "Müller")
    result = make_result(job, {"Leads.csv": f"Last_Name,STATUS,ERRORS\n{name},added,\n"})
    result.job = job

    for asked in ("NFC", "NFD"):
        wanted = RowFilter(text=unicodedata.normalize(asked, "MÜLLER"))
        assert page_of_rows(result, result.files.get(), wanted, 1, SIZE).total == 1


def test_rows_of_further_reasons_are_those_with_a_reason_that_is_not_listed(kept):
    _, file = kept
    file.reasons.filter(field="Email").delete()
    file.reasons.create(code=OTHER_REASONS, rows=1)

    assert numbers(kept, code=OTHER_REASONS, field="") == [4]


def test_a_hostile_row_is_cut_to_what_a_page_shows(db):
    columns = [f"c{number}" for number in range(200)]
    kept = keep(["x" * 5000, *["y"] * 199, "SKIPPED", "", "z" * 9000], columns=columns)

    (row,) = page_of_rows(*kept, RowFilter(), 1, SIZE).rows

    assert len(row.values) == COLUMNS_SHOWN
    assert len(row.values[0]) == CHARACTERS_SHOWN + 1
    assert row.errors_text == ""
    assert len(rows_of(*kept, RowFilter())[0].values[0]) == 5000


def test_a_copy_that_went_missing_is_told_apart(kept):
    result, file = kept
    Path(result.archive.path).unlink()

    with pytest.raises(NotKeptError):
        page_of_rows(result, file, RowFilter(), 1, SIZE)
    with pytest.raises(NotKeptError):
        rows_of(result, file, RowFilter())


def test_a_file_that_the_zip_does_not_hold_is_not_kept(kept):
    result, _ = kept
    with pytest.raises(NotKeptError):
        page_of_rows(result, ResultFile(result=result, position=9, rows=1), RowFilter(), 1, SIZE)


def test_a_file_without_record_ids_has_none(db):
    job = make_job()
    see(job, completed(job, added=0, updated=0, skipped=0, total=0))
    result = make_result(job, {"Leads.csv": "Name,STATUS,ERRORS\nBoyle,ADDED,\n"})

    (row,) = rows_of(result, result.files.get(), RowFilter(text="boyle"))

    assert row.record_id == ""


cells = st.text(st.sampled_from('aAbßÅ 1;,"\n-'), max_size=4)
errors = st.sampled_from(
    ["", "INVALID_DATA-Name", "DUPLICATE_DATA-Email:INVALID_DATA-Name", "INVALID_DATA", "odd"]
)
statuses = st.sampled_from(["ADDED", "updated", "SKIPPED", "skipped", "UNPROCESSED", "odd", ""])
table = st.lists(st.tuples(cells, statuses, st.sampled_from(["", "1", "12"]), errors), max_size=20)


@settings(
    deadline=None, max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    rows=table,
    status=st.sampled_from(["", *ROW_STATUSES]),
    code=st.sampled_from(["", "INVALID_DATA", "UNKNOWN"]),
    text=st.sampled_from(["", "a", "SS", "1 a", "12", ";"]),
    number=st.integers(1, 5),
    in_block=st.integers(1, 4),
)
def test_pages_hold_what_a_plain_reading_of_the_file_finds(
    db, rows, status, code, text, number, in_block
):
    kept = keep(*rows, columns=("Name",))
    plain = csv.reader(StringIO(csv_of(*rows).decode(), newline=""))
    next(plain)
    expected = [
        place
        for place, (name, said, record, why) in enumerate(plain, start=1)
        if _fits_status(said.strip().lower(), status)
        and (not code or said.strip().lower() not in ("added", "updated"))
        and (not code or code in why or (code == "UNKNOWN" and why == "odd"))
        and all(word in f"{name}\n{record}".casefold() for word in text.casefold().split())
    ]
    wanted = RowFilter(status=status, code=code, text=text)

    with patch.object(RowReader, "blocks", in_blocks_of(in_block)):
        page = page_of_rows(*kept, wanted, number, SIZE)

        assert numbers(kept, status=status, code=code, text=text) == expected
    assert page.total == len(expected)
    last = max(-(-len(expected) // SIZE), 1)
    at = min(number, last)
    assert page.number == at
    assert [row.number for row in page.rows] == expected[(at - 1) * SIZE : at * SIZE]


def in_blocks_of(rows):
    """`RowReader.blocks` with so many rows a block, that few rows may fill several."""
    read = RowReader.blocks

    def blocks(reader):
        for block in read(reader):
            for start in range(0, block.rows, rows):
                stop = min(start + rows, block.rows)
                cells = block.cells[start * block.stride : stop * block.stride]
                yield Block(block.first + start, stop - start, cells, block.stride)

    return blocks


def _fits_status(said, status):
    if status == "left_out":
        return said in ("skipped", "unprocessed")
    if status == "other":
        return said not in ("added", "updated", "skipped", "unprocessed")
    return not status or said == status
