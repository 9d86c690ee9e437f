"""Filters of the mails: numbers and names as plain text has them."""

import textwrap

from django import template
from django.template.defaultfilters import stringfilter

register = template.Library()

WIDTH = 72


@register.filter
def count(number: int | None) -> str:
    """A count of rows as people read it; Zoho's absent counts are unknown, not 0."""
    return "unknown" if number is None else f"{number:,}"


@register.filter(is_safe=True)
@stringfilter
def one_line(text: str) -> str:
    """The text without line breaks and control characters, so that no name makes lines."""
    visible = (letter if letter.isprintable() else " " for letter in text)
    return " ".join("".join(visible).split())


@register.filter(is_safe=True)
@stringfilter
def wrapped(text: str, indent: int = 0) -> str:
    """The text as one paragraph of plain text that begins at the column `indent`.

    Words longer than a line, such as addresses, stay whole, so that they can be clicked.
    """
    return textwrap.fill(
        one_line(text),
        WIDTH,
        initial_indent=" " * indent,
        subsequent_indent=" " * indent,
        break_long_words=False,
        break_on_hyphens=False,
    ).lstrip()
