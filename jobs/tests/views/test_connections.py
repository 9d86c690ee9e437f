"""The connections: how each is doing; add, change, test, pause, and never a secret."""

import re
from datetime import timedelta

import pytest
import requests
import responses
from django.contrib.auth.models import User
from django.utils import timezone

from jobs.models import BulkWriteJob, Connection
from jobs.tests.factories import make_connection, make_job

SECRET, TOKEN = "canary-client-secret", "canary-refresh-token"
US_TOKENS = "https://accounts.zoho.com/oauth/v2/token"


@pytest.fixture
def admin(client, db):
    user = User.objects.create_user("admin", password="x", is_staff=True)
    client.force_login(user)
    return client


@pytest.fixture
def viewer(client, db):
    client.force_login(User.objects.create_user("viewer", password="x"))
    return client


def values(**changed):
    return {
        "name": "production",
        "data_center": "us",
        "environment": "production",
        "api_version": "v7",
        "client_id": "1000.ABC",
        "client_secret": SECRET,
        "refresh_token": TOKEN,
        "alert_recipients": "ops@example.com",
        "skip_threshold_percent": "10",
        "stuck_after_minutes": "30",
        "max_concurrency": "10",
    } | changed


def us_connection(**fields):
    return make_connection(
        **{"data_center": "us", "api_url": "", "accounts_url": "", "name": "production"} | fields
    )


def text(response):
    return response.content.decode()


# --- The list


def test_an_empty_list_says_what_to_do_first(admin):
    page = text(admin.get("/connections/"))

    assert "No connection yet" in page
    assert 'href="/connections/add/"' in page


@pytest.mark.parametrize(
    ("fields", "word", "sentence"),
    [
        ({}, "Not polled yet", "it begins with the first job"),
        ({"last_polled_at": 0, "last_answer_at": 0}, "Working", "Zoho answers about its jobs."),
        ({"last_polled_at": 0}, "No answers", "gave no job&#x27;s details lately"),
        ({"last_polled_at": 0, "last_answer_at": -30}, "No answers", "Test the connection"),
        ({"paused": True, "last_polled_at": 0}, "Paused", "until it is resumed"),
        ({"resume_at": 5, "last_polled_at": 0, "last_answer_at": 0}, "Waiting", "to slow down"),
        ({"resume_at": -5, "last_polled_at": 0, "last_answer_at": 0}, "Working", "answers"),
        ({"blocked_at": 0}, "Needs you", "does not accept the sign-in"),
        ({"blocked_at": 0, "paused": True}, "Needs you", "then test it"),
    ],
)
def test_the_state_of_a_connection_is_told_in_words(viewer, fields, word, sentence):
    now = timezone.now()
    make_connection(
        **{
            name: value if isinstance(value, bool) else now + timedelta(minutes=value)
            for name, value in fields.items()
        }
    )

    page = text(viewer.get("/connections/"))

    assert f"</svg>{word}</span>" in page
    assert sentence in page


def test_a_blocked_connection_says_what_is_wrong_and_what_to_do(viewer):
    error = {"code": "invalid_code", "message": "Not accepted.", "resolution": "Get a new one."}
    make_connection(blocked_at=timezone.now(), last_error=error)

    page = text(viewer.get("/connections/"))

    assert "Not accepted. (invalid_code)" in page
    assert "Get a new one." in page


def test_the_numbers_of_jobs_are_its_own_and_lead_to_the_lists(viewer):
    first, second = make_connection(name="first"), make_connection(name="second")
    make_job(first)
    make_job(first, needs_attention=True, poll_state=BulkWriteJob.PollState.DONE)
    make_job(second)

    page = " ".join(text(viewer.get("/connections/")).split())

    assert '"/jobs/?connection=first">2 registered</a>: 1 being watched' in page
    assert '"/jobs/?connection=first&amp;attention=1">1 needs attention</a>' in page
    assert '"/jobs/?connection=second">1 registered</a>: 1 being watched, none needs' in page


def test_the_list_costs_the_same_with_many_connections(viewer, django_assert_num_queries):
    for _ in range(3):
        make_job(make_connection())
    # session, user, three kinds of job counts, connections; for every page: heartbeats,
    # connections, latest alerts.
    with django_assert_num_queries(9):
        viewer.get("/connections/")


def test_secrets_that_no_key_opens_do_not_break_the_list(viewer, settings):
    make_connection(name="locked")
    settings.ENCRYPTION_KEYS = ["b3RoZXItb3RoZXItb3RoZXItb3RoZXItb3RoZXItb3Q="]

    assert "locked" in text(viewer.get("/connections/"))


