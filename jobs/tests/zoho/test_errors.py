import json
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobs.tests.zoho.support import job_payload
from jobs.zoho.codes import CODES
from jobs.zoho.errors import (
    MalformedAnswerError,
    ResultGoneError,
    ZohoError,
    ZohoRejectedError,
    ZohoSignInError,
    ZohoThrottledError,
    ZohoUnavailableError,
    describe,
    from_answer,
    is_error_envelope,
)

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
TOKEN = "1000." + "8cb9" * 8 + "." + "9b8f" * 8


def judged(status, code=None, message="said", headers=None, **more):
    body = json.dumps({"code": code, "details": {}, "message": message, "status": "error"} | more)
    return from_answer(status, headers or {}, body.encode(), now=NOW)


@pytest.mark.parametrize(
    ("status", "code", "kind", "scope"),
    [
        (401, "INVALID_TOKEN", ZohoSignInError, "connection"),
        (401, "AUTHENTICATION_FAILURE", ZohoSignInError, "connection"),
        (401, "OAUTH_SCOPE_MISMATCH", ZohoSignInError, "connection"),
        (403, "OAUTH_SCOPE_MISMATCH", ZohoSignInError, "connection"),
        (403, "NO_PERMISSION", ZohoRejectedError, "connection"),
        (400, "AUTHORIZATION_FAILED", ZohoRejectedError, "connection"),
        (404, "RESOURCE_NOT_FOUND", ZohoRejectedError, "job"),
        (400, "RESOURCE_NOT_FOUND", ZohoRejectedError, "job"),
        (404, "INVALID_URL_PATTERN", ZohoRejectedError, "connection"),
        (400, "INVALID_REQUEST_METHOD", ZohoRejectedError, "connection"),
        (405, "METHOD_NOT_ALLOWED", ZohoRejectedError, "connection"),
        (400, "API_NOT_SUPPORTED", ZohoRejectedError, "connection"),
        (429, "TOO_MANY_REQUESTS", ZohoThrottledError, "connection"),
        (400, "TOO_MANY_REQUESTS", ZohoThrottledError, "connection"),
        (429, "SOMETHING_NEW", ZohoThrottledError, "connection"),
        (500, "INTERNAL_ERROR", ZohoUnavailableError, "connection"),
        (200, "INTERNAL_ERROR", ZohoUnavailableError, "connection"),
        (400, "SOMETHING_NEW", ZohoRejectedError, "job"),
        (503, "SOMETHING_NEW", ZohoUnavailableError, "connection"),
        (401, "SOMETHING_NEW", ZohoSignInError, "connection"),
        (200, "SOMETHING_NEW", MalformedAnswerError, "job"),
    ],
)
def test_an_answer_is_judged_by_code_and_then_by_status(status, code, kind, scope):
    error = judged(status, code)
    assert type(error) is kind
    assert (error.code, error.http_status, error.scope) == (code, status, scope)
    assert error.resolution
    assert "said" in str(error)


@pytest.mark.parametrize(
    ("said", "code"),
    [
        ("resource_not_found", "RESOURCE_NOT_FOUND"),
        ("Too_Many_Requests", "TOO_MANY_REQUESTS"),
        ("something_New", "something_New"),
    ],
)
def test_a_known_code_is_spelled_as_zoho_documents_it_and_any_other_as_it_came(said, code):
    assert judged(400, said).code == code


def test_what_is_longer_than_any_error_message_is_not_read_as_one():
    body = json.dumps({"code": "NO_PERMISSION", "status": "error", "details": "x" * 70_000})
    error = from_answer(403, {}, body.encode(), now=NOW)
    assert isinstance(error, MalformedAnswerError)
    assert error.code is None


@pytest.mark.parametrize("status", [400, 403, 404, 500, 502, 503, 504, 200])
def test_an_html_page_is_temporary(status):
    error = from_answer(status, {}, b"<html>Bad Gateway</html>", now=NOW)
    assert isinstance(error, ZohoUnavailableError)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("120", 120),
        (" 15 ", 15),
        ("Mon, 23 Nov 2026 12:01:00 GMT", 60),
        ("Mon, 23 Nov 2026 11:00:00 GMT", 0),
        ("999999999", 86_400),
        ("inf", None),
        ("Infinity", None),
        ("1e9", None),
        ("1.5", None),
        ("+7", None),
        ("1_000", None),
        ("²", None),
        ("٣", None),
        ("-5", None),
        ("nan", None),
        ("soon", None),
        ("", None),
        ("Mon, 99 Nov 99999", None),
        ("9" * 100, None),
    ],
)
def test_retry_after_is_seconds_a_date_or_nothing(text, seconds):
    error = judged(429, "TOO_MANY_REQUESTS", headers={"retry-AFTER": text})
    assert error.retry_after == seconds


@pytest.mark.parametrize(
    "body",
    [
        {"info": "Forbidden", "x-info": "Link not valid", "http_status": "403"},
        {"x-info": "Link not valid"},
        {"info": "Link not valid", "ERROR_CODE": "4001", "ERROR_MESSAGE": "Bad Request"},
    ],
)
def test_the_file_dialect_says_that_a_link_is_gone(body):
    error = from_answer(403, {}, json.dumps(body).encode(), now=NOW)
    assert isinstance(error, ResultGoneError)
    assert "7 days" in describe(error.code).meaning


