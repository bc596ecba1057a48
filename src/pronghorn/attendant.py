"""With workers, the process that answers /livez and /readyz, from what the supervisor writes on the board.

It can be reached while every worker is busy, and no worker that leaves answers for the others.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import time
from collections.abc import Iterable

from pronghorn import eventloop, standing
from pronghorn.admin import Admin
from pronghorn.board import Board
from pronghorn.config import Config
from pronghorn.forking import ALL, flush, fork
from pronghorn.listeners import Estate
from pronghorn.loggers import server_log
from pronghorn.privileges import Identity
from pronghorn.worker import Closable

__all__ = ["Attendant"]

PAUSE = 1.0  # seconds between two starts


class Attendant:
    """That process, as the supervisor sees it. Its addresses are bound at once: StartupError when that cannot be."""

    def __init__(self, config: Config, board: Board, slot: int, estate: Estate | None = None) -> None:
        self.config = config
        self.admin = Admin(config, lambda: standing.read(board, slot), estate)
        self.owner = os.getpid()
        self.pid = 0
        self.start_at = 0.0  # not before
        self.line: socket.socket | None = None  # never written to: it ends when the supervisor does

    def look(self, others: Iterable[Closable]) -> None:
        """Start the process, where there is none. ``others``: what of the supervisor's it must not hold open."""
        if self.pid and os.waitpid(self.pid, os.WNOHANG)[0] == 0:
            return
        self.pid = 0
        if time.monotonic() < self.start_at:
            return
        self.start_at = time.monotonic() + PAUSE
        try:
            ours, theirs = socket.socketpair()
            flush()
            self.pid = fork()
        except OSError as error:
            server_log().error("Cannot start the process for /livez and /readyz: %s", error.strerror)
            return
        if self.line is not None:
            self.line.close()
        self.line = ours
        if self.pid:
            theirs.close()
            return
        try:
            self.line.close()
            for other in others:
                other.close()
            self._run(theirs)
        except BaseException as error:
            server_log().critical("Exception in the process for /livez and /readyz\n", exc_info=error)
        finally:
            flush()
            os._exit(0)

    def retire(self) -> None:
        """Somebody else answers from now on, on the same sockets: the process ends when it owes nobody an answer."""
        for listener in self.admin.bound:
            listener.hand_over()
        self.admin.release()
        if self.line is not None:
            self.line.close()

    def close(self) -> None:
        """End it; in a worker, only let go of it."""
        if self.line is not None:
            self.line.close()
        if self.owner != os.getpid():
            for listener in self.admin.bound:
                listener.socket.close()
            return
        self.admin.release()
        if self.pid:
            with contextlib.suppress(ProcessLookupError, ChildProcessError):
                os.kill(self.pid, signal.SIGKILL)
                os.waitpid(self.pid, 0)

    def _run(self, line: socket.socket) -> None:
        for listener in self.admin.bound:
            listener.hand_over()  # they are the supervisor's
        for name in ALL:
            signal.signal(getattr(signal, name), signal.SIG_IGN)
        identity = Identity.of(self.config)
        if identity is not None:
            identity.assume()
        eventloop.run(lambda: self._serve(line), asyncio.SelectorEventLoop)

    async def _serve(self, line: socket.socket) -> None:
        over = asyncio.Event()
        asyncio.get_running_loop().add_reader(line, over.set)
        await self.admin.serve()
        await over.wait()
        await self.admin.leave()
