"""Several processes that serve from the same sockets: started, watched, replaced and stopped.

    starting --ready--> serving --its time is over--> stopping --> gone
        │                  │
        └──failed──────────┴──crashed--> gone, and another one is started

Whatever a worker is replaced for, the new one is started first, and the old one told to stop when the new one serves.
"""

from __future__ import annotations

import gc
import os
import selectors
import signal
import time
from collections import deque
from collections.abc import Callable
from typing import Any

from pronghorn import listeners, loading
from pronghorn.attendant import Attendant
from pronghorn.backoff import Backoff
from pronghorn.board import MOST, Board
from pronghorn.config import Config
from pronghorn.errors import STARTUP_FAILURE, StartupError
from pronghorn.listeners import Listener
from pronghorn.loggers import server_log
from pronghorn.pidfile import PidFile
from pronghorn.recycling import reason_to_replace
from pronghorn.signals import Inbox
from pronghorn.standing import Report
from pronghorn.worker import EXTRA, Child, State, start

__all__ = ["Supervisor"]

TURN = 0.25  # seconds between two looks at the clocks
PATIENT_FOR = 10.0  # seconds a worker has to live for its end not to count as a failure to start
RELOADED = "the server is reloaded"


class Supervisor:
    """Keeps as many workers serving as its `Config` asks for, until it is told to stop."""

    def __init__(self, config: Config, inbox: Inbox | None = None) -> None:
        self.config = config
        self.wanted = max(config.workers or 1, 1)
        self.children: list[Child] = []
        self.listeners: list[Listener] = []
        self.board = Board()
        self.inbox = inbox or Inbox()
        self.selector = selectors.DefaultSelector()
        self.own: list[Any] = []  # what else there is to listen to, which no worker may hold open
        self.replacing: deque[tuple[Child, str]] = deque()
        self.backoff = Backoff()
        self.ever_ready = False
        self.became_ready = 0
        self.stopping = False
        self.leave_at = 0.0  # then the stop begins that was asked for
        self.report = Report(self.board)
        self.pid_file = PidFile(None)
        self.attendants: list[Attendant] = []
        self.status = 0
        self.actions: dict[int, Callable[[], None]] = {
            signal.SIGINT: lambda: self.stop(signal.SIGINT),
            signal.SIGTERM: self.leave,
            signal.SIGQUIT: self.stop_fast,
            signal.SIGHUP: self.replace_all,
            signal.SIGTTIN: lambda: self.change_number(+1),
            signal.SIGTTOU: lambda: self.change_number(-1),
            signal.SIGUSR1: lambda: self.tell(signal.SIGUSR1),
            signal.SIGCHLD: lambda: None,
        }

    def run(self) -> int:
        """Bind, serve until told to stop, and return the exit status."""
        try:
            self.listeners = listeners.bind(self.config)
            if self.config.admin:
                self.attendants.append(Attendant(self.config, self.board, self.report.slot))
            self.pid_file.write()
            if self.config.preload:
                loading.load_once(self.config)
                gc.collect()
                gc.freeze()  # what is there is never looked at again, so that its pages stay shared
        except StartupError as error:
            server_log().error("%s", error)
            self.close()
            return STARTUP_FAILURE
        server_log().info("Started parent process [%d]", os.getpid())
        with self.inbox.listening(self.actions):
            self.selector.register(self.inbox, selectors.EVENT_READ)
            try:
                self.begin()
                self.look_around()
                for one in self.own:
                    self.selector.register(one, selectors.EVENT_READ)
                self.fill()
                while self.children or not self.stopping:
                    self.turn()
            finally:
                for child in self.children:
                    child.kill()
                for one in self.own:
                    one.close()
                self.close()
        server_log().info("Stopped parent process [%d]", os.getpid())
        return self.status

    def begin(self) -> None:
        """For those who inherit: before the first worker is started."""

    def more(self) -> None:
        """For those who inherit: what else there is to do with every turn."""

    def close(self) -> None:
        listeners.close(self.listeners)
        for attendant in self.attendants:  # whose end is a signal: the inbox is there for it
            attendant.close()
        self.selector.close()
        self.inbox.close()

    def turn(self) -> None:
        for key, _ in self.selector.select(TURN):
            if isinstance(key.fileobj, Child):
                for line in key.fileobj.lines():
                    self.hear(key.fileobj, line)
        for number in self.inbox.taken():
            if number in self.actions:  # others that an application imported here has a handler for are its own
                self.actions[number]()
        self.reap()
        self.more()
        if self.leave_at and not self.stopping and time.monotonic() > self.leave_at:
            self.stop(signal.SIGTERM)
        if not self.stopping:
            self.look_at_clocks()
            self.fill()
        self.look_around()
        for child in self.children:
            child.insist(time.monotonic())

    def hear(self, child: Child, line: str) -> None:
        """A worker says something."""
        if line == "ready":
            child.state = State.SERVING
            self.backoff.succeeded()
            if child.replaces is not None:
                self.stop_one(child.replaces)
                child.replaces = None
            if child.outdated:
                self.replace(child, RELOADED)
            self.became_ready += 1
            if self.became_ready >= self.wanted and not self.ever_ready:
                self.announce()
        elif line == "limit":
            child.worn, child.looked_at = True, 0.0

    def announce(self) -> None:
        self.ever_ready = True
        listeners.announce(self.listeners, self.config.is_ssl)

    def look_around(self) -> None:
        """Let others know how all of them are getting on."""
        self.report.look(
            ready=self.ever_ready,
            replacing=bool(self.replacing) or any(child.replaces for child in self.children),
            stopping=self.stopping or self.leave_at > 0,
            alive=any(self.board.is_fresh(child.slot) for child in self.children if child.state is State.SERVING),
            status=f"Serving from {self.wanted} process{'es' if self.wanted > 1 else ''}",
        )
        for attendant in self.attendants:
            attendant.look([*self.belongings(), *(listener.socket for listener in self.listeners)])

    def reap(self) -> None:
        for child in [child for child in self.children if child.has_ended()]:
            self.children.remove(child)
            self.selector.unregister(child)
            child.close()
            self.board.free(child.slot)
            if child.state is State.STARTING and not self.stopping:
                self.start_failed(child)
            elif child.state is State.SERVING and not self.stopping:
                server_log().error("Worker [%d] died: %s. Another one is started.", child.pid, child.how())
                if time.monotonic() - child.born < PATIENT_FOR:
                    self.backoff.failed()

    def start_failed(self, child: Child) -> None:
        server_log().error("Worker [%d] did not start: %s", child.pid, child.how())
        self.backoff.failed()
        if child.replaces is not None:
            server_log().error("The workers that are there go on serving.")
            self.replacing.clear()
            for one in self.children:
                one.leaving = False
        elif not self.ever_ready and child.code == STARTUP_FAILURE:
            self.status = STARTUP_FAILURE
            self.stop(signal.SIGTERM)

    def look_at_clocks(self) -> None:
        now = time.monotonic()
        for child in self.children:
            child.check(self.config, self.board.beat(child.slot), now)
            if child.may_be_replaced and (why := reason_to_replace(self.config, child, now)):
                self.replace(child, why)

    # Starting and replacing.

    def fill(self) -> None:
        """Start what is missing, or what replaces the next one whose time is over; stop what is too much."""
        serving = [child for child in self.children if child.state is State.SERVING]
        for child in serving[: max(len(serving) - self.wanted, 0)]:
            self.stop_one(child)
        if self.backoff.waits:
            return
        standing = [child for child in self.children if child.state is not State.STOPPING]
        for _ in range(self.wanted - len(standing)):
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
        others = [*self.belongings(), *self.attendants]
        try:
            child = start(self.config, self.listeners, self.board, others)
        except OSError as error:
            server_log().error("Cannot start a worker: %s", listeners.reason(error))
            self.backoff.failed()
            return False
        child.replaces = replaces
        self.children.append(child)
        self.selector.register(child, selectors.EVENT_READ)
        return True

    def belongings(self) -> list[Any]:
        """What no other process may hold open."""
        return [*self.children, *self.own, self.inbox, self.selector, self.report.manager]

    def replace(self, child: Child, why: str) -> None:
        if child.leaving:
            return
        child.leaving = True
        self.replacing.append((child, why))

    def replace_all(self) -> None:
        """Another process for every worker, one after the other, with what the application and the files are now."""
        server_log().info("Reloading")
        self.report.reloading = True
        self.backoff.succeeded()  # whoever asks has mended something
        for child in self.children:
            if child.state is State.SERVING:
                self.replace(child, RELOADED)
            elif child.state is State.STARTING:
                child.outdated = True  # it may have imported the application before

    def change_number(self, by: int) -> None:
        self.wanted = min(max(self.wanted + by, 1), MOST)

    # Stopping.

    def stop_one(self, child: Child, number: int = signal.SIGTERM) -> None:
        graceful = self.config.timeout_graceful_shutdown
        child.stop(
            number, None if graceful is None else graceful + (self.config.timeout_lifespan_shutdown or 0) + EXTRA
        )

    def leave(self) -> None:
        """Stop, but not before those who send requests here have had time to hear of it."""
        if not self.config.shutdown_delay:
            self.stop(signal.SIGTERM)
        elif not self.leave_at:
            self.leave_at = time.monotonic() + self.config.shutdown_delay
            server_log().info("Shutting down in %g seconds (shutdown_delay)", self.config.shutdown_delay)

    def stop(self, number: int) -> None:
        """Stop all of them gracefully; a second Ctrl-C cuts that short, in each of them as in a server alone."""
        again, self.stopping = self.stopping, True
        listeners.leave(self.listeners)  # while we hold them open, the kernel accepts for nobody
        for child in self.children:
            if not again or number == signal.SIGINT:
                self.stop_one(child, number)

    def stop_fast(self) -> None:
        for _ in range(2):
            self.stop(signal.SIGINT)

    def tell(self, number: int) -> None:
        for child in self.children:
            child.send(number)
