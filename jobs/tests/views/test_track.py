"""Registering jobs."""

import html
import json
from datetime import timedelta

import pytest
from django.utils import timezone

from jobs.models import BulkWriteJob
from jobs.tests.factories import body, make_connection, make_job, observe, resource
from jobs.zoho.errors import ZohoRejectedError

NOW = timezone.now()
LATER = NOW + timedelta(hours=1)
ID_1, ID_2, ID_3 = "111111000000541958", "111111000000541962", "111111000000541970"


@pytest.fixture
def connection(db):
    return make_connection(name="production")


def register(client, connection, ids, **fields):
    given = {"ids": ids, "connection": getattr(connection, "pk", connection)}
    return client.post("/jobs/track/", given | fields)


def test_without_a_connection_it_leads_to_adding_one(admin):
    page = admin.get("/jobs/track/").content.decode()

    assert "Connect Zoho first" in page
    assert "/connections/add/" in page
    assert admin.post("/jobs/track/", {"ids": ID_1}).status_code == 200
    assert not BulkWriteJob.objects.exists()


def test_without_a_connection_who_may_not_add_one_is_told_who_may(alice):
    page = alice.get("/jobs/track/").content.decode()

    assert "An administrator of Bulkwatch has to connect that org" in page
    assert "/connections/add/" not in page


def test_the_only_connection_is_chosen_already(alice, connection):
    assert f'value="{connection.pk}" selected' in alice.get("/jobs/track/").content.decode()

    make_connection()
    assert "selected" not in alice.get("/jobs/track/").content.decode().split("id_connection")[1]


def test_ids_are_registered_with_what_holds_for_all(alice, connection):
    response = register(
        alice,
        connection,
        f"{ID_1}\n{ID_2}, {ID_3}",
        label="Nightly",
        tags="a, b",
        alert_recipients="x@example.com; y@example.com",
        skip_threshold_percent="5",
    )

    jobs = BulkWriteJob.objects.order_by("zoho_job_id")
    assert [job.zoho_job_id for job in jobs] == [ID_1, ID_2, ID_3]
    assert jobs[0].label == "Nightly"
    assert jobs[0].tags == ["a", "b"]
    assert jobs[0].recipients == ["x@example.com", "y@example.com"]
    assert jobs[0].skip_threshold_percent == 5
    assert jobs[0].tracked_by.username == "alice"
    assert "3 jobs are registered." in response.content.decode()


def test_the_report_says_line_by_line_what_became_of_it(alice, connection):
    make_job(connection, zoho_job_id=ID_1, label="Old one")

    response = register(alice, connection, f"{ID_1}\n{ID_2}\n{ID_2}\n12ab34\n")
    page = response.content.decode()

    told = {(entry.line, entry.verdict) for entry in response.context["report"]["entries"]}
    assert told == {(1, "already_tracked"), (2, "tracked"), (3, "repeated"), (4, "not_an_id")}
    assert "1 job is registered." in page
    assert "was already tracked as Old one" in page
    assert "Stands there more than once" in page
    assert "Is no job id." in page


def test_what_is_no_id_stays_in_the_box(alice, connection):
    text = f"{ID_1}\nhello world\nnone\n12ab34\n12ab34"
    response = register(alice, connection, text, label="Nightly")

    form = response.context["form"]
    assert form["ids"].value() == "none\n12ab34"
    assert form["label"].value() == "Nightly"


def test_the_lines_of_a_log_in_which_no_id_stands_are_one_note(alice, connection):
    log = [f"18:00:0{number % 10} INFO read {number} rows" for number in range(300)]
    log[7] += f" of job {ID_1}"
    log[200] += " of job 11111100000O541962"

    response = register(alice, connection, "\n".join(log))
    page = response.content.decode()

    assert "298 lines hold no id." in page
    assert page.count('data-label="Line"') == 2
    assert response.context["form"]["ids"].value() == log[200]


