"""Nothing grows: every way a connection can end, many times over, leaves memory, objects and descriptors as they were."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Any

import pytest
from growth import measure, resident
from peer import Closed, Peer
from probes import FIRST, head
from serving import Server, modes

MODES = modes("lazy", "task")
ROUNDS = 60


async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
    path = scope["path"]
    if path == "/raise":
        raise ValueError("on purpose")
    if path == "/wait":
        await receive()
        assert (await receive())["type"] == "http.disconnect"
        return
    if path == "/read":
        more = True
        while more:
            message = await receive()
            more = message.get("more_body", False)
    if path == "/pause":
        await asyncio.sleep(0)
    await send({"type": "http.response.start", "status": 200})
    if path == "/cut":
        await send({"type": "http.response.body", "body": b"x" * 1000, "more_body": True})
        await asyncio.sleep(0)
        raise ValueError("on purpose")
    if path == "/large":
        for _ in range(100):
            await send({"type": "http.response.body", "body": bytes(100_000), "more_body": True})
    await send({"type": "http.response.body", "body": b"ok"})


def get(path: str) -> bytes:
    return head(method="GET", target=path)


def answered(peer: Peer, data: bytes, count: int = 1) -> None:
    peer.send(data)
    for _ in range(count):
        peer.response()


def cut_off(peer: Peer, data: bytes) -> None:
    peer.offer(data)
    try:
        peer.response()
    except Closed:
        pass


def reset_after(peer: Peer, data: bytes) -> None:
    peer.send(data)
    peer.reset()


ENDS: dict[str, Callable[[Peer], None]] = {
    "answered": lambda peer: answered(peer, FIRST),
    "answered-after-a-pause": lambda peer: answered(peer, get("/pause")),
    "pipelined": lambda peer: answered(peer, FIRST * 20, 20),
    "pipelined-with-pauses": lambda peer: answered(peer, get("/pause") * 20, 20),
    "closed-by-request": lambda peer: answered(peer, head("Connection: close", method="GET")),
    "body": lambda peer: answered(peer, head("Content-Length: 100000", target="/read") + bytes(100_000)),
    "chunks": lambda peer: answered(peer, head("Transfer-Encoding: chunked", target="/read") + b"1\r\nx\r\n" * 500 + b"0\r\n\r\n"),
    "unread-body": lambda peer: answered(peer, head("Content-Length: 1000") + bytes(1000)),
    "large-unread-body": lambda peer: answered(peer, head("Content-Length: 1000000")),
    "refused": lambda peer: cut_off(peer, b"GET / HTTP/1.1\r\nX : y\r\n\r\n"),
    "refused-in-the-body": lambda peer: cut_off(peer, head("Transfer-Encoding: chunked", target="/read") + b"x\r\n"),
    "refused-behind-another": lambda peer: answered(peer, FIRST + b"GET / HTTP/1.1\r\nX : y\r\n\r\n", 2),
    "raise": lambda peer: cut_off(peer, get("/raise")),
    "cut": lambda peer: cut_off(peer, get("/cut")),
    "silent": lambda peer: None,
    "half-head": lambda peer: peer.send(FIRST[:20]) and None,
    "reset-in-the-head": lambda peer: reset_after(peer, FIRST[:20]),
    "reset-in-the-body": lambda peer: reset_after(peer, head("Content-Length: 10", target="/read") + b"x"),
    "reset-in-the-call": lambda peer: reset_after(peer, get("/wait")),
    "reset-in-the-answer": lambda peer: reset_after(peer, get("/large")),
    "reset-with-a-pipeline": lambda peer: reset_after(peer, get("/wait") + FIRST * 50),
    "half-closed": lambda peer: peer.send(FIRST).finish().response() and None,
}


@pytest.mark.parametrize("end", ENDS)
def test_nothing_grows(server: Server, end: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # pytest keeps every record it sees, and with it the traceback.
    monkeypatch.setattr(logging.getLogger("pronghorn.error"), "propagate", False)
    server.use(app)

    def rounds(count: int) -> None:
        for _ in range(count):
            with server.raw() as peer:
                ENDS[end](peer)
        for _ in range(5):
            server.settle()  # the last ones may not even be accepted yet
        server.until(lambda: server.open == 0, "every connection is closed", within=5)

    rounds(ROUNDS)
    before = measure(server)
    for _ in range(3):
        rounds(ROUNDS)
        after = measure(server)
        grown = after[0] - before[0]
        # The pool keeps as many exchanges as there were at once, which depends on how busy the machine is, and each of
        # them what it waited with. A leak grows every time.
        if max(grown.values(), default=0) < ROUNDS / 2 and after[1] - before[1] < 5 * ROUNDS and after[2] <= before[2]:
            return
        before, more = after, (after[1] - before[1], after[2] - before[2])
    raise AssertionError(f"objects: {grown}; {more[0]} blocks and {more[1]} descriptors more")


def test_caches_are_bounded(server: Server) -> None:
    """Thousands of different names, values, targets and methods: what is remembered of them has a limit."""
    server.use(app)

    def rounds(first: int) -> None:
        with server.raw() as peer:
            for start in range(first, first + 4000, 100):
                numbers = range(start, start + 100)
                lines = ("X-{0}: {0}", "Accept: {0}", "User-Agent: agent/{0}", "Cookie: a={0}", "Authorization: Basic {0}")
                peer.send(
                    b"".join(
                        head(*(line.format(number) for line in lines), method="GET", target=f"/{number}?{number}")
                        for number in numbers
                    )
                )
                for _ in numbers:
                    assert peer.response().status == 200
                server.calls.clear()

    rounds(0)
    before = measure(server)
    rounds(100_000)
    after = measure(server)
    assert after[1] - before[1] < 2000, f"{after[1] - before[1]} blocks more"


@pytest.mark.parametrize("state", ["idle", "half-head", "waiting"])
def test_memory_of_a_connection(server: Server, state: str) -> None:
    """A thousand connections in a state that lasts: kilobytes each, not buffers."""
    server.use(app)
    peers = []

    def more(count: int) -> None:
        for _ in range(count):
            peer = server.raw()
            if state == "idle":
                peer.send(FIRST)
                peer.response()
            elif state == "half-head":
                peer.send(FIRST[:20])
            else:
                peer.send(get("/wait"))
            peers.append(peer)
        server.settle()
        server.calls.clear()

    try:
        more(200)
        before = resident()
        more(800)
        grown = (resident() - before) / 800
    finally:
        for peer in peers:
            peer.reset()
    assert grown < 24_000, f"{grown:.0f} bytes for each connection, the client's share included"


def work(server: Server, data: bytes, method: str = "GET") -> float:
    """Processor seconds that the request costs, both sides."""
    with server.raw(timeout=30) as peer:
        began = time.process_time()
        peer.pour(data, patience=2.0)
        peer.response(method)
        return time.process_time() - began


@pytest.mark.parametrize(
    ("name", "make"),
    [
        ("tiny-chunks", lambda size: head("Transfer-Encoding: chunked", target="/read") + b"1\r\nx\r\n" * size + b"0\r\n\r\n"),
        ("one-large-chunk", lambda size: head("Transfer-Encoding: chunked", target="/read") + b"%x\r\n%b\r\n0\r\n\r\n" % (size * 20, bytes(size * 20))),
        ("length", lambda size: head(f"Content-Length: {size * 20}", target="/read") + bytes(size * 20)),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_work_is_linear(server: Server, name: str, make: Callable[[int], bytes]) -> None:
    """Twice the input is twice the work, with room for a noisy machine; and a megabyte in tiny chunks below a second."""
    server.use(app)
    size = 150_000
    small = min(work(server, make(size)) for _ in range(3))
    large = min(work(server, make(4 * size)) for _ in range(3))
    assert large < 1.0 or large / small < 4 * 2.3, f"{small:.3f} s and {large:.3f} s"
    assert small < 1.0


def test_head_in_tiny_segments(server: Server) -> None:
    """The longest head in segments of a few bytes: each is looked at once, not all of it again and again."""
    server.use(app)
    data = head(*(f"X-{number}: {'v' * 600}" for number in range(90)), method="GET")
    with server.raw() as peer:
        began = time.process_time()
        for at in range(0, len(data), 16):
            peer.send(data[at : at + 16])
            if at % 160 == 0:
                server.settle()
        assert peer.response().status == 200
        assert time.process_time() - began < 1.5
