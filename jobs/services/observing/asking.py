"""Asking Zoho about the jobs of one claim: what comes is recorded portion by portion.

No answer waits for a slow one. While a batch lasts, its jobs and its calls stay its own, and it
stops asking when somebody else has learnt that the connection may not be asked any more.
"""

import logging
import math
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from django.utils import timezone

from jobs.models import Connection, UndecryptableError
from jobs.services.connections.access import (
    CustomHostsForbiddenError,
    open_client,
    open_tokens,
    unusable,
)
from jobs.services.limits import credits, slots
from jobs.services.limits.booking import Booking
from jobs.services.observing import failures, leases, waiting
from jobs.services.observing.recording import record
from jobs.services.observing.standing import hold_back_for_credits
from jobs.zoho.client import Answer, BulkWriteClient
from jobs.zoho.errors import ZohoSignInError, ZohoThrottledError

logger = logging.getLogger(__name__)

# Threads of one batch; more concurrency than this is spread over batches, hence processes.
MAX_THREADS = 50
# Recorded more often, quick answers would compete with the threads that they come from.
PORTION_ANSWERS = 500
PORTION_SECONDS = 2.0
# What another process has learnt of the connection, such as that Zoho throttles it.
LOOK_SECONDS = 0.5
# After so long without an answer, what is still under way is waited for beside the next batch.
SLOW_SECONDS = 1.0
# Lease and slots outlast this several times, those of a check of ids as well.
KEEP_SECONDS = 10.0
TICK_SECONDS = 0.5
# So many failures on end, and twice as many as calls at a time, are no accident any more.
HOPELESS_FAILURES = 10


@dataclass(slots=True)
class Polled:
    """What came of a claim: answers recorded, results to fetch and alerts to send among them.

    `why_not`: in words, why nothing, or not all of it, was asked about.
    """

    answers: int = 0
    results: int = 0
    alerts: int = 0
    why_not: str = ""


@dataclass(slots=True)
class Portion:
    """Answers that wait to be recorded.

    Failures wait for an answer: whether they are their jobs' own or the connection's, the others
    of the batch tell.
    """

    limit: int
    ready: list[Answer] = field(default_factory=list)
    silent: list[Answer] = field(default_factory=list)
    refused: list[Answer] = field(default_factory=list)
    answered: bool = False
    refusals_on_end: int = 0
    is_refusing: bool = False
    is_urgent: bool = False

    def add(self, answer: Answer) -> None:
        if failures.is_outage(answer.error):
            self.silent.append(answer)
        elif failures.is_refusal(answer.error):
            self.refused.append(answer)
            self.refusals_on_end += 1
            # Two, and nobody answered in between: Zoho means them all.
            self.is_refusing |= self.refusals_on_end > 1
        else:
            self.ready.append(answer)
            # Other processes are to learn at once that nothing more may be asked.
            self.is_urgent |= isinstance(answer.error, ZohoSignInError | ZohoThrottledError)
        if failures.is_answer(answer):
            self.answered = True
            self.refusals_on_end = 0
            self.ready += self.silent
            self.silent.clear()

    @property
    def is_hopeless(self) -> bool:
        """Whether so many have failed on end that the connection is at fault."""
        return len(self.silent) >= self.limit

    def take_ready(self) -> list[Answer]:
        ready, self.ready, self.is_urgent = self.ready, [], False
        return ready


def lanes(connection: Connection) -> int:
    """How many batches of a connection may be under way at a time."""
    return math.ceil(connection.max_concurrency / MAX_THREADS)


def ask(
    connection: Connection,
    lease_token: str,
    job_ids: Sequence[str],
    *,
    seconds: float,
    by_person: bool = False,
) -> Polled:
    """Ask about claimed jobs for so many seconds, and record what Zoho answers.

    What is not asked about in the end is free again, and as due as it was. Raises NoSlotError
    where all calls that the connection allows are under way; then nothing was asked.
    """
    why_not = waiting.why_not(connection, timezone.now(), by_person=by_person)
    if why_not:
        return Polled(why_not=why_not)
    threads = math.ceil(connection.max_concurrency / lanes(connection))
    with slots.held(connection, min(threads, len(job_ids)), slots.Use.POLLS) as slot:
        booking = Booking(connection, len(job_ids), slot)
        if booking.is_empty:
            hold_back_for_credits(connection, timezone.now())
            waits = Connection.objects.get(pk=connection.pk)
            return Polled(why_not=waiting.why_not(waits, timezone.now()))
        batch = _Batch(connection, lease_token, slot, booking, by_person=by_person)
        made = 0
        try:
            try:
                tokens = open_tokens(connection)
                client = open_client(connection, threads=slot.calls)
            except (CustomHostsForbiddenError, UndecryptableError, ValueError) as error:
                # The connection itself cannot be used: that needs a person.
                batch.record([Answer(job_ids[0], timezone.now(), None, unusable(error))])
                return batch.polled
            with client:
                if connection.is_blocked:
                    # It may have been repaired: Zoho is asked again, not what is remembered of it.
                    tokens.forget_refusal()
                try:
                    batch.run(client, job_ids, seconds)
                finally:
                    made = client.calls
                    if client.knows_credits:
                        credits.note_remaining(connection, client.credits_remaining)
        finally:
            try:
                batch.release()
            finally:
                # Threads may wait for a credit that now never comes.
                booking.settle(made)
    return batch.polled


