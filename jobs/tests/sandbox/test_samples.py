"""The sample organisation: its jobs' lives over time, and results that agree with the counts."""

import csv
import io
import re
import zipfile
from collections import Counter
from datetime import datetime

import pytest

from jobs.sandbox.errors import ERRORS
from jobs.sandbox.modules import MODULES
from jobs.sandbox.oauth import SAMPLE_CONNECTION
from jobs.sandbox.results import upload_csv
from jobs.sandbox.samples import build_jobs, sample_jobs
from jobs.sandbox.server import Sandbox
from jobs.tests.sandbox.conftest import EPOCH, Client

PREFIX = "111111000000700"
ROW_CODES = {
    "MANDATORY_NOT_FOUND", "INVALID_DATA", "DUPLICATE_DATA", "NOT_APPROVED", "BLOCKED_RECORD",
    "CANNOT_PROCESS", "LIMIT_EXCEEDED", "RESOURCE_NOT_FOUND",
}  # fmt: skip
JOBS = {job.id: job for job in build_jobs(EPOCH)}


def counts(details, number=0):
    file = details["resource"][number]["file"]
    names = ("added_count", "updated_count", "skipped_count", "total_count")
    return tuple(file.get(name) for name in names)


def result_files(client, details):
    response = client.get(details["result"]["download_url"])
    assert response.status_code == 200, response.text
    assert response.headers["Content-Type"] == "application/zip"
    assert "attachment" in response.headers["Content-Disposition"]
    with zipfile.ZipFile(io.BytesIO(response.content)) as archive:
        return {
            name: list(csv.DictReader(io.StringIO(archive.read(name).decode())))
            for name in archive.namelist()
        }


def test_ids_are_18_digits_and_unique():
    ids = [job_id for job_id, _, _ in sample_jobs()]
    assert all(re.fullmatch(r"\d{18}", job_id) for job_id in ids)
    assert len(set(ids)) == len(ids) == len(JOBS) >= 15
    assert set(ids) == set(JOBS)


def test_the_samples_can_be_read_without_the_package(client):
    listed = client.control("GET", "samples")
    assert listed["connection"].items() >= SAMPLE_CONNECTION.items()
    assert listed["connection"]["api_url"] == client.sandbox.url
    assert [job["job_id"] for job in listed["jobs"]] == [job_id for job_id, _, _ in sample_jobs()]


@pytest.mark.parametrize("job_id", JOBS)
def test_every_mapped_field_is_one_of_its_module(job_id):
    for resource in JOBS[job_id].resources:
        for mapping in resource.mappings:
            assert mapping["api_name"] in MODULES[resource.module].fields


@pytest.mark.parametrize("job_id", JOBS)
def test_nothing_is_created_in_the_future_and_counts_never_fall(job_id):
    job = JOBS[job_id]
    assert job.created <= EPOCH
    before = (0, 0, 0, 0)
    for second in range(0, 500, 3):
        details = job.details(EPOCH + second)
        assert datetime.fromisoformat(details["created_time"]).timestamp() <= EPOCH
        now = tuple(number or 0 for number in counts(details))
        if any(now):
            assert all(new >= old for new, old in zip(now, before, strict=True))
            assert sum(now[:3]) <= now[3]
            before = now


@pytest.mark.parametrize(
    ("number", "moments"),
    [
        ("114", [(0, "QUEUED"), (39, "QUEUED"), (41, "INPROGRESS"), (101, "COMPLETED")]),
        ("115", [(0, "ADDED"), (6, "INPROGRESS"), (359, "INPROGRESS"), (361, "COMPLETED")]),
        ("116", [(0, "ADDED"), (10, "INPROGRESS"), (21, "COMPLETED")]),
        ("117", [(0, "ADDED"), (10, "IN PROGRESS"), (46, "COMPLETED")]),
        ("118", [(0, "ADDED"), (11, "INPROGRESS"), (91, "COMPLETED")]),
        ("119", [(0, "ADDED"), (9, "INPROGRESS"), (121, "FAILED")]),
        ("113", [(0, "INPROGRESS"), (86400, "INPROGRESS")]),
    ],
)
def test_lives(client, clock, number, moments):
    for second, status in moments:
        clock.now = EPOCH + second
        client.token = client.sandbox.issue_token()
        assert client.job(PREFIX + number)["status"] == status


