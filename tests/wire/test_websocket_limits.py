"""Limits of what a client may send (E01 to E05): the close says which, and neither memory nor time goes beyond it."""

from __future__ import annotations

import contextlib
import itertools
import re
import threading
import time
import zlib
from pathlib import Path
from typing import Any

import pytest
from frames import BINARY, CLOSE, CONTINUATION, PONG, Frame, binary, close, connect, frame, ping, pong, text
from growth import resident
from serving import Server, serve
from sessions import Echo, each, echo
from wsclients import CLIENTS, Over

MB = 1_048_576
SIZE = 16 * MB  # ws_max_size
CONTROLS = 1000  # ws_control_limit
FRAGMENTS = 4096  # ws_max_fragments
DEFLATE = "Sec-WebSocket-Extensions: permessage-deflate"


class Peak:
    """The most memory that was resident in a block, beyond what was there before it."""

    def __enter__(self) -> Peak:
        try:
            Path("/proc/self/clear_refs").write_text("5")
        except OSError as error:
            pytest.skip(f"the kernel does not reset the peak of memory: {error}")
        self.before = resident()
        return self

    def __exit__(self, *_: object) -> None:
        status = Path("/proc/self/status").read_text()
        self.bytes = int(re.findall(r"VmHWM:\s+(\d+) kB", status)[0]) * 1024 - self.before


def refused(server: Server, data: bytes, code: int, reason: str, *lines: str) -> None:
    """A close with this code and reason, and the same for the application and the log."""
    app = Echo()
    server.use(app)
    with connect(server, *lines) as client:
        client.offer(data)
        assert (client.closed() if code == 1009 else client.bye()) == (code, reason)
    server.idle()
    assert app.only.ends == [(code, reason)]
    assert server.line().startswith(f"WebSocket closed: {code} {reason} (127.0.0.1:")


# E01: size


@pytest.mark.parametrize("declared", [SIZE + 1, 1 << 32, 8 << 30, (1 << 63) - 1])
@pytest.mark.parametrize("opcode", [1, 2])
def test_declared_size(server: Server, declared: int, opcode: int) -> None:
    """On the length field, before any of the payload and without memory for it."""
    with Peak() as peak:
        refused(server, frame(opcode, declared=declared), 1009, "message too big")
    assert peak.bytes < MB, f"{peak.bytes} bytes more"


def test_declared_and_never_sent(server: Server) -> None:
    """A frame of just the largest size costs what has come of it."""
    server.use(echo)
    clients = [connect(server) for _ in range(10)]
    try:
        with Peak() as peak:
            for client in clients:
                client.send(frame(BINARY, declared=SIZE) + b"x" * 1000)
            for _ in clients:
                server.settle()
        assert peak.bytes < MB, f"{peak.bytes} bytes more"
    finally:
        for client in clients:
            client.close()


CUTS: list[list[int]] = [[], [1000], [1, 2, 999], [0, 0, 500]]


@pytest.mark.parametrize("cuts", CUTS, ids=str)
@pytest.mark.parametrize("opcode", [1, 2])
@pytest.mark.parametrize("above", [0, 1], ids=["at", "above"])
def test_at_the_limit(above: int, opcode: int, cuts: list[int]) -> None:
    """However it is cut into fragments."""
    data = b"x" * (1000 + above)
    edges = [0, *cuts, len(data)]
    parts = [data[begin:end] for begin, end in itertools.pairwise(edges)]
    wire = [frame(CONTINUATION if at else opcode, part, fin=at == len(parts) - 1) for at, part in enumerate(parts)]
    with serve(echo, ws_max_size=1000) as server, connect(server) as client:
        client.offer(b"".join(wire))
        if above:
            assert client.closed() == (1009, "message too big")
            server.line()
        else:
            assert client.frame() == Frame(opcode, data)
            client.leave()


