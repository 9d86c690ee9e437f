"""`rotate_keys`: encrypt all stored secrets anew with the first of ENCRYPTION_KEYS."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import transaction

from jobs.models import Connection, SharedToken, UndecryptableError


class Command(BaseCommand):
    help = (
        "Encrypt all stored secrets anew with the first of ENCRYPTION_KEYS. Put the new key "
        "first, run this, then remove the old one."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        with transaction.atomic():
            connections = list(Connection.objects.select_for_update())
            for connection in connections:
                # Setting what was read makes it a new secret, encrypted when it is saved.
                try:
                    connection.client_secret = connection.client_secret
                    connection.refresh_token = connection.refresh_token
                except UndecryptableError as error:
                    raise CommandError(
                        f"Nothing was changed. Connection {connection.name}: {error}"
                    ) from error
                connection.save(update_fields=["client_secret", "refresh_token"])
            # Tokens live for an hour; a new one is asked for where one is needed.
            SharedToken.objects.all().delete()
        self.stderr.write(f"Secrets of {len(connections)} connections encrypted anew.")
