"""What the scope says when a proxy tells of its client: X-Forwarded-* and Forwarded, believed or not."""

from __future__ import annotations

import logging
import socket
import timeit
from collections.abc import Iterator
from typing import Any

import pytest
from frames import Client
from serving import LOOPS, Server, serve

from pronghorn._core.forwarded import Forwarding
from pronghorn.proxies import TrustedHosts

EVERY = ("for", "proto", "host", "port", "prefix", "forwarded")
PROXY = ("127.0.0.1", 4000)
Pairs = list[tuple[bytes, bytes]]


def pairs(*lines: str) -> Pairs:
    split = [line.partition(": ") for line in lines]
    return [(name.lower().encode(), value.encode("latin-1")) for name, _, value in split]


def look(*lines: str, trusted: str = "127.0.0.1,10.0.0.0/8,::1", believed: tuple[str, ...] = EVERY) -> Any:
    return Forwarding(TrustedHosts("x", trusted), believed).look(PROXY, pairs(*lines))


FOR = [
    (["X-Forwarded-For: 203.0.113.7"], ("203.0.113.7", 0)),
    (["X-Forwarded-For: 203.0.113.7:50000"], ("203.0.113.7", 50_000)),
    (["X-Forwarded-For: 2001:db8::7"], ("2001:db8::7", 0)),
    (["X-Forwarded-For: 2001:DB8:0::7"], ("2001:db8::7", 0)),
    (["X-Forwarded-For: [2001:db8::7]"], ("2001:db8::7", 0)),
    (["X-Forwarded-For: [2001:db8::7]:443"], ("2001:db8::7", 443)),
    (["X-Forwarded-For: ::ffff:203.0.113.7"], ("203.0.113.7", 0)),
    (["X-Forwarded-For: [::ffff:cb00:7107]:443, ::ffff:10.0.0.1"], ("203.0.113.7", 443)),
    (["X-Forwarded-For: 203.0.113.07"], PROXY),
    (["X-Forwarded-For: 203.0.113.7\0"], PROXY),
    (["X-Forwarded-For: " + "1" * 60_000], PROXY),
    (["X-Forwarded-For: 203.0.113.7" + "," * 60_000], ("203.0.113.7", 0)),
    (["X-Forwarded-For: 1.1.1.1, 203.0.113.7"], ("203.0.113.7", 0)),  # the client wrote the first one itself
    (["X-Forwarded-For: 1.1.1.1, 203.0.113.7, 10.0.0.1"], ("203.0.113.7", 0)),
    (["X-Forwarded-For: 1.1.1.1", "X-Forwarded-For: 203.0.113.7", "X-Forwarded-For: 10.0.0.1"], ("203.0.113.7", 0)),
    (["X-Forwarded-For: 10.0.0.3, 10.0.0.2, 10.0.0.1"], ("10.0.0.3", 0)),  # every one is ours: the first
    (["X-Forwarded-For: , ,203.0.113.7, ,"], ("203.0.113.7", 0)),
    (["X-Forwarded-For: 203.0.113.7,unknown"], PROXY),
    (["X-Forwarded-For: 203.0.113.7, unknown, 10.0.0.1"], ("10.0.0.1", 0)),
    (["X-Forwarded-For: 203.0.113.7:99999"], ("203.0.113.7", 0)),
    (["X-Forwarded-For: 203.0.113.7:_a1"], ("203.0.113.7", 0)),
    (["X-Forwarded-For: "], PROXY),
    (["X-Forwarded-For: <script>"], PROXY),
    (["X-Forwarded-For: 203.0.113"], PROXY),
    (["X-Forwarded-For: [2001:db8::7"], PROXY),
    (["X-Forwarded-For: [2001:db8::7]x"], PROXY),
    (["X-Forwarded-For: " + ", ".join(["203.0.113.7"] + ["10.0.0.1"] * 31)], ("203.0.113.7", 0)),
    (["X-Forwarded-For: " + ", ".join(["203.0.113.7"] + ["10.0.0.2"] * 32)], ("10.0.0.2", 0)),  # 32 hops at most
]


@pytest.mark.parametrize(("lines", "client"), FOR)
def test_client(lines: list[str], client: tuple[str, int]) -> None:
    assert look(*lines)[0] == client


