"""What an answer in place of a result file means: gone, broken for now, or not for this sign-in."""

import io
import json

import pytest

from jobs.tests.zoho.support import FixedTokens
from jobs.zoho import errors
from jobs.zoho.client import BulkWriteClient
from jobs.zoho.regions import region_for

PATH = "/v7/crm/org6196138/bulk-write/111/111.zip"
FILE_HOST = "https://download-accl.zoho.com" + PATH
API_HOST = "https://www.zohoapis.com" + PATH

DEAD_LINK = {"info": "Forbidden", "x-info": "Link not valid", "http_status": "403"}
NO_PERMISSION = {"code": "NO_PERMISSION", "message": "permission denied", "status": "error"}
HTML = "text/html;charset=UTF-8"
BINARY = "application/octet-stream"
PLAIN = "text/plain"


def says(zoho, url, body, status=200, content_type="application/json"):
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    zoho.get(url, body=content, status=status, content_type=content_type)


def refusal(url=FILE_HOST):
    """The error that a download ends with, after which nothing may stand in the target."""
    target = io.BytesIO()
    with (
        BulkWriteClient(region=region_for("us"), tokens=FixedTokens()) as client,
        pytest.raises(errors.ZohoError) as caught,
    ):
        client.download(url, target, max_bytes=10_000, seconds=5)
    assert target.getvalue() == b""
    return caught.value


@pytest.mark.parametrize("content_type", ["application/json", HTML, BINARY, PLAIN, "", "text/xml"])
@pytest.mark.parametrize("status", [200, 400, 403, 404, 410])
@pytest.mark.parametrize(
    "body",
    [
        DEAD_LINK,
        {"x-info": "Link not valid"},
        {"info": "Link not valid", "ERROR_CODE": "4001", "ERROR_MESSAGE": "Bad Request"},
        [DEAD_LINK],
        b"<html><body><h1>Forbidden</h1>Link not valid</body></html>",
        b"\xef\xbb\xbf\r\n <p>LINK NOT VALID</p>",
        b"Link not valid",
    ],
)
def test_a_link_that_is_not_valid_any_more_is_gone(zoho, body, status, content_type):
    says(zoho, FILE_HOST, body, status, content_type)

    error = refusal()

    assert isinstance(error, errors.ResultGoneError)
    assert "Nothing brings this file back" in error.resolution


@pytest.mark.parametrize("status", ["404", 410])
@pytest.mark.parametrize("content_type", ["application/json", BINARY])
def test_a_status_within_an_answer_of_200_counts(zoho, status, content_type):
    says(zoho, FILE_HOST, {"http_status": status, "info": "Gone"}, 200, content_type)

    assert isinstance(refusal(), errors.ResultGoneError)


@pytest.mark.parametrize("status", [404, 410])
def test_a_page_without_a_word_of_zoho_is_gone_by_its_status(zoho, status):
    says(zoho, FILE_HOST, b"<html>nginx", status, HTML)

    error = refusal()

    assert isinstance(error, errors.ResultGoneError)
    assert f"HTTP {status}" in error.message


@pytest.mark.parametrize(
    ("status", "body", "content_type"),
    [
        (500, b"<html>", HTML),
        (502, b"", HTML),
        (503, {"message": "busy"}, "application/json"),
        (200, b"<html>Sign in", HTML),
        (200, b"", "application/zip"),
        (204, b"", ""),
        (403, b"<html>Blocked by the firewall", HTML),
        (408, b"", PLAIN),
    ],
)
def test_what_can_pass_is_unavailable_and_never_gone(zoho, status, body, content_type):
    says(zoho, FILE_HOST, body, status, content_type)

    assert isinstance(refusal(), errors.ZohoUnavailableError)


@pytest.mark.parametrize("code", ["NO_PERMISSION", "AUTHORIZATION_FAILED"])
def test_a_missing_permission_is_a_refusal_that_says_what_to_do(zoho, code):
    says(zoho, FILE_HOST, NO_PERMISSION | {"code": code}, 403)

    error = refusal()

    assert type(error) is errors.ZohoRejectedError
    assert (error.code, error.http_status) == (code, 403)
    assert "administrator" in error.resolution


@pytest.mark.parametrize("wrapped", [NO_PERMISSION, [NO_PERMISSION], {"data": [NO_PERMISSION]}])
def test_a_refusal_that_calls_itself_a_file_is_one_all_the_same(zoho, wrapped):
    says(zoho, FILE_HOST, wrapped, 200, BINARY)

    assert refusal().code == "NO_PERMISSION"


@pytest.mark.parametrize("body", [{"code": "OAUTH_SCOPE_MISMATCH"}, {}])
def test_an_answer_of_401_is_a_question_of_the_sign_in(zoho, body):
    says(zoho, FILE_HOST, body, 401)

    error = refusal()

    assert isinstance(error, errors.ZohoSignInError)
    assert error.scope == "job"


UNKNOWN_PATH = (404, {"code": "INVALID_URL_PATTERN", "message": "said"})


@pytest.mark.parametrize(
    ("first", "second", "kind"),
    [
        ((403, DEAD_LINK), UNKNOWN_PATH, errors.ResultGoneError),
        ((403, DEAD_LINK), (403, NO_PERMISSION), errors.ResultGoneError),
        ((403, DEAD_LINK), (400, {"code": "INVALID_REQUEST_METHOD"}), errors.ResultGoneError),
        ((403, DEAD_LINK), (503, b""), errors.ZohoUnavailableError),
        ((403, DEAD_LINK), (401, {"code": "INVALID_TOKEN"}), errors.ZohoSignInError),
        ((403, NO_PERMISSION), UNKNOWN_PATH, errors.ZohoRejectedError),
        ((403, NO_PERMISSION), (503, b""), errors.ZohoUnavailableError),
        ((400, {"code": "INVALID_DATA"}), UNKNOWN_PATH, errors.ResultGoneError),
    ],
)
@pytest.mark.parametrize("swapped", [False, True])
def test_two_hosts_together_say_what_the_one_that_knows_more_says(
    zoho, first, second, kind, swapped
):
    answers = (second, first) if swapped else (first, second)
    for url, (status, body) in zip((FILE_HOST, API_HOST), answers, strict=True):
        says(zoho, url, body, status)

    assert type(refusal(PATH)) is kind


def test_a_zip_that_holds_the_words_is_a_file(zoho):
    content = b"PK\x03\x04 x-info: Link not valid"
    says(zoho, FILE_HOST, content, 200, "application/zip")
    target = io.BytesIO()

    with BulkWriteClient(region=region_for("us"), tokens=FixedTokens()) as client:
        client.download(FILE_HOST, target, max_bytes=10_000, seconds=5)

    assert target.getvalue() == content
