"""The rows of result CSVs: read exactly as Python's csv reads them, in little memory."""

import csv
import io
import tracemalloc
from unittest import mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobs.tests.zoho.result_zips import CSV, HEADER, reader, rows
from jobs.zoho import result_text
from jobs.zoho.result_files import ResultFileError, ResultLimits, RowError
from jobs.zoho.result_text import LONGEST_CELL


def test_a_result_is_read_in_order():
    result = reader(CSV)
    assert result.columns == ("Deal_Name", "Stage", "Amount")
    first, second, third, fourth = result
    assert (first.number, first.status, first.record_id) == (1, "added", "111111000000541958")
    assert first.values == ("Big", "New", "1")
    assert first.errors == ()
    assert second.status == "skipped"
    assert second.errors == (
        RowError("MANDATORY_NOT_FOUND", "Company"),
        RowError("MANDATORY_NOT_FOUND", "Last_Name"),
        RowError("DUPLICATE_DATA", "Email"),
    )
    assert (third.status, fourth.status) == ("updated", "unprocessed")


def test_a_reader_can_be_read_twice():
    result = reader(CSV)
    assert list(result) == list(result)


@pytest.mark.parametrize("delimiter", [",", ";", "|", "\t"])
def test_the_four_delimiters(delimiter):
    cells = ['"a,b;c|d\te"', "s", "1", "added", "9", ""]
    text = CSV.splitlines()[0].replace(",", delimiter) + "\r\n" + delimiter.join(cells)
    [row] = rows(text)
    assert row.values == ("a,b;c|d\te", "s", "1")


@pytest.mark.parametrize(
    ("codec", "declared"),
    [
        ("utf-8", None),
        ("utf-8-sig", None),
        ("utf-16", None),
        ("utf-16", "UTF-8"),
        ("utf-16-le", "UTF-16LE"),
        ("cp1252", "windows-1252"),
        ("latin-1", "ISO-8859-1"),
        ("shift_jis", "Shift_JIS"),
        ("gb18030", "GB18030"),
        ("utf-8", "ISO-8859-1"),
        ("utf-8", "UTF-16LE"),
        ("utf-8", "utf-7"),
        ("utf-8", "no such thing"),
    ],
)
def test_the_encoding_is_found(codec, declared):
    name = "日本" if codec in ("shift_jis", "gb18030", "utf-16") else "Müller"
    result = reader(CSV.replace("Big", name).encode(codec), encoding=declared)
    assert result.columns[0] == "Deal_Name"
    assert next(iter(result)).values[0] == name


@pytest.mark.parametrize("codec", ["utf-8", "cp1252"])
def test_letters_beyond_ascii_that_come_late_settle_the_encoding(codec):
    late = "Deal_Name,STATUS,ERRORS\n" + "Big,added,\n" * 20_000 + "Müller,added,\n"
    *_, last = reader(late.encode(codec), encoding="windows-1252")
    assert last.values == ("Müller",)


def test_a_character_cut_short_at_the_very_end_is_none_of_utf_8():
    text = "Deal_Name,STATUS,ERRORS\nBig,skipped,INVALID_DATA-Qualit\xe9"
    [row] = reader(text.encode("latin-1"), encoding="ISO-8859-1")
    assert row.errors_text == "INVALID_DATA-Qualité"


def test_bytes_that_fit_no_encoding_are_replaced():
    result = reader(CSV.encode().replace(b"Big", b"B\xff\xed\xa0\x80g").replace(b"Third", b"\xfc"))
    first, _, third, _ = result
    assert first.values[0] == "B\ufffd\ufffd\ufffd\ufffdg"
    assert third.values[0] == "\ufffd"
    assert (result.undecodable, result.undecodable_rows) == (5, [1, 3])


def test_replacement_characters_that_were_in_the_file_are_not_counted():
    result = reader(CSV.encode().replace(b"Big", "B\ufffdg".encode()).replace(b"Third", b"\xfc"))
    assert next(iter(result)).values[0] == "B\ufffdg"
    assert len(list(result)) == 4
    assert (result.undecodable, result.undecodable_rows) == (1, [3])


