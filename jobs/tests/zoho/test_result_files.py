import csv
import io
import random
import stat
import struct
import time
import tracemalloc
import zipfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobs.zoho.result_codes import RESULT_CODES, UNKNOWN, describe_result_code, parse_errors
from jobs.zoho.result_files import ResultArchive, ResultFileError, ResultLimits, RowError

HEADER = "Deal_Name,Stage,Amount,STATUS,RECORD_ID,ERRORS\n"
CSV = HEADER + (
    "Big,New,1,added,111111000000541958,\n"
    'Small,Old,2,SKIPPED,,"MANDATORY_NOT_FOUND-Company,Last_Name:DUPLICATE_DATA-Email"\n'
    "Third,Old,3, Updated ,3,\n"
    "Fourth,Old,4,unprocessed,,\n"
)
LIMITS = ResultLimits(max_members=5, max_total_bytes=2_000_000, max_member_bytes=1_500_000)


def zipped(*members, compression=zipfile.ZIP_DEFLATED):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compression) as archive:
        for name, data in members:
            archive.writestr(name, data)
    return file


def reader(data, limits=None, **options):
    data = data.encode() if isinstance(data, str) else data
    archive = ResultArchive(zipped(("Deals-bulkwrite.csv", data)), limits)
    return archive.rows(archive.members[0], **options)


def rows(data, **options):
    return list(reader(data, **options))


