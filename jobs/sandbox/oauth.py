"""The accounts server: grant codes, refresh tokens, access tokens and their limits.

Source: "Access & Refresh Token" and "Token Validity" of Zoho's accounts documentation
(zoho.com/accounts/protocol/oauth): 10 access tokens per refresh token in 10 minutes, 30 of them
active at a time, each for an hour. A code is good once, for the client and the redirect address
that it was given to.
"""

import secrets
import threading
from collections import deque
from collections.abc import Callable
from typing import Any, NamedTuple

from .wire import Answer, json_answer

SCOPE = (
    "ZohoCRM.bulk.ALL ZohoCRM.modules.ALL ZohoCRM.users.READ ZohoCRM.org.READ ZohoFiles.files.ALL"
)
SAMPLE_CONNECTION = {
    "client_id": "1000.SANDBOX0CLIENT0ID0000000000000",
    "client_secret": "sandbox-client-secret-0000000000000000000",
    "refresh_token": "1000.5a4d0b0c5a4d0b0c5a4d0b0c5a4d0b0c.0c0b4d5a0c0b4d5a0c0b4d5a0c0b4d5a",
}
GRANT_CODE = "sandbox-grant"
BULK_SCOPES = frozenset({"ZohoCRM.bulk.ALL", "ZohoCRM.bulk.CREATE"})
WINDOW_SECONDS = 600
TOKENS_PER_WINDOW = 10
ACTIVE_TOKENS = 30
THROTTLE_TEXTS = {
    "en": "You have made too many requests continuously. Please try again after some time.",
    "zh": "您已连续提出太多请求。请稍后再试。",
}


def throttled(language: str = "en") -> Answer:
    body = {
        "error_description": THROTTLE_TEXTS.get(language, THROTTLE_TEXTS["en"]),
        "error": "Access Denied",
        "status": "failure",
    }
    return json_answer(body, 400)


def oauth_error(code: str) -> Answer:
    """Return a refusal the way Zoho sends it: with HTTP 200."""
    return json_answer({"error": code})


class Grant(NamedTuple):
    """What a code stands for; a self client's has no redirect address."""

    client_id: str
    scope: str = SCOPE
    redirect_uri: str = ""


