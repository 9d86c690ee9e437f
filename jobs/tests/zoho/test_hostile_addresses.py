"""Download addresses and redirects that lead elsewhere: what the wire sees of them, and of a token.

Which addresses a region refuses is told by test_regions.py; here the whole client is asked.
"""

import io
import socket

import pytest
import responses

from jobs.tests.zoho.support import FixedTokens, answer, raw_server
from jobs.tests.zoho.test_regions import HOSTILE
from jobs.zoho.client import BulkWriteClient
from jobs.zoho.errors import UnsafeUrlError, ZohoError
from jobs.zoho.regions import region_for

OWN_HOST = "https://download-accl.zoho.com"
OWN_PATH = "/v7/crm/org6196138/bulk-write/111/111.zip"
OWN = OWN_HOST + OWN_PATH
TOKEN = "canary-access-token"

# To a server that listens on this machine, so that a request that gets away is seen there.
ELSEWHERE = [
    "http://127.0.0.1:{port}/x",
    "http://localhost:{port}/x",
    "http://[::1]:{port}/x",
    "http://2130706433:{port}/x",
    "http://0x7f000001:{port}/x",
    "http://0177.0.0.1:{port}/x",
    "http://127.1:{port}/x",
    "http://0:{port}/x",
    "http://127.0.0.1.:{port}/x",
    "HTTP://127.0.0.1:{port}/x",
    "//127.0.0.1:{port}/x",
    "///127.0.0.1:{port}/x",
    "\\\\127.0.0.1:{port}\\x",
    "/\\127.0.0.1:{port}/x",
    "http:\\\\127.0.0.1:{port}\\x",
    "http:127.0.0.1:{port}/x",
    "http:/127.0.0.1:{port}/x",
    "http://user@127.0.0.1:{port}/x",
    "http://{own}@127.0.0.1:{port}/x",
    "http://{own}%40127.0.0.1:{port}/x",
    "http://{own}#@127.0.0.1:{port}/x",
    "http://127.0.0.1:{port}#{own}",
    "http://127.0.0.1:{port}?{own}",
    "http://127.0.0.1:{port}\\@{own}/x",
    "\thttp://127.0.0.1:{port}/x",
    " http://127.0.0.1:{port}/x",
    "ht\ttp://127.0.0.1:{port}/x",
    "http://127.0.0.1\t:{port}/x",
    "http://127.0.0.1:{port}\t/x",
    "/\t/127.0.0.1:{port}/x",
    "http://\uff11\uff12\uff17.0.0.1:{port}/x",
    "http://127\u30020\u30020\u30021:{port}/x",
    "http://127.0.0.1:\uff11{port}/x",
    "http://127.0.0.1%00.{own}/x",
    "http://127.0.0.1%2f@{own}/x",
    "/%2f%2f127.0.0.1:{port}/x",
    "/%5c%5c127.0.0.1:{port}/x",
    "/..%2f..%2f/127.0.0.1:{port}/x",
    "javascript:fetch('http://127.0.0.1:{port}/x')",
    "data:text/html,http://127.0.0.1:{port}/x",
    "file://127.0.0.1:{port}/etc/passwd",
    "ftp://127.0.0.1:{port}/x",
    "gopher://127.0.0.1:{port}/x",
    "ws://127.0.0.1:{port}/x",
    "http://127.0.0.1:{port}/" + "x" * 3000,
]


class Tokens(FixedTokens):
    def __init__(self):
        super().__init__()
        self.token = TOKEN


@pytest.fixture
def client():
    with BulkWriteClient(region=region_for("us"), tokens=Tokens()) as client:
        yield client


@pytest.fixture
def looked_up(monkeypatch):
    """The names and addresses that anybody wanted to connect to."""
    names = []

    def note(host, *args, **kwargs):
        names.append(host)
        raise OSError("no network here")

    monkeypatch.setattr(socket, "getaddrinfo", note)
    monkeypatch.setattr(socket.socket, "connect", lambda self, address: note(address))
    return names


def download(client, url, target=None):
    return client.download(url, target or io.BytesIO(), max_bytes=10_000, seconds=5)


def test_there_are_enough_variants():
    assert len(set(HOSTILE)) >= 80
    assert len(set(ELSEWHERE)) >= 40


@pytest.mark.parametrize("url", HOSTILE)
def test_no_connection_is_made_for_a_hostile_address(client, looked_up, url):
    with pytest.raises(UnsafeUrlError) as caught:
        download(client, url)

    assert looked_up == []
    assert "hosts" in caught.value.message
    assert caught.value.resolution


def test_a_connection_would_have_been_seen(client, looked_up):
    with pytest.raises(ZohoError):
        download(client, OWN)
    assert looked_up == ["download-accl.zoho.com"]


@pytest.mark.parametrize("location", HOSTILE)
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_no_redirect_to_a_hostile_address_is_followed(client, status, location):
    with responses.RequestsMock() as wire:
        # Header lines hold no line breaks and no other letters; the client must not rely on it.
        wire.get(OWN, status=status, headers={"Location": location})

        with pytest.raises(UnsafeUrlError, match="Redirect refused"):
            download(client, OWN_PATH)

        assert [call.request.url for call in wire.calls] == [OWN]


@pytest.mark.parametrize("location", ELSEWHERE)
def test_a_server_elsewhere_hears_nothing_of_a_redirect_and_nothing_of_the_token(location):
    heard, seen = [], []

    def elsewhere(connection, head):
        heard.append(head)
        answer(connection, b"PK\x03\x04")

    with raw_server(elsewhere, reads=False) as other:

        def own(connection, head):
            seen.append(head)
            where = location.format(port=other.port, own=f"127.0.0.1:{server.port}")
            line = f"Location: {where}\r\n".encode()
            connection.sendall(b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\n" + line + b"\r\n")

        with raw_server(own) as server:
            region = region_for("custom", api_url=server.url, accounts_url=server.url)
            with (
                BulkWriteClient(region=region, tokens=Tokens()) as client,
                pytest.raises(UnsafeUrlError, match="Redirect refused") as caught,
            ):
                download(client, "/x.zip")
        assert heard == []
    assert len(seen) == 1
    assert TOKEN.encode() in seen[0]
    assert TOKEN not in str(vars(caught.value))


@pytest.mark.parametrize("url", ELSEWHERE)
def test_a_server_elsewhere_hears_nothing_of_a_download_address(url):
    heard = []

    def hear(connection, head):
        heard.append(head)

    with raw_server(hear, reads=False) as other, raw_server(hear, reads=False) as server:
        region = region_for("custom", api_url=server.url, accounts_url=server.url)
        where = url.format(port=other.port, own=f"127.0.0.1:{server.port}")
        with (
            BulkWriteClient(region=region, tokens=Tokens()) as client,
            pytest.raises(UnsafeUrlError),
        ):
            download(client, where)
        assert heard == []


def test_a_redirect_to_an_own_host_is_asked_with_the_token_and_one_elsewhere_after_it_is_not(
    client,
):
    moved = "https://download.zohocrm.com/x.zip"
    with responses.RequestsMock() as wire:
        wire.get(OWN, status=302, headers={"Location": moved})
        wire.get(moved, status=302, headers={"Location": "https://zohocrm.com.evil.example/x"})

        with pytest.raises(UnsafeUrlError, match=r"zohocrm\.com\.evil\.example"):
            download(client, OWN_PATH)

        assert [call.request.headers["Authorization"] for call in wire.calls] == [
            f"Zoho-oauthtoken {TOKEN}"
        ] * 2
