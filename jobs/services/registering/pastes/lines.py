"""Job ids in a line of running text: a log's, a command, an address, a list with a slip in it."""

import re
from collections.abc import Iterator
from dataclasses import replace

from jobs.services.registering.pastes.answers import ID_NAMES, JOB_NAMES
from jobs.services.registering.pastes.pieces import (
    BULK_READ,
    FILE_ID,
    LIKE_A_TIME,
    LONGEST_ID,
    NOT_SHAPED,
    RECORD_ID,
    ROUNDED,
    Piece,
    Verdict,
    is_long_id,
    is_time,
    piece_of,
    plain,
)

# A longer line was not made by hand.
MOST_ITEMS = 20_000

_PARTING = re.compile(r"[\s,;|]+")
_LIST_MARK = re.compile(r"[,;|]")
_GROUPED = re.compile(
    r"\s*[\"']?[0-9]{1,3}(?:([,.'\u2019\u00a0\u202f ])[0-9]{3})(?:\1[0-9]{3}){3,9}[\"']?\s*"
)
_DIGITS_AND_BLANKS = re.compile(r"\s*[0-9]+(?:[ \u00a0\u202f]+[0-9]+)+\s*")
# Blanks that do not break stand between the digits of one number.
_UNBROKEN = re.compile(
    r"(?<![\w.,])[0-9]{1,3}(?:([\u00a0\u202f])[0-9]{3})(?:\1[0-9]{3}){3,9}(?!\w)"
)
# What numbers the lines of a list: `1.`, `1)`, `(1)`, `[1]`.
_LIST_NUMBER = re.compile(
    r"\s*(?:[-*\u2022]\s+)?(?:[0-9]{1,4}[.)]|\([0-9]{1,4}\)|\[[0-9]{1,4}\])\s+(?=\S)"
)
# What stands before a list of ids: `ids:`, `"job_ids" =`.
_HEADING = re.compile(r"\A[\s\"'{]*(?:jobs?|(?:job[ _-]?)?ids?)[\"']?\s*[:=]\s*", re.I)
_QUOTED = re.compile(r"[\s\[(]*(?:\"[^\"]*\"|'[^']*')[\s\])]*")
# In a name or a time, but not in `="1111…"` or an address.
_NAMING = re.compile(r"[\w\"'`)\]][:=](?!//)")
# An id with a slip in it, such as the letter O for a nought.
_LIKE_ID = re.compile(r"\W*[0-9A-Za-z]{12,40}\W*")
# The same among words, where letters and digits stand for many reasons: a letter for the digit that
# it looks like, or some digits too few or too many.
_SLIP_IN_TEXT = re.compile(
    r"(?<![\w.-])(?!20[1-3][0-9][01][0-9][0-3][0-9])"
    r"(?:(?![0-9]*(?![\w-]))[0-9BDGIOQSZbgiloqsz]{14,22}|[0-9]{14}|[0-9]{21,24})(?![\w-])"
)
_MOST_LETTERS = 3
# Of a long line, what stands so near before the slip is shown with it.
_SHOWN_BEFORE = 80
_NAMED_ALONE = re.compile(r"\W*job[ _-]?id\W*([0-9]{1,30})\W*", re.I)
# Decimal commas would part the number.
_DECIMAL_COMMA = re.compile(r"(?<![\w.,])([0-9]),([0-9]{1,17}[eE]\+?[0-9]{2})(?!\w)")

_ADDRESS = re.compile(
    r"/bulk/v[0-9.]{1,4}/(?P<kind>write|read)/(?P<id>[0-9]{1,30})"
    r"|/bulk-(?P<file_kind>write|read)/(?P<file_id>[0-9]{1,30})/(?:[0-9]{1,30}\.zip)?"
)
# Pages of Zoho's and calls to its API.
_ZOHO_ADDRESS = re.compile(
    r"(?:\bzoho[a-z]{0,10}(?:\.[a-z]{2,3}){1,2}(?::[0-9]{1,5})?/|/crm/(?:org[0-9]|v[0-9])|/tab/)"
    r"[^\s\"'<>,;|]*",
    re.I,
)
_OF_RECORD = re.compile(r"(?:/tab/[\w-]{1,60}|/crm/v[0-9.]{1,4}/[A-Za-z]\w{0,60})/\Z", re.I)
_OF_JOB = re.compile(r"job[\w-]{0,6}[=/]\Z", re.I)
_NUMBER = re.compile(r"(?<![\w.])[0-9]{15,20}(?!\w|\.[0-9])")
_EXPONENT = re.compile(r"(?<![\w.])[0-9]\.[0-9]{1,17}[eE]\+?1[4-9](?!\w)")
# The words right before a number, which say what it is: `file_id=`, `"jobId":`, `bulk write job`.
_NAME_BEFORE = re.compile(
    r"([A-Za-z][A-Za-z_ .-]{0,60}?)(?:[\s\"'`:=#(<\[\\/]|(?<![-=])>|(?<=[:=][\"']),)*\Z"
)
# Whose `id` it is, as in `User(id=`.
_HOLDER = re.compile(r"([A-Za-z_]{1,60})[\\\"']*\s*[:=]?\s*[({]\s*[\\\"']*\Z")
_WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")
_BETWEEN_NUMBERS = re.compile(r"[\s,;|/&\"'()\[\]]*(?:and|und|or|,)?[\s,;|/&\"'()\[\]]*")
# An object of somebody or something else, such as the user who created the job.
_OBJECT_OF_OTHERS = re.compile(
    r"(?:created_?by|modified_?by|owner|user|module|org|profile|role)"
    r"(?:[\\\"']*\s*[:=]\s*\w{0,60}[{(]|\()[^{}()]*[})]?",
    re.I,
)
_BULK_READ = re.compile(r"bulk[ _-]?read|\"?operation[\\\"']*\s*[:=]\s*[\\\"']*read\b", re.I)
_BULK_WRITE = re.compile(r"bulk[ _-]?write", re.I)

