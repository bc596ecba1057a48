"""Code of the application's runs in the middle of ours: in what it sends, in finalizers and in log filters."""

from __future__ import annotations

import asyncio
import gc
import logging
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from frames import connect, upgrade
from peer import Closed
from serving import LOOPS, Server, serve

from pronghorn.errors import MessageError

MODES = [(loop, "auto") for loop in LOOPS]
OK = {"type": "http.response.start", "status": 200, "headers": []}


class Headers:
    """An iterable that does something when it is read."""

    def __init__(self, action: Callable[[], Any]) -> None:
        self.action = action

    def __iter__(self) -> Iterator[tuple[bytes, bytes]]:
        self.action()
        return iter([(b"x-one", b"1")])


class Pair:
    def __init__(self, action: Callable[[], Any]) -> None:
        self.action = action

    def __iter__(self) -> Iterator[bytes]:
        self.action()
        return iter([b"x-two", b"2"])


class Octets(bytes):
    action: Callable[[], Any]

    def __bytes__(self) -> bytes:
        self.action()
        return b"body"


class Told(str):
    __hash__ = str.__hash__

    def __eq__(self, other: object) -> bool:
        raise AssertionError("compared")


async def refused(awaitable: Any) -> None:
    with pytest.raises(MessageError, match="inside of another send"):
        await awaitable


@pytest.mark.parametrize("kind", [Headers, Pair])
@pytest.mark.parametrize("last", [False, True], ids=["start", "all"])
def test_headers_that_send(server: Server, kind: Any, last: bool) -> None:
    inner: list[Any] = []

    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        def action() -> None:
            inner.append(send(OK))
            if last:
                inner.append(send({"type": "http.response.body", "body": b"inner"}))

        given = kind(action)
        await send({"type": "http.response.start", "status": 200, "headers": [given] if kind is Pair else given})
        await send({"type": "http.response.body", "body": b"outer"})
        for one in inner:
            await refused(one)

    server.use(app)
    with server.raw() as peer:
        for _ in range(3):
            inner.clear()
            response = peer.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").response()
            assert response.body == b"outer"
            assert response.header("x-one" if kind is Headers else "x-two") in ("1", "2")
            assert len(inner) == 1 + last


def test_body_that_sends(server: Server) -> None:
    inner: list[Any] = []

    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        await send(OK)
        body = Octets(b"1234")
        body.action = lambda: inner.append(send({"type": "http.response.body", "body": b"inner"}))
        await send({"type": "http.response.body", "body": body})
        await refused(inner.pop())

    server.use(app)
    assert server.get().body == b"body"


def test_body_that_changes_its_message(server: Server) -> None:
    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        start: dict[Any, Any] = {"type": "http.response.start", "status": 200}
        start["headers"] = Headers(start.clear)
        await send(start)
        message: dict[str, Any] = {"type": "http.response.body", "more_body": False}
        body = message["body"] = Octets(b"1234")
        body.action = message.clear
        await send(message)

    server.use(app)
    response = server.get()
    assert response.body == b"body" and response.header("x-one") == "1"


def test_pairs_that_change_their_list(server: Server) -> None:
    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        headers: list[Any] = []
        headers += [Pair(headers.clear), (b"x-three", b"3"), Pair(lambda: None)]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body"})

    server.use(app)
    response = server.get()
    assert response.every("x-two") == ["2", "2"] and response.header("x-three") == "3"


def test_str_of_its_own(server: Server) -> None:
    """A subclass is compared as what it says, and not asked."""

    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        await send({"type": Told("http.response.start"), "status": 200})
        await send({"type": Told("http.response.body"), "body": b"x"})
        with pytest.raises(MessageError, match="must be a str"):
            await send({"type": b"http.response.body"})

    server.use(app)
    assert server.get().body == b"x"


def test_finalizer_that_sends(server: Server) -> None:
    """Freed in the middle of a send(), or anywhere else."""
    inner: list[Any] = []

    class Dying:
        def __init__(self, send: Any) -> None:
            self.send = send

        def __del__(self) -> None:
            inner.append(self.send({"type": "http.response.body", "body": b"inner"}))

    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        def headers() -> Iterator[Any]:
            dying = Dying(send)
            yield b"x-one", b"1"
            del dying
            gc.collect()

        await send({"type": "http.response.start", "status": 200, "headers": headers()})
        await send({"type": "http.response.body", "body": b"outer"})
        await refused(inner.pop())

    server.use(app)
    assert server.get().body == b"outer"


def test_headers_that_let_the_client_go(server: Server) -> None:
    """The connection is lost while they are read."""

    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        await asyncio.sleep(0)
        headers = Headers(server.server.connections.abort)
        with pytest.raises(OSError):
            while True:
                await send({"type": "http.response.start", "status": 200, "headers": headers})
                await send({"type": "http.response.body", "body": b"x" * 100_000, "more_body": True})
                await asyncio.sleep(0)
                await send({"type": "http.response.body", "body": b"x", "more_body": True})

    server.use(app)
    with server.raw() as peer:
        peer.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        server.until(lambda: server.active == 0 and len(server.calls) > 0, "the application has ended")


