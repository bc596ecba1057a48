"""What the application is called with, receives and sends, as lines of the log: ``--log-level debug`` and ``trace``.

At debug each call has a line when it begins and one when it ends; at trace each message has one as well. Bodies are
cut, and what may be a secret is not shown.
"""

from __future__ import annotations

import itertools
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any

from pronghorn.loggers import asgi_log
from pronghorn.logs import TRACE_LOG_LEVEL
from pronghorn.types import Message, Receive, Scope, Send

__all__ = ["MessageLog"]

CUT = 60  # characters or octets of a body that are shown
SECRET = frozenset((b"authorization", b"cookie", b"proxy-authorization", b"set-cookie"))
NEVER_SHOWN = ("state", "extensions", "app")  # of a scope: they may hold anything


class MessageLog:
    """An application around another one."""

    def __init__(self, app: Callable[..., Awaitable[Any]]) -> None:
        self.app = app
        self.log = asgi_log()
        self.numbers = itertools.count(1)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> Any:
        """Call the application, and log what it is called with and what comes of it."""
        number = next(self.numbers)
        client = scope.get("client")
        peer = f"{client[0]}:{client[1]} - " if client else ""
        self.log.debug("%sASGI [%d] %s", peer, number, request(scope))
        trace = self.log.isEnabledFor(TRACE_LOG_LEVEL)
        if trace:
            self.trace(peer, number, "scope", {key: scope[key] for key in scope if key not in NEVER_SHOWN})

        async def logged_receive() -> Message:
            message = await receive()
            self.trace(peer, number, "receive", message)
            return message

        async def logged_send(message: Message) -> None:
            self.trace(peer, number, "send", message)
            await send(message)

        try:
            result = await self.app(scope, logged_receive if trace else receive, logged_send if trace else send)
        except BaseException as error:
            self.log.debug("%sASGI [%d] raised %s", peer, number, type(error).__name__)
            raise
        self.log.debug("%sASGI [%d] returned", peer, number)
        return result  # which has to be None: the server says so where it is not

    def trace(self, peer: str, number: int, what: str, message: Mapping[str, Any]) -> None:
        """Log one message."""
        self.log.log(TRACE_LOG_LEVEL, "%sASGI [%d] %s %s", peer, number, what, shown(message))


def request(scope: Scope) -> str:
    kind = scope["type"]
    if kind == "lifespan":
        return "lifespan"
    query = scope.get("query_string") or b""
    target = (scope.get("raw_path") or b"").decode("latin-1") + (f"?{query.decode('latin-1')}" if query else "")
    return f"{scope.get('method', 'WebSocket')} {target} HTTP/{scope['http_version']}"


def shown(message: Mapping[str, Any]) -> str:
    """A message as text: bodies cut, secrets left out."""
    parts = []
    for key, value in message.items():
        if key == "headers":
            value = [(name, b"..." if bytes(name).lower() in SECRET else value) for name, value in pairs(value)]
        elif isinstance(value, bytes | bytearray | memoryview | str) and len(value) > CUT:
            unit = "characters" if isinstance(value, str) else "bytes"
            parts.append(f"{key!r}: {value[:CUT]!r}... ({len(value)} {unit})")
            continue
        parts.append(f"{key!r}: {value!r}")
    return "{" + ", ".join(parts) + "}"


def pairs(headers: Any) -> Iterable[tuple[bytes, bytes]]:
    """The fields, where they can be read twice; what cannot is the server's to read."""
    return headers if isinstance(headers, list | tuple) else ()
