"""How often access tokens are asked for: Zoho's limit, and its throttling, of a refresh token."""

import json
import socket

import pytest
import requests
import time_machine
from urllib3.exceptions import ConnectTimeoutError, NameResolutionError, NewConnectionError

from jobs.tests.zoho.asked_tokens import THROTTLED, TOKEN_URL, grants, tokens
from jobs.tests.zoho.support import raw_server
from jobs.zoho.errors import (
    TokensThrottledError,
    ZohoUnavailableError,
)
from jobs.zoho.oauth import MOST_IN_WINDOW
from jobs.zoho.regions import region_for


@pytest.mark.parametrize(
    "body",
    [
        THROTTLED,
        THROTTLED | {"error_description": "您的请求过于频繁。请稍后再试。"},
        THROTTLED | {"error": "访问被拒绝"},
        {"error": "access_denied"},
    ],
)
@pytest.mark.parametrize("status", [200, 400])
def test_throttling_is_no_sign_in_error_and_is_remembered(zoho, store, body, status):
    zoho.post(TOKEN_URL, json=body, status=status)
    for _ in range(3):
        with pytest.raises(TokensThrottledError) as caught:
            tokens(store).get()
    assert 590 < caught.value.retry_after <= 600
    assert len(zoho.calls) == 1


def test_throttling_is_that_of_the_refresh_token_whatever_the_secret(zoho, store):
    zoho.post(TOKEN_URL, json=THROTTLED, status=400)
    grants(zoho)
    for secret in ("canary-secret", "another"):
        with pytest.raises(TokensThrottledError):
            tokens(store, client_secret=secret).get()
    assert len(zoho.calls) == 1
    assert tokens(store, refresh_token="new").get() == "1000.token-1"


def test_after_the_throttling_tokens_are_given_again(zoho, store):
    zoho.post(TOKEN_URL, json=THROTTLED, status=400)
    grants(zoho)
    with time_machine.travel("2026-11-23T12:00:00Z", tick=False) as clock:
        mine = tokens(store)
        with pytest.raises(TokensThrottledError):
            mine.get()
        clock.shift(601)
        assert mine.get() == "1000.token-1"


def test_no_more_tokens_are_asked_for_than_zoho_allows(zoho, store):
    grants(zoho, then=15)
    token = tokens(store).get()
    with pytest.raises(TokensThrottledError) as caught:
        for _ in range(15):
            token = tokens(store).renew(token)
    assert len(zoho.calls) == MOST_IN_WINDOW < 10
    assert 0 < caught.value.retry_after <= 600
    with pytest.raises(TokensThrottledError):
        tokens(store, client_secret="another").get()
    assert len(zoho.calls) == MOST_IN_WINDOW


def test_connections_with_one_refresh_token_share_its_limit(zoho, store):
    grants(zoho, then=15)
    mine, other = tokens(store), tokens(store, key="conn:2")
    assert mine.get() != other.get()
    token = mine.get()
    with pytest.raises(TokensThrottledError):
        for _ in range(15):
            token = mine.renew(token)
    with pytest.raises(TokensThrottledError):
        other.renew(other.get())
    assert len(zoho.calls) == MOST_IN_WINDOW
    tokens(store, key="conn:2", refresh_token="another").get()


def test_throttling_is_remembered_for_all_connections_with_the_refresh_token(zoho, store):
    zoho.post(TOKEN_URL, json=THROTTLED, status=400)
    for key in ("conn:1", "conn:2"):
        with pytest.raises(TokensThrottledError):
            tokens(store, key=key).get()
    assert len(zoho.calls) == 1


def test_ten_minutes_later_more_tokens_may_be_asked_for(zoho, store):
    grants(zoho, then=15)
    with time_machine.travel("2026-11-23T12:00:00Z", tick=False) as clock:
        mine = tokens(store)
        token = mine.get()
        clock.shift(60)
        for _ in range(MOST_IN_WINDOW - 1):
            token = mine.renew(token)
        with pytest.raises(TokensThrottledError) as caught:
            mine.renew(token)
        assert caught.value.retry_after == 540
        clock.shift(541)
        assert mine.renew(token) != token


def test_a_clock_that_was_set_back_does_not_make_the_limit_last_longer(zoho, store):
    grants(zoho, then=20)
    with time_machine.travel("2026-11-23T12:00:00Z", tick=False) as clock:
        token = tokens(store).get()
        for _ in range(MOST_IN_WINDOW - 1):
            token = tokens(store).renew(token)
        clock.shift(-7200)
        assert tokens(store).renew(token) != token


def unanswered(store, region):
    """The errors of asking for a token again and again, more often than Zoho gives any."""
    with time_machine.travel("2026-11-23T12:00:00Z", tick=False) as clock:
        for _ in range(MOST_IN_WINDOW + 2):
            with pytest.raises(ZohoUnavailableError) as caught:
                tokens(store, region).get()
            yield caught.value
            clock.shift(6)


def test_requests_that_never_reached_zoho_do_not_count(store):
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}"
    region = region_for("custom", api_url=url, accounts_url=url)
    assert all("refused the connection" in error.message for error in unanswered(store, region))


@pytest.mark.parametrize(
    "error",
    [
        requests.ConnectTimeout(ConnectTimeoutError()),
        requests.ConnectionError(NewConnectionError("accounts.zoho.com", "unreachable")),
        requests.ConnectionError(NameResolutionError("accounts.zoho.com", "-", socket.gaierror())),
        requests.exceptions.ProxyError(),
    ],
)
def test_requests_without_a_connection_do_not_count(zoho, store, error):
    zoho.post(TOKEN_URL, body=error)
    list(unanswered(store, region_for("us")))
    assert len(zoho.calls) > MOST_IN_WINDOW


def test_requests_that_were_not_answered_in_time_count(zoho, store):
    zoho.post(TOKEN_URL, body=requests.ReadTimeout())
    with pytest.raises(TokensThrottledError):
        list(unanswered(store, region_for("us")))


@pytest.mark.parametrize("body", ["<html>", json.dumps({"error": "server_error"})])
def test_requests_that_break_down_at_zoho_do_not_count(zoho, store, body):
    zoho.post(TOKEN_URL, body=body, status=503)
    assert {error.http_status for error in unanswered(store, region_for("us"))} == {503}
    assert len(zoho.calls) > MOST_IN_WINDOW


def test_requests_that_were_sent_and_not_answered_count(store):
    with raw_server(lambda connection, head: connection.close()) as server:
        region = region_for("custom", api_url=server.url, accounts_url=server.url)
        with pytest.raises(TokensThrottledError):
            list(unanswered(store, region))
        assert len(server.heads) == MOST_IN_WINDOW


def test_throttling_is_not_forgotten_before_its_time(zoho, store):
    zoho.post(TOKEN_URL, json=THROTTLED, status=400)
    grants(zoho)
    mine = tokens(store)
    with pytest.raises(TokensThrottledError):
        mine.get()
    mine.forget_refusal()
    with pytest.raises(TokensThrottledError):
        mine.get()
    assert len(zoho.calls) == 1