def test_what_is_registered_stands_before_what_is_not(alice, connection):
    make_job(connection, zoho_job_id=ID_2)
    response = register(alice, connection, f"{ID_1}\n{ID_1}\nnone\n404\n{ID_2}\n{ID_3}")

    told = [entry.verdict for entry in response.context["report"]["entries"]]
    assert told == ["tracked", "tracked", "already_tracked", "not_an_id", "no_job", "repeated"]


def test_of_thousands_the_first_are_shown_of_both_with_how_many_more_there_are(alice, connection):
    ids = [str(111111000000000000 + number) for number in range(1_002)]
    response = register(alice, connection, "\n".join(["none"] * 1_001 + ids))
    page = response.content.decode()

    assert len(response.context["report"]["entries"]) == 2_000
    assert "2 further jobs are registered and not shown here" in page
    assert "1 more that was not registered is not shown here" in page


@pytest.mark.parametrize("text", ["no job was created", '{"data": [],\n"count": 0}'])
def test_text_without_an_id_is_answered_with_what_an_id_looks_like(alice, connection, text):
    page = register(alice, connection, text).content.decode()

    assert "No job id stands in what was pasted. A job id is digits alone" in page
    assert not BulkWriteJob.objects.exists()


def test_answers_of_create_calls_are_read(alice, connection):
    answer = {"status": "success", "code": "ADDED", "details": {"id": ID_1}}

    register(alice, connection, json.dumps([answer, {"details": {"id": ID_2}}]))

    assert BulkWriteJob.objects.count() == 2


def test_five_hundred_at_once(alice, connection, django_assert_max_num_queries):
    ids = "\n".join(str(111111000000000000 + number) for number in range(500))

    with django_assert_max_num_queries(47):
        response = register(alice, connection, ids)

    assert BulkWriteJob.objects.count() == 500
    assert "500 jobs are registered." in response.content.decode()
    assert len(response.context["followed"]) == 200


@pytest.mark.parametrize("ids", ["", "   \n \t\n", ",;,"])
def test_an_empty_paste_is_asked_for(alice, connection, ids):
    response = register(alice, connection, ids)

    assert response.status_code == 200
    assert "Paste at least one job id." in response.content.decode()
    assert not BulkWriteJob.objects.exists()


def test_why_a_line_is_left_out_is_said(alice, connection):
    text = f"{ID_1}\n1.11111E+17\nhttps://www.zohoapis.com/crm/bulk/v7/read/{ID_2}\nfile_id={ID_3}"
    response = register(alice, connection, text)
    page = response.content.decode()

    assert [job.zoho_job_id for job in BulkWriteJob.objects.all()] == [ID_1]
    assert "Excel has rounded the id" in page
    assert "Bulkwatch watches Bulk Write jobs" in page
    assert "the id of an uploaded file" in page
    assert "1 is the id of a Bulk Read job" in page
    assert "1 is no job id" in page
    assert "1 is left out" in page
    # The ids of files and of Bulk Read jobs are no slips that could be corrected.
    assert response.context["form"]["ids"].value() == "1.11111E+17"


UPLOADED = {"code": "FILE_UPLOAD_SUCCESS", "status": "success", "details": {"file_id": ID_3}}


@pytest.mark.parametrize(
    "text",
    [
        f"job_id,module,rows,owner id\n{ID_1},Leads,9,{ID_2}\n,Deals,3,{ID_2}",
        f"job_id,note\n{ID_1},ok\n{ID_1[:-3]}O,twice\nsee {ID_2},x",
        json.dumps(UPLOADED),
        json.dumps({"data": [{"id": ID_1, "Modified_Time": "2026-11-24"}]}),
        f"id,Last Name\n{ID_1},Boyle",
        f"Record Id: {ID_1}",
        f"{ID_1}\n404",
        f"{ID_1}, {'2' * 22}",
    ],
)
def test_to_press_register_again_makes_no_job_of_what_was_none(alice, connection, text):
    response = register(alice, connection, text)
    jobs = set(BulkWriteJob.objects.values_list("zoho_job_id", flat=True))

    register(alice, connection, response.context["form"]["ids"].value())

    assert set(BulkWriteJob.objects.values_list("zoho_job_id", flat=True)) == jobs <= {ID_1}


