"""Before the accept: frames that come with the handshake or early, and clients that do not stay."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest
from frames import Client, binary, close, ping, switched, text, upgrade
from probes import FIRST, reply
from serving import Server
from sessions import ACCEPT, CONNECT, Echo, echo

from pronghorn.errors import ClientDisconnected

MODES = [("uvloop", "lazy"), ("asyncio", "task"), ("transports", "lazy")]
HELD = 65_536  # input before the accept, then reading pauses
LOT = 12_000_000  # more than both socket buffers of a loopback connection take while nobody reads


async def at_once() -> None:
    pass


async def later() -> None:
    for _ in range(3):
        await asyncio.sleep(0)


@pytest.mark.parametrize("before", [at_once, later], ids=["first-step", "later"])
@pytest.mark.parametrize("count", [1, 10, 100])
def test_frames_with_the_handshake(server: Server, before: Any, count: int) -> None:
    """Every message arrives and is answered, in order, whether or not it is followed by a close at once."""
    app = Echo(before)
    messages = [f"{number}" * (number + 1) for number in range(count)]
    data = upgrade() + b"".join(text(message) for message in messages)
    for last in (b"", close(3000)):
        app.seen.clear()
        server.use(app)
        with Client(("127.0.0.1", server.port)) as client:
            client.send(data + last)
            switched(client.head())
            assert [client.message() for _ in messages] == messages
            if not last:
                client.send(close(3000))
            assert client.bye() == (3000, "")
        server.idle()
        assert app.only.messages == messages and app.only.ends == [(3000, "")]


@pytest.mark.parametrize("before", [at_once, later], ids=["first-step", "later"])
def test_bad_frame_with_the_handshake(server: Server, before: Any) -> None:
    """What comes before it is answered first."""
    app = Echo(before)
    server.use(app)
    with Client(("127.0.0.1", server.port)) as client:
        client.send(upgrade() + text("one") + binary(b"two") + b"\xff" * 100)
        switched(client.head())
        assert (client.message(), client.message()) == ("one", b"two")
        assert client.bye() == (1002, "invalid frame")
    assert server.line().startswith("WebSocket closed: 1002 invalid frame")
    assert app.only.ends == [(1002, "invalid frame")]


@pytest.mark.parametrize("pieces", [1, 7, 1000])
def test_frames_while_the_application_thinks(server: Server, pieces: int) -> None:
    """They come after the handshake and before the accept, in pieces that keep to no frame."""
    go = server.gate()
    app = Echo(go.passed)
    server.use(app)
    messages = [f"{number:03}" * 30 for number in range(200)]
    data = b"".join(text(message) for message in messages)
    step = len(data) // pieces + 1
    with Client(("127.0.0.1", server.port)) as client:
        client.send(upgrade())
        server.until(lambda: len(server.calls) == 1, "the call begins")
        for at in range(0, len(data), step):
            client.send(data[at : at + step])
            server.settle()
        assert client.pending() == b""
        go.open()
        switched(client.head())
        assert [client.message() for _ in messages] == messages
        client.leave()


@pytest.mark.parametrize("together", [False, True], ids=["behind", "with-the-handshake"])
@pytest.mark.parametrize("size", [10_000, 300_000])
def test_more_than_is_held(server: Server, together: bool, size: int) -> None:
    """Above 64 KiB the rest stays with the client until the accept; then all of it arrives."""
    go = server.gate()
    app = Echo(go.passed)
    server.use(app)
    count = LOT // size
    data = binary(bytes(size)) * count
    with Client(("127.0.0.1", server.port)) as client:
        sent = -len(upgrade()) if together else 0
        if together:
            sent += client.pour(upgrade() + data)
        else:
            client.send(upgrade())
            server.until(lambda: len(server.calls) == 1, "the call begins")
            sent += client.pour(data)
        assert sent < len(data), "the server read on before the accept"
        go.open()
        switched(client.head())
        writer = threading.Thread(target=client.socket.sendall, args=(data[sent:],))
        writer.start()
        for _ in range(count):
            assert client.message() == bytes(size)
        writer.join(5)
        client.leave()
    assert len(app.only.messages) == count


@pytest.mark.parametrize("extra", [-1, 0, 1])
def test_just_as_much_as_is_held(server: Server, extra: int) -> None:
    go = server.gate()
    app = Echo(go.passed)
    server.use(app)
    message = bytes(HELD - 14 + extra)
    assert len(binary(message)) == HELD + extra - (14 - 8)
    with Client(("127.0.0.1", server.port)) as client:
        client.send(upgrade())
        server.until(lambda: len(server.calls) == 1, "the call begins")
        client.send(binary(message) + text("12345"[: 6 + extra - 1]) + ping())
        for _ in range(5):
            server.settle()
        go.open()
        switched(client.head())
        assert client.frame().opcode == 10 or app.only.messages
        client.send(close())
        while client.frame().opcode != 8:
            pass
        assert client.ended(1.5) == "fin"
    assert len(app.only.messages) == 2


def test_early_frames_of_one_that_is_denied(server: Server) -> None:
    """Never read, and never taken for a request."""
    go = server.gate()

    async def deny(scope: dict[str, Any], receive: Any, send: Any) -> None:
        await receive()
        await go.passed()
        await send({"type": "websocket.close"})

    server.use(deny)
    with Client(("127.0.0.1", server.port)) as client:
        client.send(upgrade())
        server.until(lambda: len(server.calls) == 1, "the call begins")
        client.pour(binary(bytes(200_000)) + FIRST)
        go.open()
        assert client.response().status == 403
        assert client.ended(1.5) == "fin"
    assert len(server.calls) == 1


class Late:
    """Accepts when it is allowed to; keeps what it was told, and what accept raised."""

    def __init__(self, server: Server, catches: bool = True) -> None:
        self.go = server.gate()
        self.catches = catches
        self.raised: list[type[BaseException]] = []
        self.seen: list[Any] = []

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        assert await receive() == CONNECT
        await self.go.passed()
        try:
            await send(ACCEPT)
        except OSError as error:
            self.raised.append(type(error))
            if not self.catches:
                raise
        self.seen.append(await receive())


GONE = {"type": "websocket.disconnect", "code": 1006, "reason": ""}


@pytest.mark.parametrize("catches", [True, False], ids=["caught", "let-through"])
@pytest.mark.parametrize("early", [b"", text("x"), text("x") * 20_000], ids=["", "frame", "frames"])
def test_reset_before_the_accept(server: Server, early: bytes, catches: bool) -> None:
    """accept raises, the application is told 1006, and nothing is logged."""
    app = Late(server, catches)
    server.use(app)
    client = Client(("127.0.0.1", server.port))
    client.send(upgrade())
    server.until(lambda: len(server.calls) == 1, "the call begins")
    client.pour(early)
    client.reset()
    if len(early) < HELD:  # otherwise nobody reads, and nobody is told
        server.until(lambda: server.open == 0, "the connection is gone")
    app.go.open()
    server.idle()
    if len(early) < HELD:
        assert app.raised == [ClientDisconnected]
    assert app.seen == ([GONE] if catches or not app.raised else [])
    assert server.take_log() == []


def test_reset_is_told_while_it_waits(server: Server) -> None:
    """receive() instead of accept: the application hears of it at once."""
    seen: list[Any] = []

    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        seen.append(await receive())
        seen.append(await receive())
        with pytest.raises(ClientDisconnected):
            await receive()
        for message in (ACCEPT, {"type": "websocket.close"}, {"type": "websocket.http.response.start", "status": 404}):
            with pytest.raises(ClientDisconnected):
                await send(message)

    server.use(app)
    client = Client(("127.0.0.1", server.port))
    client.send(upgrade())
    server.until(lambda: len(seen) == 1, "the call begins")
    client.reset()
    server.idle(0.5)
    assert seen == [CONNECT, GONE]


def test_half_closed_is_told_while_it_waits(server: Server) -> None:
    """A client that shuts its side can neither send nor close: as good as gone, after the moment that HTTP gives."""
    raised = server.gate()

    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        assert (await receive(), await receive()) == (CONNECT, GONE)
        with pytest.raises(ClientDisconnected):
            await send(ACCEPT)
        raised.open()

    server.use(app)
    with Client(("127.0.0.1", server.port)) as client:
        client.send(upgrade()).finish()
        raised.wait(2.0)


@pytest.mark.parametrize("pipelined", [False, True], ids=["alone", "behind-a-request"])
def test_accept_of_one_that_is_half_closed(server: Server, pipelined: bool) -> None:
    """No session is left open on a connection that nobody reads any more."""
    app = Late(server)
    first = server.gate()

    async def both(scope: dict[str, Any], receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            await first.passed()
            return await reply(send, "ok")
        await app(scope, receive, send)

    server.use(both)
    with Client(("127.0.0.1", server.port)) as client:
        client.send((FIRST if pipelined else b"") + upgrade())
        server.until(lambda: len(server.calls) == 1, "the call begins")
        client.finish()
        server.settle()
        if pipelined:
            app.go.open()
        first.open()
        app.go.open()
        server.idle(0.9)
        assert app.seen == [GONE]
        client.drain(1.5)


def test_denial_of_one_that_is_half_closed(server: Server) -> None:
    """That is an answer like any other."""
    go = server.gate()

    async def deny(scope: dict[str, Any], receive: Any, send: Any) -> None:
        await receive()
        await go.passed()
        await send({"type": "websocket.close"})

    server.use(deny)
    with Client(("127.0.0.1", server.port)) as client:
        client.send(upgrade())
        server.until(lambda: len(server.calls) == 1, "the call begins")
        client.finish()
        server.settle()
        go.open()
        assert client.response().status == 403
        assert client.ended(1.5) == "fin"


def test_lost_in_the_very_accept(server: Server) -> None:
    """The client resets while the loop is busy; the answer cannot be sent, which send() says from then on."""
    ready, go = server.gate(), threading.Event()
    raised: list[type[BaseException]] = []

    async def accept(send: Any) -> None:
        ready.open()
        assert go.wait(5)
        for message in (ACCEPT, {"type": "websocket.send", "text": "x"}, {"type": "websocket.send", "text": "y"}):
            try:
                await send(message)
            except OSError as error:
                raised.append(type(error))

    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        await receive()
        await asyncio.create_task(accept(send))
        assert await receive() == GONE

    server.use(app)
    client = Client(("127.0.0.1", server.port))
    client.send(upgrade())
    ready.wait()
    client.reset()
    go.set()
    server.idle()
    assert raised[-1:] == [ClientDisconnected], "the last one, at least"
    assert len(raised) >= 2


def test_echo_works_at_once_and_later(server: Server) -> None:
    """A session that began with early frames is like any other."""
    server.use(echo)
    with Client(("127.0.0.1", server.port)) as client:
        client.send(upgrade() + text("0"))
        switched(client.head())
        assert client.message() == "0"
        for number in range(1, 20):
            client.send(text(str(number)))
            assert client.message() == str(number)
        client.leave()
