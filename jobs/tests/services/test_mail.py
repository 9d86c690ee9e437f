"""What the mail about a job that ended badly says, in text and HTML."""

import re

import pytest

from jobs.models import Alert, FieldMapping, Outcome, Resource, ResultFile, SkipReason
from jobs.services.wording import verdict_sentence
from jobs.tests.services.composed import Reader, compose, ended_job, html_of, with_reasons

pytestmark = pytest.mark.django_db

Kind = Alert.Kind


def test_the_verdict_comes_first_then_the_counts(production):
    job = ended_job(production)

    body = compose(Kind.NOTHING_IMPORTED, job=job).body

    assert " ".join(body.split("\n\n")[0].split()) == verdict_sentence(job)
    counts = re.findall(r"^  (\w+) +([\d,]+)(?:  \((.+)\))?$", body, re.MULTILINE)
    assert counts == [
        ("Added", "0", ""),
        ("Updated", "0", ""),
        ("Skipped", "100", "100 %"),
        ("Unprocessed", "0", ""),
        ("Total", "100", ""),
    ]


def test_large_counts_are_parted_and_the_unprocessed_are_told(production):
    job = ended_job(
        production,
        outcome=Outcome.PARTIAL,
        added_count=18250,
        skipped_count=3510,
        total_count=25000,
    )

    message = compose(Kind.SKIP_THRESHOLD, job=job)

    for shown in (message.body, Reader(html_of(message)).shown):
        assert "18,250" in shown
        assert re.search(r"Unprocessed\s+3,240", shown)


def test_absent_counts_are_unknown_and_not_0(production):
    job = ended_job(production, updated_count=None)

    message = compose(Kind.NOTHING_IMPORTED, job=job)

    assert re.search(r"Updated +unknown$", message.body, re.MULTILINE)
    assert "Updated unknown" in Reader(html_of(message)).shown


def test_a_job_without_any_count_says_that_they_are_unknown(production):
    job = ended_job(
        production,
        outcome=Outcome.FAILED,
        added_count=None,
        updated_count=None,
        skipped_count=None,
        total_count=None,
        skip_ratio=None,
    )

    message = compose(Kind.FAILED, job=job)

    for shown in (message.body, Reader(html_of(message)).shown):
        assert "The counts are unknown: Zoho has reported none." in shown
        assert "None" not in shown


def test_the_three_top_reasons_are_named_with_what_to_do(production):
    job = with_reasons(
        ended_job(production),
        ("DUPLICATE_DATA", "Email", 3),
        ("MANDATORY_NOT_FOUND", "Stage", 88),
        ("INVALID_DATA", "Closing_Date", 8),
        ("NOT_APPROVED", "", 1),
    )

    message = compose(Kind.NOTHING_IMPORTED, job=job)

    assert re.findall(r"^\d\. (.+)$", message.body, re.MULTILINE) == [
        "Stage: MANDATORY_NOT_FOUND, 88 rows",
        "Closing_Date: INVALID_DATA, 8 rows",
        "Email: DUPLICATE_DATA, 3 rows",
    ]
    shown = Reader(html_of(message)).shown
    assert "What to do: Map a column to the field and fill it in every row" in shown
    assert "NOT_APPROVED" not in shown + message.body


def test_a_reason_comes_with_what_the_mapping_says_of_it(production):
    job = ended_job(production)
    for position, module in enumerate(("Deals", "Leads")):
        resource = Resource.objects.create(job=job, module=module, position=position)
        mapping = {"api_name": "Stage", "index": 132}
        FieldMapping.objects.create(resource=resource, position=0, **mapping)
    with_reasons(job, ("MANDATORY_NOT_FOUND", "Company", 88), ("INVALID_DATA", "Stage", 5))
    ResultFile.objects.update(resource=job.resources.first(), columns=["Stage"])

    message = compose(Kind.NOTHING_IMPORTED, job=job)

    shown = Reader(html_of(message)).shown
    for told in (
        "Company is mandatory and was not mapped.",
        "Stage came from column 133.",
    ):
        assert f"   {told}\n" in message.body
        assert told in shown
    # Several files are named.
    assert "Company: MANDATORY_NOT_FOUND, 88 rows, Deals-x.csv\n" in message.body
    assert "MANDATORY_NOT_FOUND Deals-x.csv" in shown


def test_no_value_of_a_row_is_in_a_mail(production):
    job = ended_job(production)
    resource = Resource.objects.create(job=job, module="Deals", position=0)
    FieldMapping.objects.create(resource=resource, position=0, api_name="Email", index=0)
    with_reasons(job, ("INVALID_DATA", "Email", 9))
    ResultFile.objects.update(resource=resource, columns=["Email"])
    values = [["ito@canary.example", 9]]
    SkipReason.objects.update(facts={"column": 0, "empty": 0, "values": values, "different": 1})

    message = compose(Kind.NOTHING_IMPORTED, job=job)

    assert "Email came from column 1." in message.body
    assert "canary" not in message.body + html_of(message)


