"""Whether this installation can do its work: what load balancers and supervisors ask."""

import redis
from django.conf import settings
from django.db import Error
from django.utils import timezone
from redis.backoff import NoBackoff
from redis.retry import Retry

from jobs.models import Heartbeat

BROKER_TIMEOUT_SECONDS = 1.0


def check() -> dict[str, bool]:
    """Whether the database and the broker answer, and the worker and beat were seen lately."""
    now = timezone.now()
    try:
        seen = dict(Heartbeat.objects.values_list("part", "seen_at"))
        database = True
    except Error:
        seen, database = {}, False
    alive = {part for part, at in seen.items() if now - at <= Heartbeat.MAX_AGE}
    return {
        "database": database,
        "broker": _broker_answers(),
        "worker": Heartbeat.WORKER in alive,
        "beat": Heartbeat.BEAT in alive,
    }


def _broker_answers() -> bool:
    try:
        with redis.Redis.from_url(
            settings.REDIS_URL,
            socket_connect_timeout=BROKER_TIMEOUT_SECONDS,
            socket_timeout=BROKER_TIMEOUT_SECONDS,
            # Whoever asked asks again; here a retry would only make them wait.
            retry=Retry(NoBackoff(), 0),
        ) as client:
            return bool(client.ping())
    except (redis.RedisError, OSError, ValueError):
        return False
