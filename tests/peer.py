"""The client side of the outside-in tests: a socket and a parser that forgives nothing.

The parser is written from RFC 9112 alone and shares no code with the server. It refuses what a lenient client
would accept (bare LF, two lengths, a chunk size with a sign), so every test that reads a response also checks
that the response is well formed.
"""

from __future__ import annotations

import re
import select
import socket
import struct
import time
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

from encrypted import SERVERS, Encrypted

__all__ = ["Closed", "Malformed", "Peer", "Response"]

STATUS_LINE = re.compile(rb"HTTP/(1\.[01]) ([0-9]{3}) ([\t\x20-\x7e\x80-\xff]*)")
VALUE = rb"[\x21-\x7e\x80-\xff](?:[\t\x20-\x7e\x80-\xff]*[\x21-\x7e\x80-\xff])?"
FIELD_LINE = re.compile(rb"([!#$%&'*+.^_`|~0-9a-z-]+):[ \t]*(" + VALUE + rb")?[ \t]*")
CHUNK_LINE = re.compile(rb"[0-9a-fA-F]{1,16}")
SINGLETONS = (b"connection", b"content-length", b"content-type", b"date", b"transfer-encoding")


class Closed(Exception):
    """The connection ended; ``how`` is "fin" or "reset"."""

    def __init__(self, how: str, missing: str) -> None:
        super().__init__(f"the server closed the connection ({how}) while the client waited for {missing}")
        self.how = how


class Malformed(AssertionError):
    """The server sent bytes that RFC 9112 does not allow."""


@dataclass
class Response:
    """One final response and the interim ones before it."""

    version: str
    status: int
    reason: str
    headers: list[tuple[str, str]]
    raw: bytes
    body: bytes = b""
    framing: str = "none"  # none | length | chunked | close
    chunks: list[bytes] = field(default_factory=list)
    interim: list[int] = field(default_factory=list)

    def header(self, name: str) -> str | None:
        values = self.every(name)
        assert len(values) <= 1, f"{name} occurs {len(values)} times: {values}"
        return values[0] if values else None

    def every(self, name: str) -> list[str]:
        return [value for key, value in self.headers if key == name]

    @property
    def closes(self) -> bool:
        """Whether the head says that this is the connection's last response."""
        connection = (self.header("connection") or "").lower()
        return connection == "close" or (self.version == "1.0" and connection != "keep-alive")


