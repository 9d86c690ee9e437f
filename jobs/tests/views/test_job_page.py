"""The page of one job."""

import html
import re
from datetime import timedelta

import pytest
from django.utils import timezone

from jobs.models import Alert, BulkWriteJob, JobEvent, Snapshot
from jobs.templatetags.bulkwatch import icon
from jobs.tests.factories import (
    body,
    completed,
    make_connection,
    make_job,
    make_result,
    observe,
    resource,
)
from jobs.tests.views.pages import page_of, text_of
from jobs.zoho.errors import ZohoRejectedError

HTMX = {"HX-Request": "true"}
SKIPPED_ROWS = (
    "Last_Name,Company,STATUS,RECORD_ID,ERRORS\n"
    "Boyle,Acme,ADDED,1,\n"
    ",Bolt,SKIPPED,,MANDATORY_NOT_FOUND-Last_Name\n"
    ",Crate,SKIPPED,,MANDATORY_NOT_FOUND-Last_Name:INVALID_DATA-Company\n"
    "Okafor,Dune,SKIPPED,,MANDATORY_NOT_FOUND-Stage\n"
)


@pytest.fixture
def job(db):
    return make_job(make_connection(name="production"))


def refreshes_itself(page):
    return re.search(r'id="job-live"[^>]* hx-trigger="every', page) is not None


def test_an_unknown_job_is_a_page_that_says_so(alice, db):
    response = alice.get("/jobs/4711/")

    assert response.status_code == 404
    assert "<h1" in response.content.decode()
    assert alice.get("/jobs/99999999999999999999999/").status_code == 404


def test_the_verdict_is_the_heading(alice, job):
    observe(job, completed(job, added=12, updated=0, skipped=88, total=100))

    page = page_of(alice, job)

    assert re.search(
        r"<h1[^>]*>Imported with skips: 88 of 100 rows are not in the CRM\.</h1>", page
    )


def test_counts_come_with_their_shares_and_the_raw_status(alice, job):
    observe(job, completed(job, added=12, updated=0, skipped=88, total=100))

    text = text_of(page_of(alice, job))

    assert "Added 12 12 %" in text
    assert "Skipped 88 88 %" in text
    assert "Total 100 rows" in text
    assert "COMPLETED" in text


def test_what_is_unknown_is_never_zero(alice, job):
    observe(job, body(job, "INPROGRESS", resource("INPROGRESS")))

    text = text_of(page_of(alice, job))

    assert "Added unknown" in text
    assert "Total unknown" in text
    assert "Added 0" not in text


def test_each_resource_has_its_own_row(alice, job):
    observe(
        job,
        body(
            job,
            "COMPLETED",
            resource(module="Products", added=80, updated=0, skipped=0, total=80),
            resource(module="Price_Tiers", added=0, updated=0, skipped=240, total=240),
        ),
    )

    text = text_of(page_of(alice, job))

    assert "Files of the job 2" in text
    assert "100 % skipped" in text
    assert "0 % skipped" in text


def test_an_unknown_status_is_shown_as_zoho_wrote_it(alice, job):
    observe(job, body(job, "Queued Up", resource("Queued Up")))

    assert "Queued Up" in page_of(alice, job)


def test_it_refreshes_itself_until_the_end(alice, job):
    observe(job, body(job, "INPROGRESS", resource("INPROGRESS")))
    assert 'hx-trigger="every 3s"' in page_of(alice, job)

    observe(job, completed(job, added=1, updated=0, skipped=0, total=1))
    assert 'hx-trigger="every 3s"' in page_of(alice, job)  # the result is still to come

    make_result(job, {"Leads.csv": "Last_Name,STATUS\nBoyle,ADDED\n"})
    assert not refreshes_itself(page_of(alice, job))
    assert not refreshes_itself(page_of(alice, job, **HTMX))


def test_it_waits_for_an_alert_to_leave(alice, job):
    observe(job, body(job, "FAILED", resource("FAILED")))
    job.poll_state = "done"
    job.save()
    assert refreshes_itself(page_of(alice, job))

    Alert.objects.update(state=Alert.State.SENT)
    assert not refreshes_itself(page_of(alice, job))