def test_who_may_not_change_connections_is_shown_no_buttons(viewer):
    make_connection()

    page = text(viewer.get("/connections/"))

    assert "/test/" not in page
    assert "/pause/" not in page
    assert "/connections/add/" not in page


@pytest.mark.parametrize("page", ["add/", "{pk}/edit/"])
@pytest.mark.parametrize("method", ["get", "post"])
def test_only_staff_may_add_and_change(viewer, page, method):
    connection = us_connection()

    response = getattr(viewer, method)(f"/connections/{page.format(pk=connection.pk)}", values())

    assert response.status_code == 403
    assert "You may not do this" in text(response)
    assert Connection.objects.count() == 1


@pytest.mark.parametrize("verb", ["test", "pause"])
def test_only_staff_may_test_and_pause(viewer, verb):
    connection = us_connection()

    response = viewer.post(f"/connections/{connection.pk}/{verb}/", {"paused": "yes"})

    assert response.status_code == 403
    connection.refresh_from_db()
    assert connection.paused is False


# --- Add and change


def test_adding_stores_a_connection_with_its_secrets(admin):
    response = admin.post("/connections/add/", values(), follow=True)

    connection = Connection.objects.get()
    assert (connection.client_secret, connection.refresh_token) == (SECRET, TOKEN)
    assert "production was added." in text(response)


def test_a_new_connection_needs_its_secrets_and_a_data_center(admin):
    response = admin.post(
        "/connections/add/", values(client_secret="", refresh_token="", data_center="")
    )

    assert response.status_code == 422
    errors = response.context["form"].errors
    assert set(errors) == {"client_secret", "refresh_token", "data_center"}


def test_no_data_center_is_chosen_beforehand(admin):
    assert '<option value="" selected>Choose…</option>' in text(admin.get("/connections/add/"))


def test_no_page_ever_shows_a_secret(admin):
    connection = us_connection(client_secret=SECRET, refresh_token=TOKEN)
    address = f"/connections/{connection.pk}/edit/"
    answers = [
        admin.get(address),
        admin.get("/connections/"),
        admin.post(address, values(client_secret="typed-canary", name="not a name!")),
        admin.post("/connections/add/", values(max_concurrency="many")),
        admin.post("/connections/add/", values(client_secret="typed-canary with blanks")),
    ]

    for answer in answers:
        assert "canary" not in text(answer)
    assert [answer.status_code for answer in answers] == [200, 200, 422, 422, 422]


def test_the_secrets_inputs_are_not_filled_by_the_browser(admin):
    page = text(admin.get(f"/connections/{us_connection().pk}/edit/"))

    for name in ("client_secret", "refresh_token"):
        (field,) = [line for line in page.split("<input ")[1:] if f'name="{name}"' in line]
        assert 'type="password"' in field.split(">")[0]
        assert 'autocomplete="off"' in field.split(">")[0]
        assert "value=" not in field.split(">")[0]


def test_an_empty_secret_keeps_the_stored_one(admin):
    connection = us_connection(client_secret=SECRET, refresh_token=TOKEN)

    admin.post(
        f"/connections/{connection.pk}/edit/",
        values(client_secret="", refresh_token="new-token", max_concurrency="20"),
    )

    connection = Connection.objects.get()
    assert connection.client_secret == SECRET
    assert connection.refresh_token == "new-token"
    assert connection.max_concurrency == 20


def test_a_pasted_secret_loses_the_blanks_around_it_and_may_hold_none(admin):
    admin.post("/connections/add/", values(client_secret=f"  {SECRET}\n"))
    assert Connection.objects.get().client_secret == SECRET

    refused = admin.post("/connections/add/", values(name="other", client_secret="two words"))

    assert "paste it in one piece" in text(refused)


def test_secrets_that_no_key_opens_have_to_be_typed_anew(admin, settings):
    connection = us_connection()
    settings.ENCRYPTION_KEYS = ["b3RoZXItb3RoZXItb3RoZXItb3RoZXItb3RoZXItb3Q="]
    address = f"/connections/{connection.pk}/edit/"

    assert "Stored secrets cannot be read." in text(admin.get(address))
    kept = admin.post(address, values(client_secret=""))
    anew = admin.post(address, values())

    assert kept.status_code == 422
    assert anew.status_code == 302
    assert Connection.objects.get().client_secret == SECRET


