"""Why rows were left out, the mappings and what changed in them, on the page of a job."""

import re
from datetime import UTC, datetime

import pytest
from django.utils.html import escape

from jobs.models import FieldMapping, Resource, Result, ResultFile, SkipReason
from jobs.tests.factories import make_connection, make_job
from jobs.views import job_page

DAY = datetime(2026, 11, 20, 9, tzinfo=UTC)


@pytest.fixture
def connection(db):
    return make_connection(name="production")


def ended_job(connection, day=20, **fields):
    created = DAY.replace(day=day)
    return make_job(
        connection, status="COMPLETED", created_time=created, poll_state="done", **fields
    )


def add_resource(job, *mappings, module="Leads", position=0, **fields):
    resource = Resource.objects.create(job=job, module=module, position=position, **fields)
    FieldMapping.objects.bulk_create(
        FieldMapping(resource=resource, position=n, api_name=name, **more)
        for n, (name, more) in enumerate(mappings)
    )
    return resource


def add_file(resource, columns, *reasons, rows=10, left_out=4, state="archived"):
    result, _ = Result.objects.get_or_create(job=resource.job, defaults={"state": state})
    file = ResultFile.objects.create(
        result=result,
        resource=resource,
        position=resource.position,
        name=f"{resource.module}.csv",
        size=1,
        columns=columns,
        rows=rows,
        skipped_rows=left_out,
        unprocessed_rows=0,
    )
    for code, field, hit, *rest in reasons:
        more = rest[0] if rest else {}
        SkipReason.objects.create(file=file, code=code, field=field, rows=hit, **more)
    return file


LEADS = (
    ("Last_Name", {"index": 0}),
    ("Email", {"index": 1}),
    ("City", {"index": 2}),
    ("Phone", {"index": 3}),
)


def page_of(client, job):
    return client.get(f"/jobs/{job.pk}/")


def text_of(response):
    return " ".join(re.sub(r"<[^>]+>", " ", response.content.decode()).split())


def test_a_reason_leads_to_its_rows_and_to_their_csv(alice, connection):
    job = ended_job(connection)
    add_file(
        add_resource(job, *LEADS),
        ["Last name & co", "Email", "City"],
        ("INVALID_DATA", "Last name & co", 3),
        ("NO_REASON_GIVEN", "", 1),
    )

    page = page_of(alice, job).content.decode()

    query = "file=0&code=INVALID_DATA&field=Last+name+%26+co"
    assert f'href="/jobs/{job.pk}/rows/?{escape(query)}"' in page
    assert f'href="/jobs/{job.pk}/rows.csv?{escape(query)}"' in page
    assert escape("?file=0&code=NO_REASON_GIVEN&field=") + '"' in page
    # What can be copied is what Zoho wrote, and it wrote nothing there.
    assert 'data-copy="INVALID_DATA-Last name &amp; co"' in page
    assert 'data-copy="NO_REASON_GIVEN' not in page
    assert "No error named" in page
    assert alice.get(f"/jobs/{job.pk}/rows/?{query}").status_code == 200


def test_a_reason_shows_its_share_rows_values_and_code(alice, connection):
    job = ended_job(connection)
    facts = {"column": 1, "empty": 1, "values": [["n/a", 2]], "different": 1}
    reason = ("INVALID_DATA", "Email", 3, {"facts": facts, "first_rows": [2, 5, 1007]})
    add_file(add_resource(job, *LEADS), ["Last_Name", "Email", "City"], reason)

    response = page_of(alice, job)
    text = text_of(response)

    assert "3 rows 75 % of those left out" in text
    assert "Rows: 2, 5, 1,007" in text
    assert "Most frequent: n/a 2 " in text
    assert "Email came from column 2: “n/a” stands in 2 of the 3 rows hit, 1 is empty." in text
    assert "The value does not suit the field" in text
    assert 'data-copy="INVALID_DATA-Email"' in response.content.decode()


def test_what_can_be_opened_keeps_the_focus_over_a_refresh(alice, connection):
    job = ended_job(connection)
    sample = {"samples": [{"row": 3, "values": ["x"]}]}
    add_file(add_resource(job, *LEADS), ["Email"], ("INVALID_DATA", "Email", 4, sample))

    summaries = re.findall(r"<summary[^>]*>", page_of(alice, job).content.decode())

    # The navigation's menu is replaced by no refresh.
    assert len(summaries) == 3
    assert [found for found in summaries if " id=" not in found] == ["<summary>"]


