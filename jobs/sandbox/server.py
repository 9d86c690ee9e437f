"""The sandbox itself: what it holds, and how a request goes through it."""

import threading
import time
from collections.abc import Callable
from typing import Any

from . import api, control, landing
from .errors import error_answer
from .fault_answers import replacement, spoil
from .faults import Fault, Faults
from .imports import Imports
from .listener import LOOPBACK, Listener
from .oauth import Accounts
from .request_log import RequestLog
from .samples import build_jobs
from .store import Batch, JobStore, answer_of
from .wire import Answer, ConnectionDropped, Request

Clock = Callable[[], float]
CREATE_CREDITS = 500  # "Bulk Write initialise", Zoho's Kaizen post 103

OPTIONS: dict[str, Any] = {
    # Seconds that every answer of the API takes longer.
    "latency": 0.0,
    # 10 access tokens per refresh token in 10 minutes.
    "token_throttling": True,
    "token_lifetime": 3600.0,
    # More requests at a time than this are answered 429; None for no limit.
    "concurrency_limit": None,
    # More API credits than this are answered 429; None for no limit.
    "credit_allowance": None,
    # download_url with scheme and host, as in the SDKs' samples.
    "absolute_download_url": False,
    # Where the browser comes back from after consent; "" for this sandbox.
    "location": "us",
    "accounts_server": "",
    # The scope that consent gives; "" for the one that was asked for.
    "granted_scope": "",
}


