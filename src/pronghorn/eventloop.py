"""An event loop of the server's own, for as long as one coroutine runs."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

__all__ = ["run"]


def run(work: Callable[[], Coroutine[Any, Any, None]], factory: Callable[[], asyncio.AbstractEventLoop] | None) -> None:
    """Run what ``work`` makes in a new loop, and close that. An interrupt at any time is a KeyboardInterrupt.

    uvloop takes itself for running when it is interrupted in code of its own, and cannot be closed then.

    RuntimeError inside a running loop, which cannot wait for another one.
    """
    if asyncio._get_running_loop() is not None:
        raise RuntimeError(
            "run() cannot be called while an event loop runs; use 'async with pronghorn.Server(config):' there, "
            "or 'await server.serve()'"
        )
    try:
        with asyncio.Runner(loop_factory=factory) as runner:
            runner.run(work())
    except RuntimeError as error:
        if interrupted(error):
            raise KeyboardInterrupt from None
        raise


def interrupted(error: BaseException | None) -> bool:
    return isinstance(error, KeyboardInterrupt) or (error is not None and interrupted(error.__context__))
