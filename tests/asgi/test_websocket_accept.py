"""websocket.connect and what may answer it: websocket.accept, websocket.close, and a response of HTTP."""

from __future__ import annotations

from typing import Any

import pytest
from frames import Client, close, connect, switched, text, upgrade
from serving import Server, modes, serve
from sessions import ACCEPT, CONNECT, each, echo

from pronghorn.errors import ClientDisconnected, MessageError

MODES = modes("lazy", "task")
GONE = {"type": "websocket.disconnect", "code": 1006, "reason": ""}
OFFER = "Sec-WebSocket-Protocol: v2, v1"


def accepting(message: dict[str, Any], errors: list[str] | None = None) -> Any:
    """Sends this message; if it is refused, says so, and accepts without anything."""

    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        assert await receive() == CONNECT
        try:
            await send(message)
        except MessageError as error:
            assert errors is not None, error
            errors.append(str(error))
            await send(ACCEPT)
        assert (await receive())["type"] == "websocket.disconnect"

    return app


def test_connect_comes_first(server: Server) -> None:
    """Before any message, and once; without it accept is taken as well."""
    seen: list[Any] = []

    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        await send(ACCEPT)
        seen.extend([await receive(), await receive()])

    server.use(app)
    with connect(server) as client:
        client.send(text("x"))
        client.send(close())
        assert client.frame().opcode == 8
    server.idle()
    assert seen == [CONNECT, {"type": "websocket.receive", "text": "x"}]


@pytest.mark.parametrize("chosen", ["v1", "v2", None, ...])
def test_subprotocol(server: Server, chosen: Any) -> None:
    server.use(accepting(ACCEPT if chosen is ... else {**ACCEPT, "subprotocol": chosen}))
    with Client(("127.0.0.1", server.port)) as client:
        found = client.open(OFFER).header("sec-websocket-protocol")
        assert found == (None if chosen is ... else chosen)
        client.leave()


@pytest.mark.parametrize("chosen", ["v3", "", "V1", "v1, v2", 1, b"v1", "v1\r\nX: y", "\udcff"])
@pytest.mark.parametrize("offer", [OFFER, "X: y"], ids=["offered", "nothing-offered"])
def test_subprotocol_that_was_not_offered(server: Server, offer: str, chosen: Any) -> None:
    """RFC 6455 section 4.1: the client would have to fail the connection. The application can still accept."""
    errors: list[str] = []
    server.use(accepting({**ACCEPT, "subprotocol": chosen}, errors))
    with Client(("127.0.0.1", server.port)) as client:
        assert client.open(offer).header("sec-websocket-protocol") is None
        client.leave()
    assert len(errors) == 1 and "websocket.accept" in errors[0] and "subprotocol" in errors[0]


HEADERS: list[Any] = [
    [(b"upgrade", b"x")],
    [(b"Connection", b"x")],
    [(b"transfer-encoding", b"chunked")],
    [(b"Sec-WebSocket-Accept", b"x")],
    [(b"sec-websocket-extensions", b"x")],
    [(b"sec-websocket-protocol", b"v1")],
    [(b"sec-websocket-version", b"13")],
    [(b"x", b"a\r\nb: c")],
    [(b"x", b"a\nb")],
    [(b"x", b"a\0b")],
    [(b"x\r\n", b"a")],
    [(b"x y", b"a")],
    [(b"", b"a")],
    [("x", "a")],
    [("upgrade", "a")],
    [(b"x", "a")],
    [(b"x", 1)],
    [(1, b"x")],
    [b"x"],
    [(b"x",)],
    [(b"x", b"y", b"z")],
    [1],
    1,
]


@pytest.mark.parametrize("headers", HEADERS, ids=repr)
def test_headers_that_may_not_be(server: Server, headers: Any) -> None:
    """Refused with the message's name, and nothing of it is on the wire."""
    errors: list[str] = []
    server.use(accepting({**ACCEPT, "headers": headers}, errors))
    with Client(("127.0.0.1", server.port)) as client:
        names = [name for name, _ in client.open(OFFER).headers]
        assert sorted(names) == ["connection", "date", "sec-websocket-accept", "server", "upgrade"]
        client.leave()
    assert len(errors) == 1 and "websocket.accept" in errors[0]


@pytest.mark.parametrize("make", [list, tuple, iter, lambda pairs: [list(pair) for pair in pairs]])
def test_headers(server: Server, make: Any) -> None:
    """Any iterable of pairs; names are lower-cased, a content-length has no place there."""
    pairs = [(b"X-One", b"1"), (b"set-cookie", b"a"), (b"Set-Cookie", b"b"), (b"x-e", b"\xe9")]
    server.use(accepting({**ACCEPT, "headers": make(pairs)}))
    with Client(("127.0.0.1", server.port)) as client:
        head = client.open()
        assert [pair for pair in head.headers if pair[0][:2] in ("x-", "se") and "accept" not in pair[0] and pair[0] != "server"] == [
            ("x-one", "1"), ("set-cookie", "a"), ("set-cookie", "b"), ("x-e", "\xe9"),
        ]  # fmt: skip
        client.leave()


def test_headers_may_be_none(server: Server) -> None:
    server.use(accepting({**ACCEPT, "headers": None, "subprotocol": None}))
    with connect(server) as client:
        client.leave()


