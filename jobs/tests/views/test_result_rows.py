"""The page of a result's rows."""

import re
from pathlib import Path

import pytest
from django.utils import timezone
from django.utils.html import escape

from jobs.models import Result
from jobs.tests.factories import (
    body,
    completed,
    make_connection,
    make_job,
    make_result,
    resource,
)
from jobs.tests.factories import observe as see
from jobs.tests.stand_in import csv_of

HTMX = {"HX-Request": "true"}
ROWS = [
    ("Boyle", "ADDED", "3652397000000541958", ""),
    ("Huber", "SKIPPED", "", "MANDATORY_NOT_FOUND-Company:INVALID_DATA-Email"),
    ("Zoë", "UPDATED", "3652397000000541962", ""),
    ("", "SKIPPED", "", "MANDATORY_NOT_FOUND-Company"),
    ("Straße", "UNPROCESSED", "", ""),
]


def make(files=None, connection=None, **fields):
    job = make_job(connection or make_connection(), **fields)
    answer = completed(job, added=1, updated=1, skipped=2, total=5)
    answer["result"]["download_url"] = "/v7/crm/org6196138/bulk-write/1/1.zip"
    see(job, answer)
    make_result(job, files or {"Leads-Leads.csv": csv_of(*ROWS).decode()})
    return job


@pytest.fixture
def job(db):
    return make()


def shown(response):
    return [row.number for row in response.context["rows"]]


def get(client, job, query="", **options):
    return client.get(f"/jobs/{job.pk}/rows/{query}", **options)


def text_of(response):
    return re.sub(r"\s+", " ", re.sub(r"<svg.*?</svg>|<[^>]+>", " ", response.content.decode()))


def test_all_rows_stand_there_with_status_reason_and_record(alice, job):
    response = get(alice, job)
    text = text_of(response)

    assert shown(response) == [1, 2, 3, 4, 5]
    assert "Boyle Added 3652397000000541958" in text
    assert "MANDATORY_NOT_FOUND-Company" in text
    assert "INVALID_DATA-Email" in text
    assert "(empty)" in text
    assert "5 rows in Leads-Leads.csv" in text


def test_a_left_out_row_without_a_reason_says_so(alice, job):
    assert "did not come to the row" in text_of(get(alice, job, "?status=unprocessed"))


def test_a_reason_of_no_known_form_stands_there_as_zoho_wrote_it(alice, db):
    job = make({"Leads.csv": csv_of(("a", "SKIPPED", "", "no such layout")).decode()})

    page = get(alice, job, "?code=UNKNOWN&field=no+such+layout").content.decode()

    assert page.count("<code>no such layout</code>") == 3
    assert "<code>UNKNOWN" not in page
    assert "Reason: <code>UNKNOWN</code>" in get(alice, job, "?code=UNKNOWN").content.decode()
    assert (
        "Reason: <code>UNPROCESSED</code>" in get(alice, job, "?code=UNPROCESSED").content.decode()
    )


@pytest.mark.parametrize(
    ("query", "rows"),
    [
        ("?status=left_out", [2, 4, 5]),
        ("?status=added", [1]),
        ("?code=MANDATORY_NOT_FOUND&field=Company", [2, 4]),
        ("?code=INVALID_DATA", [2]),
        ("?field=Company", [2, 4]),
        ("?q=HUB", [2]),
        ("?q=541962", [3]),
        ("?q=strasse&status=left_out", [5]),
        ("?file=0&page=1", [1, 2, 3, 4, 5]),
    ],
)
def test_rows_are_filtered_by_the_address(alice, job, query, rows):
    assert shown(get(alice, job, query)) == rows


def test_the_download_is_of_exactly_the_rows_that_are_shown(alice, job):
    response = get(alice, job, "?code=MANDATORY_NOT_FOUND&field=Company&q=hub&page=7&status=odd")
    link = re.search(r'id="download-rows" href="([^"]+)"', response.content.decode())[1]
    download = alice.get(link.replace("&amp;", "&"))

    lines = b"".join(download.streaming_content).decode().splitlines()[1:]
    assert [line.split(",")[1] for line in lines] == ['"2"']
    assert shown(response) == [2]


