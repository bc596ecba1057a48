"""Stopping with open sessions: 1012 on the wire and for the application, which may finish; nothing waits for ever."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from frames import CLOSE, Client, close, connect, switched, text, upgrade
from probes import FIRST, reply
from serving import Server, serve
from sessions import ACCEPT, begin, each, echo

from pronghorn.errors import ClientDisconnected

STOPS = {"type": "websocket.disconnect", "code": 1012, "reason": ""}


@pytest.fixture(params=["uvloop", "asyncio"])
def stopping(request: pytest.FixtureRequest) -> Iterator[Callable[..., Server]]:
    """A server of the test's own, which may stop; the close time-out is short."""
    running = []

    def start(app: Any, **settings: Any) -> Server:
        block = serve(app, loop=request.param, **{"ws_close_timeout": 0.5, **settings})
        running.append(block)
        return block.__enter__()

    yield start
    for block in running:
        block.__exit__(None, None, None)


def drain(server: Server) -> None:
    server.loop.call_soon_threadsafe(server.server.connections.drain)
    server.settle()


def test_close_is_sent_and_told(stopping: Callable[..., Server]) -> None:
    """All sessions at once; what the application sends then raises, and it may take its time to finish."""
    seen: list[Any] = []
    go: Any = None
    raised: list[type[BaseException]] = []

    async def use(scope: dict[str, Any], receive: Any, send: Any) -> None:
        seen.append(await receive())
        try:
            await send({"type": "websocket.send", "text": "late"})
        except OSError as error:
            raised.append(type(error))
        await go.passed()

    server = stopping(each(use))
    go = server.gate()
    clients = [connect(server) for _ in range(20)]
    drain(server)
    for client in clients:
        assert client.closed() == (1012, "")
        client.send(close(1012))
        assert client.ended(1.5) == "fin"
        client.close()
    server.until(lambda: server.open == 0, "every connection is closed")
    assert seen == [STOPS] * 20
    assert raised == [ClientDisconnected] * 20
    assert server.active == 20
    go.open()
    server.idle()


def test_client_that_does_not_answer(stopping: Callable[..., Server]) -> None:
    """ws_close_timeout, and the connection is closed."""
    server = stopping(echo)
    with connect(server) as client:
        began = time.monotonic()
        drain(server)
        assert client.bye(2.5) == (1012, "")
        assert 0.4 < time.monotonic() - began < 10


def test_messages_that_have_come(stopping: Callable[..., Server]) -> None:
    """What waits in the queue is received before the end; what comes behind our close is not."""
    seen: list[Any] = []
    go: Any = None

    async def use(scope: dict[str, Any], receive: Any, send: Any) -> None:
        await go.passed()
        for _ in range(3):
            seen.append(await receive())

    server = stopping(each(use))
    go = server.gate()
    with connect(server) as client:
        client.send(text("one") + text("two"))
        server.settle()
        drain(server)
        assert client.closed() == (1012, "")
        client.send(text("three") + close())
        assert client.ended(1.5) == "fin"
        go.open()
    server.idle()
    assert [message.get("text") for message in seen] == ["one", "two", None]
    assert seen[2] == STOPS


def test_full_queue(stopping: Callable[..., Server]) -> None:
    """The client's answer is seen, although the application has taken nothing and reading had stopped."""
    go: Any = None

    async def use(scope: dict[str, Any], receive: Any, send: Any) -> None:
        await go.passed()

    server = stopping(each(use), ws_close_timeout=10)
    go = server.gate()
    with connect(server) as client:
        client.send(text("x") * 100)
        server.settle()
        drain(server)
        assert client.closed() == (1012, "")
        client.send(text("y") * 100 + close())
        assert client.ended(1.5) == "fin"
        go.open()


@pytest.mark.parametrize("early", [b"", text("x")], ids=["", "early-frame"])
def test_accept_during_the_stop(stopping: Callable[..., Server], early: bytes) -> None:
    """It is accepted, and closed with 1012 at once; the application is told like any other."""
    seen: list[Any] = []
    go: Any = None

    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        await receive()
        await go.passed()
        await send(ACCEPT)
        while not seen or seen[-1]["type"] == "websocket.receive":
            seen.append(await receive())

    server = stopping(app)
    go = server.gate()
    with Client(("127.0.0.1", server.port)) as client:
        client.send(upgrade() + early)
        server.until(lambda: len(server.calls) == 1, "the call begins")
        drain(server)
        go.open()
        switched(client.head())
        assert client.closed() == (1012, "")
        client.send(close())
        assert client.ended(1.5) == "fin"
    server.idle()
    assert seen[-1] == STOPS