class TestRows:
    def test_a_result_is_read_in_order(self):
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

    def test_a_reader_can_be_read_twice(self):
        result = reader(CSV)
        assert list(result) == list(result)

    def test_the_tally_counts_what_the_rows_say(self):
        result = reader(CSV)
        tally = result.tally()
        assert tally.rows == 4
        counted = {}
        for row in result:
            key = (row.status, row.errors_text)
            counted[key] = counted.get(key, 0) + 1
        assert tally.reasons == counted

    @pytest.mark.parametrize("delimiter", [",", ";", "|", "\t"])
    def test_the_four_delimiters(self, delimiter):
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
    def test_the_encoding_is_found(self, codec, declared):
        name = "日本" if codec in ("shift_jis", "gb18030", "utf-16") else "Müller"
        result = reader(CSV.replace("Big", name).encode(codec), encoding=declared)
        assert result.columns[0] == "Deal_Name"
        assert next(iter(result)).values[0] == name

    def test_bytes_that_fit_no_encoding_are_replaced(self):
        [first, *_] = rows(CSV.encode().replace(b"Big", b"B\xff\xed\xa0\x80g"))
        assert "\ufffd" in first.values[0]
        first.values[0].encode("utf-8")

    def test_headers_match_in_any_case_and_place(self):
        text = "\ufeff errors , Name,Record_Id ,status\nINVALID_DATA-Name,x,5,Skipped\n"
        [row] = rows(text)
        assert (row.status, row.record_id, row.values) == ("skipped", "5", ("x",))
        assert row.errors == (RowError("INVALID_DATA", "Name"),)

    def test_a_record_id_column_may_be_missing(self):
        [row] = rows("Name,STATUS,ERRORS\nx,added,\n")
        assert row.record_id == ""

    def test_quoted_line_breaks_belong_to_their_cell(self):
        text = HEADER + '"two\r\nlines",s,1,added,1,\r\n\r\nnext,s,1,added,2,\r\n'
        assert [row.values[0] for row in rows(text)] == ["two\r\nlines", "next"]

    def test_nuls_are_left_out(self):
        [row] = rows(HEADER + "a\0b,s,1,added,1,\n")
        assert row.values[0] == "ab"
        [row] = rows((HEADER + "a\0b,s,1,added,1,\n").encode("utf-16"))
        assert row.values[0] == "ab"

    def test_ragged_rows_are_kept_and_counted(self):
        result = reader(HEADER + "short,s\nlong,s,1,added,1,,extra\nright,s,1,added,1,\n")
        found = list(result)
        assert [row.status for row in found] == ["", "added", "added"]
        assert all(len(row.values) == 3 for row in found)
        assert result.ragged == 2

    @pytest.mark.parametrize("text", ["Name,Stage\nx,y\n", "<html>", "STATUS\nadded\n"])
    def test_another_csv_is_refused_with_its_columns(self, text):
        with pytest.raises(ResultFileError, match="no STATUS and ERRORS columns"):
            reader(text)

    @pytest.mark.parametrize("data", [b"", b"  \n\n", b"\0\0\0"])
    def test_an_empty_csv_is_refused(self, data):
        with pytest.raises(ResultFileError):
            reader(data)

    def test_a_huge_field_is_refused(self):
        with pytest.raises(ResultFileError, match="field larger"):
            rows(HEADER + "x" * 1_000_000 + ",s,1,added,1,\n")

    @pytest.mark.parametrize("piece", [b"x,", b'"\n",', b'"a\n",'])
    def test_an_endless_row_is_refused_in_bounded_memory(self, piece):
        data = HEADER.encode() + piece * (30_000_000 // len(piece))
        result = reader(data, ResultLimits(max_ratio=5000))
        tracemalloc.start()
        with pytest.raises(ResultFileError, match="endless row"):
            list(result)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 100 * 1024 * 1024

    def test_a_large_result_is_read_in_little_memory(self):
        data = HEADER + "Deal,New,1,skipped,,INVALID_DATA-Amount\n" * 100_000
        result = reader(data)
        tracemalloc.start()
        assert sum(1 for _ in result) == 100_000
        assert result.tally().reasons == {("skipped", "INVALID_DATA-Amount"): 100_000}
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 4 * 1024 * 1024

    def test_countless_different_reasons_are_folded(self):
        data = HEADER + "".join(f"D,N,1,skipped,,odd {n}\n" for n in range(30_000))
        tally = reader(data).tally()
        assert sum(tally.reasons.values()) == tally.rows == 30_000
        assert len(tally.reasons) <= 10_001

    @settings(max_examples=150, deadline=None)
    @given(
        st.lists(
            st.lists(
                st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")),
                min_size=6,
                max_size=6,
            ),
            max_size=6,
        )
    )
    def test_what_a_csv_writer_wrote_is_read_back(self, table):
        out = io.StringIO(newline="")
        writer = csv.writer(out)
        writer.writerow(HEADER.strip().split(","))
        writer.writerows(table)
        found = rows(out.getvalue())
        assert [row.values for row in found] == [tuple(cells[:3]) for cells in table]
        assert [row.errors_text for row in found] == [cells[5] for cells in table]

    @settings(max_examples=200, deadline=None)
    @given(st.binary(max_size=300), st.sampled_from([None, "UTF-16", "cp1252", "\0", "x"]))
    def test_any_bytes_give_rows_or_a_result_file_error(self, data, encoding):
        try:
            for row in rows(HEADER.encode() + data, encoding=encoding):
                "".join(row.values).encode("utf-8")
            rows(data, encoding=encoding)
        except ResultFileError:
            pass


class TestArchive:
    def test_members_are_the_csvs_in_order(self):
        file = zipped(
            ("Deals-bulkwrite", CSV),
            ("folder/", ""),
            ("folder/Contacts.csv", CSV),
            ("nested.zip", b"PK\x03\x04"),
            ("nested", b"PK\x03\x04"),
            ("image.png", b"x"),
        )
        with ResultArchive(file) as archive:
            assert [(m.name, m.index) for m in archive.members] == [
                ("Deals-bulkwrite", 0),
                ("Contacts.csv", 1),
            ]
            assert set(archive.ignored) == {"folder", "nested.zip", "nested", "image.png"}
            assert archive.members[0].size == len(CSV)
            assert archive.open(archive.members[1]).read() == CSV.encode()
        assert not file.closed

    @pytest.mark.parametrize(
        ("name", "shown"),
        [
            ("../../etc/passwd.csv", "passwd.csv"),
            ("/etc/passwd.csv", "passwd.csv"),
            ("..\\..\\evil.csv", "evil.csv"),
            ("C:\\x\\evil.csv", "evil.csv"),
            ("a\nb\x1b[31m.csv", "ab[31m.csv"),
            ("\u202egpj.csv", "gpj.csv"),
            ("..", "unnamed"),
            ("x" * 1000 + ".csv", "x" * 255),
        ],
    )
    def test_names_are_shown_without_folders_and_never_used(self, name, shown):
        archive = ResultArchive(zipped((name, CSV), ("x.csv", CSV)))
        assert shown in [member.name for member in archive.members] + list(archive.ignored)

    @pytest.mark.parametrize("data", [b"", b"PK", b"x" * 1000, CSV.encode(), b"PK\x05\x06" * 50])
    def test_what_is_no_zip_is_refused(self, data):
        with pytest.raises(ResultFileError):
            ResultArchive(io.BytesIO(data))

    def test_a_cut_off_zip_is_refused(self):
        data = zipped(("a.csv", CSV * 100)).getvalue()
        for cut in range(0, len(data), 37):
            with pytest.raises(ResultFileError):
                ResultArchive(io.BytesIO(data[:cut]))

    def test_an_encrypted_zip_is_refused(self):
        data = bytearray(zipped(("a.csv", CSV)).getvalue())
        data[data.index(b"PK\x01\x02") + 8] |= 1
        with pytest.raises(ResultFileError, match="encrypted"):
            ResultArchive(io.BytesIO(data))

    def test_a_wrong_checksum_is_refused(self):
        data = bytearray(zipped(("a.csv", CSV), compression=zipfile.ZIP_STORED).getvalue())
        at = data.index(b"Big")
        data[at : at + 3] = b"Bad"
        archive = ResultArchive(io.BytesIO(data))
        with pytest.raises(ResultFileError, match="damaged"):
            list(archive.rows(archive.members[0]))

    def test_too_many_members_are_refused_quickly(self):
        file = zipped(*((f"{n}.csv", b"") for n in range(10_000)))
        started = time.monotonic()
        with pytest.raises(ResultFileError, match=r"files|members"):
            ResultArchive(file)
        assert time.monotonic() - started < 2

    def test_an_endless_list_of_members_is_not_read(self):
        file = zipped(*(("n" * 2000 + f"{n}.csv", b"") for n in range(1000)))
        tracemalloc.start()
        with pytest.raises(ResultFileError, match="too many"):
            ResultArchive(file)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 1_000_000

    def test_a_bomb_is_refused_by_its_declared_size(self):
        file = zipped(("a.csv", b"\0" * 50_000_000))
        with pytest.raises(ResultFileError, match="too large"):
            ResultArchive(file, LIMITS)

    def test_many_members_together_are_refused(self):
        file = zipped(("a.csv", b"x" * 1_400_000), ("b.csv", b"x" * 1_400_000))
        with pytest.raises(ResultFileError, match="too large"):
            ResultArchive(file, LIMITS)

    def test_a_member_packed_absurdly_tightly_is_refused(self):
        with pytest.raises(ResultFileError, match="tightly"):
            ResultArchive(zipped(("a.csv", b"\0" * 3_000_000)), ResultLimits(max_ratio=100))

    def test_a_size_that_lies_is_noticed_while_unpacking(self):
        data = bytearray(zipped(("a.csv", b"x" * 5_000_000)).getvalue())
        at = data.index(b"PK\x01\x02")
        struct.pack_into("<L", data, at + 24, 1000)
        archive = ResultArchive(io.BytesIO(data), LIMITS)
        with pytest.raises(ResultFileError):
            archive.open(archive.members[0]).read()

    def test_a_stream_ends_at_its_cap(self):
        archive = ResultArchive(zipped(("a.csv", b"x" * 900_000)), LIMITS)
        capped = archive.open(archive.members[0])
        capped.raw._left = 1000
        with pytest.raises(ResultFileError, match="larger than allowed"):
            capped.read()

    def test_members_that_overlap_are_refused(self):
        data = bytearray(zipped(("a.csv", CSV * 50), ("b.csv", CSV * 50)).getvalue())
        second = data.index(b"PK\x01\x02", data.index(b"PK\x01\x02") + 4)
        struct.pack_into("<L", data, second + 42, 0)
        with pytest.raises(ResultFileError, match="overlap"):
            ResultArchive(io.BytesIO(data))

    def test_a_symbolic_link_is_not_read(self):
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w") as archive:
            link = zipfile.ZipInfo("passwd.csv")
            link.external_attr = (stat.S_IFLNK | 0o777) << 16
            archive.writestr(link, "/etc/passwd")
        assert ResultArchive(file).members == ()

    @pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
    def test_other_compressions_are_not_read(self, method):
        archive = ResultArchive(zipped(("a.csv", CSV), compression=method))
        assert (archive.members, archive.ignored) == ((), ("a.csv",))

    def test_damaged_archives_raise_nothing_of_their_own(self):
        seed = random.Random(7)
        good = zipped(("a.csv", CSV * 3), ("b", CSV)).getvalue()
        for _ in range(400):
            data = bytearray(good)
            for _ in range(seed.randint(1, 6)):
                data[seed.randrange(len(data))] = seed.randrange(256)
            try:
                with ResultArchive(io.BytesIO(data), LIMITS) as archive:
                    for member in archive.members:
                        list(archive.rows(member))
            except ResultFileError as error:
                assert str(error)


class TestErrorsGrammar:
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
    def test_the_grammar(self, text, errors):
        assert list(parse_errors(text)) == errors

    def test_known_columns_settle_what_the_grammar_leaves_open(self):
        text = "INVALID_DATA-City, State,Ratio:ABC-D,Plain:DUPLICATE_DATA-E-Mail"
        known = ["City", "City, State", "Ratio:ABC-D", "E-Mail"]
        assert list(parse_errors(text, known)) == [
            ("INVALID_DATA", "City, State"),
            ("INVALID_DATA", "Ratio:ABC-D"),
            ("INVALID_DATA", "Plain"),
            ("DUPLICATE_DATA", "E-Mail"),
        ]

    def test_mapped_columns_and_the_header_are_known(self):
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
    def test_what_is_written_with_simple_names_is_read_back(self, errors):
        simple = [
            (code, [name.translate(dict.fromkeys(map(ord, ",:"), "x")) for name in names])
            for code, names in errors
        ]
        text = ":".join(f"{code}-{','.join(names)}" for code, names in simple)
        expected = [(code, name) for code, names in simple for name in names]
        assert list(parse_errors(text)) == expected

    @settings(max_examples=500, deadline=None)
    @given(st.text(st.sampled_from("ABZ_-:, xNOT_APPROVED")) | st.text(), columns)
    def test_any_text_gives_errors(self, text, known):
        errors = parse_errors(text, known)
        assert bool(errors) is bool(text.strip())
        assert all(code for code, _ in errors)

    def test_a_long_text_is_read_quickly(self):
        started = time.monotonic()
        for text in (":A_-" * 10_000, "INVALID_DATA-" + "," * 50_000, "A" * 50_000, "A-:" * 20_000):
            assert len(parse_errors(text, [f"c{n}" for n in range(200)])) <= 200
        assert time.monotonic() - started < 1

    def test_every_documented_code_is_explained(self):
        assert len(RESULT_CODES) == 8
        for code in RESULT_CODES:
            help_ = describe_result_code(code.lower())
            assert help_.code == code
            assert help_.meaning.endswith(".")
            assert help_.what_to_do.endswith(".")

    def test_an_unknown_code_is_said_to_be_unknown(self):
        assert "does not explain" in describe_result_code("BRAND_NEW").meaning
        assert describe_result_code(UNKNOWN).code == UNKNOWN