def test_a_reason_without_a_field_is_no_reason_with_one(alice, db):
    job = make(
        {
            "Leads.csv": csv_of(
                ("a", "SKIPPED", "", "X_Y-B"), ("b", "SKIPPED", "", "BLOCKED_RECORD")
            ).decode()
        }
    )

    response = get(alice, job, "?code=BLOCKED_RECORD&field=")

    assert shown(response) == [2]
    assert 'name="field" value=""' in response.content.decode()
    assert 'rows.csv?file=0&amp;code=BLOCKED_RECORD&amp;field="' in response.content.decode()


@pytest.mark.parametrize(
    ("query", "named"),
    [
        ("?status=skiped", "status “skiped”"),
        ("?file=9", "file “9”"),
        ("?file=-1", "file “-1”"),
        ("?file=0x0", "file “0x0”"),
        ("?file=99999999999999999999999", "file “99999999999999999999999”"),
        (f"?code={'C' * 101}", "code “CCC"),
        (f"?field={'F' * 256}", "field “FFF"),
        (f"?q={'q' * 201}", "search “qqq"),
        ("?q=a%00b", "search “a"),
    ],
)
def test_what_makes_no_sense_is_left_out_and_named(alice, job, query, named):
    response = get(alice, job, query)

    assert response.status_code == 200
    assert shown(response) == [1, 2, 3, 4, 5]
    assert named in text_of(response)


@pytest.mark.parametrize("page", ["0", "-1", "x", "999999999999", "2", "\u0661", "1.5", ""])
def test_a_page_out_of_range_is_the_nearest(alice, job, page):
    response = get(alice, job, f"?page={page}")

    assert response.context["page"].number == 1
    assert shown(response) == [1, 2, 3, 4, 5]


def test_pages_have_fifty_rows(alice, db):
    job = make({"L.csv": csv_of(*((f"n{n}", "ADDED", str(n), "") for n in range(120))).decode()})

    assert shown(get(alice, job, "?page=3")) == list(range(101, 121))
    response = get(alice, job, "?q=n&page=2")
    assert shown(response) == list(range(51, 101))
    assert "51\u2013100 of 120" in text_of(response)
    assert "q=n&amp;page=3" in response.content.decode()


def test_queries_do_not_grow_with_rows_reasons_and_fields(alice, db, django_assert_num_queries):
    rows = [(f"n{n}", "SKIPPED", "", f"INVALID_DATA-Field_{n}") for n in range(80)]
    job = make({"Leads-Leads.csv": csv_of(*rows).decode()})

    # Session, user, job, result, files, mappings, reasons; three more of the page's frame.
    with django_assert_num_queries(10):
        get(alice, job, "?status=left_out")


def test_htmx_gets_the_table_alone(alice, job):
    response = get(alice, job, "?status=added", headers=HTMX)
    content = response.content.decode()

    assert content.lstrip().startswith('<div id="rows-table"')
    assert "<html" not in content
    assert "HX-Request" in response["Vary"]


def test_the_page_works_without_scripts(alice, job):
    content = get(alice, job, "?status=left_out&code=INVALID_DATA&field=Email").content.decode()

    assert re.search(
        r'<form id="row-filters"[^>]*method="get"[^>]*action="/jobs/\d+/rows/"', content
    )
    for name, value in (("status", "left_out"), ("code", "INVALID_DATA"), ("field", "Email")):
        assert f'form="row-filters" name="{name}" value="{value}"' in content
    assert f'href="/jobs/{job.pk}/"' in content


def test_each_status_that_occurs_is_a_pill_with_its_rows(alice, job):
    pills = [(pill[0], pill[4]) for pill in get(alice, job).context["pills"]]

    assert pills == [
        ("left_out", 3),
        ("added", 1),
        ("updated", 1),
        ("skipped", 2),
        ("unprocessed", 1),
    ]


def test_where_rows_are_searched_the_pills_count_those_found(alice, job):
    pills = {pill[0]: pill[4] for pill in get(alice, job, "?q=b").context["pills"]}

    assert pills == {"left_out": 1, "added": 1, "updated": 0, "skipped": 1, "unprocessed": 0}


