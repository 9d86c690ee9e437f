"""What a sample job is written down in: people, columns, mappings and courses of life."""

from dataclasses import dataclass
from typing import Any

from .lives import PLAIN, Dialect, Job, Phase, Resource
from .modules import MODULES
from .sample_rows import Skip, Upload

MINUTE, HOUR, DAY = 60.0, 3600.0, 86400.0
BOYLE = ("111111000000035795", "Patricia Boyle")
OKAFOR = ("111111000000035801", "Chidi Okafor")
LINDQVIST = ("111111000000035816", "Maja Lindqvist")
LOADER = ("111111000000035902", "ERP Loader ")  # Zoho's own samples have such a trailing blank
Phases = tuple[Phase, ...]


@dataclass(frozen=True, slots=True)
class Sample:
    number: int
    label: str
    tags: tuple[str, ...]
    module: str
    file_name: str
    upload: Upload
    operation: str
    creator: tuple[str, str]
    #: Seconds from the epoch to the job's creation; never positive.
    created: float
    phases: Phases
    #: What the mappings have beyond name and index, by api name.
    extras: dict[str, dict[str, Any]]
    unmapped: tuple[str, ...] = ("External_Id", "Owner")
    has_counts: bool = True
    children: tuple[Resource, ...] = ()

    @property
    def id(self) -> str:
        return f"111111000000{self.number}"

    def job(self, epoch: float, speed: float) -> Job:
        resource = Resource(
            self.module,
            MODULES[self.module].id,
            self.file_name,
            self.upload.columns,
            mappings(self.upload, self.extras, self.unmapped),
            self.upload.tally,
            self.upload.rows,
            dialect=self.upload.dialect,
        )
        return Job(
            self.id,
            epoch + self.created,
            epoch,
            self.operation,
            self.creator,
            (resource, *self.children),
            self.phases,
            speed,
            self.has_counts,
            character_encoding=self.upload.dialect.encoding.upper(),
        )


def mappings(
    upload: Upload, extras: dict[str, dict[str, Any]], unmapped: tuple[str, ...] = ()
) -> tuple[dict[str, Any], ...]:
    """Return the field mappings of an upload; columns of ``unmapped`` are read by nobody."""
    found = []
    for index, (api_name, _) in enumerate(upload.fields):
        if api_name in unmapped:
            continue
        plain = {"index": index, "format": None, "find_by": None, "default_value": None}
        found.append({"api_name": api_name, **plain, **extras.get(api_name, {})})
    mapped = {mapping["api_name"] for mapping in found}
    # A default for a field that no column feeds: such a mapping has no index.
    for api_name, extra in extras.items():
        if api_name not in mapped:
            found.append({"api_name": api_name, "format": None, "find_by": None, **extra})
    return tuple(found)


def upload(
    number: int,
    fields: tuple[tuple[str, str], ...],
    *skips: Skip,
    dialect: Dialect = PLAIN,
    **counts: int,
) -> Upload:
    """Return an upload whose people and record ids are those of no other sample."""
    return Upload(
        fields,
        skips=skips,
        dialect=dialect,
        first_number=counts.pop("first_number", number % 100 * 1000),
        first_record_id=365239700000000000 + number * 1000000,
        **counts,
    )


def columns(*names: str, **headers: str) -> tuple[tuple[str, str], ...]:
    """Return columns that are headed by their api name unless told otherwise."""
    return tuple((name, headers.get(name, name)) for name in names)


def ended(after: float, status: str = "COMPLETED", code: str = "SUCCESS") -> Phases:
    """A job that was over before the epoch, or is over that many seconds after it."""
    return (
        Phase(after - 0.6 * MINUTE, "ADDED"),
        Phase(after - 0.5 * MINUTE, "INPROGRESS"),
        Phase(after, status, 1.0, code),
    )


def moving(until: float, status: str = "COMPLETED", code: str = "SUCCESS", **how: Any) -> Phases:
    """A job that is still ADDED at the epoch and ends ``until`` seconds after it."""
    begins = how.get("begins", 4.0)
    return (
        Phase(-DAY, "ADDED"),
        Phase(begins, how.get("word", "INPROGRESS")),
        Phase(until, status, how.get("reached", 1.0), code),
    )
