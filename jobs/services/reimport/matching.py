"""Which rows of an upload are the rows that a result file says were left out. Pure.

Zoho's result CSV holds the uploaded rows in their order, but of their columns the first three
mapped ones alone, and no number of a row. So a row is known by its place, where all places agree in
all columns shown, or else by its key: all columns that both files show, together. A key on rows
that were left out as well as on others says nothing about which is which.
"""

from array import array
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from hashlib import blake2b

from jobs.services.field_names import loosely

DIGEST_BYTES = 16
EXAMPLES = 20
LONGEST_NAME = 255
# What no digest is: the key of a row that shows no value, and of one that shows a lost character.
EMPTY = bytes(DIGEST_BYTES)
UNREADABLE = b"\xff" * DIGEST_BYTES
LOST_CHARACTER = "\ufffd"


def digest(content: bytes) -> bytes:
    return blake2b(content, digest_size=DIGEST_BYTES).digest()


def plain(value: str) -> str:
    """A value as it is compared: without what writing a CSV and reading it again may change."""
    if "\0" in value or "\r\n" in value:
        value = value.replace("\0", "").replace("\r\n", "\n")
    return value.strip()


def name_of(column: str) -> str:
    """A column's name as it is compared: results keep no longer ones."""
    return plain(column.lstrip("\ufeff"))[:LONGEST_NAME]


def key_of(values: Iterable[str]) -> bytes:
    """The key of a row with these values: equal for rows alike in all of them."""
    # No plain value holds a NUL, so the values cannot run into each other.
    text = "\0".join(map(plain, values))
    if LOST_CHARACTER in text:
        return UNREADABLE
    return digest(text.encode("utf-8", "surrogatepass")) if text.strip("\0") else EMPTY


def find_columns(
    shown: Sequence[str], header: Sequence[str], indexes: Sequence[int | None]
) -> list[int | None]:
    """The place in the upload's header of each column that the result shows; None if not found.

    By its name where that stands there once; else by `indexes`, the column index of the mapping
    that each shown column feeds, where the name there is the same or differs as labels and API
    names do.
    """
    names = list(map(name_of, header))
    found: list[int | None] = []
    for name, index in zip(map(name_of, shown), indexes, strict=True):
        places = [place for place, other in enumerate(names) if name and other == name]
        if len(places) != 1 and index is not None and 0 <= index < len(names):
            alike = loosely(name) and loosely(names[index]) == loosely(name)
            places = [index] if index in places or (not places and alike) else []
        found.append(places[0] if len(places) == 1 else None)
    return found


class Fate(IntEnum):
    """What became of a row, by the result: UNTOLD where its STATUS is none of Zoho's four."""

    WRITTEN = 0
    LEFT_OUT = 1
    UNTOLD = 2


class Keys:
    """The keys of a file's rows, `packed` to 16 bytes each."""

    def __init__(self) -> None:
        self.packed = bytearray()

    def __len__(self) -> int:
        return len(self.packed) // DIGEST_BYTES

    def __getitem__(self, row: int) -> bytes:
        return bytes(self.packed[row * DIGEST_BYTES : (row + 1) * DIGEST_BYTES])

    def __iter__(self) -> Iterator[bytes]:
        return (self[row] for row in range(len(self)))

    def append(self, key: bytes) -> None:
        self.packed += key


@dataclass
class ResultRows:
    """A result file's rows: their keys, fates, the numbers of their reasons.

    `shows_all`: whether the keys are made of all columns that the result shows.
    """

    shows_all: bool = True
    keys: Keys = field(default_factory=Keys)
    fates: bytearray = field(default_factory=bytearray)
    reasons: "array[int]" = field(default_factory=lambda: array("L"))


@dataclass
class OriginalRows:
    """An upload's rows: keys, and digests of the whole rows."""

    keys: Keys = field(default_factory=Keys)
    contents: Keys = field(default_factory=Keys)


@dataclass(frozen=True, slots=True)
class Doubt:
    """Left-out rows of one key that are not given back.

    `count` of the result's `rows` (the first of them; they count from 0), whose values stand on
    `others` of the result that were not left out and on `found` rows of the upload.
    """

    rows: tuple[int, ...]
    count: int
    others: int
    found: int


@dataclass
class Match:
    """What was found of the left-out rows; the four counts add up to all of them.

    `output`: the upload's rows to give back, ascending, counted from 0; `reasons`: for each of
    these the numbers of its reasons, several where it cannot be told which is its own.
    `by_order_alone`: rows given back whose key stands on a row too that was not left out.
    `unknown`: rows of the upload whose key the result does not have; `written_lost`: written rows
    that the upload lacks.
    The first of each kind of doubt are listed; of the changed ones the row numbers, from 0.
    """

    method: str
    output: "array[int]" = field(default_factory=lambda: array("L"))
    reasons: list[tuple[int, ...]] = field(default_factory=list)
    matched: int = 0
    ambiguous: int = 0
    missing: int = 0
    changed: int = 0
    by_order_alone: int = 0
    unknown: int = 0
    written_lost: int = 0
    ambiguous_rows: list[Doubt] = field(default_factory=list)
    missing_rows: list[Doubt] = field(default_factory=list)
    changed_rows: list[int] = field(default_factory=list)


