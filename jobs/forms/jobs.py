"""Forms of the job pages: the list's filters, and registering ids."""

from collections.abc import Sequence
from typing import Any

from django import forms
from django.core.exceptions import ValidationError

from jobs.models import BulkWriteJob, Connection, Outcome, checked_addresses
from jobs.services.registering import job_ids, tracking

OPERATIONS = ("insert", "update", "upsert")
MOST_RECIPIENTS = 50

# Column of the list -> field it is sorted by.
SORTS = {
    "job": "zoho_job_id",
    "outcome": "outcome",
    "module": "modules",
    "operation": "operation",
    "rows": "total_count",
    "skipped": "skip_ratio",
    "changed": "last_changed_at",
    "registered": "pk",
}
DEFAULT_SORT = "-registered"


class AddressForm(forms.Form):
    """What an address asks for. What makes no sense is left out and named in `ignored`."""

    def __init__(self, data: Any) -> None:
        super().__init__(data)
        self.ignored: list[str] = []

    def known(self, name: str, known: Sequence[str]) -> str:
        """The value of a field if it is among the known ones, else "", and it is ignored."""
        asked = self.cleaned_data[name]
        self.ignore_unknown(name, {asked} - {"", *known})
        return asked if asked in known else ""

    def ignore_unknown(self, name: str, values: set[Any]) -> None:
        self.ignored.extend(f"{name} “{str(value)[:60]}”" for value in sorted(values, key=str))

    def ignore_errors(self) -> None:
        """Check all fields, and ignore those whose values are no such thing."""
        self.full_clean()
        for name in self.errors:
            self.ignored.append(f"{self[name].label.lower()} “{self.data.get(name, '')[:60]}”")


class JobFilterForm(AddressForm):
    """What the address of the job list asks for."""

    q = forms.CharField(required=False, max_length=200, label="Search")
    outcome = forms.Field(required=False, widget=forms.MultipleHiddenInput)
    attention = forms.Field(required=False)
    connection = forms.CharField(required=False, max_length=60)
    operation = forms.CharField(required=False, max_length=20)
    module = forms.CharField(required=False, max_length=255)
    found = forms.CharField(required=False, max_length=20)
    since = forms.DateField(required=False, label="Ended from")
    until = forms.DateField(required=False, label="Ended to")
    sort = forms.CharField(required=False, max_length=20)

    def __init__(self, data: Any, *, connection_names: Sequence[str]) -> None:
        super().__init__(data)
        self.connection_names = connection_names

    def clean_outcome(self) -> list[str]:
        asked = self.cleaned_data["outcome"] or []
        self.ignore_unknown("outcome", set(asked) - set(Outcome.values))
        return [value for value in Outcome.values if value in asked]

    def clean_attention(self) -> bool:
        asked = self.cleaned_data["attention"]
        self.ignore_unknown("attention", {asked} - {None, "", "0", "1"})
        return asked == "1"

    def clean_connection(self) -> str:
        return self.known("connection", self.connection_names)

    def clean_operation(self) -> str:
        return self.known("operation", OPERATIONS)

    def clean_found(self) -> str:
        return self.known("found", [BulkWriteJob.FoundBy.CALLBACK])

    def clean_sort(self) -> str:
        asked = self.cleaned_data["sort"]
        if asked and asked.removeprefix("-") not in SORTS:
            self.ignore_unknown("sort", {asked})
            return DEFAULT_SORT
        return asked or DEFAULT_SORT

    def read(self) -> dict[str, Any]:
        """The filters that make sense; `ignored` names the rest."""
        self.ignore_errors()
        empty = {"q": "", "module": "", "since": None, "until": None, "sort": DEFAULT_SORT}
        return empty | {"connection": "", "operation": "", "found": ""} | self.cleaned_data


class TrackForm(forms.Form):
    """Job ids to register, in whatever form they are pasted, and what holds for all of them."""

    ids = forms.CharField(
        label="Job ids",
        strip=False,
        widget=forms.Textarea(
            attrs={
                "class": "ids",
                "rows": 10,
                "spellcheck": "false",
                "autocomplete": "off",
                "placeholder": "111111000000541958\n111111000000541962, 111111000000541970\n"
                '{"data": [{"details": {"id": "…"}}]}',
            }
        ),
        help_text="One to a line or several with commas; a table with a column of ids; answers to "
        "create-job calls, lines of a log, addresses: whatever your loader prints.",
        error_messages={"required": "Paste at least one job id."},
    )
    connection = forms.ModelChoiceField(
        Connection.objects.none(), label="Connection", empty_label="Choose a connection"
    )
    label = forms.CharField(
        label="Label",
        required=False,
        max_length=200,
        help_text="What people call this import. It stands in the list and in mails.",
    )
    tags = forms.CharField(
        label="Tags", required=False, max_length=1000, help_text="Parted by commas."
    )
    alert_recipients = forms.CharField(
        label="Mail about these jobs to",
        required=False,
        max_length=5000,
        help_text="Mail addresses, parted by commas. Left empty, the connection's are used.",
    )
    skip_threshold_percent = forms.IntegerField(
        label="Skipped rows are bad from",
        required=False,
        min_value=1,
        max_value=100,
        help_text="Percent of the rows. Left empty, the connection's limit holds.",
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        connections = Connection.objects.all()
        choice = self.fields["connection"]
        assert isinstance(choice, forms.ModelChoiceField)  # noqa: S101 - says it to mypy
        choice.queryset = connections
        known = list(connections.values_list("pk", flat=True)[:2])
        if len(known) == 1:
            self.initial.setdefault("connection", known[0])

    def clean_ids(self) -> job_ids.Paste:
        try:
            paste = job_ids.read(self.cleaned_data["ids"])
        except job_ids.TooManyIdsError as error:
            raise ValidationError(str(error)) from error
        if not paste.entries and paste.lines_without_id:
            raise ValidationError(f"No job id stands in what was pasted. {job_ids.NO_ID}")
        if not paste.entries:
            raise ValidationError("Paste at least one job id.")
        return paste

    @property
    def for_all(self) -> dict[str, Any]:
        """What holds for all jobs, as `tracking.track` takes it."""
        names = ("label", "tags", "alert_recipients", "skip_threshold_percent")
        return {name: self.cleaned_data[name] for name in names}

    def clean_tags(self) -> list[str]:
        return tracking.read_tags(self.cleaned_data["tags"])

    def clean_alert_recipients(self) -> str:
        addresses = checked_addresses(self.cleaned_data["alert_recipients"])
        if len(addresses) > MOST_RECIPIENTS:
            raise ValidationError(f"At most {MOST_RECIPIENTS} addresses.")
        return ", ".join(addresses)
