"""Zoho's data centres: their API, accounts and download hosts, and which hosts may see a token.

Source: the data centre classes of Zoho's SDKs and its multi-DC pages. Addresses from outside
(``download_url``, ``api_domain``, redirects) are matched as a whole against one strict grammar and
rebuilt from its parts; nothing is joined or normalised, since that is where hosts get swapped.
"""

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import NamedTuple

from jobs.zoho.errors import UnsafeUrlError, clean_text

ENVIRONMENTS: Mapping[str, str] = MappingProxyType(
    {"production": "www", "sandbox": "sandbox", "developer": "developer"}
)
CUSTOM = "custom"

_PATH = r"/[A-Za-z0-9._~%!$&'()*+,;=:@/-]*"
_QUERY = r"\?[A-Za-z0-9._~%!$&'()*+,;=:@/?-]*"
_ABSOLUTE = re.compile(
    r"(?P<scheme>https?)://(?P<host>[a-z0-9.-]{1,253}|\[[0-9a-f:]{2,39}\])(?::(?P<port>[0-9]{1,5}))?"
    rf"(?P<path>{_PATH})?(?P<query>{_QUERY})?",
    re.IGNORECASE | re.ASCII,
)
# No colon before the query: "javascript:" and "c:" would pass for a path.
_RELATIVE = re.compile(
    rf"/?[A-Za-z0-9._~%!$&'()*+,;=@-][A-Za-z0-9._~%!$&'()*+,;=@/-]*({_QUERY})?", re.ASCII
)
# Dot segments, and what turns into one, into a slash, a backslash or a control character once
# somebody on the way decodes it, however often.
_ODD_PATH = re.compile(
    r"(^|/)\.{1,2}(/|$)|%(25)*(2e|2f|5c|7f|[01][0-9a-f])", re.IGNORECASE | re.ASCII
)
_ORGANISATION = re.compile(r"/crm/org([0-9]{1,20})/", re.ASCII)
_DIGITS = re.compile(r"[0-9]{1,30}", re.ASCII)

# What Zoho CRM's own pages call a module that the API names. A custom module's page bears a number
# that its API name does not tell.
_TABS: Mapping[str, str] = MappingProxyType(
    {
        name: name
        for name in (
            *("Leads", "Contacts", "Accounts", "Campaigns", "Products", "Vendors", "Quotes"),
            *("Invoices", "Cases", "Solutions", "Tasks", "Events", "Calls"),
        )
    }
    | {
        "Deals": "Potentials",
        "Sales_Orders": "SalesOrders",
        "Purchase_Orders": "PurchaseOrders",
        "Price_Books": "PriceBooks",
    }
)


class Address(NamedTuple):
    """An absolute http(s) address in its parts; ``port`` is the effective one."""

    scheme: str
    host: str
    port: int
    target: str

    @property
    def origin(self) -> tuple[str, str, int]:
        return self.scheme, self.host, self.port

    def __str__(self) -> str:
        usual = {"https": 443, "http": 80}[self.scheme] == self.port
        return f"{self.scheme}://{self.host}{'' if usual else f':{self.port}'}{self.target}"


def parse_address(url: str) -> Address | None:
    """The parts of a plain absolute http(s) address; None for anything out of the ordinary."""
    found = _ABSOLUTE.fullmatch(url) if len(url) <= 2000 else None
    if found is None:
        return None
    scheme, host = found["scheme"].lower(), found["host"].lower()
    if host.startswith("["):
        try:
            ipaddress.IPv6Address(host[1:-1])
        except ValueError:
            return None
    elif ".." in host or not host[0].isalnum() or not host[-1].isalnum():
        return None
    port = int(found["port"]) if found["port"] else {"https": 443, "http": 80}[scheme]
    path = found["path"] or ""
    if not 0 < port < 65536 or _ODD_PATH.search(path):
        return None
    return Address(scheme, host, port, (path or "/") + (found["query"] or ""))


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def shown_address(url: str) -> str:
    """An address from outside as it may be shown: plain, on one line, never with a password."""
    if "@" in re.split(r"[?#]", url, maxsplit=1)[0]:
        return "(not shown, as it may hold a password)"
    return clean_text(ascii(url), 200)


