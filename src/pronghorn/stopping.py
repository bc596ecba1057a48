"""The graceful stop of listeners and connections, which always ends.

In order:

    begin no handshake, accept until the backlog is empty, then close the listeners
    busy connections close after their response, idle ones after timeout_linger, or after the response to a request
        that comes until then; after a Ctrl-C, idle ones that have been served before close at once
    from then on, every half second: cancel the calls whose client has gone and that do not listen
    after a Ctrl-C, where somebody waits at a terminal, a second later: http.disconnect to responses that have begun
        and have no length, such as event streams; a few seconds later, cancel those that go on
    at the last part of timeout_graceful_shutdown: http.disconnect to what is still open
    half of that part later: cancel what still runs
    at timeout_graceful_shutdown: abort what is left

``force``, a second Ctrl-C, jumps to the last http.disconnect and the cancelling at once. lifespan.shutdown follows,
whatever came before.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import Collection
from typing import Any, Protocol

from pronghorn.accepting import Accepting
from pronghorn.listeners import Listener
from pronghorn.loggers import server_log

__all__ = ["close_connections", "empty_backlog"]

BACKLOG_LIMIT = 1.0  # seconds the emptying of the backlog may take while clients keep coming
HANDSHAKES = 0.02  # seconds for those that have begun: the way to a client in the same place and back
QUIET_TURNS = 5  # turns of the loop with nobody waiting until the backlog counts as empty, and its first bytes as read
ABANDONED = 0.5  # seconds between two looks for calls whose client has gone: what ends by itself until then may
PROMPT = 1.0  # seconds after a Ctrl-C until open streams are told
LAST_PART = 5.0  # seconds at the end of a graceful stop for disconnecting and cancelling; a quarter of it at most
SHORTEST_STEP = 0.1  # seconds between disconnecting, cancelling and aborting when there is no time for more
LEFT_BEHIND_AFTER = 1.0  # seconds for a call to end after its connection was aborted
CANCEL_MESSAGE = "Task cancelled, timeout graceful shutdown exceeded"
FORCED_MESSAGE = "Task cancelled, the stop was cut short"
STREAM_MESSAGE = "Task cancelled, the server stops, and the stream has no end"
ABANDONED_MESSAGE = "Task cancelled, the server stops, and the client has gone"


class Connections(Protocol):
    """What a stop needs of the compiled layer's connections."""

    @property
    def open(self) -> int: ...
    @property
    def active(self) -> int: ...
    def drain(self, prompt: bool) -> object: ...
    def disconnect(self, endless: bool = False) -> object: ...
    def cancel(self, message: str, endless: bool = False) -> int: ...
    def cancel_abandoned(self, message: str) -> int: ...
    def abort(self) -> object: ...
    async def wait_closed(self) -> None: ...


async def empty_backlog(
    listeners: Collection[Listener], force: asyncio.Event, accepting: Collection[Accepting] = ()
) -> None:
    """Let the loop accept, and begin to read, the connections that the kernel has taken in already, and no more."""
    loop = asyncio.get_running_loop()
    for listener in listeners:
        listener.deafen()
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(force.wait(), HANDSHAKES)
    deadline, quiet = loop.time() + BACKLOG_LIMIT, 0
    while quiet < QUIET_TURNS and loop.time() < deadline and not force.is_set():
        quiet = 0 if any(listener.has_waiting() for listener in listeners) else quiet + 1
        await asyncio.sleep(0)
    for one in accepting:
        one.hold()
    for _ in range(QUIET_TURNS):
        await asyncio.sleep(0)


async def close_connections(
    connections: Connections, limit: float | None, force: asyncio.Event, prompt: bool = False
) -> None:
    """Close every connection and end every call of the application, within the limit when there is one."""
    loop = asyncio.get_running_loop()
    step = LAST_PART / 2 if limit is None else max(min(LAST_PART, limit / 4) / 2, SHORTEST_STEP)
    last_part = math.inf if limit is None else loop.time() + max(limit - 2 * step, 0)
    closed = asyncio.ensure_future(connections.wait_closed())
    forced = asyncio.ensure_future(force.wait())

    async def over(within: float, *unless: asyncio.Future[Any]) -> bool:
        await asyncio.wait({closed, *unless}, timeout=within, return_when=asyncio.FIRST_COMPLETED)
        return closed.done()

    async def over_by(moment: float) -> bool:
        while (left := min(moment, last_part) - loop.time()) > 0 and not forced.done():
            if await over(min(left, ABANDONED), forced):
                return True
            if not forced.done() and (count := connections.cancel_abandoned(ABANDONED_MESSAGE)):
                server_log().info("Cancel %d running task(s) whose client has gone", count)
        return False

    async def over_after_streams() -> bool:
        if await over_by(loop.time() + PROMPT):
            return True
        if not forced.done():
            connections.disconnect(endless=True)
        if await over_by(loop.time() + step):
            return True
        if not forced.done() and (count := connections.cancel(STREAM_MESSAGE, endless=True)):
            server_log().error("Cancel %d open stream(s), %g seconds after they were told", count, step)
        return False

    connections.drain(prompt or limit == 0)
    if connections.open:
        server_log().info("Waiting for connections to close. (CTRL+C to force quit)")
    elif connections.active:
        server_log().info("Waiting for background tasks to complete. (CTRL+C to force quit)")
    try:
        if (prompt and await over_after_streams()) or await over_by(last_part):
            return
        connections.disconnect()
        if await over(step, forced):
            return
        message, why = CANCEL_MESSAGE, "timeout graceful shutdown exceeded"
        if forced.done():
            message, why = FORCED_MESSAGE, "the stop was cut short"
        if connections.active:
            server_log().error("Cancel %d running task(s), %s", connections.active, why)
        connections.cancel(message)
        if await over(step):
            return
        connections.abort()
        if not await over(LEFT_BEHIND_AFTER):
            server_log().error("%d task(s) ignore their cancellation and are left behind", connections.active)
    finally:
        forced.cancel()
        closed.cancel()
        await asyncio.wait({forced, closed})
