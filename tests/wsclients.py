"""WebSocket clients for tests, three behind one face: `websockets` in threads, on asyncio, and `wsproto`.

    with CLIENTS["wsproto"](f"ws://127.0.0.1:{port}/chat", subprotocols=["a"]) as client:
        client.send("text")
        assert client.receive() == "text"
        client.close(1000)

receive() raises Over with the code and reason of the close that arrived; the constructor raises Denied with the
response that came instead of a 101.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any, Self
from urllib.parse import urlsplit

from websockets.asyncio.client import connect as connect_async
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect as connect_sync
from wsproto import ConnectionType, WSConnection
from wsproto.events import (
    AcceptConnection,
    BytesMessage,
    CloseConnection,
    Ping,
    RejectConnection,
    RejectData,
    Request,
    TextMessage,
)
from wsproto.extensions import PerMessageDeflate

__all__ = ["CLIENTS", "Client", "Denied", "Over", "Raw"]

PATIENCE = 5.0
LARGEST = 2**24


class Over(Exception):
    """The session has ended: code and reason of the server's close, 1006 if there was none."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(code, reason)
        self.code, self.reason = code, reason


class Denied(Exception):
    """The answer to the handshake was an HTTP response."""

    def __init__(self, status: int, headers: Sequence[tuple[str, str]], body: bytes) -> None:
        super().__init__(status, body)
        self.status, self.body = status, body
        self.headers = {name.lower(): value for name, value in headers}


class Client:
    """What the three have in common. headers and subprotocol are those of the answer."""

    headers: dict[str, str]
    subprotocol: str | None

    def send(self, data: str | bytes) -> None:
        raise NotImplementedError

    def receive(self) -> str | bytes:
        raise NotImplementedError

    def close(self, code: int = 1000, reason: str = "") -> None:
        """Close, and wait for the server's."""
        raise NotImplementedError

    def over(self) -> tuple[int, str]:
        """Read on to the server's close; returns its code and reason."""
        try:
            while True:
                self.receive()
        except Over as over:
            return over.code, over.reason

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *failure: Any) -> None:
        self.close()


class Threaded(Client):
    def __init__(self, uri: str, subprotocols: Sequence[str] = (), compression: bool = True, **headers: str) -> None:
        self.stack = ExitStack()
        try:
            self.connection = self.stack.enter_context(
                connect_sync(
                    uri,
                    subprotocols=list(subprotocols) or None,
                    compression="deflate" if compression else None,
                    additional_headers=headers,
                    max_size=LARGEST,
                    open_timeout=PATIENCE,
                    close_timeout=PATIENCE,
                    proxy=None,
                )
            )
        except InvalidStatus as error:
            raise denied(error) from None
        self.headers = answered(self.connection.response)
        self.subprotocol = self.connection.subprotocol

    def send(self, data: str | bytes) -> None:
        try:
            self.connection.send(data)
        except ConnectionClosed as error:
            raise over(error) from None

    def receive(self) -> str | bytes:
        try:
            return self.connection.recv(PATIENCE)
        except ConnectionClosed as error:
            raise over(error) from None

    def close(self, code: int = 1000, reason: str = "") -> None:
        self.connection.close(code, reason)

    def __exit__(self, *failure: Any) -> None:
        self.stack.close()


class Asynchronous(Client):
    def __init__(self, uri: str, subprotocols: Sequence[str] = (), compression: bool = True, **headers: str) -> None:
        async def connect() -> Any:
            return await connect_async(
                uri,
                subprotocols=list(subprotocols) or None,
                compression="deflate" if compression else None,
                additional_headers=headers,
                max_size=LARGEST,
                open_timeout=PATIENCE,
                close_timeout=PATIENCE,
                proxy=None,
            )

        self.runner = asyncio.Runner()
        try:
            self.connection = self.runner.run(connect())
        except InvalidStatus as error:
            self.runner.close()
            raise denied(error) from None
        self.headers = answered(self.connection.response)
        self.subprotocol = self.connection.subprotocol

    def send(self, data: str | bytes) -> None:
        try:
            self.runner.run(self.connection.send(data))
        except ConnectionClosed as error:
            raise over(error) from None

    def receive(self) -> str | bytes:
        try:
            return self.runner.run(asyncio.wait_for(self.connection.recv(), PATIENCE))  # type: ignore[no-any-return]
        except ConnectionClosed as error:
            raise over(error) from None

    def close(self, code: int = 1000, reason: str = "") -> None:
        self.runner.run(self.connection.close(code, reason))

    def __exit__(self, *failure: Any) -> None:
        self.close()
        self.runner.close()


