"""Primary keys of many jobs in the short form that an address can hold: `4-280.300-300`.

Jobs that are registered together have keys that follow each other.
"""

from collections.abc import Iterable, Sequence

from django.db.models import Q

MOST_SPANS = 100
MOST_CHARACTERS = 4_000
# Keys have no more.
MOST_DIGITS = 18

Spans = Sequence[tuple[int, int]]


def of(keys: Iterable[int]) -> Spans:
    """(first, last) of each unbroken row of keys; of very many rows, the last ones."""
    spans: list[tuple[int, int]] = []
    for key in sorted(keys):
        if spans and spans[-1][1] == key - 1:
            spans[-1] = (spans[-1][0], key)
        else:
            spans.append((key, key))
    return spans[-MOST_SPANS:]


def write(spans: Spans) -> str:
    return ".".join(f"{first}-{last}" for first, last in spans)


def read(text: str) -> Spans:
    """The spans of a text that `write` has made; what else stands there is left out."""
    spans = [span.split("-") for span in text[:MOST_CHARACTERS].split(".")[:MOST_SPANS]]
    return [
        (int(span[0]), int(span[1])) for span in spans if len(span) == 2 and all(map(is_key, span))
    ]


def is_key(text: str) -> bool:
    return text.isdecimal() and len(text) <= MOST_DIGITS


def number_of_keys(spans: Spans) -> int:
    return sum(last - first + 1 for first, last in spans)


def lookup(spans: Spans) -> Q:
    """What a row has to meet to be in one of the spans."""
    condition = Q(pk__in=[])
    for first, last in spans:
        condition |= Q(pk__range=(first, last))
    return condition
