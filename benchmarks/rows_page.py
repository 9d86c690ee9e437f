"""Seconds that the page of result rows takes, against a trivial view through the same server.

    python -m benchmarks.rows_page [--rows 25000] [--rounds 5]

One kept result of that many rows, as `benchmarks.result_file` makes it, asked for its first, middle
and last page, by status, by reason, and searched.
"""

import argparse
import os
import subprocess
from pathlib import Path

from benchmarks.ground import MANAGE, data_folder, free_port, running
from benchmarks.pages import measure, signed_in
from benchmarks.result_file import COLUMNS, make_zip

QUERIES = [
    "",
    "?page={middle}",
    "?page={last}",
    "?status=left_out",
    "?status=left_out&page=99999",
    "?status=added&page=99999",
    "?code=DUPLICATE_DATA&field=Email",
    "?code=DUPLICATE_DATA&field=Email&page=99999",
    "?status=skipped&code=INVALID_DATA",
    "?q=huber&page=99999",
    "?q=meier.24000",
    "?q=nowhere",
    "?status=left_out&q=schmidt",
]


def fill(path: Path) -> int:
    """Keep the ZIP as the result of a job; the job's key."""
    from django.utils import timezone

    from jobs.models import BulkWriteJob, Connection, FieldMapping, Resource, Result
    from jobs.services.results import analysis, fetching

    now = timezone.now()
    connection = Connection.objects.create(name="bench", data_center="us", paused=True)
    job = BulkWriteJob.objects.create(
        connection=connection,
        zoho_job_id="111111000000541958",
        tracked_at=now,
        ended_at=now,
        download_url="/v7/crm/org6196138/bulk-write/111111000000541958/x.zip",
        poll_state="done",
        modules="Contacts",
    )
    part = Resource.objects.create(job=job, position=0, module="Contacts", file_name="import.csv")
    FieldMapping.objects.bulk_create(
        FieldMapping(resource=part, position=place, index=place, api_name=name)
        for place, name in enumerate(COLUMNS)
    )
    result = Result.objects.create(job=job)
    with path.open("rb") as file:
        analyses = analysis.analyse(file, "UTF-8", fetching.resources_of(job))
        fetching._keep(result, file, analyses)
    return job.pk


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=25_000)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    with data_folder() as folder:
        os.environ["DJANGO_SETTINGS_MODULE"] = "benchmarks.settings"
        subprocess.run([*MANAGE, "migrate", "-v0"], check=True)
        import django

        django.setup()
        path = folder / "result.zip"
        make_zip(path, options.rows)
        job = fill(path)
        cookie = signed_in()
        pages = options.rows // 50
        places = {"middle": pages // 2, "last": pages}
        port = free_port()
        url = f"http://127.0.0.1:{port}"
        with running("up", "--port", str(port), ready_url=f"{url}/healthz"):
            print(f"{options.rows:,} rows")
            paths = [f"/jobs/{job}/rows/{query.format(**places)}" for query in QUERIES]
            measure(url, cookie, paths, options.rounds)


if __name__ == "__main__":
    main()