def test_a_job_that_is_only_added_shows_little(client):
    details = client.job(PREFIX + "115")
    assert details["resource"][0]["file"] == {"status": "INPROGRESS"}
    assert "character_encoding" not in details
    assert "result" not in details


def test_the_large_job_grows_for_six_minutes(client, clock):
    seen = []
    for second in (10, 100, 200, 300, 350):
        clock.now = EPOCH + second
        seen.append(counts(client.job(PREFIX + "115")))
    assert all(total == 25000 for *_, total in seen)
    assert [added for added, *_ in seen] == sorted({added for added, *_ in seen})
    clock.now = EPOCH + 361
    assert counts(client.job(PREFIX + "115")) == (24000, 0, 1000, 25000)


def test_a_stuck_job_never_changes(client, clock):
    first = client.job(PREFIX + "113")
    clock.forward(3000)
    assert client.job(PREFIX + "113") == first
    assert 0 < counts(first)[0] < counts(first)[3]


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        ("101", (1240, 0, 0, 1240)),
        ("102", (212, 648, 0, 860)),
        ("103", (0, 430, 0, 430)),
        ("104", (1960, 0, 40, 2000)),
        ("105", (731, 244, 525, 1500)),
        ("106", (0, 0, 320, 320)),
        ("107", (None, None, None, None)),
        ("108", (None, None, None, None)),
        ("110", (None, None, None, None)),
        ("111", (None, None, None, None)),
        ("112", (2400, 0, 60, 3000)),
    ],
)
def test_how_the_finished_ones_ended(client, number, expected):
    assert counts(client.job(PREFIX + number)) == expected


def test_top_level_failed_and_skipped_have_no_result(client):
    skipped, failed = client.job(PREFIX + "107"), client.job(PREFIX + "108")
    assert (skipped["status"], failed["status"]) == ("SKIPPED", "FAILED")
    assert failed["resource"][0]["code"] == "MANDATORY_FIELDS_NOT_MAPPED"
    assert "result" not in skipped
    assert "result" not in failed


def test_a_child_can_be_skipped_under_a_completed_parent(client):
    details = client.job(PREFIX + "109")
    assert details["status"] == "COMPLETED"
    assert counts(details, 0) == (80, 0, 0, 80)
    assert counts(details, 1) == (0, 0, 240, 240)
    assert list(result_files(client, details)) == [
        "Products-products.csv",
        "Price_Tiers-price_tiers.csv",
    ]


def test_where_there_are_no_counts_the_result_settles_it_or_the_link_is_gone(client):
    rows = result_files(client, client.job(PREFIX + "110"))["Accounts-accounts_at.csv"]
    assert Counter(row["STATUS"] for row in rows) == {"added": 402, "skipped": 8}

    gone = client.get(client.job(PREFIX + "111")["result"]["download_url"])
    assert gone.status_code == 410
    assert gone.json()["x-info"] == "Link not valid"


def with_results():
    return [
        job_id for job_id, job in JOBS.items() if job.link_is_valid(EPOCH + 400) and job.has_counts
    ]


@pytest.mark.parametrize("job_id", with_results())
def test_results_agree_with_counts(client, clock, job_id):
    clock.now = EPOCH + 400
    details = client.job(job_id)
    files = list(result_files(client, details).items())
    assert len(files) == len(details["resource"])
    for number, (name, rows) in enumerate(files):
        resource = details["resource"][number]
        assert name.startswith(resource["module"]["api_name"] + "-")
        mapped = [m for m in resource["field_mappings"] if "index" in m]
        assert len(rows[0]) == min(3, len(mapped)) + 3
        assert list(rows[0])[-3:] == ["STATUS", "RECORD_ID", "ERRORS"]
        tally = Counter(row["STATUS"] for row in rows)
        added, updated, skipped, total = counts(details, number)
        assert (tally["added"], tally["updated"], tally["skipped"]) == (added, updated, skipped)
        assert len(rows) == total
        written = [row["RECORD_ID"] for row in rows if row["STATUS"] in ("added", "updated")]
        assert len(set(written)) == len(written)
        for row in rows:
            assert bool(row["ERRORS"]) == (row["STATUS"] == "skipped")
            # Headers hold colons too: a code after one is what parts two errors.
            for part in filter(None, re.split(r":(?=[A-Z_]+-)", row["ERRORS"])):
                code, _, columns = part.partition("-")
                assert code in ROW_CODES
                assert columns


