"""`delete_results --older-than DAYS`: delete our copies of result files by their age."""

import json
from argparse import ArgumentTypeError
from collections import Counter
from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandParser
from django.utils import timezone

from jobs.management.commands._jobs import get_connection
from jobs.models import Result
from jobs.services.results import retention

MOST_DAYS = 36_500

DELETED, FILE_STAYS, LEFT, WOULD = "deleted", "file_stays", "left", "would_be_deleted"
WORDS = {
    DELETED: "deleted",
    FILE_STAYS: "deleted, but its file could not be removed; the log says why, tidy_up tries again",
    LEFT: "left: it was pinned or deleted meanwhile",
    WOULD: "would be deleted",
}


def days(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text[:10]) <= MOST_DAYS):
        raise ArgumentTypeError(f"{text!r} is no number of days from 0 to {MOST_DAYS}")
    return int(text)


class Command(BaseCommand):
    help = (
        "Delete our copies of result files that were kept longer ago than this many days, with the "
        "rows' values. The figures stay, and so do the results of pinned jobs. Nothing is deleted "
        "at Zoho."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--older-than", required=True, type=days, metavar="DAYS")
        parser.add_argument("--connection", metavar="NAME")
        parser.add_argument("--dry-run", action="store_true", help="only say what would be deleted")
        parser.add_argument("--json", action="store_true")

    def handle(self, *args: Any, **options: Any) -> None:
        aged = Result.objects.kept_before(timezone.now() - timedelta(days=options["older_than"]))
        if options["connection"]:
            aged = aged.filter(job__connection=get_connection(options["connection"]))
        pinned = aged.filter(job__pinned=True).count()
        why = f"by the command delete_results --older-than {options['older_than']}"
        told = []
        counted: Counter[str] = Counter()
        for result in aged.filter(job__pinned=False).select_related("job__connection"):
            outcome = WOULD if options["dry_run"] else self._delete(result, why)
            counted[outcome] += 1
            self.stderr.write(f"{result.job.zoho_job_id}: {WORDS[outcome]}")
            told.append(
                {
                    "connection": result.job.connection.name,
                    "job_id": result.job.zoho_job_id,
                    "size": result.size,
                    "outcome": outcome,
                }
            )
        parts = [f"{number} {WORDS[outcome]}" for outcome, number in counted.items()]
        self.stderr.write(", ".join(parts) or "No result is that old and unpinned.")
        self.stderr.write(f"{pinned} left because their jobs are pinned.")
        if options["json"]:
            self.stdout.write(json.dumps({"results": told, "pinned": pinned}, indent=2))
        if counted[FILE_STAYS]:
            raise SystemExit(1)

    def _delete(self, result: Result, why: str) -> str:
        try:
            return DELETED if retention.delete_result(result, why=why) else FILE_STAYS
        except retention.NotDeletableError:
            return LEFT
