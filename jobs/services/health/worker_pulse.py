"""The worker's sign of life: it takes work from the broker, or is at it."""

import logging
import threading
import time

from django.db import Error, close_old_connections, connection
from django.utils import timezone

from jobs.models import Heartbeat

logger = logging.getLogger(__name__)

# Work can be taken many times a second.
NOTED_AGAIN_AFTER_SECONDS = 3.0
# Half of what may pass without a sign, so that one may fail.
BUSY_SECONDS = 15.0


class WorkerPulse:
    """The sign of life of one process, noted as it takes a task and every 15 s while it is at one.

    It ends with a dead broker, since nothing is taken any more, and with a task that hangs, since
    its time limit ends that.
    """

    def __init__(self) -> None:
        self._running: set[str] = set()
        self._noted_at: float | None = None
        self._thread: threading.Thread | None = None

    def begin(self, task_id: str) -> None:
        """Note that this process takes a task; never raises."""
        self._running.add(task_id)
        close_old_connections()
        self._note()
        # None survives a fork, and a process that takes no task needs none.
        if self._thread is None or not self._thread.is_alive():
            self._thread = threading.Thread(target=self._beat, name="worker-pulse", daemon=True)
            self._thread.start()

    def end(self, task_id: str) -> None:
        self._running.discard(task_id)

    def _beat(self) -> None:
        while True:
            time.sleep(BUSY_SECONDS)
            if self._running:
                try:
                    self._note()
                finally:
                    connection.close()

    def _note(self) -> None:
        started = time.monotonic()
        if self._noted_at is not None and started - self._noted_at < NOTED_AGAIN_AFTER_SECONDS:
            return
        try:
            Heartbeat.note(Heartbeat.WORKER, timezone.now())
        except Error as error:
            # The work itself may do, and the next sign comes soon.
            logger.warning("The worker's sign of life could not be stored: %s", error)
        else:
            self._noted_at = started
