"""What the settings refuse, and the secrets that commands make."""

import os
import re
import stat
import subprocess
import sys
from itertools import pairwise

import pytest

from config import local_secrets
from config.local_secrets import BASE_DIR
from jobs.tests.ground.running import NOT_INHERITED

SECRETS = {"SECRET_KEY": "x" * 50, "ENCRYPTION_KEYS": "A" * 43 + "="}


def load_settings(data_dir, **env):
    """Load the settings as a server process does, and return how that went."""
    inherited = {name: value for name, value in os.environ.items() if name not in NOT_INHERITED}
    return subprocess.run(
        [sys.executable, "-c", "import django; django.setup()"],
        cwd=BASE_DIR,
        env=inherited
        | {"DJANGO_SETTINGS_MODULE": "config.settings", "DATA_DIR": str(data_dir)}
        | env,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("missing", ["SECRET_KEY", "ENCRYPTION_KEYS"])
def test_a_server_process_without_a_secret_does_not_start(tmp_path, missing):
    env = {name: value for name, value in SECRETS.items() if name != missing}

    result = load_settings(tmp_path, **env)

    assert result.returncode != 0
    assert f"ImproperlyConfigured: {missing} is not set" in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_secrets_in_the_environment_are_enough(tmp_path):
    assert load_settings(tmp_path, **SECRETS).returncode == 0


@pytest.mark.parametrize("name", ["DEBUG", "ALLOW_CUSTOM_ZOHO_HOSTS", "BULKWATCH_DEMO"])
def test_a_boolean_that_is_none_stops_the_start(tmp_path, name):
    result = load_settings(tmp_path, **SECRETS, **{name: "perhaps"})

    assert result.returncode != 0
    assert f'"{name}" invalid' in result.stderr


@pytest.mark.parametrize("days", ["-1", "36501", "1 month"])
def test_a_retention_that_is_no_number_of_days_stops_the_start(tmp_path, days):
    result = load_settings(tmp_path, **SECRETS, RESULT_RETENTION_DAYS=days)

    assert result.returncode != 0
    assert "RESULT_RETENTION_DAYS" in result.stderr


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("OPERATORS", "somebody"),
        ("OPERATORS", "a@example.com, b"),
        ("HEARTBEAT_URL", "http://hc.example.com/ping"),
        ("HEARTBEAT_URL", "https://"),
        ("HEARTBEAT_URL", "ftp://127.0.0.1/"),
    ],
)
def test_who_is_told_of_blindness_and_how_has_to_make_sense(tmp_path, name, value):
    result = load_settings(tmp_path, **SECRETS, **{name: value})

    assert result.returncode != 0
    assert f"ImproperlyConfigured: {name} must" in result.stderr


def test_a_mail_scheme_nobody_knows_stops_the_start(tmp_path):
    result = load_settings(tmp_path, **SECRETS, EMAIL_URL="pigeon://coop")

    assert result.returncode != 0
    assert "EMAIL_URL has an unknown scheme 'pigeon'" in result.stderr


@pytest.mark.parametrize("site_url, secure", [("https://bulkwatch.example", True), (None, False)])
def test_cookies_are_secure_where_the_site_is(tmp_path, site_url, secure):
    env = {"SITE_URL": site_url} if site_url else {}
    code = "from django.conf import settings as s; print(s.SESSION_COOKIE_SECURE)"
    result = subprocess.run(
        [sys.executable, "-c", code],
        cwd=BASE_DIR,
        env={name: value for name, value in os.environ.items() if name not in NOT_INHERITED}
        | {"DJANGO_SETTINGS_MODULE": "config.settings", "DATA_DIR": str(tmp_path)}
        | SECRETS
        | env,
        capture_output=True,
        text=True,
        check=True,
    )
    assert result.stdout.strip() == str(secure)


class TestLocalSecrets:
    @pytest.fixture(autouse=True)
    def environment(self, monkeypatch, tmp_path):
        self.folder = tmp_path / "data"
        monkeypatch.setenv("DATA_DIR", str(self.folder))
        monkeypatch.setenv("SECRET_KEY", "")
        monkeypatch.setenv("ENCRYPTION_KEYS", "")

    def secrets(self):
        return {path.name: path.read_text() for path in self.folder.iterdir()}

    def test_they_are_made_once(self):
        local_secrets.ensure_local_secrets()
        first = self.secrets()

        local_secrets.ensure_local_secrets()

        assert set(first) == {"secret_key", "encryption_keys"}
        assert self.secrets() == first

    def test_they_are_readable_by_their_user_alone(self):
        local_secrets.ensure_local_secrets()

        modes = {stat.S_IMODE(path.stat().st_mode) for path in self.folder.iterdir()}
        assert modes == {0o600}

    def test_each_installation_draws_its_own(self, monkeypatch, tmp_path):
        local_secrets.ensure_local_secrets()
        first = self.secrets()
        self.folder = tmp_path / "other"
        monkeypatch.setenv("DATA_DIR", str(self.folder))

        local_secrets.ensure_local_secrets()

        assert set(first.values()).isdisjoint(self.secrets().values())

    def test_none_is_made_for_what_the_environment_names(self, monkeypatch):
        monkeypatch.setenv("SECRET_KEY", "x" * 50)

        local_secrets.ensure_local_secrets()

        assert set(self.secrets()) == {"encryption_keys"}


def variables_read():
    """Names of the environment variables that the product reads."""
    readers = [
        BASE_DIR / "config" / "settings.py",
        BASE_DIR / "config" / "local_secrets.py",
        BASE_DIR / "jobs" / "management" / "commands" / "up.py",
    ]
    call = re.compile(r'(?:env\.\w+|process_count)\(\s*"([A-Z_]+)"')
    names = {name for reader in readers for name in call.findall(reader.read_text())}
    compose = (BASE_DIR / "docker-compose.yml").read_text()
    return names | set(re.findall(r"\$\{([A-Z_]+)", compose))


def test_every_variable_that_is_read_is_explained_in_the_example():
    lines = (BASE_DIR / ".env.example").read_text().splitlines()
    explained = {
        match[1]
        for before, line in pairwise(lines)
        if (match := re.match(r"#([A-Z_]+)=", line)) and re.match(r"# \w", before)
    }
    assert explained == variables_read()
