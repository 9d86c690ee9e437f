"""The page for what went wrong on our side."""

import sys

from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string
from django.views.defaults import server_error as unexpected_error

RETRY_AFTER_SECONDS = 10


def server_error(request: HttpRequest) -> HttpResponse:
    """500, or 503 where the database does not answer: neither asks for a session or a user."""
    if not isinstance(sys.exception(), OperationalError | InterfaceError):
        return unexpected_error(request)
    # Only what was asked for by GET can be asked for again by a link.
    path = request.get_full_path() if request.method == "GET" else "/"
    return HttpResponse(
        render_to_string("503.html", {"path": path}),
        status=503,
        headers={"Retry-After": str(RETRY_AFTER_SECONDS), "Cache-Control": "no-store"},
    )
