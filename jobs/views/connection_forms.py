"""The forms of a connection: add, change, sign in to Zoho, test, pause."""

import secrets
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_not_required
from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters, sensitive_variables
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from jobs.forms.connections import (
    SECRETS,
    AddConnectionForm,
    ConnectionForm,
    EditConnectionForm,
    PauseForm,
    SignInForm,
)
from jobs.models import Connection, SignIn, UndecryptableError
from jobs.services.connections import connecting, signing_in, testing
from jobs.services.connections.access import CustomHostsForbiddenError, region_of
from jobs.services.connections.connection_states import Key, state_of
from jobs.services.connections.testing import TestResult
from jobs.services.limits import credits
from jobs.services.observing.waiting import moment
from jobs.views.access import staff_required
from jobs.views.requests import HtmxHttpRequest
from jobs.zoho import consent
from jobs.zoho.errors import ZohoError, ZohoThrottledError, ZohoUnavailableError
from jobs.zoho.regions import CUSTOM, Region

# What a session keeps: a random value that its sign-ins are bound to, and how the last one ended.
SESSION_SECRET, SESSION_VERDICT = "zoho_sign_in", "zoho_verdict"
NOT_USABLE = (CustomHostsForbiddenError, UndecryptableError, ValueError)


@staff_required
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def connection_add(request: HttpRequest) -> HttpResponse:
    form = AddConnectionForm(request.POST or None)
    if request.method == "POST" and form.is_valid() and form.store():
        messages.success(request, f"{form.instance.name} was added. Now sign in to Zoho.")
        return redirect("jobs:connection_sign_in", form.instance.pk)
    return _form_page(request, form)


@staff_required
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def connection_edit(request: HttpRequest, pk: int) -> HttpResponse:
    connection = get_object_or_404(Connection, pk=pk)
    form = EditConnectionForm(request.POST or None, instance=connection)
    if request.method == "POST" and form.is_valid() and form.store():
        messages.success(request, f"{connection.name} was changed.")
        if form.changes_budget:
            _say_whether_credits_are_left(request, connection)
        if form.loses_sign_in:
            return redirect("jobs:connection_sign_in", connection.pk)
        return redirect("jobs:connection", connection.pk)
    return _form_page(request, form, stored=form.stored)


def _say_whether_credits_are_left(request: HttpRequest, connection: Connection) -> None:
    now = timezone.now()
    stands = credits.credits_of(connection, now)
    if stands.used < stands.budget:
        return
    until = moment(credits.free_again_at(connection, stands, now), now)
    messages.warning(
        request,
        f"{stands.used:,} API credits were used in the last 24 hours, and {connection.name} may "
        f"use {stands.budget:,} now: nothing is asked about its jobs until some are free again "
        f"{until}.",
    )


def _form_page(
    request: HttpRequest, form: ConnectionForm, *, stored: Connection | None = None
) -> HttpResponse:
    context = {
        "form": form,
        # As it is stored: the form has written what was typed into its instance.
        "stored": stored,
        "custom_label": Connection.DataCenter.CUSTOM.label,
    }
    # An answer of 422 tells htmx and people alike that nothing was stored.
    status = 422 if form.errors else 200
    return render(request, "connections/connection_form.html", context, status=status)


@staff_required
@never_cache
@sensitive_post_parameters(*SECRETS)
@sensitive_variables()
@require_http_methods(["GET", "HEAD", "POST"])
def connection_sign_in(request: HtmxHttpRequest, pk: int) -> HttpResponse:
    """A walk from the API console to a connection that works."""
    connection = get_object_or_404(Connection, pk=pk)
    try:
        region = region_of(connection)
    except NOT_USABLE as error:
        messages.error(request, f"{connection.name}: {error}")
        return redirect("jobs:connection_edit", connection.pk)
    form = SignInForm(request.POST or None, connection=connection)
    if request.method == "POST" and form.is_valid():
        request.session.pop(SESSION_VERDICT, None)
        if form.cleaned_data["way"] == SignInForm.CONSENT:
            return redirect(_begin(request, connection, form))
        result = _sign_in(connection, form)
        if result.ok:
            return _signed_in(request, connection)
        form.add_error(None, _sentences(result))
    return _sign_in_page(request, connection, region, form)


@sensitive_variables()
def _begin(request: HtmxHttpRequest, connection: Connection, form: SignInForm) -> str:
    secret = request.session.setdefault(SESSION_SECRET, secrets.token_urlsafe(32))
    return signing_in.begin(
        connection,
        form.client,
        user=request.user,
        session_secret=secret,
        redirect_uri=_redirect_uri(),
    )


