"""What every page shows."""

from typing import Any

from django.conf import settings
from django.http import HttpRequest

from jobs.services.health import monitoring, starting
from jobs.services.health.monitoring import Health


def product(request: HttpRequest) -> dict[str, Any]:
    """`is_demo`, `mail_folder` (where mails are written in place of being sent) and `health`."""
    # Absent where a request is refused before its sign-in is looked at.
    user = getattr(request, "user", None)
    return {
        "is_demo": settings.DEMO,
        "mail_folder": settings.EMAIL_FILE_PATH or None,
        "health": health_of(request) if user is not None and user.is_authenticated else None,
    }


def on_page_about(
    request: HttpRequest, connection_id: int, *, is_its_own: bool = False
) -> dict[str, Any]:
    """What a page about one connection, or about a job of it, shows in place of all `health`.

    `is_its_own`: the connection's own page, which says itself what is wrong with it.
    """
    health = health_of(request).on_page_about(connection_id, is_its_own=is_its_own)
    return {"connection_of_page": connection_id, "is_its_own": is_its_own, "health": health}


def health_of(request: HttpRequest) -> Health:
    """What is wrong with the monitor, found once for each request."""
    known: Health | None = getattr(request, "_health", None)
    if known is None:
        known = monitoring.check(is_starting=starting.is_going_on())
        request._health = known  # type: ignore[attr-defined]  # kept with the request
    return known
