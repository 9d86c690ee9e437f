"""The form that takes the file which was once uploaded to Zoho."""

from collections.abc import Sequence
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.core.files.uploadedfile import UploadedFile

from config.uploads import RefusedUpload
from jobs.models import ResultFile
from jobs.services.attaching import too_large

ANY_FILE = "Found by its name or columns"


class OriginalForm(forms.Form):
    """A CSV or ZIP, and the result file it belongs to where there are several."""

    upload = forms.FileField(
        label="The CSV or ZIP that was uploaded to Zoho",
        allow_empty_file=True,
        widget=forms.FileInput(attrs={"accept": ".csv,.txt,.tsv,.zip,text/csv,application/zip"}),
        error_messages={"required": "Choose the file that was uploaded to Zoho."},
    )
    position = forms.TypedChoiceField(
        label="Result file it belongs to", required=False, coerce=int, empty_value=None
    )

    def __init__(self, *args: Any, result_files: Sequence[ResultFile], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if len(result_files) < 2:
            del self.fields["position"]
            return
        choice = self.fields["position"]
        assert isinstance(choice, forms.ChoiceField)  # noqa: S101 - says it to mypy
        choice.choices = [
            ("", ANY_FILE),
            *((str(file.position), file.name) for file in result_files),
        ]

    def clean_upload(self) -> UploadedFile:
        upload: UploadedFile = self.cleaned_data["upload"]
        if isinstance(upload, RefusedUpload):
            raise ValidationError(too_large())
        return upload
