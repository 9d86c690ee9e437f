"""Each error that Zoho documents, as it comes over the wire."""

import pytest

from jobs.tests.documented_errors import DOCUMENTED
from jobs.tests.zoho.clients import DETAILS_URL, envelope
from jobs.tests.zoho.support import JOB_ID
from jobs.zoho.errors import ZohoError


@pytest.mark.parametrize("documented", DOCUMENTED, ids=lambda one: f"{one.code}-{one.status}")
def test_a_documented_error_is_told_by_its_code(zoho, client, documented):
    zoho.get(DETAILS_URL, json=envelope(documented.code), status=documented.status)

    with pytest.raises(ZohoError) as caught:
        client.job_details(JOB_ID)

    error = caught.value
    assert (error.code, error.http_status) == (documented.code, documented.status)
    assert (error.kind, error.scope) == (documented.kind, documented.concerns)
    if documented.kind != "throttled":
        assert documented.what_to_do in error.resolution
