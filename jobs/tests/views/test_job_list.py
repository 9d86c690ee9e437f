"""The list of jobs."""

from datetime import timedelta

import pytest
from django.utils import timezone

from jobs.models import BulkWriteJob, JobEvent, Outcome, Resource
from jobs.tests.factories import make_connection, make_job

HTMX = {"HX-Request": "true"}


@pytest.fixture
def connection(db):
    return make_connection(name="production")


def shown(response):
    return [job.label for job in response.context["jobs"]]


def make_jobs(connection, **jobs):
    """Jobs by their labels, none of which can change any more."""
    return {
        label: make_job(connection, label=label, **{"poll_state": "done"} | fields)
        for label, fields in jobs.items()
    }


def test_without_jobs_it_says_how_to_begin(alice):
    page = alice.get("/jobs/").content.decode()

    assert "No jobs yet" in page
    assert "/jobs/track/" in page


def test_without_a_match_it_says_so(alice, connection):
    make_jobs(connection, one={})

    page = alice.get("/jobs/?q=nothing-like-this").content.decode()

    assert "No job matches" in page
    assert "No jobs yet" not in page


def test_the_latest_registered_come_first(alice, connection):
    make_jobs(connection, one={}, two={}, three={})

    assert shown(alice.get("/jobs/")) == ["three", "two", "one"]


def test_outcomes_are_filtered_by_any_of_several(alice, connection):
    make_jobs(
        connection,
        failed={"outcome": Outcome.FAILED},
        skipped={"outcome": Outcome.SKIPPED},
        imported={"outcome": Outcome.IMPORTED},
    )

    response = alice.get("/jobs/?outcome=failed&outcome=skipped")

    assert shown(response) == ["skipped", "failed"]


def test_each_outcome_is_counted_whatever_is_chosen(alice, connection):
    make_jobs(
        connection,
        failed={"outcome": Outcome.FAILED, "needs_attention": True},
        imported={"outcome": Outcome.IMPORTED},
    )

    response = alice.get("/jobs/?outcome=failed")
    counts = {pill[0]: pill[1] for pill in response.context["outcome_pills"]}

    assert counts[Outcome.IMPORTED] == 1
    assert counts[Outcome.FAILED] == 1
    assert response.context["attention_count"] == 1
    assert response.context["total"] == 1


def test_a_pill_adds_and_takes_away_its_outcome_and_keeps_the_rest(alice, connection):
    make_jobs(connection, one={"outcome": Outcome.FAILED})

    response = alice.get("/jobs/?q=one&outcome=failed&page=3")
    addresses = {pill[0]: pill[3] for pill in response.context["outcome_pills"]}

    assert addresses[Outcome.FAILED] == "?q=one"
    assert addresses[Outcome.SKIPPED] == "?q=one&outcome=failed&outcome=skipped"


def test_attention_connection_operation_module_and_days_filter(alice, connection):
    other = make_connection(name="staging")
    now = timezone.now()
    jobs = make_jobs(
        connection,
        attention={"needs_attention": True},
        upsert={"operation": "upsert"},
        deals={},
        ended={"ended_at": now - timedelta(days=3)},
    )
    make_jobs(other, elsewhere={})
    Resource.objects.create(job=jobs["deals"], position=0, module="Deals")
    day = (now - timedelta(days=3)).date().isoformat()

    assert shown(alice.get("/jobs/?attention=1")) == ["attention"]
    assert shown(alice.get("/jobs/?connection=staging")) == ["elsewhere"]
    assert shown(alice.get("/jobs/?operation=upsert")) == ["upsert"]
    assert shown(alice.get("/jobs/?module=Deals")) == ["deals"]
    assert shown(alice.get(f"/jobs/?since={day}&until={day}")) == ["ended"]
    assert shown(alice.get(f"/jobs/?until={day}")) == ["ended"]


def test_text_is_searched_in_ids_labels_and_tags(alice, connection):
    make_jobs(connection, one={"tags": ["Nightly"]}, two={"zoho_job_id": "987654321000000000"})

    assert shown(alice.get("/jobs/?q=nightly")) == ["one"]
    assert shown(alice.get("/jobs/?q=98765432100")) == ["two"]


@pytest.mark.parametrize(
    ("sort", "order"),
    [
        ("-rows", ["many", "few", "unknown"]),
        ("rows", ["few", "many", "unknown"]),
        ("registered", ["many", "few", "unknown"]),
    ],
)
def test_sorting_puts_what_is_unknown_last(alice, connection, sort, order):
    make_jobs(connection, many={"total_count": 900}, few={"total_count": 5}, unknown={})

    assert shown(alice.get(f"/jobs/?sort={sort}")) == order


@pytest.mark.parametrize(
    "sort", ["job", "outcome", "module", "operation", "rows", "skipped", "changed", "registered"]
)
def test_every_column_sorts_both_ways(alice, connection, sort):
    make_jobs(connection, one={}, two={})

    for direction in ("", "-"):
        response = alice.get(f"/jobs/?sort={direction}{sort}")
        assert len(shown(response)) == 2
        assert f'aria-sort="{"descending" if direction else "ascending"}"' in str(response.content)


