"""uvicorn.loops.auto."""

import asyncio
from collections.abc import Callable

from .asyncio import asyncio_loop_factory

__all__ = ["auto_loop_factory"]


def auto_loop_factory(use_subprocess: bool = False) -> Callable[[], asyncio.AbstractEventLoop]:
    """What makes an event loop: uvloop's where it is installed."""
    try:
        from .uvloop import uvloop_loop_factory
    except ImportError:
        return asyncio_loop_factory(use_subprocess)
    return uvloop_loop_factory(use_subprocess)
