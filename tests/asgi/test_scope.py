"""The scope of an HTTP request, key by key."""

from __future__ import annotations

import socket
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
from peer import Peer
from serving import LOOPS, Server, modes, serve

PLAIN = [loop for loop in LOOPS if loop != "tls"]
MODES = modes("lazy", "eager", "task")
HTTP = {"asgi": {"version": "3.0", "spec_version": "2.5"}, "type": "http", "scheme": "http", "root_path": ""}
KEYS = {
    "type",
    "asgi",
    "http_version",
    "method",
    "scheme",
    "path",
    "raw_path",
    "query_string",
    "root_path",
    "headers",
    "client",
    "server",
    "state",
    "extensions",
}


async def ok(scope: dict[str, Any], receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200})
    await send({"type": "http.response.body", "body": b"ok"})


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)


def request(*lines: str, method: str = "GET", target: str = "/", version: str = "1.1") -> bytes:
    return "\r\n".join([f"{method} {target} HTTP/{version}", "Host: h", *lines, "", ""]).encode("latin-1")


def test_every_key(server: Server) -> None:
    server.use(ok)
    with server.raw() as peer:
        own = peer.socket.getsockname()
        peer.send(request(target="/a%20b?c=%20d"))
        peer.response()
    scope = server.calls[0]
    assert type(scope) is dict
    assert scope == {
        **HTTP,
        "http_version": "1.1",
        "method": "GET",
        "path": "/a b",
        "raw_path": b"/a%20b",
        "query_string": b"c=%20d",
        "headers": [(b"host", b"h")],
        "client": own,
        "server": ("127.0.0.1", server.port),
        "state": {},
        "extensions": scope["extensions"],
    }
    assert set(scope) == KEYS


def test_types(server: Server) -> None:
    """Exactly the types of the specification: an application may test for list, tuple, bytes and str."""
    server.use(ok)
    server.get("/a?b", "X-A: b")
    scope = server.calls[0]
    expected = dict.fromkeys(("type", "http_version", "method", "scheme", "path", "root_path"), str)
    expected |= {"raw_path": bytes, "query_string": bytes, "headers": list, "client": tuple, "server": tuple}
    expected |= {"asgi": dict, "state": dict, "extensions": dict}
    assert {key: type(value) for key, value in scope.items()} == expected
    for pair in scope["headers"]:
        assert type(pair) is tuple and [type(item) for item in pair] == [bytes, bytes]
    assert [type(item) for item in scope["client"]] == [str, int]
    assert [type(item) for item in scope["server"]] == [str, int]


@pytest.mark.parametrize(
    "method",
    ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "PROPFIND", "MKCOL", "REPORT", "PURGE", "LINK"],
)
def test_method(server: Server, method: str) -> None:
    server.use(ok)
    with server.raw() as peer:
        peer.send(request(method=method))
        assert peer.response(method).status == 200
    assert server.calls[0]["method"] == method


@pytest.mark.parametrize("version", ["1.0", "1.1"])
def test_http_version(server: Server, version: str) -> None:
    server.use(ok)
    assert server.ask(request(version=version)).status == 200
    assert server.calls[0]["http_version"] == version


@pytest.mark.parametrize(
    "target",
    ["/", "/a/b", "/a%2Fb", "/%C3%A9", "/%e2%82%ac/x", "/%ff", "/a%00b", "/%25", "/%2525", "/%", "/%zz", "/a+b", "//a", "/a/../b"],
)
def test_path(server: Server, target: str) -> None:
    """path is the percent-decoded text (UTF-8, with replacement characters where it is none), raw_path the bytes."""
    server.use(ok)
    server.get(target)
    scope = server.calls[0]
    assert (scope["path"], scope["raw_path"]) == (unquote(target), target.encode())


@pytest.mark.parametrize(
    ("target", "query"),
    [("/", b""), ("/?", b""), ("/?a", b"a"), ("/?a=b&c", b"a=b&c"), ("/?a?b", b"a?b"), ("/?%20%zz", b"%20%zz"), ("/??", b"?")],
)
def test_query_string(server: Server, target: str, query: bytes) -> None:
    server.use(ok)
    server.get(target)
    scope = server.calls[0]
    assert (scope["path"], scope["raw_path"], scope["query_string"]) == ("/", b"/", query)


def test_headers(server: Server) -> None:
    """Names in lower case, values without the space around them and otherwise untouched; order and duplicates kept."""
    server.use(ok)
    server.get(
        "/",
        "ACCEPT: Text/HTML",
        "X-One:1",
        "X-Two: \t 2 \t ",
        "x-one: 3",
        "X-Empty:",
        "X-Space:   ",
        "X-High: \xe9\xff",
        "X-Tab: a\tb",
        "X-Quoted: \" a \"",
        "Cookie: a=b",
        "Cookie: c=d",
        "X-Colon: a:b",
        "Content-Type: text/plain",
    )
    assert server.calls[0]["headers"] == [
        (b"host", b"test"),
        (b"accept", b"Text/HTML"),
        (b"x-one", b"1"),
        (b"x-two", b"2"),
        (b"x-one", b"3"),
        (b"x-empty", b""),
        (b"x-space", b""),
        (b"x-high", b"\xe9\xff"),
        (b"x-tab", b"a\tb"),
        (b"x-quoted", b'" a "'),
        (b"cookie", b"a=b"),
        (b"cookie", b"c=d"),
        (b"x-colon", b"a:b"),
        (b"content-type", b"text/plain"),
    ]


