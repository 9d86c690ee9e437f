import json
import threading
import time
from urllib.parse import parse_qs

import pytest
import time_machine

from jobs.tests.zoho.asked_tokens import GRANT, SECRETS, THROTTLED, TOKEN_URL, grants, tokens
from jobs.tests.zoho.support import answer, raw_server
from jobs.zoho.errors import (
    MalformedAnswerError,
    TokensThrottledError,
    ZohoSignInError,
    ZohoUnavailableError,
)
from jobs.zoho.regions import region_for
from jobs.zoho.token_requests import exchange_code


def test_a_token_is_asked_for_once_and_shared(zoho, store):
    grants(zoho)
    one, other = tokens(store), tokens(store)
    assert {one.get(), one.get(), other.get(), other.get()} == {"1000.token-1"}
    assert len(zoho.calls) == 1
    assert other.api_domain == "https://www.zohoapis.com"


def test_the_secrets_travel_in_the_form_and_never_in_the_address(zoho, store):
    grants(zoho)
    tokens(store).get()
    request = zoho.calls[0].request
    assert request.url == TOKEN_URL
    assert parse_qs(request.body) == {
        "grant_type": ["refresh_token"],
        **{name: [value] for name, value in SECRETS.items()},
    }


def test_a_token_is_renewed_five_minutes_ahead_of_its_end(zoho, store):
    grants(zoho, then=1)
    with time_machine.travel("2026-11-23T12:00:00Z", tick=False) as clock:
        mine = tokens(store)
        assert mine.get() == "1000.token-1"
        clock.shift(3290)
        assert tokens(store).get() == "1000.token-1"
        clock.shift(20)
        assert mine.get() == "1000.token-2"


def test_a_token_of_a_short_life_is_not_renewed_at_every_call(zoho, store):
    grants(zoho, then=3, expires_in=120)
    mine = tokens(store)
    assert {mine.get() for _ in range(5)} == {"1000.token-1"}
    assert len(zoho.calls) == 1


@pytest.mark.parametrize(
    ("changes", "seconds"),
    [
        ({"expires_in": "3600"}, 3600),
        ({"expires_in": 3_600_000, "expires_in_sec": 3600}, 3600),
        ({"expires_in": 3_600_000}, 3600),
        ({"expires_in": None}, 3600),
        ({"expires_in": "soon"}, 3600),
        ({"expires_in": -1}, 3600),
        ({"expires_in": True}, 3600),
    ],
)
def test_a_token_s_life_may_be_seconds_milliseconds_or_missing(zoho, store, changes, seconds):
    grants(zoho, then=1, **changes)
    with time_machine.travel("2026-11-23T12:00:00Z", tick=False) as clock:
        tokens(store).get()
        clock.shift(seconds - 310)
        assert tokens(store).get() == "1000.token-1"
        clock.shift(30)
        assert tokens(store).get() == "1000.token-2"


def test_a_rejected_token_is_renewed(zoho, store):
    grants(zoho, then=1)
    mine = tokens(store)
    assert mine.renew(mine.get()) == "1000.token-2"
    assert mine.get() == "1000.token-2"


def test_a_token_that_another_has_renewed_is_not_renewed_again(zoho, store):
    grants(zoho, then=1)
    mine, other = tokens(store), tokens(store)
    old = mine.get()
    assert other.get() == old
    other.renew(old)
    assert mine.renew(old) == "1000.token-2"
    assert len(zoho.calls) == 2


