"""A service outside that raises the alarm when it is pinged no more (HEARTBEAT_URL)."""

import logging
from urllib.parse import urlsplit, urlunsplit

from django.conf import settings

logger = logging.getLogger(__name__)

TIMEOUT_SECONDS = 5.0


def ping(*, is_blind: bool) -> None:
    """Say that all is well, or with `/fail` behind the address that it is not; never raises.

    The address is a secret of its own, and so are the texts of errors, which hold it.
    """
    url = settings.HEARTBEAT_URL
    if not url:
        return
    # Imported here, because it is much of the lookout's memory and few use the switch.
    import requests

    if is_blind:
        parts = urlsplit(url)
        url = urlunsplit(parts._replace(path=f"{parts.path.rstrip('/')}/fail"))
    try:
        # Nobody reads the answer's body, however long it is.
        with requests.get(
            url, timeout=TIMEOUT_SECONDS, allow_redirects=False, stream=True
        ) as answer:
            if answer.status_code >= 300:
                logger.warning("HEARTBEAT_URL was answered with HTTP %s", answer.status_code)
    except requests.RequestException as error:
        logger.warning("HEARTBEAT_URL was not answered: %s", type(error).__name__)
