"""Signals for a process that has no event loop: they are put down as they come, and read when there is time."""

from __future__ import annotations

import contextlib
import signal
import socket
from collections.abc import Iterable, Iterator

__all__ = ["Inbox"]


class Inbox:
    """A socket that becomes readable when a signal has come."""

    def __init__(self) -> None:
        self.out, self.into = socket.socketpair()
        self.out.setblocking(False)
        self.into.setblocking(False)

    def fileno(self) -> int:
        return self.out.fileno()

    @contextlib.contextmanager
    def listening(self, numbers: Iterable[int]) -> Iterator[None]:
        """Take these signals meanwhile."""
        previous = {number: signal.signal(number, lambda *_: None) for number in numbers}
        before = signal.set_wakeup_fd(self.into.fileno(), warn_on_full_buffer=False)
        try:
            yield
        finally:
            signal.set_wakeup_fd(before)
            for number, handler in previous.items():
                signal.signal(number, signal.SIG_DFL if handler is None else handler)

    def taken(self) -> bytes:
        """The numbers of the signals that came, in their order."""
        with contextlib.suppress(BlockingIOError):
            return self.out.recv(4096)
        return b""

    def close(self) -> None:
        self.out.close()
        self.into.close()