@sensitive_variables()
def _sign_in(connection: Connection, form: SignInForm) -> TestResult:
    given = form.cleaned_data
    try:
        if given["way"] == SignInForm.GRANT_CODE:
            signing_in.with_grant_code(connection, form.client, given["grant_code"])
        else:
            signing_in.with_refresh_token(connection, form.client, given["refresh_token"])
    except ZohoError as error:
        return _refusal(error)
    except (signing_in.MovedError, signing_in.UnprovenError) as error:
        return TestResult(False, str(error))
    return TestResult(True, "")


def _refusal(error: ZohoError) -> TestResult:
    cure = f"Nothing was stored. {signing_in.cure_of(error)}"
    if isinstance(error, ZohoThrottledError):
        return replace(testing.throttled(error), resolution=cure)
    is_temporary = isinstance(error, ZohoUnavailableError)
    return TestResult(False, str(error), cure, is_temporary=is_temporary)


def _signed_in(request: HttpRequest, connection: Connection) -> HttpResponse:
    request.session.pop(SESSION_VERDICT, None)
    _say_result(request, Connection.objects.get(pk=connection.pk))
    return redirect("jobs:connection", connection.pk)


def _sign_in_page(
    request: HttpRequest, connection: Connection, region: Region, form: SignInForm
) -> HttpResponse:
    here = request.build_absolute_uri("/").rstrip("/")
    context = {
        "connection": connection,
        "form": form,
        "is_custom": region.key == CUSTOM,
        "region": region,
        "console_url": consent.console_url(region),
        "scope": consent.SCOPE,
        "site_url": settings.SITE_URL,
        "redirect_uri": _redirect_uri(),
        "is_https": settings.SITE_URL.startswith("https://"),
        "page_elsewhere": ""
        if here == settings.SITE_URL
        else settings.SITE_URL + request.get_full_path(),
    }
    status = 422 if form.errors else 200
    response = render(request, "connections/sign_in.html", context, status=status)
    # Browsers apply form-action to where a form's answer redirects as well, and Zoho sends whoever
    # is signed in at another data centre on to that one: it says so once they are back.
    accounts = dict.fromkeys([region.accounts_url, *consent.accounts_urls()])
    response._csp_update = {"form-action": list(accounts)}  # type: ignore[attr-defined]
    return response


def _redirect_uri() -> str:
    return settings.SITE_URL + reverse("jobs:connection_signed_in")


@login_not_required  # or the code would go into the address of the sign-in page
@never_cache
@require_GET
@sensitive_variables()
def connection_signed_in(request: HtmxHttpRequest) -> HttpResponse:
    """Where Zoho's consent page sends the browser.

    Whatever it brings, the answer is a redirect, so that no page, no Referer and no request of a
    page's scripts ever names the code.
    """
    brought = _take_query(request)
    if not request.user.is_authenticated:
        return redirect_to_login(request.path)
    if not request.user.is_staff:
        raise PermissionDenied
    if not brought:
        context = {"verdict": request.session.get(SESSION_VERDICT)}
        return render(request, "connections/signed_in.html", context)
    secret = request.session.get(SESSION_SECRET, "")
    try:
        sign_in = signing_in.take(
            brought.get("state", ""), user=request.user, session_secret=secret
        )
    except signing_in.StateRefusedError as refusal:
        return _not_signed_in(
            request,
            None,
            "This sign-in is not one that was begun here",
            f"{refusal} Nothing was exchanged with Zoho, and no connection was changed.",
            "Begin again on the sign-in page of the connection, and come back from Zoho in the "
            "same browser within 15 minutes.",
        )
    return _finish(request, sign_in, brought)


def _take_query(request: HttpRequest) -> QueryDict:
    """The query, taken out of the request: a report of an error shows what is left in there."""
    brought = request.GET
    request.GET = QueryDict()
    for name in ("QUERY_STRING", "RAW_URI", "REQUEST_URI"):
        request.META.pop(name, None)
    return brought