def test_further_reasons_are_counted(production):
    job = with_reasons(ended_job(production), *(("INVALID_DATA", f"F{n}", n + 1) for n in range(8)))

    message = compose(Kind.NOTHING_IMPORTED, job=job)

    assert "And 5 more reasons: see the job's page." in message.body
    assert "And 5 more reasons" in html_of(message)
    assert "F7" in message.body
    assert "F4" not in message.body


def test_skips_without_known_reasons_say_that_they_are_not_known(production):
    message = compose(Kind.NOTHING_IMPORTED, job=ended_job(production))

    for shown in (message.body, Reader(html_of(message)).shown):
        assert "Why rows were skipped is not known" in shown


def test_it_tells_who_started_it_and_when_with_connection_and_file(production):
    message = compose(Kind.NOTHING_IMPORTED, job=ended_job(production))

    for shown in (" ".join(message.body.split()), Reader(html_of(message)).shown):
        assert "Started by Patricia Boyle, 30 January 2019, 14:18 UTC" in shown
        assert "Connection production" in shown
        assert "File Deals.csv" in shown


def test_what_zoho_left_unsaid_is_left_out(production):
    job = ended_job(production, created_by_name="", created_time=None, operation="", file_names="")

    message = compose(Kind.NOTHING_IMPORTED, job=job)

    for shown in (message.body, Reader(html_of(message)).shown):
        assert "Started" not in shown
        assert "File" not in shown
        assert "None" not in shown


def test_the_text_has_one_link_and_it_leads_to_the_job(production, settings):
    settings.SITE_URL = "https://bulkwatch.example.com"
    job = ended_job(production)

    message = compose(Kind.NOTHING_IMPORTED, job=job)

    page = f"https://bulkwatch.example.com/jobs/{job.pk}/"
    assert re.findall(r"https?://\S+", message.body) == [page]
    assert Reader(html_of(message)).links[0] == page


def test_the_limit_that_was_passed_is_named(production):
    job = ended_job(production, outcome=Outcome.PARTIAL, added_count=60, skipped_count=40)
    fact = f"{verdict_sentence(job)} The limit is 10 %."

    body = compose(Kind.SKIP_THRESHOLD, job=job, text=fact).body

    assert "The limit is 10 %." in body
    assert body.count("not in the CRM") == 1


def test_several_resources_each_have_their_counts(production):
    job = ended_job(production, outcome=Outcome.PARTIAL, added_count=100, skipped_count=40)
    for position, (module, status, added, skipped) in enumerate(
        [("Quotes", "COMPLETED", 100, 0), ("Quoted_Items", "SKIPPED", None, 40)]
    ):
        Resource.objects.create(
            job=job,
            position=position,
            module=module,
            status=status,
            status_raw=status,
            added_count=added,
            updated_count=0,
            skipped_count=skipped,
            total_count=100,
        )

    message = compose(Kind.SKIPPED, job=job, text="The part for Quoted_Items was skipped.")

    assert "The part for Quoted_Items was skipped." in message.body
    assert "Quotes: COMPLETED\n  added 100, updated 0, skipped 0, total 100" in message.body
    assert "Quoted_Items: SKIPPED\n  added unknown, updated 0, skipped 40" in message.body
    assert "unknown added, 0 updated, 40 skipped" in Reader(html_of(message)).shown


def test_the_code_that_zoho_gave_for_a_failure_is_explained(production):
    job = ended_job(production, outcome=Outcome.FAILED, status="FAILED")
    Resource.objects.create(
        job=job, position=0, module="Leads", status="FAILED", code="MANDATORY_FIELDS_NOT_MAPPED"
    )

    body = " ".join(compose(Kind.FAILED, job=job).body.split())

    assert "Leads: MANDATORY_FIELDS_NOT_MAPPED. Mandatory fields of the module" in body
    assert "What to do: Map every mandatory field" in body


def test_a_code_that_says_no_more_than_the_status_is_left_out(production):
    job = ended_job(production, outcome=Outcome.FAILED, status="FAILED")
    Resource.objects.create(job=job, position=0, module="Leads", status="FAILED", code="FAILED")

    assert "What to do" not in compose(Kind.FAILED, job=job).body


def test_numbers_that_contradict_each_other_are_told(production):
    job = ended_job(production, warnings=["Zoho's count and its result file differ: 1 & 2."])

    message = compose(Kind.NOTHING_IMPORTED, job=job)

    for shown in (" ".join(message.body.split()), Reader(html_of(message)).shown):
        assert "Note: Zoho's count and its result file differ: 1 & 2." in shown
