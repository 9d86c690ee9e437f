"""Job ids in answers of Zoho's API, as parsed values, whatever they are wrapped in.

The shapes are those of the v7 pages "Create Bulk Write Job" (`details.id`), "Bulk Write Job
Details", and their Bulk Read namesakes, which people take for them.
"""

from collections.abc import Iterator
from typing import Any

from jobs.services.registering.pastes.loose_json import Reader
from jobs.services.registering.pastes.pieces import (
    BULK_READ,
    FILE_ID,
    RECORD_ID,
    Piece,
    Verdict,
    is_id,
    is_long_id,
    piece_of,
    plain,
)

JOB_NAMES = frozenset((
    "jobid", "jobids", "bulkjobid", "bulkwriteid", "bulkwritejobid", "bulkwritejobids",
    "zohojobid", "crmjobid", "writejobid",
))  # fmt: skip
# Names of a column of ids, the surest first.
ID_NAMES = (*sorted(JOB_NAMES, key=len, reverse=True), "job", "jobs", "id", "ids")
DEEPEST = 60
DEEPEST_TEXT = 3

# Under these names, or none, an object's `id` is that of a job; elsewhere it is a user's, a
# module's, an org's.
_HOLDERS = frozenset((
    "", "data", "details", "job", "jobs", "bulkwrite", "bulkwritejob", "bulkwritejobs",
    "answer", "answers", "body", "content", "json", "payload", "response", "responsebody",
))  # fmt: skip
_JOB_KEYS = frozenset(("operation", "resource", "character_encoding", "callback"))
_RECORD_KEYS = frozenset(
    ("Owner", "Created_By", "Created_Time", "Modified_By", "Modified_Time", "$approval_state")
)


def ids_in_json(value: Any) -> list[str]:
    """The ids of bulk write jobs in a parsed answer or callback body, each once, in its order.

    Numbers are taken as they are: whoever parses must not have made floats of them.
    """
    found = (piece.job_id for piece in pieces_in(value) if piece.verdict == Verdict.TRACKED)
    return list(dict.fromkeys(found))


def pieces_in(value: Any) -> list[Piece]:
    """The ids in a parsed value, and what looks like an answer without one."""
    return list(_below(value, "", 0, 0))


def _below(value: Any, name: str, depth: int, text_depth: int) -> Iterator[Piece]:
    if depth > DEEPEST:
        return
    if isinstance(value, dict):
        yield from _in_object(value, name, depth, text_depth)
    elif isinstance(value, list):
        for item in value:
            if isinstance(item, dict | list):
                yield from _below(item, name, depth + 1, text_depth)
            elif name == "ids" or name in JOB_NAMES:
                if piece := _scalar(item):
                    yield piece
                elif isinstance(item, str) and item.strip():
                    yield Piece(item.strip(), Verdict.NOT_AN_ID)
    elif isinstance(value, str) and text_depth < DEEPEST_TEXT:
        # An answer as text within an answer: what loggers make of bodies.
        start = min((at for at in (value.find("{"), value.find("[")) if at >= 0), default=-1)
        inner = Reader(value).value_at(start) if start >= 0 and "id" in value else None
        if inner is not None:
            yield from _below(inner[0], "", depth + 1, text_depth + 1)


def _in_object(value: dict[str, Any], name: str, depth: int, text_depth: int) -> Iterator[Piece]:
    details = value.get("details")
    own = list(_own_ids(value, name))
    if refused := _refusal(value):
        # The id in its details is of what the call was about, such as an uploaded file.
        own, details = own or [refused], None
    elif isinstance(details, dict):
        own = list(_own_ids(details, "details")) or own
        if not own and (file_id := _scalar(details.get("file_id"))):
            own = [Piece(file_id.text, Verdict.NO_JOB, why=FILE_ID)]
    if _is_bulk_read(value) or (isinstance(details, dict) and _is_bulk_read(details)):
        own = [Piece(piece.text, Verdict.BULK_READ, piece.job_id, BULK_READ) for piece in own]
    yield from own
    within = [
        pair for pair in value.items() if pair[0] != "details" or not isinstance(pair[1], dict)
    ]
    if isinstance(details, dict):
        within += details.items()
    for key, item in within:
        if isinstance(item, dict | list | str) and key != "query":
            yield from _below(item, plain(key), depth + 1, text_depth)


def _own_ids(value: dict[str, Any], name: str) -> Iterator[Piece]:
    """The job id that an object carries itself."""
    for key, item in value.items():
        if plain(key) in JOB_NAMES and (piece := _scalar(item)):
            yield piece
            return
    piece = _scalar(value.get("id"))
    if piece is None or name not in _HOLDERS:
        return
    if not _RECORD_KEYS.isdisjoint(value):
        yield Piece(piece.text, Verdict.NO_JOB, why=RECORD_ID)
    elif (
        piece.verdict != Verdict.TRACKED
        or is_long_id(piece.job_id)
        or name == "details"
        or not _JOB_KEYS.isdisjoint(value)
    ):
        yield piece


def _scalar(value: Any) -> Piece | None:
    if isinstance(value, bool) or not isinstance(value, str | int):
        return None
    if isinstance(value, int):
        text = str(value) if 0 <= value < 10**30 else ""
        return Piece(text, job_id=text) if is_id(text) else None
    return piece_of(value) if len(value) <= 60 else None


def _refusal(answer: dict[str, Any]) -> Piece | None:
    """What is to be said of Zoho's answer to a call that it refused; None for anything else."""
    status, code = answer.get("status"), answer.get("code")
    if not isinstance(code, str) or not isinstance(status, str):
        return None
    if status.strip().lower() != "error" or not isinstance(answer.get("details"), dict):
        return None
    why = f"Zoho refused this call with {code[:60]}, so it created no job."
    return Piece(code, Verdict.NO_JOB, why=why)


def _is_bulk_read(value: dict[str, Any]) -> bool:
    """Whether a Bulk Read job is described: it has a state and a query, and no status."""
    operation = value.get("operation")
    if isinstance(operation, str):
        return operation.strip().lower() == "read"
    return "status" not in value and ("state" in value or isinstance(value.get("query"), dict))