# What the numbers in Zoho's addresses are.
_IN_RECORDS_ADDRESS = "record's address"
_IN_ADDRESS = "address"
_WHY_NOT = {
    "file": FILE_ID,
    _IN_RECORDS_ADDRESS: RECORD_ID,
    _IN_ADDRESS: (
        "The number stands in an address of Zoho's that is not known to be a job's. If it is the "
        "id of a job, write “job id:” and the number alone."
    ),
}

_EMPTY_WORDS = frozenset(("id", "ids", "no", "nr", "number", "key", "is", "was", "the", "with"))
_OF_JOBS = frozenset(("job", "jobs", "write", "import"))
_OF_OTHERS = frozenset((
    "app", "attachment", "by", "client", "connection", "correlation", "creator", "epoch",
    "event", "field", "file", "group", "layout", "message", "micros", "millis", "module",
    "nanos", "ns", "org", "organisation", "organization", "owner", "parent", "pid", "portal",
    "process", "profile", "req", "request", "role", "session", "span", "subform", "tenant",
    "thread", "time", "timestamp", "trace", "ts", "us", "user", "zaaid", "zgid", "zoid",
    "zsoid", "zuid",
))  # fmt: skip
# People note jobs by their modules, "Leads: 1111…": these name a record only as its id.
_OF_RECORDS = frozenset(("account", "contact", "deal", "lead", "record"))


def pieces_of(line: str) -> list[Piece]:
    """The ids of a line, or the line itself as what is left out.

    Empty for a line without words, and for the heading of a list of ids; mere text for one in which
    nothing looks like an id.
    """
    line = _LIST_NUMBER.sub("", _DECIMAL_COMMA.sub(r"\1.\2", line), count=1)
    if named := _NAMED_ALONE.fullmatch(line):
        return [Piece(line.strip(), job_id=named[1])]
    if _GROUPED.fullmatch(line) and (piece := piece_of(line)):
        return [piece]
    if apart := _of_digits_apart(line):
        return [apart]
    line = _UNBROKEN.sub(_digits, line)
    parts = [part for part in _PARTING.split(line) if part.strip("\"'`=<>()[]{}:")]
    if not parts or plain(line) in ID_NAMES:
        return []
    alone = [piece_of(part) for part in parts]
    sure = [piece is not None and _is_sure(piece) for piece in alone]
    if all(alone) and not any(sure):
        return [_unsure(piece) for piece in alone if piece is not None]
    # Beside an id, or among words, other numbers count something.
    alone = [piece if is_sure else None for piece, is_sure in zip(alone, sure, strict=True)]
    if all(sure):
        return [piece for piece in alone if piece is not None]
    if listed := _listed(_HEADING.sub("", line)):
        return listed
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
    return [without_id(line)]


def _of_digits_apart(line: str) -> Piece | None:
    """The id that all digits of a line make, as people write long numbers; None for other lines."""
    if not _DIGITS_AND_BLANKS.fullmatch(line):
        return None
    groups = line.split()
    whole = piece_of("".join(groups))
    if whole is None or not _is_sure(whole) or any(map(is_long_id, groups)):
        return None
    return replace(whole, text=line.strip())


def without_id(text: str) -> Piece:
    """What a text is taken for in which no id stands: one with a slip in it, or mere text.

    A word alone was meant as an id.
    """
    text = text.strip()
    for slip in _SLIP_IN_TEXT.finditer(text):
        letters = sum(map(str.isalpha, slip[0]))
        before = text[max(slip.start() - 64, 0) : slip.start()]
        if letters <= _MOST_LETTERS and kind_of(before) in ("", "job"):
            return Piece(text[max(slip.start() - _SHOWN_BEFORE, 0) :], Verdict.NOT_AN_ID)
    return Piece(text, Verdict.NOT_AN_ID, is_mere_text=_PARTING.search(text) is not None)