class AddressError(ValueError):
    """An address of one's own that cannot be used; ``which`` is its parameter of `region_for`."""

    def __init__(self, which: str, message: str) -> None:
        super().__init__(message)
        self.which = which


class DataCenter(NamedTuple):
    """One of Zoho's data centres.

    ``domains`` are its own: every host at or below them may receive a token of this data centre.
    """

    key: str
    name: str
    api_domain: str
    accounts_host: str
    download_host: str
    domains: tuple[str, ...]
    confirmed: bool = True


def _center(key: str, name: str, tld: str, *more: str, confirmed: bool = True) -> DataCenter:
    zoho = f"zoho.{tld}"
    return DataCenter(
        key,
        name,
        f"zohoapis.{tld}",
        f"accounts.{zoho}",
        f"download-accl.{zoho}",
        (f"zohoapis.{tld}", zoho, *more),
        confirmed,
    )


DATA_CENTERS: Mapping[str, DataCenter] = MappingProxyType(
    {
        center.key: center
        for center in (
            _center("us", "United States", "com", "zohocrm.com"),
            _center("eu", "Europe", "eu"),
            _center("in", "India", "in"),
            _center("au", "Australia", "com.au"),
            _center("cn", "China", "com.cn"),
            _center("jp", "Japan", "jp"),
            DataCenter(
                "ca",
                "Canada",
                "zohoapis.ca",
                "accounts.zohocloud.ca",
                "download-accl.zohocloud.ca",
                ("zohoapis.ca", "zohocloud.ca"),
            ),
            _center("sa", "Saudi Arabia", "sa"),
            # Named in Zoho's accounts documentation but missing from its CRM SDKs.
            _center("uk", "United Kingdom", "uk", confirmed=False),
            _center("ae", "United Arab Emirates", "ae", confirmed=False),
        )
    }
)


@dataclass(frozen=True)
class Region:
    """The hosts of one connection: a data centre and environment, or addresses of one's own.

    ``confirmed`` is False where Zoho's CRM documentation does not name the data centre.
    """

    key: str
    environment: str
    api_url: str
    accounts_url: str
    download_urls: tuple[str, ...]
    confirmed: bool
    domains: tuple[str, ...] = field(default=(), repr=False)

    def may_receive_token(self, url: str) -> bool:
        """Whether a token of this connection may be sent to the address.

        In a data centre: https, the usual port, and one of that data centre's own hosts. With
        custom addresses: exactly their scheme, host and port.
        """
        address = parse_address(url)
        if address is None:
            return False
        if self.key == CUSTOM:
            given = (self.api_url, self.accounts_url, *self.download_urls)
            return address.origin in [own.origin for own in map(parse_address, given) if own]
        if address.scheme != "https" or address.port != 443:
            return False
        return any(address.host == own or address.host.endswith(f".{own}") for own in self.domains)

    def resolve_download(self, download_url: str) -> list[str]:
        """The absolute addresses to try for a ``download_url``, in this order.

        The v7 page shows a relative one without saying which host it belongs to; its path is the
        one Zoho's SDK samples show on download-accl, and the SDK joins it to the API's host.
        Raises UnsafeUrlError for everything that does not stay on the connection's hosts.
        """
        if len(download_url) <= 2000 and _RELATIVE.fullmatch(download_url):
            path = download_url.partition("?")[0]
            if not _ODD_PATH.search(path):
                return [f"{base}/{download_url.lstrip('/')}" for base in self.download_urls]
        address = parse_address(download_url)
        if address is None or not self.may_receive_token(download_url):
            raise UnsafeUrlError(
                f"The download address is not one of this connection's hosts: "
                f"{shown_address(download_url)}"
            )
        return [str(address)]

    def record_url(self, module: str, record_id: str, organisation: str) -> str | None:
        """The page of a record in Zoho CRM; None where its address cannot be known.

        ``module`` is its API name, ``organisation`` the number in a download address
        (`organisation_in`). Known are the standard modules of production orgs in Zoho's own data
        centres, their addresses as seen in the browser; Zoho documents none.
        """
        tab = _TABS.get(module)
        if tab is None or self.key == CUSTOM or self.environment != "production":
            return None
        if not _DIGITS.fullmatch(record_id) or not _DIGITS.fullmatch(organisation):
            return None
        host = f"crm.{self.accounts_url.partition('://accounts.')[2]}"
        return f"https://{host}/crm/org{organisation}/tab/{tab}/{record_id}"

    def with_api_domain(self, api_domain: str) -> "Region":
        """This region with the API host that a token answer names in ``api_domain``.

        That is the environment's host on any domain of the data centre; of addresses of one's own,
        any of these. For everything else the region stays as it is.
        """
        address, own = parse_address(api_domain), parse_address(self.api_url)
        if address is None or own is None or not self.may_receive_token(api_domain):
            return self
        prefix = ENVIRONMENTS[self.environment]
        names_environment = address.host in [f"{prefix}.{domain}" for domain in self.domains]
        # One's own API address may have a path, which the token answer does not know.
        if address.origin == own.origin or not (self.key == CUSTOM or names_environment):
            return self
        api_url = str(address._replace(target=""))
        return replace(
            self, api_url=api_url, download_urls=tuple({self.download_urls[0]: None, api_url: None})
        )


