"""The plain form of the ASGI call: what the compiled drive does, written as a few lines of Python."""

from __future__ import annotations

from asyncio import CancelledError
from collections.abc import Awaitable, Callable
from typing import Any

__all__ = ["adopt", "call", "make_receive"]


async def call(
    app: Any, scope: Any, receive: Any, send: Any, ended: Callable[[Any, BaseException | None], None]
) -> None:
    """Run the application once, as a coroutine that a task can drive.

    ``ended(result, error)`` is told how it ended. No exception leaves but a cancellation, which makes the task count
    as cancelled: the server reports the application's errors, and an exit is not for an application to decide.
    """
    try:
        result = await app(scope, receive, send)
    except CancelledError as error:
        ended(None, error)
        raise
    except BaseException as error:
        ended(None, error)
    else:
        ended(result, None)


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