def test_what_comes_late_is_asked_for_less_often(alice, job):
    observe(job, body(job, "INPROGRESS", resource("INPROGRESS")))
    job.next_poll_at = timezone.now() + timedelta(minutes=5)
    job.save()

    assert 'hx-trigger="every 15s"' in page_of(alice, job)


def test_a_job_of_a_paused_connection_is_not_asked_for(alice, job):
    job.connection.paused = True
    job.connection.save()

    page = page_of(alice, job)

    assert not refreshes_itself(page)
    assert "paused" in page


def test_a_refresh_brings_the_live_part_alone(alice, job):
    response = alice.get(f"/jobs/{job.pk}/", headers=HTMX)
    page = response.content.decode()

    assert 'id="job-live"' in page
    assert "<html" not in page
    assert "HX-Request" in response["Vary"]


def test_what_zoho_refuses_is_said_with_what_to_do(alice, job):
    error = ZohoRejectedError(
        "Not this one", code="NEW_CODE", http_status=400, resolution="Check the ID."
    )
    observe(job, error)

    text = text_of(page_of(alice, job))

    assert "Cannot be read" in text
    assert "Unknown: Zoho refuses to say anything about this job." in text
    assert "Zoho refuses to be asked about this job. Not this one. (NEW_CODE) (HTTP 400)" in text
    assert "Check the ID." in text


def test_an_id_that_zoho_does_not_know_is_unknown_not_refused(alice, job):
    error = ZohoRejectedError(
        "The requested resource doesn't exist.",
        code="RESOURCE_NOT_FOUND",
        http_status=404,
        resolution="Check the ID.",
    )
    for _ in range(2):
        observe(job, error)
    said = (
        "Zoho knows no bulk write job with this ID. "
        "(RESOURCE_NOT_FOUND: “The requested resource doesn&#x27;t exist.”)"
    )

    text = text_of(page_of(alice, job))
    report = text_of(alice.get(f"/jobs/track/states/?jobs={job.pk}").content.decode())
    row = text_of(alice.get("/jobs/").content.decode())

    assert "Unknown: Zoho knows no job with this id." in text
    assert f"{said} (HTTP 404) Check the ID." in text
    assert Alert.objects.get().text == html.unescape(said)
    for shown in (text, report, row):
        assert "Unknown to Zoho" in shown
        assert "refuses" not in shown


def test_an_ended_job_that_zoho_has_forgotten_is_not_said_to_be_tried_again(alice, job):
    observe(job, completed(job, added=1, updated=0, skipped=0, total=1))
    observe(job, ZohoRejectedError("Gone.", code="RESOURCE_NOT_FOUND", http_status=404))

    text = text_of(page_of(alice, job))

    assert "The last check failed. Zoho knows no bulk write job with this ID." in text
    assert "Imported: 1 row is in the CRM, none skipped." in text


def test_reasons_say_what_happened_and_what_to_do(alice, job):
    observe(job, completed(job, added=1, updated=0, skipped=3, total=4))
    make_result(job, {"Leads-Leads.csv": SKIPPED_ROWS})

    response = alice.get(f"/jobs/{job.pk}/")
    text = text_of(response.content.decode())
    first = response.context["reasons"][0]

    assert (first.reason.code, first.reason.field, first.reason.rows) == (
        "MANDATORY_NOT_FOUND",
        "Last_Name",
        2,
    )
    assert first.share == pytest.approx(2 / 3)
    assert "A mandatory field has no value" in text
    assert "Map a column to the field and fill it in every row" in text
    assert "Last_Name came from column 1" in text
    assert "Stage is mandatory and was not mapped." in text
    assert "Crate" in text  # a sample row


