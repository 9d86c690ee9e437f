"""Which resource of a job each CSV of its result belongs to. Pure."""

from collections.abc import Sequence

from jobs.models import Resource
from jobs.zoho.result_files import CSV_SUFFIXES

_SUFFIXES = (*CSV_SUFFIXES, ".zip")


def resources_of_members(
    names: Sequence[str], resources: Sequence[Resource]
) -> list[Resource | None]:
    """For each CSV of a result ZIP, by its name, the resource it belongs to; None if unknown.

    Zoho names a CSV `<Module>-<uploaded name>` (the v7 page "Download Result"). The uploaded name
    tells apart several resources of one module. The order settles the rest only where there are as
    many files as resources and no name speaks against it.
    """
    by_name = [_by_name(name, resources) for name in names]
    fits = len(names) == len(resources) and all(
        found is None or found is resource
        for found, resource in zip(by_name, resources, strict=True)
    )
    return [found or (resources[place] if fits else None) for place, found in enumerate(by_name)]


def names_known(resource: Resource | None, resources: Sequence[Resource]) -> list[str]:
    """The API names that a CSV's ERRORS column may hold: its resource's, or those of all."""
    return [
        mapping.api_name
        for known in ([resource] if resource is not None else resources)
        for mapping in known.field_mappings.all()
        if mapping.api_name
    ]


def _by_name(name: str, resources: Sequence[Resource]) -> Resource | None:
    stem = _stem(name)
    exact = [
        resource
        for resource in resources
        if resource.file_name
        and stem in (_stem(resource.file_name), _stem(f"{resource.module}-{resource.file_name}"))
    ]
    if len(exact) == 1:
        return exact[0]
    of_module = [
        resource
        for resource in resources
        if resource.module and f"{stem}-".startswith(f"{resource.module.casefold()}-")
    ]
    return of_module[0] if len(of_module) == 1 else None


def _stem(name: str) -> str:
    name = name.casefold().strip()
    for suffix in _SUFFIXES:
        name = name.removesuffix(suffix)
    return name
