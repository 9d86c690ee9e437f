"""`track ID… --connection NAME`: register job ids."""

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from jobs.management.commands._jobs import get_connection
from jobs.services import tracking
from jobs.services.tracking import Verdict

WORDS = {
    Verdict.TRACKED: "registered",
    Verdict.ALREADY_TRACKED: "already tracked",
    Verdict.REPEATED: "named twice",
    Verdict.NOT_AN_ID: "is no job id: those are digits only",
}


class Command(BaseCommand):
    help = "Register bulk write jobs by their ids. They are polled at the next tick."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("ids", nargs="+", metavar="ID")
        parser.add_argument("--connection", required=True, metavar="NAME")
        parser.add_argument("--label", default="")
        parser.add_argument("--tag", action="append", default=[], metavar="TAG", dest="tags")
        parser.add_argument("--json", action="store_true")

    def handle(self, *args: Any, **options: Any) -> None:
        connection = get_connection(options["connection"])
        if len(options["label"]) > 200:
            raise CommandError("The label is longer than 200 characters.", returncode=2)
        try:
            entries = tracking.read_ids("\n".join(options["ids"]))
        except tracking.TooManyIdsError as error:
            raise CommandError(str(error), returncode=2) from error
        if not entries:
            raise CommandError("No job id is given.", returncode=2)
        entries = tracking.track(
            connection,
            entries,
            label=options["label"],
            tags=tracking.read_tags(",".join(options["tags"])),
        )
        for entry in entries:
            self.stderr.write(f"{entry.job_id or entry.text}: {WORDS[entry.verdict]}")
        if options["json"]:
            self.stdout.write(
                json.dumps(
                    [
                        {
                            "job_id": entry.job_id or None,
                            "text": entry.text,
                            "verdict": entry.verdict.value,
                        }
                        for entry in entries
                    ],
                    indent=2,
                )
            )
        if any(entry.verdict == Verdict.NOT_AN_ID for entry in entries):
            raise SystemExit(1)
