"""The re-import file: an upload is attached, kept for some hours, and gives its left-out rows back.

The file is matched to the result again for each download, so only its bytes are stored.
"""

import logging
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import BinaryIO, cast
from zipfile import ZIP_DEFLATED, ZipFile

from django.conf import settings
from django.contrib.auth.models import User
from django.core.files import File
from django.core.files.uploadedfile import UploadedFile
from django.db import transaction
from django.utils import timezone

from jobs.models import BulkWriteJob, JobEvent, OriginalFile, Result, ResultFile
from jobs.services import csv_export, wording
from jobs.services.reimport.attaching import Candidate, assign, attached_csvs
from jobs.services.reimport.originals import Original, OriginalFileError
from jobs.services.reimport.report import WHY, Found, Report, column_indexes, find, report
from jobs.services.results.reading import NotKeptError, open_file
from jobs.zoho.result_files import ResultFileError, RowReader

logger = logging.getLogger(__name__)

FOLDER = "originals"
CHUNK_BYTES = 65_536
# A file without a row is what a crash left behind, unless its row is about to be written.
STRAY_AFTER = timedelta(hours=1)
EXPIRED_AT_ONCE = 500


@dataclass
class Attached:
    """What became of an upload: the files that are kept now, and a sentence for each other one."""

    originals: list[OriginalFile] = field(default_factory=list)
    left_aside: list[str] = field(default_factory=list)


def attach(
    result: Result, upload: UploadedFile, *, position: int | None = None, user: User | None = None
) -> Attached:
    """Match what a person attached to a result's files and keep it for ORIGINAL_KEPT_HOURS.

    `position` names the result file it belongs to, None leaves that to the names and columns. What
    was attached to the same file before is replaced. Raises OriginalFileError, with nothing kept
    and nothing replaced, where no left-out rows can be looked for in it.
    """
    if not result.is_archived:
        raise OriginalFileError("No copy of this job's result is kept here to compare it with.")
    files: list[ResultFile] = []
    others: list[ResultFile] = []
    for file in result.files.select_related("resource"):
        can_be_meant = not file.error and position in (None, file.position)
        (files if can_be_meant else others).append(file)
    if not files:
        raise OriginalFileError("There is no such result file, or it could not be read.")
    attached = Attached()
    with attached_csvs(upload) as (candidates, ignored):
        pairs, refused = assign(
            candidates,
            files,
            result.job.character_encoding,
            others=others,
            is_chosen=position is not None,
        )
        attached.left_aside = [*refused, *(f"{name}: it is no CSV." for name in ignored)]
        for candidate, file in pairs:
            try:
                attached.originals.append(_attach(result, file, candidate, user))
            except OriginalFileError as error:
                attached.left_aside.append(f"{candidate.name}: {error}")
        if not attached.originals:
            raise OriginalFileError(_nothing_attached(attached, candidates, pairs, files))
    return attached


def rows_to_import_again(original: OriginalFile, *, with_reasons: bool = False) -> Iterator[bytes]:
    """The header and the left-out rows of an attached file, byte for byte as they are in it.

    With reasons, a last column says why each was left out. Raises NotKeptError, before the first
    bytes, where the attached file or the result is gone or no longer what it was.
    """
    if not original.file.result.is_archived:
        raise NotKeptError
    try:
        with open_file(original.file.result, original.file) as reader:
            csv_file, found = _find(reader, original.file, _stored(original))
        stream = _stored(original)()
    except (OSError, OriginalFileError, ResultFileError) as error:
        raise NotKeptError from error
    with stream:
        add_reasons = with_reasons and Report(**original.report).offers_reasons
        rows = _rows_with_reasons(csv_file, found) if add_reasons else _ranges(csv_file, found)
        for start, end, suffix in rows:
            stream.seek(start)
            if suffix:
                row, line_end = csv_file.without_line_end(stream.read(end - start))
                yield row + suffix + line_end
                continue
            while start < end and (chunk := stream.read(min(CHUNK_BYTES, end - start))):
                start += len(chunk)
                yield chunk


