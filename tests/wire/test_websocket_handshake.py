"""The opening handshake (RFC 6455 section 4.2; E09): what is switched, what is refused, and what is served as HTTP."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from frames import KEY, Client, accept_of, binary, connect, switched, text, upgrade
from peer import Peer
from probes import FIRST, Recorder, head, reply
from serving import BYTES, Server, serve
from sessions import ACCEPT, echo

MODES = BYTES

KEYS = [KEY, "AAAAAAAAAAAAAAAAAAAAAA==", "/+/+/+/+/+/+/+/+/+/+/w==", base64.b64encode(bytes(range(240, 256))).decode()]


async def either(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """Says of HTTP what it is; a WebSocket is an echo."""
    if scope["type"] == "websocket":
        await echo(scope, receive, send)
    else:
        await reply(send, scope["type"])


def refuses(server: Server, data: bytes, status: int, method: str = "GET") -> Any:
    """This status, `connection: close`, one line in the log, and no call."""
    server.use(either)
    with server.raw() as peer:
        peer.send(data)
        response = peer.response(method)
        assert response.status == status, f"{response.status}, expected {status}"
        options = [option.strip() for option in (response.header("connection") or "").lower().split(",")]
        assert "close" in options, response.raw
        assert peer.ended(1.5) == "fin"
    assert f" {status} " in server.line()
    assert server.calls == []
    return response


@pytest.mark.parametrize("key", KEYS)
def test_accept_key(server: Server, key: str) -> None:
    server.use(echo)
    with connect(server, key=key) as client:
        client.send(text("hello"))
        assert client.message() == "hello"
        client.leave()


def test_accept_key_of_the_rfc(server: Server) -> None:
    """Section 1.3 has one worked out; the helper of these tests has to agree, too."""
    assert accept_of(KEY) == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
    server.use(echo)
    with Client(("127.0.0.1", server.port)) as client:
        assert client.open().header("sec-websocket-accept") == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
        client.leave()


def test_headers_of_the_answer(server: Server) -> None:
    """Nothing but what the handshake needs, and what every answer of the server has."""
    server.use(echo)
    with Client(("127.0.0.1", server.port)) as client:
        names = [name for name, _ in client.open().headers]
        assert sorted(names) == ["connection", "date", "sec-websocket-accept", "server", "upgrade"]
        client.leave()


ASKS = [
    "Upgrade: websocket\r\nConnection: Upgrade",
    "upgrade: WEBSOCKET\r\nCONNECTION: UPGRADE",
    "Connection: keep-alive, Upgrade\r\nUpgrade: WebSocket",
    "Connection: keep-alive\r\nConnection: upgrade\r\nUpgrade: websocket",
    "Connection: Upgrade\r\nUpgrade: h2c, websocket",
    "Connection: Upgrade\r\nUpgrade: websocket , other/1.0",
    "Connection: ,Upgrade,\r\nUpgrade: websocket",
]


@pytest.mark.parametrize("asks", ASKS)
def test_ways_to_ask(server: Server, asks: str) -> None:
    server.use(echo)
    with connect(server, asks=asks) as client:
        client.send(binary(b"\0\xff"))
        assert client.message() == b"\0\xff"
        client.leave()


NO_ASKS = [
    upgrade(asks="Upgrade: websocket"),
    upgrade(asks="Upgrade: websocket\r\nConnection: keep-alive"),
    upgrade(asks="Connection: Upgrade"),
    upgrade(asks="Connection: Upgrade\r\nUpgrade: h2c"),
    upgrade(asks="Connection: Upgrade\r\nUpgrade: websockets"),
    upgrade(asks="Connection: Upgrade\r\nUpgrade: websocket/13"),
    upgrade(asks="Connection: notupgrade\r\nUpgrade: websocket"),
    upgrade(version="HTTP/1.0"),
    upgrade(asks="Upgrade: websocket\r\nConnection: Upgrade, keep-alive", version="HTTP/1.0"),
]


@pytest.mark.parametrize("data", NO_ASKS)
def test_served_as_http(server: Server, data: bytes) -> None:
    server.use(either)
    with server.raw() as peer:
        peer.send(data)
        response = peer.response()
        assert (response.status, response.body) == (200, b"http")
    assert [call["type"] for call in server.calls] == ["http"]


@pytest.mark.parametrize("loop", ["uvloop", "asyncio"])
def test_switched_off(loop: str) -> None:
    """--ws none: the request is an ordinary one, and the connection stays open for the next."""
    with serve(either, loop=loop, ws="none") as server, server.raw() as peer:
        for _ in range(2):
            peer.send(upgrade())
            response = peer.response()
            assert (response.status, response.body, response.closes) == (200, b"http", False)


BAD_KEYS = [
    None,
    "",
    "x",
    KEY[:-1],
    KEY + "=",
    KEY[:-4],
    KEY[:-2] + "AA",
    "dGhlIHNhbXBsZSBub25jZQ..",
    "dGhlIHNhbXBsZSBub25jZ===",
    "dGhlIHNhbXBsZ\xe9Bub25jZQ==",
    "dGhlIHNhbXBs ZSBub25jZQ=",
    base64.b64encode(bytes(15)).decode(),
    base64.b64encode(bytes(17)).decode(),
    f"{KEY}, {KEY}",
    f"{KEY}\r\nSec-WebSocket-Key: {KEY}",
    f"{KEY}\r\nSec-WebSocket-Key: {KEYS[1]}",
]


@pytest.mark.parametrize("key", BAD_KEYS)
def test_bad_key(server: Server, key: str | None) -> None:
    refuses(server, upgrade(key=key), 400)


@pytest.mark.parametrize("speaks", [None, "", "0", "8", "12", "14", "013", "13, 8", "8, 13", "13.0", "13\r\nSec-WebSocket-Version: 13"])
def test_other_version(server: Server, speaks: str | None) -> None:
    """Section 4.4: 426, and the version that is spoken."""
    response = refuses(server, upgrade(speaks=speaks), 426)
    assert response.header("sec-websocket-version") == "13"
    assert response.header("upgrade") == "websocket"
    assert "upgrade" in response.header("connection").lower()


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "HEAD"])
def test_other_method(server: Server, method: str) -> None:
    response = refuses(server, upgrade(method=method), 405, method)
    assert response.header("allow") == "GET"


PROTOCOLS = ["", ",", "a,,b", "a b", "a,", "a;b", '"a"', "\xe9", "a, (b)", "a\r\nSec-WebSocket-Protocol: b c"]


@pytest.mark.parametrize("line", PROTOCOLS)
def test_bad_subprotocol(server: Server, line: str) -> None:
    refuses(server, upgrade(f"Sec-WebSocket-Protocol: {line}"), 400)


EXTENSIONS = [
    "permessage-deflate; client_max_window_bits=",
    "permessage-deflate;",
    "permessage-deflate; =1",
    "=",
    "a b",
    "a; b c",
    'a; b="c',
    'a; b="c d"',
    'a; b=""',
    "permessage-deflate\r\nSec-WebSocket-Extensions: ;",
    "\xe9",
]


@pytest.mark.parametrize("line", EXTENSIONS)
def test_bad_extension_grammar(server: Server, line: str) -> None:
    refuses(server, upgrade(f"Sec-WebSocket-Extensions: {line}"), 400)


@pytest.mark.parametrize("line", ["x", "x; y=z, a", 'x; y="z"', ",x", "x,,y", "permessage-bzip2; level=9"])
def test_unknown_extension(server: Server, line: str) -> None:
    """Not agreed, and nothing wrong with it."""
    server.use(echo)
    with Client(("127.0.0.1", server.port)) as client:
        assert client.open(f"Sec-WebSocket-Extensions: {line}").every("sec-websocket-extensions") == []
        client.leave()


@pytest.mark.parametrize("body", ["Content-Length: 1", "Transfer-Encoding: chunked", "Content-Length: 10\r\nExpect: 100-continue"])
def test_with_a_body(server: Server, body: str) -> None:
    refuses(server, upgrade(body), 400)


def test_with_an_empty_body(server: Server) -> None:
    server.use(echo)
    with connect(server, "Content-Length: 0") as client:
        client.leave()


def test_bad_head_before_all(server: Server) -> None:
    """The rules for every request come first."""
    refuses(server, upgrade().replace(b"Host: test", b"Host: a\r\nHost: b"), 400)
    refuses(server, upgrade(version="HTTP/2.0"), 505)
    refuses(server, upgrade("X: " + "y" * 20000), 431)


def test_many_long_headers(server: Server) -> None:
    server.use(echo)
    with connect(server, *(f"X-{number}: {'v' * 600}" for number in range(90))) as client:
        client.send(text("x"))
        assert client.message() == "x"
        client.leave()
    assert len(server.calls[0]["headers"]) == 95


@pytest.mark.parametrize("before", [1, 20])
def test_behind_other_requests(server: Server, before: int) -> None:
    """Requests, and then the handshake with a frame behind it, all in one piece: everything is answered in order."""
    recorder = Recorder()

    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        await (echo if scope["type"] == "websocket" else recorder)(scope, receive, send)

    server.use(app)
    with Client(("127.0.0.1", server.port)) as client:
        client.send(FIRST * before + head("Content-Length: 3", target="/body") + b"abc" + upgrade() + text("x"))
        for _ in range(before):
            assert client.response().status == 200
        assert client.response().body == b"abc"
        switched(client.head())
        assert client.message() == "x"
        client.leave()
    assert [seen.target for seen in recorder.whole] == [b"/first"] * before + [b"/body"]


def test_behind_a_request_that_is_still_answered(server: Server) -> None:
    """The handshake waits its turn."""
    go = server.gate()

    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        if scope["type"] == "websocket":
            return await echo(scope, receive, send)
        await go.passed()
        await reply(send, "first")

    server.use(app)
    with Client(("127.0.0.1", server.port)) as client:
        client.send(FIRST + upgrade() + text("x"))
        server.until(lambda: len(server.calls) == 1, "the first call begins")
        server.settle()
        assert len(server.calls) == 1
        go.open()
        assert client.response().body == b"first"
        switched(client.head())
        assert client.message() == "x"
        client.leave()


def test_what_follows_a_denial_is_no_request(server: Server) -> None:
    """A client that counted on its WebSocket may have sent frames: the connection is closed, and they are not read."""

    async def deny(scope: dict[str, Any], receive: Any, send: Any) -> None:
        assert scope["type"] == "websocket"
        await receive()
        await send({"type": "websocket.close"})

    server.use(deny)
    with server.raw() as peer:
        peer.send(upgrade() + FIRST + text("x" * 1000))
        response = peer.response()
        assert response.status == 403 and response.closes
        assert peer.ended(1.5) == "fin"
    assert len(server.calls) == 1


def test_many_at_once(server: Server) -> None:
    """A thousand bytes each way on two hundred sessions that are all open."""
    server.use(echo)
    clients: list[Client] = []
    try:
        for _ in range(200):
            clients.append(connect(server))
        for number, client in enumerate(clients):
            client.send(text(f"{number:04}" * 250))
        for number, client in enumerate(clients):
            assert client.message() == f"{number:04}" * 250
        assert server.open == server.active == 200
    finally:
        for client in clients:
            client.close()


@pytest.mark.parametrize("own", [[(b"date", b"x"), (b"server", b"y")], [(b"set-cookie", b"a=b"), (b"set-cookie", b"c=d")]])
def test_headers_of_the_application(server: Server, own: list[tuple[bytes, bytes]]) -> None:
    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        await receive()
        await send({**ACCEPT, "headers": own})
        await receive()

    server.use(app)
    with Client(("127.0.0.1", server.port)) as client:
        answer = client.open()
        found = [(name.encode(), value.encode()) for name, value in answer.headers if name.encode() in dict(own)]
        assert found == own
        client.leave()


def test_settings_headers_are_there(server: Server) -> None:
    """--header: on the 101, a denial and a refusal alike."""

    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.close"} if scope["path"] == "/no" else ACCEPT)
        await receive()

    with serve(app, loop=server.loop_name, headers=[("X-Where", "here")], server_header=False) as other:
        for data in (upgrade(), upgrade(target="/no"), upgrade(key="x")):
            with Peer(("127.0.0.1", other.port)) as peer:
                peer.send(data)
                answer = peer.head()
                assert answer.header("x-where") == "here" and answer.header("server") is None
        assert other.line().startswith("Invalid HTTP request received: 400")
