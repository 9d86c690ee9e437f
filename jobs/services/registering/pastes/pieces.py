"""The pieces of a paste: an id, or what is left out and why."""

import re
from dataclasses import dataclass
from enum import StrEnum

_ID = re.compile(r"[0-9]{1,30}")
# Where nothing says that a number is an id, it is one only if it is as long as Zoho's ids are.
LONGEST_ID = 20
_LONG_ID = re.compile(rf"[0-9]{{15,{LONGEST_ID}}}")
_EXPONENT = re.compile(r"[0-9](?:[.,][0-9]{1,17})?[eE]\+?[0-9]{2}")
_WITH_POINT_ZERO = re.compile(r"([0-9]{1,30})\.0{1,6}")
_THOUSANDS = re.compile(r"[0-9]{1,3}(?:([,.'\u2019\u00a0\u202f ])[0-9]{3})(?:\1[0-9]{3}){3,9}")
# 20261120100000123: with milli- or microseconds.
_DATE = re.compile(
    r"20(?:1[7-9]|2[0-9]|3[0-6])(?:0[1-9]|1[0-2])(?:0[1-9]|[12][0-9]|3[01])"
    r"(?:[01][0-9]|2[0-3])[0-5][0-9][0-5][0-9](?:[0-9]{3}|[0-9]{6})"
)
# What Excel keeps of a number.
_EXCEL_DIGITS = 15


class Verdict(StrEnum):
    """What is made of a piece; `track` knows which ids are registered already.

    What is `NOT_AN_ID` was meant as one and has a slip in it, which somebody may correct; `NO_JOB`
    is of something else, or nothing that could be corrected.
    """

    TRACKED = "tracked"
    ALREADY_TRACKED = "already_tracked"
    REPEATED = "repeated"
    BULK_READ = "bulk_read"
    ROUNDED = "rounded"
    NOT_AN_ID = "not_an_id"
    NO_JOB = "no_job"


NO_ID = (
    "A job id is digits alone, as in 111111000000541958: copy it from the answer to the call that "
    "created the job."
)
BULK_READ = "It is the id of a Bulk Read job; Bulkwatch watches Bulk Write jobs."
ROUNDED = (
    "Excel has rounded the id: it keeps 15 digits, the last ones are lost. Copy the id from where "
    "it came from, into a column that is formatted as text."
)
FILE_ID = (
    "The number is the id of an uploaded file. The job's own id is in the answer to the call that "
    "created the job."
)
NOT_SHAPED = (
    "Zoho's ids have 15 to 20 digits. If this is the id of a job all the same, write “job id:” "
    "before it."
)
LIKE_A_TIME = "The number looks like a time. If it is the id of a job, write “job id:” before it."
RECORD_ID = "It is the id of a record, not of a job."


@dataclass(frozen=True, slots=True)
class Piece:
    """One piece of a paste; `why` says in a sentence why it is no job's id, where it is none.

    `is_bare`: a number that nobody names and that is not shaped like Zoho's ids, so that it is one
    only where no other is. `is_mere_text`: words in which nothing looks like an id, not even like
    one with a slip in it.
    """

    text: str
    verdict: Verdict = Verdict.TRACKED
    job_id: str = ""
    why: str = ""
    label: str = ""
    is_bare: bool = False
    is_mere_text: bool = False


def is_id(text: str) -> bool:
    return _ID.fullmatch(text) is not None


def is_long_id(text: str) -> bool:
    return _LONG_ID.fullmatch(text) is not None


def piece_of(text: str) -> Piece | None:
    """The id that a text is alone, also as spreadsheets write it; None where it is none."""
    # Soon said of most words, of which there may be a million.
    if text.isalpha():
        return None
    bare = text.strip().removeprefix("=").strip("\"'`\u2019<>()[]{}")
    if is_id(bare):
        return Piece(bare, job_id=bare)
    if _EXPONENT.fullmatch(bare):
        return Piece(bare, Verdict.ROUNDED, why=ROUNDED)
    if point := _WITH_POINT_ZERO.fullmatch(bare):
        return Piece(bare, job_id=point[1])
    if _THOUSANDS.fullmatch(bare):
        digits = re.sub(r"[^0-9]", "", bare)
        if is_id(digits) and set(digits[_EXCEL_DIGITS:]) != {"0"}:
            return Piece(bare, job_id=digits)
        return Piece(bare, Verdict.ROUNDED, why=ROUNDED)
    return None


def is_time(digits: str) -> bool:
    """Whether a number is a time, 2017 to 2036: written as a date, or in micro- or nanoseconds.

    Zoho's ids are an org's number and a count, which has twelve digits, noughts before it.
    """
    if _DATE.fullmatch(digits):
        return True
    if len(digits) not in (16, 19) or digits[-12:-8] == "0000":
        return False
    return 1_500_000_000 <= int(digits[:10]) <= 2_100_000_000


def plain(name: str) -> str:
    """A name in lower case without what parts its words: "Job ID" and "job_id" are "jobid"."""
    return re.sub(r"[\W_]+", "", name.lower())
