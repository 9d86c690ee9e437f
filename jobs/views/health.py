"""Whether the product is alive: for machines that ask, and for pages that are open."""

import re
from typing import Any

from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from jobs.context_processors import health_of, on_page_about
from jobs.services.health import readiness
from jobs.services.health.monitoring import Health
from jobs.views.requests import HtmxHttpRequest

_PK = re.compile("[0-9]{1,18}", re.ASCII)


@login_not_required
@require_safe
def healthz(request: HttpRequest) -> HttpResponse:
    """Answer that this web process is alive; asks nobody else, and costs nothing."""
    return HttpResponse("ok\n", content_type="text/plain")


@login_not_required
@require_safe
@never_cache
def readyz(request: HttpRequest) -> JsonResponse:
    """Answer whether all parts work: 200, or 503. Strangers may ask, so it says no more."""
    checks = readiness.check()
    ok = all(checks.values())
    return JsonResponse({"ok": ok, "checks": checks}, status=200 if ok else 503)


# Whose session has expired may be filling in a form: the sign-in page must not take its place.
@login_not_required
@require_safe
@never_cache
def banners(request: HtmxHttpRequest) -> HttpResponse:
    """What is new in the banners and in the data's age since what the page shows; 204 if nothing.

    `connection` where the page is about one, or about a job of it; `own` on its own page. 403 for
    who is signed out.
    """
    if not request.user.is_authenticated:
        return HttpResponse(status=403)
    about = request.GET.get("connection", "")
    page: dict[str, Any] = {}
    if _PK.fullmatch(about):
        page = on_page_about(request, int(about), is_its_own="own" in request.GET)
    health: Health = page.get("health") or health_of(request)
    shown, _, shown_age = request.GET.get("shown", "").partition("-")
    are_new = shown != health.banners_digest
    if not are_new and shown_age == health.age_digest:
        return HttpResponse(status=204)
    return render(request, "_banners_poll.html", {**page, "are_new": are_new})
