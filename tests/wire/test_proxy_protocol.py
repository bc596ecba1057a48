"""The PROXY protocol from the outside: who the client is said to be, by whom, and what is not believed."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator
from typing import Any

import pytest
from encrypted import Encrypted, authority, server_certificate
from peer import Peer
from probes import FIRST
from serving import LOOPS, Server, serve

from pronghorn._core.preface import parse

KINDS = [loop for loop in ("uvloop", "transports", "asyncio") if loop in LOOPS]
SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
V4 = socket.inet_aton("203.0.113.7") + socket.inet_aton("192.0.2.1") + struct.pack("!HH", 50_000, 443)
V6 = (
    socket.inet_pton(socket.AF_INET6, "2001:db8::7")
    + socket.inet_pton(socket.AF_INET6, "::1")
    + struct.pack("!HH", 5, 443)
)
MAPPED = bytes(10) + b"\xff\xff" + V4[:4]


def block(family: int = 0x11, addresses: bytes = V4, tlvs: bytes = b"", command: int = 0x21) -> bytes:
    return SIGNATURE + bytes([command, family]) + struct.pack("!H", len(addresses) + len(tlvs)) + addresses + tlvs


def tlv(kind: int, value: bytes) -> bytes:
    return bytes([kind]) + struct.pack("!H", len(value)) + value


HOME = ("127.0.0.1", None)  # the peer itself, whose port differs each time
GOOD = {
    "v1-tcp4": (b"PROXY TCP4 203.0.113.7 192.0.2.1 50000 443\r\n", ("203.0.113.7", 50_000)),
    "v1-tcp6": (b"PROXY TCP6 2001:db8::7 ::1 5 443\r\n", ("2001:db8::7", 5)),
    "v1-tcp6-long": (b"PROXY TCP6 2001:0DB8:0:0:0:0:0:7 ::1 65535 0\r\n", ("2001:db8::7", 65_535)),
    "v1-longest": (
        b"PROXY TCP6 %b %b 65535 65535\r\n" % ((b"ffff:" * 8)[:-1], (b"ffff:" * 8)[:-1]),
        ((("ffff:" * 8)[:-1]), 65_535),
    ),
    "v1-mapped": (b"PROXY TCP6 ::ffff:203.0.113.7 ::1 5 443\r\n", ("203.0.113.7", 5)),
    "v1-unknown": (b"PROXY UNKNOWN\r\n", HOME),
    "v1-unknown-more": (b"PROXY UNKNOWN ffff:f...f:ffff ffff:f...f:ffff 65535 65535\r\n", HOME),
    "v2-tcp4": (block(), ("203.0.113.7", 50_000)),
    "v2-tcp6": (block(0x21, V6), ("2001:db8::7", 5)),
    "v2-mapped": (block(0x21, MAPPED + V6[16:]), ("203.0.113.7", 5)),
    "v2-unix": (block(0x31, b"\0" * 216), None),
    "v2-local": (block(0x00, b"", command=0x20), HOME),
    "v2-local-with-addresses": (block(command=0x20), HOME),
    "v2-unspec": (block(0x00, b""), HOME),
    "v2-tlvs": (block(tlvs=tlv(0x02, b"example.org") + tlv(0x04, b"\0" * 9)), ("203.0.113.7", 50_000)),
    "v2-large": (block(tlvs=tlv(0x04, b"\0" * 4081)), ("203.0.113.7", 50_000)),
}
BAD = {
    "none": FIRST,
    "v1-family": b"PROXY UDP4 203.0.113.7 192.0.2.1 1 2\r\n",
    "v1-address": b"PROXY TCP4 203.0.113.700 192.0.2.1 1 2\r\n",
    "v1-address-of-the-other-family": b"PROXY TCP4 ::1 ::1 1 2\r\n",
    "v1-name": b"PROXY TCP4 localhost 192.0.2.1 1 2\r\n",
    "v1-destination": b"PROXY TCP4 203.0.113.7 x 1 2\r\n",
    "v1-port": b"PROXY TCP4 203.0.113.7 192.0.2.1 65536 2\r\n",
    "v1-zero": b"PROXY TCP4 203.0.113.7 192.0.2.1 01 2\r\n",
    "v1-sign": b"PROXY TCP4 203.0.113.7 192.0.2.1 +1 2\r\n",
    "v1-few": b"PROXY TCP4 203.0.113.7 192.0.2.1 1\r\n",
    "v1-many": b"PROXY TCP4 203.0.113.7 192.0.2.1 1 2 3\r\n",
    "v1-spaces": b"PROXY TCP4  203.0.113.7 192.0.2.1 1 2\r\n",
    "v1-line-feed": b"PROXY TCP4 203.0.113.7 192.0.2.1 1 2\n",
    "v1-too-long": b"PROXY UNKNOWN " + b"x" * 100 + b"\r\n",
    "v1-lower-case": b"proxy TCP4 203.0.113.7 192.0.2.1 1 2\r\n",
    "v1-nul": b"PROXY TCP4 203.0.113.7\0 192.0.2.1 1 2\r\n",
    "v2-version": block(command=0x11),
    "v2-command": block(command=0x22),
    "v2-datagram-ipv4": block(0x12),
    "v2-datagram-ipv6": block(0x22, V6),
    "v2-datagram-unix": block(0x32, b"\0" * 216),
    "v2-no-transport": block(0x10),
    "v2-no-family": block(0x01),
    "v2-unknown-family": block(0x41),
    "v2-short": block(addresses=V4[:-1]),
    "v2-too-large": block(tlvs=b"\0" * 5000),
    "v2-cut-tlv": block(tlvs=b"\x04\0\x09abc"),
}


@pytest.fixture(scope="module", params=KINDS)
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    with serve(answer, loop=request.param, proxy_protocol="on", timeout_request_head=0.5) as running:
        yield running


async def answer(scope: dict[str, Any], receive: Any, send: Any) -> None:
    body = repr((scope["client"], scope["scheme"])).encode()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(body))]})
    await send({"type": "http.response.body", "body": body})


def expect(got: bytes, client: tuple[str, int | None] | None, scheme: str = "http") -> None:
    seen, seen_scheme = eval(got)
    assert seen_scheme == scheme
    if client == HOME:
        assert seen[0] == "127.0.0.1"
    else:
        assert seen == client


@pytest.mark.parametrize("name", GOOD)
def test_client(server: Server, name: str) -> None:
    data, client = GOOD[name]
    with server.raw() as peer:
        for _ in range(2):  # it is about the connection, so about every request of it
            peer.send(data + FIRST)
            expect(peer.response().body, client)
            data = b""


@pytest.mark.parametrize("name", GOOD)
def test_parser_in_every_state(name: str) -> None:
    """Complete at the last byte, and not before; what follows does not matter."""
    data, client = GOOD[name]
    for cut in range(len(data)):
        assert parse(data[:cut]) is None
    for follows in (b"", FIRST, data):
        length, local, host, port, _ = parse(data + follows)  # type: ignore[misc]
        assert length == len(data)
        assert local == (client == HOME)
        assert client in (HOME, None) or (host, port) == client


@pytest.mark.parametrize("name", ["v1-tcp4", "v2-tcp6", "v2-local"])
def test_every_split(server: Server, name: str) -> None:
    data, client = GOOD[name]
    whole = data + FIRST
    for cut in range(1, len(whole)):
        with server.raw() as peer:
            peer.send(whole[:cut])
            server.settle()
            peer.send(whole[cut:])
            expect(peer.response().body, client)


def test_byte_by_byte(server: Server) -> None:
    with server.raw() as peer:
        for byte in block() + FIRST:
            peer.send(bytes([byte]))
        expect(peer.response().body, ("203.0.113.7", 50_000))


@pytest.mark.parametrize("name", BAD)
def test_refused(server: Server, name: str) -> None:
    """No answer: whoever is there does not speak what this listener speaks."""
    server.calls.clear()
    with server.raw() as peer:
        peer.offer(BAD[name])
        assert peer.ended() == "reset"
    assert not server.calls
    assert "PROXY protocol: 127.0.0.1 does not speak it" in server.line()


@pytest.mark.parametrize("name", [name for name in BAD if name != "v2-too-large"])
def test_refused_however_it_is_cut(name: str) -> None:
    data = BAD[name]
    verdicts = []
    for cut in range(len(data) + 1):
        try:
            assert parse(data[:cut]) is None
            verdicts.append(False)
        except ValueError:
            verdicts.append(True)
    assert verdicts == sorted(verdicts) and verdicts[-1]


@pytest.mark.parametrize(("version", "good", "bad"), [("v1", "v1-tcp4", "v2-tcp4"), ("v2", "v2-tcp4", "v1-tcp4")])
def test_one_version(version: str, good: str, bad: str) -> None:
    with serve(answer, proxy_protocol=version) as server:
        with server.raw() as peer:
            expect(peer.send(GOOD[good][0] + FIRST).response().body, GOOD[good][1])
        with server.raw() as peer:
            peer.offer(GOOD[bad][0] + FIRST)
            assert peer.ended() == "reset"
        assert "does not speak it" in server.line()


@pytest.mark.parametrize(
    ("allowed", "fine"), [("127.0.0.0/8", True), ("10.0.0.1, unix", False), ("*", True), ([], False)]
)
def test_who_may(allowed: Any, fine: bool) -> None:
    with serve(answer, proxy_protocol="on", proxy_protocol_allow_ips=allowed) as server, server.raw() as peer:
        peer.offer(block() + FIRST)
        if fine:
            expect(peer.response().body, ("203.0.113.7", 50_000))
        else:
            assert peer.ended() == "reset"
            assert "127.0.0.1 is not allowed to speak it" in server.line()


def test_tls_before_the_proxy(server: Server) -> None:
    """The proxy has ended TLS and says so (section 2.2.6)."""
    with server.raw() as peer:
        peer.send(block(tlvs=tlv(0x20, b"\x01\0\0\0\0")) + FIRST)
        expect(peer.response().body, ("203.0.113.7", 50_000), "https")
    with server.raw() as peer:
        peer.send(block(tlvs=tlv(0x20, b"\x00\0\0\0\0")) + FIRST)
        expect(peer.response().body, ("203.0.113.7", 50_000), "http")


@pytest.mark.parametrize("loop", KINDS)
def test_tls_behind_it(loop: str) -> None:
    with serve(answer, loop=loop, proxy_protocol="on", ssl_certfile=server_certificate()) as server:
        raw = socket.create_connection(("127.0.0.1", server.port), timeout=5)
        with raw:
            raw.sendall(block())
            client = Encrypted(raw, authority().client())
            client.handshake()
            client.sendall(FIRST)
            expect(client.recv(65536).partition(b"\r\n\r\n")[2], ("203.0.113.7", 50_000), "https")


def test_forwarded_fields_are_believed_by_who_the_client_is() -> None:
    """The preface comes first: what is trusted then is the client it names."""
    with serve(answer, proxy_protocol="on", forwarded_allow_ips="203.0.113.0/24") as server:
        request = b"GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 198.51.100.1\r\n\r\n"
        with server.raw() as peer:
            expect(peer.send(block() + request).response().body, ("198.51.100.1", 0))
        with server.raw() as peer:
            expect(peer.send(block(0x21, V6) + request).response().body, ("2001:db8::7", 5))


def test_too_slow(server: Server) -> None:
    with server.raw() as peer:
        peer.send(block()[:20])
        assert peer.ended(3) == "reset"


def test_silence_and_the_stop() -> None:
    """A connection without its preface does not hold up the stop."""
    with serve(answer, proxy_protocol="on", timeout_linger=0.5) as server, server.raw() as silent:
        server.until(lambda: server.open == 1, "it is accepted")
        server.run(stop(server))
        assert silent.ended(5) in ("fin", "reset")


async def stop(server: Server) -> None:
    server.server.connections.drain()


def test_client_that_goes(server: Server) -> None:
    for data in (b"", b"PROXY", block()[:14], block()):
        Peer(("127.0.0.1", server.port)).send(data).close()
    server.until(lambda: server.open == 0, "all are closed")
