"""One access token per connection, shared by all processes and renewed by one of them at a time.

Source: zoho.com/accounts/protocol/oauth ("Refresh access tokens" and its limits). Zoho gives at
most 10 access tokens per refresh token in 10 minutes and then refuses for the rest of them, so a
token is kept in a store that every process shares, and every request for one is counted there,
whichever connection it is for.
"""

import hashlib
import random
import secrets
import threading
import time
from typing import Any, NamedTuple, Protocol

from jobs.zoho import wire
from jobs.zoho.errors import (
    NotReachedError,
    TokensThrottledError,
    ZohoError,
    ZohoSignInError,
    ZohoThrottledError,
    ZohoUnavailableError,
    clean_text,
)
from jobs.zoho.regions import Region
from jobs.zoho.token_requests import LONGEST_LIFE, WINDOW, lifetime, post_token

RENEW_AHEAD = 300.0
MOST_IN_WINDOW = 8  # of Zoho's 10: the same refresh token may be in use elsewhere
CLOCKS_DIFFER = 60.0  # at most, those of several machines
MEMO_SECONDS = 15.0
REMEMBERED = {"sign_in": 60.0, "unavailable": 5.0}


class TokenStore(Protocol):
    """What is shared between processes: the shape of Django's cache, values encrypted or not."""

    def get(self, key: str) -> Any: ...

    def set(self, key: str, value: dict[str, Any], timeout: float) -> Any: ...

    def add(self, key: str, value: dict[str, Any], timeout: float) -> bool: ...

    def delete(self, key: str) -> Any: ...


class Held(NamedTuple):
    """An access token and the wall-clock times (seconds) at which to renew it and it ends."""

    token: str
    renew_at: float
    expires_at: float
    api_domain: str

    def __repr__(self) -> str:
        return f"Held(token=[hidden], expires_at={self.expires_at:.0f})"

    def usable(self, rejected: str | None) -> bool:
        # A clock set back would make an old token look fresh for longer than any token lives.
        left = self.expires_at - time.time()
        return self.token != rejected and 10 < left <= LONGEST_LIFE

    def fresh(self, rejected: str | None) -> bool:
        return self.usable(rejected) and time.time() < self.renew_at


