"""A result ZIP to reasons in the database, against `unzip -p FILE | wc -l`.

    python -m benchmarks.result_file [--rounds 7] [--rows 25000 1000000]

The result is of contacts: 3 % of the rows are left out with all eight codes, some with several
errors; one company in twenty has a comma in its name; half of the duplicates have their first row
in the same file. Measured is what a worker does from the fetched ZIP on: reading and analysing it,
keeping it, and storing its figures in an SQLite database; each time in a process of its own, which
has taken in a small result before, and whose peak memory is compared with its peak until then.
"""

import argparse
import csv
import io
import json
import os
import random
import resource
import statistics
import subprocess
import sys
import time
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.ground import MANAGE, data_folder

if TYPE_CHECKING:
    from jobs.models import Result

COLUMNS = ("Company", "Last_Name", "Email")
CODES = (
    "MANDATORY_NOT_FOUND-Company,Last_Name:INVALID_DATA-Phone",
    "MANDATORY_NOT_FOUND-Company",
    "INVALID_DATA-Annual_Revenue",
    "INVALID_DATA-Email:NOT_APPROVED-Stage",
    "NOT_APPROVED-Last_Name",
    "BLOCKED_RECORD-Last_Name",
    "CANNOT_PROCESS-Owner",
    "LIMIT_EXCEEDED-Subform_1",
    "RESOURCE_NOT_FOUND-Account_Name",
)
NAMES = ("Meier", "Huber", "O'Brien", "Schmidt", "García", "Nguyen", "Kowalski", "Smith")


def make_zip(path: Path, rows: int) -> None:
    """A realistic result of so many rows, the same for each call."""
    dice = random.Random(7)
    with (
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("Contacts-import.csv", "w") as member,
        io.TextIOWrapper(member, "utf-8", newline="") as text,
    ):
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow([*COLUMNS, "STATUS", "RECORD_ID", "ERRORS"])
        for number in range(rows):
            name = dice.choice(NAMES)
            joined = ", " if dice.random() < 0.05 else " & "
            company = f"{name}{joined}{dice.choice(NAMES)} {number % 5000}"
            email = email_of(number)
            if dice.random() >= 0.03:
                status = "UPDATED" if dice.random() < 0.2 else "ADDED"
                row = [company, name, email, status, str(4150868000000000000 + 3 * number), ""]
            elif dice.random() < 0.3:
                if dice.random() < 0.5 and number:
                    email = email_of(dice.randrange(number))
                row = [company, name, email, "SKIPPED", "", "DUPLICATE_DATA-Email"]
            else:
                code = dice.choice(CODES)
                company = "" if "-Company" in code else company
                row = [company, name, email, "SKIPPED", "", code]
            writer.writerow(row)


def email_of(number: int) -> str:
    return f"{NAMES[number * 7919 % len(NAMES)].lower()}.{number}@example{number % 977}.com"


def unzip(path: Path) -> float:
    """Seconds of the baseline."""
    started = time.perf_counter()
    with subprocess.Popen(["unzip", "-p", str(path)], stdout=subprocess.PIPE) as unpacking:  # noqa: S607
        subprocess.run(["wc", "-l"], stdin=unpacking.stdout, stdout=subprocess.DEVNULL, check=True)  # noqa: S607
    return time.perf_counter() - started


def product(path: Path) -> dict[str, float]:
    """Seconds, and MiB of peak memory before and after, of a process that takes the ZIP in."""
    command = [sys.executable, "-m", "benchmarks.result_file", "--once", str(path)]
    answer = subprocess.run(command, stdout=subprocess.PIPE, check=True)
    return dict(json.loads(answer.stdout))


def measure_here(path: Path) -> dict[str, float]:
    """The same of this process, which takes in a small result before, as a worker has done."""
    import django

    django.setup()
    from jobs.models import SkipReason

    small = path.with_name(f"small-{os.getpid()}.zip")
    make_zip(small, 1000)
    take_in(pending_result("small"), small)
    result = pending_result("measured")
    before = peak_memory()
    started = time.perf_counter()
    take_in(result, path)
    seconds = time.perf_counter() - started
    after = peak_memory()
    result.refresh_from_db()
    assert result.is_archived
    assert SkipReason.objects.filter(file__result=result, code="DUPLICATE_DATA").exists()
    return {"seconds": seconds, "before": before, "after": after}


def pending_result(name: str) -> "Result":
    from django.utils import timezone

    from jobs.models import BulkWriteJob, Connection, FieldMapping, Resource, Result

    connection = Connection.objects.create(name=f"{name}-{os.getpid()}", data_center="us")
    job = BulkWriteJob.objects.create(
        connection=connection, zoho_job_id="111111000000541958", tracked_at=timezone.now()
    )
    part = Resource.objects.create(job=job, position=0, module="Contacts", file_name="import.csv")
    names = (*COLUMNS, "Phone", "Annual_Revenue", "Stage", "Owner", "Account_Name")
    FieldMapping.objects.bulk_create(
        FieldMapping(resource=part, position=place, index=place, api_name=name)
        for place, name in enumerate(names)
    )
    return Result.objects.create(job=job)


def take_in(result: "Result", path: Path) -> None:
    """What `fetching.fetch` does with a ZIP that it has fetched."""
    from jobs.services.results import analysis, fetching

    with path.open("rb") as file:
        analyses = analysis.analyse(file, "UTF-8", fetching.resources_of(result.job))
        fetching._keep(result, file, analyses)


def peak_memory() -> float:
    """MiB of this process at most so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def measure(path: Path, rows: int, rounds: int) -> None:
    ratios, bare, ours = [], [], []
    for _ in range(rounds):
        bare.append(unzip(path))
        ours.append(product(path))
        ratios.append(ours[-1]["seconds"] / bare[-1])
    seconds = [run["seconds"] for run in ours]
    grown = max(run["after"] - run["before"] for run in ours)
    print(
        f"{rows:>9,} rows  unzip | wc {statistics.median(bare) * 1000:>7,.1f} ms"
        f"  product {statistics.median(seconds) * 1000:>8,.1f} ms"
        f"  ratio {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
        f"  peak {max(run['after'] for run in ours):.1f} MiB, {grown:.1f} above idle"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, nargs="+", default=[25_000, 1_000_000])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--once", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.once:
        print(json.dumps(measure_here(options.once)))
        return
    with data_folder() as folder:
        subprocess.run([*MANAGE, "migrate", "-v0"], check=True)
        for rows in options.rows:
            path = folder / f"{rows}.zip"
            make_zip(path, rows)
            unzip(path)
            measure(path, rows, options.rounds)


if __name__ == "__main__":
    main()
