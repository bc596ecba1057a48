"""Bytes per idle WebSocket session: growth of resident memory over sessions that echoed one message each."""

import json
import re
import socket
import zlib
from contextlib import ExitStack
from itertools import cycle

from .process import Failure, Process

# The key of RFC 6455, section 1.3, and the answer to it; the offer is Chrome's.
KEY, ACCEPT = "dGhlIHNhbXBsZSBub25jZQ==", b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
OFFER = "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n"
FIRST = 500  # sessions before the count begins, so that pools and tables have grown
SHORT = b"0123456789abcdef" * 4
RECORDS = [{"id": n, "name": f"item {n * 7919 % 1000}", "price": n * 104729 % 9973 / 100} for n in range(40)]
LONG = json.dumps(RECORDS).encode()[:1024]  # it shrinks to about a third
FIN, RSV1, TEXT, PING = 0x80, 0x40, 1, 9
TAIL = b"\x00\x00\xff\xff"


def bytes_per_session(server: Process, sessions: int, deflate: bool) -> float:
    with ExitStack() as held:
        connections = [held.enter_context(_session(server.port, deflate)) for _ in range(FIRST)]
        before = server.resident()
        connections += [held.enter_context(_session(server.port, deflate)) for _ in range(sessions)]
        after = server.resident()
        if closed := sum(map(_is_closed, connections)):
            raise Failure(f"it closed {closed} of {len(connections)} idle sessions")
        return (after - before) / sessions


def _session(port: int, deflate: bool) -> socket.socket:
    """A session that has had one message each way."""
    connection = socket.create_connection(("127.0.0.1", port), timeout=5)
    try:
        accepted = _shake_hands(connection, OFFER if deflate else "")
        if deflate and b"permessage-deflate" not in accepted:
            raise Failure("it does not take permessage-deflate")
        message = LONG if deflate else SHORT
        connection.sendall(_masked(_deflated(message, accepted) if deflate else message, RSV1 if deflate else 0))
        first, answer = _read_frame(connection)
        if deflate and first & RSV1:
            answer = zlib.decompressobj(wbits=-15).decompress(answer + TAIL)
        elif deflate:
            raise Failure("it did not compress its answer")
        if first & ~RSV1 != FIN | TEXT or answer != message:
            raise Failure(f"the answer has the first octet {first:#04x} and {len(answer)} bytes")
        return connection
    except BaseException:
        connection.close()
        raise


def _shake_hands(connection: socket.socket, offer: str) -> bytes:
    """The extensions that were agreed on."""
    request = f"GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n{offer}"
    connection.sendall(f"{request}Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {KEY}\r\n\r\n".encode())
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        head += _read(connection, 1)
    if not head.startswith(b"HTTP/1.1 101 ") or ACCEPT not in head:
        line = head.partition(b"\r")[0].decode(errors="replace")
        raise Failure(f"the handshake was answered with {line}")
    agreed = re.search(rb"(?mi)^sec-websocket-extensions:(.*)\r$", head)
    return agreed[1] if agreed else b""


def _deflated(message: bytes, agreed: bytes) -> bytes:
    bits = re.search(rb"client_max_window_bits\s*=\s*\"?(\d+)", agreed)
    compressor = zlib.compressobj(wbits=-max(int(bits[1]), 9) if bits else -15)
    return (compressor.compress(message) + compressor.flush(zlib.Z_SYNC_FLUSH)).removesuffix(TAIL)


def _masked(payload: bytes, flags: int) -> bytes:
    size = len(payload)
    length = bytes([0x80 | size]) if size < 126 else bytes([0x80 | 126]) + size.to_bytes(2, "big")
    key = b"\x37\xfa\x21\x3d"
    return bytes([FIN | flags | TEXT]) + length + key + bytes(a ^ b for a, b in zip(payload, cycle(key), strict=False))


def _read_frame(connection: socket.socket) -> tuple[int, bytes]:
    """First octet and payload of the next frame that is not a ping."""
    while True:
        first, length = _read(connection, 2)
        if length == 126:
            length = int.from_bytes(_read(connection, 2), "big")
        payload = _read(connection, length)
        if first != FIN | PING:
            return first, payload


def _read(connection: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        piece = connection.recv(size - len(data))
        if not piece:
            raise Failure("it closed a session")
        data += piece
    return data


def _is_closed(connection: socket.socket) -> bool:
    """A ping that waits to be read is not the end."""
    connection.setblocking(False)
    try:
        while piece := connection.recv(4096):
            if piece[0] == FIN | 8:
                return True
        return True
    except BlockingIOError:
        return False
    except OSError:
        return True