class Peer:
    """One connection to the server. Every wait has a limit; nothing sleeps."""

    def __init__(self, address: tuple[str, int] | str, timeout: float = 5.0) -> None:
        family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
        self.socket: Any = socket.socket(family, socket.SOCK_STREAM)
        self.socket.settimeout(timeout)
        self.timeout = timeout
        self.buffer = b""
        self.how: str | None = None
        if address in SERVERS:
            self.socket = Encrypted(self.socket, SERVERS[address])
        self.socket.connect(address)
        if family == socket.AF_INET:
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def __enter__(self) -> Peer:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    # --- out ---

    def send(self, data: bytes) -> Peer:
        self.socket.sendall(data)
        return self

    def offer(self, data: bytes) -> bool:
        """Send, and tell whether the server still took it; for input that may be refused half way."""
        try:
            self.socket.sendall(data)
        except (BrokenPipeError, ConnectionResetError):
            return False
        return True

    def pour(self, data: bytes, patience: float = 0.25) -> int:
        """Send without blocking until the connection has taken nothing for `patience` seconds; bytes taken."""
        view = memoryview(data)
        sent = 0
        self.socket.setblocking(False)
        try:
            while sent < len(view) and select.select([], [self.socket], [], patience)[1]:
                try:
                    sent += self.socket.send(view[sent : sent + 65536])
                except BlockingIOError:
                    continue
        finally:
            self.socket.settimeout(self.timeout)
        return sent

    def finish(self) -> Peer:
        """Shut down the writing side: the server reads FIN and can still answer."""
        self.socket.shutdown(socket.SHUT_WR)
        return self

    def close(self) -> None:
        self.socket.close()

    def reset(self) -> None:
        """Close so that the server reads RST."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    # --- in ---

    def response(self, method: str = "GET") -> Response:
        """The next final response, strictly parsed; what follows it stays in the buffer."""
        interim: list[int] = []
        while True:
            response = self.head()
            if 100 <= response.status < 200:
                if response.every("content-length") or response.every("transfer-encoding"):
                    raise Malformed(f"an interim response announces a body: {response.raw!r}")
                interim.append(response.status)
                continue
            response.interim = interim
            self._body(response, method)
            return response

    def head(self) -> Response:
        raw = self.until(b"\r\n\r\n", "a response head")
        lines = raw[:-4].split(b"\r\n")
        matched = STATUS_LINE.fullmatch(lines[0])
        if not matched:
            raise Malformed(f"not a status line: {lines[0]!r}")
        headers: list[tuple[str, str]] = []
        for line in lines[1:]:
            pair = FIELD_LINE.fullmatch(line)
            if not pair:
                raise Malformed(f"not a header line: {line!r}")
            headers.append((pair[1].decode("ascii"), (pair[2] or b"").decode("latin-1")))
        names = [name.encode() for name, _ in headers]
        for name in SINGLETONS:
            if names.count(name) > 1:
                raise Malformed(f"{name.decode()} occurs {names.count(name)} times: {raw!r}")
        version, status, reason = matched.groups()
        return Response(version.decode(), int(status), reason.decode("latin-1"), headers, raw)

    def _body(self, response: Response, method: str) -> None:
        length, coding = response.header("content-length"), response.header("transfer-encoding")
        if length is not None and coding is not None:
            raise Malformed(f"content-length and transfer-encoding together: {response.raw!r}")
        if length is not None and not re.fullmatch(r"0|[1-9][0-9]{0,18}", length):
            raise Malformed(f"content-length: {length}")
        if method == "HEAD" or response.status in (204, 304):
            if response.status == 204 and (length is not None or coding is not None):
                raise Malformed(f"a 204 announces a body: {response.raw!r}")
            return
        if coding is not None:
            if coding != "chunked":
                raise Malformed(f"transfer-encoding: {coding}")
            response.framing = "chunked"
            while chunk := self.chunk():
                response.chunks.append(chunk)
            response.body = b"".join(response.chunks)
        elif length is not None:
            response.framing = "length"
            response.body = self.exactly(int(length))
        else:
            response.framing = "close"
            response.body = self.rest()

    def chunk(self) -> bytes:
        """One chunk; b"" is the last one, with its empty trailer section."""
        line = self.until(b"\r\n", "a chunk size")[:-2]
        if not CHUNK_LINE.fullmatch(line):
            raise Malformed(f"not a chunk size: {line!r}")
        data = self.exactly(int(line, 16))
        end = self.exactly(2)
        if end != b"\r\n":
            raise Malformed(f"a chunk is followed by {end!r}")
        return data

    def until(self, mark: bytes, what: str) -> bytes:
        searched = 0
        while (found := self.buffer.find(mark, searched)) < 0:
            searched = max(0, len(self.buffer) - len(mark) + 1)
            self._more(what)
        found += len(mark)
        taken, self.buffer = self.buffer[:found], self.buffer[found:]
        return taken

    def exactly(self, count: int) -> bytes:
        pieces, have = [self.buffer], len(self.buffer)
        self.buffer = b""
        while have < count:
            try:
                self._more(f"{count - have} bytes")
            except Closed:
                self.buffer = b"".join(pieces)
                raise
            pieces.append(self.buffer)
            have += len(self.buffer)
            self.buffer = b""
        whole = b"".join(pieces)
        self.buffer = whole[count:]
        return whole[:count]

    def rest(self) -> bytes:
        """Everything up to the server's FIN; a reset is an error, because the body may be cut."""
        data, how = self.drain()
        if how != "fin":
            raise Closed(how, f"the end of a body of {len(data)} bytes so far")
        return data

    def drain(self, within: float | None = None) -> tuple[bytes, str]:
        """Everything the server still sends, and how it ended the connection: "fin" or "reset"."""
        deadline = time.monotonic() + (within or self.timeout)
        pieces = [self.buffer]
        self.buffer = b""
        try:
            while True:
                self.socket.settimeout(max(deadline - time.monotonic(), 0.001))
                try:
                    self._more("the end")
                except TimeoutError:
                    raise AssertionError(f"the connection is still open; received {b''.join(pieces)[:2000]!r}") from None
                pieces.append(self.buffer)
                self.buffer = b""
        except Closed as closed:
            return b"".join(pieces), closed.how
        finally:
            self.socket.settimeout(self.timeout)

    def ended(self, within: float | None = None) -> str:
        """How the server ended the connection, which it must do now and without another byte."""
        data, how = self.drain(within)
        assert not data, f"bytes after the last response: {data[:2000]!r}"
        return how

    def pending(self) -> bytes:
        """What has arrived and was not read, without waiting."""
        self.socket.setblocking(False)
        try:
            while True:
                self._more("nothing")
        except BlockingIOError:
            return self.buffer
        finally:
            self.socket.settimeout(self.timeout)

    def _more(self, what: str) -> None:
        if self.how:
            raise Closed(self.how, what)
        try:
            data = self.socket.recv(262144)
        except ConnectionResetError:
            self.how = "reset"
            raise Closed("reset", what) from None
        except TimeoutError:
            raise TimeoutError(
                f"no {what} within {self.socket.gettimeout():.1f} s; unread: {self.buffer[:500]!r}"
            ) from None
        if not data:
            self.how = "fin"
            raise Closed("fin", what)
        self.buffer = self.buffer + data if self.buffer else data