def zip_to_import_again(original: OriginalFile, *, with_reasons: bool = False) -> BinaryIO:
    """The same in a ZIP, which is what Zoho's upload takes; a temporary file, at its beginning.

    Raises NotKeptError as `rows_to_import_again`.
    """
    packed = tempfile.TemporaryFile()  # noqa: SIM115 - whoever sends it closes it
    name = original.name if "." in original.name else f"{original.name}.csv"
    try:
        with ZipFile(packed, "w", ZIP_DEFLATED) as archive, archive.open(name, "w") as member:
            for chunk in rows_to_import_again(original, with_reasons=with_reasons):
                member.write(chunk)
    except BaseException:
        packed.close()
        raise
    packed.seek(0)
    return cast(BinaryIO, packed)


def delete(original: OriginalFile, *, actor: User | None = None, why: str = "") -> None:
    """Delete an attached file; doing it twice does it once. `why` is told where no person did it.

    The row goes first: no row ever points at a file that is gone. What the storage holds on to
    goes with a later `delete_expired`.
    """
    with transaction.atomic():
        if not OriginalFile.objects.filter(pk=original.pk).delete()[0]:
            return
        said = f"{original.name} was deleted{f': {why}' if why else ''}"
        _note(original, said, actor)
    _delete_content(original)


def delete_expired(now: datetime) -> int:
    """Delete attached files whose time has passed, and what crashes left; how many files went."""
    expired = list(
        OriginalFile.objects.expired(now).select_related("file__result")[:EXPIRED_AT_ONCE]
    )
    for original in expired:
        delete(original, why="its time had passed")
    return len(expired) + _delete_strays(now)


def note_download(original: OriginalFile, actor: User, *, with_reasons: bool) -> None:
    """Tell on the job who took the rows of an attached file."""
    rows = wording.rows(original.report["matched"])
    reasons = " with reasons" if with_reasons else ""
    _note(original, f"Downloaded: {rows} of {original.name} to import again{reasons}", actor)


def _note(original: OriginalFile, text: str, actor: User | None) -> None:
    job_id = original.file.result.job_id
    JobEvent.objects.note(job_id, JobEvent.Kind.ORIGINAL, text, actor=actor)


def _attach(
    result: Result, file: ResultFile, candidate: Candidate, user: User | None
) -> OriginalFile:
    if not file.left_out_rows:
        raise OriginalFileError(
            f"No row of {file.name} was skipped or unprocessed: there is nothing to give back."
        )
    try:
        with open_file(result, file) as reader:
            csv_file, found = _find(reader, file, candidate.open)
            told = report(found, reader, csv_file)
    except ResultFileError as error:
        raise OriginalFileError(f"The result file cannot be read: {error}") from error
    except NotKeptError as error:
        raise OriginalFileError("The kept copy of the result is gone.") from error
    now = timezone.now()
    original = OriginalFile(
        file=file,
        name=candidate.name,
        attached_at=now,
        attached_by=user,
        expires_at=now + timedelta(hours=settings.ORIGINAL_KEPT_HOURS),
        report=told.as_json(),
    )
    _store(original, result, candidate, told)
    return original