def test_utf_16_without_a_byte_order_mark_is_read_as_declared():
    for codec in ("utf-16-le", "utf-16-be"):
        [first, *_] = rows(CSV.encode(codec), encoding="UTF-16")
        assert first.values[0] == "Big"


def test_headers_match_in_any_case_and_place():
    text = "\ufeff errors , Name,Record_Id ,status\nINVALID_DATA-Name,x,5,Skipped\n"
    [row] = rows(text)
    assert (row.status, row.record_id, row.values) == ("skipped", "5", ("x",))
    assert row.errors == (RowError("INVALID_DATA", "Name"),)


@pytest.mark.parametrize(
    ("header", "columns"),
    [
        ("Status,Source,Country,STATUS,RECORD_ID,ERRORS", ("Status", "Source", "Country")),
        ("Errors,B,RECORD_ID,STATUS,RECORD_ID,ERRORS", ("Errors", "B", "RECORD_ID")),
        ("Record_Id,STATUS,errors,STATUS,RECORD_ID,ERRORS", ("Record_Id", "STATUS", "errors")),
        ("status,B,Errors,Status,Record_Id,errors", ("status", "B", "Errors")),
        ("Id,record_id,B,Status,Record_Id,Errors", ("Id", "record_id", "B")),
    ],
)
def test_columns_of_the_upload_may_be_named_as_those_of_zoho(header, columns):
    result = reader(f"{header}\nx,y,z,skipped,5,INVALID_DATA-A\n")
    [row] = result
    assert result.columns == columns
    assert (row.values, row.status, row.record_id) == (("x", "y", "z"), "skipped", "5")
    assert row.errors_text == "INVALID_DATA-A"


def test_a_later_column_whose_name_is_not_in_upper_case_is_not_one_of_zohos():
    [row] = rows("STATUS,RECORD_ID,ERRORS,Status,Record_Id\nadded,5,,x,y\n")
    assert (row.status, row.record_id, row.values) == ("added", "5", ("x", "y"))


def test_a_record_id_column_may_be_missing():
    [row] = rows("Name,STATUS,ERRORS\nx,added,\n")
    assert row.record_id == ""


def test_quoted_line_breaks_belong_to_their_cell():
    text = HEADER + '"two\r\nlines",s,1,added,1,\r\n\r\nnext,s,1,added,2,\r\n'
    assert [row.values[0] for row in rows(text)] == ["two\r\nlines", "next"]


def test_nuls_are_left_out():
    [row] = rows(HEADER + "a\0b,s,1,added,1,\n")
    assert row.values[0] == "ab"
    [row] = rows((HEADER + "a\0b,s,1,added,1,\n").encode("utf-16"))
    assert row.values[0] == "ab"


def test_ragged_rows_are_kept_and_counted():
    result = reader(HEADER + "short,s\nlong,s,1,added,1,,extra\nright,s,1,added,1,\n")
    found = list(result)
    assert [row.status for row in found] == ["", "added", "added"]
    assert all(len(row.values) == 3 for row in found)
    assert (result.ragged, result.ragged_rows) == (2, [1, 2])


@pytest.mark.parametrize("text", ["Name,Stage\nx,y\n", '{"code":1}', "STATUS\nadded\n"])
def test_another_csv_is_refused_with_its_columns(text):
    with pytest.raises(ResultFileError, match="no STATUS and ERRORS columns"):
        reader(text)


@pytest.mark.parametrize("data", [b"", b"  \n\n", b"\0\0\0"])
def test_an_empty_csv_is_refused(data):
    with pytest.raises(ResultFileError):
        reader(data)


@pytest.mark.parametrize("page", ["<html><body>Sign in</body></html>", "\n <?xml?><error/>"])
def test_a_web_page_is_called_one(page):
    with pytest.raises(ResultFileError, match="web page or XML"):
        reader(page)


