"""Zoho's API console and consent page: their addresses, what to type, what comes back.

Source: "Register Client" and "Authorization Request" of zoho.com/accounts/protocol/oauth.
"""

from urllib.parse import urlencode

from jobs.zoho.regions import CUSTOM, DATA_CENTERS, Region, parse_address

# Polling needs this or ZohoCRM.bulk.CREATE; Zoho has no read-only scope for job details.
SCOPE = "ZohoCRM.bulk.ALL"
_ENOUGH = frozenset({SCOPE.lower(), "zohocrm.bulk.create"})


def console_url(region: Region) -> str | None:
    """The API console of the data centre; None for addresses of one's own."""
    head, accounts, domain = region.accounts_url.partition("//accounts.")
    return f"{head}//api-console.{domain}" if accounts and region.key != CUSTOM else None


def consent_url(region: Region, *, client_id: str, redirect_uri: str, state: str) -> str:
    """Where the browser asks the Zoho user for consent.

    Zoho sends it back to ``redirect_uri`` with ``state`` and either ``code`` or ``error``.
    ``prompt=consent`` and ``access_type=offline`` together give a refresh token every time.
    """
    query = {
        "response_type": "code",
        "client_id": client_id,
        "scope": SCOPE,
        "redirect_uri": redirect_uri,
        "access_type": "offline",
        "prompt": "consent",
        "state": state,
    }
    return f"{region.accounts_url}/oauth/v2/auth?{urlencode(query)}"


def accounts_urls() -> list[str]:
    """The accounts addresses of all data centres: any of them may have a user's sign-in."""
    return [f"https://{center.accounts_host}" for center in DATA_CENTERS.values()]


def suffices(scopes: frozenset[str]) -> bool:
    """Whether the granted scopes are enough to read jobs; yes where Zoho names none."""
    return not scopes or not _ENOUGH.isdisjoint(scope.lower() for scope in scopes)


class ForeignServerError(Exception):
    """A redirect names an accounts server that is neither Zoho's nor the region's own."""


def other_data_center(region: Region, *, location: str, accounts_server: str) -> str:
    """The data centre that the browser comes back from, where it is not the region's own.

    ``location`` and ``accounts_server`` are what Zoho's redirect names, "" where it does not. The
    answer is a name for people, "" where nothing names another one. Nothing is ever sent there.
    Raises ForeignServerError.
    """
    if accounts_server:
        address, own = parse_address(accounts_server), parse_address(region.accounts_url)
        if address is not None and own is not None and address.origin == own.origin:
            return ""
        for center in DATA_CENTERS.values():
            if address is not None and address.origin == ("https", center.accounts_host, 443):
                return f"{center.name} ({center.accounts_host})"
        raise ForeignServerError
    named = DATA_CENTERS.get(location.lower())
    if named is None or region.key in (CUSTOM, named.key):
        return ""
    return f"{named.name} ({named.accounts_host})"