def test_long_lists_cost_no_more() -> None:
    """Thousands of elements: those that are looked at are read from the end, and the others not split off."""

    def cost(*lines: str) -> float:
        forwarding = Forwarding(TrustedHosts("x", "127.0.0.1,10.0.0.0/8"), ("for", "proto", "forwarded"))
        fields = pairs(*lines)
        return min(timeit.repeat(lambda: forwarding.look(PROXY, fields), number=1, repeat=100))

    usual = cost("X-Forwarded-For: " + ", ".join(["10.0.0.1"] * 32))
    for long in (", ".join(["10.0.0.1"] * 6000), ", ".join(["203.0.113.7"] * 4500), "," * 60_000, "1" * 60_000, "1:" * 30_000):
        assert cost("X-Forwarded-For: " + long) < 5 * usual
    assert cost("X-Forwarded-Proto: " + "https," * 10_000) < 5 * usual
    assert cost("Forwarded: " + "for=10.0.0.1," * 4500) < 5 * usual


def test_everybody_is_trusted() -> None:
    assert look("X-Forwarded-For: 1.1.1.1, 203.0.113.7, 10.0.0.1", trusted="*")[0] == ("1.1.1.1", 0)


PROTO = [
    (["X-Forwarded-Proto: https"], "https"),
    (["X-Forwarded-Proto: HTTPS"], "https"),
    (["X-Forwarded-Proto: http"], "http"),
    (["X-Forwarded-Proto: wss"], "https"),
    (["X-Forwarded-Proto: ws"], "http"),
    (["X-Forwarded-Proto: gopher"], None),
    (["X-Forwarded-Proto: "], None),
    (["X-Forwarded-Proto: http, https"], "https"),
    (["X-Forwarded-Proto: https, http", "X-Forwarded-For: 203.0.113.7, 10.0.0.1"], "https"),  # one for each hop
    (["X-Forwarded-Proto: https", "X-Forwarded-For: 203.0.113.7, 10.0.0.1"], "https"),
    (["X-Forwarded-Proto: https, http", "X-Forwarded-For: 203.0.113.7"], "http"),
]


@pytest.mark.parametrize(("lines", "scheme"), PROTO)
def test_scheme(lines: list[str], scheme: str | None) -> None:
    assert look(*lines)[1] == scheme


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("X-Forwarded-Host: example.org", b"example.org"),
        ("X-Forwarded-Host: example.org:8443", b"example.org:8443"),
        ("X-Forwarded-Host: spoofed, example.org", b"example.org"),
        ("X-Forwarded-Host: a b", None),
        ("X-Forwarded-Host: a/b", None),
        ("X-Forwarded-Host: ", None),
    ],
)
def test_host(line: str, expected: bytes | None) -> None:
    assert look(line)[2] == expected


@pytest.mark.parametrize(
    ("line", "expected"), [("443", 443), ("0", 0), ("65535", 65_535), ("65536", -1), ("-1", -1), ("x", -1), ("", -1)]
)
def test_port(line: str, expected: int) -> None:
    assert look(f"X-Forwarded-Port: {line}")[3] == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("/api", "/api"),
        ("/api/", "/api"),
        ("/a/b", "/a/b"),
        ("api", None),
        ("//evil", None),
        ("/a%2fb", None),
        ("/", None),
        ("", None),
    ],
)
def test_prefix(value: str, expected: str | None) -> None:
    assert look(f"X-Forwarded-Prefix: {value}")[4] == expected


