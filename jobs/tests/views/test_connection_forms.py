"""The forms of a connection: add, change, pause; who may, and what is refused."""

from datetime import timedelta

import pytest
from django.utils import timezone

from jobs.models import Connection, CreditUse
from jobs.tests.factories import make_connection, us_connection
from jobs.tests.views.connection_posts import added, edited, messages_of
from jobs.tests.views.pages import text

SECRET, TOKEN = "canary-client-secret", "canary-refresh-token"


@pytest.mark.parametrize("page", ["add/", "{pk}/edit/", "{pk}/sign-in/"])
@pytest.mark.parametrize("method", ["get", "post"])
def test_only_staff_may_add_change_and_sign_in(viewer, page, method):
    connection = us_connection()

    response = getattr(viewer, method)(f"/connections/{page.format(pk=connection.pk)}", edited())

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


@pytest.mark.parametrize("verb", ["test", "pause"])
def test_a_link_changes_nothing(admin, verb):
    assert admin.get(f"/connections/{us_connection().pk}/{verb}/").status_code == 405


def test_a_connection_that_is_gone_is_not_found(admin):
    for page in ("edit", "sign-in", "test", "pause"):
        assert admin.post(f"/connections/999/{page}/", {}).status_code == 404


# --- Add


def test_adding_stores_a_connection_that_is_not_signed_in_and_goes_on_to_that(admin):
    response = admin.post("/connections/add/", added(edition="free", paid_users="3"))

    connection = Connection.objects.get()
    assert (response.status_code, response["Location"]) == (
        302,
        f"/connections/{connection.pk}/sign-in/",
    )
    assert not connection.is_signed_in
    assert (connection.edition, connection.paid_users) == ("free", 3)
    assert connection.recipients == ["ops@example.com"]


@pytest.mark.parametrize(("edition", "calls"), [("free", 5), ("ultimate", 25)])
def test_a_new_connection_makes_as_many_calls_at_a_time_as_its_edition_allows(
    admin, edition, calls
):
    admin.post("/connections/add/", added(edition=edition))

    assert Connection.objects.get().max_concurrency == calls


def test_a_new_connection_needs_a_name_and_a_data_center(admin):
    response = admin.post("/connections/add/", added(name="", data_center=""))

    assert response.status_code == 422
    assert set(response.context["form"].errors) == {"name", "data_center"}
    assert not Connection.objects.exists()


def test_all_data_centers_are_offered_and_none_is_chosen_beforehand(admin):
    page = text(admin.get("/connections/add/"))

    assert '<option value="" selected>Choose…</option>' in page
    for key in ("us", "eu", "in", "au", "jp", "ca", "cn", "sa"):
        assert f'<option value="{key}">' in page
    for key, name in (("uk", "United Kingdom"), ("ae", "United Arab Emirates")):
        assert f'<option value="{key}">{name} (zoho.{key}): unconfirmed</option>' in page


def test_every_recipient_is_checked_and_each_wrong_one_is_named(admin):
    response = admin.post(
        "/connections/add/", added(alert_recipients="a@example.com; <b>x</b>\n@nowhere")
    )

    page = text(response)
    assert "“&lt;b&gt;x&lt;/b&gt;” is no mail address." in page
    assert "“@nowhere” is no mail address." in page
    assert not Connection.objects.exists()


def test_recipients_are_stored_once_each(admin):
    admin.post(
        "/connections/add/", added(alert_recipients="a@example.com, b@example.com\na@example.com")
    )

    assert Connection.objects.get().recipients == ["a@example.com", "b@example.com"]


def test_a_name_is_taken_once(admin):
    us_connection()

    response = admin.post("/connections/add/", added())

    assert "There is a connection of this name already." in text(response)