def test_denial_during_the_stop(stopping: Callable[..., Server]) -> None:
    go: Any = None

    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        await go.passed()
        await send({"type": "websocket.close"})

    server = stopping(app)
    go = server.gate()
    with Client(("127.0.0.1", server.port)) as client:
        client.send(upgrade())
        server.until(lambda: len(server.calls) == 1, "the call begins")
        drain(server)
        go.open()
        assert client.response().status == 403
        assert client.ended(1.5) == "fin"


def test_handshake_on_an_old_connection(stopping: Callable[..., Server]) -> None:
    """The connection was open and half of the handshake there: accepted, and closed."""

    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        await (echo(scope, receive, send) if scope["type"] == "websocket" else reply(send, "ok"))

    server = stopping(app)
    with Client(("127.0.0.1", server.port)) as client:
        client.send(FIRST)
        assert client.response().status == 200
        client.send(upgrade()[:30])
        server.settle()
        drain(server)
        client.send(upgrade()[30:])
        switched(client.head())
        assert client.closed() == (1012, "")
        client.send(close())
        assert client.ended(1.5) == "fin"


def test_own_close_wins(stopping: Callable[..., Server]) -> None:
    """The application had closed already: no second close, and its own code for it."""
    seen: list[Any] = []

    async def use(scope: dict[str, Any], receive: Any, send: Any) -> None:
        await send({"type": "websocket.close", "code": 4000})
        seen.append((await receive())["code"])

    server = stopping(each(use))
    with connect(server) as client:
        assert client.frame().opcode == CLOSE
        drain(server)
        client.send(close())
        assert client.ended(1.5) == "fin"
    server.idle()
    assert seen == [4000]


def test_session_that_is_asked_is_told(stopping: Callable[..., Server]) -> None:
    """disconnect(): one that was neither accepted nor denied hears 1012, and can no longer accept."""
    seen: list[Any] = []

    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        await receive()
        seen.append(await receive())
        with pytest.raises(ClientDisconnected):
            await send(ACCEPT)

    server = stopping(app)
    with Client(("127.0.0.1", server.port)) as client:
        client.send(upgrade())
        server.until(lambda: len(server.calls) == 1, "the call begins")
        server.settle()
        drain(server)
        server.loop.call_soon_threadsafe(server.server.connections.disconnect)
        server.idle()
        client.drain(1.5)
    assert seen == [STOPS]


@pytest.mark.parametrize("accepts", [True, False])
def test_cancelled(stopping: Callable[..., Server], accepts: bool) -> None:
    """cancel(): CancelledError with the message, and nothing in the log."""
    seen: list[tuple[Any, ...]] = []

    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        if accepts:
            await begin(receive, send)
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError as error:
            seen.append(error.args)
            raise

    server = stopping(app)
    with Client(("127.0.0.1", server.port)) as client:
        client.send(upgrade())
        server.until(lambda: len(server.calls) == 1, "the call begins")
        server.settle()
        drain(server)
        server.loop.call_soon_threadsafe(server.server.connections.cancel, "time is up")
        server.idle()
        client.offer(close())
        data, _ = client.drain(2.0)
        assert data.startswith(b"HTTP/1.1 101 " if accepts else b"HTTP/1.1 500 ")
    assert seen == [("time is up",)]


@pytest.mark.parametrize("loop", ["uvloop", "asyncio"])
@pytest.mark.parametrize("listens", [True, False], ids=["listens", "deaf"])
def test_stop_is_quick(loop: str, listens: bool) -> None:
    """A client that answers and an application that listens: long before the limit. A deaf one is cancelled."""
    ends: list[Any] = []

    async def use(scope: dict[str, Any], receive: Any, send: Any) -> None:
        if not listens:
            await asyncio.Event().wait()
        assert await receive() == STOPS

    server = Server(each(use), loop, "auto", {"timeout_graceful_shutdown": 20 if listens else 1})
    server.start()
    with connect(server) as client:

        def answer() -> None:
            ends.append(client.closed())
            client.send(close())
            ends.append(client.ended(1.5))

        answering = threading.Thread(target=answer)
        answering.start()
        began = time.monotonic()
        server.stop()
        assert time.monotonic() - began < 10  # not the whole limit; a busy machine may take its time
        answering.join(2)
    assert ends == [(1012, ""), "fin"]
    log = [record.getMessage() for record in server.records.seen if record.levelname in ("WARNING", "ERROR")]
    assert log == ([] if listens else ["Cancel 1 running task(s), timeout graceful shutdown exceeded"])
