"""A bulk write job and its life, as a pure function of time.

Source for the shape: the v7 page "Bulk Write Job Details", with what its samples leave out left
out here too (no counts, no encoding while a job is only ADDED; no result before the end).
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

ORG_ZONE = timezone(timedelta(hours=1))
ORG_ID = "6196138"
TERMINAL_STATUSES = frozenset({"COMPLETED", "FAILED", "SKIPPED"})
LINK_SECONDS = 7 * 24 * 3600  # "valid for 7 days", OpenAPI 3.1 of v8


@dataclass(frozen=True, slots=True)
class Tally:
    added: int = 0
    updated: int = 0
    skipped: int = 0
    unprocessed: int = 0

    @property
    def total(self) -> int:
        return self.added + self.updated + self.skipped + self.unprocessed

    def at(self, progress: float) -> "Tally":
        """Return the counts when that share of the rows has been gone through."""
        return Tally(
            int(self.added * progress), int(self.updated * progress), int(self.skipped * progress)
        )


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the upload and what became of it. ``values`` are in the upload's column order."""

    values: tuple[str, ...]
    status: str
    record_id: str = ""
    errors: str = ""


def no_rows() -> Iterator[Row]:
    return iter(())


@dataclass(frozen=True, slots=True)
class Dialect:
    """How an uploaded CSV is written down."""

    encoding: str = "utf-8"
    delimiter: str = ","
    line_end: str = "\n"


PLAIN = Dialect()


@dataclass(frozen=True, slots=True)
class Resource:
    module: str
    module_id: str
    file_name: str
    columns: tuple[str, ...]
    mappings: tuple[dict[str, Any], ...]
    tally: Tally
    rows: Callable[[], Iterator[Row]] = no_rows
    #: File name of the result CSV, where it does not follow from ``file_name``.
    result_name: str | None = None
    #: Overrides the code a finished resource shows.
    code: str | None = None
    dialect: Dialect = PLAIN
    #: The bytes that were uploaded; what the rows give in the dialect, unless they are kept.
    uploaded: bytes | None = None

    @property
    def result_csv_name(self) -> str:
        return self.result_name or f"{self.module}-{self.file_name.rpartition('.')[0]}.csv"


@dataclass(frozen=True, slots=True)
class Phase:
    """From ``after`` seconds past the job's origin on: a status, and how far it is by then."""

    after: float
    status: str
    progress: float = 0.0
    code: str = "ADDED"


@dataclass(frozen=True, slots=True)
class Job:
    id: str
    created: float
    #: The moment that the phases count from; the sample jobs' is the epoch.
    origin: float
    operation: str
    creator: tuple[str, str]
    resources: tuple[Resource, ...]
    phases: tuple[Phase, ...]
    speed: float = 1.0
    has_counts: bool = True
    has_result: bool = True
    link_seconds: float | None = LINK_SECONDS
    callback: dict[str, str] | None = None
    character_encoding: str = "UTF-8"
    #: Answered as they are, in place of what the fields above would give.
    verbatim: dict[str, Any] | None = field(default=None)

    def completed(self) -> float | None:
        """Return when the job ends, as seconds since 1970, if it ever does."""
        last = self.phases[-1]
        if last.status not in TERMINAL_STATUSES:
            return None
        return self.origin + (last.after / self.speed if last.after > 0 else last.after)

    def is_finished(self, now: float) -> bool:
        completed = self.completed()
        return completed is not None and now >= completed

    def offers_result(self, now: float) -> bool:
        return self.has_result and self.is_finished(now) and self.phases[-1].status == "COMPLETED"

    def link_is_valid(self, now: float) -> bool:
        completed = self.completed()
        if completed is None or not self.offers_result(now):
            return False
        return self.link_seconds is None or now < completed + self.link_seconds

    def details(self, now: float, version: str = "v7", download_base: str = "") -> dict[str, Any]:
        """Return the body of ``GET /crm/bulk/{version}/write/{id}`` at that time."""
        if self.verbatim is not None:
            return self.verbatim
        phase, progress = self._phase(now)
        body: dict[str, Any] = {"status": phase.status}
        if phase.status != "ADDED":
            body["character_encoding"] = self.character_encoding
        body["resource"] = [
            self._resource(number, phase, progress, version)
            for number in range(len(self.resources))
        ]
        body["id"] = self.id
        if self.callback is not None:
            body["callback"] = self.callback
        if self.offers_result(now):
            body["result"] = {"download_url": download_base + download_path(self.id, version)}
        body["created_by"] = {"id": self.creator[0], "name": self.creator[1]}
        body["operation"] = self.operation
        body["created_time"] = iso(self.created)
        return body

    def _phase(self, now: float) -> tuple[Phase, float]:
        elapsed = now - self.origin
        if elapsed > 0:
            elapsed *= self.speed
        index = max((i for i, phase in enumerate(self.phases) if phase.after <= elapsed), default=0)
        phase = self.phases[index]
        if index + 1 == len(self.phases):
            return phase, phase.progress
        following = self.phases[index + 1]
        span = following.after - phase.after
        share = min(1.0, max(0.0, (elapsed - phase.after) / span)) if span > 0 else 1.0
        # A job ends a moment after its last row, so its counts can be complete before it is.
        share = min(1.0, share * 1.02)
        return phase, phase.progress + (following.progress - phase.progress) * share

    def _resource(self, number: int, phase: Phase, progress: float, version: str) -> dict[str, Any]:
        resource = self.resources[number]
        terminal = phase.status in TERMINAL_STATUSES
        # The files are gone through one after the other, parents first.
        done = min(1.0, max(0.0, progress * len(self.resources) - number))
        if phase.status == "ADDED":
            status = "INPROGRESS"
        elif terminal:
            status = phase.status
        else:
            last = number + 1 == len(self.resources)
            status = "COMPLETED" if done >= 1.0 and not last else "INPROGRESS"
        file: dict[str, Any] = {"status": status}
        if phase.status != "ADDED":
            file["name"] = resource.file_name
            # One that failed before its first row has nothing to count.
            if self.has_counts and (progress > 0 or not terminal):
                counts = resource.tally.at(done)
                file["added_count"] = counts.added
                file["skipped_count"] = counts.skipped
                file["updated_count"] = counts.updated
                file["total_count"] = resource.tally.total
        code = (resource.code or phase.code) if terminal else "ADDED"
        module: Any = {"api_name": resource.module, "id": resource.module_id}
        mappings = list(resource.mappings)
        if version == "v2":
            return {
                "status": status,
                "type": "data",
                "module": resource.module,
                "field_mappings": [without_parent_column(mapping) for mapping in mappings],
                "file": file,
            }
        return {
            "status": status,
            "code": code,
            "type": "data",
            "module": module,
            "field_mappings": mappings,
            "file": file,
        }


def without_parent_column(mapping: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in mapping.items() if key != "parent_column_index"}


def download_path(job_id: str, version: str = "v7") -> str:
    return f"/{version}/crm/org{ORG_ID}/bulk-write/{job_id}/{job_id}.zip"


def iso(moment: float) -> str:
    """Return a time the way Zoho writes it: to the second, with the organisation's offset."""
    return datetime.fromtimestamp(int(moment), UTC).astimezone(ORG_ZONE).isoformat()
