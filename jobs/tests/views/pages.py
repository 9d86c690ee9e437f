"""Pages as text."""

import html
import re

from django.http import HttpResponse
from django.test import Client

from jobs.models import BulkWriteJob


def text(response: HttpResponse) -> str:
    """A page as it is sent."""
    return response.content.decode()


def plain_text(response: HttpResponse) -> str:
    """A page with characters for entities, and one blank wherever there are some."""
    return " ".join(html.unescape(text(response)).split())


def page_of(client: Client, job: BulkWriteJob, **headers: str) -> str:
    """The page of a job."""
    return client.get(f"/jobs/{job.pk}/", headers=headers).content.decode()


def text_of(page: str) -> str:
    """What a page says, without its tags."""
    return " ".join(re.sub(r"<[^>]+>", " ", page).split())
