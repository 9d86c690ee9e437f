"""What the pages' templates are written with: icons, chips, moments, numbers, bars."""

import json
from collections.abc import Iterable
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any

from django import template
from django.db.models import QuerySet
from django.utils import timezone
from django.utils.formats import number_format
from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe
from lucide.templatetags.lucide import lucide

from jobs import charts
from jobs.models import Alert, BulkWriteJob, Connection, Outcome, Resource, Result
from jobs.models.job import CountsMixin
from jobs.services import outcomes, wording
from jobs.services.connections.connection_states import ConnectionState, Key
from jobs.services.observing import waiting
from jobs.services.outcomes import Counts
from jobs.services.reimport.report import Report

register = template.Library()

NOTHING = "–"  # noqa: RUF001 - a dash, as people write what is not there
ALERTS_LOOKED_AT = 200

OUTCOME_ICONS = {
    Outcome.RUNNING: "loader-circle",
    Outcome.STUCK: "hourglass",
    Outcome.IMPORTED: "circle-check",
    Outcome.PARTIAL: "triangle-alert",
    Outcome.NOTHING_IMPORTED: "circle-slash",
    Outcome.SKIPPED: "skip-forward",
    Outcome.FAILED: "circle-x",
    Outcome.UNKNOWN: "circle-question-mark",
}
# COMPLETED is no good news by itself: such a job may have written nothing.
STATUS_LOOKS = {
    "ADDED": ("neutral", "clock"),
    "INPROGRESS": ("running", "loader-circle"),
    "COMPLETED": ("neutral", "check"),
    "FAILED": ("bad", "circle-x"),
    "SKIPPED": ("bad", "skip-forward"),
}
ALERT_LOOKS = {
    Alert.State.PENDING: ("running", "clock"),
    Alert.State.SENT: ("good", "check"),
    Alert.State.FAILED: ("bad", "circle-x"),
    Alert.State.NO_RECIPIENT: ("warn", "user"),
}
RESULT_LOOKS = {
    Result.State.PENDING: ("running", "loader-circle"),
    Result.State.ARCHIVED: ("good", "check"),
    Result.State.EXPIRED: ("warn", "clock"),
    Result.State.REFUSED: ("bad", "ban"),
    Result.State.FAILED: ("bad", "circle-x"),
    Result.State.DELETED: ("neutral", "trash-2"),
}
CONNECTION_ICONS = {
    Key.BLOCKED: "circle-alert",
    Key.UNSIGNED: "log-in",
    Key.PAUSED: "pause",
    Key.WAITING: "hourglass",
    Key.LATE: "eye-off",
    Key.SILENT: "eye-off",
    Key.SLOWED: "hourglass",
    Key.UNPOLLED: "clock",
    Key.IDLE: "clock",
    Key.WORKING: "check",
}
MESSAGE_TONES = {
    "debug": "neutral",
    "info": "running",
    "success": "good",
    "warning": "warn",
    "error": "bad",
}


@lru_cache(maxsize=256)
def _icon(name: str, size: int) -> str:
    return str(lucide(name, size=size, **{"class": "icon", "aria-hidden": "true"}))


@register.simple_tag
def icon(name: str, size: int = 16) -> SafeString:
    """A Lucide icon as inline SVG, for sighted readers only: a word must stand beside it."""
    return mark_safe(_icon(name, size))  # noqa: S308 - made of Lucide's own drawings


@register.simple_tag
def chip(tone: str, icon_name: str, text: object) -> SafeString:
    """A word with its icon on the colour of a tone."""
    return format_html('<span class="chip chip-{}">{}{}</span>', tone, icon(icon_name, 14), text)


@register.filter
def tone(job: BulkWriteJob) -> str:
    """The colour's name of a job: good, warn, bad, neutral or running."""
    if job.outcome == Outcome.RUNNING:
        return "running"
    return outcomes.tone(job.outcome, needs_attention=job.needs_attention)


@register.filter
def pill_tone(outcome: str) -> str:
    """The colour's name of an outcome where no job is at hand."""
    if outcome == Outcome.RUNNING:
        return "running"
    return outcomes.tone(outcome, needs_attention=False)


@register.filter
def outcome_icon(outcome: str) -> str:
    return OUTCOME_ICONS[Outcome(outcome)] if outcome in Outcome.values else "circle-dot"


@register.filter
def job_icon(job: BulkWriteJob) -> str:
    """The icon of a job's outcome; no tick for what needs somebody."""
    if job.outcome == Outcome.IMPORTED and job.needs_attention:
        return "triangle-alert"
    return outcome_icon(job.outcome)