def test_shares_that_make_no_sense_are_left_out(alice, connection):
    job = ended_job(connection)
    add_file(add_resource(job, *LEADS), [], ("INVALID_DATA", "Email", 5), left_out=4)

    assert page_of(alice, job).context["reasons"][0].share is None


def test_rows_of_a_result_that_is_not_kept_are_not_linked(alice, connection):
    job = ended_job(connection)
    resource = add_resource(job, *LEADS)
    add_file(resource, [], ("INVALID_DATA", "Email", 3), state="deleted")

    page = page_of(alice, job).content.decode()

    assert "INVALID_DATA-Email" in page
    assert f"/jobs/{job.pk}/rows" not in page
    assert "attach-for-" not in page


def test_a_column_that_is_not_shown_leads_to_the_uploaded_file(alice, connection):
    job = ended_job(connection)
    columns = ["Last_Name", "Email", "City"]
    hidden, shown = ("INVALID_DATA", "Phone", 3), ("INVALID_DATA", "Email", 1)
    add_file(add_resource(job, *LEADS), columns, hidden, shown)

    page = page_of(alice, job).content.decode()

    links = re.findall(r'id="attach-for-\d+" href="(.+?)"', page)
    assert links == [f"/jobs/{job.pk}/reimport/"]


def test_several_files_are_named_and_a_reason_of_both_is_added_up(alice, connection):
    job = ended_job(connection)
    for position, module in enumerate(("Leads", "Contacts")):
        resource = add_resource(job, *LEADS, module=module, position=position)
        add_file(resource, ["Email"], ("INVALID_DATA", "Email", 3 - position))

    response = page_of(alice, job)
    text = text_of(response)

    assert [row.rows_together for row in response.context["reasons"]] == [5, 5]
    assert "Leads.csv in all files together 5 rows" in text
    assert "50 % of those left out of this file" in text


def test_names_in_errors_may_be_headers(alice, connection):
    job = ended_job(connection)
    columns = ["Surname", "E-Mail address", "Town"]
    add_file(add_resource(job, *LEADS), columns, ("INVALID_DATA", "E-Mail address", 3))

    [part] = page_of(alice, job).context["parts"]

    first = part.mappings[0]
    assert (first.mapping.api_name, first.header, first.rows) == ("Email", "E-Mail address", 3)
    assert part.missing == []


def test_mandatory_fields_that_were_not_mapped_come_first_in_the_mappings(alice, connection):
    job = ended_job(connection)
    reasons = (
        ("MANDATORY_NOT_FOUND", "Company", 4),
        ("INVALID_DATA", "Owner", 1),
        ("MANDATORY_NOT_FOUND", "Email", 2),
    )
    add_file(add_resource(job, *LEADS[:3]), ["Last_Name", "Email", "City"], *reasons)

    response = page_of(alice, job)
    [part] = response.context["parts"]

    assert [(field.name, field.is_certain) for field in part.missing] == [("Company", True)]
    assert "Company not mapped" in text_of(response)
    page = response.content.decode()
    assert page.index("not-mapped") < page.index("<code>Last_Name</code>")
    assert (
        f'href="/jobs/{job.pk}/rows/?file=0&amp;code=MANDATORY_NOT_FOUND&amp;field=Email"' in page
    )


def test_a_name_that_may_be_a_hidden_header_is_not_called_unmapped(alice, connection):
    job = ended_job(connection)
    columns = ["Last_Name", "Email", "City"]
    add_file(add_resource(job, *LEADS), columns, ("MANDATORY_NOT_FOUND", "Telephone", 4))

    response = page_of(alice, job)

    assert response.context["parts"][0].missing[0].is_certain is False
    assert "Telephone no mapping named so" in text_of(response)


def test_the_mapping_is_compared_with_that_of_the_job_before(alice, connection):
    before = ended_job(connection, 19, label="Last week")
    add_resource(before, *LEADS, skipped_count=1, total_count=50)
    job = ended_job(connection)
    moved = (("Last_Name", {"index": 0}), ("Email", {"index": 5}))
    resource = add_resource(job, *moved, skipped_count=4, total_count=10)
    invalid, waiting = ("INVALID_DATA", "Email", 3), ("NOT_APPROVED", "Email", 1)
    add_file(resource, ["Last_Name", "Email"], invalid, waiting)

    response = page_of(alice, job)
    text, page = text_of(response), response.content.decode()

    assert "Compared with Last week , 19 Nov 2026, 09:00 : 3 changes ." in text
    assert "Skipped then: 2 %; now: 40 %." in text
    assert "Email : column 2 → column 6" in text
    assert "City : no longer mapped, was column 3" in text
    assert f'id="before-0" href="/jobs/{before.pk}/"' in page
    told = [row.changes for row in response.context["reasons"]]
    assert [str(change) for change in told[0]] == ["Email: column 2 → column 6"]
    assert told[1] == []  # a record that waits for approval waits wherever its column is
    assert text.count("Changed since the job before : column 2 → column 6.") == 1


