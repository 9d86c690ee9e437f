"""`wait ID…`: until the jobs have ended, for scripts that must not go on before."""

import time
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from jobs.management.commands._jobs import get_job
from jobs.models import BulkWriteJob, Outcome
from jobs.services.observing import polling
from jobs.services.outcomes import BAD_OUTCOMES
from jobs.services.wording import percent, verdict_sentence

LOOK_EVERY_SECONDS = 1.0


class Command(BaseCommand):
    help = (
        "Wait until these jobs have ended, while the workers poll them. Exits with 1 on a bad "
        "outcome, a skip ratio above --fail-over, or when the time is up."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("ids", nargs="+", metavar="ID")
        parser.add_argument("--connection", metavar="NAME")
        parser.add_argument("--fail-over", type=float, metavar="PERCENT")
        parser.add_argument("--timeout", type=float, metavar="SECONDS")

    def handle(self, *args: Any, **options: Any) -> None:
        waiting = {get_job(job_id, options["connection"]).pk for job_id in options["ids"]}
        until = None if options["timeout"] is None else time.monotonic() + options["timeout"]
        bad = False
        while waiting:
            # With its result in one look: read after it, that could be done and the job not judged.
            jobs = BulkWriteJob.objects.filter(pk__in=waiting)
            for job in jobs.select_related("connection", "result"):
                if self._is_settled(job):
                    waiting.discard(job.pk)
                    bad |= self._report(job, options["fail_over"])
            if waiting and until is not None and time.monotonic() >= until:
                raise CommandError(f"{len(waiting)} jobs have not ended in time.")
            if waiting:
                time.sleep(LOOK_EVERY_SECONDS)
        if bad:
            raise SystemExit(1)

    def _is_settled(self, job: BulkWriteJob) -> bool:
        state, _ = polling.effective_poll_state(job)
        awaits_rows = job.outcome == Outcome.UNKNOWN and job.has_ended and self._is_pending(job)
        return (job.has_ended and not awaits_rows) or state == BulkWriteJob.PollState.BLOCKED

    def _is_pending(self, job: BulkWriteJob) -> bool:
        result = getattr(job, "result", None)
        return job.is_active if result is None else result.state == result.State.PENDING

    def _report(self, job: BulkWriteJob, fail_over: float | None) -> bool:
        """Write the job's verdict; say whether it is a bad one."""
        self.stderr.write(f"{job.zoho_job_id}: {verdict_sentence(job)}")
        state, error = polling.effective_poll_state(job)
        if state == BulkWriteJob.PollState.BLOCKED and not job.has_ended:
            self.stderr.write(f"  It cannot be read: {error['message'] if error else ''}")
            return True
        if job.outcome in BAD_OUTCOMES or job.outcome == Outcome.UNKNOWN:
            return True
        if fail_over is None:
            return job.needs_attention
        # Rounded, as 7 of 100 is a little more than 7 % in the numbers of a computer.
        over = job.skip_ratio is not None and round(job.skip_ratio * 100, 9) > fail_over
        if over:
            self.stderr.write(f"  {percent(job.skip_ratio)} skipped, more than {fail_over:g} %.")
        return over
