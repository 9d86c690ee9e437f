"""The page that tells of an error which Zoho documents: what it means and what to do."""

import pytest

from jobs.services.results import fetching
from jobs.tests.documented_errors import DOCUMENTED
from jobs.tests.factories import completed, make_connection, make_job, observe
from jobs.tests.services.batches import poll_due
from jobs.tests.stand_in import error_body, result_url
from jobs.tests.views.pages import plain_text


# A rejected token is renewed by a thread, which sees only what is committed.
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("documented", DOCUMENTED, ids=lambda one: f"{one.code}-{one.status}")
def test_the_page_of_what_an_error_concerns_says_what_it_means_and_what_to_do(
    admin, zoho, documented
):
    connection = make_connection()
    job = make_job(connection)
    zoho.gives_tokens()
    zoho.says(job, error_body(documented.code, "Zoho's words"), documented.status)
    poll_due()

    pages = {"job": f"/jobs/{job.pk}/", "connection": f"/connections/{connection.pk}/"}
    page = plain_text(admin.get(pages[documented.concerns]))

    assert documented.words in page
    assert documented.what_to_do in page
    if documented.kind != "throttled":
        assert f"({documented.code}" in page


@pytest.mark.parametrize("status", [502, 503])
def test_a_page_of_a_gateway_is_an_outage_of_the_connection(admin, zoho, status):
    connection = make_connection()
    job = make_job(connection)
    zoho.gives_tokens()
    zoho.says(job, b"<html>Bad Gateway</html>", status)
    poll_due()

    page = plain_text(admin.get(f"/connections/{connection.pk}/"))

    assert f"Zoho is not available (HTTP {status})." in page
    assert "tries again by itself" in page


def test_a_link_that_is_not_valid_any_more_is_told_on_the_job_s_page(admin, zoho):
    job = make_job(make_connection())
    observe(job, completed(job, added=1, updated=0, skipped=0, total=1))
    zoho.gives_tokens()
    link_not_valid = {"info": "Forbidden", "x-info": "Link not valid", "http_status": "403"}
    zoho.mock.get(result_url(job), json=link_not_valid, status=403)
    fetching.fetch(*fetching.claim_due())

    page = plain_text(admin.get(f"/jobs/{job.pk}/"))

    assert "Link not valid" in page
    assert "Nothing brings this file back" in page
