"""Job ids in a line of running text: a log's, a command, an address, a list with a slip in it."""

import re
from collections.abc import Iterator

from jobs.services.registering.pastes.answers import ID_NAMES, JOB_NAMES
from jobs.services.registering.pastes.pieces import (
    BULK_READ,
    FILE_ID,
    ROUNDED,
    Piece,
    Verdict,
    piece_of,
    plain,
)

_PARTING = re.compile(r"[\s,;|]+")
_LIST_MARK = re.compile(r"[,;|]")
_GROUPED = re.compile(r"\s*[\"']?[0-9]{1,3}(?:([,.'\u2019 ])[0-9]{3})(?:\1[0-9]{3}){3,9}[\"']?\s*")
# Decimal commas would part the number.
_DECIMAL_COMMA = re.compile(r"(?<![\w.,])([0-9]),([0-9]{1,17}[eE]\+?[0-9]{2})(?!\w)")

_ADDRESS = re.compile(
    r"/bulk/v[0-9.]{1,4}/(?P<kind>write|read)/(?P<id>[0-9]{1,30})"
    r"|/bulk-(?P<file_kind>write|read)/(?P<file_id>[0-9]{1,30})/(?:[0-9]{1,30}\.zip)?"
)
_NUMBER = re.compile(r"(?<![\w.])[0-9]{15,20}(?!\w|\.[0-9])")
_EXPONENT = re.compile(r"(?<![\w.])[0-9]\.[0-9]{1,17}[eE]\+?1[4-9](?!\w)")
# The words right before a number, which say what it is: `file_id=`, `"jobId":`, `bulk write job`.
_NAME_BEFORE = re.compile(r"([A-Za-z][A-Za-z_ .-]{0,60}?)[\s\"'`:=#(<\[\\/]*\Z")
_WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")
_BETWEEN_NUMBERS = re.compile(r"[\s,;|/&\"'()\[\]]*(?:and|und|or|,)?[\s,;|/&\"'()\[\]]*")
# An object of somebody or something else, such as the user who created the job.
_OBJECT_OF_OTHERS = re.compile(
    r"(?:created_by|modified_by|owner|user|module|org|profile|role)[\\\"']*\s*[:=]\s*\{[^{}]*\}?",
    re.I,
)
_BULK_READ = re.compile(r"bulk[ _-]?read|\"?operation[\\\"']*\s*[:=]\s*[\\\"']*read\b", re.I)
_BULK_WRITE = re.compile(r"bulk[ _-]?write", re.I)

_EMPTY_WORDS = frozenset(("id", "ids", "no", "nr", "number", "key", "is", "was", "the", "with"))
_OF_JOBS = frozenset(("job", "jobs", "write", "import"))
_OF_OTHERS = frozenset((
    "account", "app", "attachment", "by", "client", "connection", "contact", "correlation",
    "creator", "deal", "epoch", "event", "field", "file", "group", "layout", "lead", "message",
    "micros", "millis", "module", "nanos", "ns", "org", "organisation", "organization", "owner",
    "parent", "pid", "portal", "process", "profile", "record", "req", "request", "role",
    "session", "span", "subform", "tenant", "thread", "time", "timestamp", "trace", "ts", "us",
    "user", "zaaid", "zgid", "zoid", "zsoid", "zuid",
))  # fmt: skip


def pieces_of(line: str) -> list[Piece]:
    """The ids of a line, or the line itself as what is left out.

    Empty for a line without words, and for the heading of a list of ids.
    """
    line = _DECIMAL_COMMA.sub(r"\1.\2", line)
    if _GROUPED.fullmatch(line) and (piece := piece_of(line)):
        return [piece]
    parts = [part for part in _PARTING.split(line) if part.strip("\"'`=<>()[]{}:")]
    if not parts or plain(line) in ID_NAMES:
        return []
    alone = [piece_of(part) for part in parts]
    if all(alone):
        return [piece for piece in alone if piece is not None]
    share = sum(piece is not None for piece in alone) / len(alone)
    is_list = len(parts) > 1 and share >= 0.5
    if (share <= 0.5 or not _LIST_MARK.search(line)) and (found := list(_in_text(line))):
        return found
    # A list with a slip in it: what is an id is taken, the rest is named.
    if is_list:
        return [
            piece or Piece(part, Verdict.NOT_AN_ID)
            for part, piece in zip(parts, alone, strict=True)
        ]
    return [Piece(line.strip(), Verdict.NOT_AN_ID)]