FORWARDED = [
    ("for=203.0.113.7", ("203.0.113.7", 0), None, None),
    ("For=203.0.113.7;Proto=https;Host=example.org", ("203.0.113.7", 0), "https", b"example.org"),
    ('for="[2001:db8::7]:50000"; proto=https', ("2001:db8::7", 50_000), "https", None),
    ('for="203.0.113.7:_hidden"', ("203.0.113.7", 0), None, None),
    ("for=1.1.1.1;proto=http, for=203.0.113.7;proto=https", ("203.0.113.7", 0), "https", None),
    (
        "for=203.0.113.7;proto=https;host=a.example, for=10.0.0.1;proto=http;host=b.example",
        ("203.0.113.7", 0),
        "https",
        b"a.example",
    ),
    ("for=203.0.113.7, for=unknown", PROXY, None, None),
    ("for=203.0.113.7, for=_secret;proto=https", PROXY, "https", None),
    ("for=203.0.113.7;by=10.0.0.1;secret=x", ("203.0.113.7", 0), None, None),
    ('for="203.0.113.7\\"', PROXY, None, None),  # no end of the quotes
    ("for=203.0.113.7;for=1.1.1.1", PROXY, None, None),  # twice
    ("for 203.0.113.7", PROXY, None, None),
    ("for=203.0.113.7;;proto=https", PROXY, None, None),
    ('host="a\\"b"', PROXY, None, None),
]


@pytest.mark.parametrize(("value", "client", "scheme", "host"), FORWARDED)
def test_forwarded(value: str, client: Any, scheme: str | None, host: bytes | None) -> None:
    assert look(f"Forwarded: {value}") == (client, scheme, host, -1, None)


def test_forwarded_comes_before_the_others() -> None:
    assert look("Forwarded: for=203.0.113.7", "X-Forwarded-For: 203.0.113.8")[0] == ("203.0.113.7", 0)
    assert look("Forwarded: nonsense", "X-Forwarded-For: 203.0.113.8")[0] == ("203.0.113.8", 0)


@pytest.mark.parametrize("name", EVERY)
def test_only_what_is_believed(name: str) -> None:
    lines = [
        "X-Forwarded-For: 203.0.113.7", "X-Forwarded-Proto: https", "X-Forwarded-Host: example.org", "X-Forwarded-Port: 99",
        "X-Forwarded-Prefix: /api", "Forwarded: for=203.0.113.8",
    ]  # fmt: skip
    nothing = [PROXY, None, None, -1, None]
    found = list(look(*lines, believed=(name,)))
    told = {"for": 0, "proto": 1, "host": 2, "port": 3, "prefix": 4, "forwarded": 0}[name]
    assert found[told] != nothing[told]
    assert found[:told] + found[told + 1 :] == nothing[:told] + nothing[told + 1 :]


def test_untrusted_peer() -> None:
    assert look("X-Forwarded-For: 203.0.113.7", trusted="10.0.0.0/8") is None
    assert Forwarding(TrustedHosts("x", "127.0.0.1"), EVERY).look(None, pairs("X-Forwarded-For: 203.0.113.7")) is None


def test_unix_peer() -> None:
    found = Forwarding(TrustedHosts("x", "unix"), EVERY).look(None, pairs("X-Forwarded-For: 203.0.113.7"))
    assert found is not None and found[0] == ("203.0.113.7", 0)


def test_trust_is_remembered_within_bounds() -> None:
    forwarding = Forwarding(TrustedHosts("x", "10.0.0.0/8"), EVERY)
    for number in range(3000):
        client = (f"192.0.{number // 256}.{number % 256}", 1)
        assert forwarding.look(client, pairs("X-Forwarded-For: 203.0.113.7")) is None
    found = forwarding.look(("10.1.1.1", 1), pairs("X-Forwarded-For: 203.0.113.7"))
    assert found is not None and found[0] == ("203.0.113.7", 0)


# --- over the wire ---

ALL = list(EVERY)


@pytest.fixture(scope="module", params=LOOPS)
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    with serve(loop=request.param, forwarded_headers=ALL) as running:
        yield running


async def ok(scope: dict[str, Any], receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200})
    await send({"type": "http.response.body", "body": b"ok"})


def scope_of(server: Server, *lines: str, target: str = "/a%20b?c") -> dict[str, Any]:
    server.use(ok)
    assert server.get(target, *lines).status == 200
    (scope,) = server.calls
    return scope


def test_scope(server: Server) -> None:
    scope = scope_of(
        server, "X-Forwarded-For: 203.0.113.7:50", "X-Forwarded-Proto: https", "X-Forwarded-Host: example.org",
        "X-Forwarded-Prefix: /api/",
    )  # fmt: skip
    assert scope["client"] == ("203.0.113.7", 50)
    assert scope["scheme"] == "https"
    assert scope["server"] == ("example.org", 443)
    assert (b"host", b"example.org") in scope["headers"]
    assert (scope["root_path"], scope["path"], scope["raw_path"]) == ("/api", "/api/a b", b"/api/a%20b")
    assert scope["query_string"] == b"c"