def region_for(
    data_center: str,
    environment: str = "production",
    *,
    api_url: str | None = None,
    accounts_url: str | None = None,
    download_url: str | None = None,
) -> Region:
    """The region of a connection.

    ``data_center`` is a key of DATA_CENTERS, or "custom" with addresses of one's own (https, or
    http on this machine; the download address defaults to the API's). Raises ValueError with a
    sentence for a person otherwise, AddressError where an address is to blame.
    """
    if environment not in ENVIRONMENTS:
        raise ValueError(
            f"Unknown environment {environment!r}: choose one of {', '.join(ENVIRONMENTS)}."
        )
    if data_center == CUSTOM:
        if not api_url or not accounts_url:
            raise AddressError(
                "accounts_url" if api_url else "api_url",
                "A stand-in needs an API address and an accounts address of its own.",
            )
        api = _own_address("api_url", api_url, "API")
        accounts = _own_address("accounts_url", accounts_url, "accounts")
        download = _own_address("download_url", download_url or api_url, "download")
        downloads = (download,) if download == api else (download, api)
        return Region(CUSTOM, environment, api, accounts, downloads, True)
    center = DATA_CENTERS.get(data_center)
    if center is None:
        raise ValueError(
            f"Unknown data centre {data_center!r}: choose one of {', '.join(DATA_CENTERS)} "
            f"or {CUSTOM}."
        )
    if api_url or accounts_url or download_url:
        raise ValueError("Addresses of one's own go with the data centre 'custom' only.")
    api = f"https://{ENVIRONMENTS[environment]}.{center.api_domain}"
    return Region(
        key=center.key,
        environment=environment,
        api_url=api,
        accounts_url=f"https://{center.accounts_host}",
        download_urls=(f"https://{center.download_host}", api),
        confirmed=center.confirmed,
        domains=center.domains,
    )


def organisation_in(download_url: str) -> str:
    """The number of the org in a result's download address; "" where it bears none."""
    found = _ORGANISATION.search(download_url)
    return found[1] if found else ""


def _own_address(which: str, url: str, what: str) -> str:
    address = parse_address(url.strip())
    if address is None or "?" in address.target:
        raise AddressError(which, f"The {what} address is not a plain http(s) address.")
    if address.scheme == "http" and not _is_loopback(address.host):
        raise AddressError(
            which, f"The {what} address must use https; http is for this machine only."
        )
    return str(address).rstrip("/")