def test_the_upload_of_a_sample_is_written_in_its_dialect(client):
    path = f"/__sandbox__/jobs/{PREFIX}120/upload"
    header, first, *_ = client.get(path).content.split(b"\r\n")
    assert header.decode("cp1250") == "No.;Name, last;E-Mail: main;Firm;Phone;City"
    assert first.count(b";") == 5
    assert client.job(f"{PREFIX}120")["character_encoding"] == "WINDOWS-1250"


def test_one_sample_holds_all_documented_codes():
    rows = JOBS[f"{PREFIX}120"].resources[0].rows()
    codes = {code for row in rows for code in re.findall(r"(?:^|:)([A-Z_]+)-", row.errors)}
    assert codes == ROW_CODES


def test_the_documented_result_has_100_skipped_rows(client):
    rows = result_files(client, client.job("111111000000541958"))["Deals-bulkwrite.csv"]
    assert list(rows[0]) == ["Deal_Name", "Stage", "STATUS", "RECORD_ID", "ERRORS"]
    assert Counter(row["STATUS"] for row in rows) == {"skipped": 100}
    reasons = Counter(row["ERRORS"] for row in rows)
    assert reasons.most_common(1) == [("MANDATORY_NOT_FOUND-Stage", 88)]
    assert all(not row["Stage"] for row in rows if row["ERRORS"] == "MANDATORY_NOT_FOUND-Stage")


def test_rows_look_like_what_is_said_of_them():
    resource = JOBS[PREFIX + "105"].resources[0]
    rows = list(resource.rows())
    email = resource.columns.index("Email")
    last_name = resource.columns.index("Last_Name")
    seen = set()
    for row in rows:
        if "MANDATORY_NOT_FOUND-Last_Name" in row.errors:
            assert row.values[last_name] == ""
        if row.errors == "INVALID_DATA-Email":
            assert "@" not in row.values[email]
        if row.errors == "DUPLICATE_DATA-Email":
            assert row.values[email] in seen
        seen.add(row.values[email])
    assert any(row.errors.count(":") for row in rows)
    assert upload_csv(resource).count(b"\n") == 1501


def test_a_file_with_its_own_headers_is_named_by_them_in_errors():
    errors = {row.errors for row in JOBS[PREFIX + "104"].resources[0].rows() if row.errors}
    assert "INVALID_DATA-E-Mail" in errors


def test_a_result_link_lasts_seven_days(client, clock):
    url = client.job(PREFIX + "101")["result"]["download_url"]
    clock.now = EPOCH + 6 * 86400
    client.token = client.sandbox.issue_token()
    assert client.get(url).status_code == 200
    clock.now = EPOCH + 7 * 86400
    client.token = client.sandbox.issue_token()
    assert client.get(url).status_code == 410


def test_the_download_needs_the_token_and_forgives_slashes(client):
    url = client.job(PREFIX + "101")["result"]["download_url"]
    assert re.fullmatch(r"/v7/crm/org6196138/bulk-write/(\d{18})/\1\.zip", url)
    assert client.get(url, headers={"Authorization": None}).status_code == 401
    assert client.get("/" + url).content == client.get(url).content
    assert client.get(url.replace("org6196138", "org1")).status_code == 404
    running = client.get(url.replace("700101", "700113"))
    assert running.json()["x-info"] == "Link not valid"


def test_a_restart_with_the_same_epoch_goes_on_and_speed_hurries(clock):
    clock.forward(30)
    with Sandbox(clock=clock, epoch=EPOCH) as again:
        assert Client(again).job(PREFIX + "116")["status"] == "COMPLETED"
        assert Client(again).job(PREFIX + "115")["status"] == "INPROGRESS"
    with Sandbox(clock=clock, epoch=EPOCH, speed=20) as fast:
        assert Client(fast).job(PREFIX + "115")["status"] == "COMPLETED"
        gone = Client(fast).job(PREFIX + "111")["result"]["download_url"]
        assert Client(fast).get(gone).status_code == 410


def test_the_error_vocabulary_has_no_code_without_a_message():
    assert all(status >= 400 and message for status, message in ERRORS.values())
