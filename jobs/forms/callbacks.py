"""The form of a connection's callback page."""

from django import forms


class RegistersForm(forms.Form):
    registers = forms.TypedChoiceField(
        choices=[("yes", "On"), ("no", "Off")], coerce=lambda value: value == "yes"
    )
