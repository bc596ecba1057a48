"""Signals: handlers for a while, and an inbox for a process that has no event loop."""

from __future__ import annotations

import contextlib
import faulthandler
import os
import signal
import socket
from collections.abc import Callable, Iterable, Iterator, Mapping
from types import FrameType

from pronghorn._core import signalstack

__all__ = ["Handler", "Inbox", "end_within", "handled", "show_faults", "widen_stack"]

NO_FILE = (ValueError, OSError, AttributeError, RuntimeError)  # standard error is closed, or has no file behind it

Handler = Callable[[int, FrameType | None], object]


@contextlib.contextmanager
def handled(handlers: Mapping[int, Handler]) -> Iterator[None]:
    """Have these signals handled meanwhile, and as before afterwards; in the main thread."""
    widen_stack()
    previous = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    try:
        yield
    finally:
        for number, before in previous.items():
            signal.signal(number, signal.SIG_DFL if before is None else before)


def show_faults() -> None:
    """Have a fatal signal write to standard error where each thread is, if there is a file behind that."""
    with contextlib.suppress(*NO_FILE):
        faulthandler.enable()
    widen_stack()


def end_within(seconds: float) -> None:
    """End the process with status 1 after so long, having written where each thread is, whatever they are at."""
    try:
        faulthandler.dump_traceback_later(seconds, exit=True)
    except NO_FILE:
        faulthandler.dump_traceback_later(seconds, exit=True, file=os.open(os.devnull, os.O_WRONLY))


def widen_stack() -> None:
    """Give this thread's handlers room for all signals at once, where faulthandler has given them a stack of their own;
    the interpreter's options or the application may have asked for that."""
    with contextlib.suppress(OSError):  # there is no memory: few signals at once still have room
        signalstack.widen()


class Inbox:
    """A socket that becomes readable when a signal has come: they are put down, and read when there is time."""

    def __init__(self) -> None:
        self.out, self.into = socket.socketpair()
        self.out.setblocking(False)
        self.into.setblocking(False)

    def fileno(self) -> int:
        return self.out.fileno()

    @contextlib.contextmanager
    def listening(self, numbers: Iterable[int]) -> Iterator[None]:
        """Take these signals meanwhile."""
        with handled(dict.fromkeys(numbers, lambda *_: None)):
            before = signal.set_wakeup_fd(self.into.fileno(), warn_on_full_buffer=False)
            try:
                yield
            finally:
                signal.set_wakeup_fd(before)

    def taken(self) -> bytes:
        """The numbers of the signals that came, in their order."""
        with contextlib.suppress(BlockingIOError):
            return self.out.recv(4096)
        return b""

    def close(self) -> None:
        self.out.close()
        self.into.close()
