"""Serve the site: `python -m config.supervisor.web HOST PORT PROCESSES`.

The application is loaded here, before the server forks its workers: they share it in memory, and
one that died is back at once. (Where processes are spawned instead, each loads its own.)
"""

import gc
import sys

from django.urls import get_resolver
from granian import Granian
from granian.constants import Interfaces

import config.wsgi  # noqa: F401
from jobs.services.health import starting

# Here, so that processes that are spawned know it too.
starting.begin()


def main(host: str, port: str, processes: str) -> None:
    get_resolver()._populate()
    gc.freeze()
    Granian(
        "config.wsgi:application",
        address=host,
        port=int(port),
        interface=Interfaces.WSGI,
        workers=int(processes),
        # With one thread, as many slow downloads as there are processes would stop the site.
        blocking_threads=8,
        respawn_failed_workers=True,
        respawn_interval=0.1,
        workers_kill_timeout=4,
    ).serve()


if __name__ == "__main__":
    main(*sys.argv[1:])
