"""Whatever was done to an upload before it is attached, no wrong row comes out of it."""

import io
from collections import Counter
from collections.abc import Collection, Iterable

from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from jobs.services.reimport.originals import Original, OriginalFileError
from jobs.services.reimport.report import Found, find, report
from jobs.tests.services.uploads import (
    HEADER,
    SHOWN,
    Format,
    Row,
    edited,
    formats,
    result_csv,
    rows,
)
from jobs.zoho.result_files import RowReader

fast = settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def found_in(
    content: bytes, result: bytes, encoding: str = ""
) -> tuple[Found, RowReader, Original]:
    reader = RowReader(lambda: io.BytesIO(result))
    original = Original(lambda: io.BytesIO(content), encoding, reader.columns)
    return find(reader, original, [None, None, None]), reader, original


def given_back(content: bytes, found: Found) -> list[bytes]:
    return [content[found.starts[row] : found.ends[row]] for row in found.match.output]


def shows_something(uploaded: list[Row]) -> bool:
    return any(any(row.key) for row in uploaded)


def gained_and_lost(uploaded: list[Row], attached: list[Row], columns: Collection[str]) -> bool:
    """Whether left-out rows made place for others that look the same in these columns."""

    def keys(rows: Iterable[Row]) -> set[tuple[str, ...]]:
        return {row.key_in(columns) for row in rows}

    before, after = Counter(uploaded), Counter(attached)
    left_out = [row for row in uploaded if row.is_left_out]
    return bool(keys(after - before) & keys(before - after) & keys(left_out))


def alike_at_every_place(uploaded: list[Row], attached: list[Row]) -> bool:
    """Whether only rows that are equal in all columns shown changed places."""
    return attached != uploaded and [row.key for row in attached] == [row.key for row in uploaded]


@fast
@given(rows, formats)
def test_of_the_very_upload_exactly_the_left_out_rows_come_back(uploaded, written):
    assume(shows_something(uploaded))
    header, *lines = written.file(uploaded)
    content = header + b"".join(lines)

    found, _, original = found_in(
        content, result_csv(uploaded, line_end=written.line_end), written.encoding
    )

    assert found.match.method == "order"
    assert content[: original.header_end] == header
    assert given_back(content, found) == [
        line for line, row in zip(lines, uploaded, strict=True) if row.is_left_out
    ]


@fast
@given(st.data(), rows, formats, st.sets(st.sampled_from(SHOWN), min_size=1))
def test_no_row_comes_back_that_was_not_left_out(data, uploaded, written, columns):
    attached = data.draw(edited(uploaded))
    assume(attached)
    # What looks the same in the columns compared can be told by nobody: a row put in the place of
    # a left-out one, and, where all columns shown are there, rows alike in them that changed
    # places. Of the latter the page warns.
    assume(not gained_and_lost(uploaded, attached, columns))
    shows_all = columns == set(SHOWN)
    assume(not (shows_all and alike_at_every_place(uploaded, attached)))
    names = [f"no {name}" if name in set(SHOWN) - columns else name for name in HEADER]
    header, *lines = written.file(attached, names)
    content = header + b"".join(lines)

    found, reader, original = found_in(
        content, result_csv(uploaded, line_end=written.line_end), written.encoding
    )
    match = found.match
    assert shows_all or match.method == "key"

    # Rows that were repeated in the file come back once for each time that they were left out.
    left_out = Counter(row for row in uploaded if row.is_left_out)
    assert not Counter(attached[row] for row in match.output) - left_out
    assert given_back(content, found) == [lines[row] for row in match.output]
    assert list(match.output) == sorted(set(match.output))
    assert match.matched == len(match.output) == len(match.reasons)
    assert match.matched + match.ambiguous + match.missing + match.changed == left_out.total()
    told = report(found, reader, original)
    assert told.left_out == left_out.total()
    assert told.untold == sum(row.status == "FAILED" for row in uploaded)
    if told.tone == "good":
        assert Counter(attached[row] for row in match.output) == left_out
        assert shows_all
        assert not told.untold
    for example in told.changed_examples:
        assert example["changes"]


@fast
@given(rows, st.randoms(use_true_random=False))
def test_shuffled_rows_with_keys_of_their_own_all_come_back(uploaded, random):
    uploaded = [
        Row(row.id, row.last_name, f"mail-{row.id}", row.firm, row.notes, row.status)
        for row in uploaded
    ]
    attached = random.sample(uploaded, len(uploaded))
    header, *lines = Format().file(attached)
    content = header + b"".join(lines)

    found, _, _ = found_in(content, result_csv(uploaded))

    assert given_back(content, found) == [
        line for line, row in zip(lines, attached, strict=True) if row.is_left_out
    ]


@fast
@given(st.binary(max_size=300), rows)
def test_any_bytes_give_an_answer_or_a_sentence(content, uploaded):
    try:
        found, _, _ = found_in(content, result_csv(uploaded))
    except OriginalFileError as error:
        assert str(error).endswith(".")
    else:
        assert found.match.matched == 0 or shows_something(uploaded)


@fast
@given(st.data(), rows, formats)
def test_of_a_damaged_file_no_two_rows_come_back_as_one(data, uploaded, written):
    header, *lines = written.file(uploaded)
    content = header + b"".join(lines)
    place = data.draw(st.integers(len(header), len(content)))
    wedge = data.draw(st.sampled_from((b'"', b"", b"\n", b"\0", b",")))
    damaged = content[:place] + wedge + content[place + data.draw(st.integers(0, 3)) :]

    try:
        found, _, _ = found_in(
            damaged, result_csv(uploaded, line_end=written.line_end), written.encoding
        )
    except OriginalFileError:
        return
    # Only the ids hold this sign. Where a delimiter stands in place of a line end, the file does
    # have one long row instead of two.
    for row, place in zip(given_back(damaged, found), found.match.output, strict=True):
        assert row.count(b"#") <= 1 or found.widths[place] > len(HEADER)