def test_port_in_the_scope(server: Server) -> None:
    scope = scope_of(server, "X-Forwarded-Proto: https", "X-Forwarded-Host: example.org", "X-Forwarded-Port: 8443")
    assert scope["server"] == ("example.org", 8443)
    assert (b"host", b"example.org:8443") in scope["headers"]
    scope = scope_of(server, "X-Forwarded-Proto: https", "X-Forwarded-Host: example.org:1", "X-Forwarded-Port: 443")
    assert scope["server"] == ("example.org", 443)
    assert (b"host", b"example.org") in scope["headers"]
    scope = scope_of(server, "X-Forwarded-Port: 8443")
    assert (b"host", b"test:8443") in scope["headers"]


def test_next_request_of_the_connection_is_its_own(server: Server) -> None:
    server.use(ok)
    with server.raw() as peer:
        peer.send(b"GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 203.0.113.7\r\nX-Forwarded-Proto: https\r\n\r\n")
        assert peer.response().status == 200
        peer.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        assert peer.response().status == 200
    first, second = server.calls
    assert (first["client"][0], second["client"][0]) == ("203.0.113.7", "127.0.0.1")
    assert second["scheme"] == ("https" if server.context else "http")


def test_websocket(server: Server) -> None:
    async def accept(scope: dict[str, Any], receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept"})

    server.use(accept)
    with Client(("127.0.0.1", server.port)) as client:
        client.open("X-Forwarded-For: 203.0.113.7", "X-Forwarded-Proto: https", "X-Forwarded-Prefix: /ws")
        assert client.closed() == (1000, "")
    (scope,) = server.calls
    assert (scope["client"], scope["scheme"], scope["root_path"]) == (("203.0.113.7", 0), "wss", "/ws")


@pytest.mark.parametrize("loop", LOOPS)
def test_socket_of_both_families(loop: str) -> None:
    """It shows IPv4 clients as ::ffff:127.0.0.1; the application, and the lists of hosts, know them by their own address."""
    if not socket.has_dualstack_ipv6():
        pytest.skip("no socket here listens on both families")
    both = socket.create_server(("::", 0), family=socket.AF_INET6, dualstack_ipv6=True)
    port = both.getsockname()[1]
    with serve(ok, loop=loop, fd=both.detach(), forwarded_allow_ips="127.0.0.1") as server:
        server.get("/", "X-Forwarded-For: 203.0.113.7")
        server.get("/")
    assert [call["client"][0] for call in server.calls] == ["203.0.113.7", "127.0.0.1"]
    assert [call["server"] for call in server.calls] == [("127.0.0.1", port)] * 2


def test_defaults() -> None:
    """As uvicorn: For and Proto of this machine; what else clients could write is left to be asked for."""
    with serve() as server:
        scope = scope_of(
            server, "X-Forwarded-For: 203.0.113.7", "X-Forwarded-Proto: https", "X-Forwarded-Host: example.org",
            "X-Forwarded-Prefix: /api", "Forwarded: for=1.1.1.1", target="/",
        )  # fmt: skip
        assert (scope["client"], scope["scheme"]) == (("203.0.113.7", 0), "https")
        assert (b"host", b"test") in scope["headers"]
        assert (scope["root_path"], scope["path"]) == ("", "/")


def test_switched_off() -> None:
    with serve(proxy_headers=False) as server:
        scope = scope_of(server, "X-Forwarded-For: 203.0.113.7", "X-Forwarded-Proto: https")
        assert (scope["client"][0], scope["scheme"]) == ("127.0.0.1", "http")


def test_access_line_names_the_client() -> None:
    with serve(access_log=True) as server:
        server.use(ok)
        server.get("/", "X-Forwarded-For: 203.0.113.7:50")
        server.settle()
        lines = [record for record in server.records.seen if record.name == "pronghorn.access"]
        assert [record.args[0] for record in lines if record.levelno == logging.INFO] == ["203.0.113.7:50"]  # type: ignore[index]
