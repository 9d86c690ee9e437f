"""A lookout, what it looks at, and what it has mailed."""

from datetime import timedelta

from django.core import mail
from django.db import connections
from django.db.utils import OperationalError
from django.utils import timezone

from jobs.models import Heartbeat
from jobs.services.health.lookout import Lookout

ROUND = timedelta(seconds=15)
DATABASE = type(connections["default"])

WORKER_DEAD = "[Bulkwatch] The worker is not running"
ALL_WELL = "[Bulkwatch] All is well again"


class Watched:
    """A lookout, and the parts that it looks at."""

    def __init__(self, clock):
        self.clock = clock
        self.dead = set()
        self.lookout = Lookout()

    def look(self, seconds=0):
        """Rounds for so long, with signs of life of all parts but the dead ones."""
        for _ in range(max(round(seconds / ROUND.total_seconds()), 1)):
            self.clock.shift(ROUND)
            for part in {Heartbeat.WORKER, Heartbeat.BEAT} - self.dead:
                Heartbeat.note(part, timezone.now())
            self.lookout.look()

    def restart(self, after=0):
        self.clock.shift(after)
        self.lookout = Lookout()


def subjects():
    return [message.subject for message in mail.outbox]


def refuse_to_connect(self):
    raise OperationalError("connection refused")
