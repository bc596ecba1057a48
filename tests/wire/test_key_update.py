"""A client of TLS 1.3 that asks for new keys all the time (F02): each request is answered, 27 bytes for 27 bytes."""

from __future__ import annotations

import hmac
import select
import socket
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from encrypted import Encrypted, authority, server_certificate
from serving import LOOPS, Server, serve

KINDS = [loop for loop in ("uvloop", "transports", "asyncio") if loop in LOOPS]
MOST = 4_000_000  # bytes: some are on their way when the server ends the connection
KEY_UPDATE = b"\x18\x00\x00\x01"  # RFC 8446 section 4.6.3; behind it, whether an answer is asked for
HANDSHAKE, APPLICATION_DATA = b"\x16", b"\x17"


async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
    size = 0
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        size += len(message["body"])
        more = message["more_body"]
    await send({"type": "http.response.start", "status": 200})
    await send({"type": "http.response.body", "body": b"%d" % size})


@pytest.fixture(scope="module", params=KINDS)
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    with serve(app, loop=request.param, ssl_certfile=server_certificate()) as running:
        yield running


class Records:
    """A client whose records are made here: Python's ssl module has no call for a KeyUpdate."""

    def __init__(self, server: Server, tmp_path: Path) -> None:
        context = authority().client()
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        context.keylog_filename = str(tmp_path / "keys")
        self.raw = socket.create_connection(("127.0.0.1", server.port), timeout=10)
        self.tls = Encrypted(self.raw, context)
        self.tls.handshake()
        cipher = self.tls.session.cipher()
        assert cipher and cipher[1] == "TLSv1.3" and cipher[0].startswith("TLS_AES_")
        self.hash = "sha384" if cipher[0].endswith("384") else "sha256"
        self.key_length = cipher[2] // 8
        (line,) = [line for line in (tmp_path / "keys").read_text().splitlines() if "CLIENT_TRAFFIC_SECRET_0" in line]
        self.set_secret(bytes.fromhex(line.split()[-1]))

    def set_secret(self, secret: bytes) -> None:
        self.secret = secret
        self.cipher = AESGCM(self.expand(b"key", self.key_length))
        self.iv = int.from_bytes(self.expand(b"iv", 12), "big")
        self.count = 0

    def expand(self, label: bytes, length: int) -> bytes:
        """HKDF-Expand-Label with an empty context (section 7.1); one block of the hash is enough for all of them."""
        info = length.to_bytes(2, "big") + bytes([6 + len(label)]) + b"tls13 " + label + b"\0\1"
        return hmac.digest(self.secret, info, self.hash)[:length]

    def record(self, content: bytes, kind: bytes = APPLICATION_DATA) -> bytes:
        header = b"\x17\x03\x03" + (len(content) + 17).to_bytes(2, "big")
        nonce = (self.iv ^ self.count).to_bytes(12, "big")
        self.count += 1
        return header + self.cipher.encrypt(nonce, content + kind, header)

    def key_updates(self, count: int, ask: bool = True) -> bytes:
        records = []
        for _ in range(count):
            records.append(self.record(KEY_UPDATE + bytes([ask]), HANDSHAKE))
            self.set_secret(self.expand(b"traffic upd", 48 if self.hash == "sha384" else 32))
        return b"".join(records)


def request(length: int) -> bytes:
    return b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % length


def ended(client: Records, piece: Callable[[], bytes], reading: bool) -> int:
    """Send pieces until the server ends the connection, which it must; bytes sent."""
    sent = 0
    client.raw.setblocking(False)
    try:
        while sent < MOST:
            data = piece()
            while data:
                readable, writable, _ = select.select([client.raw] if reading else [], [client.raw], [], 10)
                if readable and not client.raw.recv(65536):
                    return sent
                assert readable or writable, "the server neither reads nor closes"
                if writable:
                    taken = client.raw.send(data)
                    sent += taken
                    data = data[taken:]
    except ConnectionError:
        return sent
    pytest.fail(f"{sent} bytes are taken, and the connection is still open")


def test_a_few_are_answered(server: Server, tmp_path: Path) -> None:
    client = Records(server, tmp_path)
    with client.raw:
        client.raw.sendall(client.key_updates(5) + client.record(request(3)) + client.key_updates(5) + client.record(b"abc"))
        assert client.tls.recv(65536).endswith(b"\r\n\r\n3")


@pytest.mark.parametrize("reading", [True, False])
@pytest.mark.parametrize("ask", [True, False])
def test_nothing_else(server: Server, tmp_path: Path, ask: bool, reading: bool) -> None:
    """So many in a row end the connection, whether they ask for an answer, and whether the client reads it."""
    client = Records(server, tmp_path)
    with client.raw:
        client.raw.sendall(client.record(request(10)))
        assert ended(client, lambda: client.key_updates(100, ask), reading)


def test_with_content(server: Server, tmp_path: Path) -> None:
    """A byte of a body behind each, and no answer is read: answers do not gather in the server."""
    client = Records(server, tmp_path)
    with client.raw:
        client.raw.sendall(client.record(request(1_000_000)))
        assert ended(client, lambda: client.key_updates(1) + client.record(b"x"), reading=False)
