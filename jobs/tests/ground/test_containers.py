"""The container files, as far as they can be checked without containers."""

import os
import shutil
import subprocess

import pytest
import yaml

from config.local_secrets import BASE_DIR

REQUIRED = {"SECRET_KEY": "s", "ENCRYPTION_KEYS": "e", "POSTGRES_PASSWORD": "p"}


@pytest.fixture(scope="module")
def services():
    return yaml.safe_load((BASE_DIR / "docker-compose.yml").read_text())["services"]


def compose_command():
    if shutil.which("docker-compose"):
        return ["docker-compose"]
    if shutil.which("docker"):
        plugin = subprocess.run(["docker", "compose", "version"], capture_output=True, check=False)
        if plugin.returncode == 0:
            return ["docker", "compose"]
    return None


def check_compose(folder, **env):
    command = compose_command()
    if command is None:
        pytest.skip("neither docker-compose nor docker compose is installed")
    # Instead of a developer's .env.
    env_file = folder / "env"
    env_file.touch()
    return subprocess.run(
        [*command, "--env-file", str(env_file), "config", "--quiet"],
        cwd=BASE_DIR,
        env={"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/")} | env,
        capture_output=True,
        text=True,
        check=False,
    )


def test_compose_accepts_the_file(tmp_path):
    result = check_compose(tmp_path, **REQUIRED)
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize("missing", REQUIRED)
def test_compose_refuses_a_missing_secret(tmp_path, missing):
    given = {name: value for name, value in REQUIRED.items() if name != missing}

    result = check_compose(tmp_path, **given)

    assert result.returncode != 0
    assert missing in result.stderr


def test_every_part_is_there(services):
    parts = {"web", "worker", "beat", "lookout"}
    assert set(services) == parts | {"migrate", "redis", "postgres"}


def test_the_lookout_starts_without_the_broker(services):
    assert set(services["lookout"]["depends_on"]) == {"migrate"}


def test_only_the_site_is_published_and_on_this_machine_alone(services):
    published = {name: service["ports"] for name, service in services.items() if "ports" in service}
    assert published == {"web": ["127.0.0.1:${PORT:-8000}:8000"]}


def test_what_stays_up_has_a_health_check(services):
    assert {name for name, service in services.items() if "healthcheck" not in service} == {
        "migrate"
    }


def test_the_image_runs_as_nobody_special_from_the_lock():
    dockerfile = (BASE_DIR / "Dockerfile").read_text()
    assert "\nUSER bulkwatch\n" in dockerfile
    assert "--require-hashes" in dockerfile