def test_pills_of_one_reason_claim_no_counts(alice, job):
    pills = get(alice, job, "?code=INVALID_DATA&field=Email").context["pills"]

    assert {pill[4] for pill in pills} == {None}


def test_no_match_offers_all_rows(alice, job):
    text = text_of(get(alice, job, "?q=nobody"))

    assert "No row matches" in text
    assert "Show all rows" in text


class TestRecords:
    def url(self, client, job):
        found = re.search(r'id="record-1" href="([^"]+)"([^>]*)', get(client, job).content.decode())
        return found and found[1], found and found[2]

    def test_a_record_links_to_zoho_crm_in_a_new_tab(self, alice, db):
        job = make(connection=make_connection(data_center="eu", api_url="", accounts_url=""))

        url, attributes = self.url(alice, job)

        assert url == "https://crm.zoho.eu/crm/org6196138/tab/Leads/3652397000000541958"
        assert 'target="_blank"' in attributes
        assert 'rel="noopener noreferrer"' in attributes

    def test_a_record_whose_page_is_not_known_is_an_id_to_copy(self, alice, job):
        content = get(alice, job).content.decode()

        assert self.url(alice, job) == (None, None)
        assert 'data-copy="3652397000000541958"' in content

    def test_a_hostile_record_id_is_no_link(self, alice, db):
        rows = [('javascript:alert(1)"><x>', "ADDED", "javascript:alert(1)", "")]
        connection = make_connection(data_center="us", api_url="", accounts_url="")
        job = make({"Leads.csv": csv_of(*rows).decode()}, connection=connection)

        content = get(alice, job).content.decode()

        assert 'href="javascript' not in content
        assert self.url(alice, job) == (None, None)


class TestSeveralFiles:
    @pytest.fixture
    def job(self, db):
        job = make_job()
        parts = [
            resource(module=name, added=1, updated=0, skipped=0, total=1)
            for name in ("Leads", "Deals", "Tasks")
        ]
        see(job, body(job, "COMPLETED", *parts, result={"download_url": "/v7/crm/org1/x.zip"}))
        make_result(
            job,
            {
                "Tasks-Tasks.csv": "no,such,file\n1,2,3\n",
                "Leads-Leads.csv": csv_of(("Boyle", "ADDED", "1", "")).decode(),
                "Deals-Deals.csv": csv_of(("Big", "ADDED", "2", ""), columns=("Deal",)).decode(),
            },
        )
        return job

    def test_the_first_that_can_be_read_is_shown(self, alice, job):
        response = get(alice, job)

        assert response.context["file"].name == "Leads-Leads.csv"
        assert "Boyle" in text_of(response)

    def test_each_has_its_link_and_its_columns(self, alice, job):
        text = text_of(get(alice, job, "?file=2"))

        assert "Row Deal Status" in text
        assert "Big" in text
        assert "Boyle" not in text

    def test_the_reason_of_one_file_does_not_follow_to_another(self, alice, job):
        content = get(alice, job, "?file=1&code=X_Y&field=Z&q=bo").content.decode()
        links = re.findall(r'id="file-\d" href="([^"]*)"', content)

        assert links == ["?file=0&amp;q=bo", "?file=1&amp;q=bo", "?file=2&amp;q=bo"]

    def test_one_that_could_not_be_read_says_why_and_where_it_is(self, alice, job):
        response = get(alice, job, "?file=0")
        text = text_of(response)

        assert "This file could not be read" in text
        assert "no STATUS and ERRORS columns" in text
        assert f'href="/jobs/{job.pk}/result.zip"' in response.content.decode()