# --- Change


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("name", "two words", "Use letters, digits"),
        ("name", "", "required"),
        ("skip_threshold_percent", "101", "less than or equal to 100"),
        ("stuck_after_minutes", "0", "greater than or equal to 1"),
        ("max_concurrency", "201", "less than or equal to 200"),
        ("max_concurrency", "11", "Zoho allows the edition Standard 10 calls at a time."),
        ("api_version", "v1", "not one of the available choices"),
        ("environment", "moon", "not one of the available choices"),
        ("edition", "gold", "not one of the available choices"),
        ("paid_users", "-1", "greater than or equal to 0"),
        ("daily_credits", "0", "greater than or equal to 1"),
        ("longest_interval_seconds", "14", "greater than or equal to 15"),
        ("longest_interval_seconds", "3601", "less than or equal to 3600"),
    ],
)
def test_a_wrong_value_is_told_at_its_field(admin, field, value, said):
    connection = us_connection()

    response = admin.post(f"/connections/{connection.pk}/edit/", edited(**{field: value}))

    assert response.status_code == 422
    assert list(response.context["form"].errors) == [field]
    assert said in text(response)
    assert f'id="id_{field}_error"' in text(response)


def test_all_wrong_values_are_told_at_once(admin):
    connection = us_connection()
    values = {"max_concurrency": "99", "daily_credits": "999999", "longest_interval_seconds": "5"}

    response = admin.post(f"/connections/{connection.pk}/edit/", edited(**values))

    errors = response.context["form"].errors
    assert set(errors) == set(values)
    assert errors["max_concurrency"] == ["Zoho allows the edition Standard 10 calls at a time."]
    assert "50,250 API credits in 24 hours" in errors["daily_credits"][0]


def test_limits_are_not_told_by_an_edition_that_is_none(admin):
    connection = us_connection()

    response = admin.post(
        f"/connections/{connection.pk}/edit/", edited(edition="gold", max_concurrency="20")
    )

    assert set(response.context["form"].errors) == {"edition"}


def test_more_calls_are_fine_with_an_edition_that_allows_them(admin):
    connection = us_connection()

    admin.post(
        f"/connections/{connection.pk}/edit/", edited(max_concurrency="20", edition="enterprise")
    )

    connection.refresh_from_db()
    assert connection.max_concurrency == 20


def test_a_stand_in_has_no_edition_to_keep_to(admin, settings):
    settings.ALLOW_CUSTOM_ZOHO_HOSTS = True
    connection = make_connection()
    own = {"api_url": connection.api_url, "accounts_url": connection.accounts_url}

    admin.post(
        f"/connections/{connection.pk}/edit/",
        edited(data_center="custom", max_concurrency="150", **own),
    )

    connection.refresh_from_db()
    assert connection.max_concurrency == 150


def test_the_credits_that_an_empty_field_stands_for_are_said(admin):
    connection = us_connection(edition="enterprise", paid_users=100)

    page = text(admin.get(f"/connections/{connection.pk}/edit/"))

    assert "a tenth of the 150,000 that Zoho gives" in page


def test_limits_are_stored(admin):
    connection = us_connection()
    values = edited(daily_credits="7000", longest_interval_seconds="900", api_version="v8")

    admin.post(f"/connections/{connection.pk}/edit/", values)

    connection.refresh_from_db()
    assert (connection.daily_credits, connection.longest_interval_seconds) == (7000, 900)
    assert connection.api_version == "v8"


@pytest.mark.parametrize(
    ("daily_credits", "is_warned"), [("1397", True), ("1398", True), ("1399", False), ("", False)]
)
def test_a_budget_that_is_used_already_is_stored_with_a_warning(admin, daily_credits, is_warned):
    connection = us_connection(daily_credits=5_000)
    hour = timezone.now().replace(minute=0, second=0, microsecond=0)
    CreditUse.objects.create(connection=connection, hour=hour, calls=1_398)

    response = admin.post(
        f"/connections/{connection.pk}/edit/", edited(daily_credits=daily_credits)
    )

    said = messages_of(response)
    assert said[0] == "production was changed."
    assert len(said) == 1 + is_warned
    if is_warned:
        assert f"1,398 API credits were used in the last 24 hours, and {connection.name}" in said[1]
        assert f"may use {int(daily_credits):,} now: nothing is asked about its jobs" in said[1]
        assert f"free again on {(hour + timedelta(hours=25)).day} " in said[1]
    assert Connection.objects.get().daily_credits == (int(daily_credits or 0) or None)


