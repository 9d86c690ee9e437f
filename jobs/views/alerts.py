"""The alerts: what was sent, to whom, when, what failed and is being retried."""

import logging
from dataclasses import dataclass
from datetime import timedelta

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.views.decorators.http import require_POST, require_safe
from django.views.decorators.vary import vary_on_headers

from jobs.forms.alerts import AlertFilter, TestMailForm
from jobs.models import Alert
from jobs.services import alerting, mails, wording
from jobs.views.requests import HtmxHttpRequest, way_back

logger = logging.getLogger(__name__)

PAGE_SIZE = 50
# Beat has alerts delivered every few seconds; this late, it or the worker is not running.
OVERDUE_AFTER = timedelta(seconds=30)


@dataclass(frozen=True, slots=True)
class AlertRow:
    """An alert as the list shows it; `told` are those who were told, or are to be."""

    alert: Alert
    told: list[str]
    is_overdue: bool

    @property
    def text(self) -> str:
        """What happened, without the kind's own words, which stand before it."""
        return wording.without_head(self.alert.text, self.alert.get_kind_display())

    @property
    def can_be_tried(self) -> bool:
        return self.alert.state != Alert.State.SENT


@require_safe
@vary_on_headers("HX-Request")
def alert_list(request: HtmxHttpRequest) -> HttpResponse:
    chosen = AlertFilter(request.GET)
    ignored = [] if chosen.is_valid() else list(chosen.errors)
    filters = {name: value for name, value in chosen.cleaned_data.items() if value}
    alerts = Alert.objects.filter(**filters).select_related("connection", "job__connection")
    page = Paginator(alerts, PAGE_SIZE).get_page(request.GET.get("page"))
    context = {
        "page": page,
        "rows": [_row(alert) for alert in page],
        "chosen": AlertFilter(filters),
        "filters": filters,
        "ignored": ignored,
        "is_live": Alert.objects.pending().exists(),
        "address": request.get_full_path(),
    }
    if request.htmx:
        return render(request, "alerts/_alert_table.html", context)
    context["mails_end"] = mails.where_mails_end()
    recipient = getattr(request.user, "email", "")
    context["test_mail_form"] = TestMailForm(initial={"recipient": recipient})
    return render(request, "alerts/alert_list.html", context)


def _row(alert: Alert) -> AlertRow:
    due = alert.next_attempt_at
    return AlertRow(
        alert,
        told=alert.recipients or alerting.recipients_of(alert),
        is_overdue=due is not None and due < timezone.now() - OVERDUE_AFTER,
    )


@require_POST
def alert_retry(request: HttpRequest, pk: int) -> HttpResponse:
    alert = get_object_or_404(Alert, pk=pk)
    if alert.state == Alert.State.SENT:
        messages.info(request, "This alert has been sent already.")
    else:
        alerting.retry(alert)
        messages.success(request, "The alert goes out within seconds.")
    return redirect(way_back(request, "jobs:alerts"))


@require_POST
def test_mail(request: HttpRequest) -> HttpResponse:
    form = TestMailForm(request.POST)
    if not form.is_valid():
        messages.error(
            request, f"No test mail was sent. {' '.join(map(str, form.errors['recipient']))}"
        )
        return redirect(way_back(request, "jobs:alerts"))
    recipient = form.cleaned_data["recipient"]
    try:
        mails.send_test_mail(recipient)
    except (OSError, ValueError) as error:  # what smtplib, sockets and Django's mail raise
        logger.warning("A test mail could not be sent: %s", error)
        messages.error(
            request,
            f"The test mail could not be sent: {error or type(error).__name__}. Check EMAIL_URL "
            "and that the mail server can be reached from here.",
        )
        return redirect(way_back(request, "jobs:alerts"))
    end = mails.where_mails_end()
    if end:
        messages.warning(
            request,
            f"Nobody receives the test mail: no mail server is configured, so mails are {end}. "
            "Set EMAIL_URL.",
        )
    else:
        messages.success(request, f"The mail server took the test mail for {recipient}.")
    return redirect(way_back(request, "jobs:alerts"))
