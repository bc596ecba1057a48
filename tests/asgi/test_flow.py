"""Back-pressure: nothing is read far ahead of the application, nothing is written far ahead of the client."""

from __future__ import annotations

import asyncio
import random
import socket
import threading
from typing import Any

import pytest
from growth import resident
from serving import LOOPS, Server, modes, serve

MODES = modes("lazy", "task")
GET = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n"
START = {"type": "http.response.start", "status": 200}
KERNEL = 16_000_000  # both socket buffers of a loopback connection, as large as the kernel may make them


@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunked"])
@pytest.mark.parametrize("started", [False, True], ids=["unread", "one-read"])
def test_reading_stops(server: Server, chunked: bool, started: bool) -> None:
    """A body nobody asks for stays in the kernel; when it is asked for it all arrives, in pieces of bounded size."""
    go = server.gate()
    total = 60_000_000
    sizes: list[int] = []

    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        if started:
            sizes.append(len((await receive())["body"]))
        await go.passed()
        more = True
        while more:
            message = await receive()
            sizes.append(len(message["body"]))
            more = message["more_body"]
        await send(START)
        await send({"type": "http.response.body", "body": b"%d" % sum(sizes)})

    server.use(app)
    if chunked:
        piece = b"10000\r\n" + bytes(65536) + b"\r\n"
        data = piece * (total // 65536)
        length = total // 65536 * 65536
        head = b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
        tail = b"0\r\n\r\n"
    else:
        data, length, tail = bytes(total), total, b""
        head = b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n" % total
    with server.raw() as peer:
        peer.send(head)
        sent = peer.pour(data)
        assert sent < KERNEL, "the server read on although nobody asked"
        go.open()
        peer.send(data[sent:] + tail)
        assert peer.response().body == b"%d" % length
    assert max(sizes) <= 65536 + 262144, "high-water mark and one read"


def test_small_requests_behind_a_full_buffer(server: Server) -> None:
    """Reading goes on after the pause: the connection serves its next requests."""

    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        size, more = 0, True
        while more:
            await asyncio.sleep(0)
            message = await receive()
            size += len(message["body"])
            more = message["more_body"]
        await send(START)
        await send({"type": "http.response.body", "body": b"%d" % size})

    server.use(app)
    with server.raw() as peer:
        for size in (300_000, 0, 70_000, 1, 1_000_000):
            peer.send(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n" % size + bytes(size) + GET)
            assert peer.response().body == b"%d" % size
            assert peer.response().body == b"0"


def test_send_waits(server: Server) -> None:
    """A client that does not read stops the application, and it goes on when the client reads."""
    sends = 0
    total = 600

    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        nonlocal sends
        await send({**START, "headers": [(b"content-length", b"%d" % (total * 100_000))]})
        for number in range(total):
            await send({"type": "http.response.body", "body": bytes(100_000), "more_body": number < total - 1})
            sends += 1

    server.use(app)
    before = resident()
    with server.raw() as peer:
        peer.send(GET)
        response = peer.head()
        last = -1
        while sends != last:
            last = sends
            for _ in range(20):
                server.settle()
        assert sends * 100_000 < KERNEL, "the server gathered what the client did not read"
        assert response.status == 200
        left = total * 100_000
        while left:
            piece = peer.exactly(min(left, 1_000_000))
            left -= len(piece)
        assert peer.pending() == b""
    assert sends == total
    assert resident() - before < 40_000_000


@pytest.mark.parametrize("framing", ["chunked", "length"])
@pytest.mark.parametrize("seed", range(4))
def test_every_byte_in_order(server: Server, framing: str, seed: int) -> None:
    """Bodies of all sizes to a client that reads in odd pieces, so that the socket takes parts of everything."""
    source = random.Random(seed)
    sizes = [source.choice([0, 1, 100, 5_000, 16_383, 16_384, 16_385, 65_536, 150_000]) for _ in range(300)]
    bodies = [bytes([number % 251]) * size for number, size in enumerate(sizes)]
    headers = [(b"content-length", b"%d" % sum(sizes))] if framing == "length" else []

    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        await send({**START, "headers": headers})
        for body in bodies:
            await send({"type": "http.response.body", "body": body, "more_body": True})
        await send({"type": "http.response.body"})

    server.use(app)
    with server.raw() as peer:
        peer.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 20_000)
        peer.send(GET * 3)
        for _ in range(3):
            response = peer.head()
            received = bytearray()
            if framing == "length":
                left = sum(sizes)
                while left:
                    piece = peer.exactly(min(left, source.randint(1, 100_000)))
                    received += piece
                    left -= len(piece)
            else:
                while chunk := peer.chunk():
                    received += chunk
            assert response.status == 200
            assert received == b"".join(bodies)


def test_pipelined_answers_of_all_sizes(server: Server) -> None:
    """Whole answers of all sizes behind each other, while the client reads nothing at first."""
    sizes = [0, 1, 16_384, 3, 200_000, 70_000, 16_383, 1_000_000, 5] * 20

    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        number = int(scope["path"][1:])
        await send(START)
        await send({"type": "http.response.body", "body": bytes([number % 251]) * sizes[number]})

    server.use(app)
    with server.raw() as peer:
        peer.send(b"".join(GET.replace(b"/ ", b"/%d " % number, 1) for number in range(len(sizes))))
        for _ in range(30):
            server.settle()
        for number, size in enumerate(sizes):
            assert peer.response().body == bytes([number % 251]) * size


def test_cancelled_send_goes_out_once(server: Server) -> None:
    """wait_for(send()) runs out of time while the client does not read: what was taken is sent once, in order."""
    counts: list[int] = []
    stuck = server.gate()

    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        await send(START)
        number = 0
        while not stuck.is_open:
            body = b"%08d" % number * 12_500
            try:
                await asyncio.wait_for(send({"type": "http.response.body", "body": body, "more_body": True}), 0.05)
            except TimeoutError:
                stuck.open()
            number += 1
        counts.append(number)
        await send({"type": "http.response.body", "body": b""})

    server.use(app)
    with server.raw() as peer:
        peer.send(GET)
        stuck.wait()
        body = peer.response().body
        server.idle()
    number = counts[0]
    parts = [body[at : at + 100_000] for at in range(0, len(body), 100_000)]
    assert parts in (
        [b"%08d" % part * 12_500 for part in range(number)],
        [b"%08d" % part * 12_500 for part in range(number - 1)],
    )


@pytest.mark.parametrize("mark", [1, 1000, 65_536])
@pytest.mark.parametrize("loop", [loop for loop in LOOPS if loop != "tls"])  # one thread sends, one receives
def test_other_marks(loop: str, mark: int) -> None:
    """With the smallest marks it is slower, but nothing waits for ever, and every byte arrives."""

    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        await send(START)
        more = True
        while more:
            message = await receive()
            more = message["more_body"]
            await send({"type": "http.response.body", "body": message["body"], "more_body": True})
        await send({"type": "http.response.body"})

    marks = {"body_high_water": mark, "write_high_water": mark}
    with serve(app, loop=loop, **marks) as server, server.raw() as peer:
        for size in (0, 1, 5000, 2_000_000):
            body = bytes(number % 251 for number in range(min(size, 5000))) * (size // 5000 or 1)
            body = body[:size]
            data = b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n" % size + body
            writer = threading.Thread(target=peer.socket.sendall, args=(data,))
            writer.start()
            assert peer.response().body == body
            writer.join(5)


def test_two_senders_wait(server: Server) -> None:
    """Two tasks of one call both stand before the high-water mark, and both go on."""

    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        await send(START)

        async def stream(mark: bytes) -> None:
            for _ in range(100):
                await send({"type": "http.response.body", "body": mark * 100_000, "more_body": True})

        await asyncio.gather(stream(b"a"), stream(b"b"))
        await send({"type": "http.response.body", "body": b""})

    server.use(app)
    with server.raw() as peer:
        peer.send(GET)
        peer.head()
        for _ in range(20):
            server.settle()
        body = b""
        while chunk := peer.chunk():
            body += chunk
    assert (body.count(b"a"), body.count(b"b")) == (10_000_000, 10_000_000)


def test_bystander_is_served(server: Server) -> None:
    """One stuck client costs the others nothing."""
    stuck = server.gate()

    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        await send(START)
        if scope["path"] == "/big":
            stuck.open()
            for _ in range(500):
                await send({"type": "http.response.body", "body": bytes(100_000), "more_body": True})
        await send({"type": "http.response.body", "body": b"end"})

    server.use(app)
    with server.raw() as slow:
        slow.send(GET.replace(b"/ ", b"/big ", 1))
        stuck.wait()
        for _ in range(50):
            assert server.get().body == b"end"
        slow.reset()
