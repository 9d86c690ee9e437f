"""`add_connection NAME --data-center us`: add a Zoho org, or change one."""

import os
import sys
from collections.abc import Mapping
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.views.decorators.debug import sensitive_variables

from jobs.models import Connection, EncryptedTextField, UndecryptableError
from jobs.services.connections import connecting, signing_in
from jobs.zoho.errors import ZohoError

ADDRESSES = ("api", "accounts", "download")
SECRETS = {
    "ZOHO_CLIENT_SECRET": "client_secret",
    "ZOHO_REFRESH_TOKEN": "refresh_token",
    "ZOHO_GRANT_CODE": "grant_code",
}
ENCRYPTED = {
    field.name for field in Connection._meta.fields if isinstance(field, EncryptedTextField)
}


class Command(BaseCommand):
    help = (
        "Add a connection to a Zoho org, or change one. The client secret and the refresh token "
        "come from ZOHO_CLIENT_SECRET and ZOHO_REFRESH_TOKEN, or as two lines on standard input. "
        "A self client's grant code in ZOHO_GRANT_CODE, or on the second line with --grant-code, "
        "takes the place of the refresh token and is exchanged at once."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name", metavar="NAME")
        parser.add_argument("--data-center", choices=Connection.DataCenter.values)
        parser.add_argument("--environment", choices=Connection.Environment.values)
        parser.add_argument("--client-id")
        parser.add_argument(
            "--new-secrets",
            action="store_true",
            help="for a connection there is: take secrets from the environment, and what that "
            "lacks from standard input",
        )
        parser.add_argument(
            "--grant-code",
            action="store_true",
            help="what is read in place of a refresh token is a self client's grant code",
        )
        parser.add_argument(
            "--forget-sign-in",
            action="store_true",
            help="with another data centre, environment or address and no new secrets: drop the "
            "sign-in, which is worth nothing there",
        )
        parser.add_argument("--edition", choices=Connection.Edition.values)
        parser.add_argument("--paid-users", type=int, metavar="USERS")
        parser.add_argument(
            "--daily-credits",
            type=int,
            metavar="CREDITS",
            help="API credits that polling may use in 24 hours; a tenth of the allowance unless "
            "said",
        )
        parser.add_argument("--longest-interval", type=int, metavar="SECONDS")
        parser.add_argument("--api-version", help="for example v7, the default")
        parser.add_argument("--api-url", help="with --data-center custom")
        parser.add_argument("--accounts-url", help="with --data-center custom")
        parser.add_argument("--download-url", help="with --data-center custom")
        parser.add_argument("--recipients", help="mail addresses for alerts, separated by commas")
        parser.add_argument("--skip-threshold", type=int, metavar="PERCENT")
        parser.add_argument("--stuck-after", type=int, metavar="MINUTES")
        parser.add_argument("--max-concurrency", type=int, metavar="CALLS")

    def handle(self, *args: Any, **options: Any) -> None:
        connection = Connection.objects.filter(name=options["name"]).first()
        is_new = connection is None
        if is_new and options["data_center"] is None:
            raise CommandError(
                f"There is no connection {options['name']} yet: say in which data centre its Zoho "
                "account is, for example --data-center eu.",
                returncode=2,
            )
        connection = connection or Connection(name=options["name"])
        given: dict[str, Any] = {
            "data_center": options["data_center"],
            "environment": options["environment"],
            "client_id": options["client_id"],
            "api_version": options["api_version"],
            "api_url": options["api_url"],
            "accounts_url": options["accounts_url"],
            "download_url": options["download_url"],
            "alert_recipients": options["recipients"],
            "skip_threshold_percent": options["skip_threshold"],
            "stuck_after_minutes": options["stuck_after"],
            "edition": options["edition"],
            "paid_users": options["paid_users"],
            "max_concurrency": options["max_concurrency"],
            "daily_credits": options["daily_credits"],
            "longest_interval_seconds": options["longest_interval"],
        }
        _set(connection, given)
        # Nobody is asked for secrets in vain.
        self._check(connection, needs_client=is_new or _are_named(options))
        secrets = self._secrets(options, is_new=is_new)
        code = secrets.pop("grant_code", None)
        _set(connection, secrets)
        if connection.data_center != Connection.DataCenter.CUSTOM:
            addresses = [f"--{name}-url" for name in ADDRESSES if options[f"{name}_url"]]
            if addresses:
                raise CommandError(
                    f"{' and '.join(addresses)} goes with --data-center custom only: Zoho's own "
                    "data centres have addresses of their own.",
                    returncode=2,
                )
            connection.api_url = connection.accounts_url = connection.download_url = ""
        if not (options["forget_sign_in"] or code or secrets.get("refresh_token")):
            self._keep_sign_in(connection)
        if is_new and options["max_concurrency"] is None:
            most = connecting.calls_allowed(connection)
            connection.max_concurrency = most or connection.max_concurrency
        self._store(connection, code)
        self.stderr.write(f"Connection {connection.name} {'added' if is_new else 'changed'}.")

    def _check(self, connection: Connection, *, needs_client: bool) -> None:
        try:
            connection.full_clean(exclude=ENCRYPTED)
        except ValidationError as error:
            raise CommandError(_as_lines(error), returncode=2) from error
        if needs_client and not connection.client_id:
            raise CommandError(
                "Say whose secrets they are, by the client ID: --client-id 1000.…", returncode=2
            )

    def _keep_sign_in(self, connection: Connection) -> None:
        stored = Connection.objects.filter(pk=connection.pk).first()
        if stored and stored.is_signed_in and connecting.has_moved(stored, connection):
            raise CommandError(
                f"{connection.name} would move to another data centre, environment or address, "
                "where its sign-in is worth nothing. Give new secrets in the same call, or "
                "--forget-sign-in to drop the one it has. Nothing was changed.",
                returncode=2,
            )

    @sensitive_variables()
    def _store(self, connection: Connection, code: str | None) -> None:
        grant = None
        try:
            if code is not None:
                # Replaced in any case; one that no key opens must not stand in the way of that.
                connection.refresh_token = ""
            connecting.prepare(connection)
            if code is not None:
                client = signing_in.Client(connection.client_id, connection.client_secret)
                if not (client.client_id and client.client_secret):
                    raise ValidationError("A grant code goes with a client ID and its secret.")
                grant = signing_in.exchange(connection, client, code)
                connection.refresh_token = grant.refresh_token
            connecting.save(connection)
        except ValidationError as error:
            raise CommandError(_as_lines(error), returncode=2) from error
        except UndecryptableError as error:
            raise CommandError(f"{error} Or give the client secret anew.", returncode=2) from error
        except ZohoError as error:
            said = f"Nothing was stored. {error} {signing_in.cure_of(error)}"
            raise CommandError(said.strip()) from error
        if grant is not None:
            signing_in.keep_access_token(connection, grant)

    def _secrets(self, options: dict[str, Any], *, is_new: bool) -> dict[str, str]:
        by_code = options["grant_code"]
        are_needed = is_new or _are_named(options)
        given = {
            field: value
            for variable, field in SECRETS.items()
            if (value := os.environ.get(variable, "").strip())
        }
        # They may have been left there for another connection, whose sign-in this one would get.
        if given and not (are_needed or options["client_id"]):
            found = [variable for variable, field in SECRETS.items() if field in given]
            raise CommandError(
                f"{' and '.join(found)} {'is' if len(found) == 1 else 'are'} set in the "
                f"environment. If meant for {options['name']}, say --new-secrets; if left from "
                "another connection, unset before. Nothing was changed.",
                returncode=2,
            )
        by_code = by_code or "grant_code" in given
        wanted = {
            variable: field
            for variable, field in SECRETS.items()
            if field != ("refresh_token" if by_code else "grant_code")
        }
        if by_code:
            given.pop("refresh_token", None)
        missing = [variable for variable, field in wanted.items() if field not in given]
        if not (missing and are_needed):
            return given
        # Never from arguments: those show in the process list and in the shell's history.
        if sys.stdin is not None and sys.stdin.isatty():
            self.stderr.write(f"Type {' and '.join(missing)}, one per line:")
        for variable in missing:
            line = sys.stdin.readline().strip() if sys.stdin is not None else ""
            if not line:
                raise CommandError(
                    f"{variable} is missing: set it in the environment, or give "
                    f"{' and '.join(missing)} on standard input, one per line.",
                    returncode=2,
                )
            given[SECRETS[variable]] = line
        return given


def _are_named(options: dict[str, Any]) -> bool:
    """Whether it is said that a connection there is gets new secrets."""
    return bool(options["new_secrets"] or options["grant_code"])


def _set(connection: Connection, given: Mapping[str, Any]) -> None:
    for name, value in given.items():
        if value is not None:
            setattr(connection, name, value)


def _as_lines(error: ValidationError) -> str:
    if not hasattr(error, "error_dict"):
        return " ".join(error.messages)
    return "\n".join(
        f"{field.replace('_', ' ')}: {' '.join(messages)}"
        for field, messages in error.message_dict.items()
    )
