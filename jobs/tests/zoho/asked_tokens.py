"""Access tokens of a connection, and what the accounts server answers."""

from jobs.zoho.oauth import AccessTokens
from jobs.zoho.regions import region_for

TOKEN_URL = "https://accounts.zoho.com/oauth/v2/token"
SECRETS = {
    "client_id": "1000.CLIENT",
    "client_secret": "canary-secret",
    "refresh_token": "canary-refresh",
}
GRANT = {
    "access_token": "1000.token-1",
    "api_domain": "https://www.zohoapis.com",
    "token_type": "Bearer",
    "expires_in": 3600,
}
THROTTLED = {
    "error_description": "You have made too many requests continuously. Please try again later.",
    "error": "Access Denied",
    "status": "failure",
}


def tokens(store, region=None, key="conn:1", **changes):
    return AccessTokens(
        region=region or region_for("us"), store=store, key=key, **(SECRETS | changes)
    )


def grants(zoho, *, then=0, **changes):
    for number in range(1, then + 2):
        zoho.post(TOKEN_URL, json=GRANT | {"access_token": f"1000.token-{number}"} | changes)
