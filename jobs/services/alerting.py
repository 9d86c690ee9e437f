"""What is worth telling, to whom: rows of the outbox, and how they leave it."""

import logging
import smtplib
import time
from collections.abc import Sequence
from datetime import datetime, timedelta
from email.utils import make_msgid

from django.db import transaction
from django.utils import timezone

from jobs.models import Alert, BulkWriteJob, Connection, JobEvent, Outcome
from jobs.models.leases import is_free
from jobs.services import mails, wording
from jobs.services.outcomes import FAILED_STATUSES, ResourceState, Verdict

logger = logging.getLogger(__name__)

# How long an alert waits for the result file, which tells why rows were skipped.
HOLD_FOR_RESULT = timedelta(seconds=90)

LEASE = timedelta(minutes=2)
RETRY_BASE = timedelta(seconds=30)
RETRY_MAX = timedelta(hours=1)
GIVE_UP_AFTER = timedelta(hours=48)
SEND_AT_ONCE = 200
# A run ends well before the task's time limit, which would cut a mail in two.
SEND_SECONDS = 20.0


class MailServerDownError(Exception):
    """No mail can be sent at all now, whoever it is for."""


def make_alert(
    kind: Alert.Kind,
    text: str,
    *,
    connection: Connection,
    job: BulkWriteJob | None,
    about: str,
    at: datetime,
    hold: timedelta,
) -> Alert:
    """An outbox row for one fact, not stored yet. It is not sent before `hold` has passed."""
    return Alert(
        kind=kind,
        text=text[:500],
        connection=connection,
        job=job,
        about=about[:100],
        created_at=at,
        next_attempt_at=at + hold,
        message_id=make_msgid(domain="bulkwatch.invalid"),
    )


def write(alerts: Sequence[Alert]) -> None:
    """Store alerts; a fact that was told before is left as it is."""
    Alert.objects.bulk_create(alerts, ignore_conflicts=True)


def fact_of_end(
    job: BulkWriteJob, verdict: Verdict, resources: Sequence[ResourceState]
) -> tuple[Alert.Kind, str] | None:
    """The one thing worth telling about how a job ended, the gravest first; None if all is well."""
    failed = [item.name for item in resources if item.status in FAILED_STATUSES]
    skipped = [item.name for item in resources if item.status == "SKIPPED"]
    if verdict.outcome == Outcome.FAILED:
        return Alert.Kind.FAILED, wording.verdict_sentence(job)
    if verdict.outcome == Outcome.SKIPPED:
        return Alert.Kind.SKIPPED, wording.verdict_sentence(job)
    if verdict.outcome == Outcome.NOTHING_IMPORTED:
        return Alert.Kind.NOTHING_IMPORTED, wording.verdict_sentence(job)
    if failed:
        return Alert.Kind.FAILED, f"The part for {', '.join(failed)} failed."
    if skipped:
        return Alert.Kind.SKIPPED, f"The part for {', '.join(skipped)} was skipped."
    if verdict.over_threshold:
        return Alert.Kind.SKIP_THRESHOLD, (
            f"{wording.verdict_sentence(job)} The limit is {job.threshold_percent} %."
        )
    return None


def release_held(job_id: int) -> None:
    """Send a job's waiting alerts now: its result file has been read, or never will be."""
    Alert.objects.pending().filter(job_id=job_id, attempts=0).update(next_attempt_at=timezone.now())


def deliver_due() -> int:
    """Send the alerts that are due; return how many went out.

    Each is claimed by a lease first and marked right after the mail server took it: a crash in
    between, and nothing else, can send a mail twice, and then under the same Message-ID.
    """
    sent = 0
    until = time.monotonic() + SEND_SECONDS
    for pk in Alert.objects.due(timezone.now()).values_list("pk", flat=True)[:SEND_AT_ONCE]:
        now = timezone.now()
        if not Alert.objects.due(now).filter(pk=pk).update(lease_until=now + LEASE):
            continue
        alert = Alert.objects.select_related("connection", "job__connection").get(pk=pk)
        try:
            sent += _deliver(alert)
        except MailServerDownError:
            # The others would wait for the same time-out each, and keep the worker from polling.
            Alert.objects.due(now).update(next_attempt_at=now + RETRY_BASE)
            break
        if time.monotonic() >= until:
            break
    return sent


def recipients_of(alert: Alert) -> list[str]:
    """Who is told by an alert that has not gone out yet."""
    return alert.job.recipients if alert.job else alert.connection.recipients


def _deliver(alert: Alert) -> bool:
    recipients = alert.recipients = recipients_of(alert)
    alert.lease_until = None
    if not recipients:
        alert.state = Alert.State.NO_RECIPIENT
        alert.error = "No recipient is named for this job or its connection."
        _close(alert, alert.error)
        return False
    alert.attempts += 1
    try:
        message = mails.compose(alert, recipients)
        alert.subject = message.subject[:300]
        message.send()
    except Exception as error:
        # Backends raise many kinds; whatever it was, the alert stays and is tried again.
        _failed(alert, error)
        if _is_server_down(error):
            raise MailServerDownError from error
        return False
    alert.state, alert.sent_at, alert.error = Alert.State.SENT, timezone.now(), ""
    _close(alert, f"{alert.get_kind_display()}: mail sent to {', '.join(recipients)}")
    return True


def _is_server_down(error: Exception) -> bool:
    if isinstance(error, smtplib.SMTPException):  # an OSError too, even for a refused recipient
        return isinstance(
            error,
            smtplib.SMTPServerDisconnected
            | smtplib.SMTPConnectError
            | smtplib.SMTPHeloError
            | smtplib.SMTPAuthenticationError,
        )
    return isinstance(error, OSError)


def _failed(alert: Alert, error: Exception) -> None:
    now = timezone.now()
    alert.error = f"The mail could not be sent: {error or type(error).__name__}"[:500]
    logger.warning("Alert %s: %s", alert.pk, alert.error)
    if now - alert.created_at >= GIVE_UP_AFTER:
        alert.state = Alert.State.FAILED
        _close(alert, f"Given up. {alert.error}")
        return
    wait = min(RETRY_BASE * 2 ** min(alert.attempts - 1, 10), RETRY_MAX)
    alert.next_attempt_at = now + wait
    alert.save()


@transaction.atomic
def _close(alert: Alert, text: str) -> None:
    if alert.job is not None:
        # The job before its alert, as in `recording`: the other way round they could deadlock.
        BulkWriteJob.objects.select_for_update().get(pk=alert.job.pk)
    alert.next_attempt_at = None
    alert.save()
    if alert.job is not None:
        JobEvent.objects.note(alert.job.pk, JobEvent.Kind.ALERT, text)


def retry(alert: Alert) -> None:
    """Try an alert again at once, also one that was given up or had nobody to go to.

    One that some worker is sending right now is left to it.
    """
    now = timezone.now()
    free = is_free(now, Alert.LONGEST_LEASE)
    Alert.objects.filter(free, pk=alert.pk).exclude(state=Alert.State.SENT).update(
        state=Alert.State.PENDING, next_attempt_at=now, lease_until=None
    )