def _listed(line: str) -> list[Piece]:
    """The pieces of a list in which ids stand, with each that is none; none of other lines.

    A list is parted by marks, no part of it being named or several words, or made of numbers alone.
    Without marks, numbers beside an id count something.
    """
    items = _LIST_MARK.split(line)
    if len(items) > MOST_ITEMS or _NAMING.search(line):
        return []
    parts: list[str] = []
    for item in items:
        words = item.split()
        if len(words) > 1 and _QUOTED.fullmatch(item):
            words = [item]
        elif len(words) > 1 and not all(map(_is_like_id, words)):
            return []
        parts += words
    parts = [part for part in parts if part.strip("\"'`=<>()[]{}")]
    if len(parts) < 2:
        return []
    is_marked = len(items) > 1
    pieces = [piece for part in parts for piece in _in_list(part, is_marked=is_marked)]
    no_ids = (Verdict.NOT_AN_ID, Verdict.NO_JOB)
    return pieces if any(piece.verdict not in no_ids for piece in pieces) else []


def _is_like_id(word: str) -> bool:
    if piece_of(word):
        return True
    return _LIKE_ID.fullmatch(word) is not None and len(word) < 2 * sum(map(str.isdecimal, word))


def _in_list(part: str, *, is_marked: bool) -> Iterator[Piece]:
    piece = piece_of(part)
    if piece is None:
        found = [] if part.isalpha() else list(_in_text(part))
        yield from found or [Piece(part.strip(" \t\"'`<>()[]{}"), Verdict.NOT_AN_ID)]
    elif _is_sure(piece):
        yield piece
    elif is_marked or len(piece.job_id) > LONGEST_ID:
        why = LIKE_A_TIME if is_time(piece.job_id) else NOT_SHAPED
        yield Piece(piece.text, Verdict.NO_JOB, why=why)


def _is_sure(piece: Piece) -> bool:
    """Whether what nobody names is an id by its shape, or what Excel has left of one."""
    if piece.verdict == Verdict.ROUNDED:
        return True
    return is_long_id(piece.job_id) and not is_time(piece.job_id)


def _unsure(piece: Piece) -> Piece:
    if is_time(piece.job_id):
        return Piece(piece.text, Verdict.NO_JOB, why=LIKE_A_TIME)
    return replace(piece, is_bare=True)


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
    searched = _OBJECT_OF_OTHERS.sub(_blanks, line) if "{" in line or "(" in line else line
    named: dict[str, str] = {}
    in_addresses = _ZOHO_ADDRESS.findall(searched)
    searched = _ZOHO_ADDRESS.sub(_blanks, searched)
    kind, end = "", -1
    for found in _NUMBER.finditer(searched):
        between = _BETWEEN_NUMBERS.fullmatch(searched, end, found.start()) if end >= 0 else None
        if between is None or (kind != "job" and not _LIST_MARK.search(between[0])):
            kind = kind_of(searched[max(found.start() - 64, 0) : found.start()])
        end = found.end()
        if kind == "job" or not is_time(found[0]):
            named.setdefault(found[0], kind)
    for address in in_addresses:
        for found in _NUMBER.finditer(address):
            before = address[max(found.start() - 80, 0) : found.start()]
            named.setdefault(found[0], _kind_in_address(before))
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
        why = _WHY_NOT.get(of_what) or f"The number in it is named “{of_what}”: no job's."
        yield Piece(text, Verdict.NO_JOB, why=why)


def _kind_in_address(before: str) -> str:
    if _OF_JOB.search(before):
        return "job"
    return _IN_RECORDS_ADDRESS if _OF_RECORD.search(before) else _IN_ADDRESS


def kind_of(before: str) -> str:
    """Whose number follows: "job", "" where nobody says, or the word that names somebody else."""
    name = _NAME_BEFORE.search(before)
    words = [word.lower() for word in _WORD.findall(name[1])] if name else []
    if "".join(words[-3:]) in JOB_NAMES or "".join(words[-2:]) in JOB_NAMES:
        return "job"
    is_id = False
    while words and words[-1] in _EMPTY_WORDS:
        is_id = is_id or words[-1] in ("id", "ids")
        words.pop()
    if not words and is_id and name and (holder := _HOLDER.search(before, 0, name.start())):
        words = [word.lower() for word in _WORD.findall(holder[1])]
        if not words or words[-1] in _EMPTY_WORDS:
            return "job"
        is_job = words[-1] in JOB_NAMES or words[-1] not in _OF_OTHERS | _OF_RECORDS
        return "job" if is_job else words[-1]
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
        if stem in _OF_RECORDS and (is_id or word.endswith(("id", "ids"))):
            return stem
    return ""


def _digits(found: re.Match[str]) -> str:
    return re.sub(r"[^0-9]", "", found[0])


def _blanks(found: re.Match[str]) -> str:
    return " " * len(found[0])
