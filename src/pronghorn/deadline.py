"""The limits of a stop, kept from outside the event loop, which may be blocked."""

from __future__ import annotations

import contextlib
import signal
import threading
from typing import Protocol

from pronghorn._core import deadline
from pronghorn.forking import EXIT_LIMIT
from pronghorn.signals import show_faults

__all__ = ["Deadline"]

SPARE = 5.0  # seconds on top of what the loop allows itself: it is never slower than that, unless it is blocked
FORCED = 8.0  # seconds from a second Ctrl-C, after which the loop cancels what runs, and ends the lifespan, within 6


class Limits(Protocol):
    """The settings."""

    shutdown_delay: float | None
    timeout_graceful_shutdown: float | None
    timeout_lifespan_shutdown: float | None


class Deadline:
    """The time that each part of a stop may take, in a process that is the server's own; the process ends with it.

    Where the system has no timers, or a limit is infinite, it is not kept.
    """

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.kept = False

    def listen(self) -> None:
        """From now on the signals that stop the server begin its time. They have handlers."""
        if threading.current_thread() is not threading.main_thread():
            return
        show_faults()
        with contextlib.suppress(OSError):
            deadline.create()
            self.kept = True
            if (graceful := self._graceful()) is not None:
                deadline.watch(signal.SIGTERM, milliseconds((self.limits.shutdown_delay or 0) + graceful), 0)
                deadline.watch(signal.SIGINT, milliseconds(graceful), milliseconds(FORCED))

    def stopping(self) -> None:
        """The server stops its connections, whatever it does that for."""
        self._put(self._graceful())

    def served(self) -> None:
        """No connection is there any more; the application is told of its end."""
        limit = self.limits.timeout_lifespan_shutdown
        self._put(limit + 2 * SPARE if limit else None)  # what does not end in time is cancelled, and has time for that

    def stopped(self) -> None:
        """Only the end of the loop is to come, and of its threads."""
        self._put(EXIT_LIMIT + SPARE)

    def over(self) -> None:
        """The server has ended; the process may go on."""
        if self.kept:
            deadline.clear()
            self.kept = False

    def _graceful(self) -> float | None:
        limit = self.limits.timeout_graceful_shutdown
        return None if limit is None else limit + SPARE

    def _put(self, seconds: float | None) -> None:
        if self.kept:
            deadline.put(0 if seconds is None else milliseconds(seconds))


def milliseconds(seconds: float) -> int:
    return min(int(seconds * 1000), 2**31 - 2000)
