"""A small listener beside the server's own, for those who ask how it is: /livez and /readyz."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from pronghorn import addresses, listeners, stopping
from pronghorn._core.edge import Connections
from pronghorn._core.sockets import Sockets, usable
from pronghorn.accepting import Accepting
from pronghorn.config import Config
from pronghorn.errors import StartupError
from pronghorn.listeners import Estate, Listener
from pronghorn.loggers import server_log
from pronghorn.waiting import first

__all__ = ["Admin"]

CLOSE_WITHIN = 1.0  # seconds for the connections to go
LEAVE_WITHIN = 5.0  # seconds for those to go whose requests may be on their way
BACKLOG = 64
HEADERS = [(b"content-type", b"text/plain; charset=utf-8"), (b"cache-control", b"no-store")]

Ask = Callable[[], tuple[bool, str]]


class Admin:
    """Answers from the event loop it is in; ``ask`` says whether the server is alive, and why it is not ready."""

    def __init__(self, config: Config, ask: Ask, estate: Estate | None = None) -> None:
        assert config.admin is not None
        self.ask = ask
        self.bound: list[Listener] = listeners.bind_place(addresses.parse(config.admin), config, estate)
        self.accepting: list[Accepting] = []
        self.connections: Connections | None = None

    async def serve(self) -> None:
        """Answer from now on."""
        loop = asyncio.get_running_loop()
        own = Config(
            self.answer, lifespan="off", ws="none", log_config=None, workers=1, proxy_headers=False,
            forwarded_allow_ips="", limit_connections=256, timeout_keep_alive=5.0, task="lazy",
        )  # fmt: skip
        self.connections = Connections(loop, self.answer, own, state={}, error=server_log())
        sockets = Sockets(self.connections) if usable(loop) else None
        for listener in self.bound:
            try:
                self.accepting.append(await listener.serve(self.connections, sockets, BACKLOG))
            except OSError as error:
                raise StartupError(f"cannot listen on {listener.name}: {listeners.reason(error)}") from None
        names = ", ".join(dict.fromkeys(listener.name for listener in self.bound))
        server_log().info("/livez and /readyz are answered on %s", names)

    async def close(self) -> None:
        """Answer nobody any more."""
        for one in self.accepting:
            one.close()
        self.release()
        if self.connections is not None:
            connections, self.connections = self.connections, None
            connections.abort()
            await first(CLOSE_WITHIN, connections.wait_closed())

    async def leave(self) -> None:
        """As ``close()``, but without taking anybody's answer away: somebody else has the same sockets."""
        await stopping.empty_backlog((), asyncio.Event(), self.accepting)
        for one in self.accepting:
            one.close()
        if self.connections is not None:
            self.connections.drain()
            await first(LEAVE_WITHIN, self.connections.wait_closed())
        await self.close()

    def release(self) -> None:
        """Close the sockets."""
        for listener in self.bound:
            listener.close()

    async def answer(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        """The application behind it."""
        alive, unready = self.ask()
        known = {"/livez": "" if alive else unready or "not alive", "/readyz": unready}
        reason = known.get(scope["path"])
        headers = HEADERS
        if reason is None:
            status, text = 404, "there are /livez and /readyz"
        elif scope["method"] not in ("GET", "HEAD"):
            status, text, headers = 405, "only GET and HEAD", [*HEADERS, (b"allow", b"GET, HEAD")]
        else:
            status, text = (503, reason) if reason else (200, "ok")
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": text.encode() + b"\n"})
