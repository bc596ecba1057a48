"""A binary upgrade: another supervisor, of the program as it is on the disk now, takes the place of this one.

    SIGUSR2: the command is started again, and inherits the sockets        (estate.py)
    its workers are ready:      new --ready--> old
    who is in charge changes:   new <--yours-- old    the service manager is told who is the main process now
    the new one has the pid file, and answers the health checks
                                new --taken--> old    which stops gracefully

Until ``taken`` the old one serves as ever, and goes on doing so when the new one ends, or is not ready in time.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import socket
import time
from collections.abc import Collection

from pronghorn import activation
from pronghorn.config import Config
from pronghorn.errors import ConfigError
from pronghorn.estate import VARIABLE, described
from pronghorn.forking import execute
from pronghorn.listeners import Listener, reason
from pronghorn.loggers import server_log
from pronghorn.origin import Origin
from pronghorn.orphans import FIRST_PROCESS
from pronghorn.predecessor import GIVEN_WAY, READY, TAKEN
from pronghorn.processes import Process
from pronghorn.standing import Report
from pronghorn.worker import time_to_stop

__all__ = ["Succession"]

NAMED = ("LISTEN_PID", "WATCHDOG_PID")  # variables that say for which process the others are


class Successor(Process):
    """The other supervisor."""

    kind = "Parent process"


class Succession:
    """As the supervisor sees it that is to go."""

    def __init__(self, config: Config, report: Report, selector: selectors.BaseSelector) -> None:
        self.config = config
        self.report = report
        self.selector = selector
        self.origin = Origin()
        self.successor: Successor | None = None  # until it is in charge, or has gone
        self.given_way = False  # it has been told to take charge
        self.stopping = False

    @property
    def under_way(self) -> bool:
        return self.successor is not None

    def begin(self, bound: Collection[Listener]) -> None:
        """Start the other one; every reason why not is one line."""
        if self.successor is not None:
            self.refuse(f"one is under way already, to parent process [{self.successor.pid}]")
        elif not self.origin.command:
            self.refuse("nobody knows the command that this program was started by")
        elif os.getpid() == FIRST_PROCESS:
            self.refuse("a container ends with its first process, which this is")
        else:
            self.start(bound)

    def refuse(self, why: str) -> None:
        server_log().error("No upgrade: %s", why)

    def start(self, bound: Collection[Listener]) -> None:
        try:
            ours, theirs = socket.socketpair()
        except OSError as error:
            self.refuse(reason(error))
            return

        def environment() -> dict[str, str]:
            if self.origin.hangup_ignored:  # nohup holds for the other one, too
                signal.signal(signal.SIGHUP, signal.SIG_IGN)
            given = self.origin.environment
            pid = os.getpid()
            ours = {name: str(pid) for name in NAMED if given.get(name) == str(self.origin.pid)}
            return given | ours | {VARIABLE: described(bound, theirs, pid)}

        handed = {*(listener.socket.fileno() for listener in bound), theirs.fileno(), *self.activated()}
        try:
            pid = execute(self.origin.command, environment, self.origin.folder, handed)
        except OSError as error:
            self.refuse(reason(error))
            ours.close()
            return
        finally:
            theirs.close()
        self.successor = Successor(pid, ours)
        self.selector.register(self.successor, selectors.EVENT_READ)
        server_log().info("Upgrading: parent process [%d] is to take the place of [%d]", pid, os.getpid())

    def look(self) -> bool:
        """Go on with it; whether the other one is in charge now."""
        successor, now = self.successor, time.monotonic()
        if successor is None:
            return False
        for line in successor.lines():
            if line == READY and not self.stopping and not successor.kill_at:
                self.report.manager.main_process(successor.pid)
                successor.say(GIVEN_WAY)
                self.given_way = True
            elif line == TAKEN:
                server_log().info("Parent process [%d] has taken the place of [%d]", successor.pid, os.getpid())
                self.forget()
                return True
        if successor.has_ended():
            self.forget()
            if not self.stopping:
                server_log().error("The upgrade has failed: parent process [%d]: %s", successor.pid, successor.how())
                server_log().error("The workers that are there go on serving.")
                self.report.manager.main_process(os.getpid())
            return False
        limit = self.config.timeout_worker_startup
        if limit and now - successor.born > limit and not (successor.kill_at or self.given_way):
            server_log().error("Parent process [%d] has not become ready (timeout_worker_startup)", successor.pid)
            self.stop()
        successor.insist(now)
        return False

    def cancel(self, fast: bool) -> None:
        """The server stops, and so does the other one. A terminal has told it, too, of a Ctrl-C: it must not take that
        for a second one."""
        self.stopping = True
        self.stop(signal.SIGQUIT if fast else signal.SIGTERM)

    def stop(self, number: int = signal.SIGTERM) -> None:
        if self.successor is not None:
            self.successor.stop(number, time_to_stop(self.config))

    def forget(self) -> None:
        if self.successor is not None:
            with contextlib.suppress(KeyError):  # it was silent
                self.selector.unregister(self.successor)
            self.successor.close()
            self.successor, self.given_way = None, False

    def close(self) -> None:
        """In a worker, let go of it."""
        if self.successor is not None:
            self.successor.close()

    def activated(self) -> list[int]:
        """What a service manager has handed over: the other one may ask for it again."""
        try:
            return [one for one in activation.descriptors(self.origin.environment) if is_open(one)]
        except ConfigError:  # nobody has asked for it so far
            return []


def is_open(descriptor: int) -> bool:
    try:
        os.fstat(descriptor)
    except OSError:
        return False
    return True
