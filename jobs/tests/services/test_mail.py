"""What the mails say, in text and HTML, and what they never carry."""

import re
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser

import pytest
from django.core import mail
from django.utils import timezone

from jobs.models import Alert, FieldMapping, Outcome, Resource, Result, ResultFile, SkipReason
from jobs.services import alerting, mails
from jobs.services.wording import verdict_sentence
from jobs.tests.factories import make_connection, make_job

pytestmark = pytest.mark.django_db

Kind = Alert.Kind


@pytest.fixture
def connection():
    return make_connection(name="production")


def ended_job(connection, **fields):
    now = timezone.now()
    return make_job(
        connection,
        **{
            "status": "COMPLETED",
            "status_raw": "COMPLETED",
            "outcome": Outcome.NOTHING_IMPORTED,
            "operation": "insert",
            "modules": "Deals",
            "file_names": "Deals.csv",
            "created_by_name": "Patricia Boyle",
            "created_time": datetime(2019, 1, 30, 14, 18, 15, tzinfo=UTC),
            "added_count": 0,
            "updated_count": 0,
            "skipped_count": 100,
            "total_count": 100,
            "skip_ratio": 1.0,
            "last_changed_at": now,
            "ended_at": now,
        }
        | fields,
    )


def with_reasons(job, *found):
    result = Result.objects.create(job=job, state=Result.State.ARCHIVED)
    file = ResultFile.objects.create(result=result, position=0, name="Deals-x.csv", size=1)
    for code, field, rows in found:
        SkipReason.objects.create(file=file, code=code, field=field, rows=rows)
    return job


def compose(kind, *, job=None, connection=None, text=None, about=""):
    alert = alerting.make_alert(
        kind,
        verdict_sentence(job) if text is None else text,
        connection=connection or job.connection,
        job=job,
        about=about,
        at=timezone.now(),
        hold=timedelta(),
    )
    return mails.compose(alert, ["ops@example.com"])


def html_of(message):
    ((html, kind),) = message.alternatives
    assert kind == "text/html"
    return html


class Reader(HTMLParser):
    """What a mail program would load, run or show of an HTML mail."""

    def __init__(self, html):
        super().__init__()
        self.tags, self.loads, self.links, self.handlers, self.text = [], [], [], [], []
        self.feed(html)
        self.shown = " ".join(" ".join(self.text).split())

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        for name, value in attrs:
            if name in ("src", "srcset", "background", "data") or (
                tag == "link" and name == "href"
            ):
                self.loads.append(value)
            if name.startswith("on"):
                self.handlers.append(name)
            if tag == "a" and name == "href":
                self.links.append(value)

    def handle_data(self, data):
        self.text.append(data)


# --- A job that ended badly


def test_the_verdict_comes_first_then_the_counts(connection):
    job = ended_job(connection)

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


def test_large_counts_are_parted_and_the_unprocessed_are_told(connection):
    job = ended_job(
        connection,
        outcome=Outcome.PARTIAL,
        added_count=18250,
        skipped_count=3510,
        total_count=25000,
    )

    message = compose(Kind.SKIP_THRESHOLD, job=job)

    for shown in (message.body, Reader(html_of(message)).shown):
        assert "18,250" in shown
        assert re.search(r"Unprocessed\s+3,240", shown)


def test_absent_counts_are_unknown_and_not_0(connection):
    job = ended_job(connection, updated_count=None)

    message = compose(Kind.NOTHING_IMPORTED, job=job)

    assert re.search(r"Updated +unknown$", message.body, re.MULTILINE)
    assert "Updated unknown" in Reader(html_of(message)).shown