class Raw(Client):
    """wsproto over a socket: every step is the test's own, nothing happens in the background."""

    def __init__(self, uri: str, subprotocols: Sequence[str] = (), compression: bool = True, **headers: str) -> None:
        parts = urlsplit(uri)
        self.sock = socket.create_connection((parts.hostname or "", parts.port or 80), PATIENCE)
        self.wire = WSConnection(ConnectionType.CLIENT)
        self.inbox: list[Any] = []
        self.parts: list[Any] = []
        request = Request(
            host=parts.netloc,
            target=f"{parts.path}?{parts.query}" if parts.query else parts.path,
            subprotocols=list(subprotocols),
            extensions=[PerMessageDeflate()] if compression else [],
            extra_headers=[(name.encode(), value.encode()) for name, value in headers.items()],
        )
        self.sock.sendall(self.wire.send(request))
        event = self.event()
        if isinstance(event, RejectConnection):
            body = b""
            while event.has_body and not getattr(part := self.event(), "body_finished", True):
                body += part.data
            body += part.data if event.has_body and isinstance(part, RejectData) else b""
            self.sock.close()
            raise Denied(event.status_code, text(event.headers), body)
        assert isinstance(event, AcceptConnection), event
        self.headers = dict(text(event.extra_headers))
        self.subprotocol = event.subprotocol

    def event(self) -> Any:
        while not self.inbox:
            if self.wire.state.name == "CLOSED":
                raise Over(1006, "")
            data = self.sock.recv(65536)
            self.wire.receive_data(data or None)
            for event in self.wire.events():
                if isinstance(event, Ping):
                    self.sock.sendall(self.wire.send(event.response()))
                else:
                    self.inbox.append(event)
            if not data and not self.inbox:
                raise Over(1006, "")
        return self.inbox.pop(0)

    def send(self, data: str | bytes) -> None:
        message = TextMessage(data) if isinstance(data, str) else BytesMessage(data)
        try:
            self.sock.sendall(self.wire.send(message))
        except OSError:
            raise Over(1006, "") from None

    def receive(self) -> str | bytes:
        while True:
            event = self.event()
            if isinstance(event, CloseConnection):
                if self.wire.state.name == "REMOTE_CLOSING":
                    self.sock.sendall(self.wire.send(event.response()))
                raise Over(event.code, event.reason or "")
            self.parts.append(event.data)
            if event.message_finished:
                parts, self.parts = self.parts, []
                return "".join(parts) if isinstance(event, TextMessage) else b"".join(parts)

    def close(self, code: int = 1000, reason: str = "") -> None:
        try:
            if self.wire.state.name == "OPEN":
                self.sock.sendall(self.wire.send(CloseConnection(code, reason or None)))
            self.over()
            while self.sock.recv(65536):  # the server closes first
                pass
        except OSError:
            pass
        finally:
            self.sock.close()

    def reset(self) -> None:
        """Gone, without a close."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self.sock.close()


def over(error: ConnectionClosed) -> Over:
    return Over(error.rcvd.code, error.rcvd.reason) if error.rcvd else Over(1006, "")


def denied(error: InvalidStatus) -> Denied:
    response = error.response
    return Denied(response.status_code, list(response.headers.raw_items()), bytes(response.body or b""))


def answered(response: Any) -> dict[str, str]:
    return {name.lower(): value for name, value in response.headers.raw_items()}


def text(headers: Any) -> list[tuple[str, str]]:
    return [(bytes(name).decode().lower(), bytes(value).decode()) for name, value in headers]


CLIENTS: dict[str, type[Client]] = {"threads": Threaded, "asyncio": Asynchronous, "wsproto": Raw}
