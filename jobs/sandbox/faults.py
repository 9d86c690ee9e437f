"""Switches: which requests go wrong, how, and how many of them."""

import secrets
import threading
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from .errors import ERRORS

TOKEN_KINDS = ("token_throttled", "invalid_client_secret", "invalid_code", "invalid_client")
DOWNLOAD_KINDS = ("expired_link", "result_not_zip", "result_without_columns", "zip_bomb")
DETAILS_KINDS = ("result_delayed", "wrong_types")
OTHER_KINDS = (
    "delay", "drip_headers", "drip_body", "reset", "refuse", "truncated", "html", "envelope_200",
    "empty", "no_content", "not_modified", "redirect", "huge_body", "gzip_bomb", "invalid_utf8",
    "tokens_die", "body",
)  # fmt: skip
KINDS = frozenset((*ERRORS, *TOKEN_KINDS, *DOWNLOAD_KINDS, *DETAILS_KINDS, *OTHER_KINDS))
ROUTES = ("api", "any", "token", "details", "create", "upload", "download", "users", "org")


@dataclass
class Fault:
    kind: str
    #: A route, "api" for all but the accounts server, or "any".
    route: str = ""
    job_id: str | None = None
    #: How many requests it still hits; ``None`` for all.
    count: int | None = None
    probability: float = 1.0
    status: int | None = None
    headers: dict[str, str] = field(default_factory=dict)
    #: delay: how long; drip: between two bytes; refuse and result_delayed: for how long.
    seconds: float = 1.0
    #: redirect: where to.
    location: str = ""
    #: html, body: what to send.
    body: str | None = None
    content_type: str | None = None
    #: truncated: how much of the body is sent.
    bytes: int | None = None
    #: huge_body, gzip_bomb, zip_bomb: the size when unpacked.
    mib: int = 200
    #: envelope_200: which error.
    code: str = "INTERNAL_ERROR"
    #: Overrides an error's message.
    message: str | None = None
    #: token_throttled: "en" or "zh".
    language: str = "en"
    #: When it was switched on.
    since: float = 0.0

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(
                f"there is no fault {self.kind!r}; there are {', '.join(sorted(KINDS))}"
            )
        self.route = self.route or _usual_route(self.kind)
        if self.route not in ROUTES:
            raise ValueError(f"there is no route {self.route!r}; there are {', '.join(ROUTES)}")

    def hits(self, route: str, job_id: str | None) -> bool:
        if self.route not in (route, "any") and (self.route != "api" or route == "token"):
            return False
        if self.job_id is not None and self.job_id != job_id:
            return False
        return self.probability >= 1 or secrets.randbelow(10**6) < self.probability * 10**6


def _usual_route(kind: str) -> str:
    if kind in TOKEN_KINDS:
        return "token"
    if kind in DOWNLOAD_KINDS:
        return "download"
    return "details" if kind in DETAILS_KINDS else "api"


def fault_from(order: dict[str, Any]) -> Fault:
    """Return the fault that a control request describes; ``ValueError`` if it makes no sense."""
    known = {item.name for item in fields(Fault)} - {"since"}
    if not isinstance(order, dict) or "kind" not in order or not set(order) <= known:
        raise ValueError(f"a fault is an object with kind and any of {', '.join(sorted(known))}")
    return Fault(**order)


class Faults:
    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._faults: list[Fault] = []

    def add(self, kind: str, **options: Any) -> Fault:
        fault = fault_from({"kind": kind, **options})
        self.put(fault)
        return fault

    def put(self, fault: Fault) -> None:
        with self._lock:
            self._faults.append(fault)

    def remove(self, fault: Fault) -> None:
        with self._lock:
            self._faults = [other for other in self._faults if other is not fault]

    def replace(self, faults: list[Fault]) -> None:
        with self._lock:
            self._faults = list(faults)

    def clear(self) -> None:
        self.replace([])

    def as_json(self) -> list[dict[str, Any]]:
        return [asdict(fault) for fault in self._faults]

    def take(self, route: str, job_id: str | None) -> list[Fault]:
        """Return the faults that hit this request, and count them down."""
        if not self._faults:
            return []
        with self._lock:
            hit = [fault for fault in self._faults if fault.hits(route, job_id)]
            for fault in hit:
                if fault.count is not None:
                    fault.count -= 1
            if any(fault.count is not None and fault.count <= 0 for fault in hit):
                self._faults = [f for f in self._faults if f.count is None or f.count > 0]
        return hit