def test_a_table_says_which_column_it_was_read_from_and_labels_come_from_it(alice, connection):
    page = register(alice, connection, f"Job ID;Name;Rows\n{ID_1};Leads;10", label="Nightly")

    assert "the ids stand in column “Job ID”" in page.content.decode()
    assert BulkWriteJob.objects.get().label == "Leads"


def test_two_megabytes_may_be_pasted_and_more_is_refused(alice, connection):
    page = register(alice, connection, f"{ID_1} {'é' * 1_999_900}")
    assert page.status_code == 200
    assert BulkWriteJob.objects.exists()

    assert "2 MB" in register(alice, connection, "x" * 2_000_001).content.decode()


def test_too_many_at_once_are_refused(alice, connection):
    ids = "\n".join(str(111111000000000000 + number) for number in range(5_001))

    response = register(alice, connection, ids)

    assert "in several goes" in response.content.decode()
    assert not BulkWriteJob.objects.exists()


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"alert_recipients": "not-an-address"}, "is no mail address."),
        ({"skip_threshold_percent": "0"}, "greater than or equal to 1"),
        ({"skip_threshold_percent": "101"}, "less than or equal to 100"),
        ({"connection": "4711"}, "Select a valid choice"),
        ({"ids": "1\x002"}, "Null characters are not allowed."),
        ({"label": "x" * 201}, "at most 200 characters"),
    ],
)
def test_what_cannot_be_is_said_and_nothing_is_registered(alice, connection, fields, words):
    given = {"connection": connection, "ids": ID_1} | fields
    response = register(alice, **given)

    assert response.status_code == 200
    assert words in response.content.decode()
    assert not BulkWriteJob.objects.exists()


def test_the_report_follows_jobs_that_were_not_read_yet(alice, connection):
    page = register(alice, connection, ID_1).content.decode()
    job = BulkWriteJob.objects.get()

    address = f"/jobs/track/states/?jobs={job.pk}&amp;of={job.pk}-{job.pk}"
    assert f'hx-get="{address}" hx-trigger="every 3s"' in page
    assert "Asking Zoho" in page
    assert "Zoho is being asked about it; this page follows by itself." in page


def test_jobs_beyond_those_shown_are_counted_until_all_are_read(alice, connection):
    ids = "\n".join(str(111111000000000000 + number) for number in range(280))
    old = make_job(connection, zoho_job_id=ids.split("\n")[0], last_polled_at=NOW)
    page = register(alice, connection, ids).content.decode()
    assert "Zoho is being asked about 279 of them; this page follows by itself." in page

    BulkWriteJob.objects.filter(pk__lte=old.pk + 199).update(last_polled_at=NOW, poll_state="done")
    page = alice.get(refresh_address(page)).content.decode()
    assert "Zoho is being asked about 80 of them; this page follows by itself." in page

    BulkWriteJob.objects.update(last_polled_at=NOW, poll_state="done")
    page = alice.get(refresh_address(page)).content.decode()
    assert "Zoho has answered" in page
    assert "hx-get" not in page


def refresh_address(page: str) -> str:
    return html.unescape(page.split('id="track-states"')[1].split('hx-get="')[1].split('"')[0])


def test_of_scattered_jobs_those_registered_last_are_counted(alice, connection):
    jobs = [make_job(connection) for _ in range(250)]
    BulkWriteJob.objects.exclude(pk__in=[job.pk for job in jobs[::2]]).delete()
    new = "\n".join(str(222222000000000000 + number) for number in range(10))
    page = register(alice, connection, "\n".join(job.zoho_job_id for job in jobs[::2]) + f"\n{new}")

    page = page.content.decode()
    assert "Zoho is being asked about 109 of them" in page
    assert len(refresh_address(page)) < 4_000


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"paused": True}, ("until it is resumed", "Not asked: paused")),
        ({"refresh_token": ""}, ("Nobody has signed in", "Not asked: not signed in")),
        ({"blocked_at": NOW, "resume_at": LATER}, ("It is tried again", "Not asked: needs you")),
        ({"resume_at": LATER}, ("Zoho asked to slow down", "Not asked: waiting")),
    ],
)
def test_the_report_says_why_nothing_is_asked(alice, fields, words):
    page = register(alice, make_connection(**fields), f"{ID_1} {ID_2}").content.decode()

    report = page.split("report-heading", 1)[1].split("<form", 1)[0]
    assert "Zoho is not asked about 2 of them now." in report
    assert all(word in report for word in words)
    assert "Zoho has answered" not in report
    assert "Asking Zoho" not in report


