"""What people may say about a kept result."""

from django import forms


class PinForm(forms.Form):
    pinned = forms.TypedChoiceField(
        choices=[("yes", "Keep whatever its age"), ("no", "Unpin")],
        coerce=lambda value: value == "yes",
    )
