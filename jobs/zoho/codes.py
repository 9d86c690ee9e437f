"""Zoho's error codes: what each means and what an administrator can do about it.

Sources: "Possible Errors" of the v7 page "Bulk Write Job Details" (with its HTTP statuses), the v7
pages "Create Bulk Write Job", "Upload File" and "Download Result", Zoho's OpenAPI files, and the
OAuth pages of zoho.com/accounts/protocol/oauth.
"""

from typing import Literal, NamedTuple

Kind = Literal["unavailable", "throttled", "rejected", "sign_in", "result_gone"]
Scope = Literal["connection", "job"]


class ErrorHelp(NamedTuple):
    """Help for one code, in sentences for an administrator of this dashboard."""

    meaning: str
    resolution: str


class KnownCode(NamedTuple):
    """How a code is treated: its kind, whom it concerns, and the help shown for it."""

    kind: Kind
    scope: Scope
    help: ErrorHelp


ASK_ADMINISTRATOR = (
    "Ask your Zoho CRM administrator to let the user who connected this dashboard read bulk write "
    "jobs, then press “Test” on the connection's page. Or sign in there as a user who may."
)
CHECK_JOB_IN_ZOHO = "Correct the import where it is created and start a new bulk write job."
CHECK_ADDRESSES = (
    "Check the data centre, the environment and the API version of this connection: “Edit” on "
    "its page. With a custom API address, check its spelling."
)
# Of a token that Zoho rejects although it was renewed just now, whatever its code says of others.
STILL_REJECTED = ErrorHelp(
    "Zoho rejects an access token that it has only just given: nearly always the connection names "
    "the wrong data centre or environment.",
    "Correct the data centre or the environment: “Edit” on the connection's page. If both are "
    "right, sign in to Zoho again.",
)


def _known(kind: Kind, scope: Scope, meaning: str, resolution: str) -> KnownCode:
    return KnownCode(kind, scope, ErrorHelp(meaning, resolution))


def _create(meaning: str, resolution: str = CHECK_JOB_IN_ZOHO) -> KnownCode:
    return _known("rejected", "job", meaning, resolution)