@pytest.mark.parametrize(
    "query",
    [
        "outcome=burnt",
        "attention=maybe",
        "connection=nowhere",
        "operation=delete",
        "sort=password",
        "since=yesterday",
        "until=2026-13-45",
        "q=" + "x" * 300,
        "q=%00",
    ],
)
def test_nonsense_is_left_out_and_said_so(alice, connection, query):
    make_jobs(connection, one={})

    response = alice.get(f"/jobs/?{query}")

    assert response.status_code == 200
    assert shown(response) == ["one"]
    assert "makes no sense and was left out" in response.content.decode()


@pytest.mark.parametrize("page", ["0", "-1", "abc", "99999999999999999999", "%00"])
def test_a_page_that_is_not_there_is_no_error(alice, connection, page):
    make_jobs(connection, one={})

    assert shown(alice.get(f"/jobs/?page={page}")) == ["one"]


def test_the_last_day_there_is_is_no_error(alice, connection):
    make_jobs(connection, one={})

    assert alice.get("/jobs/?until=9999-12-31&since=0001-01-01").status_code == 200


def test_pages_of_fifty_keep_the_rest_of_the_address(alice, connection):
    for _ in range(51):
        make_job(connection, label="x", poll_state="done")

    page = alice.get("/jobs/?q=x")

    assert len(page.context["jobs"]) == 50
    assert 'href="?q=x&amp;page=2"' in page.content.decode()
    assert len(alice.get("/jobs/?q=x&page=2").context["jobs"]) == 1


def test_a_refresh_brings_the_table_alone_and_says_so_to_caches(alice, connection):
    make_jobs(connection, one={})

    response = alice.get("/jobs/?q=one", headers=HTMX)
    page = response.content.decode()

    assert 'id="job-table"' in page
    assert "<html" not in page
    assert "HX-Request" in response["Vary"]


def test_it_polls_at_its_own_address_while_a_job_on_it_is_live(alice, connection):
    make_job(connection, label="live")

    page = alice.get("/jobs/?q=live&sort=-rows").content.decode()

    assert 'hx-get="/jobs/?q=live&amp;sort=-rows" hx-trigger="every 5s"' in page


def test_it_stops_polling_when_nothing_on_the_page_is_live(alice, connection):
    make_jobs(connection, done={}, blocked={"poll_state": "blocked"})

    page = alice.get("/jobs/", headers=HTMX).content.decode()

    assert "every 5s" not in page


def test_hostile_text_is_escaped(alice, connection):
    make_jobs(connection, **{"<script>alert(1)</script>": {"modules": "<img src=x onerror=a()>"}})

    page = alice.get('/jobs/?q="><script>alert(2)</script>').content.decode()
    page += alice.get("/jobs/").content.decode()
    page += alice.get("/jobs/?module=<script>alert(3)</script>").content.decode()

    assert "<script>alert" not in page
    assert "<img src=x" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page


def test_ids_and_addresses_are_not_written_with_thousands_parted(alice, connection):
    make_jobs(connection, one={"pk": 1234567})

    page = alice.get("/jobs/").content.decode()

    assert 'href="/jobs/1234567/"' in page
    assert 'id="pick-1234567"' in page
    assert "1,234,567" not in page


def test_the_number_of_queries_does_not_grow_with_jobs(
    alice, connection, django_assert_max_num_queries
):
    for number in range(60):
        make_job(connection, total_count=number, outcome=Outcome.STUCK)

    # session, user, the monitor's health (3), alerts of the navigation;
    # connections, counts by outcome, attention, the page
    with django_assert_max_num_queries(10):
        alice.get("/jobs/")


def test_rows_leave_heavy_columns_in_the_database(connection):
    make_jobs(connection, one={})

    job = BulkWriteJob.objects.lean().get()

    assert {"search_text", "warnings", "lasting_warnings"} <= job.get_deferred_fields()


def test_chosen_jobs_are_refreshed_and_the_view_is_kept(alice, connection):
    jobs = make_jobs(connection, one={}, two={})

    response = alice.post(
        "/jobs/refresh/", {"job": [jobs["one"].pk], "next": "/jobs/?outcome=failed"}
    )

    assert response.url == "/jobs/?outcome=failed"
    jobs["one"].refresh_from_db()
    jobs["two"].refresh_from_db()
    assert jobs["one"].poll_state == "active"
    assert jobs["two"].poll_state == "done"
    assert JobEvent.objects.get().actor.username == "alice"


def test_refreshing_says_which_connections_have_to_wait(alice, connection):
    asked = make_jobs(connection, one={}, two={})
    paused = make_job(make_connection(name="paused-one", paused=True))
    chosen = [*(job.pk for job in asked.values()), paused.pk]

    page = alice.post("/jobs/refresh/", {"job": chosen}, follow=True).content.decode()

    assert "Zoho is being asked about 2 jobs now." in page
    assert "Not asked now. paused-one: Nothing is asked about its jobs" in page

    page = alice.post("/jobs/refresh/", {"job": [paused.pk]}, follow=True).content.decode()
    assert "Zoho is being asked" not in page


def test_refreshing_leads_to_no_other_site(alice, connection):
    response = alice.post("/jobs/refresh/", {"job": ["x", "-1"], "next": "https://evil.example/"})

    assert response.url == "/jobs/"


def test_refreshing_leads_to_no_page_without_encryption_from_one_with_it(alice, connection):
    response = alice.post("/jobs/refresh/", {"next": "http://testserver/jobs/?q=1"}, secure=True)

    assert response.url == "/jobs/"


def test_refreshing_is_a_post(alice, connection):
    assert alice.get("/jobs/refresh/").status_code == 405
