"""The lookout: tells the operators by mail what keeps the monitor from seeing.

It stands on as little as possible: no broker, no worker, no outbox, and when the database does not
answer, on what it remembers in a file. So it can tell of the end of each of them.
"""

import logging
import queue
import threading
import time
from datetime import datetime, timedelta
from email.utils import make_msgid
from pathlib import Path

from django.conf import settings
from django.core.mail import EmailMessage
from django.db import Error, connection
from django.template.loader import render_to_string
from django.utils import timezone

from jobs.models import Heartbeat
from jobs.services.health import broker, dead_mans_switch, lookout_memory, monitoring
from jobs.services.health.findings import Finding
from jobs.services.health.monitoring import Health
from jobs.services.health.operators import find_operators
from jobs.services.mails import NO_REPLIES

logger = logging.getLogger(__name__)

ROUND_SECONDS = 15.0
# A database that says nothing for so long counts as dead.
DATABASE_SECONDS = 10.0
# A little less, so that rounds of 15 seconds make it every fourth.
PING_EVERY = timedelta(seconds=55)
MAIL_RETRY = timedelta(seconds=10)
MAIL_RETRY_MOST = timedelta(minutes=5)
# Without these, no alert of the outbox leaves.
OUTBOX_PARTS = {"database", "broker", "beat", "worker", "mail"}
STOPPED = "stopped"

# What is wrong, and who is to be told (None: the database does not say); or what went wrong.
_Answer = tuple[Health, list[str] | None] | Exception


class Lookout:
    """What one process of the lookout knows from round to round."""

    def __init__(self) -> None:
        self._file = _memory_file()
        self._memory = lookout_memory.read(self._file)
        self._asking: threading.Thread | None = None
        self._blind_since: datetime | None = None
        self._pinged_at: datetime | None = None
        self._mail_failed_at: datetime | None = None
        self._mail_wait = MAIL_RETRY

    def run(self) -> None:
        """Look for ever."""
        while True:
            started = time.monotonic()
            try:
                self.look()
            except Exception:
                # Whatever it was, the next round may find it gone; nobody else would tell.
                logger.exception("A round of the lookout failed")
            time.sleep(max(ROUND_SECONDS - (time.monotonic() - started), 1.0))

    def look(self) -> Health:
        """One round: find what is wrong, tell whom it concerns, remember it; what was found."""
        health = self._find()
        now = timezone.now()
        told_by_us = told_by_lookout(health)
        for finding in told_by_us:
            if finding.key not in self._memory.wrong:
                logger.warning("%s %s", finding.title, finding.text)
        self._memory.notice({finding.key for finding in told_by_us}, now)
        if _is_over(self._mail_failed_at, self._mail_wait, now):
            self._tell(health, told_by_us, now)
        self._ping(health, now)
        lookout_memory.write(self._file, self._memory)
        return health

    def _find(self) -> Health:
        """What is wrong. A database that keeps silent does not keep the lookout."""
        broker_answers = broker.answers()
        if self._asking is not None and self._asking.is_alive():
            return monitoring.without_database(broker_answers)
        answers: queue.SimpleQueue[_Answer] = queue.SimpleQueue()
        self._asking = threading.Thread(
            target=_ask_database, args=(broker_answers, answers), name="ask-database", daemon=True
        )
        self._asking.start()
        try:
            answer = answers.get(timeout=DATABASE_SECONDS)
        except queue.Empty:
            return monitoring.without_database(broker_answers)
        self._asking = None
        if isinstance(answer, Exception):
            raise answer
        health, operators = answer
        if operators is not None:
            self._memory.operators = operators
        return health

    def _tell(self, health: Health, told_by_us: list[Finding], now: datetime) -> None:
        keys = {finding.key for finding in told_by_us}
        if self._memory.is_due(keys, now):
            if self._mail(_subject(told_by_us), "What is wrong:", health.findings, now):
                self._memory.note_told(keys, now)
        elif self._memory.is_all_well:
            intro = "What you were told of is over: Bulkwatch works again."
            if health.findings:
                intro += " What is left:"
            if self._mail("All is well again", intro, health.findings, now):
                self._memory.told_of_trouble = False

    def _mail(self, subject: str, intro: str, found: tuple[Finding, ...], now: datetime) -> bool:
        """Send a mail to the operators; say whether it left. One that did not is tried again."""
        operators = settings.OPERATORS or self._memory.operators
        if send(operators, subject, intro, found):
            self._mail_failed_at, self._mail_wait = None, MAIL_RETRY
            return True
        if self._mail_failed_at is not None:
            self._mail_wait = min(self._mail_wait * 2, MAIL_RETRY_MOST)
        self._mail_failed_at = now
        return False

    def _ping(self, health: Health, now: datetime) -> None:
        """Have the switch outside know how it is; not yet what may be over in a moment."""
        if not health.is_blind:
            self._blind_since = None
        elif self._blind_since is None:
            self._blind_since = now
        if not _is_over(self._pinged_at, PING_EVERY, now):
            return
        if self._blind_since is None or now - self._blind_since >= lookout_memory.LASTS_FROM:
            self._pinged_at = now
            dead_mans_switch.ping(is_blind=self._blind_since is not None)


