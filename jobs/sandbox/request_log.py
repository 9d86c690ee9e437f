"""What the sandbox was asked: counters by route and status, polls by job, how many at once."""

import threading
import time
from collections import Counter, OrderedDict, deque
from typing import Any

from .wire import Request

RECENT = 1000
POLLED_JOBS = 50_000
POLLS_PER_JOB = 500


class RequestLog:
    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.reset()

    def reset(self) -> None:
        with self._lock:
            self.counts: Counter[tuple[str, int]] = Counter()
            self.total = 0
            self.in_flight = 0
            self.max_in_flight = 0
            self.credits = 0
            #: The most requests for one and the same job that were under way together.
            self.max_in_flight_per_job = 0
            self._job_in_flight: Counter[str] = Counter()
            self._polls: OrderedDict[str, deque[float]] = OrderedDict()
            self._recent: deque[dict[str, Any]] = deque(maxlen=RECENT)

    def begin(self, route: str, job_id: str | None) -> int:
        """Note that a request arrived; return how many are under way, this one included."""
        with self._lock:
            self.in_flight += 1
            self.max_in_flight = max(self.max_in_flight, self.in_flight)
            if job_id is not None and route == "details":
                self._job_in_flight[job_id] += 1
                together = self._job_in_flight[job_id]
                self.max_in_flight_per_job = max(self.max_in_flight_per_job, together)
                polls = self._polls.get(job_id)
                if polls is None:
                    polls = self._polls[job_id] = deque(maxlen=POLLS_PER_JOB)
                    if len(self._polls) > POLLED_JOBS:
                        self._polls.popitem(last=False)
                polls.append(time.time())
            return self.in_flight

    def spend(self, credits: int) -> int:
        """Book API credits; return how many were spent so far."""
        with self._lock:
            self.credits += credits
            return self.credits

    def end(self, route: str, job_id: str | None, status: int, request: Request) -> None:
        """Note how a request ended; status 0 is a connection that was dropped."""
        with self._lock:
            self.in_flight = max(0, self.in_flight - 1)
            self.total += 1
            self.counts[route, status] += 1
            if job_id is not None and route == "details":
                self._job_in_flight[job_id] -= 1
                if self._job_in_flight[job_id] <= 0:
                    del self._job_in_flight[job_id]
            self._recent.append(
                {
                    "at": time.time(),
                    "method": request.method,
                    "path": request.target.partition("?")[0],
                    "route": route,
                    "status": status,
                    "with_token": request.token is not None,
                    "user_agent": request.headers.get("User-Agent"),
                }
            )

    def count(self, route: str | None = None, status: int | None = None) -> int:
        """Return how many requests ended, of a route or with a status if given."""
        with self._lock:
            return sum(
                number
                for (its_route, its_status), number in self.counts.items()
                if route in (None, its_route) and status in (None, its_status)
            )

    def polls(self, job_id: str) -> list[float]:
        """Return when this job's details were asked for, as seconds since 1970, oldest first."""
        with self._lock:
            return list(self._polls.get(job_id, ()))

    def recent(self) -> list[dict[str, Any]]:
        with self._lock:
            return list(self._recent)

    def as_json(self, *, with_polls: bool = False, with_recent: bool = False) -> dict[str, Any]:
        with self._lock:
            by_route: dict[str, dict[str, int]] = {}
            for (route, status), number in sorted(self.counts.items()):
                by_route.setdefault(route, {})[str(status)] = number
            value: dict[str, Any] = {
                "total": self.total,
                "by_route": by_route,
                "in_flight": self.in_flight,
                "max_in_flight": self.max_in_flight,
                "max_in_flight_per_job": self.max_in_flight_per_job,
                "credits": self.credits,
                "polled_jobs": len(self._polls),
            }
            if with_polls:
                value["polls"] = {job_id: list(times) for job_id, times in self._polls.items()}
            if with_recent:
                value["recent"] = list(self._recent)
        return value
