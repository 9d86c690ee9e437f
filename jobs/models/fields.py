"""Model fields of our own."""

from typing import Any

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings
from django.db import models


class UndecryptableError(Exception):
    """A stored secret that none of `ENCRYPTION_KEYS` opens."""


def cipher() -> MultiFernet:
    """Encrypts with the first of `ENCRYPTION_KEYS`, decrypts with any of them."""
    return MultiFernet([Fernet(key) for key in settings.ENCRYPTION_KEYS])


class EncryptedTextField(models.TextField):
    """Text that is stored encrypted (Fernet: AES-128-CBC with HMAC-SHA256) and never as it is.

    Keys are `ENCRYPTION_KEYS`, apart from `SECRET_KEY`: changing that loses nothing. An empty
    text is stored empty. Reading raises `UndecryptableError` where no key fits.
    """

    def get_prep_value(self, value: Any) -> Any:
        text = super().get_prep_value(value)
        return cipher().encrypt(text.encode()).decode() if text else text

    def from_db_value(self, value: str | None, expression: Any, connection: Any) -> str | None:
        if not value:
            return value
        try:
            return cipher().decrypt(value.encode()).decode()
        except InvalidToken as error:
            raise UndecryptableError(
                "A stored secret cannot be decrypted with ENCRYPTION_KEYS. Put the key it was "
                "stored under back into ENCRYPTION_KEYS."
            ) from error
