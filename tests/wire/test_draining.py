"""The server stops while connections are in every state: what is under way is answered, nothing new is begun."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from probes import FIRST, Recorder, head
from serving import LOOPS, Gate, Server, serve


@pytest.fixture(params=LOOPS)
def stopping(request: pytest.FixtureRequest) -> Iterator[Callable[[Any], Server]]:
    """A server of its own for each test; it drains when the test says so."""
    with serve(loop=request.param, timeout_linger=1.0) as server:
        yield server.use


def drain(server: Server, prompt: bool = False) -> None:
    server.loop.call_soon_threadsafe(server.server.connections.drain, prompt)
    server.settle()


def gated(gate: Gate) -> Any:
    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        await gate.passed()
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body", "body": scope["raw_path"]})

    return app


@pytest.mark.parametrize("prompt", [False, True])
def test_idle(stopping: Callable[[Any], Server], prompt: bool) -> None:
    server = stopping(Recorder())
    with server.raw() as peer:
        peer.send(FIRST)
        assert not peer.response().closes
        drain(server, prompt)
        assert peer.ended(3.0) == "fin"


@pytest.mark.parametrize("before", [0, 1], ids=["first", "next"])
def test_request_is_on_its_way(stopping: Callable[[Any], Server], before: int) -> None:
    """The first or the next of a connection: answered, with connection: close. A close that crosses it would lose it."""
    server = stopping(Recorder())
    with server.raw() as peer:
        server.until(lambda: server.open == 1, "the connection is accepted")
        for _ in range(before):
            peer.send(FIRST)
            assert not peer.response().closes
        drain(server)
        peer.send(FIRST)
        response = peer.response()
        assert response.status == 200 and response.closes
        assert peer.ended(1.5) == "fin"


def test_the_answer_has_not_said_that_it_is_the_last(stopping: Callable[[Any], Server]) -> None:
    """Its head left before the stop began: the client may make another request, and that one is told."""
    server = stopping(None)
    gate = server.gate()

    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
        await send({"type": "http.response.body", "body": b"a", "more_body": True})
        await gate.passed()
        await send({"type": "http.response.body", "body": b"b"})

    server.use(app)
    with server.raw() as peer:
        peer.send(FIRST)
        assert not peer.head().closes
        drain(server)
        gate.open()
        assert peer.exactly(2) == b"ab"
        peer.send(FIRST)
        assert peer.response().closes
        assert peer.ended(1.5) == "fin"


def test_nobody_waits_when_it_is_prompt(stopping: Callable[[Any], Server]) -> None:
    """Ctrl-C: whoever has been served before is told at once; whoever has not is still answered."""
    server = stopping(Recorder())
    with server.raw() as idle, server.raw() as silent:
        idle.send(FIRST)
        assert idle.response().status == 200
        server.until(lambda: server.open == 2, "both are accepted")
        drain(server, prompt=True)
        assert idle.ended(0.5) == "fin"
        silent.send(FIRST)
        assert silent.response().closes


def test_under_way(stopping: Callable[[Any], Server]) -> None:
    """The answer says that it is the last one; the connection closes behind it."""
    server = stopping(None)
    gate = server.gate()
    server.use(gated(gate))
    with server.raw() as peer:
        peer.send(FIRST)
        server.until(lambda: len(server.calls) == 1, "the call begins")
        drain(server)
        gate.open()
        response = peer.response()
        assert response.body == b"/first" and response.closes
        assert peer.ended(1.5) == "fin"


def test_pipelined_behind_it(stopping: Callable[[Any], Server]) -> None:
    """The answer under way is the last one; what stands behind it has not been begun and may be sent elsewhere."""
    server = stopping(None)
    gate = server.gate()
    server.use(gated(gate))
    with server.raw() as peer:
        peer.send(FIRST * 3)
        server.until(lambda: len(server.calls) == 1, "the call begins")
        drain(server)
        gate.open()
        assert peer.response().closes
        assert peer.ended(1.5) == "fin"
    assert len(server.calls) == 1


def test_head_already_out(stopping: Callable[[Any], Server]) -> None:
    """Too late to say so: the connection is idle after the whole body, and closes as others that are."""
    server = stopping(None)
    gate = server.gate()

    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body", "body": b"a", "more_body": True})
        await gate.passed()
        await send({"type": "http.response.body", "body": b"b"})

    server.use(app)
    with server.raw() as peer:
        peer.send(FIRST)
        assert not peer.head().closes
        drain(server)
        gate.open()
        assert (peer.chunk(), peer.chunk(), peer.chunk()) == (b"a", b"b", b"")
        assert peer.ended(3.0) == "fin"


def test_half_a_head(stopping: Callable[[Any], Server]) -> None:
    """A request that has begun to arrive is still answered."""
    server = stopping(Recorder())
    with server.raw() as peer:
        peer.send(FIRST[:10])
        server.settle()
        drain(server)
        peer.send(FIRST[10:])
        response = peer.response()
        assert response.status == 200 and response.closes
        assert peer.ended(1.5) == "fin"


def test_silent(stopping: Callable[[Any], Server]) -> None:
    """If nothing comes after all, the wait for it is short."""
    server = stopping(Recorder())
    with server.raw() as peer:
        server.until(lambda: server.open == 1, "the connection is accepted")
        drain(server)
        assert peer.ended(3.0) == "fin"
    assert server.calls == []


def test_half_a_body(stopping: Callable[[Any], Server]) -> None:
    server = stopping(Recorder())
    with server.raw() as peer:
        peer.send(head("Content-Length: 10") + b"01234")
        server.until(lambda: len(server.calls) == 1, "the call begins")
        drain(server)
        peer.send(b"56789")
        response = peer.response()
        assert response.body == b"0123456789" and response.closes
        assert peer.ended(1.5) == "fin"


def test_listening_stream_is_told(stopping: Callable[[Any], Server]) -> None:
    """disconnect(): the application that waits for its client to leave hears that it may go."""
    server = stopping(None)

    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body", "body": b"a", "more_body": True})
        assert (await receive())["type"] == "http.disconnect"
        await send({"type": "http.response.body", "body": b"end"})

    server.use(app)
    with server.raw() as peer:
        peer.send(FIRST)
        assert peer.head().status == 200
        assert peer.chunk() == b"a"
        drain(server)
        server.loop.call_soon_threadsafe(server.server.connections.disconnect)
        assert (peer.chunk(), peer.chunk()) == (b"end", b"")
        assert peer.ended(1.5) == "fin"


def test_stream_that_only_sends_is_told(stopping: Callable[[Any], Server]) -> None:
    """disconnect(): a stream that never listens gets ClientDisconnected from send(), and its client no false end."""
    server = stopping(None)
    raised: list[BaseException] = []

    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200})
        try:
            while True:
                await send({"type": "http.response.body", "body": b"a", "more_body": True})
                await asyncio.sleep(0.01)
        except OSError as error:
            raised.append(error)
            raise

    server.use(app)
    with server.raw() as peer:
        peer.send(FIRST)
        assert peer.head().status == 200
        assert peer.chunk() == b"a"
        drain(server)
        server.loop.call_soon_threadsafe(server.server.connections.disconnect)
        data, how = peer.drain(1.5)
        assert how == "fin" and not data.endswith(b"0\r\n\r\n")
    server.until(lambda: len(raised) == 1, "the call is told")
    assert type(raised[0]).__name__ == "ClientDisconnected"


def test_cancelled(stopping: Callable[[Any], Server]) -> None:
    """cancel(): the call gets CancelledError with the message, the client no half answer that looks whole."""
    server = stopping(None)
    seen: list[tuple[Any, ...]] = []

    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError as error:
            seen.append(error.args)
            raise

    server.use(app)
    with server.raw() as peer:
        peer.send(FIRST)
        server.until(lambda: len(server.calls) == 1, "the call begins")
        server.settle()
        drain(server)
        server.loop.call_soon_threadsafe(server.server.connections.cancel, "time is up")
        data, _ = peer.drain()
        assert data == b"" or data.startswith(b"HTTP/1.1 500 ")
    assert seen == [("time is up",)]
    assert len(server.take_log()) <= 1


def test_waits_for_all(stopping: Callable[[Any], Server]) -> None:
    """wait_closed(): back when the last connection is closed and the last call has returned, not before."""
    server = stopping(None)
    gate, done = server.gate(), server.gate()

    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body", "body": b"ok"})
        await gate.passed()

    async def wait() -> None:
        await server.server.connections.wait_closed()
        done.open()

    server.use(app)
    with server.raw() as peer:
        peer.send(FIRST)
        assert peer.response().body == b"ok"
        drain(server, prompt=True)
        waiting = asyncio.run_coroutine_threadsafe(wait(), server.loop)
        assert peer.ended(1.5) == "fin"
    server.until(lambda: server.open == 0, "the connection is closed")
    server.settle()
    assert not done.is_open, "the call still works"
    gate.open()
    done.wait()
    waiting.result(1.0)


def test_total(stopping: Callable[[Any], Server]) -> None:
    server = stopping(Recorder())
    with server.raw() as peer:
        peer.send(FIRST * 5)
        for _ in range(5):
            peer.response()
    assert server.server.connections.total_requests == 5
