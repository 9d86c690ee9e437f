"""`track ID… --connection NAME`: register job ids."""

import json
import time
from argparse import RawDescriptionHelpFormatter
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from jobs.management.commands._jobs import get_connection
from jobs.models import BulkWriteJob, CheckedId, Connection
from jobs.services.errors import own_error
from jobs.services.limits.slots import NoSlotError
from jobs.services.observing.waiting import moment
from jobs.services.registering import id_asking, job_ids, tracking
from jobs.services.registering.id_asking import CannotAskError, Finding
from jobs.services.registering.job_ids import Entry, Verdict

WORDS = {
    Verdict.TRACKED: "registered",
    Verdict.ALREADY_TRACKED: "already tracked",
    Verdict.REPEATED: "named twice",
    Verdict.BULK_READ: "not registered.",
    Verdict.ROUNDED: "not registered.",
    Verdict.NOT_AN_ID: "is no job id.",
    Verdict.NO_JOB: "not registered.",
}
UNKNOWN = (
    "Zoho knows no bulk write job by this id: it is wrong, belongs to another org, environment or "
    "data centre, is the id of a Bulk Read job, or Zoho has purged the job."
)
LEFT_OUT = (Verdict.BULK_READ, Verdict.ROUNDED, Verdict.NOT_AN_ID, Verdict.NO_JOB)
AT_ONCE = 200
SECONDS_AT_ONCE = 60.0
SLOT_PATIENCE_SECONDS = 30.0
LONGEST_WAIT = timedelta(minutes=15)

EPILOG = """\
What is given as ID may be anything that holds ids: a create call's answer, an address, a log line.

--json prints a list with an object for each piece of what was given that looks like an id:
  {"job_id": "1111…" or null, "text": "…", "verdict": V}
V: tracked, already_tracked, repeated, bulk_read, rounded, not_an_id (a slip is in it), no_job (of
   something else, such as a file); with --check also unknown (Zoho knows no such job) and
   no_answer; neither of them is registered.
With --check each object has "zoho" as well: null for what was not asked, or
  {"status": "COMPLETED", "modules": "Leads", "rows": 100 or null, "created_time": "…" or null,
   "error": null or {"code", "http_status", "message", "resolution"}}

Exit status: 0 when all of it is tracked now, 1 when something is not, 2 on wrong use.
"""