@register.simple_tag
def outcome_chip(job: BulkWriteJob) -> SafeString:
    """The verdict on a job in one or two words, and whether Zoho refuses to say more."""
    shown = chip(tone(job), job_icon(job), job.get_outcome_display())
    if job.poll_state != BulkWriteJob.PollState.BLOCKED:
        return shown
    refusal = refusal_chip(job)
    return refusal if job.outcome == Outcome.UNKNOWN else format_html("{} {}", shown, refusal)


@register.simple_tag
def refusal_chip(job: BulkWriteJob) -> SafeString:
    """That Zoho says nothing about a job: it knows none of this id, or refuses."""
    if job.is_unknown_to_zoho:
        return chip("bad", "circle-question-mark", "Unknown to Zoho")
    return chip("bad", "eye-off", "Cannot be read")


@register.filter
def error_in_words(error: dict[str, Any]) -> str:
    """What a stored error means, then its code and Zoho's words."""
    return wording.error_in_words(error.get("code"), error.get("message"))


@register.simple_tag
def status_chip(status: str, status_raw: str) -> SafeString:
    """Zoho's own word for a status, as Zoho spelled it."""
    look, icon_name = STATUS_LOOKS.get(status, ("neutral", "circle-dot"))
    return chip(look, icon_name, status_raw or status or "no status")


@register.simple_tag
def alert_chip(alert: Alert) -> SafeString:
    look, icon_name = ALERT_LOOKS.get(Alert.State(alert.state), ("neutral", "bell"))
    return chip(look, icon_name, alert.get_state_display())


@register.simple_tag
def result_chip(result: Result) -> SafeString:
    look, icon_name = RESULT_LOOKS.get(Result.State(result.state), ("neutral", "file-archive"))
    return chip(look, icon_name, result.get_state_display())


@register.filter
def state_icon(state: ConnectionState) -> str:
    return CONNECTION_ICONS[state.key]


@register.simple_tag
def connection_chip(state: ConnectionState) -> SafeString:
    return chip(state.tone, state_icon(state), state.word)


@register.simple_tag
def not_asked(connection: Connection) -> str:
    """Why nothing is asked about its jobs now, for a chip; empty where it may be asked."""
    return waiting.why_not_in_a_word(connection, timezone.now())


@register.filter
def message_tone(level_tag: str) -> str:
    return MESSAGE_TONES.get(level_tag, "neutral")


@register.filter
def verdict(job: BulkWriteJob) -> str:
    return wording.verdict_sentence(job)


@register.filter
def verdict_rest(job: BulkWriteJob) -> str:
    """The verdict's sentence without the outcome's own words, where a chip says those."""
    return wording.without_head(wording.verdict_sentence(job), job.get_outcome_display())


@register.filter
def match_tone(report: dict[str, Any]) -> str:
    """The colour's name of an attached file's report: good, warn or bad."""
    return Report(**report).tone


@register.filter
def num(value: int | None) -> str:
    """A number with thousands parted, an absent one as a dash: absent is not 0."""
    return NOTHING if value is None else number_format(value, use_l10n=True, force_grouping=True)


@register.filter
def short_num(value: int) -> str:
    """A round number in few characters, for the axis of a chart: 2.5 k."""
    for size, unit in ((1_000_000_000, "G"), (1_000_000, "M"), (1_000, "k")):
        if value >= size:
            return f"{value / size:.1f}".removesuffix(".0") + f" {unit}"
    return str(value)


@register.simple_tag
def ratio_bar(ratio: float | None) -> SafeString:
    """A small bar that is filled by a share of skipped rows; the number stands beside it."""
    width = round(charts.BAR_WIDTH * (ratio or 0), 1)
    return format_html(
        '<svg class="bar bar-small" viewBox="0 0 {} 10" preserveAspectRatio="none" '
        'aria-hidden="true"><rect class="rows-skipped" width="{}" height="10"></rect></svg>',
        str(charts.BAR_WIDTH),
        str(width),
    )


@register.simple_tag
def meter(share: float) -> SafeString:
    """A bar that is filled by what is used of something; the numbers stand beside it."""
    look = "bad" if share >= 1 else "warn" if share > 0.5 else "calm"
    width = round(charts.BAR_WIDTH * min(share, 1.0), 1)
    return format_html(
        '<svg class="bar" viewBox="0 0 {} 10" preserveAspectRatio="none" aria-hidden="true">'
        '<rect class="meter-{}" width="{}" height="10"></rect></svg>',
        str(charts.BAR_WIDTH),
        look,
        str(width),
    )


@register.filter
def interval(seconds: float) -> str:
    return wording.interval(seconds)


@register.filter
def times(ratio: float) -> str:
    return wording.times(ratio)


@register.filter
def percent(ratio: float | None) -> str:
    return wording.percent(ratio)


@register.filter
def counts(row: CountsMixin) -> Counts:
    return outcomes.counts_of(row)


