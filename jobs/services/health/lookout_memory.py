"""What the lookout remembers, in a file: it has to outlive restarts, and needs no database."""

import json
import logging
import os
from collections.abc import Collection
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

logger = logging.getLogger(__name__)

# What is over sooner is no news.
LASTS_FROM = timedelta(seconds=60)
# What was told and comes back sooner was never over: a part that ends again and again.
OVER_FROM = timedelta(minutes=3)
TOLD_AGAIN_AFTER = timedelta(hours=24)
# A lookout that did not look for so long does not know what lasted meanwhile.
GAP = timedelta(minutes=2)


@dataclass
class Remembered:
    """Something wrong: seen from when to when, and when somebody was told of it last."""

    seen_at: datetime
    last_seen_at: datetime
    told_at: datetime | None = None

    def is_due(self, now: datetime) -> bool:
        """Whether it has lasted long enough to be told, or to be told again."""
        if self.told_at is None:
            return now - self.seen_at >= LASTS_FROM
        return now - self.told_at >= TOLD_AGAIN_AFTER


@dataclass
class Memory:
    """What is wrong, by the keys of findings; whom to tell; whether they know of trouble."""

    wrong: dict[str, Remembered] = field(default_factory=dict)
    operators: list[str] = field(default_factory=list)
    told_of_trouble: bool = False
    looked_at: datetime | None = None

    def notice(self, keys: Collection[str], now: datetime) -> None:
        """Take in what is wrong now, and forget what has not been for a while."""
        before = self.looked_at
        had_a_gap = before is None or not timedelta() <= now - before <= GAP
        self.looked_at = now
        for key, known in list(self.wrong.items()):
            if key in keys or had_a_gap:
                known.last_seen_at = now
            if key in keys and had_a_gap and known.told_at is None:
                known.seen_at = now
            if now - known.last_seen_at >= (OVER_FROM if known.told_at else LASTS_FROM):
                del self.wrong[key]
        for key in keys:
            self.wrong.setdefault(key, Remembered(now, now))

    def is_due(self, keys: Collection[str], now: datetime) -> bool:
        """Whether somebody is to be told now that these are wrong."""
        return any(self.wrong[key].is_due(now) for key in keys)

    def note_told(self, keys: Collection[str], now: datetime) -> None:
        for key in keys:
            self.wrong.setdefault(key, Remembered(now, now)).told_at = now
        self.told_of_trouble = True

    @property
    def is_all_well(self) -> bool:
        """Whether all is over that somebody was told of."""
        return self.told_of_trouble and not self.wrong


def read(file: Path) -> Memory:
    """What the file holds; an empty memory where it is missing or damaged.

    Not when the last look was: what the parts did before a start says nothing about after it.
    """
    try:
        stored = json.loads(file.read_text())
        return Memory(
            wrong={key: _remembered(each) for key, each in stored["wrong"].items()},
            operators=[str(address) for address in stored["operators"]],
            told_of_trouble=bool(stored["told_of_trouble"]),
        )
    except FileNotFoundError:
        return Memory()
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        logger.warning("What the lookout remembered, in %s, cannot be read", file)
        return Memory()


def _remembered(stored: dict[str, str | None]) -> Remembered:
    told_at = stored["told_at"]
    return Remembered(
        seen_at=_moment(stored["seen_at"]),
        last_seen_at=_moment(stored["last_seen_at"]),
        told_at=None if told_at is None else _moment(told_at),
    )


def _moment(text: str | None) -> datetime:
    moment = datetime.fromisoformat(text or "")
    if moment.tzinfo is None:
        raise ValueError("a moment without its zone")
    return moment


def write(file: Path, memory: Memory) -> None:
    """Store what is remembered, whole or not at all; a full disk is only logged."""
    stored = {
        "told_of_trouble": memory.told_of_trouble,
        "operators": memory.operators,
        "wrong": {key: asdict(known) for key, known in memory.wrong.items()},
    }
    new = file.with_suffix(".new")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with open(descriptor, "w") as stream:
            json.dump(stored, stream, default=datetime.isoformat, indent=1)
        new.replace(file)
    except OSError as error:
        logger.warning("What the lookout remembers could not be stored: %s", error)
