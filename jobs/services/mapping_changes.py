"""What differs between a mapping and that of the module's job before it."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from django.db.models import Exists, OuterRef, Subquery

from jobs.models import BulkWriteJob, FieldMapping, Resource
from jobs.models.job import BulkWriteJobQuerySet
from jobs.services.diagnosis import default_text

ARROW = "→"
JOBS_LOOKED_AT = 1_000


@dataclass(frozen=True, slots=True)
class Change:
    """One difference, as "Stage: column 133 → column 3".

    `field`: "" where it is about the file or the job as a whole. `mapping`: that of the later job;
    None where it has none.
    """

    field: str
    what: str
    mapping: FieldMapping | None = None

    def __str__(self) -> str:
        return f"{self.field}: {self.what}" if self.field else self.what


def previous(resources: Sequence[Resource]) -> dict[int, Resource]:
    """By the key of each of one job's resources, the same module's in the latest job before it.

    That is the latest among `JOBS_LOOKED_AT` earlier jobs of the connection that has mappings of
    the module; of several files of the module in it, the one at the same place. With its
    `field_mappings` and `job`. Four queries, whatever the number of resources.
    """
    modules = {resource.module for resource in resources} - {""}
    if not modules:
        return {}
    has_mappings = Exists(FieldMapping.objects.filter(resource=OuterRef("pk")))
    of_module = Resource.objects.filter(
        has_mappings, job=OuterRef("pk"), module=OuterRef(OuterRef("module"))
    )
    earlier = _looked_at(resources[0].job).filter(Exists(of_module))
    own = Resource.objects.filter(pk__in=[resource.pk for resource in resources])
    job_of = dict(own.values_list("module", Subquery(earlier.values("pk")[:1])))
    found = Resource.objects.filter(has_mappings, job__in=set(job_of.values()), module__in=modules)
    by_place: dict[tuple[str, int], list[Resource]] = {}
    for other in found.select_related("job").prefetch_related("field_mappings"):
        by_place.setdefault((other.module, other.job_id), []).append(other)
    chosen = {}
    for resource in resources:
        same = by_place.get((resource.module, job_of.get(resource.module) or 0), [])
        if same:
            at_same_place = [other for other in same if other.position == resource.position]
            chosen[resource.pk] = (at_same_place or same)[0]
    return chosen


def _looked_at(job: BulkWriteJob) -> BulkWriteJobQuerySet:
    """The jobs before this one, the latest first, and not all of a long history."""
    earlier = BulkWriteJob.objects.before(job)
    since = earlier.values_list("created_time", flat=True)[JOBS_LOOKED_AT - 1 : JOBS_LOOKED_AT]
    # The moment, and not the keys of so many jobs, lets the database stop at the first that fits.
    oldest = since.first() if job.created_time is not None else None
    return earlier.filter(created_time__gte=oldest) if oldest else earlier


def changes(before: Resource, after: Resource) -> list[Change]:
    """What changed from one job's resource to a later one's, the whole first, then by field.

    Pure, where both come with their `field_mappings` and `job`. What Zoho left unsaid in either job
    is no change.
    """
    return [*_of_the_whole(before, after), *_of_fields(before, after)]


def _of_the_whole(before: Resource, after: Resource) -> Iterator[Change]:
    then, now = before.job.operation, after.job.operation
    if then and now and then != now:
        yield Change("", f"operation {then} {ARROW} {now}")
    if before.find_by != after.find_by:
        yield Change("", _turned("find_by", before.find_by, after.find_by))
    if None not in (before.ignore_empty, after.ignore_empty) and (
        before.ignore_empty != after.ignore_empty
    ):
        now_ignored = "leave fields as they are" if after.ignore_empty else "empty their fields"
        yield Change("", f"empty cells now {now_ignored}")


def _of_fields(before: Resource, after: Resource) -> Iterator[Change]:
    old, new = _by_name(before), _by_name(after)
    for name in dict.fromkeys([*new, *old]):
        label = name or "a mapping without a field"
        pairs, added, dropped = _paired(old[name], new[name])
        for was, mapping in pairs:
            for what in _differences(was, mapping):
                yield Change(label, what, mapping)
        for mapping in added:
            yield Change(label, f"new, from {_source(mapping)}", mapping)
        for was in dropped:
            yield Change(label, f"no longer mapped, was {_source(was)}")


def _by_name(resource: Resource) -> defaultdict[str, list[FieldMapping]]:
    named = defaultdict(list)
    for mapping in resource.field_mappings.all():
        named[mapping.api_name].append(mapping)
    return named


def _paired(
    old: list[FieldMapping], new: list[FieldMapping]
) -> tuple[list[tuple[FieldMapping, FieldMapping]], list[FieldMapping], list[FieldMapping]]:
    """Mappings of one field then and now: those of the same column together, others in order."""
    pairs, rest = [], list(old)
    unpaired = []
    for mapping in new:
        same = next((was for was in rest if was.index == mapping.index), None)
        if same is None:
            unpaired.append(mapping)
        else:
            rest.remove(same)
            pairs.append((same, mapping))
    pairs += zip(rest, unpaired, strict=False)
    return pairs, unpaired[len(rest) :], rest[len(unpaired) :]


def _differences(was: FieldMapping, now: FieldMapping) -> Iterator[str]:
    if was.index != now.index:
        yield f"{_column(was.index)} {ARROW} {_column(now.index)}"
    if was.default_value != now.default_value:
        then, today = (
            "" if mapping.default_value is None else default_text(mapping.default_value)
            for mapping in (was, now)
        )
        yield _turned("default value", then, today)
    for what, one, other in (
        ("find_by", was.find_by or "", now.find_by or ""),
        ("format", was.format or "", now.format or ""),
        ("linked module", was.module or "", now.module or ""),
    ):
        if one != other:
            yield _turned(what, one, other)
    if was.parent_column_index != now.parent_column_index:
        then_column, column = _column(was.parent_column_index), _column(now.parent_column_index)
        yield f"parent column: {then_column} {ARROW} {column}"


def _turned(what: str, then: str, now: str) -> str:
    """A setting that is gone, new or another: "find_by Email gone", "format a → b"."""
    if not now:
        return f"{what} {then} gone"
    return f"{what} {then} {ARROW} {now}" if then else f"new {what} {now}"


def _column(index: int | None) -> str:
    return "no column" if index is None else f"column {index + 1}"


def _source(mapping: FieldMapping) -> str:
    if mapping.index is None and mapping.default_value is not None:
        return f"the default value {default_text(mapping.default_value)}"
    return _column(mapping.index)
