"""The errors that Zoho documents for bulk write jobs, and what a page says of each.

Sources: "Possible Errors" of the v7 pages "Bulk Write Job Details", "Create Bulk Write Job" and
"Upload File", Zoho's OpenAPI files, and its pages on status codes. Where these disagree about the
HTTP status, each is listed.
"""

from typing import NamedTuple


class Documented(NamedTuple):
    """An error: whom it concerns ("job" or "connection"), and words of its page."""

    code: str
    status: int
    kind: str
    concerns: str
    words: str
    what_to_do: str


_GRANTED = ("only just given", "Correct the data centre or the environment")
_SCOPE = ("was not granted the scope", "grant the scope ZohoCRM.bulk.CREATE or ZohoCRM.bulk.ALL")
_RIGHT = "Ask your Zoho CRM administrator"
_ADDRESS = "Check the data centre, the environment and the API version"
_UNKNOWN = ("knows no bulk write job with this ID", "Check the ID")
_IMPORT = "Correct the import where it is created"

OF_ASKING = [
    Documented("INVALID_TOKEN", 401, "sign_in", "connection", *_GRANTED),
    Documented("AUTHENTICATION_FAILURE", 401, "sign_in", "connection", *_GRANTED),
    Documented("OAUTH_SCOPE_MISMATCH", 401, "sign_in", "connection", *_SCOPE),
    Documented("OAUTH_SCOPE_MISMATCH", 403, "sign_in", "connection", *_SCOPE),
    Documented("NO_PERMISSION", 403, "rejected", "connection", "has no permission to read", _RIGHT),
    Documented(
        "AUTHORIZATION_FAILED", 400, "rejected", "connection", "not have sufficient", _RIGHT
    ),
    Documented("RESOURCE_NOT_FOUND", 404, "rejected", "job", *_UNKNOWN),
    Documented("RESOURCE_NOT_FOUND", 400, "rejected", "job", *_UNKNOWN),
    Documented(
        "INVALID_URL_PATTERN", 404, "rejected", "connection", "does not know the address", _ADDRESS
    ),
    Documented(
        "INVALID_REQUEST_METHOD", 400, "rejected", "connection", "not allow this HTTP", _ADDRESS
    ),
    Documented(
        "METHOD_NOT_ALLOWED", 405, "rejected", "connection", "not allow this HTTP", _ADDRESS
    ),
    Documented(
        "API_NOT_SUPPORTED",
        400,
        "rejected",
        "connection",
        "does not offer bulk write job details",
        "Choose an API version that Zoho supports",
    ),
    Documented(
        "TOO_MANY_REQUESTS", 429, "throttled", "connection", "slow down", "asks more slowly"
    ),
    Documented(
        "INTERNAL_ERROR",
        500,
        "unavailable",
        "connection",
        "unexpected error of its own",
        "contact Zoho's support",
    ),
    Documented(
        "BAD_GATEWAY",
        502,
        "unavailable",
        "connection",
        "not reachable behind their gateway",
        "see status.zoho.com",
    ),
    Documented(
        "SERVICE_UNAVAILABLE",
        503,
        "unavailable",
        "connection",
        "not available for the moment",
        "see status.zoho.com",
    ),
]
# Said when a job is created or a file is uploaded; what is asked about here may be told so too.
OF_IMPORTS = [
    Documented(code, status, "rejected", "job", words, what_to_do)
    for code, status, words, what_to_do in [
        ("INVALID_CALLBACK_URL", 400, "callback address is not valid", "reachable from"),
        ("INVALID_CALLBACK_METHOD", 400, "callback method is not supported", 'Use "post"'),
        ("COEXISTENCE_NOT_ALLOWED", 400, "keys that exclude each other", _IMPORT),
        ("FILE_NOT_SUPPORTED", 400, "cannot import this file", "Upload a ZIP file"),
        ("FILE_NOT_FOUND", 400, "was not found", "the one inside the ZIP"),
        ("INVALID_FILE_ID", 400, "no uploaded file with this ID", "Upload the file again"),
        ("INVALID_REQUEST", 400, "request that created the job was not valid", _IMPORT),
        ("MISSING_REQUIRED_KEY", 400, "A required key was missing", _IMPORT),
        ("MODULE_NOT_AVAILABLE", 400, "module is not available", "Check the module's API name"),
        ("REQUEST_BODY_NOT_SUPPORTED", 400, "not accept a request body", _IMPORT),
        ("MANDATORY_NOT_FOUND", 400, "A mandatory value was missing", _IMPORT),
        ("MANDATORY_FIELDS_NOT_MAPPED", 400, "are not mapped", "Map every mandatory field"),
        ("INVALID_FIELD", 400, "does not exist in the module", "Compare the API names"),
        ("INVALID_FORMAT", 400, "A format in the field mapping", "Correct the date pattern"),
        ("HEADER_LIMIT_EXCEEDED", 400, "more columns than Zoho allows", "within 200 columns"),
        ("COLUMN_INDEX_NOT_FOUND", 400, "the CSV does not have", "Column indexes count from 0"),
        ("INVALID_FILE_FORMAT", 400, "not in ZIP format", "inside a ZIP file"),
        ("FILE_TOO_LARGE", 413, "larger than Zoho allows", "Split the import"),
        ("INVALID_DATA", 400, "could not use the data", _IMPORT),
        ("NOT_SUPPORTED_FEATURE", 400, "feature named with the upload", _IMPORT),
        ("CANNOT_PROCESS", 400, "could not process the import", _IMPORT),
        ("LIMIT_EXCEEDED", 400, "A limit of Zoho CRM was exceeded", "Split the import"),
        ("NOT_APPROVED", 400, "wait for approval", _IMPORT),
    ]
]
DOCUMENTED = OF_ASKING + OF_IMPORTS
