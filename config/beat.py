"""Beat's scheduler, which queues no more while nobody takes anything from the queue."""

from typing import Any

from celery import signals
from celery.beat import PersistentScheduler, ScheduleEntry

# More than a busy installation has waiting; each of them ends by itself, but stays in the queue.
MOST_WAITING = 20


class Scheduler(PersistentScheduler):
    """Celery's own, but for a queue that is full: then a tick is left out.

    A tick that ends unread stays in the broker until a worker throws it away, so hours without a
    worker would pile up thousands.
    """

    def apply_entry(self, entry: ScheduleEntry, producer: Any = None) -> None:
        if self._is_full(producer):
            # Beat is alive all the same, and this is what that is known by.
            signals.before_task_publish.send(sender=entry.task)
        else:
            super().apply_entry(entry, producer=producer)

    def _is_full(self, producer: Any) -> bool:
        queue = self.app.conf.task_default_queue
        try:
            waiting = producer.channel.queue_declare(queue, passive=True).message_count
        except Exception:
            # There is no such queue while it is empty. A broker that does not answer is none of
            # this method's business: queueing meets it, and says so.
            return False
        return bool(waiting >= MOST_WAITING)
