"""What a person attaches: a CSV or a ZIP of CSVs, and the result file that each belongs to.

It reads alone; `services.reimport` stores.
"""

import contextlib
import io
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, cast

from django.conf import settings
from django.core.files.uploadedfile import UploadedFile

from jobs.models import ResultFile
from jobs.services.reimport.matching import name_of
from jobs.services.reimport.originals import ATTACH_WHAT, Original, OriginalFileError
from jobs.zoho.result_files import (
    Member,
    ResultArchive,
    ResultFileError,
    ResultLimits,
    base_name,
)

ZIP_BEGINNINGS = (b"PK\x03\x04", b"PK\x05\x06")


@dataclass(frozen=True)
class Candidate:
    """One CSV that was attached: the name it bore, and how to open it from the start.

    `path` is the name with the folders that it has in a ZIP.
    """

    name: str
    open: Callable[[], BinaryIO]
    path: str


@contextlib.contextmanager
def attached_csvs(upload: UploadedFile) -> Iterator[tuple[list[Candidate], list[str]]]:
    """The CSVs of an upload, and the names of what else its ZIP holds.

    They can be opened until the context ends, and leave nothing behind. Raises OriginalFileError
    for what is too large, empty, no readable ZIP or no CSV.
    """
    if not upload.size:
        raise OriginalFileError(f"The file is empty. {ATTACH_WHAT}")
    if upload.size > largest_bytes():
        raise OriginalFileError(too_large())
    open_upload = _opener(upload)
    with open_upload() as stream:
        is_zip = stream.read(4) in ZIP_BEGINNINGS
    if not is_zip:
        name = shown_name(upload.name)
        yield [Candidate(name, open_upload, name)], []
        return
    with tempfile.TemporaryDirectory(prefix="bulkwatch-") as folder, open_upload() as stream:
        yield _unpacked(stream, Path(folder))


def largest_bytes() -> int:
    return int(settings.MAX_UPLOAD_MEGABYTES) * 1024 * 1024


def too_large() -> str:
    return (
        f"The file is larger than {settings.MAX_UPLOAD_MEGABYTES:,} MB, which is the most that may "
        "be attached here. Whoever runs Bulkwatch can allow more by MAX_UPLOAD_MEGABYTES."
    )


def shown_name(name: str | None) -> str:
    """The name that a person's file bore, without folders and what would disturb a page."""
    return base_name(name or "").strip() or "unnamed.csv"


def assign(
    candidates: Sequence[Candidate],
    files: Sequence[ResultFile],
    encoding: str,
    *,
    others: Sequence[ResultFile] = (),
    is_chosen: bool = False,
) -> tuple[list[tuple[Candidate, ResultFile]], list[str]]:
    """Which of `files` each attached CSV belongs to, and a sentence for each without one.

    By the name that Zoho was given, or else by the columns that a result file shows; each time
    only where one file and one CSV suit each other and nothing else. What is named after one of
    the `others`, the result's files that are not meant or cannot be read, belongs to none of
    `files`. One CSV and one file belong together, if a person chose so or no name denies it.
    """
    named = [
        [file for file in (*files, *others) if _bears_name(file, candidate.name)]
        for candidate in candidates
    ]
    if len(candidates) == len(files) == 1 and (is_chosen or not set(named[0]) & set(others)):
        return [(candidates[0], files[0])], []
    pairs, refused = _by_name(candidates, named, files, others)
    # What has a name of its own is not looked for by its columns, nor any other CSV in its place.
    bespoken = {names[0] for names in named if len(names) == 1}
    free = [file for file in files if file not in bespoken]
    unnamed = [
        (candidate, [file for file in free if file in names or not names])
        for candidate, names in zip(candidates, named, strict=True)
        if len(names) != 1
    ]
    more_pairs, more_refused = _by_columns(unnamed, encoding)
    return pairs + more_pairs, refused + more_refused


