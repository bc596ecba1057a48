"""One client of a ledger's load: it has one request open at a time, on a connection it keeps or on a new one."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import random
import struct

from frames import CLOSE, TEXT, frame, upgrade

from ledger.book import Entry, Fate, Kind

__all__ = ["Lane"]

Reader = asyncio.StreamReader
Address = tuple[str, int]

LIMIT = 30.0  # seconds for an answer
KEPT = 0.7  # the share of answers after which the connection is kept
BODY = bytes(range(256)) * 128
DIGEST = hashlib.sha256(BODY).hexdigest().encode()
TRIES = 5  # on other connections, for a request that the server has said it did not begin
CHUNK_END = b"\r\n"


class Unanswered(Exception):
    """The connection ended, or time was over, before the answer was whole."""


class Wrong(Exception):
    """The answer is whole, and not the right one."""


class Lane:
    """Requests to one address, one after the other."""

    def __init__(self, address: Address, seed: int) -> None:
        self.address = address
        self.dice = random.Random(seed)
        self.reader: Reader | None = None  # of the connection that is kept, if one is
        self.writer: asyncio.StreamWriter | None = None
        self.session = False  # it is a WebSocket

    async def make(self, entry: Entry) -> None:
        """Make a request, and note what becomes of it."""
        try:
            async with asyncio.timeout(LIMIT):
                await self._make(entry)
        except ConnectionRefusedError:
            entry.fate, entry.why = Fate.REFUSED, "connection refused"
        except (Unanswered, OSError, EOFError) as error:
            entry.fate, entry.why = Fate.LOST, str(error) or type(error).__name__
        except Wrong as error:
            entry.fate, entry.why = Fate.BROKEN, str(error)
        if entry.fate is not Fate.ANSWERED:
            self.drop()

    async def _make(self, entry: Entry) -> None:
        if self.session is not (entry.kind is Kind.SOCKET):
            self.drop()
        for _ in range(TRIES):
            kept = self.writer is not None
            if not kept:
                self.reader, self.writer = await asyncio.open_connection(*self.address, limit=2**20)
            try:
                if entry.kind is Kind.SOCKET:
                    await self._say(entry, kept)
                else:
                    await self._ask(entry)
                break
            except Again as error:
                self.drop()
                if not kept and not error.told:
                    raise Unanswered("closed without an answer") from None
                if entry.kind is Kind.UPLOAD:  # it may have been served, and is not to be served twice
                    raise Unanswered("POST on a kept connection that was closed") from None
                entry.retried += 1
        else:
            raise Unanswered(f"no connection of {TRIES} gave an answer")
        entry.fate = Fate.ANSWERED
        if not self.session and self.dice.random() > KEPT:
            self.drop()

    def drop(self) -> None:
        """Close the connection, if there is one."""
        if self.writer is not None:
            self.writer.close()
        self.reader = self.writer = None
        self.session = False

    # HTTP.

    async def _ask(self, entry: Entry) -> None:
        assert self.reader is not None and self.writer is not None
        head = f" /{entry.kind.value}/{entry.number} HTTP/1.1\r\nHost: ledger\r\n"
        if entry.kind is Kind.UPLOAD:
            self.writer.write(f"POST{head}Content-Length: {len(BODY)}\r\n\r\n".encode() + BODY)
        else:
            self.writer.write(f"GET{head}\r\n".encode())
        status, headers = await self._head(self.reader)
        if status != 200:
            raise Unanswered(f"status {status}")
        try:
            if entry.kind is Kind.STREAM:
                await check_stream(self.reader, entry.number.encode())
            else:
                body = await self.reader.readexactly(int(headers[b"content-length"]))
                if body != (expected := expected_body(entry)):
                    raise Wrong(f"{body[:80]!r} instead of {expected!r}")
        except asyncio.IncompleteReadError as error:
            raise Unanswered("half an answer") from error
        if headers.get(b"connection") == b"close":
            self.drop()

    async def _head(self, reader: Reader) -> tuple[int, dict[bytes, bytes]]:
        try:
            first, *lines = (await reader.readuntil(b"\r\n\r\n"))[:-4].split(b"\r\n")
        except asyncio.IncompleteReadError as error:
            if error.partial:
                raise Unanswered("half a head") from error
            raise Again from error
        except ConnectionError as error:
            raise Again from error
        parted = [line.partition(b":") for line in lines]
        return int(first.split()[1]), {name.lower(): value.strip() for name, _, value in parted}

    # WebSocket.

    async def _say(self, entry: Entry, kept: bool) -> None:
        """Send the id, and read it again. A session that the server closes first goes on as another one."""
        assert self.reader is not None and self.writer is not None
        if not kept:
            self.writer.write(upgrade(target="/socket/all"))
            status, headers = await self._head(self.reader)
            if status != 101 or headers.get(b"sec-websocket-accept") is None:
                raise Unanswered(f"status {status} for a WebSocket")
            self.session = True
        number = entry.number.encode()
        try:
            self.writer.write(frame(TEXT, number))
            opcode, payload = await read_frame(self.reader)
        except (asyncio.IncompleteReadError, ConnectionError) as error:
            raise Again from error
        if opcode == CLOSE:
            code = struct.unpack("!H", payload[:2])[0] if payload else 1005
            with contextlib.suppress(ConnectionError):
                self.writer.write(frame(CLOSE, payload[:2]))
            if code in (1001, 1012):
                raise Again(told=True)
            raise Unanswered(f"WebSocket closed with {code}")
        if (opcode, payload) != (TEXT, number):
            raise Wrong(f"frame {opcode} {payload[:80]!r} instead of {number!r}")


class Again(Exception):
    """Nothing came: on a connection that was kept, or where the server has said so, the request is made on another."""

    def __init__(self, told: bool = False) -> None:
        self.told = told


def expected_body(entry: Entry) -> bytes:
    number = entry.number.encode()
    return number + b" " + DIGEST if entry.kind is Kind.UPLOAD else number


async def check_stream(reader: Reader, number: bytes) -> None:
    """Chunks until the empty one: the id, then data, then the digest of both."""
    whole = b""
    while size := int(await reader.readuntil(CHUNK_END), 16):
        whole += (await reader.readexactly(size + 2))[:-2]
    await reader.readexactly(2)
    if not whole.startswith(number) or hashlib.sha256(whole[:-32]).digest() != whole[-32:]:
        raise Wrong(f"a stream of {len(whole)} bytes with another digest")


async def read_frame(reader: Reader) -> tuple[int, bytes]:
    """A short frame from a server."""
    first, length = await reader.readexactly(2)
    assert first & 0x80 and length < 126, (first, length)
    return first & 0x0F, await reader.readexactly(length)
