"""Zoho's error answers: code, HTTP status and message.

Sources: "Possible Errors" of the v7 pages Bulk Write Job Details, Create Bulk Write Job and Upload
File; the ``API_Exception`` schema of Zoho's OpenAPI file for bulk write (v8.0).
"""

import json
from typing import Any

from .wire import Answer

ERRORS: dict[str, tuple[int, str]] = {
    # Job details
    "INVALID_TOKEN": (401, "invalid oauth token"),
    "AUTHENTICATION_FAILURE": (401, "Authentication failed"),
    "OAUTH_SCOPE_MISMATCH": (401, "Unauthorized"),
    "NO_PERMISSION": (403, "Permission denied to read"),
    "AUTHORIZATION_FAILED": (400, "User does not have sufficient privilege to read."),
    "RESOURCE_NOT_FOUND": (404, "The requested resource doesn't exist."),
    "INVALID_URL_PATTERN": (404, "Please check if the URL trying to access is a correct one"),
    "INVALID_REQUEST_METHOD": (400, "The http request method type is not a valid one"),
    "METHOD_NOT_ALLOWED": (405, "The http request method type is not a valid one"),
    "TOO_MANY_REQUESTS": (429, "too many requests. please try again after some time"),
    "INTERNAL_ERROR": (500, "Internal Server Error"),
    "INTERNAL_SERVER_ERROR": (500, "Internal Server Error"),
    "BAD_GATEWAY": (502, "Bad Gateway"),
    "SERVICE_UNAVAILABLE": (503, "Service Unavailable"),
    "API_NOT_SUPPORTED": (400, "This API version is not supported"),
    # Create
    "INVALID_CALLBACK_URL": (400, "the callback url is invalid"),
    "INVALID_CALLBACK_METHOD": (400, "the callback method is invalid"),
    "COEXISTENCE_NOT_ALLOWED": (400, "the keys cannot be used together"),
    "FILE_NOT_SUPPORTED": (400, "File not supported for bulk write"),
    "FILE_NOT_FOUND": (400, "the file is not found in the uploaded zip"),
    "INVALID_FILE_ID": (400, "improper file id"),
    "INVALID_REQUEST": (400, "the request is invalid"),
    "INVALID_REQUEST_BODY": (400, "the request body is not valid JSON"),
    "MISSING_REQUIRED_KEY": (400, "required key {key} is not found in request body."),
    "MODULE_NOT_AVAILABLE": (400, "Requested module '{module}' is not available."),
    "REQUEST_BODY_NOT_SUPPORTED": (400, "the request body is not supported"),
    "MANDATORY_FIELDS_NOT_MAPPED": (400, "All mandatory fields are not mapped for the layout"),
    "INVALID_FIELD": (400, "invalid mapping. invalid api_name {field}."),
    "INVALID_FORMAT": (400, "invalid format {format}"),
    "HEADER_LIMIT_EXCEEDED": (400, "the file has more than 200 columns"),
    "COLUMN_INDEX_NOT_FOUND": (
        400,
        "required key index for field {field} is not found in request body.",
    ),
    # Upload
    "INVALID_FILE_FORMAT": (400, "invalid file format. only zip format is supported"),
    "FILE_TOO_LARGE": (413, "File size too large to process"),
    "INVALID_DATA": (400, "Import file size should be less than 25 mb."),
    "NOT_SUPPORTED_FEATURE": (400, "the feature is not supported"),
    "MANDATORY_NOT_FOUND": (400, "required field not found"),
}


class ZohoError(Exception):
    """An error answer, raised from where it is found out."""

    def __init__(self, code: str, details: dict[str, Any] | None = None, **words: str) -> None:
        super().__init__(code)
        self.code, self.details, self.words = code, details or {}, words

    def answer(self) -> Answer:
        return error_answer(self.code, details=self.details, words=self.words)


def error_answer(
    code: str,
    *,
    status: int | None = None,
    details: dict[str, Any] | None = None,
    message: str | None = None,
    words: dict[str, str] | None = None,
) -> Answer:
    """Return Zoho's envelope for ``code``, with its documented status unless told otherwise."""
    documented_status, text = ERRORS.get(code, (400, code))
    envelope = {
        "code": code,
        "details": details or {},
        "message": message or (text.format(**words) if words else text),
        "status": "error",
    }
    return Answer(status or documented_status, json.dumps(envelope).encode())


def link_not_valid(status: int = 410) -> Answer:
    """Return what the download host says about an expired link.

    The keys are those of the OpenAPI ``API_Exception``; the status that comes with them is not
    documented.
    """
    body = {"info": "Forbidden", "x-info": "Link not valid", "http_status": str(status)}
    return Answer(status, json.dumps(body).encode())


def bad_upload_headers() -> Answer:
    """Return what the upload host says when ``feature`` or ``X-CRM-ORG`` is missing."""
    body = {
        "ERROR_CODE": 400,
        "ERROR_MESSAGE": "Bad Request",
        "x-error": "check if headers [feature, X-CRM-ORG] are present and valid",
    }
    return Answer(400, json.dumps(body).encode())
