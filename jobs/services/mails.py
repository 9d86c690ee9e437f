"""The mails: what an alert says, in text and HTML, and where mails end up."""

from collections.abc import Sequence

from django.conf import settings
from django.core.mail import EmailMultiAlternatives, get_connection
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import timezone

from jobs.models import Alert, BulkWriteJob, Outcome, Result, SkipReason
from jobs.services import job_story, wording
from jobs.services.connections import connection_states
from jobs.services.observing import long_waits
from jobs.services.outcomes import FAILED_STATUSES, counts_of
from jobs.zoho.errors import ErrorHelp, describe
from jobs.zoho.payloads import normalise_status

REASONS_TOLD = 3
# Codes of a resource that say no more than its status does.
CODES_WITHOUT_NEWS = {*FAILED_STATUSES, "SKIPPED", "COMPLETED", "SUCCESS", "ADDED", "INPROGRESS"}

# A mail that nobody wrote wants no answer from a machine.
NO_REPLIES = {"Auto-Submitted": "auto-generated", "X-Auto-Response-Suppress": "All"}
MAILS_TO_NOBODY = {
    "django.core.mail.backends.console.EmailBackend": "printed by the worker",
    "django.core.mail.backends.dummy.EmailBackend": "thrown away",
}


def where_mails_end() -> str:
    """What becomes of mails in place of being sent, such as "written to a file"; "" if they are."""
    if settings.EMAIL_BACKEND == "django.core.mail.backends.filebased.EmailBackend":
        return f"written as files to {settings.EMAIL_FILE_PATH}"
    return MAILS_TO_NOBODY.get(settings.EMAIL_BACKEND, "")


def compose(alert: Alert, recipients: Sequence[str]) -> EmailMultiAlternatives:
    """The mail of an alert, text and HTML: verdict, counts, three top reasons, who, a link."""
    job = alert.job
    verdict = wording.verdict_sentence(job) if job else ""
    page = job.get_absolute_url() if job else reverse("jobs:connections")
    context = {
        "alert": alert,
        "job": job,
        "connection": alert.connection,
        "site_url": settings.SITE_URL,
        "link": settings.SITE_URL + page,
        "verdict": verdict,
        **_story(alert, verdict),
        "counts": counts_of(job) if job else None,
        "skip_percent": wording.percent(job.skip_ratio) if job else "",
        "parts": _parts(job) if job else [],
        "reasons": top_reasons(job, REASONS_TOLD) if job else [],
        "more_reasons": max(_reason_count(job) - REASONS_TOLD, 0) if job else 0,
    }
    # A line break in a name must not become a header of its own.
    subject = " ".join(_subject(alert).split())
    message = EmailMultiAlternatives(
        subject=subject,
        body=render_to_string("mail/alert.txt", context).strip() + "\n",
        to=list(recipients),
        headers={"Message-ID": alert.message_id, **NO_REPLIES},
    )
    message.attach_alternative(render_to_string("mail/alert.html", context), "text/html")
    return message


