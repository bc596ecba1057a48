"""uvicorn.loops.asyncio."""

import asyncio
from collections.abc import Callable

__all__ = ["asyncio_loop_factory"]


def asyncio_loop_factory(use_subprocess: bool = False) -> Callable[[], asyncio.AbstractEventLoop]:
    """What makes one of asyncio's own loops."""
    if use_subprocess:
        return asyncio.SelectorEventLoop
    return getattr(asyncio, "ProactorEventLoop", asyncio.SelectorEventLoop)
