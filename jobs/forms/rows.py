"""The form behind the rows page and its downloads."""

from collections.abc import Sequence
from typing import Any

from django import forms

from jobs.forms.jobs import AddressForm
from jobs.models import ResultFile
from jobs.services.results.reading import ROW_STATUSES, RowFilter

LONGEST_REASON = 255


class RowFilterForm(AddressForm):
    """What an address asks for among the rows of a result, whose `files` it may name."""

    file = forms.CharField(required=False, max_length=20)
    status = forms.CharField(required=False, max_length=20)
    code = forms.CharField(required=False, max_length=100, strip=False)
    field = forms.CharField(required=False, max_length=LONGEST_REASON, strip=False)
    q = forms.CharField(required=False, max_length=200, label="Search")

    def __init__(self, data: Any, *, files: Sequence[ResultFile]) -> None:
        super().__init__(data)
        self.result_files = {str(file.position): file for file in files}

    def clean_file(self) -> ResultFile | None:
        return self.result_files.get(self.known("file", list(self.result_files)))

    def clean_status(self) -> str:
        return self.known("status", list(ROW_STATUSES))

    def read(self) -> tuple[ResultFile | None, RowFilter]:
        """The file, and the filter of its rows, as far as they make sense.

        An empty `field` beside a `code` is the reason that names no field.
        """
        self.ignore_errors()
        asked = {"file": None, "status": "", "code": "", "field": "", "q": ""} | self.cleaned_data
        code, field = asked["code"], asked["field"]
        names_field = "field" in self.data and "field" not in self.errors
        return asked["file"], RowFilter(
            status=asked["status"],
            code=code,
            field=field if field or (code and names_field) else None,
            text=asked["q"],
        )
