"""Whether the parts of the product have had the time to be seen."""

import time

# Beat and the worker are there after a few seconds; a busy machine takes longer.
SECONDS = 60.0

_begun_at: float | None = None


def begin() -> None:
    """Have the pages of this process, and of those it forks, be patient from now on."""
    global _begun_at
    _begun_at = time.monotonic()


def is_going_on() -> bool:
    """Whether the web server was started within the last minute."""
    return _begun_at is not None and time.monotonic() - _begun_at < SECONDS
