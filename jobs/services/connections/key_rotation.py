"""Changing the encryption keys: every stored secret is encrypted anew with the first of them."""

from django.apps import apps
from django.db import models, transaction

from jobs.models import EncryptedTextField, SharedToken, UndecryptableError


class UnreadableSecretError(Exception):
    """A stored secret that no key opens; `what` names the row it belongs to."""

    def __init__(self, what: str, why: UndecryptableError) -> None:
        super().__init__(f"{what}: {why}")


@transaction.atomic
def rotate() -> dict[str, int]:
    """Encrypt all secrets anew, or none; how many rows of which model had any.

    Raises UnreadableSecretError. A shared access token that no key opens is dropped instead, as
    another is asked for where one is needed.
    """
    done = {}
    for model in apps.get_models():
        names = [
            field.name
            for field in model._meta.concrete_fields
            if isinstance(field, EncryptedTextField)
        ]
        if names:
            done[str(model._meta.verbose_name_plural)] = _rotate_rows(model, names)
    return done


def _rotate_rows(model: type[models.Model], names: list[str]) -> int:
    count = 0
    for row in model._default_manager.select_for_update().order_by("pk"):
        try:
            # Setting what was read makes it a new secret, encrypted when it is saved.
            for name in names:
                setattr(row, name, getattr(row, name))
        except UndecryptableError as error:
            if not isinstance(row, SharedToken):
                what = f"{str(model._meta.verbose_name).capitalize()} {row}"
                raise UnreadableSecretError(what, error) from error
            row.delete()
            continue
        row.save(update_fields=names)
        count += 1
    return count
