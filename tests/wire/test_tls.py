"""TLS from the outside: handshakes whole and in pieces, certificates, names, versions, the end of a connection, reloading.

That HTTP and WebSockets work as they do without it is tested by every other file, whose servers also run over TLS.
"""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from encrypted import Authority, Encrypted, Truncated, authority, server_certificate
from frames import Client, switched, text, upgrade
from peer import Closed, Peer
from probes import FIRST, head
from serving import LOOPS, Server, serve

KINDS = [loop for loop in ("uvloop", "transports", "asyncio") if loop in LOOPS]


async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.send", "text": scope["scheme"]})
        await receive()
        return
    length = 0
    while True:
        message = await receive()
        length += len(message["body"])
        if not message["more_body"]:
            break
    body = scope["path"].encode() + b" %d" % length
    headers = [] if scope["path"] == "/half" else [(b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": scope["path"] == "/half"})
    if scope["path"] == "/half":
        raise RuntimeError("too late")


@pytest.fixture(scope="module", params=KINDS)
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    with serve(
        app, loop=request.param, ssl_certfile=server_certificate(), timeout_first_byte=1, ssl_handshake_timeout=0.5
    ) as running:
        yield running


class Handshake:
    """A client's side of a connection on memory, for tests that decide themselves which bytes go when."""

    def __init__(self, server: Server, context: ssl.SSLContext | None = None) -> None:
        self.peer = socket.create_connection(("127.0.0.1", server.port), timeout=5)
        self.tls = Encrypted(self.peer, context or authority().client())

    def flight(self) -> bytes:
        """What the client has to say next; b"" once the handshake is over on its side and everything is said."""
        with contextlib.suppress(ssl.SSLWantReadError):
            self.tls.session.do_handshake()
        return self.tls.outgoing.read()

    def answered(self) -> None:
        self.tls.incoming.write(self.peer.recv(65536))


def ask(tls: Encrypted) -> bytes:
    tls.sendall(FIRST)
    return tls.recv(65536)


# --- the handshake ---


def test_byte_by_byte(server: Server) -> None:
    client = Handshake(server)
    with client.peer:
        for _ in range(2):
            for byte in client.flight():
                client.peer.sendall(bytes([byte]))
                server.settle()
            if client.tls.session.version() is None or not finished(client.tls):
                client.answered()
        assert b"200 OK" in ask(client.tls)


def finished(tls: Encrypted) -> bool:
    try:
        tls.session.do_handshake()
    except ssl.SSLWantReadError:
        return False
    return True


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_every_split(server: Server, version: ssl.TLSVersion) -> None:
    """The first flight cut at every 7th byte, and the last one, with a request right behind it, as well."""
    context = authority().client()
    context.minimum_version = context.maximum_version = version
    client = Handshake(server, context)
    size = len(client.flight())
    client.peer.close()
    for cut in range(1, size, 7):
        client = Handshake(server, context)
        with client.peer:
            hello = client.flight()
            client.peer.sendall(hello[:cut])
            server.settle()
            client.peer.sendall(hello[cut:])
            while not finished(client.tls):
                last = client.tls.outgoing.read()
                if last:
                    client.peer.sendall(last)
                client.answered()
            client.tls.session.write(FIRST)
            last = client.tls.outgoing.read()
            middle = cut % len(last)
            client.peer.sendall(last[:middle])
            server.settle()
            client.peer.sendall(last[middle:])
            assert b"200 OK" in client.tls.recv(65536)
    server.settle()


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_scope(server: Server, version: ssl.TLSVersion) -> None:
    server.use(app)
    context = authority().client()
    context.minimum_version = context.maximum_version = version
    client = Encrypted(socket.create_connection(("127.0.0.1", server.port), timeout=5), context)
    with client.raw:
        client.handshake()
        ask(client)
        suite = client.session.cipher()[0]  # type: ignore[index]
    (scope,) = server.calls
    assert scope["scheme"] == "https"
    first = Path(server_certificate()).read_text().partition("-----END CERTIFICATE-----")[0].rpartition("-----BEGIN")[2]
    tls = scope["extensions"]["tls"]
    assert tls.pop("server_cert") == f"-----BEGIN{first}-----END CERTIFICATE-----\n"
    assert tls == {
        "client_cert_chain": [],
        "client_cert_name": None,
        "client_cert_error": None,
        "tls_version": {ssl.TLSVersion.TLSv1_2: 0x0303, ssl.TLSVersion.TLSv1_3: 0x0304}[version],
        "cipher_suite": {one["name"]: one["id"] & 0xFFFF for one in context.get_ciphers()}[suite],
    }


def test_extensions_are_each_requests_own(server: Server) -> None:
    seen = []

    async def writes(scope: dict[str, Any], receive: Any, send: Any) -> None:
        seen.append(dict(scope["extensions"]["tls"]))
        scope["extensions"]["tls"]["tls_version"] = "changed"
        await app(scope, receive, send)

    server.use(writes)
    with server.raw() as peer:
        for _ in range(2):
            assert peer.send(FIRST).response().status == 200
    assert seen[0] == seen[1]


def test_websocket(server: Server) -> None:
    server.use(app)
    with Client(("127.0.0.1", server.port)) as client:
        client.open()
        assert client.message() == "wss"
        client.send(text("over"))
        assert client.closed() == (1000, "")
    (scope,) = server.calls
    assert set(scope["extensions"]) == {"tls", "websocket.http.response"}


def test_frames_right_behind_the_handshake(server: Server) -> None:
    server.use(app)
    with Client(("127.0.0.1", server.port)) as client:
        client.send(upgrade() + text("over"))
        switched(client.head())
        assert client.message() == "wss"
        assert client.closed() == (1000, "")


# --- what is not a handshake ---


def test_plain_http_is_told(server: Server) -> None:
    server.use(app)
    with socket.create_connection(("127.0.0.1", server.port), timeout=5) as plain:
        plain.sendall(FIRST)
        data = plain.recv(65536)
        assert data.startswith(b"HTTP/1.1 400 Bad Request\r\n")
        assert plain.recv(1) == b""
    assert not server.calls


@pytest.mark.parametrize("data", [b"\0" * 100, bytes(range(256)), b"\x16\x03\x01\x00\x05hello", b"SSH-2.0-x\r\n"])
def test_nonsense(server: Server, data: bytes) -> None:
    server.use(app)
    with socket.create_connection(("127.0.0.1", server.port), timeout=5) as plain:
        plain.sendall(data)
        answer = b""
        with contextlib.suppress(ConnectionResetError):
            while got := plain.recv(65536):
                answer += got
        assert len(answer) <= 7  # an alert, or nothing
    assert not server.calls


def test_old_version_is_refused(server: Server) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
    client = Encrypted(socket.create_connection(("127.0.0.1", server.port), timeout=5), context)
    with client.raw, pytest.raises(ssl.SSLError):
        client.handshake()


def test_silent_client(server: Server) -> None:
    with (
        socket.create_connection(("127.0.0.1", server.port), timeout=5) as plain,
        contextlib.suppress(ConnectionResetError),
    ):
        assert plain.recv(1) == b""


def test_slow_handshake(server: Server) -> None:
    client = Handshake(server)
    with client.peer:
        client.peer.sendall(client.flight()[:50])
        with contextlib.suppress(ConnectionResetError):
            assert client.peer.recv(1) == b""


def test_client_that_goes_in_the_middle(server: Server) -> None:
    for cut in (1, 60, 200):
        client = Handshake(server)
        client.peer.sendall(client.flight()[:cut])
        client.peer.close()
    server.until(lambda: server.open == 0, "all are closed")


# --- data ---


@pytest.mark.parametrize("size", [0, 1, 16_383, 16_384, 16_385, 65_536, 1_000_000, 5_000_000])
def test_bodies(server: Server, size: int) -> None:
    async def echo(scope: dict[str, Any], receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200})
        while True:
            message = await receive()
            await send({"type": "http.response.body", "body": message["body"], "more_body": message["more_body"]})
            if not message["more_body"]:
                return

    server.use(echo)
    body = os.urandom(size)
    with server.raw() as peer:
        peer.send(head(f"Content-Length: {size}") + body[:30_000])
        for at in range(30_000, size, 30_000):
            peer.send(body[at : at + 30_000])
            server.settle()  # the client reads nothing meanwhile: what is echoed waits
        assert peer.response().body == body


def test_close_is_announced(server: Server) -> None:
    """By close_notify, or the client could not tell the end from an attacker's."""
    server.use(app)
    with server.raw() as peer:
        peer.send(head("Connection: close", method="GET"))
        assert peer.response().status == 200
        assert peer.ended() == "fin"  # Encrypted raises Truncated without one


def test_abort_is_not_announced(server: Server) -> None:
    server.use(app)
    with server.raw() as peer:
        peer.send(b"GET /half HTTP/1.0\r\n\r\n")  # whose body ends with the connection
        with pytest.raises(Closed) as caught:
            peer.response()
    assert caught.value.how == "reset"
    server.traceback(RuntimeError)


def test_pipelined(server: Server) -> None:
    server.use(app)
    with server.raw() as peer:
        peer.send(b"".join(head(method="GET", target=f"/{number}") for number in range(500)))
        for number in range(500):
            assert peer.response().body == f"/{number} 0".encode()


# --- certificates ---


def certificate_of(server: Server, context: ssl.SSLContext, name: str | None) -> list[str]:
    client = Encrypted(socket.create_connection(("127.0.0.1", server.port), timeout=5), context, name)
    with client.raw:
        client.handshake()
        names: Any = client.session.getpeercert()["subjectAltName"]  # type: ignore[index]
        return [value for _, value in names]


@pytest.mark.parametrize("loop", KINDS)
def test_server_names(loop: str) -> None:
    issuer = authority()
    sni = [
        ("a.example.org", issuer.issue("a.example.org"), None),
        ("*.example.net", issuer.issue("*.example.net"), None),
    ]
    with serve(app, loop=loop, ssl_certfile=server_certificate(), ssl_sni=sni) as server:
        context = issuer.client()
        context.check_hostname = False
        assert certificate_of(server, context, "a.example.org") == ["a.example.org"]
        assert certificate_of(server, context, "A.Example.ORG") == ["a.example.org"]
        assert certificate_of(server, context, "b.example.net") == ["*.example.net"]
        assert certificate_of(server, context, "c.b.example.net") == ["localhost", "127.0.0.1"]
        assert certificate_of(server, context, None) == ["localhost", "127.0.0.1"]


@pytest.mark.parametrize("loop", KINDS)
def test_client_certificates(loop: str, tmp_path: Path) -> None:
    issuer = Authority()
    with serve(app, loop=loop, ssl_certfile=server_certificate(), ssl_cert_reqs=2, ssl_ca_certs=issuer.file) as server:
        context = authority().client()
        with pytest.raises((ssl.SSLError, Truncated, ConnectionResetError)):
            client = Encrypted(socket.create_connection(("127.0.0.1", server.port), timeout=5), context)
            with client.raw:
                client.handshake()  # in TLS 1.3 it is over before the server says no
                ask(client)
        assert not server.calls
        context.load_cert_chain(issuer.issue("somebody@example.org"))
        client = Encrypted(socket.create_connection(("127.0.0.1", server.port), timeout=5), context)
        with client.raw:
            client.handshake()
            ask(client)
        tls = server.calls[0]["extensions"]["tls"]
        assert tls["client_cert_chain"][0].startswith("-----BEGIN CERTIFICATE-----\n")
        assert "trustme" in tls["client_cert_name"]
        assert tls["client_cert_error"] is None


@pytest.mark.parametrize("loop", KINDS)
def test_replaced_files(loop: str, tmp_path: Path) -> None:
    """New connections get the new certificate, an open one goes on; files that are no good change nothing."""
    path = tmp_path / "server.pem"
    path.write_text(Path(authority().issue("localhost", "127.0.0.1", "first.example.org")).read_text())
    with serve(app, loop=loop, ssl_certfile=str(path), ssl_reload_interval=0.1) as server, server.raw() as before:
        assert before.send(FIRST).response().status == 200
        context = authority().client()
        assert "first.example.org" in certificate_of(server, context, "localhost")
        new = tmp_path / "new.pem"
        new.write_text(Path(authority().issue("localhost", "127.0.0.1", "second.example.org")).read_text())
        new.replace(path)
        server.until(
            lambda: "second.example.org" in certificate_of(server, context, "localhost"), "the new one is used"
        )
        assert before.send(FIRST).response().status == 200
        path.write_text("nonsense")
        server.until(lambda: warned(server), "the server says that the files are no good")
        assert "ssl_certfile: cannot use the certificate" in server.line()
        assert "second.example.org" in certificate_of(server, context, "localhost")
        assert before.send(FIRST).response().status == 200


def warned(server: Server) -> bool:
    return any(record.levelno >= logging.ERROR for record in server.records.seen)


def test_context_factory() -> None:
    """Whoever makes the context decides; the default one is there to begin with."""

    def factory(config: Any, default: Any) -> ssl.SSLContext:
        context: ssl.SSLContext = default()
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        return context

    with serve(app, ssl_certfile=server_certificate(), ssl_context_factory=factory) as server:
        context = authority().client()
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        client = Encrypted(socket.create_connection(("127.0.0.1", server.port), timeout=5), context)
        with client.raw, pytest.raises(ssl.SSLError):
            client.handshake()
        with Peer(("127.0.0.1", server.port)) as peer:
            assert peer.send(FIRST).response().status == 200