def match(result: ResultRows, original: OriginalRows) -> Match:
    """Find the left-out rows of a result in the upload: by order if that is sure, else by key."""
    return _by_order(result, original) or _by_key(result, original)


def _by_order(result: ResultRows, original: OriginalRows) -> Match | None:
    """Every row at its own place; None where a place differs or nothing shows that none does.

    In few of the columns shown, sorted rows can look as if they were at their places.
    """
    if not result.shows_all or result.keys.packed != original.keys.packed:
        return None
    known = set(result.keys)
    if UNREADABLE in known or known <= {EMPTY}:
        return None
    keys, fates = result.keys, result.fates
    others = {keys[row] for row in range(len(keys)) if fates[row] != Fate.LEFT_OUT}
    found = Match("order")
    for row in range(len(keys)):
        if fates[row] == Fate.LEFT_OUT:
            found.output.append(row)
            found.reasons.append((result.reasons[row],))
            found.by_order_alone += keys[row] in others
    found.matched = len(found.output)
    return found


def _by_key(result: ResultRows, original: OriginalRows) -> Match:
    rows_of_key = Counter(result.keys)
    written_of_key: Counter[bytes] = Counter()
    left_out: dict[bytes, list[int]] = defaultdict(list)
    for row, key in enumerate(result.keys):
        if result.fates[row] == Fate.LEFT_OUT:
            left_out[key].append(row)
        elif result.fates[row] == Fate.WRITTEN:
            written_of_key[key] += 1
    originals: dict[bytes, list[int]] = defaultdict(list)
    found_of_key: Counter[bytes] = Counter()
    found = Match("key")
    for row, key in enumerate(original.keys):
        if key not in rows_of_key or key == UNREADABLE:
            found.unknown += 1
        elif key in left_out:
            originals[key].append(row)
        found_of_key[key] += 1

    output: list[tuple[int, tuple[int, ...]]] = []
    for key, rows in left_out.items():
        places = originals.get(key, [])
        given = _given_back(key, len(rows), rows_of_key[key], places, original.contents)
        doubt = Doubt(tuple(rows[:5]), len(rows), rows_of_key[key] - len(rows), len(places))
        if given is None:
            found.ambiguous += len(rows)
            _note(found.ambiguous_rows, doubt)
            continue
        why = tuple(dict.fromkeys(result.reasons[row] for row in rows))
        output.extend((place, why) for place in given)
        found.matched += len(given)
        if not given:
            _changed_or_missing(found, doubt, rows, rows_of_key, result, original)
        elif len(given) < len(rows):
            found.missing += len(rows) - len(given)
            _note(found.missing_rows, doubt)
    for key, written in written_of_key.items():
        found.written_lost += max(0, written - found_of_key[key])
    found.changed_rows = sorted(found.changed_rows)[:EXAMPLES]
    output.sort()
    found.output.extend(place for place, _ in output)
    found.reasons.extend(why for _, why in output)
    return found


def _given_back(
    key: bytes, left_out: int, rows: int, places: list[int], contents: Keys
) -> list[int] | None:
    """Which of an upload's rows with one key are left-out ones; None where that is not sure.

    `rows` of the result have the key, `left_out` of them were left out.
    """
    if key in (EMPTY, UNREADABLE):
        return None
    if not places:
        # The others are not there either: the left-out ones are just missing.
        return []
    alike = len({contents[place] for place in places}) == 1
    if left_out == rows:
        if len(places) <= left_out:
            return places
        return places[:left_out] if alike else None
    return places[:left_out] if alike and len(places) == rows else None


def _changed_or_missing(
    found: Match,
    doubt: Doubt,
    rows: list[int],
    rows_of_key: Counter[bytes],
    result: ResultRows,
    original: OriginalRows,
) -> None:
    """Tell a row that was changed at its place from one that is not there."""
    same_length = len(result.keys) == len(original.keys)
    changed = [row for row in rows if same_length and _is_unknown(original.keys[row], rows_of_key)]
    found.changed += len(changed)
    found.changed_rows.extend(changed)
    missing = sorted(set(rows) - set(changed))
    if missing:
        found.missing += len(missing)
        _note(found.missing_rows, Doubt(tuple(missing[:5]), len(missing), doubt.others, 0))


def _is_unknown(key: bytes, rows_of_key: Counter[bytes]) -> bool:
    return key == UNREADABLE or key not in rows_of_key


def _note(doubts: list[Doubt], doubt: Doubt) -> None:
    if len(doubts) < EXAMPLES:
        doubts.append(doubt)
