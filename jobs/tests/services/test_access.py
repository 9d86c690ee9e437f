"""Secrets at rest, and the access token that all processes share."""

import io
import json
import logging
import threading
from datetime import timedelta

import pytest
import responses
import time_machine
from cryptography.fernet import Fernet
from django.core.exceptions import ValidationError
from django.core.management import call_command
from django.db import connection as database
from django.utils import timezone

from jobs.models import Connection, SharedToken, UndecryptableError
from jobs.services.connections import access, connecting, testing
from jobs.services.connections.access import CustomHostsForbiddenError, DatabaseTokenStore
from jobs.services.observing import polling
from jobs.tests.factories import body, make_connection, make_job, resource
from jobs.tests.stand_in import TOKEN_URL, details_url, error_body

pytestmark = pytest.mark.django_db

SECRETS = ("canary-client-secret", "canary-refresh-token", "canary-access-token")


def everything_stored() -> str:
    """All values of all our tables as the database holds them."""
    with database.cursor() as cursor:
        tables = database.introspection.table_names(cursor)
        dump = []
        for table in tables:
            cursor.execute(f"SELECT * FROM {database.ops.quote_name(table)}")  # noqa: S608
            dump.append(repr(cursor.fetchall()))
    return "\n".join(dump)


class TestNoSecretIsReadable:
    def test_in_the_database(self, zoho):
        job = make_job()
        zoho.gives_tokens("canary-access-token")
        zoho.says(job, body(job, "INPROGRESS", resource("INPROGRESS")))
        polling.poll_now([job])
        assert SharedToken.objects.filter(key__endswith=":token").exists()

        stored = everything_stored()

        assert job.zoho_job_id in stored
        assert not [secret for secret in SECRETS if secret in stored]

    def test_in_what_is_stored_of_an_answer_that_repeats_them(self, zoho, caplog):
        caplog.set_level(logging.DEBUG)
        job = make_job()
        zoho.gives_tokens("canary-access-token")
        leaky = error_body("CANNOT_PROCESS", "Zoho-oauthtoken canary-access-token is bad")
        zoho.says(job, leaky, status=400)
        polling.poll_now([job])

        assert "canary-access-token" not in everything_stored() + caplog.text
        assert "CANNOT_PROCESS" in caplog.text

    def test_in_a_dump_for_another_database(self):
        make_connection()
        dump = io.StringIO()

        call_command("dumpdata", "jobs", stdout=dump)

        assert json.loads(dump.getvalue())[0]["fields"]["client_id"] == "1000.CLIENT"
        assert not [secret for secret in SECRETS if secret in dump.getvalue()]

    def test_in_the_words_that_objects_have_for_themselves(self, zoho):
        org = make_connection()
        for thing in (org, access.open_tokens(org), access.open_client(org)):
            assert not [secret for secret in SECRETS if secret in f"{thing!r} {thing}"]


class TestKeys:
    def test_of_their_own_let_secrets_survive_a_change_of_the_secret_key(self, settings):
        org = make_connection()
        settings.SECRET_KEY = "another secret key, as after a leak" * 2

        assert Connection.objects.get(pk=org.pk).refresh_token == "canary-refresh-token"

    def test_that_are_added_in_front_open_old_secrets_and_seal_new_ones(self, settings):
        org = make_connection()
        [old] = settings.ENCRYPTION_KEYS
        new = Fernet.generate_key().decode()
        settings.ENCRYPTION_KEYS = [new, old]
        assert Connection.objects.get().client_secret == "canary-client-secret"

        make_connection(name="newer")
        settings.ENCRYPTION_KEYS = [new]
        assert Connection.objects.get(name="newer").client_secret == "canary-client-secret"
        with pytest.raises(UndecryptableError, match="ENCRYPTION_KEYS"):
            _ = Connection.objects.get(pk=org.pk).client_secret

    def test_that_are_lost_block_the_connection_and_send_nothing(self, zoho, settings):
        job = make_job()
        settings.ENCRYPTION_KEYS = [Fernet.generate_key().decode()]

        polling.poll_now([job])

        org = Connection.objects.defer("client_secret", "refresh_token").get()
        assert "ENCRYPTION_KEYS" in org.last_error["message"]
        assert zoho.asked() == []

    def test_that_are_lost_do_not_lose_the_secret_when_something_else_is_saved(self, settings):
        org = make_connection()
        kept = settings.ENCRYPTION_KEYS
        settings.ENCRYPTION_KEYS = [Fernet.generate_key().decode()]
        other = Connection.objects.get(pk=org.pk)
        other.paused = True
        other.save()

        settings.ENCRYPTION_KEYS = kept
        assert Connection.objects.get().refresh_token == "canary-refresh-token"

    def test_that_another_process_has_already_make_its_token_none_not_a_broken_connection(
        self, zoho, settings
    ):
        job = make_job()
        [old] = settings.ENCRYPTION_KEYS
        settings.ENCRYPTION_KEYS = [Fernet.generate_key().decode(), old]
        zoho.gives_tokens("of-the-new-process", "of-this-process")
        access.open_tokens(job.connection).get()

        settings.ENCRYPTION_KEYS = [old]
        zoho.says(job, body(job, "INPROGRESS", resource("INPROGRESS")))
        polling.poll_now([job])

        assert not Connection.objects.get().is_blocked
        [request] = zoho.asked(details_url(job))
        assert request.headers["Authorization"].endswith("of-this-process")


