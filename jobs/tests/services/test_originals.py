"""Reading an attached CSV: its rows and the bytes they are made of."""

import io
import tracemalloc

import pytest

from jobs.services.reimport import originals
from jobs.services.reimport.originals import Original, OriginalFileError


def read(content: bytes, *, declared: str = "", shown: tuple[str, ...] = ("A",)) -> Original:
    return Original(lambda: io.BytesIO(content), declared, shown)


def rows(content: bytes, **how: object) -> list[tuple[bytes, list[str]]]:
    original = read(content, **how)  # type: ignore[arg-type]
    return [(content[row.start : row.end], row.cells) for row in original.records()]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
def test_each_row_is_its_own_bytes(encoding, end):
    lines = ["A;B", 'ä;"x;y"', f'"two{end}lines";""""', "last;"]
    codec = encoding.removesuffix("-sig") + ("-le" if encoding == "utf-16" else "")
    mark = "\ufeff" if encoding in ("utf-8-sig", "utf-16") else ""
    encoded = [(line + end).encode(codec) for line in lines]
    content = mark.encode(codec) + b"".join(encoded)

    original = read(content, declared=encoding)
    assert original.header == ("A", "B")
    assert original.delimiter == ";"
    assert content[: original.header_end] == (mark + lines[0] + end).encode(codec)
    assert [row for row, _ in rows(content, declared=encoding)] == encoded[1:]
    assert [cells for _, cells in rows(content, declared=encoding)] == [
        ["ä", "x;y"],
        [f"two{end}lines", '"'],
        ["last", ""],
    ]


@pytest.mark.parametrize("codec", ["utf-16-le", "utf-16-be"])
def test_halves_of_characters_end_no_line(codec):
    # The second half of one and the first of the next look like a line end, in either order.
    row = "\u0a0d\u0a00\u0a0d\u0d0a"
    content = f"\ufeffA\n{row}\nx\n".encode(codec)

    assert rows(content) == [(f"{row}\n".encode(codec), [row]), ("x\n".encode(codec), ["x"])]


def test_utf_16_without_a_mark_is_read_where_it_was_declared():
    assert rows("A\nx\n".encode("utf-16-be"), declared="UTF-16")[0][1] == ["x"]


def test_blank_lines_are_no_rows_and_belong_to_none():
    assert rows(b"\n\nA,B\n\n1,2\n\r\n\n3,4") == [(b"1,2\n", ["1", "2"]), (b"3,4", ["3", "4"])]
    assert rows(b"A,B\n,\n") == [(b",\n", ["", ""])]


def test_nuls_are_in_the_bytes_and_not_in_the_cells():
    assert rows(b"A,B\nlong text\0,2\n") == [(b"long text\0,2\n", ["long text", "2"])]


@pytest.mark.parametrize("delimiter", [",", ";", "|", "\t"])
def test_the_delimiter_is_the_one_under_which_the_columns_show(delimiter):
    header = delimiter.join(["A", '"B, or; C|\tD"', "E"])

    assert read(header.encode() + b"\n", shown=("B, or; C|\tD",)).delimiter == delimiter


def test_what_the_declared_encoding_cannot_read_is_read_as_windows_does():
    assert rows("A\nMüller\n".encode("cp1252"), declared="UTF-8")[0][1] == ["Müller"]


def test_letters_that_come_late_settle_the_encoding_whatever_is_declared():
    late = ("A\n" + "x\n" * 50_000 + "Müller\n").encode()

    assert rows(late, declared="windows-1252")[-1][1] == ["Müller"]


def test_a_byte_order_mark_that_stands_further_on_is_a_character_like_any_other():
    content = b"A" + b"a" * 65_534 + b"\n" + b"\xef\xbb\xbfx\n"

    assert read(content, declared="windows-1252").header == ("A" + "a" * 65_534,)


def test_rows_equal_but_for_their_line_ends_have_equal_contents():
    contents = [row.content for row in read(b"A\nx\r\nx\ny\nx").records()]

    assert contents[0] == contents[1] == contents[3] != contents[2]


