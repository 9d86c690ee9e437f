"""The system checks: each mistake of the configuration has one, with a hint, and no other has."""

from pathlib import Path

import pytest
from django.core.checks import run_checks

DEPLOYED = {
    "SITE_URL": "https://bulkwatch.example.com",
    "ALLOWED_HOSTS": ["bulkwatch.example.com"],
    "EMAIL_BACKEND": "django.core.mail.backends.smtp.EmailBackend",
    "DEFAULT_FROM_EMAIL": "Bulkwatch <bulkwatch@example.com>",
    "ALLOW_CUSTOM_ZOHO_HOSTS": False,
    "DEMO": False,
}


@pytest.fixture
def deployed(settings):
    for name, value in DEPLOYED.items():
        setattr(settings, name, value)
    return settings


def found(*, deploy=False):
    messages = run_checks(include_deployment_checks=deploy)
    ours = [message for message in messages if message.id.startswith("bulkwatch.")]
    assert all(message.hint for message in ours)
    return [message.id for message in ours]


def test_a_sound_configuration_has_nothing_to_say(deployed):
    assert found(deploy=True) == []


@pytest.mark.parametrize("key", ["short", "", "ä" * 44, "x" * 44])
def test_a_key_that_is_no_fernet_key_is_an_error(deployed, key):
    deployed.ENCRYPTION_KEYS = [*deployed.ENCRYPTION_KEYS, key]

    assert found() == ["bulkwatch.E001"]


def test_a_wrong_key_is_told_by_its_place_and_never_shown(deployed):
    deployed.ENCRYPTION_KEYS = [*deployed.ENCRYPTION_KEYS, "canary-key"]

    (message,) = [m for m in run_checks() if m.id == "bulkwatch.E001"]

    assert "number 2" in message.msg
    assert "canary" not in message.msg + message.hint


@pytest.mark.parametrize(
    "address",
    ["bulkwatch.example.com", "//bulkwatch.example.com", "https://", "ftp://a", "http://["],
)
def test_a_site_url_that_is_no_address_is_an_error(deployed, address):
    deployed.SITE_URL = address

    assert found() == ["bulkwatch.E002"]


def test_a_site_url_at_a_host_that_is_not_answered_is_a_warning(deployed):
    deployed.SITE_URL = "https://other.example.com"

    assert found() == ["bulkwatch.W001"]


@pytest.mark.parametrize(
    ("address", "hosts"),
    [
        ("https://a.example.com", [".example.com"]),
        ("http://127.0.0.1:8000", ["127.0.0.1"]),
        ("http://[::1]:8000", ["[::1]"]),
    ],
)
def test_a_site_url_may_be_allowed_in_every_way_that_django_knows(deployed, address, hosts):
    deployed.SITE_URL, deployed.ALLOWED_HOSTS = address, hosts

    assert found() == []


def test_a_data_dir_that_cannot_be_written_to_is_an_error(deployed, monkeypatch, tmp_path):
    deployed.DATA_DIR = tmp_path
    monkeypatch.setattr("os.access", lambda path, mode: Path(path) != tmp_path)

    assert found() == ["bulkwatch.E003"]


def test_a_data_dir_that_is_yet_to_be_made_is_none(deployed, tmp_path):
    deployed.DATA_DIR = tmp_path / "later"

    assert found() == []


@pytest.mark.parametrize("backend", ["filebased", "console", "dummy"])
def test_mails_that_nobody_receives_are_a_warning_where_it_is_deployed(deployed, backend):
    deployed.EMAIL_BACKEND = f"django.core.mail.backends.{backend}.EmailBackend"

    assert found() == []
    assert found(deploy=True) == ["bulkwatch.W002"]


def test_a_sender_at_localhost_is_a_warning_where_it_is_deployed(deployed):
    deployed.DEFAULT_FROM_EMAIL = "Bulkwatch <bulkwatch@localhost>"

    assert found() == []
    assert found(deploy=True) == ["bulkwatch.W003"]


def test_hosts_of_ones_own_are_a_warning_outside_the_demonstration(deployed):
    deployed.ALLOW_CUSTOM_ZOHO_HOSTS = True

    assert found() == []
    assert found(deploy=True) == ["bulkwatch.W004"]
    deployed.DEMO = True
    assert found(deploy=True) == []