def _story(alert: Alert, verdict: str) -> dict[str, object]:
    """What a mail says before its numbers: a headline, further sentences, what to do.

    A mail can leave long after its fact was seen; where the job has moved on, it says so.
    """
    job, connection, kind = alert.job, alert.connection, alert.kind
    tone, advice, further = "bad", "", [alert.text]
    if job is None and kind == Alert.Kind.RECOVERED:
        headline, tone = f"Recovered: Bulkwatch reads the jobs of {connection.name} again.", "good"
    elif job is None and long_waits.is_about_wait(alert):
        headline = f"Bulkwatch asks nothing about the jobs of {connection.name} for a while."
        state = connection_states.state_of(connection, timezone.now())
        if state.key == connection_states.Key.WAITING:
            advice = state.what_to_do
        else:
            further.append("Meanwhile that is over.")
    elif job is None and kind == Alert.Kind.UNREACHABLE:
        headline = f"Zoho gives no answer about the jobs of {connection.name}."
        advice = (connection.last_error or {}).get("resolution") or ""
        if connection.unanswered_since is None:
            further.append("Meanwhile Zoho answers again.")
    elif job is None:
        headline = f"Bulkwatch cannot read the jobs of {connection.name}: it needs you."
        advice = (connection.last_error or {}).get("resolution") or ""
        if connection.blocked_at is None:
            further.append("Meanwhile Zoho accepts the sign-in again.")
    elif kind in (Alert.Kind.BLOCKED, Alert.Kind.UNREACHABLE):
        headline = wording.refusal_sentence(job)
        if kind == Alert.Kind.UNREACHABLE:
            headline = "Zoho gives no answer about this job."
        advice = (job.poll_error or {}).get("resolution") or ""
        if job.last_changed_at is not None:
            further.append(f"Last seen: {verdict}")
    elif kind == Alert.Kind.RECOVERED:
        headline, tone, further = f"Recovered. {alert.text}", "good", [verdict]
    elif kind == Alert.Kind.STUCK and job.outcome != Outcome.STUCK:
        headline, further = f"Stuck: {alert.text}", [f"By now: {verdict}"]
    elif kind == Alert.Kind.NOTHING_IMPORTED and alert.text != verdict:
        headline, further = alert.text, [f"By now: {verdict}"]
    else:
        headline = verdict
        rest = alert.text.removeprefix(verdict).strip()
        further = [rest] if rest and kind != Alert.Kind.STUCK else []
        causes = _causes(job)
        further += [f"{name}: {code}. {help_.meaning}" for name, code, help_ in causes]
        advice = " ".join(dict.fromkeys(help_.resolution for _, _, help_ in causes))
    about = "this job or its connection" if job is not None else "the connection"
    footer = f"You get this mail because you are named for alerts about {about} {connection.name}."
    return {
        "headline": headline,
        "further": further,
        "advice": advice,
        "tone": tone,
        "footer": footer,
    }


def _causes(job: BulkWriteJob) -> list[tuple[str, str, ErrorHelp]]:
    """The resources that ended badly and Zoho named a code for, with what the code means."""
    return [
        (str(resource), resource.code, describe(resource.code))
        for resource in job.resources.all()
        if (resource.status in FAILED_STATUSES or resource.status == "SKIPPED")
        and resource.code
        and normalise_status(resource.code) not in CODES_WITHOUT_NEWS
    ]


def _parts(job: BulkWriteJob) -> list[dict[str, object]]:
    """The resources of a job that has several, each with its own counts."""
    resources = list(job.resources.all())
    if len(resources) < 2:
        return []
    return [
        {
            "name": str(resource),
            "file_name": resource.file_name,
            "status": resource.status_raw,
            "counts": counts_of(resource),
        }
        for resource in resources
    ]


def _subject(alert: Alert) -> str:
    job = alert.job
    if job is None:
        return f"[Bulkwatch] {alert.get_kind_display()}: {alert.connection.name}"
    what = alert.get_kind_display()
    if alert.kind == Alert.Kind.SKIP_THRESHOLD:
        what = f"{wording.percent(job.skip_ratio)} skipped"
    elif alert.kind == Alert.Kind.BLOCKED and job.is_unknown_to_zoho:
        what = "Unknown to Zoho"
    named = " · ".join(
        dict.fromkeys(part for part in (job.modules, job.label or job.file_names) if part)
    )
    return f"[Bulkwatch] {what}: {named or job.zoho_job_id}"


def _reason_count(job: BulkWriteJob) -> int:
    return SkipReason.objects.filter(file__result__job=job).count()


def top_reasons(job: BulkWriteJob, number: int) -> list[job_story.ReasonRow]:
    """The reasons that left most rows out, without the rows' values.

    A mail is read and kept where nobody can delete it, unlike a result and what is shown of it.
    """
    result = Result.objects.filter(job=job).prefetch_related("files").first()
    resources = list(job.resources.prefetch_related("field_mappings"))
    files = job_story.imported_files(job, result, resources)
    found = job_story.skip_reasons(result, files, number)
    for row in found:
        if row.reason.facts:
            row.reason.facts = row.reason.facts | {"values": []}
    return found


def send_test_mail(recipient: str) -> None:
    """Send a mail that says mails arrive. Raises what the mail server's refusal raises."""
    message = EmailMultiAlternatives(
        subject="[Bulkwatch] Test mail",
        body=(
            "This is a test mail from Bulkwatch. Alerts about failed and skipped imports will "
            f"arrive the same way.\n\n{settings.SITE_URL}/\n"
        ),
        to=[recipient],
        headers=NO_REPLIES,
        connection=get_connection(fail_silently=False),
    )
    message.send()
