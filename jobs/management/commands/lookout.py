"""`lookout`: the process that tells the operators when the others cannot."""

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from jobs.services.health import broker, lookout, monitoring
from jobs.services.health.findings import Finding


class Command(BaseCommand):
    help = (
        "Watch the monitor itself, and mail OPERATORS what keeps it from seeing. Needs no broker, "
        "no worker and, to mail, no database. --once says what is wrong now."
    )
    # It has to run where much is wrong, and soon.
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        how = parser.add_mutually_exclusive_group()
        how.add_argument(
            "--once", action="store_true", help="say what is wrong and end: status 1 if blind"
        )
        how.add_argument(
            "--stopped", metavar="WHAT", help="mail that the product has stopped, and end"
        )
        parser.add_argument("--json", action="store_true", help="with --once: as JSON")

    def handle(self, *, once: bool, stopped: str | None, **options: Any) -> None:
        if once:
            self._say_once(as_json=options["json"])
        elif stopped is not None:
            lookout.tell_stop(stopped)
        else:
            lookout.Lookout().run()

    def _say_once(self, *, as_json: bool) -> None:
        health = monitoring.check(broker_answers=broker.answers())
        for finding in health.findings:
            self.stderr.write(f"{finding.severity}: {finding.title} {finding.text}")
        if not health.findings:
            self.stderr.write("Nothing is wrong.")
        if as_json:
            found = [_as_json(finding) for finding in health.findings]
            self.stdout.write(json.dumps({"blind": health.is_blind, "findings": found}, indent=2))
        if health.is_blind:
            raise SystemExit(1)


def _as_json(finding: Finding) -> dict[str, Any]:
    return {
        "key": finding.key,
        "severity": finding.severity,
        "parts": finding.parts,
        "title": finding.title,
        "text": finding.text,
        "what_to_do": finding.what_to_do,
        "since": finding.since.isoformat() if finding.since else None,
    }
