"""Reading the ids of bulk write jobs out of whatever was pasted.

A paste may be a table with a column of ids, answers of Zoho's API, lines of a log, addresses,
commands, a plain list. What is left out comes back as well, each piece with its line and why.
Pure: no clock, no database, no network.
"""

import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from jobs.models import BulkWriteJob
from jobs.services.registering.pastes import lines, tables
from jobs.services.registering.pastes.answers import ids_in_json, pieces_in
from jobs.services.registering.pastes.loose_json import Reader
from jobs.services.registering.pastes.pieces import (
    BULK_READ,
    NO_ID,
    NOT_SHAPED,
    Piece,
    Verdict,
    is_long_id,
)
from jobs.zoho.errors import clean_text, redact

__all__ = [
    "NO_ID",
    "SLIPS",
    "Entry",
    "Paste",
    "TooManyIdsError",
    "Verdict",
    "ids_in_json",
    "read",
    "to_correct",
]

# What somebody may correct: there was an id, and the digits are not all right.
SLIPS = (Verdict.NOT_AN_ID, Verdict.ROUNDED)
MAX_IDS = 5_000
MAX_CHARACTERS = 2_000_000
MAX_LINES = 50_000
# Of what is left out beyond so many pieces, only their number is said.
MOST_LEFT_OUT = 5_000
TEXT_SHOWN = 200
MOST_READINGS = 5
# Each means to look through all of an answer once more.
MOST_MISSES = 20

_LINE_END = re.compile(r"\r\n|\r|\n")
_BRACKET = re.compile(r"[{]|\[(?=\s*[\[{])")
# The secret addresses that Zoho calls stand in the details of jobs.
_SECRET_ADDRESS = re.compile(r"(hooks\\?/zoho\\?/)[\w-]+")
# A float's whole numbers are exact up to here.
_EXACT = 2**53


@dataclass(slots=True)
class Entry:
    """What became of one piece of a paste.

    `line` counts from 1; `text` is what stood there, without secrets; `why` says in a sentence why
    it is left out, where it is; `label` is what the paste itself calls the job.
    """

    line: int
    text: str
    verdict: Verdict
    job_id: str = ""
    job: BulkWriteJob | None = None
    why: str = ""
    label: str = ""


@dataclass(slots=True)
class Paste:
    """What was read: an entry for each piece, and sentences on how the whole was taken.

    Lines in which nothing looks like an id, as most of a log's, are no entries, but counted.
    """

    entries: list[Entry] = field(default_factory=list)
    lines_without_id: int = 0
    notes: list[str] = field(default_factory=list)


class TooManyIdsError(Exception):
    """More at once than is taken in one go; the text says how much that is."""


def read(text: str) -> Paste:
    """The job ids of a paste, and what else stands in it.

    Repeated ids and what is left out come as entries of their own. Raises TooManyIdsError.
    """
    if len(text) > MAX_CHARACTERS:
        raise TooManyIdsError("More than 2 MB of text at once: paste it in several goes.")
    if len(_LINE_END.findall(text)) >= MAX_LINES:
        raise TooManyIdsError(f"More than {MAX_LINES:,} lines at once: paste them in several goes.")
    text = clean_text(text.lstrip("\ufeff"), MAX_CHARACTERS)
    # Before anything is cut out of it: of a token that is cut first, a part would be left. Line by
    # line: a name at the end of one must not hide the id in the next.
    text = "".join(map(_without_secrets, text.splitlines(keepends=True)))
    paste = Paste()
    table = tables.read(text)
    if table is not None:
        paste.notes.append(table.note)
        found: Iterator[tuple[int, Piece]] = iter(table.pieces)
    else:
        found = iter(_shaped(list(_pieces(text))))
    _collect(paste, found)
    _note_damage(paste)
    return paste


def to_correct(texts: Iterable[str]) -> list[str]:
    """Those of the texts, each once and in one line, that may be shown to be corrected.

    They are what slips are in. Read again as they are, all of them together name no job.
    """
    left = list(dict.fromkeys(" ".join(text.split()) for text in texts))
    for _ in range(MOST_READINGS):
        try:
            entries = read("\n".join(left)).entries
        except TooManyIdsError:
            return []
        named = {entry.line for entry in entries if entry.job_id}
        if not named:
            return left
        left = [text for line, text in enumerate(left, start=1) if line not in named]
    return []


