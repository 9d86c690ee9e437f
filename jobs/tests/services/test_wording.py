"""Errors in words: what they mean first, what was said after it."""

import pytest

from jobs.services.wording import error_in_words, without_head
from jobs.zoho.codes import STILL_REJECTED


@pytest.mark.parametrize(
    ("code", "message", "words"),
    [
        (
            "OAUTH_SCOPE_MISMATCH",
            "Unauthorized",
            "The connection was not granted the scope that reading bulk write jobs needs. "
            "(OAUTH_SCOPE_MISMATCH: “Unauthorized”)",
        ),
        (
            "invalid_client_secret",
            "The client secret does not belong to the client ID.",
            "The client secret does not belong to the client ID. (invalid_client_secret)",
        ),
        (
            "INVALID_TOKEN",
            STILL_REJECTED.meaning,
            "Zoho rejects an access token that it has only just given: nearly always the "
            "connection names the wrong data centre or environment. (INVALID_TOKEN)",
        ),
        ("NEW_CODE", "Something else", "Something else. (NEW_CODE)"),
        (
            None,
            "No trusted TLS connection could be made",
            "No trusted TLS connection could be made.",
        ),
        (None, None, ""),
    ],
)
def test_an_error_says_what_it_means_before_what_zoho_said(code, message, words):
    assert error_in_words(code, message) == words


@pytest.mark.parametrize(
    ("sentence", "shown"),
    [
        ("Failed: zoho could not: why?", "Zoho could not: why?"),
        ("Failing: no other head is cut", "Failing: no other head is cut"),
        ("Failed", "Failed"),
    ],
)
def test_a_sentence_without_its_head_begins_anew(sentence, shown):
    assert without_head(sentence, "Failed") == shown
