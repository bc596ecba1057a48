"""The plain form of the ASGI call: what the compiled drive does, written as a few lines of Python."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

__all__ = ["adopt", "call", "make_receive"]


async def call(app: Any, scope: Any, receive: Any, send: Any) -> Any:
    """Run the application once, as one coroutine that a task can drive."""
    return await app(scope, receive, send)


def make_receive(
    next_message: Callable[[], dict[str, Any] | None],
    wait: Callable[[], Awaitable[Any]],
) -> Callable[[], Awaitable[dict[str, Any]]]:
    """Make ``receive()`` from a source that has a message now or None, and a way to wait for the next one."""

    async def receive() -> dict[str, Any]:
        while True:
            message = next_message()
            if message is not None:
                return message
            await wait()

    return receive


async def adopt(awaitable: Awaitable[Any]) -> Any:
    """A coroutine for an application that returned some other kind of awaitable."""
    return await awaitable