def test_a_job_without_any_count_says_that_they_are_unknown(connection):
    job = ended_job(
        connection,
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


def test_the_three_top_reasons_are_named_with_what_to_do(connection):
    job = with_reasons(
        ended_job(connection),
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


def test_a_reason_comes_with_what_the_mapping_says_of_it(connection):
    job = ended_job(connection)
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


def test_no_value_of_a_row_is_in_a_mail(connection):
    job = ended_job(connection)
    resource = Resource.objects.create(job=job, module="Deals", position=0)
    FieldMapping.objects.create(resource=resource, position=0, api_name="Email", index=0)
    with_reasons(job, ("INVALID_DATA", "Email", 9))
    ResultFile.objects.update(resource=resource, columns=["Email"])
    values = [["ito@canary.example", 9]]
    SkipReason.objects.update(facts={"column": 0, "empty": 0, "values": values, "different": 1})

    message = compose(Kind.NOTHING_IMPORTED, job=job)

    assert "Email came from column 1." in message.body
    assert "canary" not in message.body + html_of(message)


def test_further_reasons_are_counted(connection):
    job = with_reasons(ended_job(connection), *(("INVALID_DATA", f"F{n}", n + 1) for n in range(8)))

    message = compose(Kind.NOTHING_IMPORTED, job=job)

    assert "And 5 more reasons: see the job's page." in message.body
    assert "And 5 more reasons" in html_of(message)
    assert "F7" in message.body
    assert "F4" not in message.body


def test_skips_without_known_reasons_say_that_they_are_not_known(connection):
    message = compose(Kind.NOTHING_IMPORTED, job=ended_job(connection))

    for shown in (message.body, Reader(html_of(message)).shown):
        assert "Why rows were skipped is not known" in shown


def test_it_tells_who_started_it_and_when_with_connection_and_file(connection):
    message = compose(Kind.NOTHING_IMPORTED, job=ended_job(connection))

    for shown in (" ".join(message.body.split()), Reader(html_of(message)).shown):
        assert "Started by Patricia Boyle, 30 January 2019, 14:18 UTC" in shown
        assert "Connection production" in shown
        assert "File Deals.csv" in shown


def test_what_zoho_left_unsaid_is_left_out(connection):
    job = ended_job(connection, created_by_name="", created_time=None, operation="", file_names="")

    message = compose(Kind.NOTHING_IMPORTED, job=job)

    for shown in (message.body, Reader(html_of(message)).shown):
        assert "Started" not in shown
        assert "File" not in shown
        assert "None" not in shown


def test_the_text_has_one_link_and_it_leads_to_the_job(connection, settings):
    settings.SITE_URL = "https://bulkwatch.example.com"
    job = ended_job(connection)

    message = compose(Kind.NOTHING_IMPORTED, job=job)

    page = f"https://bulkwatch.example.com/jobs/{job.pk}/"
    assert re.findall(r"https?://\S+", message.body) == [page]
    assert Reader(html_of(message)).links[0] == page


def test_the_limit_that_was_passed_is_named(connection):
    job = ended_job(connection, outcome=Outcome.PARTIAL, added_count=60, skipped_count=40)
    fact = f"{verdict_sentence(job)} The limit is 10 %."

    body = compose(Kind.SKIP_THRESHOLD, job=job, text=fact).body

    assert "The limit is 10 %." in body
    assert body.count("not in the CRM") == 1


def test_several_resources_each_have_their_counts(connection):
    job = ended_job(connection, outcome=Outcome.PARTIAL, added_count=100, skipped_count=40)
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


def test_the_code_that_zoho_gave_for_a_failure_is_explained(connection):
    job = ended_job(connection, outcome=Outcome.FAILED, status="FAILED")
    Resource.objects.create(
        job=job, position=0, module="Leads", status="FAILED", code="MANDATORY_FIELDS_NOT_MAPPED"
    )

    body = " ".join(compose(Kind.FAILED, job=job).body.split())

    assert "Leads: MANDATORY_FIELDS_NOT_MAPPED. Mandatory fields of the module" in body
    assert "What to do: Map every mandatory field" in body


def test_a_code_that_says_no_more_than_the_status_is_left_out(connection):
    job = ended_job(connection, outcome=Outcome.FAILED, status="FAILED")
    Resource.objects.create(job=job, position=0, module="Leads", status="FAILED", code="FAILED")

    assert "What to do" not in compose(Kind.FAILED, job=job).body


def test_numbers_that_contradict_each_other_are_told(connection):
    job = ended_job(connection, warnings=["Zoho's count and its result file differ: 1 & 2."])

    message = compose(Kind.NOTHING_IMPORTED, job=job)

    for shown in (" ".join(message.body.split()), Reader(html_of(message)).shown):
        assert "Note: Zoho's count and its result file differ: 1 & 2." in shown


# --- Other facts


def test_a_stuck_job_shows_what_is_still_to_do(connection):
    job = ended_job(
        connection,
        outcome=Outcome.STUCK,
        status="INPROGRESS",
        ended_at=None,
        added_count=40,
        skipped_count=0,
    )

    body = compose(
        Kind.STUCK, job=job, text="Nothing about it has changed for more than 30 minutes."
    ).body

    assert body.startswith("Stuck: Zoho still reports it as running")
    assert re.search(r"Still to do +60$", body, re.MULTILINE)
    assert "Unprocessed" not in body


def test_a_mail_that_leaves_late_says_where_the_job_is_by_now(connection):
    job = ended_job(connection, outcome=Outcome.IMPORTED, added_count=100, skipped_count=0)

    body = " ".join(compose(Kind.STUCK, job=job, text="Nothing has changed.").body.split())

    assert body.startswith("Stuck: Nothing has changed. By now: Imported: 100 rows are in the CRM")


def test_a_job_that_cannot_be_read_says_the_error_and_what_to_do(connection):
    job = make_job(
        connection,
        poll_state="blocked",
        poll_error={
            "code": "RESOURCE_NOT_FOUND",
            "message": "Gone.",
            "resolution": "Check the ID.",
        },
    )

    message = compose(Kind.BLOCKED, job=job, text="RESOURCE_NOT_FOUND: Gone.")

    for shown in (message.body, Reader(html_of(message)).shown):
        assert "Zoho refuses to say anything more about this job." in shown
        assert "RESOURCE_NOT_FOUND: Gone." in shown
        assert "What to do: Check the ID." in shown


def test_a_recovery_says_so_and_how_it_stands(connection):
    job = ended_job(connection, outcome=Outcome.IMPORTED, added_count=100, skipped_count=0)

    body = compose(Kind.RECOVERED, job=job, text="It was stuck and goes on: imported.").body

    assert body.startswith("Recovered. It was stuck and goes on: imported.\n\nImported: 100 rows")


def test_a_connection_that_needs_a_person_is_told_without_a_job():
    connection = make_connection(
        name="eu-sales",
        blocked_at=timezone.now(),
        last_error={"message": "Not accepted.", "resolution": "Get a new refresh token."},
    )

    message = compose(Kind.CONNECTION_BLOCKED, connection=connection, text="Not accepted.")

    assert message.subject == "[Bulkwatch] Connection needs you: eu-sales"
    assert "http://testserver/connections/" in message.body
    for shown in (message.body, Reader(html_of(message)).shown):
        assert "Bulkwatch cannot read the jobs of eu-sales: it needs you." in shown
        assert "What to do: Get a new refresh token." in shown


def test_a_connection_that_works_again_when_its_mail_leaves_says_so():
    message = compose(Kind.CONNECTION_BLOCKED, connection=make_connection(), text="Not accepted.")

    assert "Meanwhile Zoho accepts the sign-in again." in message.body


def test_a_connection_without_answers_says_since_when_and_what_to_do():
    connection = make_connection(
        name="eu-sales",
        unanswered_since=timezone.now(),
        last_error={"message": "No answer in time.", "resolution": "Check the network."},
    )

    message = compose(
        Kind.UNREACHABLE, connection=connection, text="No answer for 31 minutes. No answer in time."
    )

    assert message.subject == "[Bulkwatch] No answers: eu-sales"
    for shown in (message.body, Reader(html_of(message)).shown):
        assert "Zoho gives no answer about the jobs of eu-sales." in shown
        assert "No answer for 31 minutes." in shown
        assert "What to do: Check the network." in shown
        assert "Meanwhile" not in shown


def test_a_connection_that_answers_again_when_its_mail_leaves_says_so():
    message = compose(Kind.UNREACHABLE, connection=make_connection(), text="No answer.")

    assert "Meanwhile Zoho answers again." in message.body


@pytest.mark.parametrize("is_over", [False, True])
def test_a_connection_that_waits_long_says_until_when_and_what_to_do(is_over):
    until = timezone.now() + timedelta(hours=-1 if is_over else 5)
    connection = make_connection(name="eu-sales", resume_at=until, waiting_for="credits")

    message = compose(
        Kind.UNREACHABLE, connection=connection, text="Used up.", about="wait from 2026-11-25"
    )

    for shown in (message.body, Reader(html_of(message)).shown):
        shown = " ".join(shown.split())
        assert "Bulkwatch asks nothing about the jobs of eu-sales for a while. Used up." in shown
        assert ("What to do: Give polling more credits a day" in shown) is not is_over
        assert ("Meanwhile that is over." in shown) is is_over
        assert "Zoho gives no answer" not in shown


def test_a_job_without_answers_says_so_and_how_it_was_seen_last(connection):
    job = make_job(
        connection,
        outcome=Outcome.RUNNING,
        status="INPROGRESS",
        last_changed_at=timezone.now(),
        poll_error={"code": None, "message": "No answer.", "resolution": "Check the network."},
    )

    body = " ".join(compose(Kind.UNREACHABLE, job=job, text="No answer for 6 hours.").body.split())

    assert body.startswith("Zoho gives no answer about this job. No answer for 6 hours. Last seen:")
    assert "What to do: Check the network." in body


# --- Form


HOSTILE = {
    "label": "<script>alert(1)</script>\nBcc: a@b.example",
    "modules": 'Leads"><img src=x onerror=alert(1)>',
    "file_names": "a\u202ecsv.exe",
    "created_by_name": "Eve\r\n\r\n<b>Total  999</b>",
    "operation": "<i>",
    "warnings": ["<svg onload=alert(1)>"],
}


def test_hostile_names_are_text_in_html(connection):
    job = with_reasons(ended_job(connection, **HOSTILE), ("<b>CODE", "<u>field\n", 5))

    html = html_of(compose(Kind.NOTHING_IMPORTED, job=job))
    reader = Reader(html)

    assert not {"script", "img", "b", "i", "u", "svg"} & set(reader.tags)
    assert reader.handlers == []
    assert "<script>alert(1)</script>" in reader.shown


def test_hostile_names_make_no_lines_and_no_headers(connection):
    job = with_reasons(ended_job(connection, **HOSTILE), ("CODE", "field\nTotal 7", 5))

    message = compose(Kind.NOTHING_IMPORTED, job=job)

    assert "\n" not in message.subject
    assert "Label        <script>alert(1)</script> Bcc: a@b.example\n" in message.body
    assert not re.search(r"^(Bcc|<b>|Total 7)", message.body, re.MULTILINE)
    assert "\u202e" not in message.body
    assert "bcc" not in {name.lower() for name in message.message().keys()}  # noqa: SIM118


def test_the_text_has_no_marks_of_escaping(connection):
    job = ended_job(connection, label='Smith & Sons\' "deals" <new>')

    body = compose(Kind.NOTHING_IMPORTED, job=job).body

    assert 'Smith & Sons\' "deals" <new>' in body
    assert not re.search(r"&(amp|lt|gt|quot|#x?\d+);", body)


def test_lines_are_short_and_paragraphs_one_blank_line_apart(connection):
    job = with_reasons(
        ended_job(connection, label="word " * 39), ("INVALID_DATA", "Closing_Date", 100)
    )

    body = compose(Kind.NOTHING_IMPORTED, job=job).body

    assert max(map(len, body.splitlines())) <= 76
    assert "\n\n\n" not in body
    assert body.endswith("production.\n")


@pytest.mark.parametrize("kind", Kind)
def test_the_html_loads_nothing_runs_nothing_and_is_small(connection, kind):
    job = with_reasons(ended_job(connection), ("INVALID_DATA", "Email", 100))

    html = html_of(compose(kind, job=job, text="It happened."))
    reader = Reader(html)

    assert reader.loads == []
    assert not {"script", "link", "img", "iframe", "form"} & set(reader.tags)
    assert "@import" not in html
    assert "url(" not in html
    assert len(html.encode()) < 60_000
    assert '<meta name="color-scheme" content="light dark">' in html
    assert "prefers-color-scheme: dark" in html


def test_no_mail_holds_a_secret(connection):
    message = compose(Kind.NOTHING_IMPORTED, job=ended_job(connection))

    assert "canary" not in str(message.message())


def test_a_mail_goes_out_as_text_with_html_beside_it(connection):
    job = ended_job(connection)
    alerting.write(
        [
            alerting.make_alert(
                Kind.NOTHING_IMPORTED,
                verdict_sentence(job),
                connection=connection,
                job=job,
                about="",
                at=timezone.now(),
                hold=timedelta(),
            )
        ]
    )

    alerting.deliver_due()

    (message,) = mail.outbox
    assert message.message().get_content_type() == "multipart/alternative"
    assert message.extra_headers["Auto-Submitted"] == "auto-generated"
    assert message.to == ["admin@example.com"]
