"""What a result ZIP holds: its rows by STATUS, and why rows were left out."""

import sys
from collections import Counter
from collections.abc import Iterable, Sequence, Set
from dataclasses import dataclass, field
from itertools import compress
from typing import BinaryIO, NamedTuple

from jobs.models import FieldMapping, Resource
from jobs.services import reasons
from jobs.services.field_names import FieldNames
from jobs.services.results.column_facts import (
    Budget,
    ColumnFacts,
    FollowedColumn,
    FollowedValues,
    ValueCounts,
)
from jobs.services.results.resources import names_known, resources_of_members
from jobs.zoho.result_files import Block, Member, ResultArchive, ResultFileError, RowReader

# Of one reason.
FIRST_ROWS = 20
SAMPLES = 5
SAMPLE_COLUMNS = 10
LONGEST_SAMPLE = 200
# Of one file.
MAX_REASONS_PER_FILE = 500
MAX_STATUSES = 100
MAX_FOLLOWED_COLUMNS = 3
# Of one ZIP: what its analysis may hold of reasons, and of their values and samples. Apart, for
# values are nice to know, but a reason that is not listed is missed.
REASONS_MEMORY = 5 * 1024 * 1024
VALUES_MEMORY = 5 * 1024 * 1024
# Of one file: three columns of 25,000 rows hit take half of it.
FOLLOWED_MEMORY = 1536 * 1024
REASON_BYTES = 2_000
SAMPLE_BYTES = 500

ROW_COUNT_FIELDS = {
    "added": "added_rows",
    "updated": "updated_rows",
    "skipped": "skipped_rows",
    "unprocessed": "unprocessed_rows",
}
WRITTEN = frozenset({"added", "updated"})
LEFT_OUT = frozenset({"skipped", "unprocessed"})


@dataclass
class Reason:
    """The rows of one file that one error on one field hit.

    `first_rows` are the numbers of the first 20; `samples` as in `SkipReason`. `facts` is None
    where the file does not show the field's column.
    """

    facts: ColumnFacts | None = None
    followed: FollowedValues | None = None
    rows: int = 0
    first_rows: list[int] = field(default_factory=list)
    samples: list[dict[str, object]] = field(default_factory=list)


@dataclass
class FileAnalysis:
    """What one CSV of a result holds.

    `resource`: the one it belongs to, None where that cannot be told. `statuses`: rows by
    lower-case STATUS. `reasons`: by code and field, of rows that are not in the CRM;
    `written_with_errors`: how many are, although Zoho names an error. `other_rows`: numbers of the
    first rows whose STATUS is none of the four that Zoho documents. `ragged` and `undecodable` as
    in `RowReader`, with the numbers of the first such rows. `error`: why the file cannot be read;
    then nothing else of it is known but its resource.
    """

    member: Member
    resource: Resource | None = None
    columns: Sequence[str] = ()
    encoding: str = ""
    statuses: Counter[str] = field(default_factory=Counter)
    reasons: dict[tuple[str, str], Reason] = field(default_factory=dict)
    written_with_errors: int = 0
    other_rows: list[int] = field(default_factory=list)
    ragged: int = 0
    ragged_rows: Sequence[int] = ()
    undecodable: int = 0
    undecodable_rows: Sequence[int] = ()
    error: str = ""

    @property
    def rows(self) -> int | None:
        return None if self.error else self.statuses.total()

    def row_counts(self) -> dict[str, int | None]:
        """The counts as the fields of `RowCountsMixin`; null where the file was not readable."""
        if self.error:
            return dict.fromkeys([*ROW_COUNT_FIELDS.values(), "other_rows"])
        known = {name: self.statuses[status] for status, name in ROW_COUNT_FIELDS.items()}
        return {**known, "other_rows": self.statuses.total() - sum(known.values())}


