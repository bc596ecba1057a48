"""The end of a session: what the client sees, what the application is told, and what is logged."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from frames import Client, binary, close, connect, frame, text, upgrade
from serving import Server, modes, serve
from sessions import ACCEPT, CONNECT, each

from pronghorn.errors import ClientDisconnected, MessageError

MODES = modes("lazy", "eager", "task")
KINDS = [ValueError, asyncio.CancelledError, SystemExit, KeyboardInterrupt, GeneratorExit, TimeoutError, OSError, MessageError]


def disconnect(code: int, reason: str = "") -> dict[str, Any]:
    return {"type": "websocket.disconnect", "code": code, "reason": reason}


async def nothing(send: Any) -> None:
    pass


async def pause(send: Any) -> None:
    await asyncio.sleep(0)


async def accept(send: Any) -> None:
    await send(ACCEPT)


async def accept_and_pause(send: Any) -> None:
    await send(ACCEPT)
    await asyncio.sleep(0)


async def accept_and_send(send: Any) -> None:
    await send(ACCEPT)
    await send({"type": "websocket.send", "text": "x"})


def ending(before: Callable[[Any], Any], error: type[BaseException] | None = None) -> Any:
    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        await receive()
        await before(send)
        if error:
            raise error("on purpose")

    return app


# The application ends.


@pytest.mark.parametrize("before", [nothing, pause])
def test_returns_before_the_accept(server: Server, before: Any) -> None:
    server.use(ending(before))
    with server.raw() as peer:
        peer.send(upgrade())
        response = peer.response()
        assert (response.status, response.body, response.closes) == (500, b"Internal Server Error", True)
        assert peer.ended(1.5) == "fin"
    assert server.line() == "ASGI callable returned without accepting or closing the WebSocket."


@pytest.mark.parametrize("before", [nothing, pause])
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_raises_before_the_accept(server: Server, kind: type[BaseException], before: Any) -> None:
    server.use(ending(before, kind))
    with server.raw() as peer:
        peer.send(upgrade())
        response = peer.response()
        assert (response.status, response.body, response.closes) == (500, b"Internal Server Error", True)
        assert peer.ended(1.5) == "fin"
    assert str(server.traceback(kind)) == "on purpose"


@pytest.mark.parametrize("before", [accept, accept_and_pause, accept_and_send])
def test_returns_after_the_accept(server: Server, before: Any) -> None:
    """1000: that is how an application may end a session."""
    server.use(ending(before))
    with connect(server) as client:
        if before is accept_and_send:
            assert client.message() == "x"
        assert client.closed() == (1000, "")
        client.send(close())
        assert client.ended(1.5) == "fin"


@pytest.mark.parametrize("before", [accept, accept_and_pause, accept_and_send])
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_raises_after_the_accept(server: Server, kind: type[BaseException], before: Any) -> None:
    """1011, and one traceback; what was sent before arrives."""
    server.use(ending(before, kind))
    with connect(server) as client:
        if before is accept_and_send:
            assert client.message() == "x"
        assert client.closed() == (1011, "")
        client.send(close(1011))
        assert client.ended(1.5) == "fin"
    assert str(server.traceback(kind)) == "on purpose"


@pytest.mark.parametrize("error", [None, ValueError])
def test_ends_after_its_close(server: Server, error: type[BaseException] | None) -> None:
    """The close that was sent stands; an error is logged all the same."""

    async def before(send: Any) -> None:
        await send(ACCEPT)
        await send({"type": "websocket.close", "code": 4000})

    server.use(ending(before, error))
    with connect(server) as client:
        assert client.closed() == (4000, "")
        client.send(close())
        assert client.ended(1.5) == "fin"
    if error:
        server.traceback(error)


@pytest.mark.parametrize("error", [None, ValueError])
def test_ends_after_a_denial(server: Server, error: type[BaseException] | None) -> None:
    async def before(send: Any) -> None:
        await send({"type": "websocket.close"})

    server.use(ending(before, error))
    with server.raw() as peer:
        peer.send(upgrade())
        assert peer.response().status == 403
        assert peer.ended(1.5) == "fin"
    if error:
        server.traceback(error)


def test_returns_something(server: Server) -> None:
    async def app(scope: dict[str, Any], receive: Any, send: Any) -> int:
        await receive()
        await send(ACCEPT)
        return 5

    server.use(app)
    with connect(server) as client:
        assert client.closed() == (1000, "")
    assert server.line() == "ASGI callable should return None, but returned '5'."


def test_messages_that_nobody_took(server: Server) -> None:
    """The application ends with messages in the queue, and the client goes on sending: both end well."""
    go = server.gate()

    async def use(scope: dict[str, Any], receive: Any, send: Any) -> None:
        await go.passed()

    server.use(each(use))
    with connect(server) as client:
        client.send(text("x") * 100 + binary(bytes(100_000)) * 5)
        server.settle()
        go.open()
        assert client.closed() == (1000, "")
        client.send(text("y") * 100 + close())
        assert client.ended(1.5) == "fin"


# The client ends, or is ended.


def telling(seen: list[Any], close_with: int | None = None) -> Any:
    """Keeps every message; after the end, receive() has nothing more to say, again and again."""

    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        assert await receive() == CONNECT
        await send(ACCEPT)
        if close_with is not None:
            await send({"type": "websocket.close", "code": close_with, "reason": "mine"})
        while not seen or seen[-1]["type"] != "websocket.disconnect":
            seen.append(await receive())
        for _ in range(3):
            with pytest.raises(ClientDisconnected) as caught:
                await receive()
            assert isinstance(caught.value, OSError)
        message = {"type": "websocket.send", "text": "late"}
        if close_with is None:
            with pytest.raises(ClientDisconnected):
                await send(message)
            with pytest.raises(ClientDisconnected):
                await send({"type": "websocket.close"})

    return app


ENDS: list[tuple[str, bytes, dict[str, Any], bool]] = [
    ("1000", close(1000), disconnect(1000), False),
    ("1001", close(1001, "going"), disconnect(1001, "going"), False),
    ("3000", close(3000, "gr\xfcnde"), disconnect(3000, "gr\xfcnde"), False),
    ("4999", close(4999, "x" * 123), disconnect(4999, "x" * 123), False),
    ("none", close(None), disconnect(1005), False),
    ("lost", b"", disconnect(1006), False),
    ("half-a-frame", text("x" * 100)[:20], disconnect(1006), False),
    ("half-a-message", text("x", fin=False), disconnect(1006), False),
    ("protocol", b"\x81\x01x", disconnect(1002, "invalid frame"), True),
    ("no-text", text(b"\xff"), disconnect(1007, "invalid UTF-8"), True),
    ("too-big", frame(2, declared=1 << 40), disconnect(1009, "message too big"), True),
]


@pytest.mark.parametrize(("data", "end", "logged"), [one[1:] for one in ENDS], ids=[one[0] for one in ENDS])
@pytest.mark.parametrize("before", [b"", text("one") + binary(b"two")], ids=["", "messages"])
def test_told_once(server: Server, data: bytes, end: dict[str, Any], logged: bool, before: bytes) -> None:
    """All messages, then one disconnect with the right code, then errors."""
    seen: list[Any] = []
    server.use(telling(seen))
    client = connect(server)
    client.send(before + data)
    if end["code"] == 1006:
        client.finish()
    client.drain()  # of a message that is too big the server waits for the client's close, for as long as it lingers
    client.close()
    server.idle()
    messages = [{"type": "websocket.receive", "text": "one"}, {"type": "websocket.receive", "bytes": b"two"}]
    assert seen == [*(messages if before else []), end]
    if logged:
        server.line()


@pytest.mark.parametrize("answer", [close(4000), close(1000, "other"), b"", b"\xff\xff"], ids=["same", "other", "none", "bad"])
def test_own_close_is_told(server: Server, answer: bytes) -> None:
    """Its own code and reason, at once, whatever the client says to it."""
    seen: list[Any] = []
    server.use(telling(seen, 4000))
    with connect(server) as client:
        assert client.closed() == (4000, "mine")
        server.idle()
        client.offer(answer)
    assert seen == [disconnect(4000, "mine")]
    if answer[:1] == b"\xff":
        server.until(lambda: server.open == 0, "the connection is closed")
        server.line()


@pytest.mark.parametrize("kind", ["text", "bytes"])
def test_send_after_the_client_has_gone(server: Server, kind: str) -> None:
    """ClientDisconnected, an OSError, from every send(); an application that lets it through is not at fault."""
    go = server.gate()
    raised: list[BaseException] = []

    async def use(scope: dict[str, Any], receive: Any, send: Any) -> None:
        await go.passed()
        message = {"type": "websocket.send", kind: "x" if kind == "text" else b"x"}
        for _ in range(2):
            try:
                await send(message)
            except OSError as error:
                raised.append(error)
        await send(message)
        raise AssertionError("not reached")

    server.use(each(use))
    client = connect(server)
    client.reset()
    server.until(lambda: server.open == 0, "the connection is gone")
    go.open()
    server.idle()
    assert [type(error) for error in raised] == [ClientDisconnected] * 2
    assert server.take_log() == []


def test_stream_that_never_listens(server: Server) -> None:
    """It only sends: that raises soon after the client has gone, and is not logged."""

    async def use(scope: dict[str, Any], receive: Any, send: Any) -> None:
        while True:
            await send({"type": "websocket.send", "text": "tick"})
            await asyncio.sleep(0.001)

    server.use(each(use))
    for how in ("close", "fin", "reset"):
        client = connect(server)
        assert client.message() == "tick"
        if how == "close":
            client.send(close())
            client.drain()
        (client.reset if how == "reset" else client.close)()
        server.idle(1.0)
        assert server.take_log() == []


def test_other_errors_after_the_client_has_gone(server: Server) -> None:
    """An error of the application's own is logged, also then; one that comes of ClientDisconnected is not."""
    go = server.gate()

    async def use(scope: dict[str, Any], receive: Any, send: Any) -> None:
        await go.passed()
        if scope["path"] == "/from":
            try:
                await send({"type": "websocket.send", "text": "x"})
            except OSError as error:
                raise RuntimeError("cannot go on") from error
        raise ValueError("on purpose")

    server.use(each(use))
    for target in ("/from", "/own"):
        client = connect(server, target=target)
        client.reset()
    server.until(lambda: server.open == 0, "the connections are gone")
    go.open()
    assert str(server.traceback(ValueError)) == "on purpose"


def test_ping_timeout_is_told() -> None:
    seen: list[Any] = []
    with serve(telling(seen), ws_ping_interval=0.1, ws_ping_timeout=0.1) as server, connect(server) as client:
        assert client.frame().opcode == 9
        assert client.bye(2.0) == (1011, "keepalive ping timeout")
        server.line()
    assert seen == [disconnect(1011, "keepalive ping timeout")]


def test_sessions_after_all_that(server: Server) -> None:
    """One after the other on connections of their own, while others fail."""

    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        await receive()
        if scope["path"] == "/raise":
            raise ValueError("on purpose")
        await send(ACCEPT)
        await send({"type": "websocket.send", **{"text": (await receive())["text"]}})

    server.use(app)
    for _ in range(20):
        with Client(("127.0.0.1", server.port)) as bad, connect(server) as good:
            bad.send(upgrade(target="/raise"))
            good.send(text("x"))
            assert good.message() == "x"
            assert bad.response().status == 500
    assert len(server.take_log()) == 20