def test_fields_with_errors_come_first_in_the_mappings(alice, job):
    answer = completed(job, added=1, updated=0, skipped=3, total=4)
    answer["resource"][0]["field_mappings"] = [
        {"api_name": "Company", "index": 0},
        {"api_name": "Last_Name", "index": 132, "default_value": {"value": "x"}},
    ]
    observe(job, answer)
    make_result(
        job,
        {
            "Leads-Leads.csv": "Company,Last_Name,STATUS,RECORD_ID,ERRORS\n"
            "Bolt,,SKIPPED,,MANDATORY_NOT_FOUND-Last_Name\n"
            "Crate,,SKIPPED,,MANDATORY_NOT_FOUND-Last_Name:INVALID_DATA-Company\n"
        },
    )

    response = alice.get(f"/jobs/{job.pk}/")
    [part] = response.context["parts"]

    assert [(row.mapping.api_name, row.hits[0].reason.rows) for row in part.mappings] == [
        ("Last_Name", 2),
        ("Company", 1),
    ]
    assert "column 133 (index 132)" in response.content.decode()


def test_the_primary_action_fits_the_verdict(alice, job):
    assert 'class="btn btn-primary" id="action-refresh"' in page_of(alice, job)

    observe(job, completed(job, added=1, updated=0, skipped=3, total=4))
    make_result(job, {"Leads-Leads.csv": SKIPPED_ROWS})

    page = page_of(alice, job)
    assert f'id="action-download" href="/jobs/{job.pk}/skipped.csv"' in page
    assert 'class="btn btn-outline-secondary" id="action-refresh"' in page


def test_an_import_that_nobody_could_check_has_no_tick_and_says_so(alice, job):
    observe(job, completed(job, added=1, updated=0, skipped=0, total=1))
    tick = str(icon("circle-check", 22))
    page = page_of(alice, job)
    assert "none skipped" in page
    assert tick in page

    BulkWriteJob.objects.update(needs_attention=True)

    page = page_of(alice, job)
    assert "no result file could be read to check them" in page
    assert tick not in page


@pytest.mark.parametrize(
    ("state", "words"),
    [
        ("expired", "Zoho no longer has the result file."),
        ("refused", "For safety"),
        ("failed", "could not be fetched"),
        ("pending", "it is being fetched"),
    ],
)
def test_a_result_that_is_not_kept_says_why(alice, job, state, words):
    observe(job, completed(job, added=1, updated=0, skipped=0, total=1))
    job.result.state = state
    job.result.error = {"message": "Told so.", "resolution": "Do this.", "code": "E1"}
    job.result.save()

    text = text_of(page_of(alice, job))

    assert words in text
    assert "Told so." in text
    assert "Do this." in text


def test_the_timeline_tells_how_long_each_status_lasted(alice, job):
    start = timezone.now() - timedelta(minutes=10)
    for minutes, answer in (
        (0, body(job, "ADDED", resource("ADDED"))),
        (2, body(job, "INPROGRESS", resource("INPROGRESS", added=1, total=9))),
        (3, body(job, "INPROGRESS", resource("INPROGRESS", added=5, total=9))),
        (5, completed(job, added=9, updated=0, skipped=0, total=9)),
    ):
        observe(job, answer, asked_at=start + timedelta(minutes=minutes))

    response = alice.get(f"/jobs/{job.pk}/")
    states = [moment for moment in response.context["timeline"] if moment.event is None]

    assert [state.status_raw for state in states] == ["ADDED", "INPROGRESS", "COMPLETED"]
    assert [state.lasted for state in states] == [
        timedelta(minutes=2),
        timedelta(minutes=3),
        None,
    ]
    assert states[1].states == 2
    assert "lasted 2 min" in response.content.decode()


def test_a_status_that_holds_says_for_how_long_so_far(alice, job):
    observe(
        job,
        body(job, "INPROGRESS", resource("INPROGRESS")),
        asked_at=timezone.now() - timedelta(minutes=4),
    )

    assert "for 4 min" in page_of(alice, job)
    assert "so far" in page_of(alice, job)


