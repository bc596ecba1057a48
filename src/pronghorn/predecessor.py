"""The supervisor whose place this one takes, as this one sees it: see succession.py."""

from __future__ import annotations

import socket

from pronghorn.processes import say

__all__ = ["GIVEN_WAY", "READY", "TAKEN", "Predecessor"]

READY = "ready"  # says the new one, when all its workers are
GIVEN_WAY = "yours"  # says the old one to that
TAKEN = "taken"  # says the new one when it is in charge; then the old one stops


class Predecessor:
    """At the other end of a line, until it has given way; without a line, nobody is there."""

    def __init__(self, line: socket.socket | None) -> None:
        self.line = line
        self.heard = b""
        if line is not None:
            line.setblocking(False)

    def fileno(self) -> int:
        return self.line.fileno() if self.line is not None else -1

    def gives_way(self) -> bool:
        """Whether it has just said so, or has gone without a word."""
        if self.line is None:
            return False
        try:
            part = self.line.recv(4096)
        except BlockingIOError:
            return False
        except OSError:
            part = b""
        self.heard += part
        return not part or GIVEN_WAY.encode() + b"\n" in self.heard

    def say(self, text: str) -> None:
        if self.line is not None:
            say(self.line, text)

    def close(self) -> None:
        """Let go of it; in a worker, too."""
        if self.line is not None:
            self.line.close()
            self.line = None