class TestTheSharedToken:
    def test_is_asked_for_once_by_all_who_need_it(self, zoho):
        org = make_connection()
        zoho.gives_tokens("one", "two")

        assert {access.open_tokens(org).get() for _ in range(5)} == {"one"}
        [request] = zoho.asked(TOKEN_URL)
        assert request.url == TOKEN_URL
        assert "refresh_token=canary-refresh-token" in str(request.body)

    def test_is_renewed_by_the_first_who_finds_it_dead(self, zoho):
        org = make_connection()
        zoho.gives_tokens("dead", "alive", "too many")
        holders = [access.open_tokens(org) for _ in range(3)]
        assert {holder.get() for holder in holders} == {"dead"}

        assert {holder.renew("dead") for holder in holders} == {"alive"}
        assert len(zoho.asked(TOKEN_URL)) == 2

    def test_ends_with_its_hour(self, zoho):
        org = make_connection()
        zoho.gives_tokens("one", "two")
        access.open_tokens(org).get()

        with time_machine.travel(timezone.now() + timedelta(hours=1)):
            assert access.open_tokens(org).get() == "two"

    def test_of_other_credentials_is_another(self, zoho):
        org = make_connection()
        zoho.gives_tokens("one", "two")
        access.open_tokens(org).get()
        org.refresh_token = "another-refresh-token"

        assert access.open_tokens(org).get() == "two"

    def test_of_another_connection_is_another(self, zoho):
        zoho.gives_tokens("one", "two")

        assert [access.open_tokens(make_connection()).get() for _ in range(2)] == ["one", "two"]

    def test_is_never_asked_for_more_often_than_zoho_allows(self, zoho):
        org = make_connection()
        zoho.gives_tokens(*[f"token-{number}" for number in range(20)])
        for _ in range(20):
            testing.test(org)

        assert len(zoho.asked(TOKEN_URL)) <= 10


@pytest.mark.django_db(transaction=True)
def test_of_eight_workers_one_asks_for_a_token(zoho):
    org = make_connection()
    zoho.gives_tokens("one", "two")
    got, start = [], threading.Barrier(8)

    def work():
        start.wait()
        try:
            got.append(access.open_tokens(org).get())
        finally:
            database.close()

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert got == ["one"] * 8
    assert len(zoho.asked(TOKEN_URL)) == 1


class TestTheStore:
    def test_gives_a_value_until_its_time_is_over(self):
        store = DatabaseTokenStore()
        store.set("key", {"a": 1}, 60)

        assert store.get("key") == {"a": 1}
        with time_machine.travel(timezone.now() + timedelta(seconds=61)):
            assert store.get("key") is None

    def test_adds_only_where_there_is_nothing_or_something_expired(self):
        store = DatabaseTokenStore()

        assert store.add("key", {"a": 1}, 60)
        assert not store.add("key", {"a": 2}, 60)
        with time_machine.travel(timezone.now() + timedelta(seconds=61)):
            assert store.add("key", {"a": 3}, 60)
            assert store.get("key") == {"a": 3}

    def test_forgets(self):
        store = DatabaseTokenStore()
        store.set("key", {"a": 1}, 60)
        store.delete("key")

        assert store.get("key") is None


