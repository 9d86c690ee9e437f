"""Result ZIPs, honest and hostile: what is read of them, and what is refused."""

import io
import random
import stat
import struct
import tracemalloc
import zipfile

import pytest

from jobs.tests.zoho.result_zips import CSV, zipped
from jobs.zoho.result_files import ResultArchive, ResultFileError, ResultLimits

LIMITS = ResultLimits(max_members=5, max_total_bytes=2_000_000, max_member_bytes=1_500_000)


def test_members_are_the_csvs_in_order():
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
def test_names_are_shown_without_folders_and_never_used(name, shown):
    archive = ResultArchive(zipped((name, CSV), ("x.csv", CSV)))
    assert shown in [member.name for member in archive.members] + list(archive.ignored)


@pytest.mark.parametrize("data", [b"", b"PK", b"x" * 1000, CSV.encode(), b"PK\x05\x06" * 50])
def test_what_is_no_zip_is_refused(data):
    with pytest.raises(ResultFileError):
        ResultArchive(io.BytesIO(data))


def test_a_cut_off_zip_is_refused():
    data = zipped(("a.csv", CSV * 100)).getvalue()
    for cut in range(0, len(data), 37):
        with pytest.raises(ResultFileError):
            ResultArchive(io.BytesIO(data[:cut]))


def test_an_encrypted_zip_is_refused():
    data = bytearray(zipped(("a.csv", CSV)).getvalue())
    data[data.index(b"PK\x01\x02") + 8] |= 1
    with pytest.raises(ResultFileError, match="encrypted"):
        ResultArchive(io.BytesIO(data))


def test_a_wrong_checksum_is_refused():
    data = bytearray(zipped(("a.csv", CSV), compression=zipfile.ZIP_STORED).getvalue())
    at = data.index(b"Big")
    data[at : at + 3] = b"Bad"
    archive = ResultArchive(io.BytesIO(data))
    with pytest.raises(ResultFileError, match="damaged"):
        list(archive.rows(archive.members[0]))


def test_too_many_members_are_refused():
    file = zipped(*((f"{n}.csv", b"") for n in range(10_000)))
    with pytest.raises(ResultFileError, match=r"files|members"):
        ResultArchive(file)


def test_an_endless_list_of_members_is_not_read():
    file = zipped(*(("n" * 2000 + f"{n}.csv", b"") for n in range(1000)))
    tracemalloc.start()
    with pytest.raises(ResultFileError, match="too many"):
        ResultArchive(file)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1_000_000


def test_a_bomb_is_refused_by_its_declared_size():
    file = zipped(("a.csv", b"\0" * 50_000_000))
    with pytest.raises(ResultFileError, match="too large"):
        ResultArchive(file, LIMITS)


def test_many_members_together_are_refused():
    file = zipped(("a.csv", b"x" * 1_400_000), ("b.csv", b"x" * 1_400_000))
    with pytest.raises(ResultFileError, match="too large"):
        ResultArchive(file, LIMITS)


def test_a_member_packed_absurdly_tightly_is_refused():
    with pytest.raises(ResultFileError, match="tightly"):
        ResultArchive(zipped(("a.csv", b"\0" * 3_000_000)), ResultLimits(max_ratio=100))


def test_a_size_that_lies_is_noticed_while_unpacking():
    data = bytearray(zipped(("a.csv", b"x" * 5_000_000)).getvalue())
    at = data.index(b"PK\x01\x02")
    struct.pack_into("<L", data, at + 24, 1000)
    archive = ResultArchive(io.BytesIO(data), LIMITS)
    with pytest.raises(ResultFileError):
        archive.open(archive.members[0]).read()


def with_claimed_size(claimed, data):
    """A ZIP of one CSV whose directory claims another size than it has."""
    content = bytearray(zipped(("a.csv", data)).getvalue())
    struct.pack_into("<L", content, content.index(b"PK\x01\x02") + 24, claimed)
    return io.BytesIO(content)


def test_a_claim_of_two_gigabytes_in_a_small_file_is_refused():
    with pytest.raises(ResultFileError, match="larger than allowed"):
        ResultArchive(with_claimed_size(2**31 - 1, CSV), ResultLimits(max_total_bytes=2**32))


def test_a_member_smaller_than_it_claims_is_read_whole():
    archive = ResultArchive(with_claimed_size(len(CSV) + 500, CSV))
    assert len(list(archive.rows(archive.members[0]))) == 4


def test_a_member_larger_than_it_claims_is_never_taken_for_whole():
    archive = ResultArchive(with_claimed_size(len(CSV) - 30, CSV))
    with pytest.raises(ResultFileError, match="damaged"):
        list(archive.rows(archive.members[0]))


@pytest.mark.parametrize("name", ["inner.csv", "Deals-inner.txt"])
def test_a_zip_within_the_zip_is_no_csv_whatever_its_name(name):
    archive = ResultArchive(zipped((name, zipped(("a.csv", CSV)).getvalue())))
    with pytest.raises(ResultFileError, match=r"no STATUS and ERRORS|no header"):
        archive.rows(archive.members[0])


def test_a_zip64_is_read():
    file = io.BytesIO()
    with (
        zipfile.ZipFile(file, "w") as archive,
        archive.open("a.csv", "w", force_zip64=True) as member,
    ):
        member.write(CSV.encode())
    archive = ResultArchive(file)
    assert len(list(archive.rows(archive.members[0]))) == 4


@pytest.mark.parametrize("where", ["before", "after"])
def test_garbage_around_a_zip_changes_nothing(where):
    data, garbage = zipped(("a.csv", CSV)).getvalue(), b"<garbage>" * 50
    archive = ResultArchive(io.BytesIO(data + garbage if where == "after" else garbage + data))
    assert len(list(archive.rows(archive.members[0]))) == 4


def test_a_stream_ends_at_its_cap():
    archive = ResultArchive(zipped(("a.csv", b"x" * 900_000)), LIMITS)
    capped = archive.open(archive.members[0])
    capped.raw._left = 1000
    with pytest.raises(ResultFileError, match="larger than allowed"):
        capped.read()


def test_members_that_overlap_are_refused():
    data = bytearray(zipped(("a.csv", CSV * 50), ("b.csv", CSV * 50)).getvalue())
    second = data.index(b"PK\x01\x02", data.index(b"PK\x01\x02") + 4)
    struct.pack_into("<L", data, second + 42, 0)
    with pytest.raises(ResultFileError, match="overlap"):
        ResultArchive(io.BytesIO(data))


def test_a_symbolic_link_is_not_read():
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        link = zipfile.ZipInfo("passwd.csv")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(link, "/etc/passwd")
    assert ResultArchive(file).members == ()


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_other_compressions_are_not_read(method):
    archive = ResultArchive(zipped(("a.csv", CSV), compression=method))
    assert (archive.members, archive.ignored) == ((), ("a.csv",))


def test_damaged_archives_raise_nothing_of_their_own():
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
