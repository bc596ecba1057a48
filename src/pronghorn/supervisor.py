"""The process that binds the sockets and keeps the workers that serve from them, until it is told to stop."""

from __future__ import annotations

import gc
import os
import selectors
import signal
import socket
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from pronghorn import banner, listeners, loading, spawning
from pronghorn.attendant import Attendant
from pronghorn.config import Config
from pronghorn.crew import Crew
from pronghorn.errors import STARTUP_FAILURE, StartupError
from pronghorn.estate import Estate
from pronghorn.forking import NOT_OURS
from pronghorn.loggers import server_log
from pronghorn.notify import Manager
from pronghorn.orphans import Orphans
from pronghorn.pidfile import PidFile
from pronghorn.predecessor import READY, TAKEN, Predecessor
from pronghorn.processes import Process
from pronghorn.signals import Handler, Inbox, handled
from pronghorn.standing import Report
from pronghorn.subjects import AUTO
from pronghorn.succession import Succession
from pronghorn.terminal import GONE, Terminal
from pronghorn.worker import AT_ONCE, Child, State

__all__ = ["Supervisor"]

TURN = 0.25  # seconds between two looks at the clocks


class Supervisor(Crew):
    """Serves nobody itself, so that nothing an application does can stop it."""

    def __init__(self, config: Config, inbox: Inbox | None = None, estate: Estate | None = None) -> None:
        super().__init__(config)
        self.sockets: Sequence[socket.socket] = ()  # instead of those that the settings name
        self.inbox = inbox or Inbox()
        self.estate = estate
        self.predecessor = Predecessor(estate.line if estate is not None else None)
        self.in_charge = estate is None
        self.given_way = False
        self.own: list[Any] = []  # what else there is to listen to, which no other process may hold open
        self.leave_at = 0.0  # then the stop begins that was asked for
        self.report = Report(self.board)
        self.manager = Manager()  # hears of us when we are in charge
        self.succession = Succession(config, self.report, self.selector)
        self.pid_file = PidFile(None)
        self.attendants: list[Attendant] = []
        self.orphans = Orphans()
        self.terminal = Terminal()
        self.status = 0
        self.told_to_end = False
        self.actions: dict[int, Callable[[], None]] = {
            signal.SIGINT: lambda: self.stop(signal.SIGINT),
            signal.SIGTERM: self.leave,
            signal.SIGQUIT: self.stop_fast,
            signal.SIGHUP: self.hang_up,
            signal.SIGTTIN: lambda: self.change_number(+1),
            signal.SIGTTOU: lambda: self.change_number(-1),
            signal.SIGUSR1: lambda: self.tell(signal.SIGUSR1),
            signal.SIGUSR2: self.upgrade,
            signal.SIGWINCH: self.rest,
            signal.SIGCHLD: self.reap_orphans,
        }

    def run(self) -> int:
        """Bind, serve until told to stop, and return the exit status."""
        handlers: dict[int, Handler] = {getattr(signal, name): lambda *_: None for name in (*NOT_OURS, "SIGUSR1")}
        handlers[signal.SIGTERM] = self.end_at_once
        with handled(handlers):  # the pid file and the sockets are there before anybody listens
            return self._run()

    def end_at_once(self, *_: object) -> NoReturn:
        """SIGTERM before there is anybody to be stopped."""
        self.told_to_end = True
        sys.exit()

    def _run(self) -> int:
        try:
            self.listeners = listeners.adopt(self.sockets) if self.sockets else listeners.bind(self.config, self.estate)
            if self.config.admin:
                self.attendants.append(Attendant(self.config, self.board, self.report.slot, self.estate))
            if self.in_charge:
                self.pid_file.write()
                self.report.manager = self.manager
            if self.fresh:
                spawning.check(self.config)
            if self.config.preload:
                loading.load_once(self.config)
                gc.collect()
                gc.freeze()  # what is there is never looked at again, so that its pages stay shared
            if self.told_to_end:
                sys.exit()  # what was imported has kept the first one for itself
        except StartupError as error:
            server_log().error("%s", error)
            self.close()
            return STARTUP_FAILURE
        except BaseException:  # a signal while the application is imported, or the application's own sys.exit()
            self.close()
            raise
        with self.inbox.listening(self.actions):
            self.orphans.keep()
            server_log().info("Started parent process [%d]", os.getpid())
            if self.config.workers == AUTO and not self.config.reload:
                server_log().info("workers: auto is %d here", self.wanted)
            self.selector.register(self.inbox, selectors.EVENT_READ)
            if not self.in_charge:
                self.selector.register(self.predecessor, selectors.EVENT_READ)
            try:
                self.begin()
                self.look_around()
                for one in self.own:
                    self.selector.register(one, selectors.EVENT_READ)
                self.fill()
                while self.children or self.succession.under_way or not self.stopping:
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
            one = key.fileobj
            if isinstance(one, Child):
                for line in one.lines():
                    self.hear(one, line)
            if isinstance(one, Process) and one.silent:  # or we would be told so for ever
                self.selector.unregister(one)
        for number in self.inbox.taken():
            if number in self.actions:  # others that an application imported here has a handler for are its own
                self.actions[number]()
        self.terminal.look()
        self.reap()
        self.more()
        if self.predecessor.gives_way():
            self.take_charge()
        told = self.succession.given_way
        if self.succession.look():
            self.give_way()
        elif told and not self.succession.under_way:
            self.take_pid_file()  # which may name the other one
        if self.leave_at and not self.stopping and time.monotonic() > self.leave_at:
            self.stop(signal.SIGTERM)
        self.look_at_clocks()
        if not self.stopping:
            self.fill()
        self.look_around()
        for child in self.children:
            child.insist(time.monotonic())

    def reap_orphans(self) -> None:
        self.orphans.reap(one.pid for one in (*self.children, *self.attendants, *self.own))

    def all_serve(self) -> None:
        if self.in_charge:
            banner.show(self.config, self.listeners)
        else:
            self.predecessor.say(READY)

    def give_up(self) -> None:
        self.status = STARTUP_FAILURE
        self.stop(signal.SIGTERM)

    def look_around(self) -> None:
        """Let others know how all of them are getting on, unless somebody else has taken over."""
        if self.given_way:
            return
        self.report.look(
            ready=self.complete and self.in_charge,
            replacing=bool(self.replacing) or any(child.replaces for child in self.children),
            stopping=self.stopping or self.leave_at > 0,
            resting=self.resting,
            alive=any(self.board.is_fresh(child.slot) for child in self.children if child.state is State.SERVING),
            status=f"Serving from {self.wanted} process{'es' if self.wanted > 1 else ''}",
        )
        for attendant in self.attendants if self.in_charge else ():
            others = [one for one in self.belongings() if one is not attendant]
            attendant.look([*others, *(listener.socket for listener in self.listeners)])

    def belongings(self) -> list[Any]:
        others = [self.inbox, self.manager, self.predecessor, self.succession, *([self.estate] if self.estate else [])]
        return [*super().belongings(), *self.own, *others, *self.attendants]

    def hang_up(self) -> None:
        if not self.terminal.has_just_gone():
            self.reload()
        elif not self.stopping and not self.terminal.ignored:
            server_log().info(GONE)
            self.stop(signal.SIGINT)

    def reload(self) -> None:
        server_log().info("Reloading")
        self.report.reloading = True
        self.replace_all()

    def rest(self) -> None:
        if self.terminal.sends_us_signals():
            return  # the window has changed its size
        server_log().info("All workers stop. The addresses stay bound: SIGHUP starts the workers again.")
        super().rest()

    # One supervisor after the other.

    def upgrade(self) -> None:
        if self.stopping or self.leave_at:
            self.succession.refuse("the server stops")
        elif not (self.complete and self.in_charge):
            self.succession.refuse("the workers are not ready yet")
        else:
            admin = [listener for attendant in self.attendants for listener in attendant.admin.bound]
            self.succession.begin([*self.listeners, *admin])

    def take_charge(self) -> None:
        """The one before has given way, or has gone."""
        self.selector.unregister(self.predecessor)
        if not self.stopping and self.estate is not None:
            self.estate.settle()
            self.take_pid_file()
            self.report.manager = self.manager
            self.in_charge = True
            if self.complete:
                self.all_serve()
            self.look_around()
            self.predecessor.say(TAKEN)
        self.predecessor.close()

    def give_way(self) -> None:
        """The one after is in charge: it has our paths, speaks to the service manager, and answers health checks."""
        for listener in self.listeners:
            listener.hand_over()
        for attendant in self.attendants:
            attendant.retire()
        self.attendants.clear()
        self.given_way = True
        self.stop(signal.SIGTERM)

    def take_pid_file(self) -> None:
        try:
            self.pid_file.write(take=True)
        except StartupError as error:
            server_log().error("%s", error)

    # Stopping.

    def leave(self) -> None:
        """Stop, but not before those who send requests here have had time to hear of it."""
        if not self.config.shutdown_delay or not self.in_charge:  # an upgrade that is called off must not go on
            self.stop(signal.SIGTERM)
        elif not self.leave_at:
            self.succession.cancel(fast=False)
            self.leave_at = time.monotonic() + self.config.shutdown_delay
            server_log().info("Shutting down in %g seconds (shutdown_delay)", self.config.shutdown_delay)

    def stop(self, number: int) -> None:
        """Stop all of them gracefully; a second Ctrl-C cuts that short, in each of them as in a server alone."""
        again, self.stopping = self.stopping, True
        listeners.leave(self.listeners)  # while we hold them open, the kernel accepts for nobody
        self.succession.cancel(fast=again and number == signal.SIGINT)
        for child in self.children:
            if not again or number == signal.SIGINT:
                self.stop_one(child, number)

    def stop_fast(self) -> None:
        for _ in range(2):
            self.stop(signal.SIGINT)
        for child in self.children:
            child.say(AT_ONCE)  # the second signal is lost where the first has not been seen yet