class TestHostsOfOnesOwn:
    def test_are_forbidden_unless_the_installation_allows_them(self, settings):
        assert settings.ALLOW_CUSTOM_ZOHO_HOSTS is False
        org = make_connection()

        for act in (access.open_client, access.open_tokens, access.region_of):
            with pytest.raises(CustomHostsForbiddenError, match="ALLOW_CUSTOM_ZOHO_HOSTS"):
                act(org)
        with pytest.raises(ValidationError, match="ALLOW_CUSTOM_ZOHO_HOSTS"):
            connecting.save(org)

    def test_are_zohos_for_zohos_data_centres_whatever_is_stored_beside(self):
        org = make_connection(data_center="eu", api_url="https://evil.example")

        region = access.region_of(org)

        assert region.api_url == "https://www.zohoapis.eu"
        assert not region.may_receive_token("https://evil.example/")


@pytest.mark.usefixtures("zoho")
class TestSavingAConnection:
    @pytest.mark.parametrize(
        ("field", "value", "goes_on"),
        [
            ("refresh_token", "another", True),
            ("client_secret", "another", True),
            ("accounts_url", "http://127.0.0.1:10", True),
            ("alert_recipients", "other@example.com", False),
            ("stuck_after_minutes", 5, False),
        ],
    )
    def test_a_blocked_one_goes_on_only_with_another_sign_in(self, field, value, goes_on):
        now = timezone.now()
        org = make_connection(blocked_at=now, resume_at=now, last_error={"code": "x"})

        setattr(org, field, value)
        connecting.save(org)

        org.refresh_from_db()
        assert getattr(org, field) == value
        assert org.is_blocked, "that it works, the first answer shows"
        assert (org.last_error["code"] is None) == goes_on

    def test_what_workers_wrote_meanwhile_is_kept(self):
        org = make_connection()
        now = timezone.now()
        type(org).objects.update(last_answer_at=now, blocked_at=now)

        org.stuck_after_minutes = 5
        connecting.save(org)

        org.refresh_from_db()
        assert (org.last_answer_at, org.blocked_at) == (now, now)


class TestTestingAConnection:
    def test_that_needs_a_person_blocks_it_and_says_what_to_do(self, zoho):
        org = make_connection()
        zoho.mock.post(TOKEN_URL, json={"error": "invalid_client_secret"})

        result = testing.test(org)

        assert not result.ok
        assert "Copy the client secret again" in result.resolution
        org.refresh_from_db()
        assert org.is_blocked

    def test_while_zoho_is_down_blocks_nothing(self, zoho):
        org = make_connection()
        zoho.mock.add(responses.POST, TOKEN_URL, status=503)

        assert not testing.test(org).ok
        org.refresh_from_db()
        assert not org.is_blocked

    def test_that_was_corrected_may_be_polled_again(self, zoho):
        org = make_connection(blocked_at=timezone.now(), last_error={"code": "x"})
        org.refresh_token = "a new one"
        connecting.save(org)

        said = Connection.objects.pollable(timezone.now()).get().last_error
        assert said["message"] == ("The connection was changed. Whether it works is not known yet.")

    @pytest.mark.parametrize(
        "fields",
        [
            {"name": "with blanks"},
            {"name": ""},
            {"client_id": ""},
            {"client_secret": ""},
            {"api_version": "v7/../x"},
            {"skip_threshold_percent": 0},
            {"skip_threshold_percent": 101},
            {"stuck_after_minutes": 0},
            {"max_concurrency": 0},
            {"data_center": "moon"},
            {"api_url": "http://crm.example.com"},
            {"alert_recipients": "a@example.com, nobody"},
        ],
    )
    def test_with_values_that_cannot_be_is_not_stored(self, zoho, fields):
        org = make_connection()
        for name, value in fields.items():
            setattr(org, name, value)

        with pytest.raises(ValidationError):
            connecting.save(org)
