"""The forms of a connection. They take secrets and never give them back."""

from typing import Any, cast

from django import forms
from django.conf import settings
from django.core.exceptions import ValidationError

from jobs.models import Connection, UndecryptableError, checked_addresses
from jobs.services.connections import connecting
from jobs.services.connections.signing_in import Client
from jobs.services.limits import credits
from jobs.zoho.regions import DATA_CENTERS

SECRETS = ("client_secret", "grant_code", "refresh_token")
ADDRESSES = ("api_url", "accounts_url", "download_url")
API_VERSIONS = ("v8", "v7", "v6", "v5", "v4", "v3", "v2.1", "v2")


class ConnectionForm(forms.ModelForm):
    """What adding and changing a connection have in common; nothing of the sign-in."""

    class Meta:
        model = Connection
        fields = [
            "name",
            "data_center",
            "environment",
            *ADDRESSES,
            "edition",
            "paid_users",
            "alert_recipients",
        ]
        labels = {
            "data_center": "Data centre",
            "edition": "Edition of Zoho CRM",
            "paid_users": "Paid users",
            "alert_recipients": "Who is told",
            "skip_threshold_percent": "Skipped rows are bad from (percent)",
            "stuck_after_minutes": "A job is stuck after (minutes)",
            "max_concurrency": "Calls at a time",
            "daily_credits": "API credits in 24 hours",
            "longest_interval_seconds": "Longest time between two polls (seconds)",
            "api_url": "API address",
            "accounts_url": "Accounts address",
            "download_url": "Download address",
        }
        help_texts = {
            "name": "Part of addresses and commands: letters, digits, dots, hyphens and "
            "underscores.",
            "data_center": "The one your Zoho address ends with when you are signed in.",
            "edition": "Decides how many calls and API credits Zoho allows.",
            "paid_users": "The more there are, the more API credits Zoho gives. Empty counts as 1.",
            "alert_recipients": "Mail addresses, one per line. A job can name its own instead.",
            "stuck_after_minutes": "A running job that does not change for so long.",
            "longest_interval_seconds": "15 to 3600. A job that does not change is asked about "
            "more and more rarely, but not more rarely than this while there are credits enough.",
            "download_url": "Empty: the same as the API address.",
        }
        error_messages = {"name": {"unique": "There is a connection of this name already."}}
        widgets = {
            "alert_recipients": forms.Textarea(attrs={"rows": 3, "spellcheck": "false"}),
            "name": forms.TextInput(attrs={"autocomplete": "off"}),
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.is_new = self.instance.pk is None
        self._offer_data_centers()

    def _offer_data_centers(self) -> None:
        field = cast(forms.ChoiceField, self.fields["data_center"])
        allowed = settings.ALLOW_CUSTOM_ZOHO_HOSTS
        offered = []
        for key, label in Connection.DataCenter.choices:
            if key in DATA_CENTERS:
                unconfirmed = "" if DATA_CENTERS[key].confirmed else ": unconfirmed"
                offered.append((key, label + unconfirmed))
            elif allowed:
                offered.append((key, label))
        # Nothing is chosen beforehand: a wrong data centre is the commonest mistake.
        field.choices = [("", "Choose…"), *offered]
        if self.is_new:
            self.initial["data_center"] = ""
        if not allowed:
            for name in ADDRESSES:
                del self.fields[name]

    def clean_alert_recipients(self) -> str:
        return "\n".join(checked_addresses(self.cleaned_data["alert_recipients"]))

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        if cleaned.get("data_center") != Connection.DataCenter.CUSTOM:
            for name in ADDRESSES:
                cleaned[name] = ""
                setattr(self.instance, name, "")
        return cleaned

    def full_clean(self) -> None:
        super().full_clean()
        if not self.is_bound or "data_center" in self.errors:
            return
        try:
            connecting.check_addresses(self.instance)
        except ValidationError as error:
            self.add_error(None, error)

    def store(self) -> bool:
        """Store a valid form's connection; False, with the errors in their fields, if refused."""
        try:
            connecting.save(self.instance)
        except ValidationError as error:
            self.add_error(None, error)
            return False
        return True


class AddConnectionForm(ConnectionForm):
    """A connection that nobody has signed in to yet."""

    def store(self) -> bool:
        most = connecting.calls_allowed(self.instance)
        self.instance.max_concurrency = most or self.instance.max_concurrency
        return super().store()


class EditConnectionForm(ConnectionForm):
    """All of a connection but its sign-in, which a move to another place makes worthless."""

    api_version = forms.ChoiceField(label="API version")
    sign_in_anew = forms.BooleanField(
        label="Change it, and sign in to Zoho again afterwards", required=False
    )

    class Meta(ConnectionForm.Meta):
        fields = [
            *ConnectionForm.Meta.fields,
            "skip_threshold_percent",
            "stuck_after_minutes",
            "max_concurrency",
            "daily_credits",
            "longest_interval_seconds",
            "api_version",
        ]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.loses_sign_in = False
        self.stored = Connection.objects.get(pk=self.instance.pk)
        versions = dict.fromkeys([*API_VERSIONS, self.stored.api_version])
        version_field = cast(forms.ChoiceField, self.fields["api_version"])
        version_field.choices = [(version, version) for version in versions]
        version_field.help_text = "v7, unless your Zoho wants another."
        allowance = credits.allowance_of(self.stored)
        self.fields["daily_credits"].help_text = (
            f"Polling uses no more. Empty: a tenth of the {allowance:,} that Zoho gives the "
            "edition and its paid users."
        )
        most = connecting.calls_allowed(self.stored)
        if most is not None:
            self.fields["max_concurrency"].help_text = (
                f"At most {most} in the edition {self.stored.get_edition_display()}. Zoho counts "
                "those of each app by itself."
            )

    @property
    def changes_budget(self) -> bool:
        """Whether a stored form has changed how many credits polling may use."""
        return credits.budget_of(self.stored) != credits.budget_of(self.instance)

    def full_clean(self) -> None:
        super().full_clean()
        if not self.is_bound:
            return
        # All that is wrong is told at once, also beside errors that storing would not come to.
        if not {"data_center", "edition", "paid_users"} & self.errors.keys():
            for name, error in connecting.above_limits(self.instance).items():
                if name not in self.errors:
                    self.add_error(name, error)
        if not self.stored.is_signed_in:
            return
        self.loses_sign_in = connecting.has_moved(self.stored, self.instance)
        if self.loses_sign_in and not self.errors and not self.cleaned_data.get("sign_in_anew"):
            self.add_error(
                "sign_in_anew",
                "The connection's sign-in is worth nothing in another data centre, environment "
                "or at other addresses: it is dropped, and nothing is asked until somebody signs "
                "in again. Its jobs stay.",
            )


def _secret_field(label: str, help_text: str, **options: Any) -> forms.CharField:
    # A password input never renders its value, so no answer of ours can hold a secret. With any
    # other `autocomplete`, browsers fill in the person's own password.
    return forms.CharField(
        label=label,
        required=False,
        max_length=1000,
        help_text=help_text,
        widget=forms.PasswordInput(
            render_value=False, attrs={"autocomplete": "new-password", "spellcheck": "false"}
        ),
        **options,
    )


class SignInForm(forms.Form):
    """A client of Zoho's API console, and one of three ways to sign in with it.

    `way` is the button that was pressed.
    """

    CONSENT, GRANT_CODE, REFRESH_TOKEN = "consent", "grant_code", "refresh_token"

    client_id = forms.CharField(
        label="Client ID",
        max_length=200,
        help_text="Begins with “1000.”",
        widget=forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false"}),
    )
    client_secret = _secret_field("Client secret", "The API console shows it beside the client ID.")
    grant_code = _secret_field(
        "Grant code", "From the self client's tab “Generate Code”. It lives some minutes only."
    )
    refresh_token = _secret_field("Refresh token", "One that another program was given before.")
    way = forms.ChoiceField(
        choices=[
            (CONSENT, "Connect to Zoho"),
            (GRANT_CODE, "Use the grant code"),
            (REFRESH_TOKEN, "Use the refresh token"),
        ]
    )

    def __init__(self, *args: Any, connection: Connection, **kwargs: Any) -> None:
        kwargs.setdefault("initial", {"client_id": connection.client_id})
        super().__init__(*args, **kwargs)
        self.connection = connection
        self.is_unreadable = False
        try:
            self._stored_secret = connection.client_secret
        except UndecryptableError:
            self._stored_secret, self.is_unreadable = "", True
        secret = self.fields["client_secret"]
        secret.required = not self._stored_secret
        if self._stored_secret:
            secret.help_text = "One is stored and never shown. Leave empty to keep it."

    @property
    def client(self) -> Client:
        """The client of a valid form, with the stored secret where none was typed."""
        secret = self.cleaned_data["client_secret"] or self._stored_secret
        return Client(self.cleaned_data["client_id"], secret)

    def clean_client_id(self) -> str:
        return _in_one_piece(self.cleaned_data["client_id"])

    def clean_client_secret(self) -> str:
        secret = _in_one_piece(self.cleaned_data["client_secret"])
        is_other = self.cleaned_data.get("client_id") != self.connection.client_id
        if not secret and is_other:
            raise ValidationError("Give the secret that belongs to this client ID.")
        return secret

    def clean_grant_code(self) -> str:
        return _in_one_piece(self.cleaned_data["grant_code"])

    def clean_refresh_token(self) -> str:
        return _in_one_piece(self.cleaned_data["refresh_token"])

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        way = cleaned.get("way")
        typed = [name for name in (self.GRANT_CODE, self.REFRESH_TOKEN) if cleaned.get(name)]
        if way == self.CONSENT and len(typed) == 1:
            # Enter in a field presses the first button of the form.
            way = cleaned["way"] = typed[0]
        for name in (self.GRANT_CODE, self.REFRESH_TOKEN):
            if name == way and not cleaned.get(name) and name not in self.errors:
                self.add_error(name, "Paste it here, then choose the button again.")
            elif name != way and way and cleaned.get(name):
                self.add_error(
                    name, "This was not used: choose the button below it, or leave it empty."
                )
        return cleaned


def _in_one_piece(text: str) -> str:
    if not text.isprintable() or any(letter.isspace() for letter in text):
        raise ValidationError("It holds blanks or line breaks: paste it in one piece.")
    return text


class PauseForm(forms.Form):
    paused = forms.TypedChoiceField(
        choices=[("yes", "Pause"), ("no", "Resume")], coerce=lambda value: value == "yes"
    )
