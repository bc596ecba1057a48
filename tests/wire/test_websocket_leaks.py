"""Nothing grows: every way a WebSocket can end, many times over, leaves memory, objects and descriptors as they were."""

from __future__ import annotations

import asyncio
import gc
import logging
from collections.abc import Callable
from typing import Any

import pytest
from frames import BINARY, CONTINUATION, Client, binary, close, frame, ping, switched, text, upgrade
from growth import measure, resident
from peer import Closed
from serving import Server, modes
from sessions import ACCEPT

MODES = modes("lazy")
ROUNDS = 40
DEFLATE = "Sec-WebSocket-Extensions: permessage-deflate"


async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
    path = scope["path"]
    await receive()
    if path == "/raise":
        raise ValueError("on purpose")
    if path == "/return":
        return
    if path == "/deny":
        await send({"type": "websocket.close"})
        return
    if path == "/denial":
        await send({"type": "websocket.http.response.start", "status": 404})
        await send({"type": "websocket.http.response.body", "body": b"no", "more_body": True})
        await asyncio.sleep(0)
        await send({"type": "websocket.http.response.body", "body": b"."})
        return
    if path == "/wait":
        await receive()
        return
    if path == "/late":
        await asyncio.sleep(0)
    await send(ACCEPT)
    if path == "/open-raise":
        raise ValueError("on purpose")
    if path == "/open-return":
        return
    if path == "/close":
        await send({"type": "websocket.close", "code": 3000})
    if path == "/flood":
        while True:
            await send({"type": "websocket.send", "bytes": bytes(100_000)})
    if path == "/task":
        receiving = asyncio.create_task(receive())
        await asyncio.sleep(0)
        receiving.cancel()
    if path == "/deaf":
        await asyncio.sleep(0.01)
        return
    while (message := await receive())["type"] == "websocket.receive":
        await send({**message, "type": "websocket.send"})
        del message  # while it waits, an application keeps what it has a name for


def opened(client: Client, target: str = "/", *lines: str, data: bytes = b"", count: int = 0) -> None:
    client.open(*lines, target=target)
    client.send(data)
    for _ in range(count):
        client.frame()


def leaving(client: Client, target: str = "/", *lines: str, data: bytes = b"", count: int = 0) -> None:
    opened(client, target, *lines, data=data, count=count)
    client.send(close())
    client.drain()


def resetting(client: Client, target: str = "/", data: bytes = b"", count: int = 0) -> None:
    opened(client, target, data=data, count=count)
    client.reset()


def told(client: Client, target: str, answer: bytes = b"") -> None:
    """The server closes."""
    opened(client, target)
    client.closed()
    client.offer(answer)


def early(client: Client, data: bytes) -> None:
    client.send(upgrade() + data)
    switched(client.head())
    client.drain()


def answered(client: Client, target: str) -> None:
    client.send(upgrade(target=target))
    try:
        client.response()
    except Closed:
        pass


def unanswered(client: Client, data: bytes) -> None:
    client.send(data)
    client.reset()