@sensitive_variables()
def _finish(request: HttpRequest, sign_in: SignIn, brought: QueryDict) -> HttpResponse:
    connection = sign_in.connection
    code = brought.get("code", "")
    if not code or "error" in brought:
        return _not_signed_in(request, connection, *_declined(brought.get("error", "")))
    try:
        signing_in.finish(
            sign_in,
            code,
            redirect_uri=_redirect_uri(),
            location=brought.get("location", ""),
            accounts_server=brought.get("accounts-server", ""),
        )
    except signing_in.ElsewhereError as error:
        return _not_signed_in(
            request,
            connection,
            "You signed in at another data centre",
            f"Zoho sent you back from {error.place}, but {connection.name} is a connection to "
            f"“{connection.get_data_center_display()}”. Nothing was exchanged with Zoho, and the "
            "connection was not changed.",
            "If your org is at the data centre that you came from, edit the connection and choose "
            "that one. If not, sign out of Zoho in this browser, then sign in again here as a "
            "user of the connection's data centre.",
        )
    except consent.ForeignServerError:
        return _not_signed_in(
            request,
            connection,
            "This answer may not be Zoho's",
            "It names an accounts server that is none of Zoho's: somebody may be after the "
            "connection's sign-in. Nothing was sent to that server, and the connection was not "
            "changed.",
            "Begin again from the sign-in page, and follow no link from elsewhere. If it happens "
            "again, do not sign in, and tell whoever looks after your network.",
            edits=False,
        )
    except ZohoError as error:
        result = _refusal(error)
        title = "Zoho did not accept the sign-in"
        if result.is_temporary:
            title = "The sign-in could not be finished"
        return _not_signed_in(request, connection, title, _sentences(result), "")
    except signing_in.MovedError as error:
        return _not_signed_in(
            request, connection, "The connection was changed meanwhile", str(error), ""
        )
    except NOT_USABLE as error:
        return _not_signed_in(
            request, connection, "The connection cannot be used", str(error), "Edit the connection."
        )
    return _signed_in(request, connection)


def _declined(error: str) -> tuple[str, str, str]:
    if error == "access_denied":
        return (
            "Consent was refused",
            "On Zoho's page, the access was not allowed. The connection was not changed.",
            "Sign in again and choose “Accept”, as a user who may import into Zoho CRM.",
        )
    known = error if error.isascii() and error.replace("_", "").isalpha() else ""
    return (
        "Zoho gave no code",
        f"Zoho's consent page sent an error{f' ({known[:40]})' if known else ''}. The connection "
        "was not changed.",
        "Compare the client, its redirect address and the scope in the API console with what the "
        "sign-in page shows.",
    )


def _not_signed_in(
    request: HttpRequest,
    connection: Connection | None,
    title: str,
    text: str,
    what_to_do: str,
    *,
    edits: bool = True,
) -> HttpResponse:
    """Say why a sign-in came to nothing. `edits`: a change of the connection may be what helps."""
    verdict: Mapping[str, Any] = {
        "title": title,
        "text": text,
        "what_to_do": what_to_do,
        "connection": connection.pk if connection else None,
        "edits": edits,
    }
    request.session[SESSION_VERDICT] = verdict
    return redirect("jobs:connection_signed_in")


@staff_required
@require_POST
def connection_test(request: HttpRequest, pk: int) -> HttpResponse:
    connection = get_object_or_404(Connection, pk=pk)
    _say_result(request, connection)
    return redirect("jobs:connection", connection.pk)


def _say_result(request: HttpRequest, connection: Connection) -> None:
    result = testing.test(connection)
    level = messages.ERROR
    if result.ok or result.is_temporary:
        is_well = result.ok and not result.is_doubtful
        level = messages.SUCCESS if is_well else messages.WARNING
    state = state_of(Connection.objects.get(pk=connection.pk), timezone.now())
    said = _sentences(result)
    if not result.ok and result.message in state.text:
        # What is wrong and what to do stands on the connection's page, which comes next.
        needs = "it needs you" if state.key == Key.BLOCKED else "no usable answer came"
        said = f"tested, and {needs}; see below."
    messages.add_message(request, level, f"{connection.name}: {said}")


def _sentences(result: TestResult) -> str:
    wait = ""
    if result.until is not None:
        wait = f"Zoho can be asked again {moment(result.until, timezone.now())}."
    return " ".join(filter(None, (result.message, wait, result.resolution)))


@staff_required
@require_POST
def connection_pause(request: HttpRequest, pk: int) -> HttpResponse:
    """Pause or resume, as said: a form that is sent twice does the same twice."""
    connection = get_object_or_404(Connection, pk=pk)
    form = PauseForm(request.POST)
    if not form.is_valid():
        messages.error(request, "Nothing was changed: neither pause nor resume was asked for.")
        return redirect("jobs:connection", connection.pk)
    paused = form.cleaned_data["paused"]
    connecting.set_paused(connection, paused)
    messages.success(
        request,
        f"{connection.name} is paused: nothing is asked about its jobs."
        if paused
        else f"{connection.name} is resumed: its jobs are asked about again.",
    )
    return redirect("jobs:connection", connection.pk)
