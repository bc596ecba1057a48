"""Clients that make requests at a fixed rate, whatever happens to the server meanwhile."""

from __future__ import annotations

import asyncio
import random
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from ledger.book import Book, Kind, Verdict
from ledger.lane import Address, Lane

__all__ = ["APPLICATION", "MIX", "Load"]

APPLICATION = Path(__file__).with_name("served.py")
MIX = {Kind.SMALL: 60, Kind.UPLOAD: 15, Kind.STREAM: 10, Kind.SLOW: 5, Kind.SOCKET: 10}
PATIENCE = 60.0


class Load:
    """A load while the context lasts; then `verdict()` tells what became of it."""

    def __init__(
        self,
        addresses: Sequence[Address],
        journal: Path,
        *,
        rate: float = 400,
        lanes: int = 32,
        mix: Mapping[Kind, int] = MIX,
    ) -> None:
        self.book = Book(journal)
        self.rate = rate  # requests a second; fewer when all lanes wait for an answer
        self.lanes = [Lane(addresses[seed % len(addresses)], seed) for seed in range(lanes)]
        self.kinds, self.weights = list(mix), list(mix.values())
        self.dice = random.Random(0)
        self.over = False
        self.failure: BaseException | None = None
        self.thread = threading.Thread(target=self._run, name="load")
        self.begun = 0.0

    def __enter__(self) -> Load:
        self.begun = time.monotonic()
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.over = True
        self.thread.join(PATIENCE)
        assert not self.thread.is_alive(), "the load does not end"

    def wait_for(self, count: int, within: float = PATIENCE) -> None:
        """Wait until so many more requests have been answered."""
        goal = self.book.answered + count
        self.until(lambda: self.book.answered >= goal, f"{count} answers more", within)

    def until(self, condition: Callable[[], bool], what: str, within: float = PATIENCE) -> None:
        deadline = time.monotonic() + within
        while not condition():
            assert time.monotonic() < deadline, f"not in {within:g} s: {what}; {self.book.answered} answered"
            assert self.thread.is_alive(), self.failure
            time.sleep(0.01)

    def verdict(self) -> Verdict:
        assert self.failure is None, self.failure
        return self.book.verdict()

    # In the thread.

    def _run(self) -> None:
        try:
            with asyncio.Runner(loop_factory=loop_factory()) as runner:
                runner.run(self._all())
        except BaseException as error:
            self.failure = error

    async def _all(self) -> None:
        async with asyncio.TaskGroup() as group:
            for lane in self.lanes:
                group.create_task(self._one(lane))

    async def _one(self, lane: Lane) -> None:
        """Take the next request whose time has come, as long as there are any."""
        while not self.over:
            due = self.begun + len(self.book.entries) / self.rate
            entry = self.book.open(*self.dice.choices(self.kinds, self.weights))
            if (wait := due - time.monotonic()) > 0:
                await asyncio.sleep(wait)
            elif wait < -1:
                self.begun -= wait  # what could not be asked in time is not made up for by a rush
            await lane.make(entry)
            self.book.close(entry)
        lane.drop()


def loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """uvloop where it is: the clients share the machine with the server."""
    if sys.platform == "win32":
        return None
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop
