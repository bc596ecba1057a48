"""The demonstration's WebSockets: an echo, and a chat of everybody who has the page open."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections import deque
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from itertools import count
from typing import Any

from pronghorn.types import Message, Receive, Scope, Send

__all__ = ["websocket"]

LONGEST = 500  # characters of a chat message
REMEMBERED = 20  # messages shown to whoever joins
BEHIND = 100  # messages a member may be behind before it is let go

TRY_AGAIN_LATER = 1013  # close code: it did not keep up


class Room:
    """The chat: who is there, and what was said last."""

    def __init__(self) -> None:
        self.members: dict[str, asyncio.Queue[str | None]] = {}
        self.said: deque[str] = deque(maxlen=REMEMBERED)
        self.numbers = count(1)

    def join(self) -> tuple[str, asyncio.Queue[str | None]]:
        """A new member: the name it gets, and where it finds what is said."""
        name = f"guest {next(self.numbers)}"
        inbox: asyncio.Queue[str | None] = asyncio.Queue(BEHIND + REMEMBERED + 2)
        inbox.put_nowait(json.dumps({"you": name}))
        for line in self.said:
            inbox.put_nowait(line)
        self.members[name] = inbox
        self.tell({"here": len(self.members)})
        return name, inbox

    def leave(self, name: str) -> None:
        if self.members.pop(name, None) is not None:
            self.tell({"here": len(self.members)})

    def say(self, name: str, text: str) -> None:
        """A message for everybody."""
        now = datetime.now(UTC).isoformat(timespec="seconds")
        self.said.append(self.tell({"from": name, "text": text[:LONGEST], "at": now}))

    def tell(self, what: dict[str, Any]) -> str:
        """Put it into every inbox; a full one ends its membership."""
        line = json.dumps(what)
        for name, inbox in list(self.members.items()):
            if inbox.qsize() < BEHIND + REMEMBERED:
                inbox.put_nowait(line)
            else:
                del self.members[name]
                inbox.put_nowait(None)
        return line


room = Room()


async def websocket(scope: Scope, receive: Receive, send: Send) -> None:
    """The part of the application that speaks WebSocket; what it does not know is denied with a response."""
    if (await receive())["type"] != "websocket.connect":
        return
    talk = ROUTES.get(scope["path"])
    if talk is None:
        headers = [(b"content-type", b"text/plain; charset=utf-8")]
        await send({"type": "websocket.http.response.start", "status": 404, "headers": headers})
        await send({"type": "websocket.http.response.body", "body": b"There is no WebSocket here.\n"})
        return
    with contextlib.suppress(OSError):  # the client has gone while something was on its way
        await send({"type": "websocket.accept"})
        await talk(receive, send)


async def echo(receive: Receive, send: Send) -> None:
    """Every message back, as it came."""
    while (message := await receive())["type"] == "websocket.receive":
        await send({**message, "type": "websocket.send"})


async def chat(receive: Receive, send: Send) -> None:
    """Every message to everybody."""
    name, inbox = room.join()
    writing = asyncio.ensure_future(deliver(inbox, send))
    try:
        while (message := await receive())["type"] == "websocket.receive":
            if text := said(message):
                room.say(name, text)
    finally:
        room.leave(name)
        writing.cancel()
        with contextlib.suppress(OSError, asyncio.CancelledError):
            await writing


async def deliver(inbox: asyncio.Queue[str | None], send: Send) -> None:
    """Send what comes into an inbox, at the pace of its client."""
    while (line := await inbox.get()) is not None:
        await send({"type": "websocket.send", "text": line})
    await send({"type": "websocket.close", "code": TRY_AGAIN_LATER, "reason": "too far behind"})


def said(message: Message) -> str:
    """The text of a chat message; empty when it is none."""
    return " ".join(str(message.get("text") or "").split())


ROUTES: dict[str, Callable[[Receive, Send], Awaitable[None]]] = {"/socket": echo, "/chat": chat}
