"""Where a connection leads: another place, and addresses of one's own."""

import pytest
from django.utils import timezone

from jobs.models import Connection, SignIn
from jobs.tests.factories import make_connection, make_user, us_connection
from jobs.tests.views.connection_posts import added, edited
from jobs.tests.views.pages import text

SECRET, TOKEN = "canary-client-secret", "canary-refresh-token"


# --- Another place


@pytest.mark.parametrize("change", [{"data_center": "eu"}, {"environment": "sandbox"}])
def test_another_place_is_only_taken_once_it_is_clear_that_the_sign_in_goes(admin, change):
    connection = us_connection(client_secret=SECRET, refresh_token=TOKEN)
    address = f"/connections/{connection.pk}/edit/"

    warned = admin.post(address, edited(**change))

    assert warned.status_code == 422
    assert list(warned.context["form"].errors) == ["sign_in_anew"]
    assert "sign-in is worth nothing in another data centre" in text(warned)
    assert Connection.objects.get().refresh_token == TOKEN

    begun = SignIn.objects.create(
        connection=connection,
        user=make_user("signer"),
        state_digest="d",
        session_digest="d",
        client_id="x",
        client_secret="x",
        created_at=timezone.now(),
    )
    taken = admin.post(address, edited(**change, sign_in_anew="on"))

    assert taken["Location"] == f"/connections/{connection.pk}/sign-in/"
    connection = Connection.objects.get()
    assert not connection.is_signed_in
    assert {name: getattr(connection, name) for name in change} == change
    assert not SignIn.objects.filter(pk=begun.pk).exists()


@pytest.mark.parametrize(
    ("change", "kept"), [({"environment": "sandbox"}, SECRET), ({"data_center": "eu"}, "")]
)
def test_the_client_secret_goes_where_the_accounts_host_changes(admin, change, kept):
    connection = us_connection(client_secret=SECRET)

    admin.post(f"/connections/{connection.pk}/edit/", edited(**change, sign_in_anew="on"))

    assert Connection.objects.get().client_secret == kept


def test_nobody_is_warned_where_there_is_no_sign_in_to_lose(admin):
    connection = us_connection(client_secret="", refresh_token="", client_id="")

    response = admin.post(f"/connections/{connection.pk}/edit/", edited(data_center="eu"))

    assert response["Location"] == f"/connections/{connection.pk}/"
    assert Connection.objects.get().data_center == "eu"


# --- Addresses of one's own


def test_addresses_of_ones_own_are_not_offered_where_they_are_forbidden(admin):
    page = text(admin.get("/connections/add/"))

    assert 'value="custom"' not in page
    assert "api_url" not in page


def test_addresses_of_ones_own_are_refused_where_they_are_forbidden(admin):
    response = admin.post(
        "/connections/add/",
        added(data_center="custom", api_url="https://a.example", accounts_url="https://a.example"),
    )

    assert list(response.context["form"].errors) == ["data_center"]
    assert not Connection.objects.exists()


def test_a_stand_in_is_stored_where_it_is_allowed(admin, settings):
    settings.ALLOW_CUSTOM_ZOHO_HOSTS = True
    own = {"api_url": "http://127.0.0.1:9009", "accounts_url": "http://127.0.0.1:9009"}

    admin.post("/connections/add/", added(data_center="custom", **own))

    assert Connection.objects.get().api_url == own["api_url"]


@pytest.mark.parametrize(
    ("addresses", "fields"),
    [
        ({}, ["api_url", "accounts_url"]),
        ({"api_url": "https://a.example"}, ["accounts_url"]),
        ({"accounts_url": "https://a.example"}, ["api_url"]),
        ({"api_url": "nonsense", "accounts_url": "https://a.example"}, ["api_url"]),
        ({"api_url": "https://a.example", "accounts_url": "http://a.example"}, ["accounts_url"]),
        (
            {
                "api_url": "https://a.example",
                "accounts_url": "https://a.example",
                "download_url": "ftp://a.example",
            },
            ["download_url"],
        ),
    ],
)
def test_a_refused_address_is_told_at_its_field(admin, settings, addresses, fields):
    settings.ALLOW_CUSTOM_ZOHO_HOSTS = True

    response = admin.post("/connections/add/", added(data_center="custom", **addresses))

    assert list(response.context["form"].errors) == fields


def test_a_data_center_of_zohos_drops_the_addresses(admin, settings):
    settings.ALLOW_CUSTOM_ZOHO_HOSTS = True
    connection = make_connection()

    admin.post(
        f"/connections/{connection.pk}/edit/",
        edited(api_url="https://a.example", accounts_url="x", sign_in_anew="on"),
    )

    connection.refresh_from_db()
    assert (connection.data_center, connection.api_url, connection.accounts_url) == ("us", "", "")


def test_other_addresses_of_a_stand_in_drop_its_sign_in(admin, settings):
    settings.ALLOW_CUSTOM_ZOHO_HOSTS = True
    connection = make_connection()
    own = {"api_url": connection.api_url, "accounts_url": "http://127.0.0.1:10"}

    admin.post(
        f"/connections/{connection.pk}/edit/",
        edited(data_center="custom", sign_in_anew="on", **own),
    )

    connection.refresh_from_db()
    assert (connection.client_secret, connection.refresh_token) == ("", "")
