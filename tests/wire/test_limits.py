"""Every limit at one below, at it, and one above it, in one piece and in two (B05-B07).

What is counted: the request line from the method to the version, without its end; a field's name and value; the head
from its first byte to the end of the empty line; the extension text of a chunk with its semicolons; the trailer
lines with their ends.
"""

from __future__ import annotations

import contextlib
import re
import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from frames import upgrade
from probes import FIRST, Recorder, head
from serving import LOOPS, Server, serve

STEPS = [-1, 0, 1]


def request_line(length: int) -> bytes:
    target = "/" + "a" * (length - len("GET / HTTP/1.1"))
    data = head(method="GET", target=target)
    assert data.index(b"\r\n") == length
    return data


def field(length: int) -> bytes:
    return head("X-A: " + "v" * (length - len("X-A")), method="GET")


def long_name(length: int) -> bytes:
    return head("N" * (length - 1) + ": v", method="GET")


def whole_head(length: int) -> bytes:
    """A head of exactly this many bytes, in fields of up to 10,000."""
    lines: list[str] = []
    number = 0
    while True:
        left = length - len(head(*lines, method="GET"))
        if left == 0:
            return head(*lines, method="GET")
        number += 1
        name = f"X-{number:04}"
        size = left - len(f"{name}: \r\n")
        if size > 10_000:
            size = 9_000
        lines.append(f"{name}: {'v' * size}")


def fields(count: int) -> bytes:
    """Host and others: this many fields."""
    return head(*(f"X-{number}: v" for number in range(count - 1)), method="GET")


def chunked(body: bytes, trailers: bytes = b"") -> bytes:
    return head("Transfer-Encoding: chunked") + body + b"0\r\n" + trailers + b"\r\n"


def extension(length: int) -> bytes:
    return chunked(b"1;" + b"a" * (length - 1) + b"\r\nx\r\n")


def extension_with_value(length: int) -> bytes:
    return chunked(b'1;a="' + b"b" * (length - 5) + b'"\r\nx\r\n')