class TestWithoutRows:
    @pytest.mark.parametrize(
        ("state", "words"),
        [
            (Result.State.PENDING, "Being fetched"),
            (Result.State.EXPIRED, "No longer at Zoho"),
            (Result.State.DELETED, "The rows were deleted here"),
            (Result.State.REFUSED, "The result file was refused"),
            (Result.State.FAILED, "could not be fetched"),
        ],
    )
    def test_each_state_says_what_comes_next(self, alice, job, state, words):
        Result.objects.update(state=state, deleted_at=timezone.now())

        response = get(alice, job, "?status=added")
        text = text_of(response)

        assert response.status_code == 200
        assert words in text
        assert "Boyle" not in text
        assert f'href="/jobs/{job.pk}/"' in response.content.decode()

    def test_only_a_result_that_is_being_fetched_is_asked_for_again(self, alice, job):
        assert "every 5s" not in get(alice, job).content.decode()
        Result.objects.update(state=Result.State.PENDING)
        assert "every 5s" in get(alice, job).content.decode()

    def test_a_job_without_a_result(self, alice, db):
        running = make_job()
        ended = make_job(ended_at=timezone.now())

        assert "No rows yet" in text_of(get(alice, running))
        assert "No result file" in text_of(get(alice, ended))

    def test_a_copy_that_went_missing(self, alice, job):
        Path(job.result.archive.path).unlink()

        assert "Our copy is missing" in text_of(get(alice, job))

    def test_a_copy_that_was_damaged(self, alice, job):
        Path(job.result.archive.path).write_bytes(b"no zip")

        assert "This file could not be read" in text_of(get(alice, job))

    def test_a_file_of_a_header_alone(self, alice, db):
        job = make({"Leads.csv": csv_of().decode()})

        assert "No rows" in text_of(get(alice, job))

    def test_a_job_that_is_not_there(self, alice, db):
        assert alice.get("/jobs/99/rows/").status_code == 404


def test_it_needs_a_sign_in(client, job):
    assert get(client, job).status_code == 302


def test_the_rows_of_another_job_are_not_shown(alice, job):
    other = make({"Leads.csv": csv_of(("Someone else", "ADDED", "1", "")).decode()})

    assert "Someone else" not in text_of(get(alice, job))
    assert "Someone else" in text_of(get(alice, other))


@pytest.mark.parametrize(
    ("value", "short"),
    [
        ("first line\nsecond line", "first line…"),
        ("word " * 100, "word word"),
        ("   ", "(only spaces)"),
        ("\u0645\u0631\u062d\u0628\u0627", "\u0645\u0631\u062d\u0628\u0627"),
    ],
)
def test_any_value_is_shown_as_text_and_whole(alice, db, value, short):
    job = make({"Leads.csv": csv_of((value, "ADDED", "1", "")).decode()})
    content = get(alice, job).content.decode()

    assert short in content
    assert value.strip() in content
    assert 'dir="auto"' in content


def test_a_huge_value_says_that_it_is_cut(alice, db):
    job = make({"Leads.csv": csv_of(("x" * 60_000, "ADDED", "1", "")).decode()})
    response = get(alice, job)

    assert len(response.content) < 40_000
    assert "Cut after 2,000 characters" in text_of(response)


def test_more_columns_than_a_page_takes_are_counted(alice, db):
    columns = [f"c{number}" for number in range(200)]
    job = make({"Leads.csv": csv_of(["v"] * 200 + ["ADDED", "1", ""], columns=columns).decode()})

    assert "170 more columns of the file are not shown here" in text_of(get(alice, job))


HOSTILE = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    '"><svg onload=alert(1)>',
    "'><b>bold</b>",
    "{{ 7|add:7 }}{% debug %}",
    "</td></tr></table><h1>",
    "javascript:alert(1)",
    "&lt;b&gt;",
    'x" hx-get="/jobs/',
    "<!-- ",
]


@pytest.mark.parametrize("bad", HOSTILE)
def test_markup_from_a_result_is_text_wherever_it_stands(alice, db, bad):
    rows = [
        ("a", bad, bad, bad, f"INVALID_DATA-{bad}"),
        ("b", f"{bad}\n{bad}", "SKIPPED", "", bad),
        ("c", bad * 50, "SKIPPED", "", f"{bad}-x"),
    ]
    job = make(
        {
            f"{bad.replace('/', '')}.csv": csv_of(*rows, columns=("Name", bad)).decode(),
            "b.csv": csv_of().decode(),
        }
    )

    response = alice.get(
        f"/jobs/{job.pk}/rows/", {"q": bad, "code": bad, "field": bad, "file": bad}
    )
    page = response.content.decode()
    everything = get(alice, job).content.decode()

    for content in (page, everything):
        if bad != escape(bad):
            assert bad not in content
    assert escape(bad) in everything
