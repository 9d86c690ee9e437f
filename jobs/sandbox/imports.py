"""Upload and create: the files that were sent, and the jobs made of them.

Sources: the v7 pages "Upload File" and "Create Bulk Write Job".
"""

import contextlib
import http.client
import io
import json
import re
import threading
import zipfile
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode, urlsplit

from .decisions import Crm, Parents, Plan, decide, tally_of
from .errors import ZohoError
from .lives import Job, Phase, Resource, Row, iso
from .mapping_checks import checked_plan, read_csv
from .modules import MODULES
from .wire import Answer, Request, json_answer

if TYPE_CHECKING:
    from .server import Sandbox

MAX_ZIP_BYTES = 25 * 1024 * 1024
MAX_UNPACKED_BYTES = 200 * 1024 * 1024
MAX_ROWS = 25_000
ADDED_SECONDS = 2.0
ROWS_PER_SECOND = 70.0
CALLBACK_TIMEOUT_SECONDS = 5.0
CREATOR = ("111111000000035795", "Patricia Boyle ")  # the create page prints the blank too
LOOPBACK_HOSTS = ("127.0.0.1", "localhost")


@dataclass(frozen=True, slots=True)
class Sent:
    """One resource of a create request: its file, how that is to be read, and its lines."""

    file_name: str
    content: bytes
    plan: Plan
    lines: list[list[str]]


@dataclass(frozen=True, slots=True)
class Manner:
    """How callbacks are made: as JSON, or as a form with the details in a field or as fields.

    So many ``times``, so many seconds of ``delay`` after the end. Zoho documents none of it but
    that a job's details are posted when it ends.
    """

    body: str = "json"
    times: int = 1
    delay: float = 0.0

    def __post_init__(self) -> None:
        if self.body not in ("json", "field", "fields"):
            raise ValueError(f"there is no body {self.body!r}; there are json, field, fields")

    def encode(self, details: dict[str, Any]) -> tuple[str, bytes]:
        """Return the content type and the body."""
        text = json.dumps(details)
        if self.body == "json":
            return "application/json", text.encode()
        fields = {"details": text}
        if self.body == "fields":
            fields = {name: str(value) for name, value in details.items()}
        return "application/x-www-form-urlencoded", urlencode(fields).encode()


class Imports:
    """Uploaded files, the CRM's records, and the callbacks still to be made."""

    def __init__(self, sandbox: "Sandbox") -> None:
        self._sandbox = sandbox
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self.reset()

    def reset(self) -> None:
        with self._lock:
            self.crm = Crm()
            self._files: dict[str, dict[str, bytes]] = {}
            self._next_file_id = 111111000000541001
            self._pending: list[Job] = []
            self.manner = Manner()

    def start(self) -> None:
        self._stopped.clear()
        threading.Thread(target=self._make_callbacks, name="sandbox-callbacks", daemon=True).start()

    def stop(self) -> None:
        self._stopped.set()

    # Upload

    def upload(self, request: Request) -> Answer:
        data = _uploaded_file(request)
        if len(data) > MAX_ZIP_BYTES:
            raise ZohoError("FILE_TOO_LARGE")
        files = _unzip(data)
        with self._lock:
            file_id = str(self._next_file_id)
            self._next_file_id += 1
            self._files[file_id] = files
        details = {"file_id": file_id, "created_time": iso(self._sandbox.clock())}
        return json_answer(
            {
                "status": "success",
                "code": "FILE_UPLOAD_SUCCESS",
                "message": "file uploaded.",
                "details": details,
            }
        )

    # Create

    def create(self, request: Request) -> Answer:
        order = _order(request)
        callback = _callback(order.get("callback") or order.get("callBack"))
        resources = order["resource"]
        with self._lock:
            plans = [self._plan(order, resource) for resource in resources]
            job = self._job(order["operation"], plans, callback, order)
            self._sandbox.store.add(job)
            if callback is not None:
                self._pending.append(job)
        creator = {"id": CREATOR[0], "name": CREATOR[1]}
        answer = {
            "status": "success",
            "code": "ADDED",
            "message": "success",
            "details": {"id": job.id, "created_by": creator},
        }
        return json_answer(answer, 201)

    def _plan(self, order: dict[str, Any], resource: Any) -> Sent:
        """Return what one resource is made of, or raise what is wrong with it."""
        if not isinstance(resource, dict):
            raise ZohoError("INVALID_REQUEST")
        for key in ("type", "module", "file_id"):
            if not resource.get(key):
                raise ZohoError(
                    "MISSING_REQUIRED_KEY", {"json_path": f"$.resource[0].{key}"}, key=key
                )
        module = resource["module"]
        name = module if isinstance(module, str) else module.get("api_name") or ""
        if name not in MODULES:
            raise ZohoError("MODULE_NOT_AVAILABLE", module=str(name))
        files = self._files.get(str(resource["file_id"]))
        if files is None:
            raise ZohoError("INVALID_FILE_ID")
        wanted = resource.get("file_names") or list(files)[:1]
        if len(wanted) != 1 or wanted[0] not in files:
            raise ZohoError("FILE_NOT_FOUND", {"file_names": wanted})
        content = files[wanted[0]]
        columns, lines = read_csv(content, order.get("character_encoding"))
        return Sent(wanted[0], content, checked_plan(name, order, resource, columns), lines)

    def _job(
        self,
        operation: str,
        sent: list[Sent],
        callback: dict[str, str] | None,
        order: dict[str, Any],
    ) -> Job:
        now = self._sandbox.clock()
        resources: list[Resource] = []
        parents: Parents = {}
        for part in sent:
            rows = list(decide(part.plan, part.lines[:MAX_ROWS], self.crm, parents))
            parents = _parents(rows) if not resources else parents
            resources.append(_resource(part, rows))
        total = sum(len(part.lines) for part in sent)
        too_many = any(len(part.lines) > MAX_ROWS for part in sent)
        return Job(
            self._sandbox.store.new_id(), now, now, operation, CREATOR, tuple(resources),
            _phases(total, failed=too_many), self._sandbox.speed, callback=callback,
            character_encoding=order.get("character_encoding") or "UTF-8",
        )  # fmt: skip

    # Callbacks

    def _make_callbacks(self) -> None:
        while not self._stopped.wait(0.1):
            now = self._sandbox.clock()
            with self._lock:
                manner = self.manner
                due = [job for job in self._pending if job.is_finished(now - manner.delay)]
                self._pending = [job for job in self._pending if job not in due]
            for job in due:
                for _ in range(manner.times):
                    call_back(job, *manner.encode(job.details(now)))