def test_of_a_used_budget_that_stays_nothing_is_said(admin):
    connection = us_connection(daily_credits=1_000)
    CreditUse.objects.create(connection=connection, hour=timezone.now(), calls=1_398)

    response = admin.post(f"/connections/{connection.pk}/edit/", edited(daily_credits="1000"))

    assert messages_of(response) == ["production was changed."]


@pytest.mark.parametrize("registers", [True, False])
def test_what_a_callback_registers_is_set_on_the_callback_page_alone(admin, registers):
    connection = us_connection(hook_registers=registers)

    page = text(admin.get(f"/connections/{connection.pk}/edit/"))
    admin.post(f"/connections/{connection.pk}/edit/", edited(hook_registers="on"))

    connection.refresh_from_db()
    assert "hook_registers" not in page
    assert connection.hook_registers is registers


def test_the_heading_of_a_refused_change_keeps_the_stored_name(admin):
    connection = us_connection()

    page = text(admin.post(f"/connections/{connection.pk}/edit/", edited(name="<i>bad")))

    assert "<h1>Connection production</h1>" in page
    assert "<i>bad" not in page


def test_a_change_leaves_the_sign_in_and_the_state_alone(admin):
    error = {"message": "no"}
    connection = us_connection(blocked_at=timezone.now(), last_error=error, failures=3)

    response = admin.post(f"/connections/{connection.pk}/edit/", edited(stuck_after_minutes="45"))

    assert response["Location"] == f"/connections/{connection.pk}/"
    connection.refresh_from_db()
    assert connection.stuck_after_minutes == 45
    assert (connection.client_secret, connection.refresh_token) == (SECRET, TOKEN)
    assert connection.blocked_at is not None
    assert (connection.last_error, connection.failures) == (error, 3)


def test_a_sign_in_that_ends_while_the_form_is_saved_is_kept(admin, monkeypatch):
    connection = us_connection()
    save = Connection.save

    def sign_in_first(self, *args, **kwargs):
        Connection.objects.filter(pk=self.pk).update(refresh_token="fresh", client_secret="new")
        save(self, *args, **kwargs)

    monkeypatch.setattr(Connection, "save", sign_in_first)
    admin.post(f"/connections/{connection.pk}/edit/", edited(stuck_after_minutes="45"))

    connection = Connection.objects.get()
    assert (connection.refresh_token, connection.client_secret) == ("fresh", "new")
    assert connection.stuck_after_minutes == 45


def test_secrets_that_no_key_opens_lead_to_the_sign_in_page(admin, settings):
    connection = us_connection()
    settings.ENCRYPTION_KEYS = ["b3RoZXItb3RoZXItb3RoZXItb3RoZXItb3RoZXItb3Q="]

    response = admin.post(f"/connections/{connection.pk}/edit/", edited(stuck_after_minutes="45"))

    assert response.status_code == 422
    assert "Or sign in to Zoho again." in text(response)
    assert f"/connections/{connection.pk}/sign-in/" in text(response)


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

    response = admin.post(f"/connections/{connection.pk}/pause/", {})

    assert "Nothing was changed" in messages_of(response)[0]
    connection.refresh_from_db()
    assert connection.paused is False


def test_pausing_leaves_alone_what_a_worker_writes_meanwhile(admin):
    connection = us_connection()
    seen = timezone.now()
    Connection.objects.update(last_answer_at=seen)

    admin.post(f"/connections/{connection.pk}/pause/", {"paused": "yes"})

    assert Connection.objects.get().last_answer_at == seen