def addresses_in(text: str) -> Iterator[Piece]:
    """The jobs that Zoho's addresses name: of a job, or of its result file."""
    for found in _ADDRESS.finditer(text):
        job_id = found["id"] or found["file_id"]
        if "read" in (found["kind"], found["file_kind"]):
            yield Piece(found[0], Verdict.BULK_READ, job_id, BULK_READ)
        else:
            yield Piece(found[0], job_id=job_id)


def _in_text(line: str) -> Iterator[Piece]:
    text = line.strip()
    addresses = {piece.job_id: piece for piece in addresses_in(line)}
    if addresses:
        for piece in addresses.values():
            yield Piece(text, piece.verdict, piece.job_id, piece.why)
        return
    is_read = _BULK_READ.search(line) is not None and not _BULK_WRITE.search(line)
    searched = _OBJECT_OF_OTHERS.sub(_blanks, line) if "{" in line else line
    named: dict[str, str] = {}
    kind, end = "", -1
    for found in _NUMBER.finditer(searched):
        between = _BETWEEN_NUMBERS.fullmatch(searched, end, found.start()) if end >= 0 else None
        if between is None or (kind != "job" and not _LIST_MARK.search(between[0])):
            kind = _kind_of(searched[max(found.start() - 64, 0) : found.start()])
        end = found.end()
        if kind or not _is_time(found[0]):
            named.setdefault(found[0], kind)
    best = "job" if "job" in named.values() else ""
    taken = [job_id for job_id, kind in named.items() if kind == best]
    for job_id in taken:
        if is_read:
            yield Piece(text, Verdict.BULK_READ, job_id, BULK_READ)
        else:
            yield Piece(text, job_id=job_id)
    if taken:
        return
    if exponent := _EXPONENT.search(searched):
        yield Piece(exponent[0], Verdict.ROUNDED, why=ROUNDED)
    elif named:
        of_what = next(iter(named.values()))
        why = FILE_ID if of_what == "file" else f"The number in it is named “{of_what}”: no job's."
        yield Piece(text, Verdict.NOT_AN_ID, why=why)


def _kind_of(before: str) -> str:
    """Whose number follows: "job", "" where nobody says, or the word that names somebody else."""
    name = _NAME_BEFORE.search(before)
    words = [word.lower() for word in _WORD.findall(name[1])] if name else []
    if "".join(words[-3:]) in JOB_NAMES or "".join(words[-2:]) in JOB_NAMES:
        return "job"
    is_id = False
    while words and words[-1] in _EMPTY_WORDS:
        is_id = is_id or words[-1] == "id"
        words.pop()
    if not words:
        return "job" if is_id else ""
    word = words[-1]
    if word in JOB_NAMES:
        return "job"
    for stem in (word, word.removesuffix("id"), word.removesuffix("ids"), word.removesuffix("s")):
        if stem in _OF_JOBS:
            return "job"
        if stem in _OF_OTHERS:
            return stem
    return ""


def _is_time(digits: str) -> bool:
    """Whether a nameless number is a time in micro- or nanoseconds, 2017 to 2036.

    Zoho's ids are an org's number, noughts and a count.
    """
    if "0000" in digits:
        return False
    seconds = {16: digits[:10], 19: digits[:10]}.get(len(digits), "0")
    return 1_500_000_000 <= int(seconds) <= 2_100_000_000


def _blanks(found: re.Match[str]) -> str:
    return " " * len(found[0])
