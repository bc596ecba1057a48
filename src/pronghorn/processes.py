"""Another process of the same program, as the one that started it sees it."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import time

from pronghorn.loggers import server_log

__all__ = ["Process", "say"]


def say(line: socket.socket, text: str) -> None:
    """Tell whoever is at the other end, if anybody is."""
    with contextlib.suppress(OSError):  # it has gone, which is noticed in another place
        line.sendall(text.encode() + b"\n")


class Process:
    """Its end, what it says on its line, and its stop, which is insisted on."""

    kind = "Process"  # as the log has it

    def __init__(self, pid: int, line: socket.socket) -> None:
        line.setblocking(False)
        self.pid = pid
        self.line = line
        self.born = time.monotonic()
        self.hurry_at = 0.0  # a graceful stop is cut short then; 0: never
        self.kill_at = 0.0
        self.code: int | None = None
        self.heard = b""
        self.silent = False  # it has closed its end of the line; it may live on all the same

    def fileno(self) -> int:
        return self.line.fileno()

    def lines(self) -> list[str]:
        """What it has said since the last look."""
        try:
            part = self.line.recv(65536)
        except OSError:
            return []
        self.silent = not part
        self.heard += part
        *lines, self.heard = self.heard.split(b"\n")
        return [line.decode() for line in lines]

    def say(self, text: str) -> None:
        say(self.line, text)

    def has_ended(self) -> bool:
        """Whether the process is over; then ``code`` is its exit status, or minus the signal that ended it."""
        if self.code is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.code = os.waitstatus_to_exitcode(status)
        return self.code is not None

    def how(self) -> str:
        if self.code is None or self.code >= 0:
            return f"exit status {self.code}"
        return f"ended by {signal.Signals(-self.code).name}"

    def send(self, number: int) -> None:
        if self.code is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def stop(self, number: int, limit: float | None) -> None:
        """Ask it to stop, and see to it that it has after ``limit`` seconds."""
        self.send(number)
        if limit is not None and not self.kill_at:
            self.kill_at = time.monotonic() + limit

    def insist(self, now: float) -> None:
        """What its stop needs by now, if anything."""
        if self.hurry_at and now > self.hurry_at:
            self.hurry_at = 0.0
            self.send(signal.SIGINT)
        if self.kill_at and now > self.kill_at:
            server_log().error("%s [%d] does not stop, and is killed", self.kind, self.pid)
            self.kill_at = float("inf")
            self.kill()

    def kill(self) -> None:
        self.send(signal.SIGKILL)

    def close(self) -> None:
        self.line.close()