def test_fifty_threads_in_two_processes_renew_a_killed_token_once(store):
    asked = []

    def grant(connection, head):
        asked.append(head)
        time.sleep(0.2)
        body = json.dumps(GRANT | {"access_token": f"1000.token-{len(asked)}"})
        answer(connection, body.encode(), headers="Connection: close\r\n")
        connection.close()

    with raw_server(grant) as server:
        region = region_for("custom", api_url=server.url, accounts_url=server.url)
        processes = [tokens(store, region), tokens(store, region)]
        old = processes[0].get()
        got = []
        barrier = threading.Barrier(50)

        def renew(mine):
            barrier.wait()
            got.append(mine.renew(old))

        threads = [threading.Thread(target=renew, args=(processes[n % 2],)) for n in range(50)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert got == ["1000.token-2"] * 50
    assert len(asked) == 2


def test_others_use_the_old_token_while_one_renews_it(zoho, store):
    grants(zoho)
    with time_machine.travel("2026-11-23T12:00:00Z", tick=False) as clock:
        mine = tokens(store)
        mine.get()
        clock.shift(3400)
        [key] = [key for key in store.values if key.endswith(":token")]
        store.add(key.replace(":token", ":lock"), {"owner": "another"}, 60)
        assert tokens(store).get() == "1000.token-1"


def test_waiting_for_another_s_renewal_is_bounded(zoho, store):
    mine = tokens(store, timeout=0.1)
    mine._timeout = -4.9
    store.add(f"{mine._key}:lock", {"owner": "another"}, 60)
    with pytest.raises(ZohoUnavailableError, match="Another process"):
        mine.get()
    assert len(zoho.calls) == 0


@pytest.mark.parametrize(
    ("error", "words"),
    [
        ("invalid_code", "refresh token"),
        ("invalid_client", "client ID"),
        ("invalid_client_secret", "client secret"),
        ("something_new", "does not know"),
    ],
)
@pytest.mark.parametrize("status", [200, 400])
def test_a_refused_credential_needs_a_person(zoho, store, error, words, status):
    zoho.post(TOKEN_URL, json={"error": error}, status=status)
    with pytest.raises(ZohoSignInError) as caught:
        tokens(store).get()
    assert caught.value.code == error
    assert words in caught.value.message
    assert caught.value.resolution


def test_a_refused_credential_is_not_tried_again_at_once_but_a_new_one_is(zoho, store):
    zoho.post(TOKEN_URL, json={"error": "invalid_code"})
    zoho.post(TOKEN_URL, json=GRANT)
    for _ in range(3):
        with pytest.raises(ZohoSignInError):
            tokens(store).get()
    assert len(zoho.calls) == 1
    assert tokens(store, refresh_token="new").get() == "1000.token-1"


def test_an_old_token_is_used_while_a_new_one_cannot_be_had(zoho, store):
    grants(zoho)
    zoho.post(TOKEN_URL, json=THROTTLED, status=400)
    with time_machine.travel("2026-11-23T12:00:00Z", tick=False) as clock:
        mine = tokens(store)
        mine.get()
        clock.shift(3400)
        assert mine.get() == "1000.token-1"
        clock.shift(195)
        with pytest.raises(TokensThrottledError):
            mine.get()


@pytest.mark.parametrize(
    ("status", "body"),
    [(500, "{}"), (503, "<html>"), (200, "<html>"), (200, "[]"), (200, "["), (302, "{}")],
)
def test_an_answer_that_makes_no_sense_is_temporary(zoho, store, status, body):
    zoho.post(TOKEN_URL, body=body, status=status, headers={"Location": "https://evil.example"})
    with pytest.raises(ZohoUnavailableError):
        tokens(store).get()
    assert len(zoho.calls) == 1


@pytest.mark.parametrize("token", ["with blank", "line\r\nX-Evil: 1", "täken", "x" * 3000])
def test_a_token_that_no_header_can_hold_is_refused(zoho, store, token):
    zoho.post(TOKEN_URL, json=GRANT | {"access_token": token})
    with pytest.raises(MalformedAnswerError):
        tokens(store).get()


def test_no_secret_shows_in_texts(zoho, store):
    said = f"bad {SECRETS['refresh_token']} and {SECRETS['client_secret']}"
    zoho.post(TOKEN_URL, json=THROTTLED | {"error_description": said}, status=400)
    mine = tokens(store)
    with pytest.raises(TokensThrottledError) as caught:
        mine.get()
    shown = repr(mine) + str(mine) + str(caught.value) + repr(vars(caught.value))
    assert "canary" not in shown
    assert "canary" not in repr(list(store.values))


def test_a_secret_at_the_cut_of_an_error_leaves_no_part(zoho, store):
    zoho.post(TOKEN_URL, json={"error": "e" * 290 + " canary-refresh"})
    with pytest.raises(ZohoSignInError) as caught:
        tokens(store).get()
    assert "canary" not in repr(vars(caught.value))


def test_a_refusal_that_a_person_may_have_cured_can_be_forgotten(zoho, store):
    zoho.post(TOKEN_URL, json={"error": "invalid_client_secret"})
    grants(zoho)
    mine = tokens(store)
    with pytest.raises(ZohoSignInError):
        mine.get()
    mine.forget_refusal()
    assert mine.get() == "1000.token-1"


def test_a_token_that_came_with_a_grant_code_is_used_by_all(zoho, store):
    tokens(store).adopt(GRANT)
    assert tokens(store).get() == GRANT["access_token"]
    assert len(zoho.calls) == 0


def test_a_damaged_entry_in_the_store_is_replaced(zoho, store):
    grants(zoho)
    mine = tokens(store)
    store.set(f"{mine._key}:token", {"token": "x", "renew_at": "soon"}, 600)
    assert mine.get() == "1000.token-1"


def test_a_grant_code_is_exchanged_for_a_refresh_token(zoho):
    zoho.post(TOKEN_URL, json=GRANT | {"refresh_token": "1000.refresh"})
    got = exchange_code(region_for("us"), client_id="i", client_secret="s", code="c")
    assert got.refresh_token == "1000.refresh"
    assert "1000." not in repr(got)
    assert parse_qs(zoho.calls[0].request.body)["grant_type"] == ["authorization_code"]


def test_a_used_grant_code_is_explained(zoho):
    zoho.post(TOKEN_URL, json={"error": "invalid_code"})
    with pytest.raises(ZohoSignInError, match="grant code"):
        exchange_code(region_for("us"), client_id="i", client_secret="s", code="c")
