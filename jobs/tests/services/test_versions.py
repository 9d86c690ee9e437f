"""Versions v2 to v8 of Zoho's API read alike."""

import time

import pytest

from jobs.forms.connections import API_VERSIONS
from jobs.models import BulkWriteJob, Result
from jobs.sandbox.samples import sample_jobs
from jobs.sandbox.server import Sandbox
from jobs.services import job_json
from jobs.services.observing import polling
from jobs.services.results import fetching
from jobs.tests.plugins.stand_in_org import track

pytestmark = pytest.mark.django_db

# v2 knows no code of a resource, and no column that ties a child's row to its parent's.
LATER_THAN_V2 = {"code", "parent_column_index"}
SAID_OF_A_JOB = (
    *("status", "status_raw", "outcome", "needs_attention", "operation", "character_encoding"),
    *("created_by", "created_time", "counts", "skip_ratio", "warnings"),
)


@pytest.fixture
def sandbox():
    # All samples that ever end have ended, and their links still work.
    with Sandbox(epoch=time.time() - 86_400) as running:
        running.set_options(token_throttling=False)
        yield running


def read_with(connect, version, job_ids):
    """What is known of the jobs once they were polled and their results fetched."""
    connection = connect(version, api_version=version)
    track(connection, job_ids)
    jobs = BulkWriteJob.objects.filter(connection=connection)
    polling.poll_now(list(jobs))
    for result in Result.objects.filter(job__connection=connection):
        fetching.fetch(result.pk)
    return {job.zoho_job_id: everything_of(job) for job in jobs.all()}


def everything_of(job):
    read = job_json.as_json(job)
    result = Result.objects.filter(job=job).first()
    return {
        "job": {name: read[name] for name in SAID_OF_A_JOB},
        "resources": [
            {
                "status": resource.status,
                "module": resource.module,
                "code": resource.code,
                "file": resource.file_name,
                "counts": (
                    resource.added_count,
                    resource.updated_count,
                    resource.skipped_count,
                    resource.total_count,
                ),
                "mappings": [
                    {
                        name: getattr(mapping, name)
                        for name in (
                            *("api_name", "index", "find_by", "format", "default_value"),
                            *("module", "parent_column_index"),
                        )
                    }
                    for mapping in resource.field_mappings.all()
                ],
            }
            for resource in job.resources.all()
        ],
        "result": result
        and (
            result.state,
            result.sha256,
            [
                (file.name, file.rows, file.skipped_rows, list(reasons_of(file)))
                for file in result.files.all()
            ],
        ),
    }


def reasons_of(file):
    return file.reasons.order_by("code", "field").values_list("code", "field", "rows")


def without(names, value):
    if isinstance(value, dict):
        return {key: without(names, item) for key, item in value.items() if key not in names}
    if isinstance(value, list):
        return [without(names, item) for item in value]
    return value


def test_all_versions_read_the_same_jobs_alike(connect):
    job_ids = [job_id for job_id, _, _ in sample_jobs()]
    v7 = read_with(connect, "v7", job_ids)
    assert len(v7) == len(job_ids)
    assert any(found["result"] for found in v7.values())
    assert any(len(found["resources"]) > 1 for found in v7.values())

    for version in set(API_VERSIONS) - {"v7"}:
        found = read_with(connect, version, job_ids)
        if version == "v2":
            assert without(LATER_THAN_V2, found) == without(LATER_THAN_V2, v7)
        else:
            assert found == v7, version
