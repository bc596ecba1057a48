"""uvicorn.loops.uvloop."""

import asyncio
from collections.abc import Callable

import uvloop

__all__ = ["uvloop_loop_factory"]


def uvloop_loop_factory(use_subprocess: bool = False) -> Callable[[], asyncio.AbstractEventLoop]:
    """What makes one of uvloop's loops."""
    factory: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
    return factory