def test_what_stands_in_a_row_and_what_ends_it_are_told_apart():
    assert read(b"A\n").without_line_end(b"x,y\r\n") == (b"x,y", b"\r\n")
    utf16 = read("\ufeffA\n".encode("utf-16-le"))
    assert utf16.without_line_end("x\r\n".encode("utf-16-le")) == (b"x\0", b"\r\0\n\0")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "The file is empty"),
        (b"\xef\xbb\xbf\n", "The file is empty"),
        (b"\n\n", "The file is empty"),
        (b"%PDF-1.7\n", "a PDF"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1", "an old Excel workbook"),
        (b"\x1f\x8b\x08", "a gzip file"),
        (b"PK\x03\x04", "a ZIP file within another file"),
        (b"<!DOCTYPE html>", "a web page"),
        (b"A\0,\0B\0\n\0", "other data than text"),
        (b"\xff\xfe\0\0A\0\0\0", "other data than text"),
        (b"A\n\x81\n", "cannot be read as utf-8 or cp1252"),
        (b"A,STATUS,RECORD_ID,ERRORS\nx,ADDED,1,\n", "This is Zoho's result file"),
        (b"File,Row,A,Status,Zoho's ERRORS\n", "made by Bulkwatch"),
        (b'A,B\n1,2\n3,"4\n5,6\n', "In row 2, quotation marks do not pair up"),
        (b'A,B\n1,"2"x\n', "In row 1, quotation marks do not pair up"),
        (b'A,B\n1,"2\n3"\n4,"5\n6"\n7\n8,"9\n"\n1,"2\n3","4"', "In row 5, a quoted cell runs over"),
        (
            b'A,B\n"1\n2"\n',
            "In row 1, a quoted cell runs over a line break, and the row's cells number 1,",
        ),
        (b"A,B\n1,2\n3\r4,5\n", "In row 2, a line break is of another kind"),
        (b"A\n" + b"x" * 200_000, "In row 1, a cell is longer than 131,072 characters"),
        (b'A\n"' + b"x\n" * 200_000, "or a quotation mark is missing at its end"),
        (b"A\n" + b"," * 5_000_000, "In row 1, a quoted cell does not end"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_no_upload_is_refused_in_words(content, said):
    with pytest.raises(OriginalFileError) as refused:
        list(read(content).records())

    assert said in str(refused.value)


def test_columns_that_bear_the_names_of_zoho_s_own_are_an_upload_like_any_other():
    assert rows(b"Name,STATUS,ERRORS,City\nx,y,z,w\n", shown=("Name", "STATUS", "ERRORS"))


def test_rows_with_a_delimiter_too_many_may_run_over_lines_where_others_have_it_too():
    assert len(rows(b'A,B\n1,2,\n3,"4\n5",\n')) == 2


def test_more_columns_than_zoho_takes_are_refused_before_they_cost_memory():
    assert len(read(b"A," + b"b," * 248 + b"c\n").header) == 250
    with pytest.raises(OriginalFileError, match="has 251 columns; Zoho takes no file"):
        read(b"A," + b"b," * 249 + b"c\n")
    wide = b"A" + b",more" * 650_000 + b"\n"
    tracemalloc.start()
    with pytest.raises(OriginalFileError, match="In the header stand more than 65,536 delimiters"):
        read(wide)
    with pytest.raises(OriginalFileError, match="In row 1 stand more than 65,536 delimiters"):
        rows(b"A,B\n" + wide)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 5 * len(wide)


def test_too_many_rows_are_refused(monkeypatch):
    monkeypatch.setattr(originals, "MOST_ROWS", 3)

    assert len(rows(b"A\n1\n2\n3\n")) == 3
    with pytest.raises(OriginalFileError, match="more than 3 rows"):
        rows(b"A\n1\n2\n3\n4\n")


def test_the_memory_does_not_grow_with_the_file(tmp_path):
    def peak(size: int) -> int:
        path = tmp_path / str(size)
        path.write_bytes(b"A,B\n" + (b"some text," + b"other text " * 30 + b"\n") * size)
        tracemalloc.start()
        for _ in Original(lambda: path.open("rb"), "", ("A",)).records():
            pass
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return most

    assert peak(6_000) < 1.2 * peak(2_000)