def test_a_header_without_rows_is_no_error():
    for text in (HEADER, HEADER.strip(), HEADER + "\r\n\n"):
        assert rows(text) == []


def test_more_columns_than_zoho_has_are_refused():
    header = ",".join(f"c{number}" for number in range(247))
    [row] = rows(f"{header},STATUS,RECORD_ID,ERRORS\n{'x,' * 247}added,1,\n")
    assert len(row.values) == 247
    with pytest.raises(ResultFileError, match="251 columns"):
        reader(f"one,{header},STATUS,RECORD_ID,ERRORS\n")
    with pytest.raises(ResultFileError, match=r"[\d,]+ columns"):
        reader(",".join(f"Column_{number}" for number in range(10_000)) + ",STATUS,ERRORS\n")


def test_a_cell_is_read_up_to_its_limit_and_refused_beyond():
    longest = "x" * LONGEST_CELL
    [row] = rows(f"{HEADER}{longest},s,1,added,1,\n")
    assert row.values[0] == longest
    [row] = rows(f'{HEADER}"{longest}",s,1,added,1,\n')
    assert row.values[0] == longest
    for quote in ("", '"'):
        with pytest.raises(ResultFileError, match="after row 1: field larger"):
            rows(f"{HEADER}a,b,c,added,1,\n{quote}x{longest}{quote},s,1,added,1,\n")


@pytest.mark.parametrize("quote", ["", '"'])
def test_a_cell_of_50_megabytes_is_refused(quote):
    data = HEADER + quote + "x" * 50_000_000 + quote + ",s,1,added,1,\n"
    with pytest.raises(ResultFileError, match=r"endless row after row 0|field larger"):
        rows(data, limits=ResultLimits(max_ratio=10_000))


@pytest.mark.parametrize("piece", [b"x,", b'"\n",', b'"a\n",'])
def test_an_endless_row_is_refused_in_bounded_memory(piece):
    data = HEADER.encode() + piece * (30_000_000 // len(piece))
    result = reader(data, ResultLimits(max_ratio=5000))
    tracemalloc.start()
    with pytest.raises(ResultFileError, match="endless row"):
        list(result)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 100 * 1024 * 1024


def test_a_large_result_is_read_in_little_memory():
    data = HEADER + "Deal,New,1,skipped,,INVALID_DATA-Amount\n" * 100_000
    result = reader(data)
    tracemalloc.start()
    assert sum(1 for _ in result) == 100_000
    assert sum(block.rows for block in result.blocks()) == 100_000
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4 * 1024 * 1024


def as_python_reads(text, delimiter, width):
    """The rows of a text, header left out, as csv.reader gives them, padded and cut to a width."""
    lines = io.StringIO(text.replace("\0", ""), newline="")
    _, *records = csv.reader(lines, delimiter=delimiter)
    return [(record + [""] * width)[:width] for record in records if record]


def check_reading(body, delimiter, encoding, piece):
    """All ways of reading a result of six columns give what csv.reader gives."""
    text = HEADER.replace(",", delimiter) + body
    with mock.patch.object(result_text, "PIECE_BYTES", piece):
        result = reader(text.encode(encoding))
        blocks = list(result.blocks())
        found = list(result)
    expected = as_python_reads(text, delimiter, 6)
    assert [block.row(i) for block in blocks for i in range(block.rows)] == expected
    assert [block.first for block in blocks] == [
        1 + sum(block.rows for block in blocks[:place]) for place in range(len(blocks))
    ]
    for place in range(6):
        column = [cell for block in blocks for cell in block.column(place)]
        assert column == [cells[place] for cells in expected]
    assert [row.values for row in found] == [tuple(cells[:3]) for cells in expected]
    assert [row.errors_text for row in found] == [cells[5] for cells in expected]
    assert [row.number for row in found] == list(range(1, len(expected) + 1))


delimiters = st.sampled_from([",", ";", "|", "\t"])
encodings = st.sampled_from(["utf-8", "utf-8-sig", "utf-16"])
pieces = st.sampled_from([2, 3, 16, 64, 65_536])


@settings(max_examples=150, deadline=None)
@given(st.text(st.sampled_from('",;|\t\n\r\0 aé日\ufffd')), delimiters, encodings, pieces)
def test_any_text_is_read_exactly_as_python_reads_it(body, delimiter, encoding, piece):
    check_reading(body, delimiter, encoding, piece)


cells = st.text(st.sampled_from('",;|\t\n\r aé'), max_size=4) | st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=6
)
plain = st.text(st.sampled_from(",;|\t\n\r aé"), max_size=4)


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.lists(plain, min_size=6, max_size=6), max_size=8)
    | st.lists(st.lists(cells, min_size=6, max_size=6), max_size=8),
    delimiters,
    st.sampled_from(["\n", "\r\n", "\r"]),
    st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
    encodings,
    pieces,
)
def test_what_a_csv_writer_wrote_is_read_back(table, delimiter, end, quoting, encoding, piece):
    out = io.StringIO(newline="")
    csv.writer(out, delimiter=delimiter, lineterminator=end, quoting=quoting).writerows(table)
    check_reading(out.getvalue(), delimiter, encoding, piece)
    if quoting == csv.QUOTE_ALL:
        assert as_python_reads("\n" + out.getvalue(), delimiter, 6) == table


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.lists(plain, min_size=6, max_size=6), min_size=1, max_size=6),
    st.sampled_from(['"', '""', ",", "\n", "\r", "\0", " ", 'x"', '"x']),
    st.randoms(use_true_random=False),
    pieces,
)
def test_a_csv_with_a_flaw_is_read_exactly_as_python_reads_it(table, flaw, dice, piece):
    out = io.StringIO(newline="")
    csv.writer(out, quoting=csv.QUOTE_ALL).writerows(table)
    at = dice.randint(0, len(out.getvalue()))
    check_reading(f"{out.getvalue()[:at]}{flaw}{out.getvalue()[at:]}", ",", "utf-8", piece)


