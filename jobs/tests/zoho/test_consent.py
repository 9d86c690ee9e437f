"""Zoho's API console and consent page, and the data centre that a redirect names."""

from urllib.parse import parse_qs, urlsplit

import pytest

from jobs.zoho import consent
from jobs.zoho.regions import DATA_CENTERS, region_for

STAND_IN = region_for(
    "custom", api_url="http://127.0.0.1:9009", accounts_url="http://127.0.0.1:9010"
)


@pytest.mark.parametrize("key", DATA_CENTERS)
def test_console_and_consent_page_are_those_of_the_data_center(key):
    region = region_for(key)
    domain = "zohocloud.ca" if key == "ca" else region.accounts_url.partition("accounts.")[2]

    assert consent.console_url(region) == f"https://api-console.{domain}"
    address = urlsplit(
        consent.consent_url(region, client_id="1000.A&b", redirect_uri="https://a/b", state="s&t")
    )
    assert f"{address.scheme}://{address.netloc}" == f"https://accounts.{domain}"
    assert address.path == "/oauth/v2/auth"
    assert parse_qs(address.query)["client_id"] == ["1000.A&b"]
    assert parse_qs(address.query)["state"] == ["s&t"]


def test_a_stand_in_has_no_console():
    assert consent.console_url(STAND_IN) is None


@pytest.mark.parametrize(
    ("scopes", "enough"),
    [
        ([], True),
        (["ZohoCRM.bulk.ALL"], True),
        (["ZohoCRM.modules.ALL", "zohocrm.bulk.create"], True),
        (["ZohoCRM.bulk.READ"], False),
        (["ZohoCRM.modules.ALL"], False),
        (["ZohoCRM.bulk.ALLURE"], False),
    ],
)
def test_which_scopes_suffice(scopes, enough):
    assert consent.suffices(frozenset(scopes)) is enough


@pytest.mark.parametrize(
    ("region", "location", "accounts_server", "other"),
    [
        ("us", "us", "https://accounts.zoho.com", ""),
        ("us", "US", "", ""),
        ("us", "", "", ""),
        ("us", "mars", "", ""),
        ("ca", "ca", "https://accounts.zohocloud.ca", ""),
        # The server is what the code belongs to, whatever the short name says.
        ("us", "eu", "https://accounts.zoho.com", ""),
        ("us", "eu", "", "Europe (accounts.zoho.eu)"),
        ("eu", "us", "https://accounts.zoho.com", "United States (accounts.zoho.com)"),
    ],
)
def test_another_data_center_is_told(region, location, accounts_server, other):
    found = consent.other_data_center(
        region_for(region), location=location, accounts_server=accounts_server
    )

    assert found == other


@pytest.mark.parametrize("location", ["", "us", "eu"])
@pytest.mark.parametrize(
    "server",
    [
        "http://accounts.zoho.com",
        "https://accounts.zoho.com:8443",
        "https://accounts.zoho.com@evil.example",
        "https://accounts.zoho.com.evil.example",
        "nonsense",
    ],
)
def test_a_server_that_is_none_of_zohos_is_no_data_center(location, server):
    with pytest.raises(consent.ForeignServerError):
        consent.other_data_center(region_for("us"), location=location, accounts_server=server)


def test_a_stand_in_is_known_by_its_address_alone():
    def other(server):
        return consent.other_data_center(STAND_IN, location="us", accounts_server=server)

    assert other("http://127.0.0.1:9010") == ""
    assert other("") == ""
    with pytest.raises(consent.ForeignServerError):
        other("http://127.0.0.1:9009")
