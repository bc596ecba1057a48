"""Applications of the WebSocket tests."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

__all__ = ["ACCEPT", "CONNECT", "Echo", "Session", "begin", "each", "echo", "received"]

CONNECT = {"type": "websocket.connect"}
ACCEPT = {"type": "websocket.accept"}


def received(data: str | bytes) -> dict[str, Any]:
    """The message that the application gets for it: one key besides the type, never both."""
    return {"type": "websocket.receive", "text" if isinstance(data, str) else "bytes": data}


def sent(data: str | bytes) -> dict[str, Any]:
    return {"type": "websocket.send", "text" if isinstance(data, str) else "bytes": data}


async def begin(receive: Any, send: Any) -> None:
    """Accept, as the specification wants it: connect comes first."""
    assert await receive() == CONNECT
    await send(ACCEPT)


async def echo(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """Every message goes back as it came."""
    await begin(receive, send)
    while (message := await receive())["type"] == "websocket.receive":
        await send({**message, "type": "websocket.send"})


@dataclass
class Session:
    """What an application has seen of one session."""

    messages: list[str | bytes] = field(default_factory=list)
    ends: list[tuple[int, str]] = field(default_factory=list)


class Echo:
    """echo, that keeps what it saw, by the client's port."""

    def __init__(self, before: Callable[[], Awaitable[object]] | None = None) -> None:
        self.seen: dict[int, Session] = {}
        self.before = before

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        assert scope["type"] == "websocket", scope["type"]
        session = self.seen[scope["client"][1]] = Session()
        assert await receive() == CONNECT
        if self.before:
            await self.before()
        await send(ACCEPT)
        while (message := await receive())["type"] == "websocket.receive":
            assert len(message) == 2, message
            data = message["text"] if "text" in message else message["bytes"]
            session.messages.append(data)
            try:
                await send(sent(data))
            except OSError:
                pass
        assert message.pop("type") == "websocket.disconnect"
        session.ends.append((message.pop("code"), message.pop("reason")))
        assert not message, message

    @property
    def only(self) -> Session:
        assert len(self.seen) == 1, f"{len(self.seen)} sessions"
        return next(iter(self.seen.values()))


def each(use: Callable[[dict[str, Any], Any, Any], Awaitable[object]]) -> Any:
    """An application that accepts, and then does what `use` does."""

    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        await begin(receive, send)
        await use(scope, receive, send)

    return app
