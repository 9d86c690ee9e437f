"""The form of the mails, and what they never carry."""

import re
from datetime import timedelta

import pytest
from django.core import mail
from django.utils import timezone

from jobs.models import Alert
from jobs.services import alerting
from jobs.services.wording import verdict_sentence
from jobs.tests.services.composed import Reader, compose, ended_job, html_of, with_reasons

pytestmark = pytest.mark.django_db

Kind = Alert.Kind

HOSTILE = {
    "label": "<script>alert(1)</script>\nBcc: a@b.example",
    "modules": 'Leads"><img src=x onerror=alert(1)>',
    "file_names": "a\u202ecsv.exe",
    "created_by_name": "Eve\r\n\r\n<b>Total  999</b>",
    "operation": "<i>",
    "warnings": ["<svg onload=alert(1)>"],
}


def test_hostile_names_are_text_in_html(production):
    job = with_reasons(ended_job(production, **HOSTILE), ("<b>CODE", "<u>field\n", 5))

    html = html_of(compose(Kind.NOTHING_IMPORTED, job=job))
    reader = Reader(html)

    assert not {"script", "img", "b", "i", "u", "svg"} & set(reader.tags)
    assert reader.handlers == []
    assert "<script>alert(1)</script>" in reader.shown


def test_hostile_names_make_no_lines_and_no_headers(production):
    job = with_reasons(ended_job(production, **HOSTILE), ("CODE", "field\nTotal 7", 5))

    message = compose(Kind.NOTHING_IMPORTED, job=job)

    assert "\n" not in message.subject
    assert "Label        <script>alert(1)</script> Bcc: a@b.example\n" in message.body
    assert not re.search(r"^(Bcc|<b>|Total 7)", message.body, re.MULTILINE)
    assert "\u202e" not in message.body
    assert "bcc" not in {name.lower() for name in message.message().keys()}  # noqa: SIM118


def test_the_text_has_no_marks_of_escaping(production):
    job = ended_job(production, label='Smith & Sons\' "deals" <new>')

    body = compose(Kind.NOTHING_IMPORTED, job=job).body

    assert 'Smith & Sons\' "deals" <new>' in body
    assert not re.search(r"&(amp|lt|gt|quot|#x?\d+);", body)


def test_lines_are_short_and_paragraphs_one_blank_line_apart(production):
    job = with_reasons(
        ended_job(production, label="word " * 39), ("INVALID_DATA", "Closing_Date", 100)
    )

    body = compose(Kind.NOTHING_IMPORTED, job=job).body

    assert max(map(len, body.splitlines())) <= 76
    assert "\n\n\n" not in body
    assert body.endswith("production.\n")


@pytest.mark.parametrize("kind", Kind)
def test_the_html_loads_nothing_runs_nothing_and_is_small(production, kind):
    job = with_reasons(ended_job(production), ("INVALID_DATA", "Email", 100))

    html = html_of(compose(kind, job=job, text="It happened."))
    reader = Reader(html)

    assert reader.loads == []
    assert not {"script", "link", "img", "iframe", "form"} & set(reader.tags)
    assert "@import" not in html
    assert "url(" not in html
    assert len(html.encode()) < 60_000
    assert '<meta name="color-scheme" content="light dark">' in html
    assert "prefers-color-scheme: dark" in html


def test_no_mail_holds_a_secret(production):
    message = compose(Kind.NOTHING_IMPORTED, job=ended_job(production))

    assert "canary" not in str(message.message())


def test_a_mail_goes_out_as_text_with_html_beside_it(production):
    job = ended_job(production)
    alerting.write(
        [
            alerting.make_alert(
                Kind.NOTHING_IMPORTED,
                verdict_sentence(job),
                connection=production,
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
