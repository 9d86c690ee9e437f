"""The form of a connection, which takes secrets and never gives them back."""

from typing import Any, cast

from django import forms
from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import validate_email

from jobs.models import Connection, UndecryptableError, split_addresses
from jobs.services import connecting

SECRETS = ("client_secret", "refresh_token")
ADDRESSES = {"api_url": "API", "accounts_url": "accounts", "download_url": "download"}
API_VERSIONS = ("v8", "v7", "v6", "v5", "v4", "v3", "v2.1", "v2")


def _secret_field(label: str, help_text: str) -> forms.CharField:
    # A password input never renders its value, so no answer of ours can hold a secret.
    return forms.CharField(
        label=label,
        required=False,
        max_length=1000,
        help_text=help_text,
        widget=forms.PasswordInput(
            render_value=False, attrs={"autocomplete": "off", "spellcheck": "false"}
        ),
    )


class ConnectionForm(forms.ModelForm):
    """Add or change a connection. An empty secret keeps the one that is stored."""

    client_secret = _secret_field("Client secret", "From the tab “Client Secret”.")
    refresh_token = _secret_field(
        "Refresh token", "Not the code of the self client, which lives minutes only."
    )
    api_version = forms.ChoiceField(label="API version")

    field_order = [
        "name",
        "data_center",
        "environment",
        "client_id",
        "client_secret",
        "refresh_token",
        "alert_recipients",
        "skip_threshold_percent",
        "stuck_after_minutes",
        "max_concurrency",
        "api_version",
        *ADDRESSES,
    ]

    class Meta:
        model = Connection
        # The secrets are not among these: they must neither fill the form nor be emptied by it.
        fields = [
            "name",
            "data_center",
            "environment",
            "api_version",
            "api_url",
            "accounts_url",
            "download_url",
            "client_id",
            "alert_recipients",
            "skip_threshold_percent",
            "stuck_after_minutes",
            "max_concurrency",
        ]
        labels = {
            "data_center": "Data centre",
            "client_id": "Client ID",
            "alert_recipients": "Who is told",
            "skip_threshold_percent": "Skipped rows are bad from (percent)",
            "stuck_after_minutes": "A job is stuck after (minutes)",
            "max_concurrency": "Calls at a time",
            "api_url": "API address",
            "accounts_url": "Accounts address",
            "download_url": "Download address",
        }
        help_texts = {
            "name": "Part of addresses and commands: letters, digits, dots, hyphens and "
            "underscores.",
            "data_center": "The one your Zoho address ends with when you are signed in.",
            "client_id": "Begins with “1000.”",
            "alert_recipients": "Mail addresses, one per line. A job can name its own instead.",
            "stuck_after_minutes": "A running job that does not change for so long.",
            "download_url": "The API address, unless said.",
        }
        error_messages = {"name": {"unique": "There is a connection of this name already."}}
        widgets = {
            "alert_recipients": forms.Textarea(attrs={"rows": 3, "spellcheck": "false"}),
            "name": forms.TextInput(attrs={"autocomplete": "off"}),
            "client_id": forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false"}),
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.is_new = self.instance.pk is None
        self.unreadable_secrets = [] if self.is_new else self._unreadable()
        self._offer_data_centers()
        versions = dict.fromkeys([*API_VERSIONS, self.instance.api_version])
        version_field = cast(forms.ChoiceField, self.fields["api_version"])
        version_field.choices = [(version, version) for version in versions]
        for name in SECRETS:
            field = self.fields[name]
            if self.is_new or name in self.unreadable_secrets:
                field.required = True
            else:
                field.label = f"New {str(field.label).lower()}"
                field.help_text = "One is stored and never shown. Leave empty to keep it."

    def _unreadable(self) -> list[str]:
        """The stored secrets that have to be given anew: those that none of our keys opens."""
        unreadable = []
        for name in SECRETS:
            try:
                value = getattr(self.instance, name)
            except UndecryptableError:
                value = ""
            if not value:
                unreadable.append(name)
        return unreadable

    def _offer_data_centers(self) -> None:
        field = cast(forms.ChoiceField, self.fields["data_center"])
        allowed = settings.ALLOW_CUSTOM_ZOHO_HOSTS
        offered = [
            choice
            for choice in Connection.DataCenter.choices
            if allowed or choice[0] != Connection.DataCenter.CUSTOM
        ]
        # Nothing is chosen beforehand: a wrong data centre is the commonest mistake.
        field.choices = [("", "Choose…"), *offered]
        if self.is_new:
            self.initial["data_center"] = ""
        if not allowed:
            for name in ADDRESSES:
                del self.fields[name]

    def clean_alert_recipients(self) -> str:
        addresses = dict.fromkeys(split_addresses(self.cleaned_data["alert_recipients"]))
        wrong = []
        for address in addresses:
            try:
                validate_email(address)
            except ValidationError:
                wrong.append(
                    ValidationError("“%(it)s” is no mail address.", params={"it": address})
                )
        if wrong:
            raise ValidationError(wrong)
        return "\n".join(addresses)

    def clean_client_secret(self) -> str:
        return self._clean_secret("client_secret")

    def clean_refresh_token(self) -> str:
        return self._clean_secret("refresh_token")

    def _clean_secret(self, name: str) -> str:
        secret = str(self.cleaned_data[name])
        if not secret.isprintable() or any(letter.isspace() for letter in secret):
            raise ValidationError("It holds blanks or line breaks: paste it in one piece.")
        return secret

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        if cleaned.get("data_center") != Connection.DataCenter.CUSTOM:
            for name in ADDRESSES:
                cleaned[name] = ""
                setattr(self.instance, name, "")
        for name in SECRETS:
            if cleaned.get(name):
                setattr(self.instance, name, cleaned[name])
        return cleaned

    def full_clean(self) -> None:
        super().full_clean()
        if not self.is_bound or "data_center" in self.errors:
            return
        try:
            connecting.check_addresses(self.instance)
        except ValidationError as error:
            self.add_error(self._field_of(error), error)

    def _field_of(self, error: ValidationError) -> str:
        """The field that a refused address stands in."""
        text = " ".join(error.messages)
        for name, what in ADDRESSES.items():
            is_missing = name != "download_url" and not getattr(self.instance, name)
            if name in self.fields and (is_missing or f"The {what} address" in text):
                return name
        return "data_center"

    def store(self) -> bool:
        """Store a valid form's connection; False, with the errors in their fields, if refused."""
        try:
            connecting.save(self.instance)
        except ValidationError as error:
            self.add_error(None, error)
            return False
        return True


class PauseForm(forms.Form):
    paused = forms.TypedChoiceField(
        choices=[("yes", "Pause"), ("no", "Resume")], coerce=lambda value: value == "yes"
    )