def _by_name(
    candidates: Sequence[Candidate],
    named: Sequence[Sequence[ResultFile]],
    files: Sequence[ResultFile],
    others: Sequence[ResultFile],
) -> tuple[list[tuple[Candidate, ResultFile]], list[str]]:
    pairs = []
    refused = []
    for file in (*files, *others):
        bearers = [
            candidate
            for candidate, names in zip(candidates, named, strict=True)
            if list(names) == [file]
        ]
        if len(bearers) > 1:
            paths = ", ".join(candidate.path for candidate in bearers)
            refused.append(
                f"{paths}: these bear the name of {file.name}, and only one of them can be what "
                "was uploaded. Attach that one alone."
            )
        elif bearers and file in others:
            why = (
                f"which could not be read: {file.error}" if file.error else "which was not chosen."
            )
            refused.append(f"{bearers[0].path}: it bears the name of {file.name}, {why}")
        elif bearers:
            pairs.append((bearers[0], file))
    return pairs, refused


def _by_columns(
    candidates: Sequence[tuple[Candidate, Sequence[ResultFile]]], encoding: str
) -> tuple[list[tuple[Candidate, ResultFile]], list[str]]:
    """Pairs of a CSV and the one of its possible files of which it alone has the columns."""
    pairs = []
    refused = []
    suiting: list[tuple[Candidate, list[ResultFile]]] = []
    for candidate, possible in candidates:
        try:
            found = [file for file in possible if _shows_columns_of(candidate, file, encoding)]
        except OriginalFileError as error:
            refused.append(f"{candidate.path}: {error}")
        else:
            suiting.append((candidate, found))
    wanted = Counter(file.position for _, found in suiting for file in found)
    for candidate, found in suiting:
        if len(found) != 1:
            many = "several result files" if found else "no result file"
            refused.append(f"{candidate.path}: its name and its columns suit {many}.")
        elif wanted[found[0].position] > 1:
            refused.append(
                f"{candidate.path}: its columns suit {found[0].name}, but those of another CSV "
                "do so as well. Attach the one that was uploaded alone."
            )
        else:
            pairs.append((candidate, found[0]))
    return pairs, refused


def _opener(upload: UploadedFile) -> Callable[[], BinaryIO]:
    path = getattr(upload, "temporary_file_path", None)
    if path is not None:
        return lambda: open(path(), "rb")
    # A file that is held in memory already.
    upload.seek(0)
    content = upload.read()
    return lambda: io.BytesIO(content)


def _unpacked(stream: BinaryIO, folder: Path) -> tuple[list[Candidate], list[str]]:
    limit = largest_bytes()
    limits = ResultLimits(max_total_bytes=limit, max_member_bytes=limit)
    candidates = []
    try:
        with ResultArchive(stream, limits) as archive:
            ignored = [name for name in archive.ignored if name != "unnamed"]
            if not archive.members:
                raise OriginalFileError(_no_csv(archive.ignored))
            for member in archive.members:
                path = folder / str(member.index)
                _extract(archive, member, path)
                candidates.append(Candidate(shown_name(member.name), _reopener(path), member.path))
    except ResultFileError as error:
        raise OriginalFileError(f"{error} {ATTACH_WHAT}") from error
    return candidates, ignored


def _extract(archive: ResultArchive, member: Member, path: Path) -> None:
    with archive.open(member) as packed, path.open("wb") as target:
        while chunk := packed.read(65_536):
            target.write(chunk)


def _reopener(path: Path) -> Callable[[], BinaryIO]:
    return lambda: cast(BinaryIO, path.open("rb"))


def _no_csv(names: Sequence[str]) -> str:
    if "[Content_Types].xml" in names:
        return f"The file is an Excel workbook or another Office file. {ATTACH_WHAT}"
    return f"The ZIP file holds no CSV. {ATTACH_WHAT}"


def _bears_name(file: ResultFile, name: str) -> bool:
    """Whether the result file is of an upload of that name. Zoho calls it `<Module>-<name>`."""
    resource: Any = file.resource
    known = {_stem(file.name)}
    if resource:
        known.add(_stem(resource.file_name))
        known.add(_stem(file.name).removeprefix(f"{resource.module.casefold()}-"))
    return _stem(name) in known - {""}


def _stem(name: str) -> str:
    stem, dot, _ = name.casefold().rpartition(".")
    return stem if dot else name.casefold()


def _shows_columns_of(candidate: Candidate, file: ResultFile, encoding: str) -> bool:
    header = Original(candidate.open, encoding, file.columns).header
    return bool(file.columns) and set(map(name_of, file.columns)) <= set(map(name_of, header))