def call_back(job: Job, content_type: str, body: bytes) -> None:
    """Post to a job's callback address, once. Only this machine is ever called."""
    parts = urlsplit((job.callback or {}).get("url", ""))
    if parts.scheme != "http" or parts.hostname not in LOOPBACK_HOSTS:
        return
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    connection = http.client.HTTPConnection(
        parts.hostname, parts.port or 80, timeout=CALLBACK_TIMEOUT_SECONDS
    )
    with contextlib.suppress(OSError, http.client.HTTPException), contextlib.closing(connection):
        connection.request("POST", path, body, {"Content-Type": content_type})
        connection.getresponse().read(1024)


def _uploaded_file(request: Request) -> bytes:
    """Return the part named ``file`` of a multipart body."""
    boundary = re.search(r'boundary="?([^";]+)"?', request.headers.get("Content-Type") or "")
    if boundary is None:
        raise ZohoError("MANDATORY_NOT_FOUND", {"api_name": "file"})
    for part in request.body.split(b"--" + boundary.group(1).encode()):
        head, blank, data = part.partition(b"\r\n\r\n")
        if blank and re.search(rb'name="?file"?(;|\r|$|\s)', head):
            return data.removesuffix(b"\r\n")
    raise ZohoError("MANDATORY_NOT_FOUND", {"api_name": "file"})


def _unzip(data: bytes) -> dict[str, bytes]:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = [info for info in archive.infolist() if not info.is_dir()]
            if sum(info.file_size for info in members) > MAX_UNPACKED_BYTES:
                raise ZohoError("FILE_TOO_LARGE")
            return {info.filename: archive.read(info) for info in members}
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError) as error:
        raise ZohoError("INVALID_FILE_FORMAT") from error


def _order(request: Request) -> dict[str, Any]:
    try:
        order = request.json()
    except ValueError as error:
        raise ZohoError("INVALID_REQUEST_BODY") from error
    if not isinstance(order, dict):
        raise ZohoError("INVALID_REQUEST_BODY")
    for key in ("operation", "resource"):
        if not order.get(key):
            raise ZohoError("MISSING_REQUIRED_KEY", {"json_path": f"$.{key}"}, key=key)
    if order["operation"] not in ("insert", "update", "upsert"):
        raise ZohoError("INVALID_REQUEST", {"json_path": "$.operation"})
    if not isinstance(order["resource"], list):
        raise ZohoError("INVALID_REQUEST", {"json_path": "$.resource"})
    return order


def _callback(callback: Any) -> dict[str, str] | None:
    if callback is None:
        return None
    url = callback.get("url") if isinstance(callback, dict) else None
    if not isinstance(url, str) or urlsplit(url).scheme not in ("http", "https"):
        raise ZohoError("INVALID_CALLBACK_URL")
    if not urlsplit(url).hostname:
        raise ZohoError("INVALID_CALLBACK_URL")
    if callback.get("method") != "post":
        raise ZohoError("INVALID_CALLBACK_METHOD", {"supported_callback_methods": ["post"]})
    return {"url": url, "method": "post"}


def _parents(rows: list[Row]) -> Parents:
    """Return the record ids of written rows by each of their cells, for the subforms to find."""
    return {
        (index, value): row.record_id
        for row in rows
        if row.record_id
        for index, value in enumerate(row.values)
    }


def _resource(sent: Sent, rows: list[Row]) -> Resource:
    plan = sent.plan
    return Resource(
        plan.module_name,
        plan.module.id,
        sent.file_name,
        tuple(plan.columns),
        tuple(plan.mappings),
        tally_of(rows),
        lambda: iter(rows),
        uploaded=sent.content,
    )


def _phases(total: int, *, failed: bool) -> tuple[Phase, ...]:
    if failed:
        return Phase(-1.0, "ADDED"), Phase(ADDED_SECONDS, "FAILED", code="LIMIT_EXCEEDED")
    ends = ADDED_SECONDS + 2.0 + total / ROWS_PER_SECOND
    return (
        Phase(-1.0, "ADDED"),
        Phase(ADDED_SECONDS, "INPROGRESS"),
        Phase(ends, "COMPLETED", 1.0, "SUCCESS"),
    )
