"""The addresses that Zoho has too: tokens, job details, upload, create, the result."""

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .errors import ZohoError, bad_upload_headers, link_not_valid
from .faults import Fault
from .lives import ORG_ID, Job
from .wire import Answer, Request, json_answer

if TYPE_CHECKING:
    from .server import Sandbox

_VERSION = re.compile(r"^v(2|2\.1|[3-8])$")
_ANY_VERSION = re.compile(r"^v\d+(\.\d+)?$")
SUPPORTED_VERSION = "v2 - v8"


@dataclass(frozen=True, slots=True)
class Route:
    name: str
    version: str = ""
    job_id: str | None = None


def find_route(request: Request) -> Route:
    """Return which of Zoho's addresses was asked for; "unknown" is one of them."""
    match request.segments:
        case ["oauth", "v2", "token"]:
            return Route("token")
        case ["oauth", "v2", "token", "revoke"]:
            return Route("revoke")
        case ["crm", "bulk", version, "write", job_id]:
            return Route("details", version, job_id)
        case ["crm", "bulk", version, "write"]:
            return Route("create", version)
        case ["crm", version, "upload"]:
            return Route("upload", version)
        case ["crm", version, "users"]:
            return Route("users", version)
        case ["crm", version, "org"]:
            return Route("org", version)
        case [version, "crm", _, "bulk-write", job_id, _]:
            return Route("download", version, job_id)
    return Route("unknown")


_METHODS = {"token": "POST", "revoke": "POST", "create": "POST", "upload": "POST"}


def answer(sandbox: "Sandbox", route: Route, request: Request, faults: list[Fault]) -> Answer:
    """Answer as Zoho would; the faults are those that this address itself must know of."""
    try:
        return _answer(sandbox, route, request, faults)
    except ZohoError as error:
        return error.answer()


def _answer(sandbox: "Sandbox", route: Route, request: Request, faults: list[Fault]) -> Answer:
    if route.name == "unknown":
        raise ZohoError("INVALID_URL_PATTERN")
    if request.method != _METHODS.get(route.name, "GET"):
        raise ZohoError("INVALID_REQUEST_METHOD")
    if route.name == "token":
        return sandbox.accounts.exchange(request.form, sandbox.url)
    if route.name == "revoke":
        known = sandbox.accounts.revoke(request.form.get("token", ""))
        return json_answer({"status": "success"} if known else {"error": "invalid_code"})
    if not _VERSION.match(route.version):
        if _ANY_VERSION.match(route.version):
            raise ZohoError("API_NOT_SUPPORTED", {"supported_version": SUPPORTED_VERSION})
        raise ZohoError("INVALID_URL_PATTERN")
    if request.token is None:
        raise ZohoError("AUTHENTICATION_FAILURE")
    if not sandbox.accounts.is_active(request.token):
        raise ZohoError("INVALID_TOKEN")
    if route.name in ("details", "create") and not sandbox.accounts.may_bulk(request.token):
        raise ZohoError("OAUTH_SCOPE_MISMATCH")
    return _HANDLERS[route.name](sandbox, route, request, faults)


def _details(sandbox: "Sandbox", route: Route, request: Request, faults: list[Fault]) -> Answer:
    job_id = route.job_id or ""
    ordered = sandbox.store.next_body(job_id)
    if ordered is not None:
        return Answer(ordered.status, ordered.body, ordered.content_type, dict(ordered.headers))
    now = sandbox.clock()
    job = _visible_job(sandbox, job_id, now)
    base = sandbox.url if sandbox.options["absolute_download_url"] else ""
    body = job.details(now, route.version, base)
    if "result" in body and any(_holds_back(fault, job, now) for fault in faults):
        body = {key: value for key, value in body.items() if key != "result"}
    return json_answer(body)


def _visible_job(sandbox: "Sandbox", job_id: str, now: float) -> Job:
    job = sandbox.store.get(job_id)
    if job is None or job.created > now:
        raise ZohoError("RESOURCE_NOT_FOUND")
    return job


def _holds_back(fault: Fault, job: Job, now: float) -> bool:
    if fault.kind != "result_delayed":
        return False
    return now < max(fault.since, job.completed() or 0.0) + fault.seconds


def _download(sandbox: "Sandbox", route: Route, request: Request, faults: list[Fault]) -> Answer:
    org, job_id, name = request.segments[2], route.job_id or "", request.segments[5]
    if org != f"org{ORG_ID}" or name != f"{job_id}.zip":
        return link_not_valid(404)
    ordered = sandbox.store.exact_result(job_id)
    if ordered is not None:
        return Answer(ordered.status, ordered.body, ordered.content_type, dict(ordered.headers))
    job = sandbox.store.get(job_id)
    now = sandbox.clock()
    if job is None or not job.offers_result(now):
        return link_not_valid(404)
    if not job.link_is_valid(now):
        return link_not_valid()
    own_columns = all(fault.kind != "result_without_columns" for fault in faults)
    headers = {"Content-Disposition": f'attachment; filename="{job_id}.zip"'}
    data = sandbox.store.result(job, own_columns=own_columns)
    return Answer(200, data, "application/zip", headers)


def _upload(sandbox: "Sandbox", route: Route, request: Request, faults: list[Fault]) -> Answer:
    if request.headers.get("feature") != "bulk-write" or not request.headers.get("X-CRM-ORG"):
        return bad_upload_headers()
    return sandbox.imports.upload(request)


def _create(sandbox: "Sandbox", route: Route, request: Request, faults: list[Fault]) -> Answer:
    return sandbox.imports.create(request)


def _users(sandbox: "Sandbox", route: Route, request: Request, faults: list[Fault]) -> Answer:
    """Return the one user there is; the SDK asks for it when it stores a token."""
    user = {
        "id": "111111000000035795",
        "full_name": "Patricia Boyle",
        "email": "patricia.boyle@zylker.example",
        "status": "active",
    }
    return json_answer({"users": [user], "info": {"per_page": 200, "count": 1, "page": 1}})


def _org(sandbox: "Sandbox", route: Route, request: Request, faults: list[Fault]) -> Answer:
    org = {"id": "111111000000000001", "zgid": ORG_ID, "company_name": "Zylker (sandbox)"}
    return json_answer({"org": [org]})


_HANDLERS = {
    "details": _details,
    "create": _create,
    "upload": _upload,
    "download": _download,
    "users": _users,
    "org": _org,
}
