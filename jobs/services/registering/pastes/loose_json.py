"""Objects and lists as JSON, Python, JavaScript or Java print them, wherever they stand in a text.

Scalars are texts: an id beyond 2**53 loses no digit, and no number is too large to be read.
"""

import json
import re
from typing import Any

DEEPEST = 100
# Answers are seldom longer, in characters.
WINDOW = 65_536
# What an attempt in vain costs at the least, in characters.
ATTEMPT = 50

_STRICT = json.JSONDecoder(parse_int=str, parse_float=str, parse_constant=str)
_LIKE_JSON = re.compile(r"\{\s*[\"}]|\[")
_TOKEN = re.compile(
    r"""\s*(?:
        (?P<mark>[{}\[\],:=])
        | (?P<quoted>"[^"\\]*(?:\\.[^"\\]*)*"|'[^'\\]*(?:\\.[^'\\]*)*')
        | (?P<word>[^\s{}\[\],:="'(]+(?:\([^()]*\))?|\([^()]*\))
    )""",
    re.X | re.S,
)
_BLANK = re.compile(r"\s*\Z")
_OPEN_QUOTE = re.compile(r"\s*[\"']")
_ESCAPED = re.compile(r"\\(.)", re.S)


class _NoValueError(Exception):
    """Nothing can be read there; `at` is how far it was looked."""

    def __init__(self, at: int) -> None:
        super().__init__(at)
        self.at = at


class Reader:
    """Reads values out of one text.

    What attempts in vain may cost together is bounded by the text's length, so that a text made
    of opening brackets is read in no time.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        self._left = 3 * len(text) + 100_000

    @property
    def is_spent(self) -> bool:
        """Whether so many attempts were made in vain that nothing is read any more."""
        return self._left <= 0

    def value_at(self, start: int) -> tuple[Any, int] | None:
        """The object or list that begins there, and where it ends.

        None where none begins. One that is cut off at the end of the text is read as far as it
        goes.
        """
        if self.is_spent:
            return None
        if _LIKE_JSON.match(self.text, start) and (found := self._strictly(start, WINDOW)):
            return found
        try:
            return _loosely(self.text, start)
        except _NoValueError as error:
            self._left -= error.at - start + ATTEMPT
            return None

    def _strictly(self, start: int, size: int) -> tuple[Any, int] | None:
        # A part of the text, as the error of the decoder counts the lines before it each time.
        part = self.text[start : start + size]
        is_cut = start + size < len(self.text)
        try:
            value, end = _STRICT.raw_decode(part)
        except RecursionError:
            self._left -= 20_000
            return None
        except json.JSONDecodeError as error:
            is_open = error.msg.startswith("Unterminated") or error.pos > len(part) - 20
            self._left -= len(part) if is_open else error.pos
            return self._strictly(start, len(self.text)) if is_cut and is_open else None
        return value, start + end


def _loosely(text: str, start: int) -> tuple[Any, int]:
    root = _opened(text[start])
    current = root
    outer: list[dict[str, Any] | list[Any]] = []
    at = start + 1
    key: str | None = None
    has_colon = False
    while True:
        token = _TOKEN.match(text, at)
        if token is None:
            if _BLANK.match(text, at):
                return root, len(text)
            # For the end of a string, all of the text was looked at.
            raise _NoValueError(len(text) if _OPEN_QUOTE.match(text, at) else at)
        at = token.end()
        mark = token["mark"]
        if mark == ",":
            key, has_colon = None, False
        elif mark in (":", "="):
            if key is None or has_colon:
                raise _NoValueError(at)
            has_colon = True
        elif mark in ("}", "]"):
            if isinstance(current, dict) != (mark == "}"):
                raise _NoValueError(at)
            if not outer:
                return root, at
            current, key, has_colon = outer.pop(), None, False
        elif isinstance(current, dict) and not has_colon:
            # A word of a name or, where there was a value, the rest of that value.
            if mark is not None or (key is not None and not current):
                raise _NoValueError(at)
            key = _scalar(token[0].strip())
        else:
            inner = _opened(mark) if mark is not None else None
            value = _scalar(token[0].strip()) if inner is None else inner
            if isinstance(current, dict):
                current[key or ""] = value
            else:
                current.append(value)
            key, has_colon = None, False
            if inner is not None:
                if len(outer) >= DEEPEST:
                    raise _NoValueError(at)
                outer.append(current)
                current = inner


def _opened(mark: str) -> dict[str, Any] | list[Any]:
    return {} if mark == "{" else []


def _scalar(text: str) -> str:
    if text[0] in "\"'":
        return _ESCAPED.sub(r"\1", text[1:-1])
    return text
