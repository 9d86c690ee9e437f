"""The address that Zoho is to call when a job of a connection ends."""

from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_variables
from django.views.decorators.http import require_http_methods

from jobs.forms.callbacks import RegistersForm
from jobs.models import BulkWriteJob, Connection, UndecryptableError
from jobs.services.registering import callbacks
from jobs.views.access import staff_required


@staff_required
@never_cache
@sensitive_variables("address", "body", "context")
@require_http_methods(["GET", "HEAD", "POST"])
def connection_callback(request: HttpRequest, pk: int) -> HttpResponse:
    """Show the secret address and how it is used; a POST sets whether calls register ids."""
    connection = get_object_or_404(Connection, pk=pk)
    if request.method == "POST":
        form = RegistersForm(request.POST)
        if form.is_valid():
            registers = form.cleaned_data["registers"]
            callbacks.set_registers(connection, registers)
            messages.success(
                request,
                "Jobs that Zoho calls about are registered from now on."
                if registers
                else "Calls about jobs that are not registered are ignored from now on.",
            )
        else:
            messages.error(request, "Nothing was changed: neither on nor off was asked for.")
        return redirect("jobs:connection_callback", pk)
    callbacks.ensure_address(connection)
    try:
        address = callbacks.address_of(connection)
    except UndecryptableError:
        address = ""
    create_url, body = callbacks.create_call(connection, address)
    found = BulkWriteJob.objects.filter(
        connection=connection, found_by=BulkWriteJob.FoundBy.CALLBACK
    )
    context = {
        "connection": connection,
        "address": address,
        "create_url": create_url,
        "body": body,
        "unreachable": callbacks.why_unreachable(settings.SITE_URL),
        "is_stand_in": connection.data_center == Connection.DataCenter.CUSTOM,
        "found_total": found.count(),
        "is_full": callbacks.is_full_of_unconfirmed(connection),
        "most_unconfirmed": callbacks.MOST_UNCONFIRMED,
    }
    return render(request, "connections/callback.html", context)


@staff_required
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def connection_callback_rotate(request: HttpRequest, pk: int) -> HttpResponse:
    """Ask whether the address is to be changed, then change it."""
    connection = get_object_or_404(Connection, pk=pk)
    if request.method != "POST":
        return render(request, "connections/callback_rotate.html", {"connection": connection})
    callbacks.rotate_address(connection)
    messages.success(
        request,
        "The address is a new one, and the old one works no more. Give it to whatever creates "
        "your jobs.",
    )
    return redirect("jobs:connection_callback", pk)
