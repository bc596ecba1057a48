"""Pipelined requests: answered in order, one application call at a time, first answers before an error (A19)."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from typing import Any

import pytest
from probes import FIRST, Recorder, head
from serving import Server


def get(number: int) -> bytes:
    return head(method="GET", target=f"/{number}")


async def path(scope: dict[str, Any], receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200})
    await send({"type": "http.response.body", "body": scope["raw_path"]})


async def pausing(scope: dict[str, Any], receive: Any, send: Any) -> None:
    await asyncio.sleep(0)
    await path(scope, receive, send)


async def reading(scope: dict[str, Any], receive: Any, send: Any) -> None:
    await receive()
    await path(scope, receive, send)


@pytest.mark.parametrize("app", [path, pausing, reading], ids=lambda app: app.__name__)
def test_thousand_requests_in_one_segment(server: Server, app: Any) -> None:
    server.use(app)
    with server.raw() as peer:
        peer.send(b"".join(get(number) for number in range(1000)))
        for number in range(1000):
            response = peer.response()
            assert response.body == f"/{number}".encode()
        assert peer.pending() == b""
    assert [call["path"] for call in server.calls] == [f"/{number}" for number in range(1000)]


def test_batch_is_one_write(server: Server) -> None:
    """Sixteen requests that arrive together and are answered without suspending leave in one piece."""
    server.use(path)
    with server.raw() as peer:
        peer.send(b"".join(get(number) for number in range(16)))
        assert peer.socket.recv(65536).count(b"HTTP/1.1 200") == 16


def test_response_is_one_write(server: Server) -> None:
    server.use(path)
    with server.raw() as peer:
        peer.send(FIRST)
        assert peer.socket.recv(65536).endswith(b"\r\n\r\n/first")


def test_one_call_at_a_time(server: Server) -> None:
    """The second request waits until the first has its answer, however early it arrived."""
    gates = [server.gate() for _ in range(3)]
    under_way = 0

    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        nonlocal under_way
        under_way += 1
        assert under_way == 1
        await gates[int(scope["path"][1:])].passed()
        await path(scope, receive, send)
        under_way -= 1

    server.use(app)
    with server.raw() as peer:
        peer.send(get(0) + get(1) + get(2))
        for number, gate in enumerate(gates):
            server.until(lambda number=number: len(server.calls) == number + 1, "the next call begins")
            server.settle()
            assert len(server.calls) == number + 1
            assert peer.pending() == b""
            gate.open()
            assert peer.response().body == f"/{number}".encode()


def test_background_work_does_not_hold_the_next_request(server: Server) -> None:
    """The answer is complete, the call goes on: the next request on the connection is served meanwhile."""
    done = server.gate()
    finished = []

    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        await path(scope, receive, send)
        if scope["path"] == "/0":
            await done.passed()
        finished.append(scope["path"])

    server.use(app)
    with server.raw() as peer:
        peer.send(get(0) + get(1))
        assert peer.response().body == b"/0"
        assert peer.response().body == b"/1"
        peer.send(get(2))
        assert peer.response().body == b"/2"
        assert finished == ["/1", "/2"]
        done.open()
        server.idle()
    assert finished == ["/1", "/2", "/0"]


def test_background_work_survives_the_connection(server: Server) -> None:
    done = server.gate()
    finished = server.gate()

    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        await path(scope, receive, send)
        await done.passed()
        finished.open()

    server.use(app)
    with server.raw() as peer:
        peer.send(FIRST)
        peer.response()
    server.until(lambda: server.open == 0, "the connection is closed")
    done.open()
    finished.wait()


def test_bodies_between_the_requests(server: Server) -> None:
    recorder = Recorder()
    server.use(recorder)
    data, bodies = b"", []
    for number in range(100):
        body = bytes([number]) * (number * 37 % 1000)
        bodies.append(body)
        if number % 2:
            data += head(f"Content-Length: {len(body)}", target=f"/{number}") + body
        else:
            data += head("Transfer-Encoding: chunked", target=f"/{number}")
            data += b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in (body[:100], body[100:]) if piece)
            data += b"0\r\n\r\n"
    with server.raw() as peer:
        peer.send(data)
        for body in bodies:
            assert peer.response().body == body
    assert [seen.body for seen in recorder.whole] == bodies


def test_error_in_the_first_call_ends_the_connection(server: Server) -> None:
    """500 says `connection: close`: the requests behind it are not served."""

    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        raise ValueError("on purpose")

    server.use(app)
    with server.raw() as peer:
        peer.send(get(0) + get(1))
        response = peer.response()
        assert response.status == 500 and response.closes
        peer.ended(1.5)
    assert len(server.calls) == 1
    assert isinstance(server.traceback(), ValueError)


@pytest.mark.parametrize("app", [path, pausing], ids=lambda app: app.__name__)
def test_many_good_then_one_bad(server: Server, app: Any) -> None:
    server.use(app)
    with server.raw() as peer:
        peer.send(b"".join(get(number) for number in range(50)) + b"GET /bad HTTP/1.1\r\nX : y\r\n\r\n" + get(50))
        for number in range(50):
            assert peer.response().body == f"/{number}".encode()
        response = peer.response()
        assert response.status == 400 and response.closes
        peer.ended(1.5)
    assert len(server.calls) == 50
    assert server.line()


def test_bad_request_behind_a_slow_one(server: Server) -> None:
    """The error waits for its turn: the answer under way is delivered whole first."""
    gate = server.gate()

    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body", "body": b"a", "more_body": True})
        await gate.passed()
        await send({"type": "http.response.body", "body": b"b"})

    server.use(app)
    with server.raw() as peer:
        peer.send(FIRST + b"GET /bad HTTP/1.1\r\nX : y\r\n\r\n")
        assert peer.head().status == 200
        assert peer.chunk() == b"a"
        server.settle()
        assert peer.pending() == b""
        gate.open()
        assert peer.chunk() == b"b"
        assert peer.chunk() == b""
        response = peer.response()
        assert response.status == 400 and response.closes
        peer.ended(1.5)
    assert server.line()


def test_twenty_thousand_in_one_go(server: Server) -> None:
    """More than one read takes: heads lie across the border of two reads, many times."""
    server.use(path)
    count = 20_000
    with server.raw(timeout=20.0) as peer:

        def write() -> None:
            with contextlib.suppress(OSError):  # closed in the middle of it, when the connection has had its number of requests
                peer.socket.sendall(b"".join(get(number) for number in range(count)))

        writer = threading.Thread(target=write)
        writer.start()
        number = closed = 0
        while number < count and not closed:
            response = peer.response()
            assert response.body == f"/{number}".encode()
            closed = response.closes  # limit_requests_per_connection
            number += 1
        if closed:
            peer.close()
        writer.join(20.0)
    assert number >= 9_000


@pytest.mark.parametrize("app", [path, pausing], ids=lambda app: app.__name__)
def test_answers_nobody_reads(server: Server, app: Any) -> None:
    """Small requests, large answers, a client that does not read: the server stops answering, and goes on later."""
    count, size = 1000, 100_000

    async def large(scope: dict[str, Any], receive: Any, send: Any) -> None:
        if app is pausing:
            await asyncio.sleep(0)
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body", "body": scope["raw_path"].ljust(size)})

    server.use(large)
    with server.raw(timeout=20.0) as peer:
        peer.send(b"".join(get(number) for number in range(count)))
        last = -1
        while len(server.calls) != last:
            last = len(server.calls)
            for _ in range(20):
                server.settle()
        assert len(server.calls) * size < 20_000_000, "the answers pile up in the server"
        for number in range(count):
            assert peer.response().body == f"/{number}".encode().ljust(size)


@pytest.mark.parametrize("begun", [0, 1, 20], ids=["all-at-once", "one-first", "some-first"])
def test_flood_behind_a_slow_request(server: Server, begun: int) -> None:
    """While the application is busy the server stops reading, whether the flood came with the first request or later;
    afterwards the requests are answered in order."""
    gate = server.gate()
    count = 60_000
    fill = "x" * 400

    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        if scope["path"] == "/0":
            await gate.passed()
        await path(scope, receive, send)

    server.use(app)
    requests = [head(f"A: {fill}", method="GET", target=f"/{number}") for number in range(count)]
    with server.raw(timeout=20.0) as peer:
        for request in requests[:begun]:
            peer.send(request)
            server.settle()
        data = b"".join(requests[begun:])
        sent = peer.pour(data)
        assert sent < 16_000_000 < len(data), "the server read ahead without limit"
        assert len(server.calls) == 1
        gate.open()
        for number in range(200):
            assert peer.response().body == f"/{number}".encode()
