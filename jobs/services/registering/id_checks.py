"""Checks before registering: ids are stored with what Zoho says about them, then registered.

A check is worked on in bouts by whoever holds its lease; what was not asked stands in its rows, so
that a crash costs the answers of a second or two. No state of a job is written here: what is
registered in the end is polled as ever.
"""

import csv
import io
import logging
import threading
import time
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from django.contrib.auth.models import User
from django.db import transaction
from django.utils import timezone

from jobs.models import BulkWriteJob, CheckedId, Connection, IdCheck
from jobs.services.bulk import update_rows
from jobs.services.errors import own_error
from jobs.services.limits import credits
from jobs.services.limits.slots import ENOUGH_FOR_ALL, NoSlotError
from jobs.services.registering import id_asking, job_ids, tracking
from jobs.services.registering.id_asking import CannotAskError
from jobs.services.registering.job_ids import Entry, Paste, Verdict
from jobs.zoho.client import Answer

logger = logging.getLogger(__name__)

# Of one bout: polls and other checks want their turn of the worker.
BOUT_IDS = 200
BOUT_SECONDS = 8.0
WRITE_SECONDS = 1.0
# Renewed with each write.
LEASE = timedelta(seconds=30)
SLOT_PATIENCE = timedelta(seconds=2)
# After a bout that had the only call which polls could have: longer than a poll waits for its tick.
POLLS_TURN = timedelta(seconds=4)
KEPT_FOR = timedelta(hours=24)
# More lines that are left out than anybody reads.
MOST_LEFT_OUT = 1_000
# On end without any answer, also those whose worker died: what is wrong does not pass by itself.
MOST_VAIN_BOUTS = 3
BROKEN = own_error(
    "Something went wrong in Bulkwatch while Zoho was asked or its answers were stored.",
    "The worker's log says what. Go on with this check, or register without one.",
)
FINDING_FIELDS = ["answer", "status", "modules", "rows", "created_time", "error"]


class NotCheckableError(Exception):
    """A check cannot be begun, or not be registered from; the text says why."""


def start(
    connection: Connection, paste: Paste, *, for_all: Mapping[str, Any], user: User
) -> IdCheck:
    """Store a check of these entries; workers ask Zoho about those that are not registered yet.

    `for_all`: what `tracking.track` takes for all jobs. Raises NotCheckableError where Zoho cannot
    be asked, or not about so many.
    """
    now = timezone.now()
    ids = [entry.job_id for entry in paste.entries if entry.verdict == Verdict.TRACKED]
    tracked = BulkWriteJob.objects.filter(connection=connection, zoho_job_id__in=ids)
    known = set(tracked.values_list("zoho_job_id", flat=True))
    _check_startable(connection, len(ids) - len(known), now)
    is_done = len(ids) == len(known)
    check = IdCheck(
        connection=connection,
        user=user,
        created_at=now,
        state=IdCheck.State.DONE if is_done else IdCheck.State.RUNNING,
        next_attempt_at=None if is_done else now,
        options={
            "for_all": dict(for_all),
            "labels": {
                entry.job_id: entry.label
                for entry in paste.entries
                if entry.label and entry.verdict == Verdict.TRACKED
            },
            "notes": list(paste.notes),
        },
    )
    rows: list[CheckedId] = []
    left_out = 0
    for entry in paste.entries:
        if entry.verdict != Verdict.TRACKED:
            left_out += 1
            if left_out > MOST_LEFT_OUT:
                continue
        rows.append(_row(check, len(rows), entry, is_known=entry.job_id in known))
    if left_out > MOST_LEFT_OUT:
        more = left_out - MOST_LEFT_OUT
        check.options["notes"].append(f"{more:,} further lines without a new id are not listed.")
    with transaction.atomic():
        check.save()
        CheckedId.objects.bulk_create(rows, batch_size=500)
    return check


def _row(check: IdCheck, position: int, entry: Entry, *, is_known: bool) -> CheckedId:
    is_id = entry.verdict == Verdict.TRACKED
    is_asked = is_id and not is_known
    return CheckedId(
        check_of=check,
        position=position,
        line=entry.line,
        text=entry.text,
        verdict=Verdict.ALREADY_TRACKED if is_id and is_known else entry.verdict,
        job_id=entry.job_id,
        answer=CheckedId.Answer.WAITING if is_asked else CheckedId.Answer.NOT_ASKED,
        error={"message": entry.why} if entry.why else None,
    )