class Accounts:
    """Who may have an access token, and which access tokens are good."""

    def __init__(self, clock: Callable[[], float], *, throttling: bool = True) -> None:
        self.clock = clock
        self.throttling = throttling
        self.token_lifetime = 3600.0
        self.issued = self.refreshes = self.refused = 0
        self._lock = threading.Lock()
        self.reset()

    def reset(self) -> None:
        with self._lock:
            self.issued = self.refreshes = self.refused = 0
            self._secrets: dict[str, str] = {}
            self._refresh_tokens: dict[str, str] = {}
            self._grants: dict[str, Grant] = {}
            self._scopes: dict[str, str] = {}
            self._token_scopes: dict[str, str] = {}
            self._active: dict[str, float] = {}
            self._by_refresh_token: dict[str, deque[str]] = {}
            self._recent: dict[str, deque[float]] = {}
        self.add_client(**SAMPLE_CONNECTION)
        self._grants[GRANT_CODE] = Grant(SAMPLE_CONNECTION["client_id"])

    def add_client(self, client_id: str, client_secret: str, refresh_token: str) -> None:
        with self._lock:
            self._secrets[client_id] = client_secret
            self._refresh_tokens[refresh_token] = client_id

    def knows_client(self, client_id: str) -> bool:
        return client_id in self._secrets

    def new_grant(self, client_id: str, scope: str = SCOPE, redirect_uri: str = "") -> str:
        """Return a code that can be exchanged once."""
        code = f"1000.{secrets.token_hex(16)}.{secrets.token_hex(16)}"
        with self._lock:
            self._grants[code] = Grant(client_id, scope, redirect_uri)
        return code

    def may_bulk(self, token: str) -> bool:
        """Whether an access token was granted a scope for bulk jobs."""
        scope = self._token_scopes.get(token, SCOPE)
        return not BULK_SCOPES.isdisjoint(scope.replace(",", " ").split())

    def is_active(self, token: str) -> bool:
        expires = self._active.get(token)
        return expires is not None and expires > self.clock()

    def invalidate_tokens(self) -> int:
        """Kill every access token; return how many there were."""
        with self._lock:
            count = len(self._active)
            self._active.clear()
            self._by_refresh_token.clear()
        return count

    def issue_token(self, refresh_token: str = SAMPLE_CONNECTION["refresh_token"]) -> str:
        """Return a fresh access token, past all limits."""
        with self._lock:
            return self._issue(refresh_token)

    def exchange(self, form: dict[str, str], api_domain: str) -> Answer:
        """Answer ``POST /oauth/v2/token``."""
        with self._lock:
            answer = self._exchange(form, api_domain)
            if b'"access_token"' not in answer.body:
                self.refused += 1
        return answer

    def _exchange(self, form: dict[str, str], api_domain: str) -> Answer:
        secret = self._secrets.get(form.get("client_id", ""))
        if secret is None:
            return oauth_error("invalid_client")
        if form.get("client_secret") != secret:
            return oauth_error("invalid_client_secret")
        if form.get("grant_type") == "refresh_token":
            return self._refresh(form, api_domain)
        if form.get("grant_type") == "authorization_code":
            return self._redeem(form, api_domain)
        return oauth_error("unsupported_grant_type")

    def _refresh(self, form: dict[str, str], api_domain: str) -> Answer:
        refresh_token = form.get("refresh_token", "")
        if self._refresh_tokens.get(refresh_token) != form["client_id"]:
            return oauth_error("invalid_code")
        recent = self._recent.setdefault(refresh_token, deque())
        while recent and recent[0] <= self.clock() - WINDOW_SECONDS:
            recent.popleft()
        if self.throttling and len(recent) >= TOKENS_PER_WINDOW:
            return throttled()
        recent.append(self.clock())
        self.refreshes += 1
        return json_answer(self._grant(refresh_token, api_domain))

    def _redeem(self, form: dict[str, str], api_domain: str) -> Answer:
        grant = self._grants.get(form.get("code", ""))
        if grant is None or grant.client_id != form["client_id"]:
            return oauth_error("invalid_code")
        if grant.redirect_uri != form.get("redirect_uri", ""):
            return oauth_error("invalid_redirect_uri")
        del self._grants[form["code"]]
        refresh_token = f"1000.{secrets.token_hex(16)}.{secrets.token_hex(16)}"
        self._refresh_tokens[refresh_token] = form["client_id"]
        self._scopes[refresh_token] = grant.scope
        return json_answer(
            self._grant(refresh_token, api_domain) | {"refresh_token": refresh_token}
        )

    def _grant(self, refresh_token: str, api_domain: str) -> dict[str, Any]:
        return {
            "access_token": self._issue(refresh_token),
            "scope": self._scopes.get(refresh_token, SCOPE),
            "api_domain": api_domain,
            "token_type": "Bearer",
            "expires_in": int(self.token_lifetime),
        }

    def _issue(self, refresh_token: str) -> str:
        token = f"1000.{secrets.token_hex(16)}.{secrets.token_hex(16)}"
        active = self._by_refresh_token.setdefault(refresh_token, deque())
        if len(active) >= ACTIVE_TOKENS:
            oldest = active.popleft()
            self._active.pop(oldest, None)
            self._token_scopes.pop(oldest, None)
        active.append(token)
        self._active[token] = self.clock() + self.token_lifetime
        self._token_scopes[token] = self._scopes.get(refresh_token, SCOPE)
        self.issued += 1
        return token

    def revoke(self, refresh_token: str) -> bool:
        """Forget a refresh token and its access tokens; return whether it was known."""
        with self._lock:
            for token in self._by_refresh_token.pop(refresh_token, ()):
                self._active.pop(token, None)
            return self._refresh_tokens.pop(refresh_token, None) is not None
