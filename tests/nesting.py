"""An event loop that can be run inside of itself, patched as nest_asyncio does it.

    nested(asyncio.sleep(0))        # from a coroutine of the running loop; returns its result

uvloop cannot: the context of its callbacks is entered once only. But sockets of our own and TLS are the same on any loop
that looks like uvloop's.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

__all__ = ["Loop", "LoopWithSockets", "nested"]


def call(handle: Any) -> None:
    if not handle._cancelled:  # by now
        handle._callback(*handle._args)


class Loop(asyncio.SelectorEventLoop):
    """asyncio's, but that a callback which is under way can be called once more."""

    def _add_callback(self, handle: Any) -> None:
        if not handle._cancelled:
            self.call_soon(call, handle, context=handle._context.copy())


class LoopWithSockets(Loop):
    """The same for sockets of our own."""


LoopWithSockets.__module__ = "uvloop.nesting"


def nothing() -> None:
    """For a turn that has been interrupted: it wants to call as many as there were when it began."""


def nested(work: Coroutine[Any, Any, Any]) -> Any:
    loop: Any = asyncio.get_running_loop()
    task = asyncio.current_task()
    waiting = len(loop._ready)
    if task is not None:
        asyncio.tasks._leave_task(loop, task)
    try:
        inner = loop.create_task(work)
        while not inner.done():
            loop._run_once()
        return inner.result()
    finally:
        if task is not None:
            asyncio.tasks._enter_task(loop, task)
        for _ in range(waiting):
            loop.call_soon(nothing)
