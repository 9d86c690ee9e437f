"""System checks: configuration mistakes, each with what to do about it."""

import os
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

from cryptography.fernet import Fernet
from django.apps import AppConfig
from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, Warning, register
from django.http.request import validate_host

from jobs.services import mails

Apps = Sequence[AppConfig] | None


@register(Tags.security)
def check_encryption_keys(app_configs: Apps, **kwargs: Any) -> list[CheckMessage]:
    return [
        Error(
            f"Key number {number} of ENCRYPTION_KEYS is no Fernet key.",
            hint="A Fernet key is 32 bytes in URL-safe base64, 44 characters. Make one with "
            "python -c 'from cryptography.fernet import Fernet; "
            "print(Fernet.generate_key().decode())'; keep the old ones behind it.",
            id="bulkwatch.E001",
        )
        for number, key in enumerate(settings.ENCRYPTION_KEYS, start=1)
        if not _is_fernet_key(key)
    ]


def _is_fernet_key(key: str) -> bool:
    try:
        Fernet(key)
    except ValueError:
        return False
    return True


@register()
def check_site_url(app_configs: Apps, **kwargs: Any) -> list[CheckMessage]:
    try:
        parts = urlsplit(settings.SITE_URL)
        host = parts.hostname or ""
    except ValueError:
        parts, host = None, ""
    if parts is None or parts.scheme not in ("http", "https") or not host:
        return [
            Error(
                f"SITE_URL is {settings.SITE_URL!r}, which is no address: links in mails start "
                "with it.",
                hint="Write it with its scheme, such as https://bulkwatch.example.com",
                id="bulkwatch.E002",
            )
        ]
    if settings.ALLOWED_HOSTS and not validate_host(
        f"[{host}]" if ":" in host else host, settings.ALLOWED_HOSTS
    ):
        return [
            Warning(
                f"The host of SITE_URL, {host}, is not among ALLOWED_HOSTS: the links in mails "
                "lead to an error page.",
                hint=f"Add {host} to ALLOWED_HOSTS, or correct SITE_URL.",
                id="bulkwatch.W001",
            )
        ]
    return []


@register()
def check_data_dir(app_configs: Apps, **kwargs: Any) -> list[CheckMessage]:
    folder = settings.DATA_DIR
    if not folder.exists() or os.access(folder, os.W_OK | os.X_OK):
        return []
    return [
        Error(
            f"DATA_DIR, {folder}, cannot be written to by this user: no result file can be kept.",
            hint="Give the folder to the user that runs Bulkwatch, or name another in DATA_DIR.",
            id="bulkwatch.E003",
        )
    ]


@register(deploy=True)
def check_mail(app_configs: Apps, **kwargs: Any) -> list[CheckMessage]:
    end = mails.where_mails_end()
    if end:
        return [
            Warning(
                f"Nobody receives any mail: mails are {end}.",
                hint="Set EMAIL_URL to a mail server, such as "
                "submission://user:password@mail.example.com:587",
                id="bulkwatch.W002",
            )
        ]
    if settings.DEFAULT_FROM_EMAIL.rstrip("> ").endswith("@localhost"):
        return [
            Warning(
                "Mails come from an address at localhost, which most mail servers refuse.",
                hint="Set DEFAULT_FROM_EMAIL to an address that your mail server may send for.",
                id="bulkwatch.W003",
            )
        ]
    return []


@register(Tags.security, deploy=True)
def check_custom_hosts(app_configs: Apps, **kwargs: Any) -> list[CheckMessage]:
    if not settings.ALLOW_CUSTOM_ZOHO_HOSTS or settings.DEMO:
        return []
    return [
        Warning(
            "ALLOW_CUSTOM_ZOHO_HOSTS is on: who manages connections can have secrets sent to "
            "hosts that are not Zoho's.",
            hint="Set ALLOW_CUSTOM_ZOHO_HOSTS=false, unless a stand-in for Zoho is wanted here.",
            id="bulkwatch.W004",
        )
    ]
