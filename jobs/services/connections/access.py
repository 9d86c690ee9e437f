"""From a stored connection to a client that speaks to its Zoho org."""

import json
import threading
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db import connection as database
from django.utils import timezone

from jobs.models import Connection, SharedToken, UndecryptableError
from jobs.zoho.client import BulkWriteClient
from jobs.zoho.errors import ZohoSignInError
from jobs.zoho.oauth import AccessTokens
from jobs.zoho.regions import Region, region_for


class CustomHostsForbiddenError(Exception):
    """A connection names addresses of its own, and this installation does not allow that."""


class DatabaseTokenStore:
    """The store that all processes share access tokens through: encrypted rows.

    In the database and not in Redis, so that commands work without a broker, a flushed broker
    costs no renewal, and Zoho's limit of ten tokens in ten minutes survives a restart.
    """

    def __init__(self) -> None:
        self._home = threading.get_ident()

    def get(self, key: str) -> Any:
        try:
            row = SharedToken.objects.filter(key=key, expires_at__gt=timezone.now()).first()
            return json.loads(row.value) if row else None
        except UndecryptableError:
            # Stored under a newer key by another process, while the keys are being changed.
            return None
        finally:
            self._leave()

    def set(self, key: str, value: dict[str, Any], timeout: float) -> None:
        try:
            SharedToken.objects.update_or_create(
                key=key, defaults={"value": json.dumps(value), "expires_at": _after(timeout)}
            )
        finally:
            self._leave()

    def add(self, key: str, value: dict[str, Any], timeout: float) -> bool:
        """Store the value unless the key holds one that has not expired; say whether it did."""
        fields = {"value": json.dumps(value), "expires_at": _after(timeout)}
        try:
            expired = SharedToken.objects.filter(key=key, expires_at__lte=timezone.now())
            if expired.update(**fields):
                return True
            try:
                with transaction.atomic():
                    SharedToken.objects.create(key=key, **fields)
            except IntegrityError:
                return False
            return True
        finally:
            self._leave()

    def delete(self, key: str) -> None:
        try:
            SharedToken.objects.filter(key=key).delete()
        finally:
            self._leave()

    def _leave(self) -> None:
        # The client's threads end without Django knowing: each would leave a connection open.
        if threading.get_ident() != self._home:
            database.close()


def _after(seconds: float) -> Any:
    return timezone.now() + timedelta(seconds=seconds)


def region_of(connection: Connection) -> Region:
    """The hosts of a connection's org.

    Raises CustomHostsForbiddenError for a stand-in where `ALLOW_CUSTOM_ZOHO_HOSTS` is off, and
    ValueError for addresses that cannot be used.
    """
    is_custom = connection.data_center == Connection.DataCenter.CUSTOM
    if is_custom and not settings.ALLOW_CUSTOM_ZOHO_HOSTS:
        raise CustomHostsForbiddenError(
            "This connection uses addresses of its own instead of Zoho's. Set "
            "ALLOW_CUSTOM_ZOHO_HOSTS=true to allow that."
        )
    if not is_custom:
        return region_for(connection.data_center, connection.environment)
    return region_for(
        "custom",
        api_url=connection.api_url,
        accounts_url=connection.accounts_url,
        download_url=connection.download_url or None,
    )


def open_tokens(connection: Connection) -> AccessTokens:
    """The access tokens of a connection, shared with all other processes. Errors: `region_of`."""
    return AccessTokens(
        region=region_of(connection),
        client_id=connection.client_id,
        client_secret=connection.client_secret,
        refresh_token=connection.refresh_token,
        store=DatabaseTokenStore(),
        key=f"connection-{connection.pk}",
        timeout=settings.ZOHO_REQUEST_TIMEOUT_SECONDS,
        proxies=proxies(),
    )


def open_client(connection: Connection, *, threads: int = 1) -> BulkWriteClient:
    """A client for a connection, to be closed after use. Errors: `region_of`."""
    return BulkWriteClient(
        region=region_of(connection),
        tokens=open_tokens(connection),
        api_version=connection.api_version,
        pool_size=threads,
        timeout=settings.ZOHO_REQUEST_TIMEOUT_SECONDS,
        proxies=proxies(),
    )


def proxies() -> dict[str, str] | None:
    """Through which proxy Zoho is reached, as `requests` wants it; None for none."""
    proxy = settings.ZOHO_PROXY_URL
    return {"http": proxy, "https": proxy} if proxy else None


def unusable(error: Exception) -> ZohoSignInError:
    """Why a connection cannot be used, by the error of opening it, as polls and downloads say it.

    What to do about it is the last sentence of the error.
    """
    what, _, what_to_do = str(error).rpartition(". ")
    if not what:
        return ZohoSignInError(str(error), resolution="Correct the connection's addresses.")
    return ZohoSignInError(f"{what}.", resolution=what_to_do)