def _store(original: OriginalFile, result: Result, candidate: Candidate, told: Report) -> None:
    content = original.content
    content.name = content.field.generate_filename(original, candidate.name)
    try:
        with candidate.open() as stream:
            original.size = stream.seek(0, 2)
            stream.seek(0)
            content.name = content.storage.save(content.name, File(stream))
    except OSError as error:
        _delete_content(original)
        logger.exception("An upload for job %s could not be stored", result.job.zoho_job_id)
        raise OriginalFileError(
            "The file could not be stored here. Tell whoever runs Bulkwatch to look at its disk."
        ) from error
    try:
        with transaction.atomic():
            # The job before its result, as in `recording`: the other way round they could deadlock.
            BulkWriteJob.objects.select_for_update().get(pk=result.job_id)
            kept = Result.objects.select_for_update().filter(state=Result.State.ARCHIVED)
            if not kept.filter(pk=result.pk).exists():
                raise OriginalFileError("The result was deleted in the meantime.")
            before = OriginalFile.objects.filter(file=original.file).first()
            if before:
                before.delete()
            original.save()
            found = f"{told.matched:,} of {told.left_out:,} left-out rows found in it"
            _note(original, f"{original.name} was attached: {found}", original.attached_by)
    except BaseException:
        _delete_content(original)
        raise
    if before:
        _delete_content(before)


def _find(
    reader: RowReader, file: ResultFile, open_stream: Callable[[], BinaryIO]
) -> tuple[Original, Found]:
    csv_file = Original(open_stream, file.result.job.character_encoding, reader.columns)
    return csv_file, find(reader, csv_file, column_indexes(file))


def _stored(original: OriginalFile) -> Callable[[], BinaryIO]:
    content = original.content
    return lambda: cast(BinaryIO, content.storage.open(str(content.name), "rb"))


def _ranges(csv_file: Original, found: Found) -> Iterator[tuple[int, int, bytes]]:
    """Where the bytes of the header and of the rows lie, neighbours in one."""
    start, end = 0, csv_file.header_end
    for row in found.match.output:
        if found.starts[row] != end:
            yield start, end, b""
            start = found.starts[row]
        end = found.ends[row]
    yield start, end, b""


def _rows_with_reasons(csv_file: Original, found: Found) -> Iterator[tuple[int, int, bytes]]:
    """Where the header and each row lie, and what stands behind its last cell."""
    width = len(csv_file.header)
    yield 0, csv_file.header_end, csv_file.encoded(f"{csv_file.delimiter}{WHY}")
    for row, numbers in zip(found.match.output, found.match.reasons, strict=True):
        why = csv_export.defuse(" / or: ".join(found.why[number] for number in numbers))
        quoted = " ".join(why.split()).replace('"', '""')
        # A short row is filled up, so that the reason stands below its header.
        delimiters = csv_file.delimiter * (max(width - found.widths[row], 0) + 1)
        yield found.starts[row], found.ends[row], csv_file.encoded(f'{delimiters}"{quoted}"')


def _nothing_attached(
    attached: Attached,
    candidates: list[Candidate],
    pairs: list[tuple[Candidate, ResultFile]],
    files: list[ResultFile],
) -> str:
    if len(candidates) == 1 and pairs:
        # Only one file is spoken of, so its name adds nothing.
        return attached.left_aside[-1].removeprefix(f"{candidates[0].name}: ")
    choices = "; ".join(f"{file.name} ({', '.join(file.columns)})" for file in files)
    told = " ".join(attached.left_aside[:10])
    if len(candidates) == 1 and len(files) > 1:
        return f"{told} Choose the result file it belongs to: {choices}."
    return f"None of the CSVs could be used. {told} The result's files are: {choices}."


def _delete_content(original: OriginalFile) -> None:
    try:
        original.content.storage.delete(str(original.content.name))
    except OSError:
        logger.exception("Attached file %s could not be deleted; a later run does", original.pk)


def _delete_strays(now: datetime) -> int:
    storage = OriginalFile._meta.get_field("content").storage
    try:
        names = [f"{FOLDER}/{name}" for name in storage.listdir(FOLDER)[1]]
    except FileNotFoundError:
        return 0
    known = set(OriginalFile.objects.values_list("content", flat=True))
    deleted = 0
    for name in names:
        try:
            if name not in known and storage.get_modified_time(name) < now - STRAY_AFTER:
                storage.delete(name)
                deleted += 1
        except OSError:
            logger.exception("%s could not be deleted; a later run does", name)
    return deleted
