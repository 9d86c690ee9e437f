"""Switches and counters under ``/__sandbox__/``, for tests, benchmarks and the demo. No sign-in."""

from typing import TYPE_CHECKING, Any

from .faults import fault_from
from .imports import Manner
from .lives import iso
from .results import upload_csv
from .samples import SAMPLE_CONNECTION, sample_jobs
from .store import KINDS, answer_of
from .wire import Answer, Request, json_answer

if TYPE_CHECKING:
    from .server import Sandbox

MAX_BATCH = 1_000_000
MAX_ROWS = 25_000


class ControlError(Exception):
    """A control request that makes no sense; the text says why."""


def answer(sandbox: "Sandbox", request: Request) -> Answer:
    try:
        order = request.json() if request.method in ("POST", "PUT") else {}
        return _answer(sandbox, request, order)
    except (ControlError, ValueError, TypeError, AttributeError, KeyError) as error:
        return json_answer({"error": f"{type(error).__name__}: {error}"}, 400)


def _answer(sandbox: "Sandbox", request: Request, order: Any) -> Answer:
    match request.method, *request.segments[1:]:
        case "GET", "health":
            return json_answer(health(sandbox))
        case "GET", "samples":
            return json_answer(samples(sandbox))
        case "GET", "requests":
            return json_answer(_requests(sandbox, request))
        case "GET", "requests", job_id:
            return json_answer({"polls": sandbox.requests.polls(job_id)})
        case "POST", "reset":
            sandbox.reset()
            return json_answer(health(sandbox))
        case "POST", "requests", "reset":
            sandbox.requests.reset()
            return json_answer({})
        case "POST", "jobs":
            return json_answer(_add_jobs(sandbox, order or {}), 201)
        case "PUT" | "DELETE", "jobs", job_id, "body":
            orders = order.get("answers", [order]) if request.method == "PUT" else []
            sandbox.store.set_body(job_id, [answer_of(one) for one in orders])
            return json_answer({"job_id": job_id, "answers": len(orders)})
        case "PUT" | "DELETE", "jobs", job_id, "result":
            exact = answer_of(order) if request.method == "PUT" else None
            sandbox.store.set_result(job_id, exact)
            return json_answer({"job_id": job_id})
        case "GET", "jobs", job_id, "upload":
            return _upload(sandbox, job_id, 0)
        case "GET", "jobs", job_id, "upload", number if number.isdigit():
            return _upload(sandbox, job_id, int(number))
        case "PUT", "refusals":
            return json_answer({"refusals": _refuse(sandbox, order)})
        case "PUT", "callbacks":
            sandbox.imports.manner = Manner(**order)
            return json_answer(order)
        case "GET" | "PUT" | "POST" | "DELETE", "faults":
            return json_answer(_faults(sandbox, request.method, order))
        case "PUT", "latency":
            seconds = order["seconds"] if "seconds" in order else order["ms"] / 1000
            sandbox.set_options(latency=float(seconds))
            return json_answer(sandbox.options)
        case "GET" | "PUT", "options":
            sandbox.set_options(**order)
            return json_answer(sandbox.options)
        case "POST", "clients":
            sandbox.accounts.add_client(**order)
            return json_answer({"client_id": order["client_id"]}, 201)
        case "POST", "grants":
            return json_answer({"code": sandbox.accounts.new_grant(**order)}, 201)
        case "POST", "tokens":
            return json_answer({"access_token": sandbox.issue_token()}, 201)
        case "POST", "tokens", "invalidate":
            return json_answer({"invalidated": sandbox.invalidate_tokens()})
    return json_answer({"error": f"there is no {request.method} {request.target}"}, 404)


def health(sandbox: "Sandbox") -> dict[str, Any]:
    return {
        "status": "ok",
        "url": sandbox.url,
        "epoch": iso(sandbox.epoch),
        "now": iso(sandbox.clock()),
        "speed": sandbox.speed,
        "jobs": sandbox.store.size,
        "options": sandbox.options,
    }


def samples(sandbox: "Sandbox") -> dict[str, Any]:
    """Return what a demo needs in order to register the sample organisation."""
    connection = {"api_url": sandbox.url, "accounts_url": sandbox.url, **SAMPLE_CONNECTION}
    jobs = [
        {"job_id": job_id, "label": label, "tags": list(tags)}
        for job_id, label, tags in sample_jobs()
    ]
    return {"connection": connection, "epoch": iso(sandbox.epoch), "jobs": jobs}


def _requests(sandbox: "Sandbox", request: Request) -> dict[str, Any]:
    wanted = request.query.get("with", "").split(",")
    value = sandbox.requests.as_json(with_polls="polls" in wanted, with_recent="recent" in wanted)
    accounts = sandbox.accounts
    tokens = {
        "issued": accounts.issued,
        "refreshes": accounts.refreshes,
        "refused": accounts.refused,
    }
    return value | {"tokens": tokens}


def _add_jobs(sandbox: "Sandbox", order: dict[str, Any]) -> dict[str, Any]:
    count, rows = int(order.get("count", 1)), int(order.get("rows", 10))
    kind = order.get("kind", "imported")
    if kind not in KINDS:
        raise ControlError(f"there is no kind {kind!r}; there are {', '.join(KINDS)}")
    if not 0 < count <= MAX_BATCH or not 0 <= rows <= MAX_ROWS:
        raise ControlError(f"count is 1 to {MAX_BATCH}, rows 0 to {MAX_ROWS}")
    batch = sandbox.add_batch(
        count,
        kind=kind,
        rows=rows,
        life=float(order.get("life", 10.0)),
        spread=float(order.get("spread", 0.0)),
        start_id=int(order["start_id"]) if order.get("start_id") else None,
    )
    ids = [str(batch.start_id + offset) for offset in range(count)]
    return {"count": count, "start_id": str(batch.start_id), "ids": ids}


def _refuse(sandbox: "Sandbox", orders: Any) -> int:
    """Have rows refused by a value: ``[{"module", "api_name", "value", "code"}, …]``."""
    refusals = {
        (str(one["module"]), str(one["api_name"]), str(one["value"])): str(one["code"])
        for one in orders
    }
    sandbox.imports.crm.refusals = refusals
    return len(refusals)


def _upload(sandbox: "Sandbox", job_id: str, number: int) -> Answer:
    """Return the CSV that was uploaded for a job's first (or that) resource."""
    job = sandbox.store.get(job_id)
    if job is None or number >= len(job.resources):
        return json_answer({"error": "there is no such upload"}, 404)
    resource = job.resources[number]
    name = resource.file_name.encode("ascii", "replace").decode().replace('"', "")
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return Answer(200, upload_csv(resource), "text/csv", headers)


def _faults(sandbox: "Sandbox", method: str, order: Any) -> dict[str, Any]:
    if method == "DELETE":
        sandbox.faults.clear()
    elif method in ("PUT", "POST"):
        orders = order["faults"] if isinstance(order, dict) and "faults" in order else [order]
        faults = [fault_from(one) for one in orders]
        if method == "PUT":
            sandbox.faults.clear()
        for fault in faults:
            sandbox.faults.put(fault)
            sandbox.switched_on(fault)
    return {"faults": sandbox.faults.as_json()}
