"""The result of a bulk write job: a ZIP of CSVs, read as a stream and within limits.

Source: the v7 page "Download Result". A CSV holds the first three mapped columns of the upload and
STATUS, RECORD_ID and ERRORS, its rows in the order of the uploaded ones. Nothing of an archive is
believed: declared sizes are checked first and counted again, and names are only shown.
"""

import io
import re
import stat
import struct
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO, Self, cast

from jobs.zoho.errors import clean_text
from jobs.zoho.result_codes import (
    RESULT_CODES,
    ResultCode,
    RowError,
    describe_result_code,
    parse_errors,
)
from jobs.zoho.result_rows import Block, ResultFileError, ResultRow, RowReader

__all__ = [
    "RESULT_CODES",
    "Block",
    "Member",
    "ResultArchive",
    "ResultCode",
    "ResultFileError",
    "ResultLimits",
    "ResultRow",
    "RowError",
    "RowReader",
    "UnsafeArchiveError",
    "base_name",
    "describe_result_code",
    "parse_errors",
]

MIB = 1024 * 1024
# The list of an archive's members is read whole; 1 MiB of it holds some 10,000 names.
MAX_DIRECTORY_BYTES = MIB
SMALL_BYTES = MIB
CSV_SUFFIXES = (".csv", ".txt", ".tsv")
_DISTURBING = re.compile(r"[\x00-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")

_BROKEN = (
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    NotImplementedError,
    RuntimeError,
    struct.error,
    UnicodeError,
    ValueError,
    OverflowError,
    IndexError,
    OSError,
)


class UnsafeArchiveError(ResultFileError):
    """A ZIP is not opened: it is encrypted, or made to fill memory or disk."""


@dataclass(frozen=True, slots=True)
class ResultLimits:
    """What an archive may hold at most; ``max_ratio`` is inflated to packed size of a member."""

    max_members: int = 100
    max_total_bytes: int = 1024 * MIB
    max_member_bytes: int = 512 * MIB
    max_ratio: float = 1000.0


@dataclass(frozen=True, slots=True)
class Member:
    """A CSV of the archive: its name without folders, its place among them, its declared size.

    ``path`` is the name with the folders, to tell it from others to a person; it opens nothing.
    """

    name: str
    index: int
    size: int
    path: str = ""


class _BoundedFile:
    """The archive's file, with a bound on what one read may take while the directory is read."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.bound: int | None = MAX_DIRECTORY_BYTES

    def read(self, size: int = -1, /) -> bytes:
        if self.bound is not None and size > self.bound:
            raise UnsafeArchiveError("The ZIP file lists too many members.")
        if self.bound is not None and size < 0:
            data = self._file.read(self.bound + 1)
            if len(data) > self.bound:
                raise UnsafeArchiveError("The ZIP file lists too many members.")
            return data
        return self._file.read(size)

    def seek(self, offset: int, whence: int = 0, /) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()

    def seekable(self) -> bool:
        return True


class _CappedMember(io.RawIOBase):
    """A member's inflated bytes; more than the cap, or damage, is a ResultFileError."""

    def __init__(self, stream: Any, cap: int) -> None:
        self._stream = stream
        self._left = cap

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        try:
            data: bytes = self._stream.read(len(buffer))
        except _BROKEN as exc:
            raise ResultFileError("The ZIP file is damaged.") from exc
        self._left -= len(data)
        if self._left < 0:
            raise UnsafeArchiveError("A file in the ZIP is larger than allowed once unpacked.")
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        self._stream.close()
        super().close()


