"""The closing handshake (RFC 6455 sections 5.5.1 and 7), in both directions and with every code."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from frames import BINARY, CLOSE, CODES, PONG, Client, Frame, binary, close, connect, frame, ping, text
from serving import Server
from sessions import Echo, each

LEGAL = [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999]
ILLEGAL = [0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 5001, 65535]


def test_lists_agree() -> None:
    assert CODES.issuperset(LEGAL) and CODES.isdisjoint(ILLEGAL)


@pytest.mark.parametrize("code", LEGAL)
def test_client_closes(server: Server, code: int) -> None:
    """The code comes back, without the reason; the application is told both; the server ends the connection."""
    for reason in ("", "a reason \N{SNOWMAN}", "x" * 123):
        app = Echo()
        server.use(app)
        with connect(server) as client:
            client.send(close(code, reason))
            assert client.frame() == Frame(CLOSE, code.to_bytes(2, "big"))
            assert client.ended(1.5) == "fin"
        server.idle()
        assert app.only.ends == [(code, reason)]


def test_client_closes_without_a_code(server: Server) -> None:
    app = Echo()
    server.use(app)
    with connect(server) as client:
        client.send(close(None))
        assert client.frame() == Frame(CLOSE)
        assert client.ended(1.5) == "fin"
    server.idle()
    assert app.only.ends == [(1005, "")]


@pytest.mark.parametrize("code", ILLEGAL)
def test_illegal_code(server: Server, code: int) -> None:
    app = Echo()
    server.use(app)
    with connect(server) as client:
        client.send(close(code, "reason"))
        assert client.bye() == (1002, "invalid close code")
    assert server.line().startswith("WebSocket closed: 1002 invalid close code (127.0.0.1:")
    assert app.only.ends == [(1002, "invalid close code")]


def test_every_code(server: Server) -> None:
    """All that two bytes can say, each on a session of its own."""
    app = Echo()
    server.use(app)
    numbers = [*range(990, 1030), *range(2990, 3010), *range(4990, 5010)]
    for code in numbers:
        with connect(server) as client:
            client.send(close(code))
            assert client.bye()[0] == (code if code in CODES else 1002), code
    assert len(server.take_log()) == len([code for code in numbers if code not in CODES])


@pytest.mark.parametrize("payload", [b"\x03", b"\x00", b"\xff"])
def test_half_a_code(server: Server, payload: bytes) -> None:
    server.use(Echo())
    with connect(server) as client:
        client.send(frame(CLOSE, payload))
        assert client.bye() == (1002, "invalid close code")
    server.line()


@pytest.mark.parametrize("reason", [b"\xff", b"\xc3", b"ok\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xc0\xaf"])
def test_reason_that_is_no_text(server: Server, reason: bytes) -> None:
    server.use(Echo())
    with connect(server) as client:
        client.send(close(1000, reason))
        assert client.bye() == (1007, "invalid UTF-8")
    server.line()


@pytest.mark.parametrize("behind", [text("x"), ping(), close(1001), b"\xff\xff", binary(bytes(200_000))])
def test_nothing_counts_behind_the_close(server: Server, behind: bytes) -> None:
    """Neither answered nor looked at; in the same piece and in another."""
    for together in (True, False):
        app = Echo()
        server.use(app)
        with connect(server) as client:
            client.offer(close() + (behind if together else b""))
            if not together:
                client.offer(behind)
            assert client.closed() == (1000, "")
            client.drain()
        server.idle()
        assert app.only.messages == [] and app.only.ends == [(1000, "")]


def closing(code: int = 1000, reason: str = "", seen: list[Any] | None = None) -> Any:
    """An application that closes at once, and then listens."""

    async def use(scope: dict[str, Any], receive: Any, send: Any) -> None:
        await send({"type": "websocket.close", "code": code, "reason": reason})
        message = await receive()
        if seen is not None:
            seen.append(message)

    return each(use)


@pytest.mark.parametrize("code", LEGAL)
def test_server_closes(server: Server, code: int) -> None:
    """The server waits for the client's close, and ends the connection then."""
    for reason in ("", "ende \N{SNOWMAN}", "x" * 123):
        server.use(closing(code, reason))
        with connect(server) as client:
            assert client.closed() == (code, reason)
            server.settle()
            assert not client.gone()
            client.send(close(code))
            assert client.ended(1.5) == "fin"


@pytest.mark.parametrize("answer", [close(4321, "other"), close(None), close(1000)])
def test_any_close_is_an_answer(server: Server, answer: bytes) -> None:
    """Which code the client's has is its own affair; it is not answered again."""
    seen: list[Any] = []
    server.use(closing(3000, "ours", seen))
    with connect(server) as client:
        assert client.closed() == (3000, "ours")
        client.send(answer)
        assert client.ended(1.5) == "fin"
    server.idle()
    assert seen == [{"type": "websocket.disconnect", "code": 3000, "reason": "ours"}]


