"""The jobs there are: samples, created and synthetic ones; and exact answers on order."""

import base64
import json
import threading
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

from .lives import Job, Phase, Resource
from .modules import MODULES
from .results import result_zip
from .sample_rows import Upload, skip
from .wire import JSON, Answer

FIRST_CREATED_ID = 111111000001000001
FIRST_SYNTHETIC_ID = 222222000000000001
CACHED_RESULTS = 32
KINDS = ("imported", "partial", "nothing", "failed", "skipped", "running", "mixed")


@dataclass(frozen=True, slots=True)
class Batch:
    """Any number of synthetic jobs with consecutive ids, made when they are asked for."""

    start_id: int
    count: int
    kind: str
    rows: int
    life: float
    #: The last job ends this much later than the first.
    spread: float
    origin: float
    speed: float

    def job(self, number: int) -> Job:
        offset = number - self.start_id
        kind = KINDS[offset % 6] if self.kind == "mixed" else self.kind
        life = self.life + (self.spread * offset / self.count if self.count else 0)
        upload = _synthetic_upload(kind, self.rows, offset)
        resource = Resource(
            "Leads", MODULES["Leads"].id, f"load{offset}.csv", upload.columns, _SYNTHETIC_MAPPINGS,
            upload.tally, upload.rows,
        )  # fmt: skip
        return Job(
            str(number), self.origin, self.origin, "insert", ("111111000000035902", "Load Test"),
            (resource,), _synthetic_phases(kind, life), self.speed,
        )  # fmt: skip


_SYNTHETIC_MAPPINGS: tuple[dict[str, Any], ...] = tuple(
    {"api_name": name, "index": index, "format": None, "find_by": None, "default_value": None}
    for index, name in enumerate(("Last_Name", "Company"))
)


def _synthetic_upload(kind: str, rows: int, offset: int) -> Upload:
    fields = (("Last_Name", "Last_Name"), ("Company", "Company"))
    skipped = {"partial": (rows + 2) // 3, "nothing": rows}.get(kind, 0)
    skips = (skip(skipped, "MANDATORY_NOT_FOUND-Company"),) if skipped else ()
    return Upload(fields, rows - skipped, 0, skips, first_number=offset)


def _synthetic_phases(kind: str, life: float) -> tuple[Phase, ...]:
    start = Phase(-1.0, "ADDED"), Phase(life * 0.1, "INPROGRESS")
    if kind == "running":
        return (*start, Phase(life, "INPROGRESS", 0.5))
    if kind in ("failed", "skipped"):
        return (*start, Phase(life, kind.upper(), 0.0, "CANNOT_PROCESS"))
    return (*start, Phase(life, "COMPLETED", 1.0, "SUCCESS"))


def answer_of(order: dict[str, Any]) -> Answer:
    """Return the exact answer that a control request describes.

    ``body`` is text, sent as it is, or any other JSON value; ``body_base64`` gives bytes.
    """
    if "body_base64" in order:
        body = base64.b64decode(order["body_base64"])
    else:
        given = order.get("body", "")
        if isinstance(given, str):
            given = given.encode()
        body = given if isinstance(given, bytes) else json.dumps(given).encode()
    headers = {str(name): str(value) for name, value in order.get("headers", {}).items()}
    content_type = order.get("content_type", JSON)
    return Answer(int(order.get("status", 200)), body, content_type, headers)


class JobStore:
    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._zips: OrderedDict[tuple[str, bool], bytes] = OrderedDict()
        self.clear([])

    def clear(self, jobs: list[Job]) -> None:
        """Forget everything but ``jobs``."""
        with self._lock:
            self._jobs = {job.id: job for job in jobs}
            self._batches: list[Batch] = []
            self._bodies: dict[str, list[Answer]] = {}
            self._results: dict[str, Answer] = {}
            self._next_created = FIRST_CREATED_ID
            self._next_synthetic = FIRST_SYNTHETIC_ID
            self._zips.clear()

    def get(self, job_id: str) -> Job | None:
        job = self._jobs.get(job_id)
        if job is not None or not job_id.isdigit():
            return job
        number = int(job_id)
        for batch in self._batches:
            if batch.start_id <= number < batch.start_id + batch.count:
                return batch.job(number)
        return None

    def add(self, job: Job) -> None:
        with self._lock:
            self._jobs[job.id] = job

    def new_id(self) -> str:
        with self._lock:
            self._next_created += 1
            return str(self._next_created - 1)

    def add_batch(self, *, start_id: int | None, count: int, **how: Any) -> Batch:
        with self._lock:
            batch = Batch(start_id or self._next_synthetic, count, **how)
            self._next_synthetic = max(self._next_synthetic, batch.start_id + count)
            self._batches.append(batch)
        return batch

    @property
    def size(self) -> int:
        return len(self._jobs) + sum(batch.count for batch in self._batches)

    def set_body(self, job_id: str, answers: list[Answer]) -> None:
        """Answer exactly these, one after the other, for this job; the last one stays."""
        with self._lock:
            if answers:
                self._bodies[job_id] = answers
            else:
                self._bodies.pop(job_id, None)

    def next_body(self, job_id: str) -> Answer | None:
        if not self._bodies:
            return None
        with self._lock:
            answers = self._bodies.get(job_id)
            if not answers:
                return None
            return answers.pop(0) if len(answers) > 1 else answers[0]

    def set_result(self, job_id: str, answer: Answer | None) -> None:
        """Answer exactly this when the job's result is downloaded."""
        with self._lock:
            if answer is None:
                self._results.pop(job_id, None)
            else:
                self._results[job_id] = answer

    def exact_result(self, job_id: str) -> Answer | None:
        return self._results.get(job_id)

    def result(self, job: Job, *, own_columns: bool = True) -> bytes:
        """Return the job's result ZIP; the last few are kept, a big one takes a while to make."""
        key = job.id, own_columns
        with self._lock:
            if key in self._zips:
                self._zips.move_to_end(key)
                return self._zips[key]
        data = result_zip(job, own_columns=own_columns)
        with self._lock:
            self._zips[key] = data
            while len(self._zips) > CACHED_RESULTS:
                self._zips.popitem(last=False)
        return data
