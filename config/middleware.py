"""Sign-in required everywhere, told to htmx in its own way."""

from collections.abc import Callable
from urllib.parse import urlsplit, urlunsplit

from django.contrib.auth.middleware import LoginRequiredMiddleware
from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest, HttpResponseBase
from django.http.response import HttpResponseRedirectBase
from django.utils.http import url_has_allowed_host_and_scheme
from django_htmx.http import HttpResponseClientRedirect
from django_htmx.middleware import HtmxDetails


class HtmxLoginRequiredMiddleware(LoginRequiredMiddleware):
    """Require a sign-in everywhere, and show the sign-in form as a whole page.

    htmx follows an ordinary redirect, so a session that expires would put the sign-in form
    inside whatever element was refreshing.
    """

    def handle_no_permission(  # type: ignore[override]  # htmx's redirect is a 200
        self, request: HttpRequest, view_func: Callable[..., HttpResponseBase]
    ) -> HttpResponseRedirectBase:
        htmx: HtmxDetails = request.htmx  # type: ignore[attr-defined]  # HtmxMiddleware sets it
        response = super().handle_no_permission(request, view_func)
        if not htmx and request.method not in ("GET", "HEAD"):
            # The address of a form that was sent answers no GET: back to where the form stood.
            return redirect_to_login(_page_of_form(request), self.get_login_url(view_func))
        if not htmx:
            return response
        page = htmx.current_url_abs_path or "/"
        login_url = self.get_login_url(view_func)
        return HttpResponseClientRedirect(redirect_to_login(page, login_url).url)


def _page_of_form(request: HttpRequest) -> str:
    """Our own page that a form was sent from, as its Referer says; the first page otherwise."""
    try:
        parts = urlsplit(request.headers.get("Referer", ""))
    except ValueError:
        return "/"
    page = urlunsplit(("", "", parts.path, parts.query, ""))
    if parts.netloc != request.get_host() or not url_has_allowed_host_and_scheme(page, None):
        return "/"
    return page
