"""The request as views get it, and the page that its form came from."""

from django.contrib.auth.models import User
from django.http import HttpRequest
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme
from django_htmx.middleware import HtmxDetails


class HtmxHttpRequest(HttpRequest):
    """A request as views get it: somebody is signed in, and `django_htmx` has looked at it."""

    user: User
    htmx: HtmxDetails


def way_back(request: HttpRequest, default: str) -> str:
    """The page of ours that a form names in `next`; that of the view `default` if it names none."""
    page = request.POST.get("next", "")
    is_ours = url_has_allowed_host_and_scheme(
        page, allowed_hosts={request.get_host()}, require_https=request.is_secure()
    )
    return page if is_ours else reverse(default)
