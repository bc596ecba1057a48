"""websocket.receive, websocket.send and websocket.close: their keys, their types, and their order."""

from __future__ import annotations

import threading
from collections import UserDict
from types import MappingProxyType
from typing import Any

import pytest
from frames import CLOSE, CONTINUATION, TEXT, Frame, binary, close, connect, frame, text, upgrade
from serving import Server, modes, serve
from sessions import ACCEPT, Echo, begin, each, received

from pronghorn.errors import MessageError

MODES = modes("lazy")
PLAIN: list[str | bytes] = ["", b"", "a", b"a", "\0", "\xe4", "\N{SNOWMAN}", "\N{PILE OF POO}", "x" * 200_000, bytes(200_000), "\xff" * 70_000]


@pytest.mark.parametrize("message", PLAIN, ids=lambda value: f"{type(value).__name__}-{len(value)}-{value[:1]!a}")
def test_there_and_back(server: Server, message: str | bytes) -> None:
    """Text arrives as text and bytes as bytes, with one key besides the type; in one frame and in three."""
    seen: list[Any] = []

    async def use(scope: dict[str, Any], receive: Any, send: Any) -> None:
        for _ in range(2):
            seen.append(await receive())
            await send({**seen[-1], "type": "websocket.send"})

    server.use(each(use))
    data, opcode = (message.encode(), TEXT) if isinstance(message, str) else (message, 2)
    third = len(data) // 3
    with connect(server) as client:
        client.send(frame(opcode, data))
        assert client.message() == message
        client.send(frame(opcode, data[:third], fin=False) + frame(CONTINUATION, data[third : 2 * third], fin=False) + frame(CONTINUATION, data[2 * third :]))
        assert client.message() == message
        assert client.closed() == (1000, "")
    assert seen == [received(message)] * 2
    assert [type(one.get("text", one.get("bytes"))) for one in seen] == [type(message)] * 2


SENDS: list[tuple[dict[str, Any], str | bytes]] = [
    ({"text": "a"}, "a"),
    ({"text": "a", "bytes": None}, "a"),
    ({"bytes": b"a", "text": None}, b"a"),
    ({"text": ""}, ""),
    ({"text": "", "bytes": None}, ""),
    ({"bytes": b"", "text": None}, b""),
    ({"bytes": bytearray(b"ab")}, b"ab"),
    ({"bytes": memoryview(b"abcd")[::2]}, b"ac"),
    ({"bytes": memoryview(bytearray(20_000))}, bytes(20_000)),
    ({"text": type("Text", (str,), {})("sub")}, "sub"),
    ({"bytes": type("Bytes", (bytes,), {})(b"sub")}, b"sub"),
    ({"text": "a", "more": object()}, "a"),
    ({"bytes": b"a", "more": object()}, b"a"),
    ({"text": None, "more": object(), "bytes": b"a"}, b"a"),
    ({"".join(["by", "tes"]): b"a"}, b"a"),  # not interned
    ({"".join(["te", "xt"]): "a"}, "a"),
]


@pytest.mark.parametrize(("keys", "expected"), SENDS)
def test_send(server: Server, keys: dict[str, Any], expected: str | bytes) -> None:
    async def use(scope: dict[str, Any], receive: Any, send: Any) -> None:
        message = {"type": "websocket.send", **keys}
        await send(message)
        await send(UserDict(message))
        await send(MappingProxyType(message))
        assert set(message) == {"type", *keys}, "the message is the application's"

    server.use(each(use))
    with connect(server) as client:
        assert [client.message() for _ in range(3)] == [expected] * 3
        assert client.closed() == (1000, "")