def test_same_header_again_and_again(server: Server) -> None:
    """What a cache of names and values hands out is never another request's value."""
    server.use(ok)
    with server.raw() as peer:
        for number in range(600):
            name = f"X-{number % 7}".upper() if number % 2 else f"x-{number % 7}"
            peer.send(request(f"{name}: {number % 13}", f"Authorization: Bearer {number}", "Accept: */*"))
            assert peer.response().status == 200
    for number, scope in enumerate(server.calls):
        assert scope["headers"][1:] == [
            (f"x-{number % 7}".encode(), str(number % 13).encode()),
            (b"authorization", f"Bearer {number}".encode()),
            (b"accept", b"*/*"),
        ]


def held_elsewhere(pairs: list[object]) -> int:
    """How many others than this list have these pairs."""
    return sum(sys.getrefcount(one) - 2 - sum(one is other for other in pairs) for one in pairs)


@pytest.mark.parametrize("name", ["Authorization", "Cookie", "Proxy-Authorization", "X-Api-Key", "X-CSRF-Token"])
def test_secrets_are_not_remembered(server: Server, name: str) -> None:
    """The same secret from two clients is two objects, and no cache keeps it when its connection is gone."""
    server.use(ok)
    connections = []
    for _ in range(3):
        with server.raw() as peer:
            for _ in range(4):
                peer.send(request(f"{name}: a-secret-of-some-length"))
                peer.response()
        server.idle()
        connections.append([scope["headers"][1] for scope in server.calls])
        server.calls.clear()
    for pairs in connections:
        assert [value for _, value in pairs] == [b"a-secret-of-some-length"] * 4
    for pairs in connections:
        elsewhere = [id(value) for those in connections if those is not pairs for _, value in those]
        assert not {id(value) for _, value in pairs} & {*elsewhere}
        server.until(lambda pairs=pairs: not held_elsewhere(pairs), "nobody holds it")


def test_a_secret_that_changes_is_not_remembered(server: Server) -> None:
    server.use(ok)
    with server.raw() as peer:
        for number in range(12):
            peer.send(request(f"Authorization: a-secret-of-some-length-{number // 4}"))
            peer.response()
        pairs = [scope["headers"][1] for scope in server.calls[:8]]
        server.calls.clear()
        server.until(lambda: not held_elsewhere(pairs), "nobody holds the first two secrets")


def test_hundred_headers(server: Server) -> None:
    server.use(ok)
    lines = [f"X-{number}: {'v' * number}" for number in range(99)]
    assert server.get("/", *lines).status == 200
    expected = [(f"x-{number}".encode(), b"v" * number) for number in range(99)]
    assert server.calls[0]["headers"] == [(b"host", b"test"), *expected]


def test_nothing_leaks_from_scope_to_scope(server: Server) -> None:
    """Whatever an application does to its scope, the next request's is as new."""

    async def spoil(scope: dict[str, Any], receive: Any, send: Any) -> None:
        scope["state"]["x"] = 1
        scope["asgi"]["version"] = "x"
        scope["extensions"]["x"] = {}
        scope["headers"].append((b"x", b"y"))
        scope["x"] = 1
        scope["root_path"] = "/x"
        await ok(scope, receive, send)

    server.use(spoil)
    with server.raw() as peer:
        for _ in range(2):
            peer.send(request())
            peer.response()
    server.use(ok)
    server.ask(request())
    scope = server.calls[0]
    assert set(scope) == KEYS
    assert {key: scope[key] for key in HTTP} == HTTP
    assert scope["headers"] == [(b"host", b"h")]
    assert scope["state"] == {}
    assert "x" not in scope["extensions"]


def test_trailers_do_not_join_the_headers(server: Server) -> None:
    async def reading(scope: dict[str, Any], receive: Any, send: Any) -> None:
        while (await receive())["more_body"]:
            pass
        await ok(scope, receive, send)

    server.use(reading)
    data = request("Transfer-Encoding: chunked", "Trailer: X-T", method="POST") + b"1\r\nx\r\n0\r\nX-T: y\r\n\r\n"
    assert server.ask(data).status == 200
    names = [name for name, _ in server.calls[0]["headers"]]
    assert names == [b"host", b"transfer-encoding", b"trailer"]


