"""A result as tables for CSV files: its rows with reasons in words, and its figures."""

from collections.abc import Iterator, Sequence

from jobs.models import Result, ResultFile, SkipReason
from jobs.models.job import CountsMixin
from jobs.models.result import RowCountsMixin
from jobs.services import reasons, wording
from jobs.services.results.analysis import LEFT_OUT, ROW_COUNT_FIELDS
from jobs.services.results.reading import RowFilter, matching_rows, open_file
from jobs.zoho.result_files import ResultRow

_ROWS_AROUND = (("File", "Row"), ("Record id", "Status", "Reason", "Zoho's ERRORS"))
_FIGURES = (
    *("File", "Module", "Rows", "Added", "Updated", "Skipped", "Unprocessed", "Other status"),
    *("Zoho: added", "Zoho: updated", "Zoho: skipped", "Zoho: total", "Could not be read"),
)
_REASONS = (
    *("File", "Code", "Field", "Rows", "Share of the rows left out", "First rows"),
    *("Meaning", "What to do"),
)


def rows(result: Result, files: Sequence[ResultFile], wanted: RowFilter) -> Iterator[list[str]]:
    """The rows of the files that are wanted, each with its reason in words.

    A header comes before the first of them, and again, below a blank line, where a file has other
    columns; a file that cannot be read is named with the reason. Where there is nothing else, the
    header of the last file. Errors: as `open_file`.
    """
    before, after = _ROWS_AROUND
    header_shown: list[str] | None = None
    header: list[str] = []
    is_empty = True
    for file in files:
        if file.error:
            is_empty = False
            yield from (["File", "Could not be read"], [file.name, file.error])
            header_shown = None
            continue
        with open_file(result, file) as reader:
            header = [*before, *reader.columns, *after]
            for row in matching_rows(reader, file, wanted):
                if header != header_shown:
                    if header_shown:
                        yield []
                    yield header
                    header_shown = header
                yield [
                    *(file.name, str(row.number), *row.values),
                    *(row.record_id, row.status, reason_in_words(row), row.errors_text),
                ]
    if is_empty and header_shown is None:
        yield header


def whole_file(result: Result, file: ResultFile) -> Iterator[list[str]]:
    """All rows of a file with all its columns, header first. Errors: as `open_file`."""
    with open_file(result, file) as reader:
        yield list(reader.header)
        for block in reader.blocks():
            yield from map(block.row, range(block.rows))


def figures(result: Result) -> Iterator[list[str]]:
    """The rows of each file by status with Zoho's own counts beside them, then each skip reason.

    What is not known is empty. Of a result whose copy was deleted these are still there.
    """
    files = list(result.files.select_related("resource"))
    yield list(_FIGURES)
    for file in files:
        module = file.resource.module if file.resource else ""
        yield [file.name, module, *_counts(file, file.resource), file.error]
    if len(files) > 1:
        yield ["All files", result.job.modules, *_counts(result, result.job), ""]
    yield []
    yield list(_REASONS)
    left_out = (result.skipped_rows or 0) + (result.unprocessed_rows or 0)
    found = SkipReason.objects.filter(file__result=result).select_related("file")
    for reason in found.order_by("-rows", "code", "field"):
        described = reasons.describe(reason.code)
        yield [
            *(reason.file.name, reason.code, reason.field, str(reason.rows)),
            wording.percent(reason.rows / left_out) if left_out else "",
            ", ".join(str(number) for number in reason.first_rows),
            *(described.meaning, described.what_to_do),
        ]


def reason_in_words(row: ResultRow) -> str:
    """Why a row was left out, for people; empty for a row about which Zoho says nothing."""
    said = "; ".join(reasons.in_words(error.code, error.column) for error in row.errors)
    if not said and row.status in LEFT_OUT:
        return reasons.in_words(reasons.of_silence(row.status), "")
    return said


def _counts(counted: RowCountsMixin, by_zoho: CountsMixin | None) -> Iterator[str]:
    found = [getattr(counted, name) for name in (*ROW_COUNT_FIELDS.values(), "other_rows")]
    known = [number for number in found if number is not None]
    total = sum(known) if len(known) == len(found) else None
    names = ("added_count", "updated_count", "skipped_count", "total_count")
    said = [getattr(by_zoho, name, None) for name in names]
    return ("" if number is None else str(number) for number in (total, *found, *said))