def extensions(length: int) -> bytes:
    """This many bytes of extensions over many chunks, 200 in each."""
    sizes = [200] * (length // 200) + ([length % 200] if length % 200 > 1 else [])
    if length % 200 == 1:
        sizes[-1:] = [100, 101]
    assert sum(sizes) == length
    return chunked(b"".join(b"1;" + b"a" * (size - 1) + b"\r\nx\r\n" for size in sizes))


def trailer_fields(count: int) -> bytes:
    return chunked(b"", b"".join(b"X-%d: v\r\n" % number for number in range(count)))


def trailer_size(length: int) -> bytes:
    return chunked(b"", b"X: " + b"v" * (length - 5) + b"\r\n")


LIMITS = [
    ("request-line", request_line, 8192, 414),
    ("field", field, 16384, 431),
    ("field-name", long_name, 16384, 431),
    ("head", whole_head, 65536, 431),
    ("fields", fields, 100, 431),
    ("chunk-extension", extension, 256, 400),
    ("chunk-extension-quoted", extension_with_value, 256, 400),
    ("chunk-extensions", extensions, 16384, 400),
    ("trailer-fields", trailer_fields, 64, 431),
    ("trailer-size", trailer_size, 8192, 431),
]


def outcome(server: Server, data: bytes, cut: int, status: int) -> None:
    recorder = Recorder()
    server.use(recorder)
    with server.raw() as peer:
        peer.offer(data[:cut])
        if cut < len(data):
            server.settle()
            peer.offer(data[cut:])
        response = peer.response()
        assert response.status == status
        assert response.closes == (status != 200)
        if status != 200:
            peer.ended(1.5)
    assert len(recorder.whole) == (status == 200)
    log = server.take_log()
    assert len(log) <= (status != 200) and not any(record.exc_info for record in log)


@pytest.mark.parametrize("step", STEPS, ids=["below", "at", "above"])
@pytest.mark.parametrize(("make", "limit", "status"), [one[1:] for one in LIMITS], ids=[one[0] for one in LIMITS])
def test_default(server: Server, make: Any, limit: int, status: int, step: int) -> None:
    """The defaults. However the bytes are cut, the verdict is the same."""
    data = make(limit + step)
    expected = status if step > 0 else 200
    outcome(server, data, len(data), expected)
    for cut in (1, len(data) // 2, len(data) - 3, len(data) - 2, len(data) - 1):
        outcome(server, data, cut, expected)


SMALL = {
    "limit_request_line": 100,
    "limit_request_field_size": 200,
    "limit_request_head": 600,
    "limit_request_fields": 5,
    "limit_chunk_extension": 10,
    "limit_chunk_extensions": 1000,
    "limit_trailer_fields": 3,
    "limit_trailer_size": 50,
}
SMALL_LIMITS = [
    ("request-line", request_line, 100, 414),
    ("field", field, 200, 431),
    ("fields", fields, 5, 431),
    ("chunk-extension", extension, 10, 400),
    ("trailer-fields", trailer_fields, 3, 431),
    ("trailer-size", trailer_size, 50, 431),
]


@pytest.fixture(scope="module", params=LOOPS)
def small(request: pytest.FixtureRequest) -> Iterator[Server]:
    with serve(loop=request.param, **SMALL) as server:
        yield server


@pytest.fixture(scope="module", params=LOOPS)
def unlimited(request: pytest.FixtureRequest) -> Iterator[Server]:
    with serve(loop=request.param, **dict.fromkeys(SMALL, None)) as server:
        yield server


@pytest.mark.parametrize("step", STEPS, ids=["below", "at", "above"])
@pytest.mark.parametrize(("make", "limit", "status"), [one[1:] for one in SMALL_LIMITS], ids=[one[0] for one in SMALL_LIMITS])
def test_configured(small: Server, make: Any, limit: int, status: int, step: int) -> None:
    data = make(limit + step)
    for cut in range(1, len(data) + 1, 7):
        outcome(small, data, cut, status if step > 0 else 200)


def test_off(unlimited: Server) -> None:
    """None switches a limit off; the others still hold the memory in bounds."""
    for make, size in ((request_line, 20_000), (field, 60_000), (whole_head, 150_000), (fields, 500), (extension, 5_000)):
        data = make(size)
        outcome(unlimited, data, len(data), 200)
        outcome(unlimited, data, len(data) // 2, 200)


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"GET /" + b"a" * 2_000_000, 414),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"v" * 2_000_000, 431),
        (b"GET / HTTP/1.1\r\nHost: a\r\n" + b"N" * 2_000_000, 431),
        (b"GET / HTTP/1.1\r\nHost: a\r\n" + b"X: y\r\n" * 400_000, 431),
        (b"G" * 2_000_000, 501),
        (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1;" + b"e" * 2_000_000, 400),
        (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n" + b"X: y\r\n" * 400_000, 431),
        (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + b"0" * 2_000_000, 400),
    ],
    ids=["target", "value", "name", "fields", "method", "extension", "trailers", "chunk-size"],
)
def test_answered_as_soon_as_exceeded(server: Server, data: bytes, status: int) -> None:
    """The line never ends: the answer does not wait for it, and the client can read it while it still sends."""
    recorder = Recorder()
    server.use(recorder)
    with server.raw() as peer:
        peer.pour(data, patience=0.05)
        response = peer.response()
        assert response.status == status and response.closes
    assert recorder.whole == []
    assert len(server.take_log()) <= 1


@pytest.fixture(scope="module", params=LOOPS)
def limited(request: pytest.FixtureRequest) -> Iterator[Server]:
    with serve(loop=request.param, limit_request_body=1000) as server:
        yield server


class TestBody:
    """limit_request_body: 413 at the head when the length says so, at the byte when only the bytes do."""

    @pytest.mark.parametrize("step", STEPS, ids=["below", "at", "above"])
    def test_length(self, limited: Server, step: int) -> None:
        """Too long a length is refused without a call."""
        recorder = Recorder()
        limited.use(recorder)
        with limited.raw() as peer:
            peer.send(head(f"Content-Length: {1000 + step}") + bytes(1000 + step))
            response = peer.response()
            assert response.status == (413 if step > 0 else 200)
            assert response.closes == (step > 0)
        assert len(limited.calls) == (step <= 0)
        assert len(limited.take_log()) <= (step > 0)

    @pytest.mark.parametrize("step", STEPS, ids=["below", "at", "above"])
    @pytest.mark.parametrize("size", [1, 100, 5000])
    def test_chunked(self, limited: Server, step: int, size: int) -> None:
        """The call may have begun; it is told that the client has gone, and the client 413."""
        recorder = Recorder()
        limited.use(recorder)
        body = bytes(1000 + step)
        data = b"".join(b"%x\r\n%b\r\n" % (len(body[at : at + size]), body[at : at + size]) for at in range(0, len(body), size))
        with limited.raw() as peer:
            peer.send(head("Transfer-Encoding: chunked") + data + b"0\r\n\r\n")
            response = peer.response()
            assert response.status == (413 if step > 0 else 200)
            assert response.closes == (step > 0)
        limited.idle()
        assert len(recorder.whole) == (step <= 0)
        assert len(limited.take_log()) <= (step > 0)

    def test_expected(self, limited: Server) -> None:
        """A client that asks first is told before it sends anything."""
        limited.use(Recorder())
        with limited.raw() as peer:
            peer.send(head("Content-Length: 1001", "Expect: 100-continue"))
            response = peer.response()
            assert (response.status, response.interim, response.closes) == (413, [], True)
            peer.ended(1.5)
        assert limited.calls == []
        assert len(limited.take_log()) <= 1

    def test_answer_under_way(self, limited: Server) -> None:
        """The response has begun when the body grows too long: it is cut, so that nobody takes it for whole."""

        async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
            await send({"type": "http.response.start", "status": 200})
            await send({"type": "http.response.body", "body": b"a", "more_body": True})
            while (await receive())["type"] != "http.disconnect":
                pass

        limited.use(app)
        with limited.raw() as peer:
            peer.send(head("Transfer-Encoding: chunked") + b"7d0\r\n" + bytes(2000) + b"\r\n0\r\n\r\n")
            data, _ = peer.drain()
            assert not data.endswith(b"0\r\n\r\n")
            assert data.count(b"HTTP/1.1 ") <= 1
        assert len(limited.take_log()) <= 1


class TestConnections:
    @pytest.mark.parametrize("loop", LOOPS)
    def test_requests_per_connection(self, loop: str) -> None:
        """The last one says that it closes; up to a tenth fewer, so that not all connections end at once."""
        with serve(Recorder(), loop=loop, limit_requests_per_connection=100) as server:
            counts = set()
            for _ in range(20):
                with server.raw() as peer:
                    count, closes = 0, False
                    while not closes and count <= 110:
                        count += 1
                        peer.send(FIRST)
                        closes = peer.response().closes
                    assert peer.ended(1.5) == "fin"
                    counts.add(count)
            assert min(counts) >= 90 and max(counts) <= 110

    @pytest.mark.parametrize("loop", LOOPS)
    def test_one_request_per_connection(self, loop: str) -> None:
        with serve(Recorder(), loop=loop, limit_requests_per_connection=1) as server, server.raw() as peer:
            peer.send(FIRST * 2)
            assert peer.response().closes
            assert peer.ended(1.5) == "fin"
            assert len(server.calls) == 1

    @pytest.mark.parametrize("loop", LOOPS)
    def test_oldest_idle_connection_makes_room(self, loop: str) -> None:
        """The limit is reached: the connection that has been idle longest is closed, never one that is busy."""
        with serve(loop=loop, limit_connections=3) as server:
            gate = server.gate()

            async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
                if scope["path"] == "/busy":
                    await gate.passed()
                await send({"type": "http.response.start", "status": 200})
                await send({"type": "http.response.body", "body": b"ok"})

            server.use(app)
            with server.raw() as busy, server.raw() as first, server.raw() as second:
                busy.send(FIRST.replace(b"/first", b"/busy"))
                for peer in (first, second):
                    peer.send(FIRST)
                    assert peer.response().body == b"ok"
                with server.raw() as third:
                    third.send(FIRST)
                    assert third.response().body == b"ok"
                    assert first.ended(1.5) == "fin"
                    second.send(FIRST)
                    assert second.response().body == b"ok"
                    gate.open()
                    assert busy.response().body == b"ok"

    @pytest.mark.parametrize("loop", LOOPS)
    @pytest.mark.parametrize("kind", ["websockets", "requests"])
    def test_idle_ones_behind_many_others(self, loop: str, kind: str) -> None:
        """However many are not idle, the idle ones are found, and in their order; then nobody is left to make room."""
        many = 300
        with serve(loop=loop, limit_connections=many + 2) as server, contextlib.ExitStack() as stack:
            gate = server.gate()

            async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
                if scope["type"] == "websocket":
                    await receive()
                    await send({"type": "websocket.accept"})
                    await receive()
                    return
                if scope["path"] == "/busy":
                    await gate.passed()
                await send({"type": "http.response.start", "status": 200})
                await send({"type": "http.response.body", "body": b"ok"})

            server.use(app)
            others = [stack.enter_context(server.raw()) for _ in range(many)]
            for other in others:  # they have been idle before
                assert other.send(FIRST).response().body == b"ok"
            for other in others:
                other.send(upgrade() if kind == "websockets" else FIRST.replace(b"/first", b"/busy"))
            if kind == "websockets":
                assert {other.head().status for other in others} == {101}
            server.until(lambda: server.active == many, "every call has begun")
            idle = [stack.enter_context(server.raw()) for _ in range(2)]
            for peer in idle:
                assert peer.send(FIRST).response().body == b"ok"
            for peer in idle:
                late = stack.enter_context(server.raw())
                assert late.send(FIRST.replace(b"/first", b"/busy")).offer(b"")
                assert peer.ended(1.5) == "fin"
            server.until(lambda: server.active == many + 2, "every call has begun")
            with socket.create_connection(("127.0.0.1", server.port), timeout=5) as refused:
                assert refused.recv(1) == b""
            gate.open()

    @pytest.mark.parametrize("loop", LOOPS)
    def test_concurrency(self, loop: str) -> None:
        """As uvicorn: 503 above the limit, and served again below it."""
        with serve(loop=loop, limit_concurrency=2) as server:
            gate = server.gate()

            async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
                if scope["path"] == "/busy":
                    await gate.passed()
                await send({"type": "http.response.start", "status": 200})
                await send({"type": "http.response.body", "body": b"ok"})

            server.use(app)
            with server.raw() as busy:
                busy.send(FIRST.replace(b"/first", b"/busy"))
                server.until(lambda: len(server.calls) == 1, "the call begins")
                response = server.get()
                assert (response.status, response.body, response.closes) == (503, b"Service Unavailable", True)
                gate.open()
                assert busy.response().body == b"ok"
            server.until(lambda: server.open == 0, "every connection is closed")
            assert server.get().body == b"ok"
            server.take_log()


class TestRefusalLog:
    """What strangers do wrong has some lines in a second, and a count of the others."""

    @pytest.mark.parametrize("loop", LOOPS)
    def test_strangers_cannot_fill_the_log(self, loop: str) -> None:
        go = threading.Event()

        async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
            assert go.wait(60)  # holds the loop, so that all of them are there in one turn or two
            await send({"type": "http.response.start", "status": 200})
            await send({"type": "http.response.body"})

        with serve(app, loop=loop, limit_refusal_log=5) as server, contextlib.ExitStack() as peers:
            strangers = [peers.enter_context(server.raw()) for _ in range(100)]
            holding = peers.enter_context(server.raw()).send(FIRST)
            for peer in strangers:
                peer.send(b"nonsense\r\n\r\n")
            go.set()
            assert holding.response().status == 200
            assert [peer.response().status for peer in strangers] == [400] * 100
            for peer in strangers:
                peer.close()
            logged, counted = [], [0]

            def all_are_there() -> bool:
                for record in server.take_log():
                    text = record.getMessage()
                    if more := re.match(r"(\d+) more request\(s\) refused, without a line each", text):
                        counted.append(int(more[1]))
                    else:
                        assert text.startswith("Invalid HTTP request received: 400 Bad Request")
                        logged.append(text)
                return len(logged) + sum(counted) == 100

            server.until(all_are_there, "each has a line or is counted", within=30)
            assert len(logged) <= 5 * 4  # in as many seconds, on the slowest of machines