def _check_startable(connection: Connection, ids: int, now: datetime) -> None:
    if not ids:
        return
    try:
        id_asking.check_askable(connection)
    except CannotAskError as error:
        if error.until is None:
            said = " ".join(
                _with_stop(text)
                for text in (error.error["message"], error.error["resolution"])
                if text
            )
            raise NotCheckableError(f"Zoho cannot be asked now. {said}") from error
    left = credits.credits_of(connection, now).left_for_checks
    if ids > left:
        raise NotCheckableError(
            f"To check {ids:,} ids takes as many API credits, and checks on {connection.name} may "
            f"use {left:,} more within these 24 hours: half of all is kept for polling. Check "
            "fewer of them, or register them unchecked: polling spreads its calls by itself."
        )


def _with_stop(sentence: str) -> str:
    """A stored sentence, which may be Zoho's own, as one that another may follow."""
    sentence = sentence.strip()
    return sentence if sentence[-1:] in (".", "!", "?", "。") else f"{sentence}."


def claim_due(now: datetime | None = None) -> IdCheck | None:
    """Take the lease on a check that is due; None where there is none.

    Two workers that choose the same one do not both get it.
    """
    now = now or timezone.now()
    for check in IdCheck.objects.due(now)[:5]:
        until = timezone.now() + LEASE
        # The conditions stand in the UPDATE itself.
        if IdCheck.objects.due(now).filter(pk=check.pk).order_by().update(lease_until=until):
            check.lease_until = until
            return check
    return None


def work_on(check: IdCheck) -> bool:
    """Ask about some ids of a check whose lease was taken; whether it wants another bout now."""
    vain = _begin_bout(check)
    if vain > MOST_VAIN_BOUTS:
        return _release(check, timezone.now(), check.error or BROKEN, is_stopped=True)
    bout = _Bout(check)
    next_at, error, is_stopped = timezone.now(), None, False
    try:
        try:
            bout.run()
        finally:
            bout.write()
    except NoSlotError:
        next_at += SLOT_PATIENCE
        # Nothing was asked, and nobody is at fault.
        _note_vain_bouts(check, vain - 1)
    except CannotAskError as cannot:
        error, is_stopped = cannot.error, cannot.until is None
        next_at = cannot.until or next_at
        logger.info("Check %s: %s", check.pk, cannot)
    except Exception:
        # Its rows wait as before; unless it is stopped now, it is tried again.
        logger.exception("Check %s went wrong.", check.pk)
        error = BROKEN
        next_at += LEASE
    else:
        if check.connection.max_concurrency < ENOUGH_FOR_ALL:
            next_at = _leave_turn_to_polls(check.connection)
    if vain >= MOST_VAIN_BOUTS and not bout.has_progressed:
        is_stopped = is_stopped or error is not None
    return _release(check, next_at, error, is_stopped=is_stopped)


def _leave_turn_to_polls(connection: Connection) -> datetime:
    """Have all checks on a connection wait, as one would else follow the other; until when."""
    until = timezone.now() + POLLS_TURN
    IdCheck.objects.filter(
        connection=connection, state=IdCheck.State.RUNNING, next_attempt_at__lt=until
    ).update(next_attempt_at=until)
    return until


def _begin_bout(check: IdCheck) -> int:
    """Count a bout before anything can go wrong in it; how many brought nothing, with this one."""
    vain = check.options.get("vain_bouts", 0) + 1
    _note_vain_bouts(check, vain)
    return vain


def _note_vain_bouts(check: IdCheck, number: int) -> None:
    check.options["vain_bouts"] = number
    _held(check).update(options=check.options)


def _release(
    check: IdCheck, next_at: datetime, error: dict[str, Any] | None, *, is_stopped: bool
) -> bool:
    is_done = not check.ids.waiting().exists()
    state = IdCheck.State.RUNNING
    if is_done or is_stopped:
        state = IdCheck.State.DONE if is_done else IdCheck.State.STOPPED
    is_released = _held(check).update(
        state=state,
        error=None if is_done else error,
        next_attempt_at=next_at if state == IdCheck.State.RUNNING else None,
        lease_until=None,
    )
    return bool(is_released) and state == IdCheck.State.RUNNING and next_at <= timezone.now()


def _held(check: IdCheck) -> Any:
    """The check as long as its lease is the one that was taken, and nobody has stopped it."""
    return IdCheck.objects.filter(
        pk=check.pk, lease_until=check.lease_until, state=IdCheck.State.RUNNING
    )


