"""A WebSocket client on a raw socket, that forgives nothing.

Written from RFC 6455 alone; shares no code with the server. Whatever it reads it checks: no mask, no fragments, the
shortest length, known opcodes, UTF-8, a legal close code, and nothing at all behind a close.
"""

from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import dataclass
from typing import Any

from peer import Closed, Malformed, Peer, Response

__all__ = [
    "BINARY", "CLOSE", "CONTINUATION", "KEY", "PING", "PONG", "TEXT", "Client", "Frame", "accept_of", "binary", "close",
    "connect", "frame", "offers", "parse", "ping", "pong", "switched", "text", "upgrade",
]  # fmt: skip

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
KEY = "dGhlIHNhbXBsZSBub25jZQ=="
MASK = b"\x37\xfa\x21\x3d"
CODES = {*range(1000, 1004), *range(1007, 1015), *range(3000, 5000)}
HEAD = {"upgrade", "connection", "sec-websocket-accept", "sec-websocket-protocol", "sec-websocket-extensions"}


# --- out ---


def masked(data: bytes, key: bytes) -> bytes:
    """Section 5.3, on one long number instead of byte by byte."""
    stream = (key * (len(data) // 4 + 1))[: len(data)]
    return (int.from_bytes(data, "big") ^ int.from_bytes(stream, "big")).to_bytes(len(data), "big")


def frame(
    opcode: int, payload: bytes = b"", *, fin: bool = True, rsv: int = 0, key: bytes = MASK, form: int = 0,
    declared: int | None = None,
) -> bytes:  # fmt: skip
    """A client's frame. form: bytes of the extended length (2, 8; 0: the shortest); declared: a length of its own."""
    length = len(payload) if declared is None else declared
    form = form or (0 if length < 126 else 2 if length < 65536 else 8)
    first = bytes([fin << 7 | rsv << 4 | opcode, 0x80 | {0: length, 2: 126, 8: 127}[form]])
    return first + (length.to_bytes(form, "big") if form else b"") + key + masked(payload, key)


def text(data: str | bytes, **options: Any) -> bytes:
    return frame(TEXT, data.encode() if isinstance(data, str) else data, **options)


def binary(data: bytes, **options: Any) -> bytes:
    return frame(BINARY, data, **options)


def ping(data: bytes = b"") -> bytes:
    return frame(PING, data)


def pong(data: bytes = b"") -> bytes:
    return frame(PONG, data)


def close(code: int | None = 1000, reason: str | bytes = "") -> bytes:
    reason = reason.encode() if isinstance(reason, str) else reason
    return frame(CLOSE, b"" if code is None else code.to_bytes(2, "big") + reason)


def upgrade(
    *lines: str, target: str = "/", method: str = "GET", version: str = "HTTP/1.1", key: str | None = KEY,
    asks: str | None = "Upgrade: websocket\r\nConnection: Upgrade", speaks: str | None = "13",
) -> bytes:  # fmt: skip
    """A request that asks for a WebSocket; None leaves a part of it out."""
    head = [f"{method} {target} {version}", "Host: test"]
    if asks is not None:
        head.append(asks)
    if key is not None:
        head.append(f"Sec-WebSocket-Key: {key}")
    if speaks is not None:
        head.append(f"Sec-WebSocket-Version: {speaks}")
    return "\r\n".join([*head, *lines, "", ""]).encode("latin-1")


# --- in ---


def accept_of(key: str) -> str:
    return base64.b64encode(hashlib.sha1(key.encode() + GUID).digest()).decode()


def switched(head: Response, key: str = KEY) -> Response:
    """The answer is a 101 as section 4.2.2 has it."""
    assert head.status == 101, f"not a 101: {head.raw!r}"
    assert head.version == "1.1" and head.reason == "Switching Protocols"
    assert (head.header("upgrade") or "").lower() == "websocket"
    assert (head.header("connection") or "").lower() == "upgrade"
    assert head.header("sec-websocket-accept") == accept_of(key)
    for name in ("content-length", "transfer-encoding", "sec-websocket-version"):
        assert head.every(name) == [], f"{name} in {head.raw!r}"
    for name in HEAD:
        assert len(head.every(name)) <= 1, f"{name} more than once: {head.raw!r}"
    return head


@dataclass(frozen=True)
class Frame:
    """A frame of the server's."""

    opcode: int
    payload: bytes = b""
    compressed: bool = False

    def __repr__(self) -> str:
        return f"<{self.opcode:x} {len(self.payload)} {self.payload[:40]!r}{' compressed' if self.compressed else ''}>"

    @property
    def code(self) -> int | None:
        """Of a close; None without one."""
        return int.from_bytes(self.payload[:2], "big") if self.payload else None


def _checked(first: int, payload: bytes) -> Frame:
    made = Frame(first & 0x0F, payload, bool(first & 0x40))
    if not first & 0x80 or first & 0x30 or made.opcode not in (TEXT, BINARY, CLOSE, PING, PONG):
        raise Malformed(f"a frame begins with {first:#x}")
    if made.compressed and made.opcode >= CLOSE:
        raise Malformed("a compressed control frame")
    if made.opcode >= CLOSE and len(payload) > 125:
        raise Malformed(f"a control frame of {len(payload)} bytes")
    if made.opcode == TEXT and not made.compressed:
        payload.decode()
    if made.opcode == CLOSE and payload:
        if len(payload) < 2 or made.code not in CODES:
            raise Malformed(f"a close of {payload!r}")
        payload[2:].decode()
    return made


def parse(data: bytes) -> list[Frame]:
    """All frames of a whole stream; it must end with a frame, and a close must be the last one."""
    frames: list[Frame] = []
    at = 0
    while at < len(data):
        length, size = _length(data[at : at + 10])
        assert at + size + length <= len(data), f"the stream ends inside a frame: {data[at : at + 100]!r}"
        frames.append(_checked(data[at], data[at + size : at + size + length]))
        at += size + length
    assert CLOSE not in [one.opcode for one in frames[:-1]], f"something follows a close: {frames}"
    return frames


def _length(start: bytes) -> tuple[int, int]:
    """The payload's length and that of the header, which must be the shortest."""
    if start[1] & 0x80:
        raise Malformed("a server's frame is masked")
    length = start[1]
    if length < 126:
        return length, 2
    size = 4 if length == 126 else 10
    length = int.from_bytes(start[2:size], "big")
    if length < (126 if size == 4 else 65536) or length >> 63:
        raise Malformed(f"a length of {length} in {size - 2} bytes")
    return length, size


class Client(Peer):
    """One connection that asks for a WebSocket."""

    def open(self, *lines: str, **options: Any) -> Response:
        """The whole opening handshake; the answer, which must be a 101."""
        self.send(upgrade(*lines, **options))
        return switched(self.head(), options.get("key", KEY))

    def frame(self) -> Frame:
        """The next frame."""
        start = self.exactly(2)
        if start[1] & 0x7F > 125:
            start += self.exactly(2 if start[1] & 0x7F == 126 else 8)
        length, _ = _length(start)
        return _checked(start[0], self.exactly(length))

    def message(self) -> str | bytes:
        """The next frame, which must be a message."""
        got = self.frame()
        assert got.opcode in (TEXT, BINARY), f"expected a message: {got}"
        assert not got.compressed, f"expected it plain: {got}"
        return got.payload.decode() if got.opcode == TEXT else got.payload

    def closed(self) -> tuple[int | None, str]:
        """The next frame must be a close, and the last: code and reason. The connection is still ours to close."""
        got = self.frame()
        assert got.opcode == CLOSE, f"expected a close: {got}"
        return got.code, got.payload[2:].decode()

    def bye(self, within: float = 1.5) -> tuple[int | None, str]:
        """A close comes, and then the end of the connection, in order."""
        said = self.closed()
        how = self.ended(within)
        assert how == "fin", f"ended by {how}"
        return said

    def leave(self, code: int | None = 1000, reason: str = "") -> None:
        """Close in order: ours, the server's answer with the same code, the end."""
        self.send(close(code, reason))
        assert self.bye() == (code, "")

    def stream(self, *ends: str) -> tuple[Response, list[Frame]]:
        """All that comes until the server ends the connection, in order if no other ends are named: the head, and the
        frames behind it."""
        data, how = self.drain()
        assert how in (ends or ("fin",)), f"ended by {how} after {data[:500]!r}"
        self.buffer, self.how = data, how
        head = self.head()
        rest, self.buffer = self.buffer, b""
        return head, parse(rest)

    def gone(self) -> bool:
        """Whether the server has ended the connection."""
        try:
            self.pending()
        except Closed:
            return True
        return False


def connect(server: Any, *lines: str, timeout: float = 5.0, **options: Any) -> Client:
    """An open WebSocket."""
    client = Client(("127.0.0.1", server.port), timeout)
    try:
        client.open(*lines, **options)
    except BaseException:
        client.close()
        raise
    return client


def offers(head: Response) -> list[str]:
    """The agreed extension and its parameters, in order."""
    value = head.header("sec-websocket-extensions")
    return [] if value is None else re.split(r"\s*;\s*", value)
