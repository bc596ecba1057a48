"""The graceful stop of listeners and connections, which always ends.

In order:

    begin no handshake, accept until the backlog is empty, then close the listeners
    busy connections close after their response, idle ones after timeout_linger, or after the response to a request
        that comes until then; after a Ctrl-C, idle ones that have been served before close at once
    at the last part of timeout_graceful_shutdown: http.disconnect to what is still open; after a Ctrl-C, where
        somebody waits at a terminal, a second later already
    half of that part later: cancel what still runs
    at timeout_graceful_shutdown: abort what is left

``force``, a second Ctrl-C, jumps to the cancelling. lifespan.shutdown follows, whatever came before.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Collection
from typing import Any, Protocol

from pronghorn.accepting import Accepting
from pronghorn.listeners import Listener
from pronghorn.loggers import server_log

__all__ = ["close_connections", "empty_backlog"]

BACKLOG_LIMIT = 1.0  # seconds the emptying of the backlog may take while clients keep coming
HANDSHAKES = 0.02  # seconds for those that have begun: the way to a client in the same place and back
QUIET_TURNS = 5  # turns of the loop with nobody waiting until the backlog counts as empty, and its first bytes as read
PROMPT = 1.0  # seconds after a Ctrl-C until open streams are told
LAST_PART = 5.0  # seconds at the end of a graceful stop for disconnecting and cancelling; a quarter of it at most
SHORTEST_STEP = 0.1  # seconds between disconnecting, cancelling and aborting when there is no time for more
LEFT_BEHIND_AFTER = 1.0  # seconds for a call to end after its connection was aborted
CANCEL_MESSAGE = "Task cancelled, timeout graceful shutdown exceeded"


class Connections(Protocol):
    """What a stop needs of the compiled layer's connections."""

    @property
    def open(self) -> int: ...
    @property
    def active(self) -> int: ...
    def drain(self, prompt: bool) -> object: ...
    def disconnect(self) -> object: ...
    def cancel(self, message: str) -> object: ...
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
    step = LAST_PART / 2 if limit is None else max(min(LAST_PART, limit / 4) / 2, SHORTEST_STEP)
    patience = None if limit is None else max(limit - 2 * step, 0)
    if prompt:
        patience = PROMPT if patience is None else min(patience, PROMPT)
    closed = asyncio.ensure_future(connections.wait_closed())
    forced = asyncio.ensure_future(force.wait())

    async def over(within: float | None, *unless: asyncio.Future[Any]) -> bool:
        await asyncio.wait({closed, *unless}, timeout=within, return_when=asyncio.FIRST_COMPLETED)
        return closed.done()

    connections.drain(prompt or limit == 0)
    if connections.open:
        server_log().info("Waiting for connections to close. (CTRL+C to force quit)")
    elif connections.active:
        server_log().info("Waiting for background tasks to complete. (CTRL+C to force quit)")
    try:
        if await over(patience, forced):
            return
        connections.disconnect()
        if await over(step, forced):
            return
        if connections.active:
            server_log().error("Cancel %d running task(s), timeout graceful shutdown exceeded", connections.active)
        connections.cancel(CANCEL_MESSAGE)
        if await over(step):
            return
        connections.abort()
        if not await over(LEFT_BEHIND_AFTER):
            server_log().error("%d task(s) ignore their cancellation and are left behind", connections.active)
    finally:
        forced.cancel()
        closed.cancel()
        await asyncio.wait({forced, closed})
