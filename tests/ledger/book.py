"""What became of every request: the clients' side of it, and the application's."""

from __future__ import annotations

import enum
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path

__all__ = ["Book", "Entry", "Fate", "Kind", "Verdict"]


class Kind(enum.Enum):
    """What is asked for; served.py answers it."""

    SMALL = "small"
    UPLOAD = "upload"  # 32 KiB
    STREAM = "stream"  # 256 KiB in chunks
    SLOW = "slow"  # 0.2 seconds
    SOCKET = "socket"  # a message of a WebSocket session


class Fate(enum.Enum):
    """How it ended for its client."""

    OPEN = enum.auto()
    ANSWERED = enum.auto()
    LOST = enum.auto()  # no answer, or half of one, on a connection that was made
    BROKEN = enum.auto()  # an answer that looks whole, and is another one
    REFUSED = enum.auto()  # no connection


@dataclass(slots=True)
class Entry:
    """A request."""

    number: str
    kind: Kind
    fate: Fate = Fate.OPEN
    why: str = ""
    retried: int = 0  # on another connection, since the server closed the kept one without an answer


@dataclass(frozen=True)
class Verdict:
    """The sums, and the entries that count."""

    answered: int
    retried: int
    lost: list[Entry]
    broken: list[Entry]
    refused: list[Entry]
    twice: list[str]  # ids that the application has begun more than once
    unknown: list[str]  # ids that were answered without the application
    gap: float  # seconds, the longest time without any answer
    pids: dict[str, list[int]] = field(repr=False)  # who has begun each id
    entries: list[Entry] = field(repr=False)

    def without(self, killed: Iterable[int]) -> Verdict:
        """Without what a killed process explains: requests it had begun, or that nobody had, since it may have had them
        unread; and those that were begun again because their client asked again."""
        processes = set(killed)
        retried = {one.number for one in self.entries if one.retried}
        return replace(
            self,
            lost=[one for one in self.lost if not processes & set(self.pids.get(one.number, processes))],
            twice=[one for one in self.twice if not (one in retried and processes & set(self.pids[one]))],
        )

    @property
    def spotless(self) -> bool:
        return not (self.lost or self.broken or self.refused or self.twice or self.unknown)

    def __str__(self) -> str:
        sums = {name: len(getattr(self, name)) for name in ("lost", "broken", "twice", "refused", "unknown")}
        reasons = Counter(f"{one.kind.value}: {one.why}" for one in [*self.lost, *self.broken, *self.refused])
        return ", ".join(
            [f"{self.answered} answered", *(f"{name} {count}" for name, count in sums.items())]
            + [f"retried {self.retried}", f"longest gap {self.gap:.2f} s"]
            + [f"{count} x {reason}" for reason, count in reasons.most_common(10)]
        )


class Book:
    """Entries as they are made; ``journal`` is the file that the application writes."""

    def __init__(self, journal: Path) -> None:
        self.journal = journal
        self.entries: list[Entry] = []
        self.answered = 0
        self.gap = 0.0
        self.last = time.monotonic()

    def open(self, kind: Kind) -> Entry:
        entry = Entry(f"{len(self.entries):07d}", kind)
        self.entries.append(entry)
        return entry

    def close(self, entry: Entry) -> None:
        """The client is done with it."""
        if entry.fate is Fate.ANSWERED:
            self.answered += 1
            now = time.monotonic()
            self.gap, self.last = max(self.gap, now - self.last), now

    def verdict(self) -> Verdict:
        """When the load is over."""
        pids: dict[str, list[int]] = {}
        for line in self.journal.read_text().splitlines():
            number, pid = line.split()
            pids.setdefault(number, []).append(int(pid))

        def all_that(fate: Fate) -> list[Entry]:
            return [entry for entry in self.entries if entry.fate is fate]

        return Verdict(
            answered=self.answered,
            retried=sum(entry.retried for entry in self.entries),
            lost=all_that(Fate.LOST) + all_that(Fate.OPEN),
            broken=all_that(Fate.BROKEN),
            refused=all_that(Fate.REFUSED),
            twice=[number for number, all_of_it in pids.items() if len(all_of_it) > 1],
            unknown=[one.number for one in self.entries if one.fate is Fate.ANSWERED and one.number not in pids],
            gap=self.gap,
            pids=pids,
            entries=self.entries,
        )