class ResultArchive:
    """A job's result ZIP, open for reading; ``file`` stays the caller's to close.

    ``members`` are its CSVs in order; ``ignored`` the names of everything else. Raises
    ResultFileError for what is no ZIP, is encrypted, damaged, or beyond the limits.
    """

    def __init__(self, file: BinaryIO, limits: ResultLimits | None = None) -> None:
        self._limits = limits or ResultLimits()
        bounded = _BoundedFile(file)
        try:
            file.seek(0)
            self._zip = zipfile.ZipFile(cast("Any", bounded))
        except ResultFileError:
            raise
        except _BROKEN as exc:
            raise ResultFileError("The file is not a readable ZIP file.") from exc
        bounded.bound = None
        infos = self._zip.infolist()
        self._check(infos)
        self._infos: list[zipfile.ZipInfo] = []
        members: list[Member] = []
        ignored: list[str] = []
        for info in infos:
            name = base_name(info.filename).strip(" .:") or "unnamed"
            if not self._is_csv(info):
                ignored.append(name)
                continue
            members.append(Member(name, len(members), info.file_size, _shown(info.filename)))
            self._infos.append(info)
        self.members: tuple[Member, ...] = tuple(members)
        self.ignored: tuple[str, ...] = tuple(ignored)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def close(self) -> None:
        """Give up the archive; the file it was read from stays open."""
        self._zip.close()

    def open(self, member: Member) -> BinaryIO:
        """The member's bytes as a stream that ends in ResultFileError beyond its limits."""
        try:
            stream = self._zip.open(self._infos[member.index])
        except _BROKEN as exc:
            raise ResultFileError(f"{member.name} in the ZIP cannot be read.") from exc
        capped = _CappedMember(stream, self._limits.max_member_bytes)
        return cast("BinaryIO", io.BufferedReader(capped, 65_536))

    def rows(
        self, member: Member, *, encoding: str | None = None, mapped_columns: Sequence[str] = ()
    ) -> RowReader:
        """The member's rows, from the first one on.

        ``encoding`` is the job's ``character_encoding``, used where the bytes do not say
        otherwise; ``mapped_columns`` are column names that the ERRORS column may mention.
        """
        return RowReader(lambda: self.open(member), encoding, mapped_columns)

    def _check(self, infos: list[zipfile.ZipInfo]) -> None:
        limits = self._limits
        if len(infos) > limits.max_members:
            raise UnsafeArchiveError(
                f"The ZIP file holds {len(infos):,} files; at most {limits.max_members:,} are read."
            )
        if sum(info.file_size for info in infos) > limits.max_total_bytes:
            raise UnsafeArchiveError("The ZIP file is too large once unpacked.")
        packed_end = 0
        for info in sorted(infos, key=lambda item: item.header_offset):
            if info.flag_bits & 0x1:
                raise UnsafeArchiveError("The ZIP file is encrypted.")
            if info.file_size > limits.max_member_bytes:
                raise UnsafeArchiveError("A file in the ZIP is larger than allowed once unpacked.")
            ratio = info.file_size / max(info.compress_size, 1)
            if info.file_size > SMALL_BYTES and ratio > limits.max_ratio:
                raise UnsafeArchiveError("A file in the ZIP is packed too tightly.")
            # Members that share their bytes are how a small archive becomes an endless one.
            if info.header_offset < packed_end:
                raise UnsafeArchiveError("The files in the ZIP overlap.")
            packed_end = info.header_offset + info.compress_size

    def _is_csv(self, info: zipfile.ZipInfo) -> bool:
        """Whether the member is read. Zoho names some "Deals-bulkwrite", without a suffix."""
        if info.is_dir() or stat.S_ISLNK(info.external_attr >> 16):
            return False
        if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            return False
        name = info.filename.replace("\\", "/").rpartition("/")[2].lower()
        if name.startswith("."):
            return False
        if "." in name:
            return name.endswith(CSV_SUFFIXES)
        try:
            with self._zip.open(info) as stream:
                return stream.read(2) != b"PK"
        except _BROKEN:
            return True


def base_name(path: str) -> str:
    """The name at the end of a path, fit to be shown; "" where there is none."""
    return _shown(path.replace("\\", "/").rstrip("/").rpartition("/")[2])


def _shown(path: str) -> str:
    """The path without control characters and what turns the direction of writing."""
    return clean_text(_DISTURBING.sub("", path), 255)