def analyse(
    file: BinaryIO, encoding: str = "", resources: Sequence[Resource] = ()
) -> list[FileAnalysis]:
    """Count rows by STATUS and skip reasons by (code, field) in each CSV of a result ZIP.

    `encoding` is the job's `character_encoding`; `resources` are its resources in their order, with
    their `field_mappings`. The file is read as a stream; what is kept of it is bounded, whatever it
    holds. Raises ResultFileError where the ZIP as a whole cannot be read; a CSV that cannot be has
    its `error` set instead.
    """
    analyses = []
    memory = _Memory(Budget(REASONS_MEMORY), Budget(VALUES_MEMORY))
    with ResultArchive(file) as archive:
        owners = resources_of_members([member.name for member in archive.members], resources)
        for member, resource in zip(archive.members, owners, strict=True):
            try:
                names = names_known(resource, resources)
                reader = archive.rows(member, encoding=encoding or None, mapped_columns=names)
                analyses.append(_FileReading(member, resource, reader, memory).analysis())
            except ResultFileError as error:
                analyses.append(FileAnalysis(member, resource, error=str(error)[:500]))
    if not analyses:
        raise ResultFileError("The ZIP file from Zoho holds no CSV file.")
    return analyses


class _Memory(NamedTuple):
    """What is left for the files of a ZIP.

    To `reasons` nothing is ever given back, so that an error that was once counted among the
    other reasons of its file is counted there in all rows.
    """

    reasons: Budget
    values: Budget