def _collect(paste: Paste, found: Iterator[tuple[int, Piece]]) -> None:
    seen: set[str] = set()
    of_reads: set[str] = set()
    left_out = 0
    without_id: set[int] = set()
    for line, piece in found:
        if piece.is_mere_text:
            without_id.add(line)
            continue
        verdict = piece.verdict
        if piece.job_id and piece.job_id in seen:
            verdict = Verdict.REPEATED
        elif piece.job_id:
            seen.add(piece.job_id)
        if piece.verdict == Verdict.BULK_READ:
            of_reads.add(piece.job_id)
        if len(seen) > MAX_IDS:
            raise TooManyIdsError(
                f"More than {MAX_IDS:,} ids at once: register them in several goes."
            )
        if verdict != Verdict.TRACKED:
            left_out += 1
            if left_out > MOST_LEFT_OUT:
                continue
        why = piece.why or (NO_ID if verdict == Verdict.NOT_AN_ID else "")
        shown = piece.text[:TEXT_SHOWN]
        paste.entries.append(Entry(line, shown, verdict, piece.job_id, why=why, label=piece.label))
    for entry in paste.entries:
        # What a log only calls a job, an answer of Zoho's may show to be a Bulk Read job.
        if entry.job_id in of_reads and entry.verdict == Verdict.TRACKED:
            entry.verdict, entry.why = Verdict.BULK_READ, BULK_READ
    paste.lines_without_id = len(without_id)
    if without_id:
        hold = "1 line holds" if len(without_id) == 1 else f"{len(without_id):,} lines hold"
        paste.notes.append(f"{hold} no id.")
    if left_out > MOST_LEFT_OUT:
        more = left_out - MOST_LEFT_OUT
        paste.notes.append(f"{more:,} further pieces without a new id are not listed.")


def _without_secrets(text: str) -> str:
    """The text without tokens: people paste whole commands."""
    return _SECRET_ADDRESS.sub(r"\1[hidden]", redact(text))


def _note_damage(paste: Paste) -> None:
    """Say where ids look as if a spreadsheet or a float had rounded them."""
    ids = [entry.job_id for entry in paste.entries if entry.verdict == Verdict.TRACKED]
    long = [job_id for job_id in ids if len(job_id) > 15]
    if len(long) > 1 and all(set(job_id[15:]) == {"0"} for job_id in long):
        paste.notes.append(
            "All ids end in noughts from the 16th digit on: Excel rounds them so. Check them with "
            "Zoho, or copy them from where they came from."
        )
    floats = [
        entry.job_id
        for entry in paste.entries
        if entry.verdict == Verdict.TRACKED
        and entry.text.rpartition(".")[2].strip("0") == ""
        and "." in entry.text
        and int(entry.job_id) > _EXACT
    ]
    if floats and all(int(float(job_id)) == int(job_id) for job_id in floats):
        paste.notes.append(
            "Ids that end in “.0” were floating-point numbers, which cannot hold all digits: the "
            "last ones may be wrong. Check them with Zoho."
        )


def _pieces(text: str) -> Iterator[tuple[int, Piece]]:
    """(line, piece) of a text that is no table."""
    starts = [0, *(found.end() for found in _LINE_END.finditer(text))]

    def line_end(at: int) -> int:
        number = bisect_right(starts, at)
        return starts[number] if number < len(starts) else len(text)

    reader = Reader(text)
    bracket = _BRACKET.search(text)
    at = 0
    while at < len(text):
        end = line_end(at)
        has_answer = False
        while bracket is not None and bracket.start() < end:
            start, looked_at = bracket.span()
            value = reader.value_at(start)
            if value is not None:
                looked_at = value[1]
                pieces = pieces_in(value[0])
                if not pieces and looked_at > end:
                    pieces = _of_value_without_ids(text[start:looked_at])
                if pieces:
                    has_answer = True
                    yield from _with_lines(text, starts, start, looked_at, pieces)
                    at, end = looked_at, line_end(looked_at - 1)
            bracket = None if reader.is_spent else _BRACKET.search(text, looked_at)
        if not has_answer:
            for piece in lines.pieces_of(text[at:end]):
                yield bisect_right(starts, at), piece
        at = end


def _shaped(found: list[tuple[int, Piece]]) -> list[tuple[int, Piece]]:
    """The pieces of a text; beside ids of Zoho's shape, other numbers are none."""
    if not any(is_long_id(piece.job_id) for _, piece in found):
        return found
    return [
        (line, Piece(piece.text, Verdict.NO_JOB, why=NOT_SHAPED) if piece.is_bare else piece)
        for line, piece in found
    ]


def _of_value_without_ids(text: str) -> list[Piece]:
    """What an object over several lines is taken for in which no job has its id."""
    found = {piece.job_id: piece for piece in lines.addresses_in(text)}
    return list(found.values()) or [lines.without_id(text)]


def _with_lines(
    text: str, starts: list[int], start: int, end: int, pieces: list[Piece]
) -> Iterator[tuple[int, Piece]]:
    """The pieces of an answer with the lines in which they stand."""
    at, misses = start, 0
    for piece in pieces:
        found = text.find(piece.text, at, end)
        if found < 0 and misses < MOST_MISSES:
            misses += 1
            found = text.find(piece.text, start, end)
        at = max(found, at)
        yield bisect_right(starts, max(found, start)), piece
