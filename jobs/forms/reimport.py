"""The form that takes the file which was once uploaded to Zoho."""

from collections.abc import Iterable
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.core.files.uploadedfile import UploadedFile

from config.uploads import RefusedUpload
from jobs.models import ResultFile
from jobs.services.reimport.attaching import too_large


class OriginalForm(forms.Form):
    """A CSV or ZIP, and the result file it belongs to where there are several.

    Drawn by `jobs/_reimport_form.html`, which also stands where nothing was sent yet.
    """

    upload = forms.FileField(
        allow_empty_file=True,
        error_messages={"required": "Choose the file that was uploaded to Zoho."},
    )
    position = forms.TypedChoiceField(required=False, coerce=int, empty_value=None)

    def __init__(self, *args: Any, result_files: Iterable[ResultFile], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        choice = self.fields["position"]
        assert isinstance(choice, forms.ChoiceField)  # noqa: S101 - says it to mypy
        choice.choices = [(str(file.position), file.name) for file in result_files]

    def clean_upload(self) -> UploadedFile:
        upload: UploadedFile = self.cleaned_data["upload"]
        if isinstance(upload, RefusedUpload):
            raise ValidationError(too_large())
        return upload
