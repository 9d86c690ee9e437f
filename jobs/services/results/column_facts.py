"""What a result file shows of one of its columns, over the rows that a skip reason hit."""

import sys
from array import array
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from tempfile import TemporaryFile
from typing import BinaryIO

VALUES_SHOWN = 5
LONGEST_VALUE = 200
MOST_COUNTED = 5_000
# More than the rows that Zoho takes in a file, which are 25,000.
MOST_FOLLOWED = 40_000
# What an entry of a dictionary takes besides its key, and one of an array that grows.
ENTRY_BYTES = 150
FOLLOWED_BYTES = 10
READ_BYTES = 65_536


class Budget:
    """The memory that one analysis may spend on what a file can have any number of."""

    def __init__(self, bytes_left: int) -> None:
        self._left = bytes_left

    def take(self, size: int) -> bool:
        """Whether so many bytes are left; if so, they are taken."""
        if size > self._left:
            return False
        self._left -= size
        return True

    def give_back(self, size: int) -> None:
        self._left += size


class ValueCounts:
    """How often each value occurs. Exact, or nothing at all where there are too many."""

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self._spent = 0
        self._counts: Counter[str] | None = Counter()

    def add(self, values: Iterable[str]) -> None:
        """Count non-empty values."""
        if self._counts is None:
            return
        for value, rows in Counter(values).items():
            key = _bounded(value)
            if key not in self._counts:
                size = sys.getsizeof(key) + ENTRY_BYTES
                if len(self._counts) >= MOST_COUNTED or not self._budget.take(size):
                    self._budget.give_back(self._spent)
                    self._counts = None
                    return
                self._spent += size
            self._counts[key] += rows

    @property
    def different(self) -> int | None:
        return None if self._counts is None else len(self._counts)

    def most_frequent(self) -> list[list[object]]:
        counted = [] if self._counts is None else self._counts.most_common(VALUES_SHOWN)
        return [[value[:LONGEST_VALUE], rows] for value, rows in counted]


def _bounded(value: str) -> str:
    """The value, or as much as is shown of it and what tells it apart from others like it."""
    if len(value) <= LONGEST_VALUE:
        return value
    return f"{value[:LONGEST_VALUE]}\0{hash(value)}"


@dataclass
class ColumnFacts:
    """What a file shows of the column at a place among its `columns`, over the rows hit.

    `empty` counts rows with nothing but white space there. `repeated` counts those of the rows hit
    whose value, in any case, stands in another row of the file as well, `repeated_written` those
    for which such a row was added or updated; both are None where nobody asked or where there were
    too many values to follow.
    """

    column: int
    values: ValueCounts
    empty: int = 0
    repeated: int | None = None
    repeated_written: int | None = None

    def add(self, values: Sequence[str]) -> None:
        """Take in the column's values in rows that were hit."""
        present = [text for value in values if (text := value.strip())]
        self.empty += len(values) - len(present)
        self.values.add(present)

    def as_json(self) -> dict[str, object]:
        """As stored in `SkipReason.facts`.

        `values`: up to five of the most frequent values, each with its rows, cut to 200 characters;
        `different`: how many there are. Where they were too many to count, [] and None.
        """
        return {
            "column": self.column,
            "empty": self.empty,
            "values": self.values.most_frequent(),
            "different": self.values.different,
            "repeated": self.repeated,
            "repeated_written": self.repeated_written,
        }


class FollowedColumn:
    """All values of a column of a file, outside of the memory, to look for some among them.

    They are kept as 64-bit hashes in temporary files: that two values of a file share one is as
    good as impossible. `since` is the number of the first row whose value was seen.
    """

    def __init__(self, since: int) -> None:
        self.since = since
        self._all = TemporaryFile()  # noqa: SIM115 - closed by close()
        self._unwritten = TemporaryFile()  # noqa: SIM115

    def close(self) -> None:
        self._all.close()
        self._unwritten.close()

    def see(self, values: Sequence[str], unwritten: Iterable[int]) -> None:
        """Take in the values of some rows; `unwritten` are the indices of those not in the CRM."""
        # As `_hash` does, but without a call of it for every row of the file.
        hashes = array("q", map(hash, map(str.casefold, map(str.strip, values))))
        self._all.write(hashes)
        self._unwritten.write(array("q", [hashes[index] for index in unwritten]))

    def rows_of(self, hashes: Iterable[int]) -> tuple[dict[int, int], dict[int, int]]:
        """For each of these hashes, the rows that have it, and those of them not in the CRM.

        To be asked once all rows were seen.
        """
        rows = dict.fromkeys(hashes, 0)
        unwritten = dict.fromkeys(rows, 0)
        _count(self._all, rows)
        _count(self._unwritten, unwritten)
        return rows, unwritten


class FollowedValues:
    """The values of rows hit, to be looked for among the other rows of their file."""

    def __init__(self, column: FollowedColumn, budget: Budget) -> None:
        self._column = column
        self._budget = budget
        self._hit = array("q")
        self._are_too_many = False

    def add(self, values: Iterable[str]) -> None:
        """Take in the values of rows hit, none of which is in the CRM; empty ones are no values."""
        if self._are_too_many:
            return
        hashes = array("q", [value for value in map(_hash, values) if value != _EMPTY])
        known = len(self._hit)
        fits = known + len(hashes) <= MOST_FOLLOWED
        if fits and self._budget.take(len(hashes) * FOLLOWED_BYTES):
            self._hit.extend(hashes)
            return
        self._are_too_many = True
        self._budget.give_back(known * FOLLOWED_BYTES)
        self._hit = array("q")

    def settle(self, facts: ColumnFacts) -> None:
        """Set what is repeated, once all rows of the file were seen."""
        if self._are_too_many:
            return
        rows, unwritten = self._column.rows_of(self._hit)
        facts.repeated = sum(rows[value] > 1 for value in self._hit)
        facts.repeated_written = sum(rows[value] > unwritten[value] for value in self._hit)


def _hash(value: str) -> int:
    return hash(value.strip().casefold())


_EMPTY = _hash("")


def _count(file: BinaryIO, counts: dict[int, int]) -> None:
    """Count how often the hashes that are keys stand in a file of hashes.

    No Counter of the file's own: it would hold each key a second time.
    """
    file.seek(0)
    while data := file.read(READ_BYTES):
        for value in filter(counts.__contains__, array("q", data)):
            counts[value] += 1
