"""`show ID`: what is known of a job."""

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from jobs.management.commands._jobs import get_job
from jobs.services.job_json import as_json
from jobs.services.wording import verdict_sentence


class Command(BaseCommand):
    help = "Show what is known of a tracked job."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("id", metavar="ID")
        parser.add_argument("--connection", metavar="NAME")
        parser.add_argument("--json", action="store_true")

    def handle(self, *args: Any, **options: Any) -> None:
        job = get_job(options["id"], options["connection"])
        known = as_json(job)
        if options["json"]:
            self.stdout.write(json.dumps(known, indent=2))
            return
        counts = ", ".join(
            f"{name} {'unknown' if number is None else f'{number:,}'}"
            for name, number in known["counts"].items()
        )
        lines = [
            f"{job.title} ({job.zoho_job_id}, {job.connection.name})",
            verdict_sentence(job),
            f"Zoho's status: {job.status_raw or 'none yet'}; {counts}",
            *(f"Warning: {warning}" for warning in known["warnings"]),
            f"Result file: {known['result']['state']}",
            *(
                f"  {reason['rows']:,} rows: {reason['code']} {reason['field']}".rstrip()
                for reason in known["result"]["reasons"]
            ),
            f"Polling: {known['poll']['state']}, last {known['poll']['last_polled_at'] or 'never'}",
        ]
        if known["poll"]["error"]:
            error = known["poll"]["error"]
            lines.append(f"Error: {error['message']} {error['resolution']}")
        self.stdout.write("\n".join(lines))
