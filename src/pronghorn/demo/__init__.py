"""A demonstration: ``pronghorn pronghorn.demo:app``, then look at http://127.0.0.1:8000 with a browser.

One plain ASGI application without any framework: a page, live server-sent events, a JSON answer, an echo that
streams, a download that streams, and two WebSockets (``demo.sockets``). It is also a short example of how the protocol
is spoken.
"""

from __future__ import annotations

import asyncio
import json
import platform
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs

from pronghorn.demo.page import PAGE
from pronghorn.demo.sockets import websocket
from pronghorn.types import Message, Receive, Scope, Send

__all__ = ["app"]

MEBIBYTE = 1024 * 1024
DOWNLOAD_SIZE = 10 * MEBIBYTE
LARGEST_DOWNLOAD = 1024 * MEBIBYTE
BLOCK = bytes(range(256)) * 256  # 64 KiB, so that a reader can tell a missing byte
EVENT_INTERVAL = 1.0

SECURITY = [
    (b"x-content-type-options", b"nosniff"),
    (
        b"content-security-policy",
        b"default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:; "
        b"connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    ),
]


class Figures:
    """What the page shows; one for the life of the application, shared through ``scope["state"]``."""

    def __init__(self) -> None:
        self.started = time.monotonic()
        self.requests = 0
        self.streams = 0

    def snapshot(self) -> dict[str, Any]:
        """The figures of this moment."""
        return {
            "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "requests": self.requests,
            "streams": self.streams,
            "uptime": round(time.monotonic() - self.started, 1),
        }


without_lifespan = Figures()


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """The ASGI application."""
    if scope["type"] == "lifespan":
        await lifespan(scope, receive, send)
    elif scope["type"] == "http":
        figures = scope.get("state", {}).get("figures", without_lifespan)
        figures.requests += 1
        methods, answer = ROUTES.get(scope["path"], ((), not_found))
        if methods and scope["method"] not in methods:
            answer = not_allowed
        await answer(scope, receive, send, figures)
    elif scope["type"] == "websocket":
        await websocket(scope, receive, send)


async def lifespan(scope: Scope, receive: Receive, send: Send) -> None:
    """Make the figures when the server starts."""
    while True:
        message = await receive()
        if message["type"] == "lifespan.startup":
            scope["state"]["figures"] = Figures()
            await send({"type": "lifespan.startup.complete"})
        elif message["type"] == "lifespan.shutdown":
            await send({"type": "lifespan.shutdown.complete"})
            return


async def page(scope: Scope, receive: Receive, send: Send, figures: Figures) -> None:
    """The page itself: one file, nothing loaded from elsewhere."""
    await respond(send, 200, b"text/html; charset=utf-8", PAGE)


async def events(scope: Scope, receive: Receive, send: Send, figures: Figures) -> None:
    """The figures as server-sent events, once a second, until the client leaves or the server stops."""
    gone = asyncio.ensure_future(disconnected(receive))
    figures.streams += 1
    try:
        await send(start(200, b"text/event-stream; charset=utf-8", (b"cache-control", b"no-store")))
        while not gone.done():
            data = json.dumps(figures.snapshot())
            await send({"type": "http.response.body", "body": f"data: {data}\n\n".encode(), "more_body": True})
            await asyncio.wait({gone}, timeout=EVENT_INTERVAL)
        await send({"type": "http.response.body"})
    except OSError:
        pass  # the client left while an event was on its way
    finally:
        figures.streams -= 1
        gone.cancel()


async def as_json(scope: Scope, receive: Receive, send: Send, figures: Figures) -> None:
    """The request as the server saw it, and the figures."""
    loop = asyncio.get_running_loop()
    answer = {
        "server": "pronghorn",
        "python": platform.python_version(),
        "loop": f"{type(loop).__module__}.{type(loop).__name__}",
        "figures": figures.snapshot(),
        "request": {
            "method": scope["method"],
            "path": scope["path"],
            "query": scope["query_string"].decode("latin-1"),
            "http_version": scope["http_version"],
            "client": scope.get("client"),
            "headers": [[name.decode("latin-1"), value.decode("latin-1")] for name, value in scope["headers"]],
        },
    }
    body = json.dumps(answer, indent=2).encode()
    await respond(send, 200, b"application/json", body, (b"cache-control", b"no-store"))


async def echo(scope: Scope, receive: Receive, send: Send, figures: Figures) -> None:
    """What was posted, piece by piece as it comes in; always as plain text, whatever it says it is."""
    # receive() comes first: a client that waits for 100 Continue gets it only before the response has begun.
    message = await receive()
    if message["type"] == "http.request":
        await send(start(200, b"text/plain; charset=utf-8"))
    while message["type"] == "http.request":
        more = message.get("more_body", False)
        await send({"type": "http.response.body", "body": message.get("body", b""), "more_body": more})
        if not more:
            return
        message = await receive()


async def download(scope: Scope, receive: Receive, send: Send, figures: Figures) -> None:
    """As many bytes as ``?size=`` says, in blocks; with ``?length=no``, without saying so beforehand."""
    query = parse_qs(scope["query_string"].decode("latin-1"))
    digits = query.get("size", [str(DOWNLOAD_SIZE)])[0]
    size = int(digits) if digits.isdecimal() and len(digits) < 12 else -1
    if not 0 <= size <= LARGEST_DOWNLOAD:
        await respond(send, 400, b"text/plain; charset=utf-8", b"size: a number of bytes, at most 1 GiB\n")
        return
    length = [] if query.get("length") == ["no"] else [(b"content-length", str(size).encode())]
    name = (b"content-disposition", b'attachment; filename="pronghorn.bin"')
    await send(start(200, b"application/octet-stream", name, (b"cache-control", b"no-store"), *length))
    try:
        while size > len(BLOCK):
            await send({"type": "http.response.body", "body": BLOCK, "more_body": True})
            size -= len(BLOCK)
        await send({"type": "http.response.body", "body": BLOCK[:size]})
    except OSError:
        pass  # the client has stopped the download


async def not_found(scope: Scope, receive: Receive, send: Send, figures: Figures) -> None:
    """404."""
    await respond(send, 404, b"text/plain; charset=utf-8", b"There is nothing here.\n")


async def not_allowed(scope: Scope, receive: Receive, send: Send, figures: Figures) -> None:
    """405, with the methods that would do."""
    methods, _ = ROUTES[scope["path"]]
    allow = (b"allow", ", ".join(methods).encode())
    await respond(send, 405, b"text/plain; charset=utf-8", b"This takes another method.\n", allow)


async def disconnected(receive: Receive) -> None:
    """Return when the client has gone, or the server wants the response to end."""
    while (await receive())["type"] != "http.disconnect":
        pass


async def respond(send: Send, status: int, kind: bytes, body: bytes, *headers: tuple[bytes, bytes]) -> None:
    """Send a response whose body is at hand."""
    await send(start(status, kind, (b"content-length", str(len(body)).encode()), *headers))
    await send({"type": "http.response.body", "body": body})


def start(status: int, kind: bytes, *headers: tuple[bytes, bytes]) -> Message:
    """The message that starts a response."""
    return {
        "type": "http.response.start",
        "status": status,
        "headers": [(b"content-type", kind), *SECURITY, *headers],
    }


READ = ("GET", "HEAD")

Answer = Callable[[Scope, Receive, Send, Figures], Awaitable[None]]
ROUTES: dict[str, tuple[tuple[str, ...], Answer]] = {
    "/": (READ, page),
    "/events": (("GET",), events),
    "/json": (READ, as_json),
    "/echo": (("POST", "PUT", "PATCH"), echo),
    "/download": (READ, download),
}