class _Bout:
    """Some seconds of work on one check."""

    def __init__(self, check: IdCheck) -> None:
        self._check = check
        self._rows: dict[str, CheckedId] = {}
        self._answered: list[CheckedId] = []
        self._stop = threading.Event()
        self.has_progressed = False

    def run(self) -> None:
        """Ask, and write what comes every second. Raises NoSlotError and CannotAskError."""
        rows = list(self._check.ids.waiting().order_by("position")[:BOUT_IDS])
        if not rows:
            return
        self._rows = {row.job_id: row for row in rows}
        written_at = time.monotonic()
        asking = id_asking.ask(
            self._check.connection, list(self._rows), seconds=BOUT_SECONDS, stop=self._stop
        )
        for answer in asking:
            if answer is not None:
                self._take(answer)
            if time.monotonic() - written_at >= WRITE_SECONDS:
                self.write()
                written_at = time.monotonic()

    def _take(self, answer: Answer) -> None:
        row = self._rows[answer.job_id]
        finding = id_asking.finding_of(answer)
        row.answer, row.status, row.modules = finding.said, finding.status, finding.modules
        row.rows, row.created_time, row.error = finding.rows, finding.created_time, finding.error
        self._answered.append(row)

    def write(self) -> None:
        """Store the answers and renew the lease; stop asking where that is gone."""
        until = timezone.now() + LEASE
        answered, self._answered = self._answered, []
        with transaction.atomic():
            if not _held(self._check).update(lease_until=until):
                self._stop.set()
                return
            update_rows(answered, FINDING_FIELDS)
        self._check.lease_until = until
        if answered and not self.has_progressed:
            self.has_progressed = True
            _note_vain_bouts(self._check, 0)


def stop(check: IdCheck) -> None:
    """Ask no further; what Zoho has said stays."""
    _change(check, IdCheck.State.RUNNING, state=IdCheck.State.STOPPED, error=None)


def go_on(check: IdCheck) -> None:
    """Ask about the ids that are not answered yet, and once more about those unknown to Zoho.

    Raises NotCheckableError where Zoho cannot be asked, or not about so many.
    """
    _check_startable(check.connection, check.ids.open().count(), timezone.now())
    with transaction.atomic():
        is_changed = _change(
            check,
            *(IdCheck.State.DONE, IdCheck.State.STOPPED),
            state=IdCheck.State.RUNNING,
            error=None,
            next_attempt_at=timezone.now(),
        )
        if is_changed:
            check.ids.open().update(answer=CheckedId.Answer.WAITING, error=None)
            check.options["vain_bouts"] = 0
            IdCheck.objects.filter(pk=check.pk).update(options=check.options)


def _change(check: IdCheck, *states: IdCheck.State, **fields: Any) -> bool:
    fields = {"next_attempt_at": None, "lease_until": None} | fields
    return bool(IdCheck.objects.filter(pk=check.pk, state__in=states).update(**fields))


def register(check: IdCheck, *, user: User, with_unanswered: bool = False) -> list[Entry]:
    """Register the ids of a check that Zoho knows, on request those without an answer as well.

    Doing it twice does it once. Raises NotCheckableError while Zoho is still being asked.
    """
    with transaction.atomic():
        locked = IdCheck.objects.select_for_update().get(pk=check.pk)
        if locked.state == IdCheck.State.RUNNING:
            raise NotCheckableError("Zoho is still being asked: wait for it, or stop it first.")
        rows = check.ids.found()
        if with_unanswered:
            rows = rows | check.ids.unanswered()
        entries = _entries(locked, list(rows.order_by("position")))
        tracking.track(check.connection, entries, user=user, **locked.options["for_all"])
        locked.state = IdCheck.State.REGISTERED
        locked.save(update_fields=["state"])
    return entries


def _entries(check: IdCheck, rows: Sequence[CheckedId]) -> list[Entry]:
    labels = check.options["labels"]
    return [
        Entry(row.line, row.text, Verdict.TRACKED, row.job_id, label=labels.get(row.job_id, ""))
        for row in rows
    ]


def not_registered(check: IdCheck) -> str:
    """What of a check's paste is not registered, as it may be pasted anew.

    The ids, with the labels that the paste gave them, and what may be corrected to be one.
    """
    rows = list(check.ids.filter(verdict__in=[Verdict.TRACKED, *job_ids.SLIPS]))
    asked = [row.job_id for row in rows if row.job_id]
    jobs = BulkWriteJob.objects.filter(connection=check.connection, zoho_job_id__in=asked)
    registered = set(jobs.values_list("zoho_job_id", flat=True))
    ids = [job_id for job_id in asked if job_id not in registered]
    slips = job_ids.to_correct(row.text for row in rows if not row.job_id)
    labels = check.options["labels"]
    if not any(job_id in labels for job_id in ids):
        return "\n".join([*ids, *slips])
    table = io.StringIO()
    cells = [["job_id", "label"], *([job_id, labels.get(job_id, "")] for job_id in ids)]
    csv.writer(table, delimiter="\t", lineterminator="\n").writerows([*cells, *zip(slips)])
    return table.getvalue().rstrip("\n")


def delete_old(now: datetime) -> None:
    """Delete checks that were begun more than a day ago."""
    IdCheck.objects.filter(created_at__lt=now - KEPT_FOR).delete()
