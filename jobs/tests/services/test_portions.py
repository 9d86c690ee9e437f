"""What a batch makes of refusals that seem to mean the whole connection."""

import pytest

from jobs.models import BulkWriteJob
from jobs.services.observing.asking import Portion
from jobs.tests.factories import answer, body
from jobs.zoho.errors import ZohoRejectedError

REFUSED = ZohoRejectedError("No.", code="NO_PERMISSION", http_status=403, scope="connection")


def portion_of(said: str) -> Portion:
    """A batch that has heard this: `a` for details of a job, `r` for a refusal."""
    portion = Portion(limit=10)
    job = BulkWriteJob(zoho_job_id="111111000000541958")
    for letter in said:
        portion.add(answer(job, body(job) if letter == "a" else REFUSED))
    return portion


@pytest.mark.parametrize("said", ["r", "ra", "ar", "rar", "arara"])
def test_with_an_answer_in_between_they_are_their_jobs_own(said):
    assert not portion_of(said).is_refusing


@pytest.mark.parametrize("said", ["rr", "arr", "rra", "rarra"])
def test_one_after_the_other_they_mean_the_connection(said):
    assert portion_of(said).is_refusing
