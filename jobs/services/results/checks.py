"""What is odd about the files of a result, in sentences for the result's warnings. Pure."""

from collections.abc import Iterable, Sequence

from jobs.models import Resource
from jobs.services.outcomes import Counts, differences, state_of_stored
from jobs.services.results.analysis import ROW_COUNT_FIELDS, FileAnalysis

NUMBERS_SHOWN = 5


def warnings(analyses: Sequence[FileAnalysis], resources: Sequence[Resource]) -> list[str]:
    """Sentences about files that are not as they should be, or differ from Zoho's counts.

    Of a result of one file, `services.outcomes` compares the counts.
    """
    return [
        *(sentence for analysis in analyses for sentence in _of_file(analysis)),
        *_of_resources(analyses, resources),
    ]


def _of_file(analysis: FileAnalysis) -> Iterable[str]:
    name = analysis.member.name
    if analysis.error:
        yield f"{name} could not be read: {analysis.error}"
        return
    others = analysis.row_counts()["other_rows"]
    if others:
        known = ", ".join(ROW_COUNT_FIELDS)
        where = _rows(analysis.other_rows, others)
        yield (
            f"{name} has {others:,} {'row' if others == 1 else 'rows'} whose STATUS is none of "
            f"{known}: {where}."
        )
    if count := analysis.written_with_errors:
        yield (
            f"{name} has {count:,} {'row' if count == 1 else 'rows'} added or updated although "
            "Zoho names an error: they are not counted among the reasons."
        )
    if analysis.ragged:
        where = _rows(analysis.ragged_rows, analysis.ragged)
        yield f"{name} has rows with more or fewer cells than its header: {where}."
    if analysis.undecodable:
        count = analysis.undecodable
        yield (
            f"{name} has {count:,} {'character' if count == 1 else 'characters'} that cannot be "
            f"read as {analysis.encoding.upper()}, shown as \ufffd: "
            f"{_rows(analysis.undecodable_rows)}."
        )


def _of_resources(analyses: Sequence[FileAnalysis], resources: Sequence[Resource]) -> Iterable[str]:
    if len(analyses) < 2 and len(resources) < 2:
        return
    for resource in resources:
        own = [analysis for analysis in analyses if analysis.resource == resource]
        if not own:
            if resource.total_count != 0:
                yield f"No file in the result is known to be that of {resource}."
            continue
        if len(own) > 1:
            names = ", ".join(analysis.member.name for analysis in own)
            yield f"The result has {len(own)} files of {resource}: {names}."
        if len(analyses) > 1 and not any(analysis.error for analysis in own):
            counts = state_of_stored(resource).counts
            yield from differences(counts, _counts(own), of=str(resource))


def _counts(analyses: Iterable[FileAnalysis]) -> Counts:
    added = updated = skipped = total = 0
    for analysis in analyses:
        statuses = analysis.statuses
        added += statuses["added"]
        updated += statuses["updated"]
        skipped += statuses["skipped"]
        total += statuses.total()
    return Counts(added, updated, skipped, total)


def _rows(numbers: Sequence[int], of: int | None = None) -> str:
    """ "row 4", "rows 4 and 9", "rows 4, 9, 11, 12, 15 and others"."""
    shown = [f"{number:,}" for number in numbers[:NUMBERS_SHOWN]]
    if len(numbers if of is None else range(of)) > len(shown):
        shown.append("others")
    head, last = ", ".join(shown[:-1]), shown[-1]
    return f"rows {head} and {last}" if head else f"row {last}"