@pytest.mark.parametrize(
    "body",
    [
        "a,b,c,added,1\na,b,c,added,1,,x\n",
        "a,b,c,added,1,,x\na,b,c,added,1\n",
        '"a",b,c,added,1,x"y"\n',
        '"a",b,c,added,1,x"y\n',
        'x,b,c,added,1," "z\n',
        '"a",b"c"d,e,added,1,x\n',
        '"a",b "c",d,added,1,\n',
        '"a"b,"c" ,d,added,1,\n',
        '"a"b"c",d,"e",added,1,\n',
        'a,b,c,added,1,"x\ra,b,c,added,1,"y"\n',
        'a,b,c,added,1,"say ""x"", y"\n"",b,c,added,1,""\n',
        "a,b,c,added,1,\r\r\nb,b,c,added,1,",
        'a,b,c,added,1,"never closed\n' + "a,b,c,added,1,\n" * 9,
    ],
)
def test_odd_rows_are_read_exactly_as_python_reads_them(body):
    for piece in (1, 5, 65_536):
        check_reading(body, ",", "utf-8", piece)


@pytest.mark.parametrize(
    "body",
    [
        "a,b,c,added,1,\n" * 3,
        "a,b,c,added,1,\r" * 3,
        '"a,b",c,"d\ne",added,1,"x,y"\n' * 3,
        '"a\r\nb",c,"",added,1,"x"\r\n' * 3,
        'a,b,c,added,1,"x"',
    ],
)
def test_plain_rows_and_plain_quotes_are_split_without_pythons_csv(body):
    assert result_text.split_rows(body, ",", 6) is not None


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=300), st.sampled_from([None, "UTF-16", "cp1252", "\0", "x"]))
def test_any_bytes_give_rows_or_a_result_file_error(data, encoding):
    try:
        for row in rows(HEADER.encode() + data, encoding=encoding):
            "".join(row.values).encode("utf-8")
        rows(data, encoding=encoding)
    except ResultFileError:
        pass
