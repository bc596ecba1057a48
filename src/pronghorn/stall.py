"""A blocked event loop, seen from outside: which request it is at, and where in the code."""

from __future__ import annotations

import asyncio
import sys
import threading
import time
import traceback
from collections.abc import Iterator, Mapping
from types import FrameType
from typing import Any, Protocol

from pronghorn.loggers import server_log

__all__ = ["StallLog"]

LOOK = 0.5  # seconds between two looks, at most
RUNNERS = ("asyncio.runners", "asyncio.base_events", "asyncio.events")
LEGIBLE = "/:@!$&'()*+,;=~"  # in a path; what else is no letter or digit could make a line of its own


class Serving(Protocol):
    """The compiled layer's connections."""

    @property
    def loop(self) -> asyncio.AbstractEventLoop: ...
    def serving(self) -> dict[str, Any] | None: ...


class StallLog:
    """A thread that wakes now and then, and looks whether the loop has turned meanwhile; made in the loop's own.

    One warning when it has not for ``limit`` seconds, with the stack, and one line when it turns again.
    """

    def __init__(self, connections: Serving, limit: float) -> None:
        self.connections = connections
        self.limit = limit
        self.interval = min(LOOK, limit / 2)
        self.blocked = threading.get_ident()
        self.warned = False  # of what goes on now
        self.over = threading.Event()
        self.turned = time.monotonic()
        self.timer = connections.loop.call_later(self.interval, self._turn)
        self.thread = threading.Thread(target=self._watch, name="pronghorn stall log", daemon=True)
        self.thread.start()

    def stop(self) -> None:
        """Look no more."""
        self.timer.cancel()
        self.over.set()
        self.thread.join(LOOK)  # it may be at a log that nobody takes

    def _turn(self) -> None:
        """In the loop: it turns."""
        now = time.monotonic()
        late = now - self.turned - self.interval
        warned, self.warned, self.turned = self.warned, False, now
        if warned:
            server_log().warning("The event loop turns again, after %.1f seconds.", late)
        elif late > self.limit + self.interval:  # an extension module kept the lock, or the whole process was stopped
            server_log().warning("The event loop stood still for %.1f seconds, and so did every other thread.", late)
        self.timer = self.connections.loop.call_later(self.interval, self._turn)

    def _watch(self) -> None:
        looked = time.monotonic()
        while not self.over.wait(self.interval):
            now = time.monotonic()
            on_time, looked = now - looked < self.interval + LOOK, now
            late = now - self.turned - self.interval
            if on_time and late > self.limit and not self.warned:
                self.warned = True
                self._warn(late)

    def _warn(self, late: float) -> None:
        frame = sys._current_frames().get(self.blocked)
        scope = self.connections.serving() or scope_of(frame)
        server_log().warning(
            "The event loop has been blocked for %.1f seconds%s (loop_stall_log):\n%s",
            late,
            f" by {request(scope)}" if scope else "",
            "".join(stack(frame)).rstrip(),
        )


def request(scope: Mapping[str, Any]) -> str:
    """A request as the log names it. The scope is the application's, which may have changed it."""
    from urllib.parse import quote  # slow to import, and of use here only

    return f"{scope.get('method', 'WebSocket')} {quote(str(scope.get('path', '')), LEGIBLE)}"


def scope_of(frame: FrameType | None) -> Mapping[str, Any] | None:
    """The scope that the innermost call with one has: that of a task which the application started itself."""
    for each in frames(frame):
        if "scope" in each.f_code.co_varnames or "scope" in each.f_code.co_cellvars:
            scope = each.f_locals.get("scope")
            if isinstance(scope, Mapping) and scope.get("type") in ("http", "websocket"):
                return scope
    return None


def stack(frame: FrameType | None) -> list[str]:
    """The lines of a stack, without what runs the loop, where that is asyncio's: nobody looks for the fault there."""
    outer = list(frames(frame))[::-1]
    turns = [each.f_globals.get("__name__") in RUNNERS for each in outer]
    start = turns.index(True) if True in turns else 0
    while start < len(outer) and turns[start]:
        start += 1
    shown = outer[start:] or outer
    return traceback.StackSummary.extract((each, each.f_lineno) for each in shown).format()


def frames(frame: FrameType | None) -> Iterator[FrameType]:
    while frame is not None:
        yield frame
        frame = frame.f_back