class Sandbox:
    """A running stand-in for Zoho. Use it as a context manager, or ``start`` and ``stop`` it.

    ``epoch`` is when the sample jobs' lives begin, in seconds since 1970; ``speed`` is how much
    faster than real time jobs move; ``clock`` can be handed in to move time by hand.
    """

    def __init__(
        self,
        port: int = 0,
        *,
        epoch: float | None = None,
        speed: float = 1.0,
        clock: Clock = time.time,
        **options: Any,
    ) -> None:
        self.clock = clock
        self.epoch = clock() if epoch is None else epoch
        self.speed = speed
        self._port = port
        self._given_options = options
        self.options = dict(OPTIONS)
        self.accounts = Accounts(clock)
        self.store = JobStore()
        self.faults = Faults()
        self.requests = RequestLog()
        self.imports = Imports(self)
        self._listener: Listener | None = None
        self._moving = threading.Lock()
        self.reset()

    # Life

    def start(self) -> "Sandbox":
        """Begin to listen; ``OSError`` when the port is taken."""
        self._listener = Listener(self._port, self._exchange)
        self._port = self._listener.port
        self._listener.start()
        self.imports.start()
        return self

    def stop(self) -> None:
        self.imports.stop()
        with self._moving:
            if self._listener is not None:
                self._listener.stop()
                self._listener = None

    def __enter__(self) -> "Sandbox":
        return self.start()

    def __exit__(self, *exc: object) -> None:
        self.stop()

    @property
    def port(self) -> int:
        return self._port

    @property
    def url(self) -> str:
        return f"http://{LOOPBACK}:{self._port}"

    def reset(self) -> None:
        """Go back to the sample jobs: no faults, no tokens, empty counters, the first options."""
        self.options.update(OPTIONS)
        self.set_options(**self._given_options)
        self.accounts.reset()
        self.store.clear(build_jobs(self.epoch, self.speed))
        self.imports.reset()
        self.faults.clear()
        self.requests.reset()

    def refuse(self, seconds: float) -> None:
        """Refuse connections for a while: nobody listens, and open connections are cut."""
        threading.Thread(target=self._refuse, args=(seconds,), daemon=True).start()

    def _refuse(self, seconds: float) -> None:
        time.sleep(0.05)  # lets the answer to whoever asked for it leave
        with self._moving:
            if self._listener is None:
                return
            self._listener.stop()
            time.sleep(seconds)
            self._listener = Listener(self._port, self._exchange)
            self._listener.start()

    # What tests set up

    def set_options(self, **options: Any) -> None:
        """Change options; ``ValueError`` for one there is not."""
        unknown = set(options) - set(OPTIONS)
        if unknown:
            raise ValueError(f"there are no options {sorted(unknown)}; there are {sorted(OPTIONS)}")
        self.options.update(options)
        self.accounts.throttling = bool(self.options["token_throttling"])
        self.accounts.token_lifetime = float(self.options["token_lifetime"])

    def add_fault(self, kind: str, **options: Any) -> Fault:
        """Switch a fault on; see ``faults.Fault`` for the options. ``refuse`` acts at once."""
        fault = self.faults.add(kind, **options)
        self.switched_on(fault)
        return fault

    def switched_on(self, fault: Fault) -> None:
        fault.since = self.clock()
        if fault.kind == "refuse":
            self.faults.remove(fault)
            self.refuse(fault.seconds)
        elif fault.kind == "tokens_die" and fault.count is None:
            self.faults.remove(fault)
            self.accounts.invalidate_tokens()

    def add_jobs(
        self,
        count: int = 1,
        *,
        kind: str = "imported",
        rows: int = 10,
        life: float = 10.0,
        spread: float = 0.0,
        start_id: int | None = None,
    ) -> list[str]:
        """Make synthetic jobs that end ``life`` seconds from now; return their ids."""
        batch = self.add_batch(
            count, kind=kind, rows=rows, life=life, spread=spread, start_id=start_id
        )
        return [str(batch.start_id + offset) for offset in range(batch.count)]

    def add_batch(self, count: int, **how: Any) -> Batch:
        return self.store.add_batch(count=count, origin=self.clock(), speed=self.speed, **how)

    def set_body(self, job_id: str, body: Any = "", status: int = 200, **more: Any) -> None:
        """Answer exactly this for the job's details: text, bytes or a JSON value."""
        self.store.set_body(job_id, [answer_of({"body": body, "status": status, **more})])

    def issue_token(self) -> str:
        """Return an access token without asking the token endpoint."""
        return self.accounts.issue_token()

    def invalidate_tokens(self) -> int:
        return self.accounts.invalidate_tokens()

    # A request's way

    def _exchange(self, request: Request, send: Callable[[Answer], None]) -> None:
        segments = request.segments
        if segments[:1] == ["__sandbox__"]:
            send(control.answer(self, request))
            return
        if not segments or segments[:3] == ["oauth", "v2", "auth"]:
            send(landing.answer(self, request))
            return
        route = api.find_route(request)
        under_way = self.requests.begin(route.name, route.job_id)
        counted = False
        status = 0
        try:
            answer = self._answer(request, route, under_way)
            self._wait(self.options["latency"])
            status = answer.status
            if not answer.drip:
                # Before it is sent, so that a client which has its answer finds it counted.
                self.requests.end(route.name, route.job_id, status, request)
                counted = True
            send(answer)
        finally:
            if not counted:
                self.requests.end(route.name, route.job_id, status, request)

    def _answer(self, request: Request, route: api.Route, under_way: int) -> Answer:
        faults = self.faults.take(route.name, route.job_id)
        for fault in faults:
            self._before(fault)
        refused = self._over_limit(route, under_way)
        if refused is not None:
            return refused
        for fault in faults:
            answer = replacement(fault)
            if answer is not None:
                break
        else:
            answer = api.answer(self, route, request, faults)
        for fault in faults:
            spoil(fault, answer)
        self._show_credits(answer)
        return answer

    def _before(self, fault: Fault) -> None:
        if fault.kind == "delay":
            self._wait(fault.seconds)
        elif fault.kind == "reset":
            raise ConnectionDropped
        elif fault.kind == "tokens_die":
            self.accounts.invalidate_tokens()

    def _wait(self, seconds: float) -> None:
        if seconds <= 0:
            return
        listener = self._listener
        if listener is not None and listener.stopping.wait(seconds):
            raise ConnectionDropped

    def _over_limit(self, route: api.Route, under_way: int) -> Answer | None:
        if route.name in ("token", "revoke"):
            return None
        limit = self.options["concurrency_limit"]
        if limit is not None and under_way > limit:
            return error_answer("TOO_MANY_REQUESTS")
        spent = self.requests.spend(CREATE_CREDITS if route.name == "create" else 1)
        allowance = self.options["credit_allowance"]
        if allowance is not None and spent > allowance:
            return error_answer("TOO_MANY_REQUESTS")
        return None

    def _show_credits(self, answer: Answer) -> None:
        """Add the header that Zoho adds once half of the credits are used."""
        allowance = self.options["credit_allowance"]
        if allowance is not None and self.requests.credits * 2 >= allowance:
            left = max(0, allowance - self.requests.credits)
            answer.headers["X-API-CREDITS-REMAINING"] = str(left)
