"""The workers of a supervisor: as many as are wanted, each of them replaced when its time is over.

    starting --ready--> serving --its time is over--> stopping --> gone
        │                  │
        └──failed──────────┴──crashed--> gone, and another one is started

Whatever a worker is replaced for, the new one is started first, and the old one told to stop when the new one serves.
"""

from __future__ import annotations

import contextlib
import selectors
import signal
import time
from collections import deque
from typing import Any

from pronghorn import listeners, spawning, worker
from pronghorn.backoff import Backoff
from pronghorn.board import MOST, Board, anonymous_file
from pronghorn.config import Config
from pronghorn.errors import STARTUP_FAILURE
from pronghorn.listeners import Listener
from pronghorn.loggers import server_log
from pronghorn.recycling import reason_to_replace
from pronghorn.worker import FINISHING, Child, State, time_to_stop

__all__ = ["Crew"]

TRIES = 5  # starts in a row that may fail before the workers are given up, where none has ever served
HELD = 2.0  # seconds between two looks at the clocks that mean that this process did not run
RELOADED = "the server is reloaded"


class Crew:
    """Keeps as many workers serving as its `Config` asks for, on sockets that somebody else binds."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.wanted = config.processes
        self.children: list[Child] = []
        self.listeners: list[Listener] = []
        self.fresh = config.workers_start == "spawn"
        self.board = Board(anonymous_file()) if self.fresh else Board()
        self.selector = selectors.DefaultSelector()
        self.replacing: deque[tuple[Child, str]] = deque()
        self.backoff = Backoff()
        self.looked_at = time.monotonic()  # at the clocks
        self.ready = 0  # how often a worker has become ready
        self.complete = False  # all of them have been
        self.resting = False  # none is wanted for the time being
        self.stopping = False

    def all_serve(self) -> None:
        """For those who inherit: all workers have become ready, for the first time."""

    def give_up(self) -> None:
        """For those who inherit: the workers cannot start in the first place, and trying again does not help."""

    def belongings(self) -> list[Any]:
        """What no worker may hold open; those who inherit have more of it."""
        return [*self.children, self.selector]

    def hear(self, child: Child, line: str) -> None:
        """A worker says something."""
        if line == "ready" and child.state is State.STARTING:  # and not told to stop meanwhile
            child.state = State.SERVING
            self.backoff.succeeded()
            if child.replaces is not None:
                self.stop_one(child.replaces)
                child.replaces = None
            if child.outdated:
                self.replace(child, RELOADED)
            self.ready += 1
            if self.ready >= self.wanted and not self.complete:
                self.complete = True
                self.all_serve()
        elif line == FINISHING:
            child.finishing = True
        elif line == "limit":
            child.worn, child.looked_at = True, 0.0

    def reap(self) -> None:
        for child in [child for child in self.children if child.has_ended()]:
            self.children.remove(child)
            for line in child.lines():  # it may have been ready, and ended before it was heard
                self.hear(child, line)
            with contextlib.suppress(KeyError):  # it was silent
                self.selector.unregister(child)
            child.close()
            self.board.free(child.slot)
            if child.state is State.STARTING and not self.stopping:
                self.start_failed(child)
            elif child.state is State.SERVING and not self.stopping:
                # Without a pause: a client that can end workers would keep all others from being served.
                server_log().error("Worker [%d] died: %s. Another one is started.", child.pid, child.how())

    def start_failed(self, child: Child) -> None:
        server_log().error("Worker [%d] did not start: %s", child.pid, child.how())
        if child.replaces is not None:
            server_log().error("The workers that are there go on serving.")
            self.replacing.clear()
            for one in self.children:
                one.leaving = False
        elif not self.complete and child.code == STARTUP_FAILURE:
            self.give_up()
            return
        self.attempt_failed(child.born)

    def attempt_failed(self, begun: float) -> None:
        """A start that was begun then came to nothing."""
        self.backoff.failed(begun)
        if not self.ready and self.backoff.failures >= TRIES:
            server_log().error("No worker became ready in any of %d attempts to start them.", TRIES)
            self.give_up()
        elif self.backoff.pause:
            server_log().error("The next attempt is made in %g s.", self.backoff.pause)

    def look_at_clocks(self) -> None:
        now = time.monotonic()
        held, self.looked_at = now - self.looked_at > HELD, now
        for child in self.children:
            if held:  # as in a container that is paused: the child may have been as well
                self.board.show_life(child.slot)
            child.check(self.config, self.board.beat(child.slot), now)
            if child.may_be_replaced and (why := reason_to_replace(self.config, child, now)):
                self.replace(child, why)

    def fill(self) -> None:
        """Start what is missing, or what replaces the next one whose time is over; stop what is too much."""
        serving = [child for child in self.children if child.state is State.SERVING]
        goal = 0 if self.resting else self.wanted
        for child in serving[: max(len(serving) - goal, 0)]:
            self.stop_one(child)
        if self.backoff.waits:
            return
        standing = [child for child in self.children if child.state is not State.STOPPING]
        for _ in range(goal - len(standing)):
            if not self.start_one(None):
                return
        while self.replacing and not any(child.replaces for child in self.children):
            old, why = self.replacing[0]
            if old in self.children and old.state is State.SERVING:
                if not self.start_one(old):
                    return
                server_log().info("Worker [%d] is replaced: %s", old.pid, why)
            self.replacing.popleft()

    def start_one(self, replaces: Child | None) -> bool:
        """Start a worker; False when that has to wait."""
        if not self.board.has_room():
            return False  # until one of those that stop has gone
        try:
            child = (spawning.start if self.fresh else worker.start)(
                self.config, self.listeners, self.board, self.belongings()
            )
        except OSError as error:
            server_log().error("Cannot start a worker: %s", listeners.reason(error))
            self.attempt_failed(time.monotonic())
            return False
        child.replaces = replaces
        self.children.append(child)
        self.selector.register(child, selectors.EVENT_READ)
        return True

    def replace(self, child: Child, why: str) -> None:
        if child.leaving:
            return
        child.leaving = True
        self.replacing.append((child, why))

    def replace_all(self) -> None:
        """Another process for every worker, one after the other, with what the application and the files are now."""
        self.resting = False
        self.backoff.succeeded()  # whoever asks has mended something
        for child in self.children:
            if child.state is State.SERVING:
                self.replace(child, RELOADED)
            elif child.state is State.STARTING:
                child.outdated = True  # it may have imported the application before

    def change_number(self, by: int) -> None:
        if not self.resting:
            self.wanted = min(max(self.wanted + by, 1), MOST)
        elif by > 0:
            self.resting, self.wanted = False, by

    def rest(self) -> None:
        """Stop all of them, and start none before more are wanted, or all are to be replaced."""
        self.resting = True
        self.replacing.clear()
        for child in self.children:
            if child.state is not State.STOPPING:
                self.stop_one(child)

    def stop_one(self, child: Child, number: int = signal.SIGTERM) -> None:
        if child.state is State.STARTING:
            self.board.show_life(child.slot)  # it has shown none so far, and has its time to do so from now on
        child.stop(number, time_to_stop(self.config))

    def tell(self, number: int) -> None:
        for child in self.children:
            child.send(number)
