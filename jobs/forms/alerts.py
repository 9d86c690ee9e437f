"""The forms of the alerts: the filters of the list, and the test mail."""

from django import forms

from jobs.models import Alert


class AlertFilter(forms.Form):
    """The filters that an address carries; each is left out where it is empty."""

    state = forms.ChoiceField(required=False, choices=[("", "Any state"), *Alert.State.choices])
    kind = forms.ChoiceField(required=False, choices=[("", "Any kind"), *Alert.Kind.choices])


class TestMailForm(forms.Form):
    recipient = forms.EmailField(
        label="Send a test mail to",
        max_length=254,
        error_messages={"required": "Name the address to send it to."},
        widget=forms.EmailInput(attrs={"autocomplete": "email"}),
    )
