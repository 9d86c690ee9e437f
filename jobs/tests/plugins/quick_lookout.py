"""The lookout as a process of its own, whose minutes are seconds; to be run by `python -m`."""

from datetime import timedelta

import django


def run() -> None:
    django.setup()
    # Its models are not to be imported before Django is set up.
    from jobs.services.health import lookout, lookout_memory

    lookout.ROUND_SECONDS = 1.0
    lookout_memory.LASTS_FROM = timedelta(seconds=2)
    lookout.Lookout().run()


if __name__ == "__main__":
    run()