def test_the_file_dialect_keeps_its_words():
    body = {"ERROR_CODE": "X1", "ERROR_MESSAGE": "Bad Request", "x-error": "check headers"}
    error = from_answer(400, {}, json.dumps(body).encode(), now=NOW)
    assert (error.code, error.message) == ("X1", "Bad Request")


@pytest.mark.parametrize("code", sorted(CODES))
def test_every_known_code_has_help_in_whole_sentences(code):
    for text in describe(code.lower()):
        assert text[0].isupper()
        assert text.endswith(".")


def test_an_unknown_code_is_said_to_be_unknown():
    assert "does not know" in describe("BRAND_NEW").meaning


def test_an_error_envelope_is_told_from_a_job():
    assert is_error_envelope({"code": "X", "message": "m", "status": "error"})
    assert is_error_envelope({"code": "INVALID_TOKEN"})
    assert is_error_envelope({"x-info": "Link not valid"})
    assert not is_error_envelope(job_payload())
    assert not is_error_envelope(job_payload(status="error", code="X"))
    assert not is_error_envelope({"status": "ADDED", "id": "1", "code": "X"})
    assert not is_error_envelope({"status": "error", "code": "X", "resource": []})
    assert not is_error_envelope([])


@pytest.mark.parametrize(
    "leak",
    [
        TOKEN,
        f"Authorization: Zoho-oauthtoken {TOKEN}",
        '{"access_token": "s3cret-t0ken"}',
        "client_secret=s3cret-t0ken&x=1",
        "Bearer s3cret-t0ken",
        "plain-canary",
    ],
)
def test_no_error_holds_a_token(leak):
    for body in (leak.encode(), json.dumps({"code": "X", "message": leak}).encode()):
        error = from_answer(400, {}, body, now=NOW, secrets=("plain-canary",))
        shown = repr(vars(error)) + str(error) + repr(error)
        assert TOKEN not in shown
        assert "s3cret-t0ken" not in shown
        assert "plain-canary" not in shown


@pytest.mark.parametrize("field", ["code", "message", "error", "info", "x-error"])
def test_no_word_of_an_answer_is_kept_with_a_token(field):
    for token in (TOKEN, "plain-canary-of-zoho"):
        body = json.dumps({field: f"no {token}", "details": {"supported_version": token}}).encode()
        error = from_answer(400, {}, body, now=NOW, secrets=("plain-canary-of-zoho",))
        shown = repr(vars(error)) + str(error)
        assert "8cb98cb9" not in shown
        assert "plain-canary" not in shown
        assert "[hidden]" in shown


@pytest.mark.parametrize("token", [TOKEN, "plain-canary-of-zoho"])
@pytest.mark.parametrize("kept", [5, 12, 15, 19])
def test_of_a_token_at_the_cut_no_part_is_left(token, kept):
    """Neither at the end of an excerpt, of a message, nor of a code."""
    for body in (
        b"<" + b"x" * (4094 - kept) + b" " + token.encode() + b"z" * 9000,
        json.dumps({"code": "X", "message": "m" * (499 - kept) + " " + token}).encode(),
        json.dumps({"code": "C" * (99 - kept) + " " + token, "message": "m"}).encode(),
    ):
        error = from_answer(400, {}, body, now=NOW, secrets=("plain-canary-of-zoho",))
        for text in (error.excerpt, error.message, error.code or ""):
            assert token[:5] not in text


def test_a_message_of_one_s_own_leaves_no_part_of_a_token_either():
    assert "1000." not in ZohoError("m" * 480 + " " + TOKEN).message


def test_an_excerpt_is_bounded_and_storable():
    error = from_answer(500, {}, b"\x00\xff" * 10_000, now=NOW)
    assert len(error.excerpt) <= 4096
    assert "\0" not in error.excerpt


@settings(max_examples=200, deadline=None)
@given(
    st.integers(100, 999),
    st.dictionaries(st.sampled_from(["Retry-After", "X"]), st.text(max_size=40)),
    st.binary(max_size=300) | st.builds(lambda t: json.dumps({"code": t}).encode(), st.text()),
)
def test_any_answer_becomes_one_of_the_errors(status, headers, body):
    error = from_answer(status, headers, body, now=NOW)
    assert isinstance(error, ZohoError)
    assert error.kind in {
        *("unavailable", "malformed", "throttled", "rejected", "sign_in", "result_gone")
    }
    str(error).encode("utf-8")


def test_deep_nesting_in_an_error_is_survived():
    error = from_answer(400, {}, b"[" * 200_000, now=NOW)
    assert isinstance(error, MalformedAnswerError)


@pytest.mark.parametrize(
    ("details", "told"),
    [
        ({"supported_version": "v2 - v8"}, "Zoho says that it supports v2 - v8."),
        ({}, ""),
        ({"supported_version": ["v7"]}, ""),
        ("v7", ""),
    ],
)
def test_the_api_version_that_zoho_supports_is_told(details, told):
    error = judged(400, "API_NOT_SUPPORTED", details=details)

    assert error.resolution.startswith("Choose an API version that Zoho supports, for example v7:")
    assert error.resolution.endswith(told or "page.")
