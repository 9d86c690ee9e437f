#!/usr/bin/env python
"""Run Bulkwatch's commands: `python manage.py help` lists them."""

import os
import sys

from config.local_secrets import ensure_local_secrets


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    # Only commands make secrets; a server process that finds none refuses to start.
    ensure_local_secrets()

    from django.core.management import execute_from_command_line

    execute_from_command_line(sys.argv)


if __name__ == "__main__":
    main()
