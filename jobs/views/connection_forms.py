"""The forms of a connection: add, change, test, pause."""

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters, sensitive_variables
from django.views.decorators.http import require_http_methods, require_POST

from jobs.forms.connections import SECRETS, ConnectionForm, PauseForm
from jobs.models import Connection
from jobs.services import connecting
from jobs.views.access import staff_required


@staff_required
def connection_add(request: HttpRequest) -> HttpResponse:
    return _connection_form(request, Connection())


@staff_required
def connection_edit(request: HttpRequest, pk: int) -> HttpResponse:
    return _connection_form(request, get_object_or_404(Connection, pk=pk))


@never_cache
@sensitive_post_parameters(*SECRETS)
@sensitive_variables("form")
@require_http_methods(["GET", "HEAD", "POST"])
def _connection_form(request: HttpRequest, connection: Connection) -> HttpResponse:
    is_new = connection.pk is None
    form = ConnectionForm(request.POST or None, instance=connection)
    if request.method == "POST" and form.is_valid() and form.store():
        messages.success(request, f"{connection.name} was {'added' if is_new else 'changed'}.")
        if "test" in request.POST:
            _say_result(request, connection)
        return redirect("jobs:connections")
    context = {
        "form": form,
        "is_new": is_new,
        # The form has written what was typed into the instance, the refused name too.
        "custom_label": Connection.DataCenter.CUSTOM.label,
        "name": "" if is_new else Connection.objects.values_list("name").get(pk=connection.pk)[0],
    }
    # An answer of 422 tells htmx and people alike that nothing was stored.
    status = 422 if form.errors else 200
    return render(request, "connections/connection_form.html", context, status=status)


@staff_required
@require_POST
def connection_test(request: HttpRequest, pk: int) -> HttpResponse:
    _say_result(request, get_object_or_404(Connection, pk=pk))
    return redirect("jobs:connections")


def _say_result(request: HttpRequest, connection: Connection) -> None:
    result = connecting.test(connection)
    text = f"{connection.name}: {result.message} {result.resolution}".strip()
    (messages.success if result.ok else messages.error)(request, text)


@staff_required
@require_POST
def connection_pause(request: HttpRequest, pk: int) -> HttpResponse:
    """Pause or resume, as said: a form that is sent twice does the same twice."""
    connection = get_object_or_404(Connection, pk=pk)
    form = PauseForm(request.POST)
    if not form.is_valid():
        messages.error(request, "Nothing was changed: neither pause nor resume was asked for.")
        return redirect("jobs:connections")
    paused = form.cleaned_data["paused"]
    connecting.set_paused(connection, paused)
    messages.success(
        request,
        f"{connection.name} is paused: nothing is asked about its jobs."
        if paused
        else f"{connection.name} is resumed: its jobs are asked about again.",
    )
    return redirect("jobs:connections")