class AccessTokens:
    """The access token of one connection, from a store that all processes share.

    ``key`` names the connection in the store. ``timeout`` is the seconds one request for a token
    may take in all, and how long a caller waits for another's request.
    """

    def __init__(
        self,
        *,
        region: Region,
        client_id: str,
        client_secret: str,
        refresh_token: str,
        store: TokenStore,
        key: str,
        timeout: float = 20.0,
        proxies: dict[str, str] | None = None,
    ) -> None:
        self._region = region
        self._client_id = client_id
        self._client_secret = client_secret
        self._refresh_token = refresh_token
        self._store = store
        self._session = wire.new_session(pool_size=2)
        self._timeout = timeout
        self._proxies = proxies
        # Other credentials are another story: what is remembered of the old ones must not bind.
        self._key = _key(key, region.accounts_url, client_id, client_secret, refresh_token)
        # But Zoho's limit is that of the refresh token, whatever the client's secret, and of all
        # connections that have it.
        self._limit_key = _key("limit", region.accounts_url, client_id, refresh_token)
        self._mutex = threading.Lock()
        self._memo: Held | None = None
        self._memo_until = 0.0

    def __repr__(self) -> str:
        return f"AccessTokens(region={self._region.key!r}, secrets hidden)"

    @property
    def api_domain(self) -> str:
        """The API address named with the current token; "" before one was read or if unnamed."""
        memo = self._memo
        return memo.api_domain if memo else ""

    def get(self) -> str:
        """An access token that is good for some minutes yet.

        Raises ZohoSignInError if a person has to act, TokensThrottledError if Zoho gives no token
        for a while, ZohoUnavailableError if none could be had in time.
        """
        memo = self._memo
        if memo is not None and time.monotonic() < self._memo_until and memo.fresh(None):
            return memo.token
        held = self._read()
        if held is not None and held.fresh(None):
            return held.token
        return self._renewed(held, rejected=None)

    def renew(self, rejected: str) -> str:
        """Another access token than the one Zoho has just rejected; errors as with ``get``.

        If somebody else has renewed it meanwhile, Zoho is not asked again.
        """
        held = self._read()
        if held is not None and held.usable(rejected):
            return held.token
        return self._renewed(None, rejected=rejected)

    def forget_refusal(self) -> None:
        """Drop what is remembered of a refusal that a person may have cured.

        Zoho's throttling is no such refusal: asking before its time is over makes it last longer.
        """
        self._store.delete(f"{self._key}:refusal")

    def adopt(self, answer: dict[str, Any]) -> None:
        """Keep the access token of an answer that came otherwise, as with a grant code."""
        self._keep(_held_from(answer))

    def _renewed(self, old: Held | None, *, rejected: str | None) -> str:
        spare = old.token if old is not None and old.usable(rejected) else None
        give_up = time.monotonic() + self._timeout + 5
        # Threads of this process queue here, so that only one of them watches the store.
        # With a token to spare nobody needs to wait.
        patience = 0.0 if spare is not None else self._timeout + 5
        if not self._mutex.acquire(timeout=patience):
            if spare is not None:
                return spare
            raise _waited_in_vain()
        try:
            return self._renewed_by_one(spare, rejected, give_up)
        except (ZohoThrottledError, ZohoUnavailableError):
            if spare is not None:
                return spare
            raise
        finally:
            self._mutex.release()

    def _renewed_by_one(self, spare: str | None, rejected: str | None, give_up: float) -> str:
        lock, owner = f"{self._key}:lock", secrets.token_hex(8)
        while True:
            held = self._read()
            if held is not None and (
                held.fresh(rejected) or (rejected is not None and held.usable(rejected))
            ):
                return held.token
            self._raise_if_refused()
            if self._store.add(lock, {"owner": owner}, self._timeout + 15):
                try:
                    held = self._read()
                    if held is not None and held.fresh(rejected):
                        return held.token
                    return self._ask()
                finally:
                    if (self._store.get(lock) or {}).get("owner") == owner:
                        self._store.delete(lock)
            if spare is not None:
                return spare
            if time.monotonic() >= give_up:
                raise _waited_in_vain()
            time.sleep(random.uniform(0.05, 0.15))  # noqa: S311 - spreads waiters, no secret

    def _read(self) -> Held | None:
        value = self._store.get(f"{self._key}:token")
        try:
            held = Held(
                str(value["token"]),
                float(value["renew_at"]),
                float(value["expires_at"]),
                str(value["api_domain"]),
            )
        except (TypeError, KeyError, ValueError):
            return None
        self._memo, self._memo_until = held, time.monotonic() + MEMO_SECONDS
        return held

    def _ask(self) -> str:
        """Ask Zoho for a token. Only the holder of the lock comes here."""
        place = self._take_place()
        try:
            held = self._request()
        except ZohoError as error:
            if isinstance(error, NotReachedError) or (error.http_status or 0) >= 500:
                # Zoho cannot have counted what never came to it, or broke down there.
                self._store.delete(place)
            self._remember(error)
            raise
        self._keep(held)
        return held.token

    def _keep(self, held: Held) -> None:
        value = {
            "token": held.token,
            "renew_at": held.renew_at,
            "expires_at": held.expires_at,
            "api_domain": held.api_domain,
        }
        self._store.set(f"{self._key}:token", value, max(held.expires_at - time.time(), 1))
        self._memo, self._memo_until = held, time.monotonic() + MEMO_SECONDS

    def _take_place(self) -> str:
        """Take one of the places for requests of these 10 minutes; raise if there is none.

        A place is a key of its own, as other connections' locks do not keep them from counting.
        """
        now, waits = time.time(), []
        for number in range(MOST_IN_WINDOW):
            place = f"{self._limit_key}:asked-{number}"
            if self._store.add(place, {"at": now}, WINDOW):
                return place
            at = float((self._store.get(place) or {}).get("at", now))
            if at > now + CLOCKS_DIFFER:
                # Of a clock that was set back: it would be taken for longer than Zoho counts it.
                self._store.set(place, {"at": now}, WINDOW)
                return place
            waits.append(at + WINDOW - now)
        raise TokensThrottledError(
            f"{MOST_IN_WINDOW} access tokens were asked for within 10 minutes; Zoho allows 10.",
            retry_after=max(min(waits), 1.0),
        )

    def _remember(self, error: ZohoError) -> None:
        key = f"{self._key}:refusal"
        if isinstance(error, ZohoThrottledError):
            kind, seconds, key = "throttled", error.retry_after or WINDOW, self._throttled_key
        elif isinstance(error, ZohoSignInError):
            kind, seconds = "sign_in", REMEMBERED["sign_in"]
        else:
            kind, seconds = "unavailable", REMEMBERED["unavailable"]
        value = {
            "kind": kind,
            "until": time.time() + seconds,
            "message": error.message,
            "code": error.code,
            "http_status": error.http_status,
            "resolution": error.resolution,
        }
        self._store.set(key, value, seconds)

    @property
    def _throttled_key(self) -> str:
        return f"{self._limit_key}:throttled"

    def _raise_if_refused(self) -> None:
        for key in (self._throttled_key, f"{self._key}:refusal"):
            self._raise_remembered(self._store.get(key))

    def _raise_remembered(self, value: Any) -> None:
        if not isinstance(value, dict):
            return
        left = float(value.get("until", 0)) - time.time()
        if not 0 < left <= LONGEST_LIFE:
            return
        details: dict[str, Any] = {
            name: value.get(name) for name in ("code", "http_status", "resolution")
        }
        message = str(value.get("message", ""))
        if value.get("kind") == "throttled":
            raise TokensThrottledError(message, retry_after=left, **details)
        if value.get("kind") == "sign_in":
            raise ZohoSignInError(message, **details)
        raise ZohoUnavailableError(message, **details)

    def _request(self) -> Held:
        answer = post_token(
            self._session,
            self._region,
            {
                "grant_type": "refresh_token",
                "client_id": self._client_id,
                "client_secret": self._client_secret,
                "refresh_token": self._refresh_token,
            },
            timeout=self._timeout,
            proxies=self._proxies,
        )
        return _held_from(answer)


def _key(name: str, *parts: str) -> str:
    return f"{name}:{hashlib.sha256(chr(0).join(parts).encode()).hexdigest()[:16]}"


def _held_from(answer: dict[str, Any]) -> Held:
    life = lifetime(answer)
    expires_at = time.time() + life
    api_domain = answer.get("api_domain")
    return Held(
        answer["access_token"],
        expires_at - min(RENEW_AHEAD, life / 3),
        expires_at,
        clean_text(api_domain, 255) if isinstance(api_domain, str) else "",
    )


def _waited_in_vain() -> ZohoUnavailableError:
    return ZohoUnavailableError("Another process is renewing the access token and takes too long.")