class _FileReading:
    """One CSV, while it is being analysed."""

    def __init__(
        self, member: Member, resource: Resource | None, reader: RowReader, memory: _Memory
    ) -> None:
        mappings = [] if resource is None else list(resource.field_mappings.all())
        self._names: FieldNames[FieldMapping] = FieldNames(mappings, reader.columns)
        self._reader = reader
        self._memory = memory
        self._memory_of_followed = Budget(FOLLOWED_MEMORY)
        self._followed: dict[int, FollowedColumn] = {}
        self._shown = reader.places[:SAMPLE_COLUMNS]
        self._found = FileAnalysis(member, resource, reader.columns, reader.encoding)

    def analysis(self) -> FileAnalysis:
        found, reader = self._found, self._reader
        try:
            for block in reader.blocks():
                self._take(block)
            found.ragged, found.ragged_rows = reader.ragged, reader.ragged_rows
            found.undecodable = reader.undecodable
            found.undecodable_rows = reader.undecodable_rows
            self._settle_repeated()
        finally:
            for column in self._followed.values():
                column.close()
        return found

    def _take(self, block: Block) -> None:
        statuses = _Statuses(block, self._reader)
        self._count_statuses(block, statuses)
        noted = self._noted(block, statuses)
        unwritten = statuses.unwritten(noted)
        for key, indices in self._hits(block, unwritten, statuses).items():
            self._note(self._found.reasons[key], block, indices)
        if len(noted) > len(unwritten):
            written = sorted(set(noted).difference(unwritten))
            texts = block.pick(self._reader.errors_place, written)
            self._found.written_with_errors += sum(map(bool, map(self._reader.errors_of, texts)))
        for place, column in self._followed.items():
            column.see(block.column(self._reader.places[place]), unwritten)

    def _count_statuses(self, block: Block, block_statuses: "_Statuses") -> None:
        statuses, other_rows = self._found.statuses, self._found.other_rows
        for text, rows in block_statuses.counts.items():
            name = block_statuses.names[text]
            known = name in statuses or len(statuses) < MAX_STATUSES
            statuses[name if known else "other"] += rows
        odd = block_statuses.other
        if odd and len(other_rows) < FIRST_ROWS:
            found = [block.first + i for i, text in enumerate(block_statuses.raw) if text in odd]
            other_rows.extend(found[: FIRST_ROWS - len(other_rows)])

    def _noted(self, block: Block, statuses: "_Statuses") -> list[int]:
        """The indices of rows that are not in the CRM, or are although they have an error."""
        texts = block.column(self._reader.errors_place)
        # Nearly all that are not in the CRM have an error: the others are seldom to be looked for.
        noted = list(compress(range(block.rows), texts))
        if len(statuses.unwritten(noted)) < statuses.unwritten_rows:
            noted = [
                index
                for index, (status, text) in enumerate(zip(statuses.raw, texts, strict=True))
                if text or status not in statuses.written
            ]
        return noted

    def _hits(
        self, block: Block, noted: list[int], statuses: "_Statuses"
    ) -> dict[tuple[str, str], list[int]]:
        """The indices of rows that a reason kept out, in order, by the reason."""
        by_text: dict[str, list[int]] = {}
        for index, text in zip(noted, block.pick(self._reader.errors_place, noted), strict=True):
            by_text.setdefault(text, []).append(index)
        hits: dict[tuple[str, str], list[int]] = {}
        for text, indices in by_text.items():
            keys = [(code[:100], name[:255]) for code, name in self._reader.errors_of(text)]
            if keys:
                for key in {self._listed(key, block): None for key in keys}:
                    hits.setdefault(key, []).extend(indices)
                continue
            for index in indices:
                if statuses.raw[index] in statuses.left_out:
                    silence = reasons.of_silence(statuses.names[statuses.raw[index]])
                    hits.setdefault(self._listed((silence, ""), block), []).append(index)
        return {key: sorted(indices) for key, indices in hits.items()}

    def _listed(self, key: tuple[str, str], block: Block) -> tuple[str, str]:
        """The reason under which one is counted: itself, or all further ones together."""
        found = self._found.reasons
        if key in found:
            return key
        size = REASON_BYTES + sum(map(sys.getsizeof, key))
        if len(found) >= MAX_REASONS_PER_FILE or not self._memory.reasons.take(size):
            key = (reasons.OTHER_REASONS, "")
        if key not in found:
            found[key] = self._new_reason(key, block)
        return key

    def _new_reason(self, key: tuple[str, str], block: Block) -> Reason:
        place = self._names.column_of(key[1])
        if place is None:
            return Reason()
        reason = Reason(ColumnFacts(place, ValueCounts(self._memory.values)))
        if key[0] == "DUPLICATE_DATA":
            if place not in self._followed and len(self._followed) < MAX_FOLLOWED_COLUMNS:
                self._followed[place] = FollowedColumn(since=block.first)
            if place in self._followed:
                reason.followed = FollowedValues(self._followed[place], self._memory_of_followed)
        return reason

    def _note(self, reason: Reason, block: Block, indices: list[int]) -> None:
        """Take in the rows of a block that a reason hit."""
        reason.rows += len(indices)
        numbers = [block.first + index for index in indices[: FIRST_ROWS - len(reason.first_rows)]]
        reason.first_rows.extend(numbers)
        for index in indices[: SAMPLES - len(reason.samples)]:
            cells = block.row(index)
            values = [cells[place][:LONGEST_SAMPLE] for place in self._shown]
            if self._memory.values.take(SAMPLE_BYTES + sum(map(sys.getsizeof, values))):
                reason.samples.append({"row": block.first + index, "values": values})
        if reason.facts is None:
            return
        place = self._reader.places[reason.facts.column]
        reason.facts.add(block.pick(place, indices))
        if reason.followed is not None:
            reason.followed.add(block.pick(place, indices))

    def _settle_repeated(self) -> None:
        """Look for the values of rows hit among all rows, also among those before the first hit."""
        since = max((column.since for column in self._followed.values()), default=1)
        for block in self._reader.blocks() if since > 1 else ():
            if block.first >= since:
                break
            statuses = _Statuses(block, self._reader)
            unwritten = statuses.unwritten(range(block.rows))
            for place, column in self._followed.items():
                if block.first < column.since:
                    column.see(block.column(self._reader.places[place]), unwritten)
        for reason in self._found.reasons.values():
            if reason.facts is not None and reason.followed is not None:
                reason.followed.settle(reason.facts)
                reason.followed = None


class _Statuses:
    """The STATUS column of a block: its texts, and what they mean (" SKIPPED" is "skipped")."""

    def __init__(self, block: Block, reader: RowReader) -> None:
        self.raw = block.column(reader.status_place)
        self.counts = Counter(self.raw)
        self.names = {text: text.strip().lower()[:100] for text in self.counts}
        self.written = self._meaning(WRITTEN)
        self.left_out = self._meaning(LEFT_OUT)
        self.other = self.names.keys() - self.written - self.left_out

    @property
    def unwritten_rows(self) -> int:
        return len(self.raw) - sum(self.counts[text] for text in self.written)

    def unwritten(self, indices: Iterable[int]) -> list[int]:
        """Those of the rows that are not in the CRM."""
        return [index for index in indices if self.raw[index] not in self.written]

    def _meaning(self, wanted: Set[str]) -> set[str]:
        return {text for text, name in self.names.items() if name in wanted}
