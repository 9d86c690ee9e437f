"""Addresses of records in Zoho CRM."""

import pytest

from jobs.zoho.regions import organisation_in, region_for

HOSTS = {
    "us": "crm.zoho.com",
    "eu": "crm.zoho.eu",
    "in": "crm.zoho.in",
    "au": "crm.zoho.com.au",
    "cn": "crm.zoho.com.cn",
    "jp": "crm.zoho.jp",
    "ca": "crm.zohocloud.ca",
    "sa": "crm.zoho.sa",
    "uk": "crm.zoho.uk",
    "ae": "crm.zoho.ae",
}
RECORD = "3652397000000541958"


@pytest.mark.parametrize(("data_center", "host"), HOSTS.items())
def test_a_record_is_linked_at_its_own_data_centre(data_center, host):
    url = region_for(data_center).record_url("Leads", RECORD, "6196138")

    assert url == f"https://{host}/crm/org6196138/tab/Leads/{RECORD}"


@pytest.mark.parametrize(
    ("module", "tab"),
    [
        ("Contacts", "Contacts"),
        ("Deals", "Potentials"),
        ("Sales_Orders", "SalesOrders"),
        ("Purchase_Orders", "PurchaseOrders"),
        ("Price_Books", "PriceBooks"),
    ],
)
def test_some_modules_are_called_otherwise_in_the_browser(module, tab):
    assert f"/tab/{tab}/" in str(region_for("us").record_url(module, RECORD, "1"))


@pytest.mark.parametrize(
    "module", ["", "Subscriptions", "CustomModule4", "leads", "Leads/..", "Leads?x", "Potentials"]
)
def test_a_module_whose_page_is_not_known_gets_no_link(module):
    assert region_for("us").record_url(module, RECORD, "1") is None


@pytest.mark.parametrize("bad", ["", "12a", "1/2", "1 ", "\u0661", "-1", "1\n", "9" * 31, "../1"])
def test_only_digits_make_a_link(bad):
    assert region_for("us").record_url("Leads", bad, "1") is None
    assert region_for("us").record_url("Leads", RECORD, bad) is None


def test_other_environments_and_stand_ins_get_no_link():
    stand_in = region_for("custom", api_url="http://localhost:1", accounts_url="http://[::1]:2")

    assert region_for("us", "sandbox").record_url("Leads", RECORD, "1") is None
    assert region_for("us", "developer").record_url("Leads", RECORD, "1") is None
    assert stand_in.record_url("Leads", RECORD, "1") is None


@pytest.mark.parametrize(
    ("download_url", "organisation"),
    [
        ("/v7/crm/org6196138/bulk-write/1/1.zip", "6196138"),
        ("https://download-accl.zoho.com/v7/crm/org6196138/bulk-write/1/1.zip", "6196138"),
        ("/v2/crm/6735/bulk-write/1/1.zip", ""),
        ("/v7/crm/org/bulk-write/1.zip", ""),
        ("/v7/crm/org12x/bulk-write/1.zip", ""),
        ("", ""),
    ],
)
def test_the_org_stands_in_the_download_address(download_url, organisation):
    assert organisation_in(download_url) == organisation
