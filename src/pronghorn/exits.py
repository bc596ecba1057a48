"""Asking for the end of a server, from wherever: its loop, another thread, a signal handler."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from types import FrameType
from typing import ClassVar

from pronghorn.errors import STARTUP_FAILURE, StartupError
from pronghorn.loggers import server_log
from pronghorn.signals import handled

__all__ = ["HANDLED_SIGNALS", "Exits"]

HANDLED_SIGNALS = [signal.SIGINT, signal.SIGTERM]
if sys.platform == "win32":
    HANDLED_SIGNALS.append(signal.SIGBREAK)


class Exits:
    """The two wishes a server listens to, as attributes that anybody may set and as events for its own loop; and what a
    start that failed leads to."""

    exits_on_failure: ClassVar[bool] = False  # a start that failed raises SystemExit, as in uvicorn; see compat

    def __init__(self) -> None:
        self._should_exit = self._force_exit = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._loading = False  # the application is being imported
        self._raise_signals_again = True
        self._captured_signals: list[int] = []
        self.failure: StartupError | None = None

    @property
    def should_exit(self) -> bool:
        """Set it, from any thread or from a signal handler, to stop gracefully."""
        return self._should_exit

    @should_exit.setter
    def should_exit(self, value: bool) -> None:
        self._should_exit = value
        self._wake()

    @property
    def force_exit(self) -> bool:
        """Set it, from any thread or from a signal handler, to cut a graceful stop short."""
        return self._force_exit

    @force_exit.setter
    def force_exit(self, value: bool) -> None:
        self._force_exit = value
        self._wake()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Let SIGINT and SIGTERM call ``handle_exit`` meanwhile; does nothing outside the main thread."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        with handled(dict.fromkeys(HANDLED_SIGNALS, self._on_signal)):
            yield
        captured, self._captured_signals = self._captured_signals, []
        if self._raise_signals_again:
            for captured_signal in reversed(captured):
                signal.raise_signal(captured_signal)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """What a signal does: stop gracefully, or, with a second Ctrl-C, at once."""
        self._captured_signals.append(sig)
        if self.should_exit and sig == signal.SIGINT:
            self.force_exit = True
        else:
            self.should_exit = True

    @contextlib.contextmanager
    def _failing(self) -> Iterator[None]:
        try:
            yield
        except StartupError as error:
            self.failure = error
            self.should_exit = True
            server_log().error("%s", error)

    def _leave(self) -> None:
        if self.failure is not None and self.exits_on_failure:
            raise SystemExit(STARTUP_FAILURE)

    def _on_signal(self, sig: int, frame: FrameType | None) -> None:
        # Looked up only now: handle_exit may be replaced while the server runs, and is by what the application imports.
        self.handle_exit(sig, frame)
        if self._loading:
            raise KeyboardInterrupt  # nothing to stop yet, and importing the application may take long

    def _renew_events(self) -> None:
        self._stop = asyncio.Event()
        self._force = asyncio.Event()
        self._notice()

    def soon(self, work: Callable[[], object]) -> None:
        """Do it in the server's loop; from any thread or from a signal handler."""
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody is left to be told
                self._loop.call_soon_threadsafe(work)

    def _wake(self) -> None:
        self.soon(self._notice)

    def _notice(self) -> None:
        if self._should_exit:
            self._stop.set()
        if self._force_exit:
            self._stop.set()
            self._force.set()
