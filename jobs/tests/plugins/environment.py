"""The environment of every test run: nothing of the developer's own, everything in one folder.

Loaded by `-p` in pyproject.toml, because pytest-django reads the settings before any conftest.py.
"""

import atexit
import os
import shutil
import tempfile
from pathlib import Path

import pytest

# The controller of parallel workers makes the folder; they find it in the environment.
RUN_FOLDER = "BULKWATCH_TEST_FOLDER"
WORKER = os.environ.get("PYTEST_XDIST_WORKER", "")

given_database_url = os.environ.get("TEST_DATABASE_URL") or os.environ.get("DATABASE_URL")

if not WORKER:
    os.environ[RUN_FOLDER] = tempfile.mkdtemp(prefix="bulkwatch-tests-")
run_folder = Path(os.environ[RUN_FOLDER])
if not WORKER:
    atexit.register(shutil.rmtree, run_folder, ignore_errors=True)
data_dir = run_folder / (WORKER or "main")
(data_dir / "static").mkdir(parents=True)
(data_dir / "run").mkdir()

# Each one said, for what is not said here may come from a developer's .env file.
os.environ |= {
    "ALLOWED_HOSTS": "testserver,localhost,127.0.0.1",
    "ALLOW_CUSTOM_ZOHO_HOSTS": "false",
    "BULKWATCH_DEMO": "false",
    "DATABASE_URL": f"sqlite:///{data_dir / 'bulkwatch.sqlite3'}",
    "DATA_DIR": str(data_dir),
    "DEBUG": "false",
    "DEFAULT_FROM_EMAIL": "Bulkwatch <bulkwatch@localhost>",
    "EMAIL_URL": "console:",
    "ENCRYPTION_KEYS": "dGVzdHMtb25seS10ZXN0cy1vbmx5LXRlc3RzLW9ubHk=",
    "HEARTBEAT_URL": "",
    "LOG_LEVEL": "INFO",
    "OPERATORS": "",
    "REDIS_URL": "",
    "RESULT_RETENTION_DAYS": "0",
    "SECRET_KEY": "tests-only-" + "0" * 50,
    "SITE_URL": "http://testserver",
    "TIME_ZONE": "UTC",
    "TRUST_FORWARDED_PROTO": "false",
    "ZOHO_PROXY_URL": "",
}


@pytest.hookimpl(tryfirst=True)
def pytest_configure() -> None:
    from django.conf import settings

    # A file, because the database in memory knows neither WAL nor a second process.
    if settings.DATABASES["default"]["ENGINE"] == "django.db.backends.sqlite3":
        settings.DATABASES["default"].setdefault("TEST", {})["NAME"] = str(
            data_dir / "tests.sqlite3"
        )
    # The worker threads of tests must not keep a test database open.
    settings.DATABASES["default"]["CONN_MAX_AGE"] = 0
    # Slow on purpose, and no test is about that.
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    # Nothing is collected, so there is no manifest.
    settings.STORAGES["staticfiles"]["BACKEND"] = (
        "django.contrib.staticfiles.storage.StaticFilesStorage"
    )