def _is_over(since: datetime | None, wait: timedelta, now: datetime) -> bool:
    """Whether a wait is over, or the clock was set back meanwhile."""
    return since is None or not timedelta() <= now - since < wait


def told_by_lookout(health: Health) -> list[Finding]:
    """What is told by the lookout: what blinds, unless an alert can tell of it."""
    outbox_works = not OUTBOX_PARTS & health.parts_that_fail
    return [
        finding
        for finding in health.findings
        if finding.is_blind and not (finding.is_told_by_alert and outbox_works)
    ]


def tell_stop(what: str) -> None:
    """Tell the operators that the product has stopped by itself; within a few seconds or never.

    Once until the lookout has seen all well again, so that a product that starts and stops again
    and again sends one mail.
    """
    file = _memory_file()
    memory = lookout_memory.read(file)
    dead_mans_switch.ping(is_blind=True)
    now = timezone.now()
    if STOPPED in memory.wrong and not memory.wrong[STOPPED].is_due(now):
        return
    intro = f"Bulkwatch has stopped: {what}. Nothing is watched until it is started again."
    operators = settings.OPERATORS or memory.operators
    try:
        operators = operators or find_operators()
    except Error as error:
        logger.warning("The database does not say who is to be told: %s", error)
    if send(operators, f"Bulkwatch has stopped: {what}", intro, ()):
        memory.note_told({STOPPED}, now)
        lookout_memory.write(file, memory)


def _memory_file() -> Path:
    return Path(settings.DATA_DIR) / "run" / "lookout.json"


def send(operators: list[str], subject: str, intro: str, found: tuple[Finding, ...]) -> bool:
    """Send a mail by the mail server directly; say whether it took it."""
    if not operators:
        logger.error(
            "Nobody can be told by mail (%s): name somebody in OPERATORS, or give an "
            "administrator a mail address.",
            subject,
        )
        return False
    context = {"intro": intro, "findings": found, "site_url": settings.SITE_URL}
    message = EmailMessage(
        subject=" ".join(f"[Bulkwatch] {subject}".split())[:300],
        body=render_to_string("mail/lookout.txt", context).strip() + "\n",
        to=operators,
        headers={"Message-ID": make_msgid(domain="bulkwatch.invalid"), **NO_REPLIES},
    )
    try:
        message.send()
    except Exception as error:
        # Backends raise many kinds; it is tried again whatever it was.
        logger.error("The mail %r could not be sent: %s", subject, error or type(error).__name__)
        return False
    logger.info("Told %s: %s", ", ".join(operators), subject)
    return True


def _ask_database(broker_answers: bool, answers: "queue.SimpleQueue[_Answer]") -> None:
    """The database's part of a round, in a thread, since a connection can hang for long."""
    try:
        try:
            Heartbeat.note(Heartbeat.LOOKOUT, timezone.now())
        except Error as error:
            # A full disk or a long transaction: reading may work all the same.
            logger.warning("The lookout's sign of life could not be stored: %s", error)
        health = monitoring.check(broker_answers)
        try:
            answers.put((health, find_operators()))
        except Error:
            answers.put((health, None))
    except Exception as error:  # handed to the lookout's own thread
        answers.put(error)
    finally:
        connection.close()


def _subject(told_by_us: list[Finding]) -> str:
    more = f" (and {len(told_by_us) - 1} more)" if len(told_by_us) > 1 else ""
    return f"{told_by_us[0].title.rstrip('.')}{more}"
