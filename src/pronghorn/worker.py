"""A process that serves for a supervisor: its start, what it says to it, and how the supervisor sees it."""

from __future__ import annotations

import asyncio
import contextlib
import enum
import json
import math
import os
import signal
import socket
import sys
from collections.abc import Iterable, Iterator, Sequence
from types import FrameType
from typing import NoReturn, Protocol

from pronghorn import loggers, modules
from pronghorn._core.lifeline import end_with
from pronghorn.board import Board
from pronghorn.config import Config
from pronghorn.errors import STARTUP_FAILURE, StartupError
from pronghorn.forking import EXIT_LIMIT, NOT_OURS, TOLD, finish, flush, fork
from pronghorn.listeners import Listener
from pronghorn.loggers import server_log
from pronghorn.logstream import nonblocking
from pronghorn.privileges import Identity
from pronghorn.processes import Process, say
from pronghorn.recycling import jitter
from pronghorn.server import Server
from pronghorn.signals import show_faults

__all__ = [
    "AT_ONCE", "FINISHING", "Child", "Closable", "State", "Worker", "be_a_worker", "end_with_the_supervisor", "start",
    "take_signals", "time_to_stop",
]  # fmt: skip

FINISHING = "finishing"  # what a worker says whose loop has ended: from now on it shows no life
AT_ONCE = "at once"  # what a supervisor says on the line where a signal may not do
EXTRA = 5.0  # seconds on top of what a worker allows itself
BEAT = 1.0  # seconds between two signs of life, or less where timeout_worker_healthcheck is short
ORPHANED = 2.0  # seconds for what is under way when the supervisor has gone
ABORT_AFTER, KILL_AFTER = 3000, 1000  # milliseconds from then on for a worker that does not stop by itself


class State(enum.Enum):
    """See crew.py."""

    STARTING = enum.auto()
    SERVING = enum.auto()
    STOPPING = enum.auto()


class Closable(Protocol):
    """What is the supervisor's own."""

    def close(self) -> None: ...


class Child(Process):
    """A worker as its supervisor sees it."""

    kind = "Worker"

    def __init__(self, pid: int, line: socket.socket, slot: int) -> None:
        super().__init__(pid, line)
        self.slot = slot
        self.state = State.STARTING
        self.luck = jitter()
        self.looked_at = self.born
        self.replaces: Child | None = None  # to be stopped when this one serves
        self.leaving = False
        self.outdated = False  # to be replaced when it serves
        self.worn = False  # it has served as many requests as it may
        self.finishing = False  # its loop has ended, and shows no life any more
        self.ending = False  # it was aborted, or killed

    def send(self, number: int) -> None:
        super().send(TOLD if number == signal.SIGINT else number)

    def stop(self, number: int, limit: float | None) -> None:
        self.state = State.STOPPING
        super().stop(number, limit)

    @property
    def may_be_replaced(self) -> bool:
        """Whether it serves, and nothing is done about it yet."""
        return self.state is State.SERVING and not self.leaving and not self.ending

    @property
    def shows_life(self) -> bool:
        """Whether it has a loop that should turn: not yet while it starts, and not any more at its end."""
        return self.state is not State.STARTING and not self.finishing

    def check(self, config: Config, beat: float, now: float) -> None:
        """End it if it takes too long to start, or has not shown that it lives since ``beat`` for too long, also while
        it stops."""
        startup, health = config.timeout_worker_startup, config.timeout_worker_healthcheck
        if self.state is State.STARTING and startup and now - self.born > startup:
            server_log().error("Worker [%d] has not become ready (timeout_worker_startup)", self.pid)
            self.kill()
        elif self.shows_life and health and now - beat > health and not self.ending:
            server_log().error("Worker [%d] shows no sign of life (timeout_worker_healthcheck)", self.pid)
            self.abort()
            self.ending = True
            self.kill_at = min(self.kill_at or math.inf, now + EXTRA)  # one that a debugger holds cannot even abort

    def kill(self) -> None:
        self.ending = True
        super().kill()

    def abort(self) -> None:
        """End it so that it shows where each of its threads was."""
        self.send(signal.SIGABRT)


def time_to_stop(config: Config) -> float | None:
    """Seconds that a graceful stop may take, as seen from outside; None: for ever."""
    graceful, lifespan = config.timeout_graceful_shutdown, config.timeout_lifespan_shutdown
    return None if graceful is None or not lifespan else graceful + lifespan + EXIT_LIMIT + EXTRA


