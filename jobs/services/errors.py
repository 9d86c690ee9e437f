"""The form in which errors are stored: `{"code", "http_status", "message", "resolution"}`."""

from typing import Any

from jobs.zoho.errors import ZohoError


def error_as_json(error: ZohoError) -> dict[str, Any]:
    return {
        "code": error.code,
        "http_status": error.http_status,
        "message": error.message,
        "resolution": error.resolution,
    }


def own_error(message: str, resolution: str = "") -> dict[str, Any]:
    """An error that Zoho has no part in."""
    return {"code": None, "http_status": None, "message": message, "resolution": resolution}