class _Batch:
    def __init__(
        self,
        connection: Connection,
        lease_token: str,
        slot: slots.Slot,
        booking: Booking,
        *,
        by_person: bool,
    ) -> None:
        self.polled = Polled()
        self._connection = connection
        self._lease_token = lease_token
        self._slot = slot
        self._booking = booking
        self._by_person = by_person
        self._stop = threading.Event()
        self._is_aside = False
        self._portion = Portion(limit=max(2 * slot.calls, HOPELESS_FAILURES))

    def run(self, client: BulkWriteClient, job_ids: Sequence[str], seconds: float) -> None:
        portion, asked, answers = self._portion, set[str](), 0
        started = recorded_at = looked_at = kept_at = time.monotonic()
        answered_at = busy_at = started
        for answer in client.job_details_many(
            job_ids,
            threads=self._slot.calls,
            seconds=seconds,
            tick=TICK_SECONDS,
            stop=self._stop,
            most_failures=portion.limit,
            asked=asked,
            may_ask=self._booking.take,
        ):
            # Before anything that takes its time, in which the threads go on.
            self._book()
            now = time.monotonic()
            if answer is not None:
                portion.add(answer)
                answers, answered_at = answers + 1, now
            is_portion = now - recorded_at >= PORTION_SECONDS
            if is_portion or len(portion.ready) >= PORTION_ANSWERS or portion.is_urgent:
                self.record(portion.take_ready(), answered=portion.answered)
                recorded_at = time.monotonic()
            if now - looked_at >= LOOK_SECONDS:
                self._stop_if_asked_to()
                looked_at = now
            if now - kept_at >= KEEP_SECONDS:
                self._keep()
                kept_at = now
            if now - started >= seconds:
                self._stop.set()
            if not (self._stop.is_set() or self._booking.is_over):
                busy_at = now
            # Where nobody is answered, the next batch would only wait as this one does.
            elif portion.answered and now - max(busy_at, answered_at) >= SLOW_SECONDS:
                self._set_aside(asked, len(asked) - answers, client.calls)
        self.record(portion.take_ready(), answered=portion.answered)
        self.record(portion.silent, answered=portion.answered and not portion.is_hopeless)
        self.record(portion.refused, answered=portion.answered and not portion.is_refusing)

    def record(self, answers: Sequence[Answer], *, answered: bool = False) -> None:
        if not answers:
            return
        batch = record(
            self._connection,
            self._lease_token,
            answers,
            answered=answered,
            stretch=self._booking.credits.stretch,
        )
        self.polled.answers += len(answers)
        self.polled.results += len(batch.results)
        self.polled.alerts += len(batch.alerts)

    def release(self) -> None:
        """Free what was not asked about in the end."""
        leases.release(self._connection, self._lease_token)

    def _book(self) -> None:
        """Reserve for the next calls, as long as any are to be made."""
        if self._stop.is_set():
            self._booking.close()
        else:
            self._booking.top_up()

    def _set_aside(self, asked: set[str], under_way: int, made: int) -> None:
        """Wait for the last answers without keeping the next batch from beginning."""
        if self._is_aside:
            return
        self._is_aside = True
        self.record(self._portion.take_ready(), answered=self._portion.answered)
        self._lease_token = leases.set_aside(self._connection, self._lease_token, asked)
        self._slot.shrink(under_way)
        self._booking.settle(made)

    def _stop_if_asked_to(self) -> None:
        if self._stop.is_set():
            return
        connection = Connection.objects.get(pk=self._connection.pk)
        self.polled.why_not = waiting.why_not(connection, timezone.now(), by_person=self._by_person)
        if self.polled.why_not:
            self._stop.set()

    def _keep(self) -> None:
        has_jobs = leases.extend(self._connection, self._lease_token).exists()
        if not (has_jobs and self._slot.renew()):
            logger.warning("A batch of %s was given up: others have its jobs.", self._connection)
            self._stop.set()
