"""The page of a connection's callback address, and what calls to it have brought."""

import json
import re

import pytest

from jobs.models import BulkWriteJob, Connection
from jobs.services.registering import callbacks
from jobs.tests.factories import make_connection, make_job
from jobs.tests.views.pages import plain_text

HTMX = {"HX-Request": "true"}


def test_the_callback_page_gives_the_address_and_an_example(admin, settings):
    settings.SITE_URL = "https://bulkwatch.example.com"
    connection = make_connection(data_center="eu", api_url="", accounts_url="", api_version="v8")

    page = plain_text(admin.get(f"/connections/{connection.pk}/callback/"))

    connection.refresh_from_db()
    address = f"https://bulkwatch.example.com/hooks/zoho/{connection.hook_token}/"
    assert f'<code id="callback-address">{address}</code>' in page
    assert "POST https://www.zohoapis.eu/crm/bulk/v8/write" in page
    body = json.loads(re.search(r'<pre[^>]*id="create-body"[^>]*>(.*?)</pre>', page).group(1))
    assert body["callback"] == {"url": address, "method": "post"}
    assert body["resource"][0]["module"] == {"api_name": "Leads"}
    assert "Zoho cannot call this address" not in page


def test_the_example_for_version_2_names_the_module_as_v2_takes_it():
    connection = Connection(data_center="us", api_version="v2")

    _, body = callbacks.create_call(connection, "https://x.example/")

    assert json.loads(body)["resource"][0]["module"] == "Leads"


@pytest.mark.parametrize(
    "site",
    [
        "http://127.0.0.1:8000",
        "https://localhost",
        "https://10.1.2.3",
        "https://[::1]:8000",
        "http://bulkwatch.example.com",
        "https://server.local",
    ],
)
def test_an_address_that_zoho_cannot_call_is_told(admin, settings, site):
    settings.SITE_URL = site
    connection = make_connection()

    page = plain_text(admin.get(f"/connections/{connection.pk}/callback/"))

    assert "Zoho cannot call this address" in page
    assert "INVALID_CALLBACK_URL" in page


def test_the_page_says_what_calls_have_brought(admin):
    connection = make_connection(name="production")
    page = plain_text(admin.get(f"/connections/{connection.pk}/callback/"))
    assert "none yet" in page

    connection.refresh_from_db()
    callbacks.take_call(connection, b'{"id": "111111000000541958"}')

    page = plain_text(admin.get(f"/connections/{connection.pk}/callback/"))
    assert '"/jobs/?connection=production&found=callback">1</a>' in page
    assert "none yet" not in page


def test_a_flood_of_unknown_ids_is_told(admin, monkeypatch):
    monkeypatch.setattr(callbacks, "MOST_UNCONFIRMED", 1)
    connection = make_connection()
    callbacks.take_call(connection, b'{"id": "111111000000541958"}')

    page = plain_text(admin.get(f"/connections/{connection.pk}/callback/"))

    assert "No more jobs are registered by callback for now." in page


def test_registering_by_callback_is_turned_off_and_on(admin):
    connection = make_connection()
    address = f"/connections/{connection.pk}/callback/"

    for said, registers in (("no", False), ("no", False), ("yes", True)):
        page = plain_text(admin.post(address, {"registers": said}, follow=True))
        connection.refresh_from_db()
        assert connection.hook_registers is registers
        assert ("Turn off" in page) is registers

    assert "neither on nor off" in plain_text(admin.post(address, {}, follow=True))


def test_a_new_address_is_made_after_a_question(admin):
    connection = make_connection()
    callbacks.ensure_address(connection)
    old = connection.hook_token
    address = f"/connections/{connection.pk}/callback/rotate/"

    asked = plain_text(admin.get(address))
    connection.refresh_from_db()
    assert "stops working at once" in asked
    assert connection.hook_token == old

    page = plain_text(admin.post(address, follow=True))
    connection.refresh_from_db()
    assert connection.hook_token != old
    assert connection.hook_token in page
    assert old not in page


def test_an_address_that_no_key_opens_can_be_replaced(admin, settings):
    connection = make_connection()
    callbacks.ensure_address(connection)
    settings.ENCRYPTION_KEYS = ["b3RoZXItb3RoZXItb3RoZXItb3RoZXItb3RoZXItb3Q="]

    page = plain_text(admin.get(f"/connections/{connection.pk}/callback/"))
    assert "The stored address cannot be read." in page

    page = plain_text(admin.post(f"/connections/{connection.pk}/callback/rotate/", follow=True))
    assert 'id="callback-address"' in page


@pytest.mark.parametrize("page", ["callback/", "callback/rotate/"])
@pytest.mark.parametrize("method", ["get", "post"])
def test_only_staff_sees_and_changes_the_address(viewer, page, method):
    connection = make_connection()

    response = getattr(viewer, method)(f"/connections/{connection.pk}/{page}", {"registers": "no"})

    assert response.status_code == 403
    connection.refresh_from_db()
    assert (connection.hook_registers, connection.hook_digest) == (True, None)


# --- Found by callback, in the list of jobs


def test_jobs_found_by_callback_are_marked_and_filtered(viewer):
    connection = make_connection()
    callbacks.take_call(connection, b'{"id": "111111000000541958"}')
    make_job(connection, zoho_job_id="222222000000000001")

    every = plain_text(viewer.get("/jobs/"))
    assert every.count("Found by callback</a>") == 1
    found = plain_text(viewer.get("/jobs/?found=callback"))
    assert "111111000000541958" in found
    assert "222222000000000001" not in found
    assert 'id="pill-found"' in found
    assert "1 job found." in found


def test_a_filter_that_makes_no_sense_is_left_out(viewer):
    make_job()

    page = plain_text(viewer.get("/jobs/?found=luck"))

    assert "found “luck”" in page
    assert "1 job found." in page


def test_the_jobs_page_tells_of_the_call(viewer):
    connection = make_connection()
    callbacks.take_call(connection, b'{"id": "111111000000541958"}')
    job = BulkWriteJob.objects.get()

    page = plain_text(viewer.get(f"/jobs/{job.pk}/"))

    assert "Zoho called" in page
    assert "It was not registered: it is now." in page
