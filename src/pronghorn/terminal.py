"""The terminal that the program was started from, if there is one: whether it is there, and what its end means.

SIGHUP has two meanings. The kernel sends it, or a shell passes it on, when a terminal is closed: then it is to end a
program, unless nohup has it ignored. People and service managers send it to a server that is to be reloaded. Python
does not tell who has sent a signal, so what counts is whether the terminal has gone in that moment. One that has gone
before, without SIGHUP, as of a job in the background whose user has logged out, is of no interest any more.
"""

from __future__ import annotations

import os
import signal
import time

__all__ = ["GONE", "Terminal", "is_hangup_ignored"]

GONE = "The terminal has been closed: the server stops"
MOMENT = 2.0  # seconds between the end of a terminal and the signal that tells of it, at most


class Terminal:
    """To be looked at now and then, and when SIGHUP comes; made before that has a handler."""

    def __init__(self) -> None:
        self.ignored = is_hangup_ignored()
        self.there = foreground() >= 0
        self.gone_at = 0.0  # 0: it has not, or was never there

    def look(self) -> None:
        """See whether it is still there."""
        if self.there and foreground() < 0:
            self.there, self.gone_at = False, time.monotonic()

    def has_just_gone(self) -> bool:
        """Whether that is what a SIGHUP tells."""
        self.look()
        return self.gone_at > 0 and time.monotonic() - self.gone_at < MOMENT

    def sends_us_signals(self) -> bool:
        """Whether this process is in its foreground."""
        return foreground() == os.getpgrp()


def foreground() -> int:
    """The group of processes that the terminal sends its signals to; -1 without a terminal."""
    try:
        terminal = os.open(os.ctermid(), os.O_RDONLY | os.O_NOCTTY)
    except (AttributeError, OSError):  # a system without terminals; a process without one
        return -1
    try:
        return os.tcgetpgrp(terminal)
    except OSError:
        return -1
    finally:
        os.close(terminal)


def is_hangup_ignored() -> bool:
    """Whether whoever has started this process wants it to go on without a terminal: nohup."""
    return hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