CODES: dict[str, KnownCode] = {
    # Sign-in
    "INVALID_TOKEN": _known(
        "sign_in",
        "connection",
        "Zoho does not accept the access token: it has expired, was revoked, or belongs to "
        "another data centre.",
        "Check that this connection names the data centre and environment of your Zoho account, "
        "then sign in to Zoho again.",
    ),
    "AUTHENTICATION_FAILURE": _known(
        "sign_in",
        "connection",
        "Zoho could not authenticate the call.",
        "Check that this connection names the data centre and environment of your Zoho account, "
        "then sign in to Zoho again.",
    ),
    "OAUTH_SCOPE_MISMATCH": _known(
        "sign_in",
        "connection",
        "The connection was not granted the scope that reading bulk write jobs needs.",
        "Sign in to Zoho again and grant the scope ZohoCRM.bulk.CREATE or ZohoCRM.bulk.ALL. "
        "Zoho has no read-only scope for this call.",
    ),
    "INVALID_CODE": _known(
        "sign_in",
        "connection",
        "Zoho does not accept the refresh token: it was revoked, replaced by newer ones, or "
        "belongs to another data centre.",
        "Sign in to Zoho again to obtain a new refresh token.",
    ),
    "INVALID_CLIENT": _known(
        "sign_in",
        "connection",
        "Zoho does not know this client ID in this data centre.",
        "Copy the client ID from the Zoho API console of the same data centre, and check that "
        "the client is enabled for it.",
    ),
    "INVALID_CLIENT_SECRET": _known(
        "sign_in",
        "connection",
        "The client secret does not belong to the client ID.",
        "Copy the client secret again from the Zoho API console of the same data centre.",
    ),
    "INVALID_REDIRECT_URI": _known(
        "sign_in",
        "connection",
        "The redirect address is not one of those that the client names in the API console.",
        "Add the redirect address that this connection's sign-in page shows to the client, letter "
        "for letter.",
    ),
    # Permission and address
    "NO_PERMISSION": _known(
        "rejected",
        "connection",
        "The connected Zoho user has no permission to read the details of bulk write jobs.",
        ASK_ADMINISTRATOR,
    ),
    "AUTHORIZATION_FAILED": _known(
        "rejected",
        "connection",
        "The connected Zoho user does not have sufficient privilege to read bulk write jobs.",
        ASK_ADMINISTRATOR,
    ),
    "RESOURCE_NOT_FOUND": _known(
        "rejected",
        "job",
        "Zoho knows no bulk write job with this ID.",
        "Check the ID, and that the job belongs to this connection's organisation, environment "
        "and data centre. Zoho may also have purged an old job.",
    ),
    "INVALID_URL_PATTERN": _known(
        "rejected", "connection", "Zoho does not know the address that was asked.", CHECK_ADDRESSES
    ),
    "INVALID_REQUEST_METHOD": _known(
        "rejected",
        "connection",
        "Zoho does not allow this HTTP method at the address that was asked.",
        CHECK_ADDRESSES + " A proxy in between may also have changed the call.",
    ),
    "METHOD_NOT_ALLOWED": _known(
        "rejected",
        "connection",
        "Zoho does not allow this HTTP method at the address that was asked.",
        CHECK_ADDRESSES + " A proxy in between may also have changed the call.",
    ),
    "API_NOT_SUPPORTED": _known(
        "rejected",
        "connection",
        "This version of Zoho's API does not offer bulk write job details.",
        "Choose an API version that Zoho supports, for example v7: “Edit” on the connection's "
        "page.",
    ),
    # Temporary
    "TOO_MANY_REQUESTS": _known(
        "throttled",
        "connection",
        "Zoho's limit of simultaneous calls or of API credits within 24 hours is reached.",
        "Nothing to do at once: the dashboard waits and asks more slowly. If it happens often, "
        "allow the connection fewer calls at a time, and see which other integrations spend the "
        "organisation's API credits.",
    ),
    "ACCESS DENIED": _known(
        "throttled",
        "connection",
        "Zoho refuses further access tokens for a while: at most 10 per refresh token are given "
        "within 10 minutes.",
        "Nothing to do at once: the dashboard waits. If it happens often, check whether another "
        "application uses the same refresh token.",
    ),
    "INTERNAL_ERROR": _known(
        "unavailable",
        "connection",
        "Zoho had an unexpected error of its own.",
        "The dashboard tries again. If it lasts for hours, contact Zoho's support with the job ID.",
    ),
    "BAD_GATEWAY": _known(
        "unavailable",
        "connection",
        "Zoho's servers were not reachable behind their gateway.",
        "The dashboard tries again; see status.zoho.com if it lasts.",
    ),
    "SERVICE_UNAVAILABLE": _known(
        "unavailable",
        "connection",
        "Zoho is not available for the moment.",
        "The dashboard tries again; see status.zoho.com if it lasts.",
    ),
    # Downloads
    "LINK_NOT_VALID": _known(
        "result_gone",
        "job",
        "The download link of the result is not valid any more. Zoho keeps results for 7 days "
        "after the job has ended.",
        "Nothing brings this file back. The counts of the job remain; to see the reasons of "
        "skipped records again, the import has to be run again.",
    ),
    # Of the job itself: said when it is created, or as the result code of a module
    "INVALID_CALLBACK_URL": _create(
        "The job's callback address is not valid, or Zoho cannot reach it.",
        "Give Zoho a callback address that is reachable from the internet.",
    ),
    "INVALID_CALLBACK_METHOD": _create(
        "The job's callback method is not supported.", 'Use "post" as the callback method.'
    ),
    "COEXISTENCE_NOT_ALLOWED": _create("The job's request names keys that exclude each other."),
    "FILE_NOT_SUPPORTED": _create(
        "Zoho cannot import this file.", "Upload a ZIP file that holds CSV files."
    ),
    "FILE_NOT_FOUND": _create(
        "The uploaded file, or the CSV named in the job, was not found.",
        "Check that the CSV name in the job is the one inside the ZIP, and upload it again.",
    ),
    "INVALID_FILE_ID": _create(
        "Zoho knows no uploaded file with this ID.", "Upload the file again and use its new ID."
    ),
    "INVALID_FILE_FORMAT": _create(
        "The uploaded file is not in ZIP format.", "Upload the CSV inside a ZIP file."
    ),
    "FILE_TOO_LARGE": _create(
        "The uploaded file is larger than Zoho allows.",
        "Split the import: a ZIP may have at most 25 MB and a CSV at most 25,000 rows.",
    ),
    "NOT_SUPPORTED_FEATURE": _create("The feature named with the upload is not supported."),
    "INVALID_REQUEST": _create("The request that created the job was not valid."),
    "MISSING_REQUIRED_KEY": _create("A required key was missing when the job was created."),
    "REQUEST_BODY_NOT_SUPPORTED": _create("Zoho does not accept a request body here."),
    "MODULE_NOT_AVAILABLE": _create(
        "The module is not available in this organisation or to this user.",
        "Check the module's API name and the permissions of the connected user.",
    ),
    "MANDATORY_NOT_FOUND": _create("A mandatory value was missing."),
    "MANDATORY_FIELDS_NOT_MAPPED": _create(
        "Mandatory fields of the module are not mapped to a column of the CSV.",
        "Map every mandatory field of the module to a column or give it a default value.",
    ),
    "INVALID_FIELD": _create(
        "A mapped field does not exist in the module.",
        "Compare the API names in the field mapping with the module's fields in Zoho CRM.",
    ),
    "INVALID_FORMAT": _create(
        "A format in the field mapping is not valid.", "Correct the date pattern of the mapping."
    ),
    "INVALID_DATA": _create("Zoho could not use the data it was given."),
    "HEADER_LIMIT_EXCEEDED": _create(
        "The CSV has more columns than Zoho allows.", "Keep the CSV within 200 columns."
    ),
    "COLUMN_INDEX_NOT_FOUND": _create(
        "The field mapping names a column that the CSV does not have.",
        "Column indexes count from 0; compare them with the CSV's header.",
    ),
    "CANNOT_PROCESS": _create("Zoho could not process the import."),
    "LIMIT_EXCEEDED": _create(
        "A limit of Zoho CRM was exceeded.",
        "Split the import: a CSV may have at most 25,000 rows; check the storage of the "
        "organisation as well.",
    ),
    "NOT_APPROVED": _create("The records wait for approval in Zoho CRM and cannot be changed."),
}


def describe(code: str) -> ErrorHelp:
    """Help for a code as Zoho spells it (any case); an honest text for a code unknown here."""
    known = CODES.get(code.strip().upper())
    if known is not None:
        return known.help
    return ErrorHelp(
        f"Zoho answered with the code {code.strip()[:100] or '(none)'}, which this dashboard does "
        "not know.",
        "Look the code up in Zoho's API documentation; if it stays, contact Zoho's support with "
        "the job ID.",
    )