class Worker(Server):
    """A server whose listening sockets are its supervisor's.

    A terminal sends SIGINT to every process that may read from it. That counts for nothing here: only what the
    supervisor makes of it does.
    """

    exits_on_failure = False

    def __init__(self, config: Config, line: socket.socket, board: Board, slot: int) -> None:
        super().__init__(config)
        config.certificates = None  # a supervisor that preloads may have read them long ago
        self.line = line
        self.board = board
        self.slot = slot
        self.modules = 0  # that were imported when the supervisor last heard of them
        self._share = (board.page, slot)
        self.companions.answers = False

    async def startup(self, sockets: Sequence[socket.socket] | None = None) -> None:
        """As of any server; then the supervisor hears of it."""
        loop = asyncio.get_running_loop()
        loop.add_reader(self.line, self._hear)
        if hasattr(signal, "SIGUSR1"):
            # Not the loop's: what that takes back at its end is what would end a worker that waits for its threads.
            signal.signal(signal.SIGUSR1, lambda *_: self.soon(self.reopen_logs))
        self._show_life()
        await super().startup(sockets)
        if self.started:
            self._tell_modules()
            self.say("ready")

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """As of any server, but a Ctrl-C is what the supervisor tells."""
        with super().capture_signals():
            signal.signal(TOLD, lambda _, frame: super(Worker, self)._on_signal(signal.SIGINT, frame))
            yield

    def _on_signal(self, sig: int, frame: FrameType | None) -> None:
        if sig != signal.SIGINT:  # which is the terminal's
            super()._on_signal(sig, frame)

    def _announce(self) -> None:
        """The supervisor does, for all of them."""

    async def _stand_by(self) -> None:
        """The supervisor has, before it told us."""

    def say(self, text: str) -> None:
        say(self.line, text)

    def _show_life(self) -> None:
        self.board.show_life(self.slot)
        if self.started:
            self._tell_modules()
        health = self.config.timeout_worker_healthcheck
        asyncio.get_running_loop().call_later(min(BEAT, health / 3 if health else BEAT), self._show_life)

    def _tell_modules(self) -> None:
        if self.config.reload and self.modules != len(sys.modules):  # some are only imported when they are needed
            self.modules = len(sys.modules)
            self.say("modules " + json.dumps(sorted(modules.files())))

    def _hear(self) -> None:
        try:
            said = self.line.recv(100)
        except OSError:
            said = b""
        if said:  # only AT_ONCE is
            self.should_exit = self.force_exit = True
        else:
            self._supervisor_gone()

    def _supervisor_gone(self) -> None:
        loop = asyncio.get_running_loop()
        loop.remove_reader(self.line)
        server_log().error("The parent process has gone: worker [%d] stops", os.getpid())
        self.should_exit = True
        loop.call_later(ORPHANED, self._hurry)

    def _hurry(self) -> None:
        self.force_exit = True

    def _on_limit(self) -> None:
        self.say("limit")


def start(config: Config, listeners: Iterable[Listener], board: Board, others: Iterable[Closable]) -> Child:
    """Start a worker; OSError when the system refuses. ``others``: what of the supervisor's it must not hold open."""
    ours, theirs = socket.socketpair()
    slot = board.take()
    flush()
    try:
        pid = fork(own_group=not config.reload)
    except OSError:
        ours.close()
        theirs.close()
        board.free(slot)
        raise
    if pid:
        theirs.close()
        return Child(pid, ours, slot)
    try:
        end_with_the_supervisor(theirs)
        ours.close()
        for other in others:
            other.close()
        if not config.preload:
            modules.forget([*config.reload_dirs, ".", modules.program_folder()])
        be_a_worker(Worker(config, theirs, board, slot), [listener.socket for listener in listeners])
    except BaseException as error:
        server_log().critical("Exception in a worker\n", exc_info=error)
        os._exit(1)


def end_with_the_supervisor(line: socket.socket) -> None:
    """Also when this process is blocked, or imports something, and cannot hear of it; it shows where it was then."""
    with contextlib.suppress(OSError):  # the system refuses a thread: a worker that turns stops all the same
        end_with(line.fileno(), ABORT_AFTER, KILL_AFTER)


def disregard(number: int) -> None:
    """Let a signal do nothing. To ignore it would mean that the application's own processes do, too: that is inherited
    by what they execute, and a handler is not."""
    signal.signal(number, lambda *_: None)
    signal.siginterrupt(number, False)


def ignore(number: int, _: object) -> None:
    """For what a terminal sends to those who use it from the background, again and again until they ignore it; only
    then it tells them that they may not."""
    signal.signal(number, signal.SIG_IGN)


def take_signals() -> None:
    """From now on they are as a worker has them that does not serve yet."""
    for name in (*NOT_OURS, "SIGINT", "SIGUSR1"):
        disregard(getattr(signal, name))
    for number in (signal.SIGTTIN, signal.SIGTTOU):
        signal.signal(number, ignore)
        signal.siginterrupt(number, True)
    signal.signal(TOLD, lambda *_: os._exit(0))


def be_a_worker(server: Worker, sockets: list[socket.socket]) -> NoReturn:
    """Serve, and end the process. The supervisor's frames are below: nobody may return to them."""
    take_signals()
    show_faults()
    nonblocking(loggers.every())
    code = 0
    try:
        identity = Identity.of(server.config)
        if identity is not None:
            identity.assume()
        with contextlib.suppress(KeyboardInterrupt):
            server.run(sockets)
        if server.failure is not None:
            code = STARTUP_FAILURE
    except StartupError as error:
        server_log().error("%s", error)
        code = STARTUP_FAILURE
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else 1
        if not server.started:
            server_log().error("The application ended with %r while it was loaded.", error)
            code = STARTUP_FAILURE
    server.say(FINISHING)
    finish(code)
