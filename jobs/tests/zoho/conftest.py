import pytest
import responses

from jobs.tests.zoho.support import FixedTokens, MemoryStore
from jobs.zoho.client import BulkWriteClient
from jobs.zoho.regions import region_for


@pytest.fixture
def zoho():
    with responses.RequestsMock(assert_all_requests_are_fired=False) as mock:
        yield mock


@pytest.fixture
def tokens():
    return FixedTokens()


@pytest.fixture
def client(tokens):
    with BulkWriteClient(region=region_for("us"), tokens=tokens) as client:
        yield client


@pytest.fixture
def store():
    return MemoryStore()