@pytest.mark.parametrize("before", [b"", text("one")], ids=["", "behind-a-message"])
@pytest.mark.parametrize("kind", ["whole", "fragments", "compressed"])
def test_close_is_waited_for(server: Server, kind: str, before: bytes) -> None:
    """Our side stays open while the client still sends what was too big, and a ping; its close ends it."""
    server.use(Echo())
    with connect(server, *([DEFLATE] if kind == "compressed" else [])) as client:
        if kind == "whole":
            data = binary(bytes(SIZE + 1))
        elif kind == "fragments":
            data = binary(bytes(SIZE), fin=False) + frame(CONTINUATION, bytes(SIZE), fin=False) + frame(CONTINUATION, b"x")
        else:
            data = frame(BINARY, bomb(2 * SIZE), rsv=4)
        half = len(data) // 2 if kind != "compressed" else len(data)
        client.send(before + data[:half])
        if before and kind != "compressed":
            assert client.message() == "one"
        elif before:
            client.frame()
        if kind != "fragments":
            assert client.closed() == (1009, "message too big")
        server.settle()
        client.send(data[half:])
        if kind == "fragments":
            assert client.closed() == (1009, "message too big")
        client.send(ping() + text("ignored"))
        server.settle()
        assert not client.gone(), "the server has shut its side before the client's close"
        client.send(close(1009))
        assert client.ended() == "fin"
    assert server.line().startswith("WebSocket closed: 1009 message too big")


@pytest.mark.parametrize("name", CLIENTS)
@pytest.mark.parametrize("loop", ["uvloop", "asyncio"])
def test_clients_that_send_too_much(name: str, loop: str) -> None:
    """They learn why, and close() does not fail over a connection that has ended on one side."""
    with serve(echo, loop=loop, ws_max_size=1000) as server:
        for size in (1001, 3_000_000):
            with CLIENTS[name](server.url("ws"), compression=False) as client:
                with contextlib.suppress(Over):
                    client.send(bytes(size))
                assert client.over() == (1009, "message too big")
                client.close()
            assert server.line().startswith("WebSocket closed: 1009")


def test_close_that_does_not_come() -> None:
    with serve(Echo(), ws_max_size=10, timeout_linger=0.5) as server, connect(server) as client:
        client.send(binary(bytes(11)))
        assert client.closed() == (1009, "message too big")
        assert client.ended() == "fin"
        server.line()


def test_without_a_limit() -> None:
    with serve(echo, ws_max_size=0) as server, connect(server, timeout=20) as client:
        data = bytes(SIZE + 1)
        writer = threading.Thread(target=client.socket.sendall, args=(binary(data),))
        writer.start()
        assert client.message() == data
        writer.join(5)
        client.leave()


# E02: fragments


@pytest.mark.parametrize("size", [1, 2, 32])
def test_endless_fragments(server: Server, size: int) -> None:
    """Tiny ones, never the last: memory stays in proportion, and then it is enough."""
    app = Echo()
    server.use(app)
    part = frame(CONTINUATION, b"x" * size, fin=False)
    wire = 0
    with Peak() as peak, connect(server) as client:
        client.send(binary(b"x" * size, fin=False))
        while client.offer(part * 100) and not client.gone() and wire < MB:
            wire += 100 * len(part)
        assert client.bye() == (1008, "too many fragments")
    assert wire // len(part) >= FRAGMENTS - 100
    server.line()
    assert peak.bytes < max(4 * wire, MB), f"{peak.bytes} for {wire}"


def test_many_fragments_of_a_good_size(server: Server) -> None:
    """One for every 64 bytes is not too many."""
    server.use(echo)
    count = 20_000
    with connect(server) as client:
        client.send(binary(bytes(64), fin=False) + frame(CONTINUATION, bytes(64), fin=False) * count + frame(CONTINUATION))
        assert client.message() == bytes(64 * (count + 1))
        client.leave()


def test_fragments_at_the_limit() -> None:
    for above in (0, 1):
        with serve(echo, ws_max_fragments=10) as server, connect(server) as client:
            client.send(binary(b"x", fin=False) + frame(CONTINUATION, b"x", fin=False) * (8 + above) + frame(CONTINUATION, b"x"))
            if above:
                assert client.bye() == (1008, "too many fragments")
                server.line()
            else:
                assert client.message() == b"x" * 10
                client.leave()


# E03: what inflates


def bomb(size: int, first: int = 0) -> bytes:
    """Zeros in one block after another, for a thousandth of their size."""
    squeeze = zlib.compressobj(9, zlib.DEFLATED, -15)
    return (squeeze.compress(bytes(first)) + squeeze.compress(bytes(size)) + squeeze.flush(zlib.Z_SYNC_FLUSH))[:-4]


