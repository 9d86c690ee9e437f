"""Model fields of our own."""

from typing import Any

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings
from django.db import models
from django.db.models.query_utils import DeferredAttribute


class UndecryptableError(Exception):
    """A stored secret that none of `ENCRYPTION_KEYS` opens."""


def cipher() -> MultiFernet:
    """Encrypts with the first of `ENCRYPTION_KEYS`, decrypts with any of them."""
    return MultiFernet([Fernet(key) for key in settings.ENCRYPTION_KEYS])


class Sealed:
    """A secret as it is stored, not decrypted yet."""

    def __init__(self, stored: str) -> None:
        self.stored = stored

    def open(self) -> str:
        try:
            return cipher().decrypt(self.stored.encode()).decode()
        except InvalidToken as error:
            raise UndecryptableError(
                "A stored secret cannot be decrypted with ENCRYPTION_KEYS. Put the key it was "
                "stored under back into ENCRYPTION_KEYS."
            ) from error


class OpenedOnReading(DeferredAttribute):
    """The attribute of an `EncryptedTextField`: decrypts when it is read."""

    def __get__(self, instance: Any, cls: Any = None) -> Any:
        value = super().__get__(instance, cls)
        return value.open() if isinstance(value, Sealed) else value

    def __set__(self, instance: Any, value: Any) -> None:
        # Without this the instance's own dictionary would answer, and nothing be opened.
        instance.__dict__[self.field.attname] = value


class EncryptedTextField(models.TextField):
    """Text that is stored encrypted (Fernet: AES-128-CBC with HMAC-SHA256) and never as it is.

    Keys are `ENCRYPTION_KEYS`, apart from `SECRET_KEY`: changing that loses nothing. An empty
    text is stored empty. Decrypted when the attribute is read, not when the row is loaded: a
    secret that no key opens raises `UndecryptableError` for its reader alone, and takes down no
    page that only names the connection.
    """

    descriptor_class = OpenedOnReading

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # `dumpdata` reads attributes, and would write every secret down in clear.
        self.serialize = False

    def deconstruct(self) -> Any:
        name, path, args, kwargs = super().deconstruct()
        kwargs.pop("serialize", None)
        return name, path, args, kwargs

    def from_db_value(self, value: str | None, expression: Any, connection: Any) -> Any:
        return Sealed(value) if value else value

    def pre_save(self, instance: models.Model, add: bool) -> Any:
        return instance.__dict__.get(self.attname)

    def get_prep_value(self, value: Any) -> Any:
        if isinstance(value, Sealed):
            return value.stored
        text = super().get_prep_value(value)
        return cipher().encrypt(text.encode()).decode() if text else text
