"""What the first process of a container has to wait for: processes that those have left behind who started them."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable
from pathlib import Path

__all__ = ["FIRST_PROCESS", "Orphans"]

FIRST_PROCESS = 1


class Orphans:
    """The kernel gives them to that process, and keeps each that has ended until it is waited for.

    Not all that have ended are meant: those that a script has started before it runs the server, or an application
    while it was preloaded, are asked for their exit status there.
    """

    def __init__(self) -> None:
        self.ours = os.getpid() == FIRST_PROCESS
        self.kept: set[int] = set()

    def keep(self) -> None:
        """The processes that are there now are not meant."""
        self.kept = children() if self.ours else set()

    def reap(self, others: Iterable[int]) -> None:
        """Let those go that have ended; ``others`` are the supervisor's own."""
        if not self.ours:
            return
        found = children()
        self.kept &= found  # the number of one that has gone may come back
        for pid in found - self.kept - set(others):
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, os.WNOHANG)


def children() -> set[int]:
    """All processes that are this one's, also when they have ended; none where the system does not tell."""
    with contextlib.suppress(OSError):
        return {int(pid) for file in Path("/proc/self/task").glob("*/children") for pid in file.read_text().split()}
    return set()
