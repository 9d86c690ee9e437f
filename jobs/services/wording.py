"""Verdicts in words, the same on pages, in mails and in alerts."""

from jobs.models import BulkWriteJob, Outcome
from jobs.services.outcomes import Counts, counts_of
from jobs.zoho.codes import CODES, STILL_REJECTED


def rows(number: int) -> str:
    return "1 row" if number == 1 else f"{number:,} rows"


def minutes(number: int) -> str:
    return "1 minute" if number == 1 else f"{number:,} minutes"


def hours(number: int) -> str:
    return "1 hour" if number == 1 else f"{number:,} hours"


def interval(seconds: float) -> str:
    """How far apart polls are: "45 s", "5 min", "1.5 h"."""
    if seconds < 120 and seconds % 60:
        return f"{round(seconds)} s"
    if seconds < 3_600:
        return f"{_short(seconds / 60)} min"
    return f"{_short(seconds / 3_600)} h"


def times(ratio: float) -> str:
    """How many times: "2.5 times"."""
    return f"{_short(ratio)} times"


def _short(number: float) -> str:
    return f"{number:,.1f}".removesuffix(".0") if number < 10 else f"{round(number):,}"


def percent(ratio: float | None) -> str:
    """A ratio as people read it: never 0 % or 100 % unless it is exactly that."""
    if ratio is None:
        return "–"  # noqa: RUF001 - a dash, as where a number would stand
    value = ratio * 100
    if 0 < value < 0.1:
        return "< 0.1 %"
    if 99.9 < value < 100:
        return "> 99.9 %"
    return f"{value:,.1f}".removesuffix(".0") + " %"


def verdict_sentence(job: BulkWriteJob) -> str:
    """The verdict on a job as one sentence."""
    counts = counts_of(job)
    total = counts.total
    match job.outcome:
        case Outcome.RUNNING:
            return _running(job, counts)
        case Outcome.STUCK:
            return (
                "Stuck: Zoho still reports it as running, but nothing has changed for more than "
                f"{minutes(job.connection.stuck_after_minutes)}."
            )
        case Outcome.IMPORTED if job.needs_attention:
            return (
                f"Imported: {_written(counts)} in the CRM by Zoho's counts, but no result file "
                "could be read to check them."
            )
        case Outcome.IMPORTED:
            return f"Imported: {_written(counts)} in the CRM, none skipped."
        case Outcome.PARTIAL:
            return f"Imported with skips: {_left_out(counts)}"
        case Outcome.NOTHING_IMPORTED:
            if total is None:
                return "Nothing imported: Zoho says the job completed, but it wrote no row."
            if not total:
                return "Nothing imported: Zoho says the job completed, but it held no rows."
            return (
                f"Nothing imported: Zoho says the job completed, but none of {rows(total)} "
                "is in the CRM."
            )
        case Outcome.SKIPPED:
            return f"Skipped: Zoho skipped the whole job.{_yet_written(counts)}"
        case Outcome.FAILED:
            return f"Failed: Zoho could not carry out the job.{_yet_written(counts)}"
        case _:
            return _unknown(job)


def _running(job: BulkWriteJob, counts: Counts) -> str:
    if job.status and job.status not in ("ADDED", "INPROGRESS", "COMPLETED", "FAILED", "SKIPPED"):
        return f"Running: Zoho reports the status {job.status_raw}, which is not a documented one."
    if job.status == "ADDED":
        return "Waiting: Zoho has accepted the job and not started it yet."
    if counts.total:
        done = min(counts.accounted, counts.total)
        return f"Running: {done:,} of {rows(counts.total)} done so far."
    return "Running: Zoho has not reported any counts yet."


def _written(counts: Counts) -> str:
    written = counts.written or 0
    return "1 row is" if written == 1 else f"{written:,} rows are"


def _left_out(counts: Counts) -> str:
    out = (counts.skipped or 0) + (counts.unprocessed or 0)
    if not out:
        return (
            f"{_written(counts)} in the CRM by Zoho's counts, but a part of the job or its result "
            "file says otherwise."
        )
    verb = "is" if out == 1 else "are"
    of = f" of {rows(counts.total)}" if counts.total else (" row" if out == 1 else " rows")
    return f"{out:,}{of} {verb} not in the CRM."


def _yet_written(counts: Counts) -> str:
    if counts.written:
        return f" Yet {_written(counts)} in the CRM by its counts."
    if counts.total:
        return f" None of {rows(counts.total)} is in the CRM by its counts."
    return ""


def _unknown(job: BulkWriteJob) -> str:
    if job.poll_state == BulkWriteJob.PollState.BLOCKED:
        return f"Unknown: {refusal_sentence(job)}"
    if job.last_changed_at is None:
        return "Not read yet: Zoho has not been asked about this job, or has not answered."
    return (
        "Unknown: Zoho says the job completed, but not how many rows it wrote, and no result file "
        "settles it."
        if job.has_ended
        else "Unknown."
    )


def refusal_sentence(job: BulkWriteJob) -> str:
    """That Zoho says nothing, or nothing more, about a blocked job."""
    has_spoken = job.last_changed_at is not None
    if job.is_unknown_to_zoho:
        return f"Zoho {'no longer knows a' if has_spoken else 'knows no'} job with this id."
    return f"Zoho refuses to say anything {'more ' if has_spoken else ''}about this job."


def without_head(sentence: str, head: str) -> str:
    """A sentence "Head: the rest." as "The rest.", where something else says the head."""
    start, colon, rest = sentence.partition(": ")
    return rest[:1].upper() + rest[1:] if colon and start == head else sentence


def error_in_words(code: str | None, message: str | None) -> str:
    """What an error means, in a sentence; then its code and the words it came with, if others.

    Zoho's own words are often no more than "Unauthorized"; those of this dashboard stand alone.
    """
    said = (message or "").strip()
    known = CODES.get((code or "").upper())
    if known is None or said in (known.help.meaning, STILL_REJECTED.meaning):
        return f"{_sentence(said)} ({code})" if said and code else _sentence(said)
    return f"{known.help.meaning} ({code}: “{said}”)" if said else f"{known.help.meaning} ({code})"


def _sentence(text: str) -> str:
    return text if not text or text.endswith((".", "!", "?", "”")) else f"{text}."
