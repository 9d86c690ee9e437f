"""`poll [ID…]`: all that the workers would do, in this process, at once."""

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from jobs.management.commands._jobs import get_connection, get_job
from jobs.models import BulkWriteJob, Connection, Result
from jobs.services import alerting
from jobs.services.job_json import as_json
from jobs.services.observing import polling, waiting
from jobs.services.results import fetching


class Command(BaseCommand):
    help = (
        "Poll these jobs, or without ids all that are due, and do what follows from it: "
        "snapshots, outcomes, result files, alerts. Needs no broker and no worker."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("ids", nargs="*", metavar="ID")
        parser.add_argument("--connection", metavar="NAME")
        parser.add_argument("--json", action="store_true")

    def handle(self, *args: Any, **options: Any) -> None:
        began = timezone.now()
        jobs, missing = self._jobs(options["ids"], options["connection"])
        pks = [job.pk for job in jobs]
        why_not = [polled.why_not for polled in polling.poll_now(jobs) if polled.why_not]
        if not options["ids"]:
            why_not += self._why_wait(options["connection"])
        self._fetch_results(pks if options["ids"] else None, options["connection"])
        alerting.deliver_due()

        polled = list(
            BulkWriteJob.objects.filter(pk__in=pks).select_related("connection").order_by("pk")
        )
        for job in polled:
            self.stderr.write(self._line(job))
        if not polled and not missing and not why_not:
            self.stderr.write("No job is due.")
        for said in dict.fromkeys(why_not):
            self.stderr.write(f"Not asked now: {said}")
        if options["json"]:
            self.stdout.write(json.dumps([as_json(job) for job in polled], indent=2))
        is_any_asked = any(job.last_polled_at and job.last_polled_at >= began for job in polled)
        failed = any(polling.effective_poll_state(job)[1] for job in polled)
        if missing or failed or (why_not and (options["ids"] or not is_any_asked)):
            raise SystemExit(1)

    def _jobs(
        self, ids: list[str], connection_name: str | None
    ) -> tuple[list[BulkWriteJob], list[str]]:
        if connection_name:
            get_connection(connection_name)
        if ids:
            jobs, missing = [], []
            for job_id in dict.fromkeys(ids):
                try:
                    jobs.append(get_job(job_id, connection_name))
                except CommandError as error:
                    self.stderr.write(str(error))
                    missing.append(job_id)
            return jobs, missing
        now = timezone.now()
        due = BulkWriteJob.objects.due(now).filter(connection__in=Connection.objects.pollable(now))
        if connection_name:
            due = due.filter(connection=get_connection(connection_name))
        return list(due.select_related("connection")), []

    def _why_wait(self, connection_name: str | None) -> list[str]:
        """Why connections with jobs that are due are not asked."""
        now = timezone.now()
        due = BulkWriteJob.objects.due(now).exclude(connection__in=Connection.objects.pollable(now))
        if connection_name:
            due = due.filter(connection__name=connection_name)
        waits = Connection.objects.filter(pk__in=due.order_by().values("connection"))
        return [waiting.why_not(connection, now) for connection in waits]

    def _fetch_results(self, pks: list[int] | None, connection_name: str | None) -> None:
        """Fetch the results of these jobs; without jobs all that are due, also from before."""
        due = Result.objects.all()
        if pks is not None:
            due = due.filter(job__in=pks)
        else:
            due = due.filter(job__connection__in=Connection.objects.pollable(timezone.now()))
        if connection_name:
            due = due.filter(job__connection__name=connection_name)
        for result_id in fetching.claim_due(due):
            fetching.fetch(result_id)

    def _line(self, job: BulkWriteJob) -> str:
        state, error = polling.effective_poll_state(job)
        line = f"{job.zoho_job_id}: {job.status_raw or 'no status'}, {job.get_outcome_display()}"
        if error:
            line += f" ({state}: {error['code'] or ''} {error['message']} {error['resolution']})"
        return line
