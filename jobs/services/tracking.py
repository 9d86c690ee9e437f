"""Registering job ids: from one to hundreds, in whatever form they are pasted."""

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from django.contrib.auth.models import User
from django.db import transaction
from django.utils import timezone

from jobs.models import BulkWriteJob, Connection, JobEvent

MAX_IDS = 5_000

_ID = re.compile(r"\d{1,30}", re.ASCII)
# In running text a number is an id only if it is as long as Zoho's ids are.
_ID_IN_TEXT = re.compile(r"(?<![\w.])[0-9]{15,20}(?!\w|\.\d)")
_PARTING = re.compile(r"[\s,;|]+")
_BETWEEN_DOCUMENTS = frozenset(" \t\r\n,;\ufeff")
_DECODER = json.JSONDecoder()


class Verdict(StrEnum):
    TRACKED = "tracked"
    ALREADY_TRACKED = "already_tracked"
    REPEATED = "repeated"
    NOT_AN_ID = "not_an_id"


@dataclass(slots=True)
class Entry:
    """What became of one piece of a paste. `line` counts from 1; `text` is what stood there."""

    line: int
    text: str
    verdict: Verdict
    job_id: str = ""
    job: BulkWriteJob | None = None


class TooManyIdsError(Exception):
    """More ids at once than are registered in one go; the text says how many are."""


def read_ids(text: str) -> list[Entry]:
    """The job ids of a paste: one per line, several to a line, JSON of create calls, log lines.

    Repeated ids and what is no id come as entries of their own. Raises TooManyIdsError.
    """
    entries: list[Entry] = []
    seen: set[str] = set()
    for line, piece, job_id in _pieces(text):
        if not job_id:
            verdict = Verdict.NOT_AN_ID
        elif job_id in seen:
            verdict = Verdict.REPEATED
        else:
            verdict = Verdict.TRACKED
            seen.add(job_id)
        entries.append(Entry(line, piece[:200], verdict, job_id))
        if len(entries) > MAX_IDS:
            raise TooManyIdsError(
                f"More than {MAX_IDS:,} ids at once: register them in several goes."
            )
    return entries


def track(
    connection: Connection,
    entries: Sequence[Entry],
    *,
    label: str = "",
    tags: Sequence[str] = (),
    alert_recipients: str = "",
    skip_threshold_percent: int | None = None,
    user: User | None = None,
) -> list[Entry]:
    """Register the ids among these entries; those new to the connection are due at once.

    Returns the entries with their jobs, those already tracked marked as such. Registering the
    same id twice at the same time makes one job.
    """
    ids = [entry.job_id for entry in entries if entry.verdict == Verdict.TRACKED]
    now = timezone.now()
    with transaction.atomic():
        jobs = BulkWriteJob.objects.filter(connection=connection)
        known = set(jobs.filter(zoho_job_id__in=ids).values_list("zoho_job_id", flat=True))
        new = [
            BulkWriteJob(
                connection=connection,
                zoho_job_id=job_id,
                label=label,
                tags=list(tags),
                alert_recipients=alert_recipients,
                skip_threshold_percent=skip_threshold_percent,
                tracked_at=now,
                tracked_by=user,
                next_poll_at=now,
            )
            for job_id in ids
            if job_id not in known
        ]
        for job in new:
            job.search_text = job.make_search_text()
        BulkWriteJob.objects.bulk_create(new, ignore_conflicts=True, batch_size=500)
        stored = {job.zoho_job_id: job for job in jobs.filter(zoho_job_id__in=ids)}
        JobEvent.objects.bulk_create(
            JobEvent(job=stored[job.zoho_job_id], at=now, kind=JobEvent.Kind.TRACKED, actor=user)
            for job in new
        )
    for entry in entries:
        entry.job = stored.get(entry.job_id)
        if entry.verdict == Verdict.TRACKED and entry.job_id in known:
            entry.verdict = Verdict.ALREADY_TRACKED
    return list(entries)


def read_tags(text: str) -> list[str]:
    """The tags of a text in which commas or line breaks part them, each once, in order."""
    tags = (tag.strip()[:50] for tag in re.split(r"[,\n]", text))
    return list(dict.fromkeys(tag for tag in tags if tag))[:20]


def _pieces(text: str) -> Iterator[tuple[int, str, str]]:
    """(line, what stands there, the id in it or "")."""
    from_json = _ids_of_json(text)
    if from_json:
        for job_id in from_json:
            yield 1, job_id, job_id
        return
    for number, line in enumerate(text.splitlines(), start=1):
        parts = [part.strip("\"'`<>()[]{}") for part in _PARTING.split(line)]
        parts = [part for part in parts if part]
        if all(_ID.fullmatch(part) for part in parts):
            for part in parts:
                yield number, part, part
            continue
        share = sum(bool(_ID.fullmatch(part)) for part in parts) / len(parts)
        from_line = _ids_in_json_of(line) or list(dict.fromkeys(_ID_IN_TEXT.findall(line)))
        if from_line and share <= 0.5:
            for job_id in from_line:
                yield number, line.strip(), job_id
            continue
        # A list with a slip in it: what is an id is taken, the rest is named.
        for part in parts if len(parts) > 1 and share >= 0.5 else [line.strip()]:
            yield number, part, part if _ID.fullmatch(part) else ""


def _ids_of_json(text: str) -> list[str]:
    """The ids of a text that is nothing but JSON, one document after the other."""
    ids, at = [], 0
    while at < len(text):
        if text[at] in _BETWEEN_DOCUMENTS:
            at += 1
            continue
        if text[at] not in "{[":
            return []
        try:
            found, at = _DECODER.raw_decode(text, at)
        except (ValueError, RecursionError):
            return []
        ids += _ids_of(found)
    return ids


def _ids_in_json_of(line: str) -> list[str]:
    """The ids of the first JSON object in a line, such as a log's: not those of who made it."""
    start = line.find("{")
    if start < 0:
        return []
    try:
        return _ids_of(_DECODER.raw_decode(line, start)[0])
    except (ValueError, RecursionError):
        return []


def _ids_of(found: object) -> list[str]:
    """The ids in answers of create calls (`details.id`), or of jobs' details (`id`)."""
    if isinstance(found, dict) and isinstance(found.get("data"), list):
        found = found["data"]
    ids = []
    for item in found if isinstance(found, list) else [found]:
        if isinstance(item, dict):
            details = item.get("details")
            job_id = (details if isinstance(details, dict) else item).get("id")
            if isinstance(job_id, str | int) and _ID.fullmatch(str(job_id)):
                ids.append(str(job_id))
    return ids