@pytest.mark.parametrize(
    "between",
    [
        text("late"),
        binary(b"late") + text("later"),
        text("half", fin=False),
        ping(b"late"),
        text("x" * 100_000),
        text(b"\xff"),
        text("a", fin=False) + ping() + frame(0, b"\xff"),
    ],
    ids=["text", "both", "fragment", "ping", "large", "no-text", "fragments"],
)
def test_data_behind_our_close(server: Server, between: bytes) -> None:
    """What was on its way is read and forgotten: the application has closed."""
    seen: list[Any] = []
    more = server.gate()

    async def use(scope: dict[str, Any], receive: Any, send: Any) -> None:
        await send({"type": "websocket.close"})
        await more.passed()
        seen.append(await receive())

    server.use(each(use))
    with connect(server) as client:
        assert client.closed() == (1000, "")
        client.send(between + close())
        assert client.ended(1.5) == "fin"
        more.open()
    server.idle()
    assert seen == [{"type": "websocket.disconnect", "code": 1000, "reason": ""}]


def test_messages_that_waited_when_the_application_closed(server: Server) -> None:
    """A full queue and input behind it do not keep the client's close from being seen."""
    go = server.gate()
    seen: list[Any] = []

    async def use(scope: dict[str, Any], receive: Any, send: Any) -> None:
        await go.passed()
        await send({"type": "websocket.close"})
        seen.append(await receive())

    server.use(each(use))
    with connect(server) as client:
        client.send(text("x") * 100)
        server.settle()
        go.open()
        assert client.closed() == (1000, "")
        client.send(text("y") * 100 + close())
        assert client.ended(1.5) == "fin"
    server.idle()
    assert seen == [{"type": "websocket.disconnect", "code": 1000, "reason": ""}]


@pytest.mark.parametrize("bad", [b"\xff\xff", b"\x81\x01x", close(1005)], ids=["rsv", "unmasked", "code"])
def test_bad_frame_behind_our_close(server: Server, bad: bytes) -> None:
    """No second close; the connection ends, and the application keeps its own code."""
    seen: list[Any] = []
    server.use(closing(3000, "", seen))
    with connect(server) as client:
        assert client.closed() == (3000, "")
        client.send(bad)
        assert client.ended(1.5) == "fin"
    server.idle()
    assert seen == [{"type": "websocket.disconnect", "code": 3000, "reason": ""}]
    assert server.line().startswith("WebSocket closed: 1002")


def test_both_close_at_once(server: Server) -> None:
    """Each side's close is the answer to the other's."""
    go = server.gate()
    ends: list[Any] = []

    async def use(scope: dict[str, Any], receive: Any, send: Any) -> None:
        go.open()
        await send({"type": "websocket.close", "code": 3001})
        ends.append(await receive())

    server.use(each(use))
    with connect(server) as client:
        client.send(close(3002))
        go.wait()
        assert client.closed()[0] in (3001, 3002)
        assert client.ended(1.5) == "fin"
    server.idle()
    assert [end["code"] for end in ends] in ([3001], [3002], [])


def test_messages_before_our_close_arrive(server: Server) -> None:
    """Sent in one step with it: in order, and nothing behind."""

    async def use(scope: dict[str, Any], receive: Any, send: Any) -> None:
        for number in range(100):
            await send({"type": "websocket.send", "bytes": bytes([number]) * 1000})
        await send({"type": "websocket.close", "code": 4000})

    server.use(each(use))
    with connect(server) as client:
        for number in range(100):
            assert client.frame() == Frame(BINARY, bytes([number]) * 1000)
        assert client.closed() == (4000, "")
        client.send(close())
        assert client.ended(1.5) == "fin"


def test_pings_are_answered_until_the_close(server: Server) -> None:
    server.use(Echo())
    with connect(server) as client:
        client.send(ping(b"1") + ping(b"x" * 125) + close() + ping(b"2"))
        assert [client.frame() for _ in range(2)] == [Frame(PONG, b"1"), Frame(PONG, b"x" * 125)]
        assert client.closed() == (1000, "")
        client.drain()


def test_client_leaves_without_a_close(server: Server) -> None:
    """FIN or reset in an open session: 1006, at once, and nothing in the log."""
    for how in ("fin", "half", "reset"):
        app = Echo()
        server.use(app)
        client = connect(server)
        client.send(text("x"))
        assert client.message() == "x"
        if how == "half":
            client.finish()
            assert client.ended(1.5) == "fin"
            client.close()
        else:
            (client.reset if how == "reset" else client.close)()
        server.idle(0.5)
        assert app.only.ends == [(1006, "")]


def test_close_and_reset(server: Server) -> None:
    """The close has come: its code stands, although the connection breaks before the answer is read."""
    app = Echo()
    server.use(app)
    client = connect(server)
    client.send(close(3000, "bye"))
    client.reset()
    server.idle()
    assert app.only.ends in ([(3000, "bye")], [(1006, "")])


def test_close_of_a_task_that_is_not_ours(server: Server) -> None:
    """Closed from a task of the application's own."""

    async def use(scope: dict[str, Any], receive: Any, send: Any) -> None:
        await asyncio.create_task(send({"type": "websocket.close", "code": 3003, "reason": "task"}))

    server.use(each(use))
    with Client(("127.0.0.1", server.port)) as client:
        client.open()
        assert client.closed() == (3003, "task")
        client.send(close())
        assert client.ended(1.5) == "fin"