@pytest.mark.parametrize("parts", [1, 100])
def test_bomb(server: Server, parts: int) -> None:
    """A thousand times its size, whole or over fragments: never more memory than the limit allows."""
    server.use(echo)
    payload = bomb(100 * MB)
    step = len(payload) // parts + 1
    pieces = [payload[at : at + step] for at in range(0, len(payload), step)]
    data = b"".join(
        frame(CONTINUATION if at else BINARY, piece, fin=at == len(pieces) - 1, rsv=0 if at else 4)
        for at, piece in enumerate(pieces)
    )

    def attack() -> None:
        with connect(server, DEFLATE) as client:
            client.offer(data)
            assert client.closed() == (1009, "message too big")
        server.line()

    attack()  # what the first one of all needs for the first time is not what it costs
    with Peak() as peak:
        attack()
    assert peak.bytes < SIZE + 2 * MB, f"{peak.bytes / MB:.1f} MB more"


def test_others_are_served_while_it_inflates(server: Server) -> None:
    """The largest message that may be, in many turns of the loop; none of them lasts long."""
    ready = server.gate()
    sizes: list[int] = []

    async def use(scope: dict[str, Any], receive: Any, send: Any) -> None:
        while (message := await receive())["type"] == "websocket.receive":
            sizes.append(len(message["bytes"]))
            ready.open()

    gaps: list[float] = []
    last = 0.0

    def turn() -> None:
        nonlocal last
        now = time.monotonic()
        gaps.append(now - last)
        last = now
        if not ready.is_open:
            server.loop.call_soon(turn)

    server.use(each(use))
    with connect(server, DEFLATE) as client:
        data = frame(BINARY, bomb(SIZE), rsv=4)
        last = time.monotonic()
        server.loop.call_soon_threadsafe(turn)
        client.send(data)
        ready.wait()
        client.leave()
    assert sizes == [SIZE]
    assert len(gaps) > 14
    assert max(gaps) < 0.1, f"{max(gaps):.3f} s without a turn"


# E04: what was not agreed


def test_compressed_without_the_extension(server: Server) -> None:
    refused(server, frame(BINARY, b"x", rsv=4), 1002, "invalid frame")
    refused(server, frame(BINARY, b"x", fin=False) + frame(CONTINUATION, b"x", rsv=4), 1002, "invalid frame")


# E05: floods


@pytest.mark.parametrize("kind", ["ping", "pong", "full-ping", "mixed"])
def test_flood_of_controls(server: Server, kind: str) -> None:
    """A thousand are taken, and pings answered; then it is enough. What 100,000 cost is next to nothing."""
    kinds = {"ping": ping(), "pong": pong(), "full-ping": ping(b"x" * 125), "mixed": ping() + pong()}
    one = kinds[kind]
    server.use(echo)
    with connect(server) as client:
        began = time.process_time()
        client.pour(one * 100_000)
        frames = [client.frame()]
        while frames[-1].opcode != CLOSE:
            frames.append(client.frame())
        assert client.ended(1.5) == "fin"
        assert time.process_time() - began < 0.5
    answered = {"ping": CONTROLS, "full-ping": CONTROLS, "pong": 0, "mixed": CONTROLS // 2}[kind]
    pongs = [one for one in frames if one.opcode == PONG]
    assert len(pongs) <= answered and len(frames) == len(pongs) + 1
    assert len(pongs) == answered
    assert frames[-1].payload[2:] == b"too many control frames"
    assert frames[-1].code == 1008
    server.line()


def test_flood_of_empty_fragments(server: Server) -> None:
    data = binary(b"", fin=False) + frame(CONTINUATION, fin=False) * 1001
    refused(server, data, 1008, "too many empty frames")


def test_flood_of_empty_messages(server: Server) -> None:
    """Messages are the application's, with content or without: it gets all of them."""
    count = 5000
    seen = 0

    async def use(scope: dict[str, Any], receive: Any, send: Any) -> None:
        nonlocal seen
        while (await receive())["type"] == "websocket.receive":
            seen += 1

    server.use(each(use))
    with connect(server) as client:
        client.send(text("") * count)
        client.leave()
    assert seen == count


def test_as_many_as_may_be(server: Server) -> None:
    """A thousand in ten seconds, with messages between: nothing is wrong with that."""
    server.use(echo)
    with connect(server) as client:
        client.send((ping(b"a") + text("b") + pong()) * (CONTROLS // 2))
        got = [client.frame() for _ in range(CONTROLS)]
        assert got.count(Frame(PONG, b"a")) == CONTROLS // 2
        client.leave()


def test_control_limit_off() -> None:
    with serve(echo, ws_control_limit=0) as server, connect(server) as client:
        client.send(ping() * 5000)
        for _ in range(5000):
            assert client.frame() == Frame(PONG)
        client.leave()