def test_both_are_said_where_some_wait_and_others_are_asked_about(alice, connection):
    jobs = [make_job(connection), make_job(make_connection(name="paused", paused=True))]
    jobs.append(make_job(jobs[1].connection))

    page = alice.get(f"/jobs/track/states/?jobs={'.'.join(str(job.pk) for job in jobs)}")

    page = page.content.decode()
    assert "Zoho is not asked about 2 of them now." in page
    assert "It is being asked about 1; this page follows by itself." in page
    assert 'data-announce="Waiting for Zoho; about 2 of them it is not asked now."' in page


def test_no_credits_are_offered_where_nobody_has_signed_in(alice):
    make_connection(name="production", refresh_token="")

    page = alice.get("/jobs/track/").content.decode()

    assert "Nobody has signed in to Zoho for production yet" in page
    assert "may use" not in page


def test_the_credits_of_several_connections_are_folded_away(alice, connection):
    assert "<details" not in form_of(alice)

    make_connection(name="sandbox", refresh_token="")
    said, fold = form_of(alice).split("<details")
    assert "credits a day" not in said
    assert "Checks on production may use" in fold
    assert "Nobody has signed in to Zoho for sandbox yet" in fold


def form_of(client) -> str:
    return client.get("/jobs/track/").content.decode().split("<form", 2)[-1].split("</form")[0]


def test_what_zoho_does_not_know_shows_with_what_to_do_and_ends_the_refresh(alice, connection):
    job = make_job(connection)
    error = ZohoRejectedError(
        "The requested resource doesn't exist.",
        code="RESOURCE_NOT_FOUND",
        http_status=404,
        resolution="Check the ID.",
    )
    for _ in range(2):
        observe(job, error)

    page = alice.get(f"/jobs/track/states/?jobs={job.pk}").content.decode()

    assert f'id="state-{job.pk}" hx-swap-oob="true"' in page
    assert "RESOURCE_NOT_FOUND" in page
    assert "Check the ID." in page
    assert "hx-trigger" not in page


def test_running_jobs_are_followed_more_slowly(alice, connection):
    job = make_job(connection)
    observe(job, body(job, "INPROGRESS", resource("INPROGRESS")))

    page = alice.get(f"/jobs/track/states/?jobs={job.pk}").content.decode()

    assert 'hx-trigger="every 10s"' in page


@pytest.mark.parametrize("of", ["x", "1", "1-", "-", "5-1", "1-2-3", f"1-{'9' * 30}", "1-2." * 999])
def test_spans_of_nonsense_are_no_error(alice, connection, of):
    make_job(connection)

    assert alice.get("/jobs/track/states/", {"jobs": "1", "of": of}).status_code == 200


@pytest.mark.parametrize("jobs", ["", "x", "-1", "9" * 30, "1.2.3", "%00", "1," * 3000])
def test_states_of_nonsense_are_empty(alice, connection, jobs):
    assert alice.get(f"/jobs/track/states/?jobs={jobs}").status_code == 200


def test_hostile_text_is_escaped(alice, connection):
    evil = "<script>alert(1)</script>"
    connection.last_polled_at = timezone.now()

    page = register(alice, connection, f"{evil}\n{ID_1}", label=evil, tags=evil).content.decode()

    assert "<script>alert" not in page
    assert "&lt;script&gt;" in page


def test_only_who_is_signed_in_registers(client, connection):
    assert register(client, connection, ID_1).status_code == 302
    assert not BulkWriteJob.objects.exists()