def test_every_recipient_is_checked_and_each_wrong_one_is_named(admin):
    response = admin.post(
        "/connections/add/", values(alert_recipients="a@example.com; <b>x</b>\n@nowhere")
    )

    page = text(response)
    assert "“&lt;b&gt;x&lt;/b&gt;” is no mail address." in page
    assert "“@nowhere” is no mail address." in page
    assert not Connection.objects.exists()


def test_recipients_are_stored_once_each(admin):
    admin.post(
        "/connections/add/", values(alert_recipients="a@example.com, b@example.com\na@example.com")
    )

    assert Connection.objects.get().recipients == ["a@example.com", "b@example.com"]


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("name", "two words", "Use letters, digits"),
        ("name", "", "required"),
        ("skip_threshold_percent", "101", "less than or equal to 100"),
        ("stuck_after_minutes", "0", "greater than or equal to 1"),
        ("max_concurrency", "201", "less than or equal to 200"),
        ("api_version", "v1", "not one of the available choices"),
        ("environment", "moon", "not one of the available choices"),
    ],
)
def test_a_wrong_value_is_told_at_its_field(admin, field, value, said):
    response = admin.post("/connections/add/", values(**{field: value}))

    assert list(response.context["form"].errors) == [field]
    assert said in text(response)
    assert f'id="id_{field}_error"' in text(response)


def test_a_name_is_taken_once(admin):
    us_connection()

    response = admin.post("/connections/add/", values())

    assert "There is a connection of this name already." in text(response)


def test_the_heading_of_a_refused_change_keeps_the_stored_name(admin):
    connection = us_connection()

    page = text(admin.post(f"/connections/{connection.pk}/edit/", values(name="<i>bad")))

    assert "<h1>Connection production</h1>" in page
    assert "<i>bad" not in page


def test_a_change_brings_a_blocked_connection_back(admin):
    connection = us_connection(blocked_at=timezone.now(), last_error={"message": "no"})

    admin.post(f"/connections/{connection.pk}/edit/", values())

    connection.refresh_from_db()
    assert connection.blocked_at is None
    assert connection.last_error is None


# --- Addresses of one's own


def test_addresses_of_ones_own_are_not_offered_where_they_are_forbidden(admin):
    page = text(admin.get("/connections/add/"))

    assert 'value="custom"' not in page
    assert "api_url" not in page


def test_addresses_of_ones_own_are_refused_where_they_are_forbidden(admin):
    response = admin.post(
        "/connections/add/",
        values(data_center="custom", api_url="https://a.example", accounts_url="https://a.example"),
    )

    assert list(response.context["form"].errors) == ["data_center"]
    assert not Connection.objects.exists()


def test_a_stand_in_is_stored_where_it_is_allowed(admin, settings):
    settings.ALLOW_CUSTOM_ZOHO_HOSTS = True
    own = {"api_url": "http://127.0.0.1:9009", "accounts_url": "http://127.0.0.1:9009"}

    admin.post("/connections/add/", values(data_center="custom", **own))

    assert Connection.objects.get().api_url == own["api_url"]


@pytest.mark.parametrize(
    ("addresses", "field"),
    [
        ({}, "api_url"),
        ({"api_url": "https://a.example"}, "accounts_url"),
        ({"api_url": "nonsense", "accounts_url": "https://a.example"}, "api_url"),
        ({"api_url": "https://a.example", "accounts_url": "http://a.example"}, "accounts_url"),
        (
            {
                "api_url": "https://a.example",
                "accounts_url": "https://a.example",
                "download_url": "ftp://a.example",
            },
            "download_url",
        ),
    ],
)
def test_a_refused_address_is_told_at_its_field(admin, settings, addresses, field):
    settings.ALLOW_CUSTOM_ZOHO_HOSTS = True

    response = admin.post("/connections/add/", values(data_center="custom", **addresses))

    assert list(response.context["form"].errors) == [field]


def test_a_data_center_of_zohos_drops_the_addresses(admin, settings):
    settings.ALLOW_CUSTOM_ZOHO_HOSTS = True
    connection = make_connection()

    admin.post(
        f"/connections/{connection.pk}/edit/", values(api_url="https://a.example", accounts_url="x")
    )

    connection.refresh_from_db()
    assert (connection.data_center, connection.api_url, connection.accounts_url) == ("us", "", "")


# --- Test


