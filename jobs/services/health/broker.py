"""Whether the broker answers."""

import threading
import time

import redis
from django.conf import settings
from redis.backoff import NoBackoff
from redis.retry import Retry

TIMEOUT_SECONDS = 1.0
ASKED_AGAIN_AFTER_SECONDS = 10.0
# A refusal comes within a millisecond; for one that says nothing, no page waits any longer.
PATIENCE_SECONDS = 0.1


def answers() -> bool:
    """Whether the broker answers now; takes a second at most."""
    try:
        with redis.Redis.from_url(
            settings.REDIS_URL,
            socket_connect_timeout=TIMEOUT_SECONDS,
            socket_timeout=TIMEOUT_SECONDS,
            # Whoever asked asks again; here a retry would only make them wait.
            retry=Retry(NoBackoff(), 0),
        ) as client:
            return bool(client.ping())
    except (redis.RedisError, OSError, ValueError):
        return False


class _LastKnown:
    """What this process last heard of the broker, asked about in a thread of its own."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._url = ""
        self._asked_at = 0.0
        self._answers: bool | None = None

    def get(self) -> bool | None:
        now = time.monotonic()
        with self._lock:
            is_known = self._url == settings.REDIS_URL
            if is_known and now - self._asked_at < ASKED_AGAIN_AFTER_SECONDS:
                return self._answers
            if not is_known or self._answers:
                # That it answered some time ago says nothing of now.
                self._answers = None
            self._url, self._asked_at = settings.REDIS_URL, now
        asking = threading.Thread(target=self._ask, name="broker-ping", daemon=True)
        asking.start()
        asking.join(PATIENCE_SECONDS)
        return self._answers

    def _ask(self) -> None:
        self._answers = answers()


_last_known = _LastKnown()


def last_known() -> bool | None:
    """Whether the broker answered when it was last asked, 10 s ago at most; None: not known yet.

    While it is asked again, one that did not answer is still said not to.

    Costs a page nothing while the broker is down, and a tenth of a second where it is mute.
    """
    return _last_known.get()