def test_websocket(server: Server) -> None:
    inner: list[Any] = []

    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        await receive()
        accept = {"type": "websocket.accept"}
        await send(accept | {"headers": Headers(lambda: inner.append(send(accept)))})
        await refused(inner.pop())
        body = Octets(b"1234")
        body.action = lambda: inner.append(send({"type": "websocket.close"}))
        await send({"type": "websocket.send", "bytes": body})
        await refused(inner.pop())

    server.use(app)
    with connect(server) as client:
        assert client.message() == b"body"
        assert client.closed() == (1000, "")


def test_websocket_that_is_denied_inside_of_its_accept(server: Server) -> None:
    inner: list[Any] = []

    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        await receive()
        deny = Headers(lambda: inner.append(send({"type": "websocket.close"})))
        await send({"type": "websocket.http.response.start", "status": 403, "headers": deny})
        await refused(inner.pop())
        await send({"type": "websocket.http.response.body", "body": b"no"})

    server.use(app)
    response = server.ask(upgrade())
    assert response.status == 403 and response.body == b"no"


# Logging.


class Raising(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        if record.levelno < logging.WARNING and record.name != "pronghorn.access":
            return True                 # the server starts and stops
        raise RuntimeError("a filter of the application's")


@pytest.fixture
def raising(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Any]]:
    """Every logger of ours has a filter that raises; what it raised."""
    seen: list[Any] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda one: seen.append(one.exc_value))
    loggers = [logging.getLogger(name) for name in ("pronghorn.error", "pronghorn.access")]
    filters = Raising()
    for logger in loggers:
        logger.addFilter(filters)
    try:
        yield seen
    finally:
        for logger in loggers:
            logger.removeFilter(filters)


@pytest.mark.parametrize("loop", LOOPS)
def test_filter_that_raises(loop: str, raising: list[Any]) -> None:
    """The response is sent, and the call has ended."""

    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        if scope["path"] == "/raise":
            raise ValueError("of the application")
        if scope["path"] == "/nothing":
            return
        await send(OK)
        if scope["path"] == "/half":
            return
        await send({"type": "http.response.body", "body": b"x"})

    with serve(app, loop=loop, access_log=True) as server:
        for _ in range(3):
            assert server.get("/raise").status == 500
            assert server.get("/nothing").status == 500
            assert server.get("/").body == b"x"
            with server.raw() as peer:
                peer.send(b"GET /half HTTP/1.1\r\nHost: a\r\n\r\n")
                with pytest.raises(Closed):         # before it had anything of the answer
                    peer.head()
            assert server.ask(b"GET / HTTP/1.1\r\n\r\n").status == 400
            assert server.ask(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nz\r\n").status == 400
        server.idle()
        assert server.active == 0
    assert len(raising) >= 12 and all(isinstance(error, RuntimeError) for error in raising)


# Nothing stays counted.

SETTINGS: dict[str, Any] = {"forwarded_allow_ips": "*", "forwarded_headers": ["for", "proto", "port"]}


@pytest.mark.parametrize("zeros", [0, 1, 5, 5000])
@pytest.mark.parametrize("port", ["", "8443", "99999"])
def test_port_of_zeros(server: Server, zeros: int, port: str) -> None:
    seen: list[Any] = []

    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        seen.append(scope["server"])
        await send(OK)
        await send({"type": "http.response.body"})

    server.use(app)
    head = f"GET / HTTP/1.1\r\nHost: name:{'0' * zeros}{port}\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Port: 444\r\n\r\n"
    assert server.ask(head.encode()).status == 200
    assert seen == [("name", 444)]


def test_refused_exchanges_are_freed_at_once() -> None:
    """Without the collector."""

    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        await send(OK)
        await send({"type": "http.response.body"})

    def exchanges() -> int:
        return sum(type(one).__name__ in ("Exchange", "Session") for one in gc.get_objects())

    refused = (
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nz\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
    )
    for number, request in enumerate(refused):
        settings: dict[str, Any] = {"limit_concurrency": 1} if number else {}
        with serve(app, loop=LOOPS[0], **settings) as server:
            gc.collect()
            gc.disable()
            try:
                before = exchanges()
                for _ in range(200):
                    assert server.ask(request).status in (400, 503)
                server.settle()
                assert exchanges() <= before + 5
                assert server.active == 0
            finally:
                gc.enable()
            server.take_log()


@pytest.mark.parametrize("ends", [False, True], ids=["whole", "parts"])
def test_pipelined_request_behind_a_deep_recursion(server: Server, ends: bool) -> None:
    """At the end of the stack the loop cannot be called."""

    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        await asyncio.sleep(0)
        await send(OK)
        if ends:
            await send({"type": "http.response.body", "body": b"a", "more_body": True})
        sent: list[Any] = []

        def deep() -> None:
            try:
                deep()
            except RecursionError:
                if not sent:
                    sent.append(send({"type": "http.response.body", "body": b"b"}))
                raise

        if scope["path"] == "/deep":
            with pytest.raises(RecursionError):
                deep()
            await sent[0]
        else:
            await send({"type": "http.response.body", "body": b"b"})

    server.use(app)
    with server.raw() as peer:
        peer.send(b"GET /deep HTTP/1.1\r\nHost: a\r\n\r\n" + b"GET /next HTTP/1.1\r\nHost: a\r\n\r\n")
        assert peer.response().body == (b"ab" if ends else b"b")
        assert peer.response().body == (b"ab" if ends else b"b")
