"""The scope of a WebSocket, key by key."""

from __future__ import annotations

from typing import Any

import pytest
from frames import KEY, Client, connect
from serving import Server, modes, serve
from sessions import echo

MODES = modes("lazy")


def scope_of(server: Server, *lines: str, **options: Any) -> dict[str, Any]:
    server.use(echo)
    with connect(server, *lines, **options) as client:
        client.leave()
    assert len(server.calls) == 1
    return server.calls[0]


def test_every_key(server: Server) -> None:
    server.use(echo)
    with Client(("127.0.0.1", server.port)) as client:
        own = client.socket.getsockname()
        client.open("X-A: b", target="/a%20b?c=%20d")
        client.leave()
    scope = server.calls[0]
    assert type(scope) is dict
    assert scope == {
        "type": "websocket",
        "asgi": {"version": "3.0", "spec_version": "2.5"},
        "http_version": "1.1",
        "scheme": "ws",
        "path": "/a b",
        "raw_path": b"/a%20b",
        "query_string": b"c=%20d",
        "root_path": "",
        "headers": [
            (b"host", b"test"),
            (b"upgrade", b"websocket"),
            (b"connection", b"Upgrade"),
            (b"sec-websocket-key", KEY.encode()),
            (b"sec-websocket-version", b"13"),
            (b"x-a", b"b"),
        ],
        "client": own,
        "server": ("127.0.0.1", server.port),
        "subprotocols": [],
        "state": {},
        "extensions": {"websocket.http.response": {}},
    }
    assert type(scope["headers"]) is list and type(scope["client"]) is tuple


@pytest.mark.parametrize(
    ("lines", "subprotocols"),
    [
        ([], []),
        (["Sec-WebSocket-Protocol: chat"], ["chat"]),
        (["Sec-WebSocket-Protocol: b, a ,c"], ["b", "a", "c"]),
        (["Sec-WebSocket-Protocol: b,a", "X: y", "sec-websocket-protocol: \tc"], ["b", "a", "c"]),
        (["Sec-WebSocket-Protocol: v1.json+x!#$%&'*-^_`|~"], ["v1.json+x!#$%&'*-^_`|~"]),
    ],
)
def test_subprotocols(server: Server, lines: list[str], subprotocols: list[str]) -> None:
    """In the client's order, from all lines."""
    found = scope_of(server, *lines)["subprotocols"]
    assert found == subprotocols
    assert [type(one) for one in found] == [str] * len(found)


def test_headers_stay_as_they_came(server: Server) -> None:
    """What the handshake needs is there, too, also of an extension that was agreed."""
    lines = ["Sec-WebSocket-Extensions: permessage-deflate", "Origin: http://a", "Cookie: a=b", "Cookie: c=d", "X-E: \xe9"]
    headers = scope_of(server, *lines)["headers"]
    assert headers[5:] == [
        (b"sec-websocket-extensions", b"permessage-deflate"),
        (b"origin", b"http://a"),
        (b"cookie", b"a=b"),
        (b"cookie", b"c=d"),
        (b"x-e", b"\xe9"),
    ]


@pytest.mark.parametrize(
    ("target", "path", "raw_path", "query"),
    [
        ("/", "/", b"/", b""),
        ("/%C3%A9?", "/\xe9", b"/%C3%A9", b""),
        ("/a//b?x=1&y", "/a//b", b"/a//b", b"x=1&y"),
        ("http://test/x?y", "/x", b"/x", b"y"),
    ],
)
def test_targets(server: Server, target: str, path: str, raw_path: bytes, query: bytes) -> None:
    scope = scope_of(server, target=target)
    assert (scope["path"], scope["raw_path"], scope["query_string"]) == (path, raw_path, query)


def test_scopes_are_apart(server: Server) -> None:
    """What an application writes into its scope, at any depth, shows in no other, nor does it change what is served."""

    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        scope["extensions"]["websocket.http.response"]["mine"] = 1
        scope["extensions"]["other"] = {}
        scope["asgi"]["mine"] = scope["state"]["mine"] = 1
        scope["headers"].clear()
        scope["path"] = "/other"
        await echo(scope, receive, send)

    server.use(app)
    with connect(server) as client:
        client.leave()
    scope = scope_of(server)
    assert scope["extensions"] == {"websocket.http.response": {}}
    assert "mine" not in scope["asgi"] and scope["state"] == {}
    assert scope["path"] == "/" and scope["headers"]


@pytest.mark.parametrize("loop", ["uvloop", "asyncio"])
def test_state(loop: str) -> None:
    """A copy of the lifespan's, shallow: a value is shared, a new key is not."""
    shared: list[str] = []
    seen: list[dict[str, Any]] = []

    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await receive()
            scope["state"]["shared"] = shared
            await send({"type": "lifespan.startup.complete"})
            await receive()
            await send({"type": "lifespan.shutdown.complete"})
            return
        seen.append(dict(scope["state"]))
        scope["state"]["own"] = 1
        await echo(scope, receive, send)

    with serve(app, loop=loop, lifespan="on") as server:
        for _ in range(2):
            with connect(server) as client:
                client.leave()
    assert seen == [{"shared": shared}] * 2 and seen[0]["shared"] is shared


@pytest.mark.parametrize("loop", ["uvloop", "asyncio"])
def test_root_path(loop: str) -> None:
    with serve(echo, loop=loop, root_path="/api") as server:
        with connect(server, target="/x") as client:
            client.leave()
        assert (server.calls[0]["root_path"], server.calls[0]["path"]) == ("/api", "/api/x")
