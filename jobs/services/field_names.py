"""Which mapping, and which column of a result file, a name in the ERRORS column means.

Pure. Zoho's documentation says that ERRORS names column headers, its sample shows API names; a
result file shows the first three mapped columns of the upload under their own headers (the v7 page
"Download Result"). So a name is looked for among the API names, the headers, and both loosely.
"""

import re
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any, Generic, Protocol, TypeVar

_NOT_ALNUM = re.compile(r"[\W_]+")


class Mapping(Protocol):
    """A field mapping, as far as names go: `models.FieldMapping` is one."""

    # str, and int or None; mypy does not see through the fields of a model here.
    api_name: Any
    index: Any


M = TypeVar("M", bound=Mapping)


class FieldNames(Generic[M]):
    """The names of one resource's fields and of the columns that its result file shows."""

    def __init__(self, mappings: Sequence[M], columns: Sequence[str]) -> None:
        self._mappings = [mapping for mapping in mappings if mapping.api_name]
        self._columns = columns
        self._shown = self._mappings_of_columns()

    def mapping_of(self, name: str) -> M | None:
        """The mapping that a name of the ERRORS column means; None where none can be told.

        A name can be one field's API name and the header over another's column: then none.
        """
        if not name:
            return None
        exact = _alone(mapping for mapping in self._mappings if mapping.api_name == name)
        if name in self._columns:
            shown = self._shown[self._columns.index(name)]
            return shown if exact is None or exact is shown else None
        return exact or _alone(
            mapping for mapping in self._mappings if loosely(mapping.api_name) == loosely(name)
        )

    def column_of(self, name: str) -> int | None:
        """The place among the result file's columns of what a name means; None if not shown."""
        if not name:
            return None
        if name in self._columns:
            return self._columns.index(name)
        mapping = self.mapping_of(name)
        return None if mapping is None else self.column_of_mapping(mapping)

    def column_of_mapping(self, mapping: M) -> int | None:
        """The place among the result file's columns of the column that feeds a mapping."""
        for place, shown in enumerate(self._shown):
            if shown is not None and shown.index is not None and shown.index == mapping.index:
                return place
        return None

    def mapping_shown(self, place: int) -> M | None:
        """The mapping that a column of the result file feeds; None where that cannot be told."""
        return self._shown[place] if place < len(self._shown) else None

    def _mappings_of_columns(self) -> list[M | None]:
        """By name; the others by order, if list and indexes agree on it and no name denies it.

        None where a name means another mapping than the column's place does.
        """
        fed = _one_per_column(mapping for mapping in self._mappings if mapping.index is not None)
        by_index = sorted(fed, key=lambda mapping: mapping.index or 0)
        by_order = [
            fed[place] if place < len(fed) and fed[place] is by_index[place] else None
            for place in range(len(self._columns))
        ]
        by_name = [
            _alone(m for m in fed if m.api_name == column)
            or _alone(m for m in fed if loosely(m.api_name) == loosely(column))
            for column in self._columns
        ]
        places = list(zip(by_name, by_order, strict=True))
        if any(named and placed and named is not placed for named, placed in places):
            return [named if placed in (named, None) else None for named, placed in places]
        return [named or placed for named, placed in places]


@lru_cache(maxsize=4096)
def loosely(name: str) -> str:
    """A name without what labels and API names differ in: "Last Name" and "Last_Name" are alike."""
    return _NOT_ALNUM.sub("", name).casefold()


def _one_per_column(mappings: Iterable[M]) -> list[M]:
    """The first mapping of each column, as one column can feed several fields."""
    first: dict[int | None, M] = {}
    for mapping in mappings:
        first.setdefault(mapping.index, mapping)
    return list(first.values())


def _alone(found: Iterable[M]) -> M | None:
    items = list(found)
    return items[0] if len(items) == 1 else None