class Command(BaseCommand):
    help = "Register bulk write jobs by their ids. They are polled at the next tick."

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        return super().create_parser(
            prog_name,
            subcommand,
            epilog=EPILOG,
            formatter_class=RawDescriptionHelpFormatter,
            **kwargs,
        )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("ids", nargs="+", metavar="ID")
        parser.add_argument("--connection", required=True, metavar="NAME")
        parser.add_argument("--label", default="")
        parser.add_argument("--tag", action="append", default=[], metavar="TAG", dest="tags")
        parser.add_argument(
            "--check",
            action="store_true",
            help="ask Zoho about each id first, at one API credit an id, and register only those "
            "that it knows",
        )
        parser.add_argument("--json", action="store_true")

    def handle(self, *args: Any, **options: Any) -> None:
        connection = get_connection(options["connection"])
        if len(options["label"]) > 200:
            raise CommandError("The label is longer than 200 characters.", returncode=2)
        try:
            paste = job_ids.read("\n".join(options["ids"]))
        except job_ids.TooManyIdsError as error:
            raise CommandError(str(error), returncode=2) from error
        if not paste.entries and not paste.lines_without_id:
            raise CommandError("No job id is given.", returncode=2)
        findings = self._check(connection, paste.entries) if options["check"] else None
        entries = [
            entry
            for entry in paste.entries
            if findings is None or _is_known(findings.get(entry.job_id))
        ]
        tracking.track(
            connection,
            entries,
            label=options["label"],
            tags=tracking.read_tags(",".join(options["tags"])),
            found_by=BulkWriteJob.FoundBy.COMMAND,
        )
        self._tell(paste, findings, as_json=options["json"])

    def _tell(
        self, paste: job_ids.Paste, findings: dict[str, Finding] | None, *, as_json: bool
    ) -> None:
        for note in paste.notes:
            self.stderr.write(note)
        told = [_as_json(entry, findings) for entry in paste.entries]
        for entry, known in zip(paste.entries, told, strict=True):
            if known["verdict"] not in ("unknown", "no_answer"):
                words = f"{WORDS[entry.verdict]} {entry.why}".strip()
                self.stderr.write(f"{entry.job_id or entry.text}: {words}")
        if as_json:
            self.stdout.write(json.dumps(told, indent=2))
        left_out = {*LEFT_OUT, "unknown", "no_answer"}
        if paste.lines_without_id or any(known["verdict"] in left_out for known in told):
            raise SystemExit(1)

    def _check(self, connection: Connection, entries: Sequence[Entry]) -> dict[str, Finding]:
        """What Zoho says of the ids that are not tracked yet; each is told as it comes."""
        ids = [entry.job_id for entry in entries if entry.verdict == Verdict.TRACKED]
        tracked = BulkWriteJob.objects.filter(connection=connection, zoho_job_id__in=ids)
        known = set(tracked.values_list("zoho_job_id", flat=True))
        left = dict.fromkeys(job_id for job_id in ids if job_id not in known)
        findings: dict[str, Finding] = {}
        give_up = time.monotonic() + SLOT_PATIENCE_SECONDS
        while left:
            try:
                asking = id_asking.ask(connection, list(left)[:AT_ONCE], seconds=SECONDS_AT_ONCE)
                for answer in asking:
                    if answer is not None:
                        del left[answer.job_id]
                        findings[answer.job_id] = id_asking.finding_of(answer)
                        self._tell_finding(answer.job_id, findings[answer.job_id])
                give_up = time.monotonic() + SLOT_PATIENCE_SECONDS
            except NoSlotError as error:
                if time.monotonic() >= give_up:
                    return findings | self._not_asked(left, own_error(str(error)))
                time.sleep(1)
            except CannotAskError as error:
                now = timezone.now()
                if error.until is None or error.until - now > LONGEST_WAIT:
                    return findings | self._not_asked(left, error.error)
                until = moment(error.until, now)
                self.stderr.write(f"{error} {_ids(len(left), 'is', 'are')} asked about {until}.")
                time.sleep(max((error.until - now).total_seconds(), 0) + 0.1)
        return findings

    def _not_asked(self, left: dict[str, None], error: dict[str, Any]) -> dict[str, Finding]:
        said = " ".join(filter(None, (error["message"], error["resolution"])))
        self.stderr.write(f"{_ids(len(left), 'was', 'were')} not asked about: {said}")
        for job_id in left:
            self.stderr.write(f"{job_id}: not registered. It was not asked about.")
        return {job_id: Finding(CheckedId.Answer.NO_ANSWER, error=error) for job_id in left}

    def _tell_finding(self, job_id: str, finding: Finding) -> None:
        if finding.said == CheckedId.Answer.FOUND:
            rows = "rows not named yet" if finding.rows is None else f"{finding.rows:,} rows"
            what = ", ".join(filter(None, (finding.status, finding.modules, rows)))
            self.stderr.write(f"{job_id}: Zoho knows it ({what})")
        elif finding.said == CheckedId.Answer.UNKNOWN:
            self.stderr.write(f"{job_id}: not registered. {UNKNOWN}")
        else:
            error = finding.error or {}
            said = " ".join(filter(None, (error.get("code"), error.get("message"))))
            self.stderr.write(f"{job_id}: not registered. No answer: {said}")


def _ids(number: int, one: str, more: str) -> str:
    return f"1 id {one}" if number == 1 else f"{number:,} ids {more}"


def _is_known(finding: Finding | None) -> bool:
    """Whether an id may be registered: Zoho knows it, or was not asked as it is tracked already."""
    return finding is None or finding.said == CheckedId.Answer.FOUND


def _as_json(entry: Entry, findings: dict[str, Finding] | None) -> dict[str, Any]:
    known: dict[str, Any] = {
        "job_id": entry.job_id or None,
        "text": entry.text,
        "verdict": entry.verdict.value,
    }
    if findings is None:
        return known
    is_asked = entry.verdict == Verdict.TRACKED
    finding = findings.get(entry.job_id) if is_asked else None
    if finding is None:
        return known | {"zoho": None}
    if finding.said != CheckedId.Answer.FOUND:
        known["verdict"] = finding.said.value
    created = finding.created_time
    return known | {
        "zoho": {
            "status": finding.status,
            "modules": finding.modules,
            "rows": finding.rows,
            "created_time": created.isoformat() if created else None,
            "error": finding.error,
        }
    }
