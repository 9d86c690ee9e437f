"""Whether the product itself works: what a page says about the data it stands on."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.utils import timezone

from jobs.models import BulkWriteJob, Connection, Heartbeat

# A due job that nobody has asked about for this long means that polling does not keep up.
LATE_AFTER = timedelta(minutes=2)


@dataclass(frozen=True, slots=True)
class Health:
    """What is wrong with the monitor, in words; nothing where all is well."""

    last_answer_at: datetime | None
    beat_seen_at: datetime | None
    worker_seen_at: datetime | None
    broken_connections: tuple[Connection, ...]
    problems: tuple[str, ...]

    @property
    def is_blind(self) -> bool:
        return bool(self.problems)


def check() -> Health:
    now = timezone.now()
    beats = dict(Heartbeat.objects.values_list("part", "seen_at"))
    connections = list(Connection.objects.all())
    answers = [c.last_answer_at for c in connections if c.last_answer_at]
    return Health(
        last_answer_at=max(answers, default=None),
        beat_seen_at=beats.get(Heartbeat.BEAT),
        worker_seen_at=beats.get(Heartbeat.WORKER),
        broken_connections=tuple(c for c in connections if c.is_blocked),
        problems=tuple(_problems(now, beats)),
    )


def _problems(now: datetime, beats: dict[str, datetime]) -> list[str]:
    problems = []
    seen = beats.get(Heartbeat.WORKER)
    if seen is None or now - seen > Heartbeat.MAX_AGE:
        problems.append(
            "Nothing is being polled: the background worker or its schedule is not running."
        )
    elif (
        BulkWriteJob.objects.active()
        .filter(
            next_poll_at__lte=now - LATE_AFTER,
            connection__in=Connection.objects.pollable(now),
        )
        .exists()
    ):
        problems.append("Polling is late: some jobs were due more than two minutes ago.")
    return problems
