"""`rotate_keys`: encrypt all stored secrets anew with the first of ENCRYPTION_KEYS."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from jobs.services.connections import key_rotation


class Command(BaseCommand):
    help = (
        "Encrypt all stored secrets anew with the first of ENCRYPTION_KEYS. In this order: put "
        "the new key first and keep the old one behind it; restart all processes, so that each "
        "can read what is encrypted with the new key; run this; remove the old key; restart all "
        "processes again."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            done = key_rotation.rotate()
        except key_rotation.UnreadableSecretError as error:
            raise CommandError(f"Nothing was changed. {error}") from error
        rows = ", ".join(f"{count} {what}" for what, count in done.items() if count)
        self.stderr.write(f"Encrypted anew: the secrets of {rows or 'nothing, as there are none'}.")