@pytest.mark.parametrize("extra", [{}, {"code": 1000}, {"code": 3000, "reason": "no"}])
@pytest.mark.parametrize("asks", [True, False], ids=["connect-received", "at-once"])
def test_close_before_the_accept(server: Server, extra: dict[str, Any], asks: bool) -> None:
    """403, and the application is told 1006."""
    seen: list[Any] = []

    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        if asks:
            await receive()
        await send({"type": "websocket.close", **extra})
        if asks:
            seen.append(await receive())
            with pytest.raises(ClientDisconnected):
                await receive()
        with pytest.raises(MessageError, match=r"websocket\.accept"):
            await send(ACCEPT)

    server.use(app)
    with server.raw() as peer:
        peer.send(upgrade())
        response = peer.response()
        assert (response.status, response.body, response.closes) == (403, b"", True)
        assert response.header("content-length") == "0"
        assert peer.ended(1.5) == "fin"
    server.idle()
    assert seen == ([GONE] if asks else [])


def test_denial_is_streamed(server: Server) -> None:
    """Each chunk arrives before the application has sent the next."""
    gates = [server.gate() for _ in range(3)]
    seen: list[Any] = []

    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        assert await receive() == CONNECT
        await send({"type": "websocket.http.response.start", "status": 418, "headers": [(b"x-why", b"tea")]})
        for number, gate in enumerate(gates):
            await send({"type": "websocket.http.response.body", "body": b"%d" % number, "more_body": True})
            await gate.passed()
        await send({"type": "websocket.http.response.body", "body": b"end"})
        seen.append(await receive())

    server.use(app)
    with server.raw() as peer:
        peer.send(upgrade())
        head = peer.head()
        assert (head.status, head.header("x-why"), head.header("transfer-encoding"), head.closes) == (418, "tea", "chunked", True)
        for number, gate in enumerate(gates):
            assert peer.chunk() == b"%d" % number
            server.settle()
            assert peer.pending() == b""
            gate.open()
        assert (peer.chunk(), peer.chunk()) == (b"end", b"")
        assert peer.ended(1.5) == "fin"
    server.idle()
    assert seen == [GONE]


@pytest.mark.parametrize(
    ("headers", "bodies", "framing"),
    [
        ([], [b"all"], "length"),
        ([], [b""], "length"),
        ([(b"content-length", b"6")], [b"abc", b"def"], "length"),
        ([], [b"abc", b"def"], "chunked"),
        ([], [b"x" * 50_000, b"y" * 50_000], "chunked"),
    ],
)
@pytest.mark.parametrize("status", [200, 401, 404, 503])
def test_denial(server: Server, headers: Any, bodies: list[bytes], framing: str, status: int) -> None:
    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.http.response.start", "status": status, "headers": headers})
        for number, body in enumerate(bodies):
            await send({"type": "websocket.http.response.body", "body": body, "more_body": number < len(bodies) - 1})

    server.use(app)
    with server.raw() as peer:
        peer.send(upgrade())
        response = peer.response()
        assert (response.status, response.body, response.framing) == (status, b"".join(bodies), framing)
        assert response.closes and peer.ended(1.5) == "fin"


def test_denial_without_a_body(server: Server) -> None:
    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        await send({"type": "websocket.http.response.start", "status": 204})
        await send({"type": "websocket.http.response.body"})

    server.use(app)
    with server.raw() as peer:
        peer.send(upgrade())
        assert peer.response().status == 204


def test_denial_that_is_not_finished(server: Server) -> None:
    """No last chunk, and it is logged."""
    server.use(each(echo))

    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        await send({"type": "websocket.http.response.start", "status": 404})
        await send({"type": "websocket.http.response.body", "body": b"half", "more_body": True})

    server.use(app)
    with server.raw() as peer:
        peer.send(upgrade())
        data, _ = peer.drain()
        assert not data.endswith(b"0\r\n\r\n")
    assert server.line() == "ASGI callable returned without completing response."


def test_access_lines() -> None:
    """As uvicorn has them: [accepted], 403, the status of a denial."""

    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        await receive()
        if scope["path"] == "/close":
            await send({"type": "websocket.close"})
        elif scope["path"] == "/raise":
            raise ValueError("on purpose")
        elif scope["path"] == "/418":
            await send({"type": "websocket.http.response.start", "status": 418})
            await send({"type": "websocket.http.response.body"})
        else:
            await send(ACCEPT)
            await receive()

    with serve(app, access_log=True) as server:
        for target, outcome in (("/%0a?b=c", "[accepted]"), ("/close", "403"), ("/418", "418"), ("/raise", "500")):
            server.records.seen.clear()
            with Client(("127.0.0.1", server.port)) as client:
                own = "{}:{}".format(*client.socket.getsockname())
                client.send(upgrade(target=target))
                if client.head().status == 101:
                    client.leave()
            server.idle()
            server.settle()
            lines = [record.getMessage() for record in server.records.seen if "WebSocket" in record.getMessage()]
            assert lines == [f'{own} - "WebSocket {target}" {outcome}']
        server.traceback(ValueError)


def test_switch_and_first_message_together(server: Server) -> None:
    """What is sent behind the accept in one step leaves with it."""

    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        await send(ACCEPT)
        await send({"type": "websocket.send", "text": "hello"})
        await send({"type": "websocket.close", "code": 3000})

    server.use(app)
    with Client(("127.0.0.1", server.port)) as client:
        client.send(upgrade())
        switched(client.head())
        assert client.message() == "hello"
        assert client.closed() == (3000, "")
        client.send(close())
        assert client.ended() == "fin"