class TestState:
    """The lifespan's state reaches every request as a shallow copy of its own."""

    @pytest.fixture
    def stateful(self) -> Iterator[Server]:
        shared: list[int] = []

        async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
            if scope["type"] == "lifespan":
                assert (await receive())["type"] == "lifespan.startup"
                scope["state"]["shared"] = shared
                scope["state"]["name"] = "first"
                await send({"type": "lifespan.startup.complete"})
                assert (await receive())["type"] == "lifespan.shutdown"
                assert shared == [1, 1]
                assert scope["state"]["name"] == "first"
                await send({"type": "lifespan.shutdown.complete"})
                return
            assert scope["state"]["name"] == "first"
            assert "new" not in scope["state"]
            scope["state"]["name"] = "changed"
            scope["state"]["new"] = True
            scope["state"]["shared"].append(1)
            await ok(scope, receive, send)

        with serve(app, lifespan="on") as server:
            yield server

    def test_copy(self, stateful: Server) -> None:
        for _ in range(2):
            assert stateful.get().status == 200


@pytest.mark.parametrize(
    ("root", "target", "path", "raw_path"),
    [
        ("/base", "/a", "/base/a", b"/base/a"),
        ("/base", "/a%20b", "/base/a b", b"/base/a%20b"),
        ("/base/sub", "/", "/base/sub/", b"/base/sub/"),
        ("/base", "http://h/a", "/base/a", b"/base/a"),
    ],
)
def test_root_path(root: str, target: str, path: str, raw_path: bytes) -> None:
    """The root path stands before both forms of the path, since the proxy in front has taken it away."""
    with serve(ok, root_path=root) as server:
        assert server.ask(request(target=target)).status == 200
        scope = server.calls[0]
        assert (scope["root_path"], scope["path"], scope["raw_path"]) == (root, path, raw_path)


@pytest.mark.parametrize("loop", PLAIN)
def test_unix_socket(folder: Path, loop: str) -> None:
    """Over a unix socket there is no client address, and the server is (path, None)."""
    path = str(folder / f"{loop}.sock")
    with serve(ok, loop=loop, uds=path) as server:
        with Peer(path) as peer:
            peer.send(request())
            assert peer.response().status == 200
        scope = server.calls[0]
        assert (scope["client"], scope["server"]) == (None, (path, None))
        with Peer(path) as peer:
            peer.send(b"GET / HTTP/1.1\r\nX : y\r\n\r\n")
            assert peer.response().status == 400
        assert server.line()


@pytest.mark.parametrize("loop", PLAIN)
def test_ipv6(loop: str) -> None:
    """Addresses have two parts in ASGI, in IPv6 too."""
    if not socket.has_ipv6:
        pytest.skip("no IPv6 in this interpreter")
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError as error:
        pytest.skip(f"no IPv6 on this machine: {error}")
    with serve(ok, loop=loop, host="::1") as server, socket.create_connection(("::1", server.port)) as client:
        client.settimeout(5)
        client.sendall(request())
        assert client.recv(65536).startswith(b"HTTP/1.1 200 ")
        scope = server.calls[0]
        assert scope["client"] == ("::1", client.getsockname()[1])
        assert scope["server"] == ("::1", server.port)


@pytest.mark.parametrize("loop", PLAIN)
@pytest.mark.parametrize("host", ["0.0.0.0", None])
def test_server_is_the_address_that_the_client_came_to(loop: str, host: str | None) -> None:
    with serve(ok, loop=loop, host=host) as server:
        for address in ("127.0.0.1", "127.0.0.2", "127.0.0.1"):
            with Peer((address, server.port)) as peer:
                assert peer.send(request()).response().status == 200
            assert server.calls.pop()["server"] == (address, server.port)


class TestUnderscores:
    """Names with an underscore, which other programs cannot tell from those with a dash."""

    LINES = ("X_A: 1", "X-A: 2", "Content_Length: 5")

    def test_dropped_by_default(self, server: Server) -> None:
        server.use(ok)
        assert server.get("/", *self.LINES).status == 200
        assert server.calls[0]["headers"] == [(b"host", b"test"), (b"x-a", b"2")]

    def test_kept(self) -> None:
        with serve(ok, header_map="keep") as server:
            assert server.get("/", *self.LINES).status == 200
            names = [name for name, _ in server.calls[0]["headers"]]
            assert names == [b"host", b"x_a", b"x-a", b"content_length"]

    def test_refused(self) -> None:
        with serve(ok, header_map="refuse") as server:
            response = server.get("/", *self.LINES)
            assert response.status == 400 and response.closes
            assert server.get("/", "X-A: 2").status == 200
            assert len(server.calls) == 1
            assert len(server.take_log()) <= 1

    def test_dropped_transfer_encoding_frames_nothing(self, server: Server) -> None:
        """A dropped field has no effect at all: what follows the head is the next request."""
        server.use(ok)
        with server.raw() as peer:
            peer.send(request("Transfer_Encoding: chunked", target="/1") + request(target="/2"))
            assert peer.response().status == 200
            assert peer.response().status == 200
        assert [call["path"] for call in server.calls] == ["/1", "/2"]
