"""How a server as a whole is getting on, for those outside who ask or are to be told."""

from __future__ import annotations

import enum
import time

from pronghorn.board import Board
from pronghorn.notify import Manager

__all__ = ["Report", "Standing", "follow", "read"]

SILENT = 10.0  # seconds without a sign of life of the supervisor itself


class Standing(enum.Enum):
    """starting -> ready <-> reloading; ready <-> resting; each of them -> stopping. The values are what is shown."""

    STARTING = "starting"
    READY = "ready"
    RELOADING = "reloading"
    STOPPING = "stopping"
    RESTING = "resting"  # without workers, as it was told

    @property
    def unready(self) -> str:
        """Why no new requests should be sent here; empty when they may be."""
        return "" if self in (Standing.READY, Standing.RELOADING) else self.value


ALL = list(Standing)


def follow(manager: Manager, before: Standing, now: Standing, status: str) -> None:
    """Tell a service manager of a change."""
    if now is before:
        return
    if now is Standing.READY:
        manager.ready(status)
    elif now is Standing.RELOADING:
        manager.reloading()
    elif now is Standing.STOPPING:
        manager.stopping()
    elif now is Standing.RESTING:
        manager.status("No worker serves, as SIGWINCH asked for")


class Report:
    """What a supervisor lets be known: told to the service manager, and written on the board with every turn."""

    def __init__(self, board: Board) -> None:
        self.manager = Manager()
        self.standing = Standing.STARTING
        self.reloading = False  # set when a reload begins
        self.board = board
        self.slot = board.take()

    def look(self, *, ready: bool, replacing: bool, stopping: bool, resting: bool, alive: bool, status: str) -> None:
        """ready: the workers have started. replacing: one is being replaced, or shall be. resting: there shall be none.
        alive: some worker serves."""
        before = self.standing
        self.reloading = self.reloading and (replacing or before is not Standing.RELOADING)
        if stopping:
            self.standing = Standing.STOPPING
        elif resting or (before is Standing.RESTING and not alive):
            self.standing = Standing.RESTING
        elif ready:
            self.standing = Standing.RELOADING if self.reloading else Standing.READY
        follow(self.manager, before, self.standing, status)
        if alive or self.standing in (Standing.STOPPING, Standing.RESTING):
            self.manager.alive()
        self.board.show_life(self.slot)
        self.board.note(self.slot, ALL.index(self.standing) * 2 + alive)


def read(board: Board, slot: int) -> tuple[bool, str]:
    """What a supervisor has written last: whether it and a worker are alive, and why it is not ready, or nothing."""
    standing, alive = ALL[board.noted(slot) // 2], bool(board.noted(slot) % 2)
    if time.monotonic() - board.beat(slot) > SILENT:
        return False, "the supervisor does not answer"
    if standing in (Standing.STARTING, Standing.STOPPING, Standing.RESTING):
        return True, standing.unready
    return alive, "" if alive else "no worker serves"
