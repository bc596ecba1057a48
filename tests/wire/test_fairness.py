"""One connection with more input than is served in a moment does not hold up the others.

What counts is the order in which the application is called, not a time: the input of all is there before the server looks.
"""

from __future__ import annotations

import asyncio
import threading
import time
from typing import Any

import pytest
from frames import Client, connect, text
from peer import Peer
from probes import head
from serving import Server

COUNT = 1200  # requests or messages of the busy one
WORK = 100e-6  # seconds that each of them takes the application at least
EARLY = COUNT // 4  # another one's turn has come by then
SETTINGS = {"limit_requests_per_connection": None}


class App:
    """Blocks the loop until the test has sent everything; then notes in which order things come."""

    def __init__(self) -> None:
        self.order: list[str] = []
        self.blocked, self.go = threading.Event(), threading.Event()
        self.turns = 0

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        if scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.accept"})
            while (message := await receive())["type"] == "websocket.receive":
                self.work(message["text"])
                await send({"type": "websocket.send", "text": message["text"]})
            return
        while (await receive()).get("more_body"):
            pass
        path = scope["path"]
        if path == "/block":
            self.blocked.set()
            self.go.wait(10)
            asyncio.get_running_loop().call_soon(self.turn)
        else:
            self.work(path)
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body", "body": path.encode()})

    def turn(self) -> None:
        """The loop's other work: it has its turns between those of the connections."""
        self.turns += 1
        if len([one for one in self.order if "busy" in one]) < COUNT:
            asyncio.get_running_loop().call_soon(self.turn)

    def work(self, what: str) -> None:
        self.order.append(what)
        end = time.perf_counter() + WORK
        while time.perf_counter() < end:
            pass


def attack(server: Server, busy: Peer, data: bytes) -> tuple[App, Peer]:
    """Let the loop find the whole input of the busy one, and behind it a single request of another."""
    app: App = server.app  # type: ignore[assignment]
    other = server.raw(30.0)
    with server.raw() as blocker:
        blocker.send(head(method="GET", target="/block"))
        assert app.blocked.wait(10)
        busy.send(data)  # it fits into the system's buffers
        other.send(head(method="GET", target="/other"))
        app.go.set()
        assert blocker.response().body == b"/block"
    return app, other


def served_fairly(app: App, other: Peer) -> None:
    with other:
        assert other.response().body == b"/other"
    assert app.order.index("/other") < EARLY
    assert app.turns > 3


@pytest.mark.parametrize("kind", ["plain", "bodies"])
def test_pipelined_requests(server: Server, kind: str) -> None:
    server.use(App())
    with server.raw(30.0) as busy:
        lines = ["Content-Length: 3"] if kind == "bodies" else []
        data = b"".join(
            head(*lines, method="POST" if lines else "GET", target=f"/busy{number}") + (b"abc" if lines else b"")
            for number in range(COUNT)
        )
        app, other = attack(server, busy, data)
        for number in range(COUNT):
            assert busy.response().body == b"/busy%d" % number
    served_fairly(app, other)


def test_pipelined_requests_and_the_end(server: Server) -> None:
    """The client shuts down its side behind them: all are answered, then the connection is closed."""
    server.use(App())
    with server.raw(30.0) as busy:
        data = b"".join(head(method="GET", target=f"/busy{number}") for number in range(COUNT))
        app, other = attack(server, busy, data)
        busy.finish()
        for number in range(COUNT):
            assert busy.response().body == b"/busy%d" % number
        assert busy.ended() == "fin"
    served_fairly(app, other)


def test_close_among_them(server: Server) -> None:
    """The last one that is answered says so, wherever a turn ends."""
    server.use(App())
    with server.raw(30.0) as busy:
        data = b"".join(head(method="GET", target=f"/busy{number}") for number in range(COUNT - 1))
        app, other = attack(server, busy, data + head("Connection: close", method="GET", target="/busy") + data)
        for number in range(COUNT - 1):
            assert busy.response().body == b"/busy%d" % number
        assert busy.response().closes
    served_fairly(app, other)
    assert len(app.order) == COUNT + 1


def test_client_goes(server: Server) -> None:
    """It closes while most of its requests wait: nothing is left."""
    server.use(App())
    busy = server.raw(30.0)
    app, other = attack(server, busy, b"".join(head(method="GET", target=f"/busy{number}") for number in range(COUNT)))
    busy.reset()
    app.order += ["busy"] * COUNT
    with other:
        assert other.response().body == b"/other"


def test_messages(server: Server) -> None:
    server.use(App())
    client: Client
    with connect(server, timeout=30.0) as client:
        app, other = attack(server, client, b"".join(text(f"busy{number}") for number in range(COUNT)))
        for number in range(COUNT):
            assert client.message() == f"busy{number}"
        client.leave()
    served_fairly(app, other)