def _in_words(span: timedelta) -> str:
    seconds = int(span.total_seconds())
    if seconds < 60:
        return f"{seconds} s"
    if seconds < 3600:
        return f"{seconds // 60} min"
    if seconds < 86_400:
        return f"{seconds // 3600} h"
    return f"{seconds // 86_400} d"


def relative(moment: datetime, now: datetime) -> str:
    """A moment as seen from now: "3 min ago", "in 12 s". `static/js/moments.js` says the same."""
    span = now - moment
    if abs(span) < timedelta(seconds=3):
        return "now"
    return f"{_in_words(span)} ago" if span > timedelta(0) else f"in {_in_words(-span)}"


@register.simple_tag
def ago(moment: datetime | None, nothing: str = "never") -> SafeString | str:
    """A moment relative to now, exact on hover and for machines; `nothing` where there is none."""
    if moment is None:
        return nothing
    local = timezone.localtime(moment)
    return format_html(
        '<time datetime="{}" title="{}" data-relative>{}</time>',
        moment.isoformat(),
        exact(local),
        relative(moment, timezone.now()),
    )


@register.simple_tag
def at(moment: datetime | None, nothing: str = "unknown") -> SafeString | str:
    """A moment as date and time of the installation's zone, exact on hover."""
    if moment is None:
        return nothing
    local = timezone.localtime(moment)
    return format_html(
        '<time datetime="{}" title="{}">{}</time>',
        moment.isoformat(),
        exact(local),
        f"{local.day} {local:%b %Y, %H:%M}",
    )


@register.simple_tag
def clock(moment: datetime) -> SafeString:
    """A moment to the second, for lists whose day is said elsewhere or does not matter."""
    local = timezone.localtime(moment)
    shown = f"{local:%H:%M:%S}"
    if local.date() != timezone.localdate():
        shown = f"{local.day} {local:%b}, {shown}"
    return format_html(
        '<time datetime="{}" title="{}">{}</time>', moment.isoformat(), exact(local), shown
    )


def exact(local: datetime) -> str:
    return f"{local:%Y-%m-%d %H:%M:%S} {local.tzname()}"


@register.filter
def duration(span: timedelta | None) -> str:
    """How long something lasted, in its two largest units."""
    if span is None:
        return NOTHING
    seconds = round(span.total_seconds())
    if seconds < 1:
        return "less than 1 s"
    days, rest = divmod(seconds, 86_400)
    hours, rest = divmod(rest, 3600)
    minutes, seconds = divmod(rest, 60)
    parts = [(days, "d"), (hours, "h"), (minutes, "min"), (seconds, "s")]
    first = next(number for number, (value, _) in enumerate(parts) if value)
    return " ".join(f"{value} {unit}" for value, unit in parts[first : first + 2] if value)


@register.inclusion_tag("jobs/_counts_bar.html")
def counts_bar(row: CountsMixin, *, has_ended: bool, size: str = "") -> dict[str, Any]:
    """A stacked bar of rows added, updated, skipped and unprocessed; the numbers stand beside."""
    return {
        "segments": charts.stack(counts(row), has_ended=has_ended),
        "width": charts.BAR_WIDTH,
        "size": size,
    }


@register.inclusion_tag("jobs/_counts_legend.html")
def counts_legend(row: CountsMixin, *, has_ended: bool) -> dict[str, Any]:
    """The numbers of a stacked bar, with their shares."""
    known = counts(row)
    rows = max(known.total or 0, known.accounted)
    parts = [
        ("added", "Added", known.added),
        ("updated", "Updated", known.updated),
        ("skipped", "Skipped", known.skipped),
    ]
    if has_ended and known.unprocessed:
        parts.append(("unprocessed", "Unprocessed", known.unprocessed))
    return {
        "parts": [
            (kind, label, number, number / rows if number is not None and rows else None)
            for kind, label, number in parts
        ],
        "total": known.total,
    }


@register.filter
def progress(row: CountsMixin) -> float | None:
    return charts.progress(counts(row))


@register.filter
def skip_ratio(row: Resource) -> float | None:
    return counts(row).skip_ratio


@register.simple_tag
def alerts_not_sent() -> int:
    """How many of the latest alerts have not gone out: waiting, or given up."""
    latest: QuerySet[Alert, str] = Alert.objects.order_by("-pk").values_list("state", flat=True)
    waiting = (Alert.State.PENDING, Alert.State.FAILED)
    return sum(state in waiting for state in latest[:ALERTS_LOOKED_AT])


@register.filter
def human_column(index: int | None) -> str:
    """A zero-based index of Zoho's as people count columns, with the index beside it."""
    return NOTHING if index is None else f"column {index + 1} (index {index})"


@register.filter
def as_json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)


@register.filter
def quoted(names: Iterable[str]) -> str:
    """Names one after the other, each in quotes: commas may stand in them."""
    return ", ".join(f"“{name}”" for name in names)