BAD: list[tuple[Any, list[str]]] = [
    ({"type": "websocket.send"}, ["websocket.send", "text", "bytes"]),
    ({"type": "websocket.send", "text": None}, ["websocket.send"]),
    ({"type": "websocket.send", "bytes": None, "text": None}, ["websocket.send"]),
    ({"type": "websocket.send", "text": "a", "bytes": b"a"}, ["websocket.send", "text", "bytes"]),
    ({"type": "websocket.send", "text": "", "bytes": b""}, ["websocket.send", "text", "bytes"]),
    ({"type": "websocket.send", "text": b"a"}, ["websocket.send", "text", "bytes"]),
    ({"type": "websocket.send", "text": 1}, ["websocket.send", "text", "int"]),
    ({"type": "websocket.send", "bytes": "a"}, ["websocket.send", "bytes", "str"]),
    ({"type": "websocket.send", "bytes": 5}, ["websocket.send", "bytes", "int"]),
    ({"type": "websocket.send", "bytes": [1]}, ["websocket.send", "bytes", "list"]),
    ({"type": "websocket.send", "text": "\ud800"}, ["websocket.send", "text"]),
    ({"type": "websocket.close", "code": 1005}, ["websocket.close", "code", "1005"]),
    ({"type": "websocket.close", "code": 1006}, ["websocket.close", "code"]),
    ({"type": "websocket.close", "code": 1004}, ["websocket.close", "code"]),
    ({"type": "websocket.close", "code": 1015}, ["websocket.close", "code"]),
    ({"type": "websocket.close", "code": 0}, ["websocket.close", "code"]),
    ({"type": "websocket.close", "code": 999}, ["websocket.close", "code"]),
    ({"type": "websocket.close", "code": 2999}, ["websocket.close", "code"]),
    ({"type": "websocket.close", "code": 5000}, ["websocket.close", "code"]),
    ({"type": "websocket.close", "code": -1}, ["websocket.close", "code"]),
    ({"type": "websocket.close", "code": 1000 + 65536}, ["websocket.close", "code"]),
    ({"type": "websocket.close", "code": 1 << 70}, ["websocket.close", "code"]),
    ({"type": "websocket.close", "code": "1000"}, ["websocket.close", "code"]),
    ({"type": "websocket.close", "code": 1000.0}, ["websocket.close", "code"]),
    ({"type": "websocket.close", "reason": b"x"}, ["websocket.close", "reason", "bytes"]),
    ({"type": "websocket.close", "reason": "x" * 124}, ["websocket.close", "reason", "123"]),
    ({"type": "websocket.close", "reason": "\N{SNOWMAN}" * 42}, ["websocket.close", "reason", "123"]),
    ({"type": "websocket.close", "reason": "\ud800"}, ["websocket.close", "reason"]),
    ({"type": "websocket.accept"}, ["websocket.accept", "websocket.send", "websocket.close"]),
    ({"type": "websocket.connect"}, ["websocket.connect"]),
    ({"type": "websocket.receive", "text": "a"}, ["websocket.receive"]),
    ({"type": "websocket.disconnect"}, ["websocket.disconnect"]),
    ({"type": "websocket.http.response.start", "status": 200}, ["websocket.http.response.start"]),
    ({"type": "websocket.http.response.body"}, ["websocket.http.response.body"]),
    ({"type": "http.response.start", "status": 200}, ["http.response.start"]),
    ({"type": "nonsense"}, ["nonsense"]),
    ({"type": None}, ["None"]),
    ({"text": "a"}, ["type"]),
    ({}, ["type"]),
    (None, ["dict", "NoneType"]),
    ("websocket.send", ["dict", "str"]),
    (5, ["dict", "int"]),
]


@pytest.mark.parametrize(("message", "words"), BAD, ids=lambda value: ascii(value)[:60])
def test_refused_while_open(server: Server, message: Any, words: list[str]) -> None:
    """The error names message and rule; nothing is sent, and the session goes on as if it had not been."""
    errors: list[str] = []

    async def use(scope: dict[str, Any], receive: Any, send: Any) -> None:
        for _ in range(2):
            with pytest.raises(MessageError) as caught:
                await send(message)
            errors.append(str(caught.value))
        await send({"type": "websocket.send", "text": (await receive())["text"]})

    server.use(each(use))
    with connect(server) as client:
        client.send(text("still here"))
        assert client.message() == "still here"
        assert client.closed() == (1000, "")
        client.send(close())
    assert len(errors) == 2
    for word in words:
        assert word in errors[0], errors[0]


ASKED = [
    {"type": "websocket.send", "text": "a"},
    {"type": "websocket.connect"},
    {"type": "websocket.http.response.body", "body": b"a"},
    {"type": "http.response.start", "status": 200},
    {"type": "nonsense"},
    {"type": "websocket.http.response.start"},
    {"type": "websocket.http.response.start", "status": "200"},
    {"type": "websocket.http.response.start", "status": 101},
    {"type": "websocket.http.response.start", "status": 600},
    {"type": "websocket.http.response.start", "status": 200, "headers": [(b"x", b"a\r\nb: c")]},
]


@pytest.mark.parametrize("message", ASKED, ids=lambda value: ascii(value)[:90])
def test_refused_before_the_accept(server: Server, message: dict[str, Any]) -> None:
    errors: list[str] = []

    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        with pytest.raises(MessageError) as caught:
            await send(message)
        errors.append(str(caught.value))
        await begin(receive, send)

    server.use(app)
    with connect(server) as client:
        assert client.closed() == (1000, "")
    if message["type"].startswith("websocket.http.response.start"):
        assert message["type"] in errors[0] or "header" in errors[0]
    else:
        assert f"'{message['type']}'" in errors[0]
        for expected in ("websocket.accept", "websocket.close", "websocket.http.response.start"):
            assert f"'{expected}'" in errors[0]


