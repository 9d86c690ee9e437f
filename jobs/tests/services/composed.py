"""Mails about jobs and connections, as they are composed and as they are read."""

from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser

from django.utils import timezone

from jobs.models import Outcome, Result, ResultFile, SkipReason
from jobs.services import alerting, mails
from jobs.services.wording import verdict_sentence
from jobs.tests.factories import make_job


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