ENDS: dict[str, Callable[[Client], None]] = {
    "closed": leaving,
    "echo": lambda client: leaving(client, data=text("x" * 1000) * 10, count=10),
    "late-accept": lambda client: leaving(client, "/late", data=text("x"), count=1),
    "large": lambda client: leaving(client, data=binary(bytes(300_000)), count=1),
    "fragments": lambda client: leaving(client, data=(text("a", fin=False) + frame(CONTINUATION, b"b")) * 5, count=5),
    "deflate": lambda client: leaving(client, "/", DEFLATE, data=text("x" * 1000) * 3, count=3),
    "deflate-half": lambda client: opened(client, "/", DEFLATE, data=frame(BINARY, b"\xf2\x48", rsv=4, fin=False)),
    "deflate-broken": lambda client: opened(client, "/", DEFLATE, data=frame(BINARY, b"\xff", rsv=4), count=1),
    "pings": lambda client: leaving(client, data=ping(b"x") * 20, count=20),
    "early-frames": lambda client: early(client, text("x") * 10 + close()),
    "lost": opened,
    "reset": resetting,
    "reset-in-a-frame": lambda client: resetting(client, data=binary(bytes(1000))[:500]),
    "reset-in-a-message": lambda client: resetting(client, data=binary(b"x", fin=False)),
    "reset-with-messages": lambda client: resetting(client, "/deaf", text("x") * 100),
    "reset-while-it-sends": lambda client: resetting(client, "/flood", count=3),
    "reset-before-the-accept": lambda client: unanswered(client, upgrade(target="/wait")),
    "reset-behind-the-handshake": lambda client: unanswered(client, upgrade(target="/late") + text("x")),
    "bad-frame": lambda client: opened(client, data=text("x") + b"\xff\xff", count=2),
    "bad-frame-first": lambda client: early(client, b"\xff\xff"),
    "no-text": lambda client: opened(client, data=text(b"\xff"), count=1),
    "too-big": lambda client: opened(client, data=frame(BINARY, declared=1 << 40), count=1),
    "denied": lambda client: answered(client, "/deny"),
    "denial": lambda client: answered(client, "/denial"),
    "raised": lambda client: answered(client, "/raise"),
    "returned": lambda client: answered(client, "/return"),
    "refused": lambda client: unanswered(client, upgrade(key="x")),
    "raised-when-open": lambda client: told(client, "/open-raise", close()),
    "returned-when-open": lambda client: told(client, "/open-return", close()),
    "closed-by-the-application": lambda client: told(client, "/close", close()),
    "close-not-answered": lambda client: told(client, "/close"),
    "receive-given-up": lambda client: leaving(client, "/task", data=text("x")),
}


@pytest.mark.parametrize("end", ENDS)
def test_nothing_grows(server: Server, end: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # pytest keeps every record it sees, and with it the traceback.
    monkeypatch.setattr(logging.getLogger("pronghorn.error"), "propagate", False)
    server.use(app)

    def rounds(count: int) -> None:
        for _ in range(count):
            with Client(("127.0.0.1", server.port)) as client:
                ENDS[end](client)
        for _ in range(5):
            server.settle()  # the last ones may not even be accepted yet
        server.until(lambda: server.open == 0, "every connection is closed", within=5)

    rounds(ROUNDS)
    before = measure(server)
    rounds(ROUNDS)
    after = measure(server)
    grown = after[0] - before[0]
    assert max(grown.values(), default=0) < ROUNDS / 4, f"objects: {grown}"
    assert after[1] - before[1] < 5 * ROUNDS, f"{after[1] - before[1]} blocks more"
    assert after[2] <= before[2], "descriptors"


def test_sessions_need_no_collector(server: Server) -> None:
    """They are freed when they end, not when the collector comes by."""
    server.use(app)

    def rounds() -> None:
        for _ in range(ROUNDS):
            with Client(("127.0.0.1", server.port)) as client:
                leaving(client, data=text("x"), count=1)
        server.until(lambda: server.open == 0 and server.active == 0, "nothing is under way")
        server.calls.clear()

    def sessions() -> int:
        return len([one for one in gc.get_objects() if type(one).__name__ in ("Session", "WebSocket", "Http1")])

    rounds()
    gc.collect()
    gc.disable()
    try:
        rounds()
        server.settle()
        assert sessions() < ROUNDS / 4, f"{sessions()} are left"
    finally:
        gc.enable()


@pytest.mark.parametrize("state", ["idle", "echoed", "half-message", "asked"])
def test_memory_of_a_session(server: Server, state: str) -> None:
    """Hundreds of sessions in a state that lasts: kilobytes each, not buffers."""
    server.use(app)
    clients: list[Client] = []

    def more(count: int) -> None:
        for _ in range(count):
            client = Client(("127.0.0.1", server.port))
            clients.append(client)
            if state == "asked":
                client.send(upgrade(target="/wait"))
            elif state == "half-message":
                opened(client, data=binary(bytes(100), fin=False))
            else:
                opened(client, data=text("x" * 100_000) if state == "echoed" else b"", count=state == "echoed")
        server.settle()
        server.calls.clear()

    try:
        more(100)
        before = resident()
        more(300)
        grown = (resident() - before) / 300
    finally:
        for client in clients:
            client.reset()
    assert grown < 24_000, f"{grown:.0f} bytes for each session, the client's share included"
