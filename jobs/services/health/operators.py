"""Who is told by mail when the monitor is blind."""

from collections.abc import Iterable

from django.conf import settings
from django.contrib.auth import get_user_model

from jobs.models import Connection


def find_operators(connections: Iterable[Connection] | None = None) -> list[str]:
    """Who is told: `OPERATORS`, else the administrators with an address, else all recipients.

    `connections`: all there are, where the caller has them. Raises django.db.Error where the
    database does not answer and would be needed.
    """
    if settings.OPERATORS:
        return list(settings.OPERATORS)
    users = get_user_model()._default_manager.filter(is_active=True, is_superuser=True)
    addresses = list(users.exclude(email="").order_by("pk").values_list("email", flat=True))
    if not addresses:
        addresses = recipients_of(
            Connection.objects.only("alert_recipients") if connections is None else connections
        )
    return list(dict.fromkeys(addresses))


def is_anybody_told(connections: Iterable[Connection]) -> bool:
    """Whether `find_operators` finds anybody; most often without a question."""
    return bool(settings.OPERATORS or recipients_of(connections) or find_operators(connections))


def recipients_of(connections: Iterable[Connection]) -> list[str]:
    return [address for each in connections for address in each.recipients]