def test_a_mapping_that_did_not_change_and_the_first_of_its_module_say_so(alice, connection):
    before, job = ended_job(connection, 19), ended_job(connection)
    for each in (before, job):
        add_resource(each, *LEADS)

    assert ": no difference ." in text_of(page_of(alice, job))
    assert "Skipped then: unknown; now: unknown." in text_of(page_of(alice, job))
    assert "Nothing to compare with" in text_of(page_of(alice, before))


def test_more_reasons_than_are_shown_are_counted(alice, connection, monkeypatch):
    monkeypatch.setattr(job_page, "REASONS_SHOWN", 2)
    job = ended_job(connection)
    reasons = [("INVALID_DATA", f"Field_{n}", 9 - n) for n in range(5)]
    add_file(add_resource(job, *LEADS), [], *reasons)

    response = page_of(alice, job)

    assert len(response.context["reasons"]) == 2
    assert "3 further reasons with as many rows or fewer are not listed here" in text_of(response)

    monkeypatch.setattr(job_page, "REASONS_READ", 4)
    assert "At least 2 further reasons" in text_of(page_of(alice, job))


def test_the_number_of_queries_grows_with_neither_resources_mappings_nor_reasons(
    alice, connection, django_assert_max_num_queries
):
    job = ended_job(connection)
    before = ended_job(connection, 19)
    for position, module in enumerate(("Leads", "Contacts", "Deals", "Accounts", "Products")):
        mappings = [(f"Field_{n}", {"index": n}) for n in range(30)]
        resource = add_resource(job, *mappings, module=module, position=position)
        add_resource(before, *mappings[1:], module=module, position=position)
        reasons = [("INVALID_DATA", f"Field_{n}", n + 1) for n in range(10)]
        add_file(resource, ["Field_0", "Field_1", "Field_2"], *reasons)

    # session, user, the monitor's health (3), alerts of the navigation; the job, its result and
    # files, alerts, resources, mappings, reasons, the jobs before (4), states, events, snapshots
    with django_assert_max_num_queries(20):
        page_of(alice, job)


@pytest.mark.parametrize(
    "facts", [{}, {"values": None}, {"column": 0, "values": [], "empty": None}]
)
def test_facts_that_lack_parts_are_borne(alice, connection, facts):
    job = ended_job(connection)
    reasons = [
        (code, "Email", 3, {"facts": facts})
        for code in ("MANDATORY_NOT_FOUND", "INVALID_DATA", "DUPLICATE_DATA", "RESOURCE_NOT_FOUND")
    ]
    add_file(add_resource(job, *LEADS), ["Last_Name", "Email", "City"], *reasons)

    assert "Email came from column 2" in text_of(page_of(alice, job))


def test_hostile_names_and_values_are_text(alice, connection):
    evil = "<script>alert(1)</script>"
    before, job = ended_job(connection, 19, label=evil), ended_job(connection)
    add_resource(before, (evil, {"index": 1, "format": evil}))
    mapping = {"index": 0, "format": "x", "default_value": {"value": evil}}
    facts = {"column": 0, "empty": 0, "values": [[evil, 3]], "different": 1}
    more = {"facts": facts, "samples": [{"row": 1, "values": [evil]}]}
    add_file(add_resource(job, (evil, mapping)), [evil], ("INVALID_DATA", evil, 3, more))

    page = page_of(alice, job).content.decode()

    assert "<script>alert" not in page
    assert page.count("&lt;script&gt;alert(1)") > 5


def test_of_many_changes_those_are_listed_that_no_field_is_marked_with(alice, connection):
    mappings = [(f"Field_{n}", {"index": n}) for n in range(24)]
    before, job = ended_job(connection, 19), ended_job(connection)
    add_resource(before, *mappings, ("Dropped", {"index": 30}))
    add_resource(job, *((name, {"index": more["index"] + 1}) for name, more in mappings))

    response = page_of(alice, job)
    listed = response.content.decode().partition('id="changes-0"')[2].partition("</ul>")[0]

    assert listed.count("<li>") == 22
    assert "no longer mapped, was column 31" in listed
    assert "The others are marked at their fields below." in listed
    assert "25 changes" in text_of(response)