def test_raw_answers_come_on_demand_and_as_a_page(alice, job):
    observe(job, body(job, "INPROGRESS", resource("INPROGRESS")))
    snapshot = Snapshot.objects.get()
    address = f"/jobs/{job.pk}/snapshots/{snapshot.pk}/"

    assert address in page_of(alice, job)
    assert "Patricia Boyle" in alice.get(address).content.decode()
    part = alice.get(address, headers=HTMX).content.decode()
    assert "&quot;status&quot;: &quot;INPROGRESS&quot;" in part
    assert "<html" not in part


def test_a_snapshot_of_another_job_is_not_shown(alice, job):
    observe(job, body(job, "INPROGRESS", resource("INPROGRESS")))
    other = make_job()

    assert alice.get(f"/jobs/{other.pk}/snapshots/{Snapshot.objects.get().pk}/").status_code == 404


def test_many_snapshots_are_paged(alice, job):
    now = timezone.now()
    Snapshot.objects.bulk_create(
        Snapshot(job=job, first_seen_at=now, last_seen_at=now, status_raw=f"S{n}", raw="{}")
        for n in range(120)
    )

    assert len(alice.get(f"/jobs/{job.pk}/").context["snapshots"]) == 20
    page = alice.get(f"/jobs/{job.pk}/snapshots/?page=2")
    assert len(page.context["page"]) == 50


def test_refresh_now_makes_the_job_due_and_says_so(alice, job):
    job.poll_state = "done"
    job.save()

    response = alice.post(f"/jobs/{job.pk}/refresh/", follow=True)

    job.refresh_from_db()
    assert job.poll_state == "active"
    assert JobEvent.objects.get().actor.username == "alice"
    assert "Zoho is being asked about this job now." in response.content.decode()


def test_refresh_now_by_htmx_answers_with_the_live_part(alice, job):
    page = alice.post(f"/jobs/{job.pk}/refresh/", headers=HTMX).content.decode()

    assert 'id="job-live"' in page
    assert "Zoho is being asked about this job now." in page
    assert "<html" not in page


def test_refresh_now_is_a_post(alice, job):
    assert alice.get(f"/jobs/{job.pk}/refresh/").status_code == 405


def test_hostile_text_is_escaped(alice, job):
    evil = "<script>alert(1)</script>"
    job.label, job.tags = evil, [evil]
    job.save()
    answer = completed(job, added=1, updated=0, skipped=3, total=4)
    answer["created_by"]["name"] = evil
    answer["resource"][0]["module"]["api_name"] = evil
    answer["resource"][0]["file"]["name"] = evil
    answer["resource"][0]["field_mappings"] = [
        {"api_name": evil, "index": 0, "find_by": evil, "format": evil, "default_value": evil}
    ]
    observe(job, answer)
    make_result(job, {f"{evil}.csv": f"{evil},STATUS,ERRORS\n{evil},SKIPPED,INVALID_DATA-{evil}\n"})
    Alert.objects.update(text=evil, error=evil)
    JobEvent.objects.create(job=job, at=timezone.now(), kind="poll_failed", text=evil, excerpt=evil)

    page = page_of(alice, job)
    raw = alice.get(f"/jobs/{job.pk}/snapshots/{Snapshot.objects.get().pk}/").content.decode()

    assert "<script>alert" not in page + raw
    assert "&lt;script&gt;alert(1)" in page
    assert "&lt;script&gt;alert(1)" in raw


def test_the_number_of_queries_does_not_grow_with_history(
    alice, job, django_assert_max_num_queries
):
    for number in range(8):
        observe(
            job,
            body(job, "INPROGRESS", resource("INPROGRESS", added=number, skipped=0, total=99)),
            asked_at=timezone.now() + timedelta(seconds=number),
        )
    observe(
        job,
        completed(job, added=1, updated=0, skipped=3, total=4),
        asked_at=timezone.now() + timedelta(minutes=1),
    )
    make_result(job, {"Leads-Leads.csv": SKIPPED_ROWS})

    # session, user, the monitor's health (3), alerts of the navigation; the job, its result and
    # files, attached files, alerts, resources, mappings, reasons, states, events, snapshots
    with django_assert_max_num_queries(18):
        page_of(alice, job)
