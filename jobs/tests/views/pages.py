"""Pages as text."""

import html

from django.http import HttpResponse


def text(response: HttpResponse) -> str:
    """A page as it is sent."""
    return response.content.decode()


def plain_text(response: HttpResponse) -> str:
    """A page with characters for entities, and one blank wherever there are some."""
    return " ".join(html.unescape(text(response)).split())