@pytest.mark.parametrize(
    ("status", "answer", "said"),
    [
        (200, {"error": "invalid_client_secret"}, "does not belong to the client ID"),
        (200, {"error": "invalid_code"}, "revoked, replaced by newer ones, or belongs to another"),
        (200, {"error": "invalid_client"}, "does not know this client ID in this data centre"),
        (
            400,
            {"error": "Access Denied", "status": "failure", "error_description": "请稍后再试"},
            "Nothing to do at once: the dashboard waits.",
        ),
        (503, {}, "no usable answer"),
    ],
)
@responses.activate
def test_a_test_says_in_words_what_is_wrong(admin, status, answer, said):
    responses.post(US_TOKENS, json=answer, status=status)
    connection = us_connection()

    page = text(admin.post(f"/connections/{connection.pk}/test/", follow=True))

    assert said in page
    assert "canary" not in page


@responses.activate
def test_a_test_that_finds_no_network_is_a_message(admin):
    responses.post(US_TOKENS, body=requests.ConnectionError("canary of the network"))
    connection = us_connection()

    response = admin.post(f"/connections/{connection.pk}/test/", follow=True)

    assert response.status_code == 200
    assert "The dashboard tries again by itself." in text(response)


@responses.activate
def test_a_test_that_succeeds_says_so_and_brings_the_connection_back(admin):
    responses.post(US_TOKENS, json={"access_token": "canary-access", "expires_in": 3600})
    connection = us_connection(blocked_at=timezone.now(), last_error={"message": "no"})

    page = text(admin.post(f"/connections/{connection.pk}/test/", follow=True))

    assert "production: Zoho accepted the sign-in." in page
    assert "canary" not in page
    connection.refresh_from_db()
    assert connection.blocked_at is None


@responses.activate
def test_a_test_of_a_forbidden_host_asks_nobody(admin):
    connection = make_connection()

    page = text(admin.post(f"/connections/{connection.pk}/test/", follow=True))

    assert "ALLOW_CUSTOM_ZOHO_HOSTS=true" in page
    assert len(responses.calls) == 0


@responses.activate
def test_saving_can_test_at_once(admin):
    responses.post(US_TOKENS, json={"error": "invalid_code"})

    page = text(admin.post("/connections/add/", values(test="yes"), follow=True))

    assert "production was added." in page
    assert "invalid_code" in page


@pytest.mark.parametrize("verb", ["test", "pause"])
def test_a_link_changes_nothing(admin, verb):
    assert admin.get(f"/connections/{us_connection().pk}/{verb}/").status_code == 405


# --- Pause


def test_pause_and_resume_do_as_said_however_often(admin):
    connection = us_connection()
    address = f"/connections/{connection.pk}/pause/"

    for asked, expected in [("yes", True), ("yes", True), ("no", False), ("no", False)]:
        admin.post(address, {"paused": asked})
        connection.refresh_from_db()
        assert connection.paused is expected


def test_a_pause_that_says_neither_changes_nothing(admin):
    connection = us_connection()

    page = text(admin.post(f"/connections/{connection.pk}/pause/", {}, follow=True))

    assert "Nothing was changed" in page
    connection.refresh_from_db()
    assert connection.paused is False


def test_pausing_leaves_alone_what_a_worker_writes_meanwhile(admin):
    connection = us_connection()
    seen = timezone.now()
    Connection.objects.update(last_answer_at=seen)

    admin.post(f"/connections/{connection.pk}/pause/", {"paused": "yes"})

    assert Connection.objects.get().last_answer_at == seen


def test_a_connection_that_is_gone_is_not_found(admin):
    for address in ("/connections/999/", "/connections/999/test/", "/connections/999/pause/"):
        assert admin.post(address, {}).status_code == 404


def test_what_zoho_says_is_escaped(viewer):
    make_connection(
        blocked_at=timezone.now(),
        last_error={"code": "<script>1</script>", "message": "<img src=x>", "resolution": "<b>"},
    )

    page = text(viewer.get("/connections/"))

    assert "<script>1" not in page
    assert "<img" not in page
    assert "&lt;img src=x&gt;" in page


@pytest.mark.parametrize(
    "address", ["/connections/", "/connections/add/", "/alerts/", "/accounts/password/"]
)
def test_pages_hold_nothing_that_the_content_security_policy_forbids(admin, address):
    us_connection()

    response = admin.get(address)

    assert not re.search(r"\sstyle=|<style|\son\w+=|javascript:", text(response))
    assert re.findall(r"<script(?![^>]*\ssrc=)", text(response)) == []
    assert "'unsafe" not in response["Content-Security-Policy"]