@pytest.mark.parametrize("kind", ["websocket.send", "websocket.close", "websocket.accept", "websocket.http.response.start", "nonsense"])
def test_refused_in_a_denial(server: Server, kind: str) -> None:
    """While it is sent, and when it is complete."""
    errors: list[str] = []

    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        await send({"type": "websocket.http.response.start", "status": 404})
        for last in (False, True):
            if last:
                await send({"type": "websocket.http.response.body", "body": b"x"})
            with pytest.raises(MessageError) as caught:
                await send({"type": kind, "status": 200, "text": "x"})
            errors.append(str(caught.value))
        with pytest.raises(MessageError):
            await send({"type": "websocket.http.response.body", "body": b"x"})

    server.use(app)
    with server.raw() as peer:
        peer.send(upgrade())
        response = peer.response()
        assert (response.status, response.body) == (404, b"x")
    server.idle()
    assert all(f"'{kind}'" in error for error in errors)
    assert "'websocket.http.response.body'" in errors[0] and "completed" in errors[1]


@pytest.mark.parametrize("message", [{"type": "websocket.send", "text": "x"}, {"type": "websocket.close"}, ACCEPT, {"type": "nonsense"}])
def test_refused_after_the_close(server: Server, message: dict[str, Any]) -> None:
    """Before and after the client has answered it."""
    errors: list[str] = []
    gone = server.gate()

    async def use(scope: dict[str, Any], receive: Any, send: Any) -> None:
        await send({"type": "websocket.close"})
        for _ in range(2):
            with pytest.raises(MessageError) as caught:
                await send(message)
            errors.append(str(caught.value))
            await gone.passed()

    server.use(each(use))
    with connect(server) as client:
        assert client.closed() == (1000, "")
        client.send(close())
        assert client.ended(1.5) == "fin"
        gone.open()
    server.idle()
    assert len(errors) == 2
    for error in errors:
        assert f"'{message['type']}'" in error and "'websocket.close'" in error


@pytest.mark.parametrize(
    ("keys", "code", "reason"),
    [
        ({}, 1000, ""),
        ({"code": None, "reason": None}, 1000, ""),
        ({"code": 1000, "reason": ""}, 1000, ""),
        ({"reason": "why"}, 1000, "why"),
        ({"code": 3999, "reason": "\N{SNOWMAN}" * 41}, 3999, "\N{SNOWMAN}" * 41),
        ({"code": 4999, "reason": "x" * 123}, 4999, "x" * 123),
    ],
)
def test_close(server: Server, keys: dict[str, Any], code: int, reason: str) -> None:
    async def use(scope: dict[str, Any], receive: Any, send: Any) -> None:
        await send({"type": "websocket.close", **keys})
        assert await receive() == {"type": "websocket.disconnect", "code": code, "reason": reason}

    server.use(each(use))
    with connect(server) as client:
        assert client.closed() == (code, reason)
        client.send(close())
        assert client.ended() == "fin"


def test_content_that_changes_later(server: Server) -> None:
    """What was sent is what it was at that time, although the client reads late."""
    count = 200

    async def use(scope: dict[str, Any], receive: Any, send: Any) -> None:
        data = bytearray(50_000)
        for number in range(count):
            data[:] = bytes([number]) * 50_000
            await send({"type": "websocket.send", "bytes": data})

    server.use(each(use))
    with connect(server) as client:
        for _ in range(30):
            server.settle()
        for number in range(count):
            assert client.message() == bytes([number]) * 50_000


def test_received_objects_are_the_applications(server: Server) -> None:
    """A message that is kept does not change when others come."""
    app = Echo()
    server.use(app)
    messages = [bytes([number]) * 1000 for number in range(100)]
    with connect(server) as client:
        for message in messages:
            client.send(binary(message))
        for message in messages:
            assert client.message() == message
        client.leave()
    server.idle()
    assert app.only.messages == messages


def test_sent_from_nowhere(server: Server) -> None:
    """send() from another task and from a callback of the loop: in order, and without waiting for a message to come."""

    async def use(scope: dict[str, Any], receive: Any, send: Any) -> None:
        server.loop.call_soon(lambda: send({"type": "websocket.send", "text": "callback"}))
        for number in range(3):
            await server_task(send, number)
        await receive()

    async def server_task(send: Any, number: int) -> None:
        await server.loop.create_task(send_one(send, number))

    async def send_one(send: Any, number: int) -> None:
        await send({"type": "websocket.send", "text": str(number)})

    server.use(each(use))
    with connect(server) as client:
        assert sorted(client.message() for _ in range(4)) == ["0", "1", "2", "callback"]
        client.leave()


@pytest.mark.parametrize("loop", ["uvloop", "asyncio"])
def test_large_messages_at_the_smallest_mark(loop: str) -> None:
    """write_high_water=1: slow, but in order, and nothing waits for ever."""
    app = Echo()
    with serve(app, loop=loop, write_high_water=1) as server, connect(server, timeout=20) as client:
        for size in (0, 1, 70_000, 2_000_000):
            writer = threading.Thread(target=client.socket.sendall, args=(binary(bytes(size)) + text("x"),))
            writer.start()
            assert (client.message(), client.message()) == (bytes(size), "x")
            writer.join(5)
        client.send(close())
        assert client.frame() == Frame(CLOSE, b"\x03\xe8")
