"""Where Zoho calls: the secret address of a connection. No sign-in; the token is the right."""

from typing import Any

from django.contrib.auth.decorators import login_not_required
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.http.request import UnreadablePostError
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.debug import sensitive_variables

from jobs.services.registering import callbacks


@csrf_exempt
@login_not_required
@never_cache
@sensitive_variables("token", "body")
def hook(request: HttpRequest, token: str) -> HttpResponse:
    """Take a call of Zoho's: 204 whatever its body says, 429 where there are too many.

    A wrong token gets what any unknown address gets, and its body is not read.
    """
    connection = callbacks.connection_at(token)
    if connection is None:
        raise Http404
    if request.method in ("GET", "HEAD"):
        return HttpResponse(status=204)
    if request.method != "POST":
        return HttpResponseNotAllowed(["GET", "HEAD", "POST"])
    try:
        callbacks.check_rate(connection, timezone.now())
        body = _body(request)
        if body is None:
            return HttpResponse(status=413)
        callbacks.take_call(connection, body)
    except callbacks.TooManyCallsError as error:
        return HttpResponse(status=429, headers={"Retry-After": str(error.retry_after)})
    except UnreadablePostError:
        return HttpResponse(status=400)
    return HttpResponse(status=204)


def _body(request: HttpRequest) -> bytes | None:
    """The body as it came; None where it is longer than is read."""
    most = callbacks.MAX_BODY_BYTES
    length = request.META.get("CONTENT_LENGTH") or ""
    if length.isdecimal() and int(length) > most:
        return None
    stream: Any = request
    if not length and request.META.get("wsgi.input_terminated"):
        # Sent in chunks: Django takes a body without a length for none.
        stream = request.META["wsgi.input"]
    body: bytes = stream.read(most + 1)
    return body if len(body) <= most else None
