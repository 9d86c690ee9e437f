"""`add_connection` and `rotate_keys`: secrets come in unseen and stay sealed."""

import io
from datetime import timedelta

import pytest
from cryptography.fernet import Fernet
from django.apps import apps
from django.db import connection as database
from django.db.models import Model
from django.utils import timezone

from jobs.models import Connection, EncryptedTextField, SharedToken, SignIn
from jobs.services.connections import access
from jobs.tests.commands.running import run
from jobs.tests.factories import STAND_IN, make_connection, make_user
from jobs.tests.stand_in import TOKEN_URL

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def nothing_typed(monkeypatch):
    """Standard input is empty, and the environment names no secret."""
    monkeypatch.setattr("sys.stdin", io.StringIO(""))
    for name in ("ZOHO_CLIENT_SECRET", "ZOHO_REFRESH_TOKEN", "ZOHO_GRANT_CODE"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def secrets(monkeypatch):
    monkeypatch.setenv("ZOHO_CLIENT_SECRET", "canary-secret")
    monkeypatch.setenv("ZOHO_REFRESH_TOKEN", "canary-refresh")


def columns(*names: str) -> list[tuple[str, ...]]:
    """Connections as the database holds them."""
    with database.cursor() as cursor:
        cursor.execute(f"SELECT {', '.join(names)} FROM jobs_connection ORDER BY id")  # noqa: S608
        return cursor.fetchall()


def row_with_secrets(model: type[Model]) -> Model:
    """A row of a model whose encrypted fields each hold a text of their own."""
    fields: dict[str, object] = {
        field.name: f"canary {field.name}"
        for field in model._meta.fields
        if isinstance(field, EncryptedTextField)
    }
    if model is Connection:
        return make_connection(**fields)
    if model is SignIn:
        fields |= {"connection": make_connection(), "user": make_user("signer")}
        fields |= {"created_at": timezone.now()}
    if model is SharedToken:
        fields |= {"key": "a key", "expires_at": timezone.now() + timedelta(hours=1)}
    return model.objects.create(**fields)


class TestAddConnection:
    def test_takes_the_secrets_from_the_environment(self, secrets):
        ran = run("add_connection", "production", "--data-center", "eu", "--client-id", "1000.A")

        assert (ran.status, ran.out) == (0, "")
        assert "canary" not in ran.err
        org = Connection.objects.get()
        assert (org.name, org.data_center, org.client_id) == ("production", "eu", "1000.A")
        assert (org.client_secret, org.refresh_token) == ("canary-secret", "canary-refresh")
        assert "canary" not in repr(columns("client_secret", "refresh_token"))

    def test_takes_the_secrets_from_standard_input(self, monkeypatch):
        monkeypatch.setattr("sys.stdin", io.StringIO("from-stdin-1\nfrom-stdin-2\n"))

        assert (
            run("add_connection", "one", "--data-center", "us", "--client-id", "1000.A").status == 0
        )

        org = Connection.objects.get()
        assert (org.client_secret, org.refresh_token) == ("from-stdin-1", "from-stdin-2")

    def test_takes_what_the_environment_lacks_from_standard_input(self, monkeypatch):
        monkeypatch.setenv("ZOHO_CLIENT_SECRET", "from-environment")
        monkeypatch.setattr("sys.stdin", io.StringIO("from-stdin\n"))

        run("add_connection", "one", "--data-center", "us", "--client-id", "1000.A")

        org = Connection.objects.get()
        assert (org.client_secret, org.refresh_token) == ("from-environment", "from-stdin")

    def test_replaces_stored_secrets_from_standard_input_when_asked_to(self, monkeypatch):
        make_connection(name="production", data_center="eu", api_url="", accounts_url="")
        monkeypatch.setattr("sys.stdin", io.StringIO("new-secret\nnew-token\n"))

        assert run("add_connection", "production", "--new-secrets").status == 0

        org = Connection.objects.get()
        assert (org.client_secret, org.refresh_token) == ("new-secret", "new-token")

    def test_without_secrets_is_wrong_use_and_says_where_to_put_them(self):
        ran = run("add_connection", "one", "--data-center", "us", "--client-id", "1000.A")

        assert ran.status == 2
        assert "ZOHO_CLIENT_SECRET" in ran.err
        assert not Connection.objects.exists()

    @pytest.mark.parametrize(
        ("argv", "said"),
        [
            (["bad name", "--data-center", "us", "--client-id", "1000.A"], "name: Use letters"),
            (["one", "--data-center", "us"], "--client-id 1000."),
            (["one", "--data-center", "us", "--grant-code"], "--client-id 1000."),
            (["one", "--data-center", "us", "--client-id", "x", "--api-version", "7"], "version"),
        ],
        ids=" ".join,
    )
    def test_asks_for_no_secret_where_something_else_is_wrong(self, monkeypatch, argv, said):
        typed = io.StringIO("a-secret\na-token\n")
        monkeypatch.setattr("sys.stdin", typed)

        ran = run("add_connection", *argv)

        assert ran.status == 2
        assert said in ran.err
        assert "ZOHO_" not in ran.err
        assert typed.tell() == 0

    def test_again_changes_what_is_named_and_keeps_the_rest(self):
        make_connection(name="one", data_center="us", api_url="", accounts_url="")

        ran = run(
            *("add_connection", "one", "--max-concurrency", "25", "--stuck-after", "60"),
            *("--edition", "ultimate", "--paid-users", "40", "--daily-credits", "9000"),
            *("--longest-interval", "900"),
        )

        assert ran.status == 0
        org = Connection.objects.get()
        assert (org.max_concurrency, org.stuck_after_minutes) == (25, 60)
        assert (org.edition, org.paid_users) == ("ultimate", 40)
        assert (org.daily_credits, org.longest_interval_seconds) == (9000, 900)
        assert org.refresh_token == "canary-refresh-token"
        assert org.client_secret == "canary-client-secret"
        assert (org.data_center, org.client_id) == ("us", "1000.CLIENT")

    @pytest.mark.parametrize(
        "options", [["--recipients", "ops@example.com"], ["--forget-sign-in"]], ids=" ".join
    )
    def test_secrets_left_in_the_environment_for_another_org_are_refused(self, secrets, options):
        make_connection(name="two", data_center="us", api_url="", accounts_url="")

        ran = run("add_connection", "two", *options)

        assert ran.status == 2
        assert "ZOHO_CLIENT_SECRET and ZOHO_REFRESH_TOKEN are set" in ran.err
        assert "--new-secrets" in ran.err
        org = Connection.objects.get()
        assert org.client_secret == "canary-client-secret"
        assert org.refresh_token == "canary-refresh-token"
        assert "ops@example.com" not in org.alert_recipients

    def test_a_client_id_says_that_the_secrets_in_the_environment_are_meant(self, monkeypatch):
        make_connection(name="two", data_center="us", api_url="", accounts_url="")
        monkeypatch.setenv("ZOHO_REFRESH_TOKEN", "a-new-one")

        assert run("add_connection", "two", "--client-id", "1000.CLIENT").status == 0

        org = Connection.objects.get()
        assert (org.refresh_token, org.client_secret) == ("a-new-one", "canary-client-secret")

    @pytest.mark.parametrize(
        "argv",
        [
            ["with blanks", "--data-center", "us", "--client-id", "x"],
            ["one", "--data-center", "us"],
            ["one", "--data-center", "us", "--client-id", "x", "--skip-threshold", "0"],
            ["one", "--data-center", "us", "--client-id", "x", "--recipients", "nobody"],
            ["one", "--data-center", "us", "--client-id", "x", "--api-version", "7"],
            ["one", "--client-id", "x", "--data-center", "custom"],
            [
                "one",
                "--data-center",
                "us",
                "--client-id",
                "x",
                "--edition",
                "free",
                "--max-concurrency",
                "6",
            ],
            ["one", "--data-center", "us", "--client-id", "x", "--daily-credits", "0"],
            ["one", "--data-center", "us", "--client-id", "x", "--longest-interval", "7200"],
        ],
        ids=" ".join,
    )
    def test_refuses_values_that_cannot_be(self, secrets, settings, argv):
        settings.ALLOW_CUSTOM_ZOHO_HOSTS = True

        ran = run("add_connection", *argv)

        assert ran.status == 2
        assert ran.err
        assert not Connection.objects.exists()

    @pytest.mark.parametrize(("allowed", "status"), [(False, 2), (True, 0)])
    def test_serves_a_stand_in_only_where_that_is_allowed(self, secrets, settings, allowed, status):
        settings.ALLOW_CUSTOM_ZOHO_HOSTS = allowed

        ran = run(
            *("add_connection", "one", "--client-id", "x", "--data-center", "custom"),
            *("--api-url", STAND_IN, "--accounts-url", STAND_IN, "--download-url", STAND_IN),
        )

        assert ran.status == status
        assert Connection.objects.exists() is allowed

    def test_leaving_a_stand_in_forgets_its_addresses(self, secrets, settings):
        make_connection(name="one")

        assert run("add_connection", "one", "--data-center", "in", "--new-secrets").status == 0

        org = Connection.objects.get()
        assert (org.api_url, org.accounts_url, org.download_url) == ("", "", "")

    def test_a_new_one_makes_as_many_calls_as_its_edition_allows(self, secrets):
        run("add_connection", "one", "--data-center", "us", "--client-id", "x", "--edition", "free")

        assert Connection.objects.get().max_concurrency == 5

    def test_another_place_drops_the_sign_in_that_was_not_given_anew(self, zoho):
        make_connection(name="one")

        refused = run("add_connection", "one", "--data-center", "eu")
        assert refused.status == 2
        assert "--forget-sign-in" in refused.err
        assert Connection.objects.get().refresh_token == "canary-refresh-token"

        ran = run("add_connection", "one", "--data-center", "eu", "--forget-sign-in")

        assert ran.status == 0
        org = Connection.objects.get()
        assert (org.client_secret, org.refresh_token, org.client_id) == ("", "", "1000.CLIENT")

    def test_a_new_one_needs_its_data_center_said(self, secrets):
        ran = run("add_connection", "one", "--client-id", "1000.A")

        assert ran.status == 2
        assert "--data-center" in ran.err
        assert not Connection.objects.exists()

    @pytest.mark.parametrize("option", ["--api-url", "--accounts-url", "--download-url"])
    def test_addresses_are_not_dropped_unsaid(self, secrets, option):
        ran = run(
            *("add_connection", "one", "--client-id", "x", "--data-center", "eu"),
            *(option, STAND_IN),
        )

        assert ran.status == 2
        assert f"{option} goes with --data-center custom only" in ran.err
        assert not Connection.objects.exists()

    def test_whose_stored_secrets_no_key_opens_says_so_and_takes_new_ones(
        self, settings, monkeypatch
    ):
        make_connection(name="one", data_center="us", api_url="", accounts_url="")
        settings.ENCRYPTION_KEYS = [Fernet.generate_key().decode()]

        ran = run("add_connection", "one", "--stuck-after", "60")
        assert ran.status == 2
        assert "ENCRYPTION_KEYS" in ran.err

        monkeypatch.setenv("ZOHO_CLIENT_SECRET", "new-one")
        monkeypatch.setenv("ZOHO_REFRESH_TOKEN", "new-two")
        assert run("add_connection", "one", "--new-secrets").status == 0
        assert Connection.objects.get().client_secret == "new-one"


class TestGrantCode:
    ARGUMENTS = (
        *("add_connection", "one", "--client-id", "1000.A", "--data-center", "custom"),
        *("--api-url", STAND_IN, "--accounts-url", STAND_IN),
    )

    @pytest.fixture
    def granted(self, zoho):
        answer = {"access_token": "canary-access", "refresh_token": "canary-new", "expires_in": 60}
        zoho.mock.post(TOKEN_URL, json=answer | {"scope": "ZohoCRM.bulk.ALL"})
        return zoho

    def test_is_exchanged_at_once(self, granted, monkeypatch):
        monkeypatch.setenv("ZOHO_CLIENT_SECRET", "canary-secret")
        monkeypatch.setenv("ZOHO_GRANT_CODE", "canary-code")

        ran = run(*self.ARGUMENTS)

        assert (ran.status, ran.out) == (0, "")
        assert "canary" not in ran.err
        org = Connection.objects.get()
        assert (org.client_secret, org.refresh_token) == ("canary-secret", "canary-new")
        (sent,) = granted.asked(TOKEN_URL)
        assert "code=canary-code" in sent.body
        assert access.open_tokens(org).get() == "canary-access"
        assert len(granted.asked(TOKEN_URL)) == 1

    def test_may_come_from_standard_input(self, granted, monkeypatch):
        monkeypatch.setattr("sys.stdin", io.StringIO("a-secret\na-code\n"))

        assert run(*self.ARGUMENTS, "--grant-code").status == 0

        (sent,) = granted.asked(TOKEN_URL)
        assert "code=a-code" in sent.body
        assert Connection.objects.get().refresh_token == "canary-new"

    def test_repairs_a_connection_whose_secrets_no_key_opens(self, granted, settings, monkeypatch):
        make_connection(name="one")
        settings.ENCRYPTION_KEYS = [Fernet.generate_key().decode()]
        monkeypatch.setenv("ZOHO_GRANT_CODE", "canary-code")

        ran = run("add_connection", "one", "--client-id", "1000.A")
        assert ran.status == 2
        assert "give the client secret anew" in ran.err

        monkeypatch.setenv("ZOHO_CLIENT_SECRET", "canary-secret")
        assert run("add_connection", "one", "--grant-code").status == 0

        org = Connection.objects.get()
        assert (org.client_secret, org.refresh_token) == ("canary-secret", "canary-new")

    @pytest.mark.parametrize(
        ("answer", "said"),
        [
            ({"error": "invalid_code"}, "does not accept this grant code"),
            (
                {"access_token": "x", "refresh_token": "y", "scope": "ZohoCRM.modules.ALL"},
                "granted the scope ZohoCRM.modules.ALL",
            ),
        ],
    )
    def test_that_zoho_refuses_stores_nothing(self, zoho, monkeypatch, answer, said):
        monkeypatch.setenv("ZOHO_CLIENT_SECRET", "canary-secret")
        monkeypatch.setenv("ZOHO_GRANT_CODE", "canary-code")
        zoho.mock.post(TOKEN_URL, json=answer)

        ran = run(*self.ARGUMENTS)

        assert ran.status == 1
        assert said in ran.err
        assert "canary" not in ran.err
        assert not Connection.objects.exists()

    @pytest.mark.parametrize("status", [429, 503])
    def test_that_zoho_does_not_take_now_is_not_said_to_be_tried_again(
        self, zoho, monkeypatch, status
    ):
        monkeypatch.setenv("ZOHO_CLIENT_SECRET", "canary-secret")
        monkeypatch.setenv("ZOHO_GRANT_CODE", "canary-code")
        zoho.mock.post(TOKEN_URL, status=status, json={})

        ran = run(*self.ARGUMENTS)

        assert ran.status == 1
        assert ran.err.startswith("Nothing was stored. ")
        assert "Try again" in ran.err
        assert "the dashboard" not in ran.err

    def test_never_takes_a_stored_secret_to_another_host(self, zoho, monkeypatch):
        make_connection(name="one")
        monkeypatch.setenv("ZOHO_GRANT_CODE", "canary-code")

        ran = run(
            *("add_connection", "one", "--client-id", "1000.CLIENT"),
            *("--accounts-url", "http://127.0.0.1:10"),
        )

        assert ran.status == 2
        assert "goes with a client ID and its secret" in ran.err
        assert zoho.asked() == []


class TestRotateKeys:
    def test_seals_all_secrets_with_the_first_key(self, settings, zoho):
        org = make_connection(name="one")
        make_connection(name="two")
        zoho.gives_tokens("a-token")
        access.open_tokens(org).get()
        before = columns("client_secret", "refresh_token")
        new = Fernet.generate_key().decode()
        settings.ENCRYPTION_KEYS = [new, *settings.ENCRYPTION_KEYS]

        ran = run("rotate_keys")

        assert (ran.status, ran.out) == (0, "")
        assert "2 connections" in ran.err
        settings.ENCRYPTION_KEYS = [new]
        assert {org.refresh_token for org in Connection.objects.all()} == {"canary-refresh-token"}
        assert not set(sum(before, ())) & set(sum(columns("client_secret", "refresh_token"), ()))
        assert any("a-token" in row.value for row in SharedToken.objects.all())

    def test_no_model_with_a_secret_is_forgotten(self, settings):
        """Whatever models there are: one row of each with every secret filled."""
        rows = []
        for model in apps.get_models():
            if any(isinstance(field, EncryptedTextField) for field in model._meta.fields):
                rows.append(row_with_secrets(model))
        assert {type(row) for row in rows} >= {Connection, SharedToken, SignIn}
        new = Fernet.generate_key().decode()
        settings.ENCRYPTION_KEYS = [new, *settings.ENCRYPTION_KEYS]

        assert run("rotate_keys").status == 0

        settings.ENCRYPTION_KEYS = [new]
        for row in rows:
            row.refresh_from_db()
            for field in row._meta.fields:
                if isinstance(field, EncryptedTextField):
                    assert getattr(row, field.name) == f"canary {field.name}"

    def test_drops_an_access_token_that_no_key_opens(self, settings):
        row_with_secrets(SharedToken)
        settings.ENCRYPTION_KEYS = [Fernet.generate_key().decode()]
        make_connection(name="one")

        assert run("rotate_keys").status == 0
        assert not SharedToken.objects.exists()

    def test_changes_nothing_where_one_secret_cannot_be_opened(self, settings):
        make_connection(name="one")
        [old] = settings.ENCRYPTION_KEYS
        other = Fernet.generate_key().decode()
        settings.ENCRYPTION_KEYS = [other]
        make_connection(name="two")
        before = columns("client_secret", "refresh_token")
        settings.ENCRYPTION_KEYS = [Fernet.generate_key().decode(), old]

        ran = run("rotate_keys")

        assert ran.status == 1
        assert "two" in ran.err
        assert columns("client_secret", "refresh_token") == before
