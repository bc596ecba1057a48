"""Many connections that are ready at once: what they are sent may be held for a moment, and nobody can tell but by the clock.

A request to /block stops the loop until all others have been sent, so that they are one batch.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
import sessions
from frames import connect, frame
from peer import Peer
from probes import head
from serving import Server, serve

COUNT = 40
SETTINGS = {"write_high_water": 65_536}


class App:
    """Takes a while for each request, as a framework does."""

    def __init__(self) -> None:
        self.go = threading.Event()
        self.blocked = threading.Event()
        self.waiting = asyncio.Event()

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        if scope["type"] == "websocket":
            return await sessions.echo(scope, receive, send)
        path = scope["path"]
        body = path.encode()
        if path == "/block":
            self.blocked.set()
            self.go.wait(5)
        elif path == "/wait":
            await self.waiting.wait()
        elif path == "/open":
            self.waiting.set()
        elif path == "/echo":
            body = b""
            more = True
            while more:
                message = await receive()
                body += message["body"]
                more = message["more_body"]
        until = time.perf_counter() + 30e-6
        while time.perf_counter() < until:
            pass
        headers = [(b"x-path", path.encode())]
        if path == "/close":
            headers.append((b"connection", b"close"))
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        if path == "/pieces":
            for number in range(5):
                await send({"type": "http.response.body", "body": b"%d" % number, "more_body": True})
        if path == "/large":
            await send({"type": "http.response.body", "body": b"a" * 3_000_000, "more_body": True})
        if path == "/broken":
            raise RuntimeError("in the middle")
        await send({"type": "http.response.body", "body": body})


def together(server: Server, sender: Callable[[Peer, int], object], before: Callable[[Peer, int], object] | None = None) -> list[Peer]:
    """Connections whose requests are all read in one turn of the loop; what is sent `before` is read in an earlier one."""
    app = App()
    server.use(app)
    peers = [server.raw() for _ in range(COUNT)]
    for peer in peers:  # they are accepted, and their handshakes are over
        assert peer.send(head(method="GET", target="/first")).response().body == b"/first"
    return batch(server, app, peers, sender, before)


def batch(server: Server, app: App, peers: list[Peer], sender: Callable[[Peer, int], object], before: Callable[[Peer, int], object] | None = None) -> list[Peer]:
    with server.raw() as blocker:
        if before:
            for number, peer in enumerate(peers):
                before(peer, number)
            assert blocker.send(head(method="GET", target="/first")).response().body == b"/first"
        blocker.send(head(method="GET", target="/block"))
        assert app.blocked.wait(5)
        for number, peer in enumerate(peers):
            sender(peer, number)
        app.go.set()
        assert blocker.response().body == b"/block"
    return peers


def close(peers: list[Peer]) -> None:
    for peer in peers:
        peer.close()


@pytest.mark.parametrize("path", ["/a", "/pieces", "/large"])
def test_everybody_is_answered(server: Server, path: str) -> None:
    peers = together(server, lambda peer, number: peer.send(head(method="GET", target=path)))
    expected = {"/a": b"", "/pieces": b"01234", "/large": b"a" * 3_000_000}[path] + path.encode()
    for _ in range(2):
        for peer in peers:
            assert peer.response().body == expected
            peer.send(head(method="GET", target=path))
    for peer in peers:
        assert peer.response().body == expected
    close(peers)


def test_pipelined(server: Server) -> None:
    """In order, also when small and large answers take turns."""
    paths = ["/1", "/large", "/2", "/pieces", "/3"]
    data = b"".join(head(method="GET", target=path) for path in paths)
    peers = together(server, lambda peer, number: peer.send(data))
    for peer in peers:
        for path in paths:
            assert peer.response().header("x-path") == path
    close(peers)


def test_last_answers(server: Server) -> None:
    """A connection that is to be closed is closed behind what was held."""
    peers = together(server, lambda peer, number: peer.send(head(method="GET", target="/close")))
    for peer in peers:
        assert peer.response().body == b"/close"
        assert peer.ended() == "fin"
    close(peers)


def test_half_closed(server: Server) -> None:
    peers = together(server, lambda peer, number: peer.send(head(method="GET", target="/a")).finish())
    for peer in peers:
        assert peer.response().body == b"/a"
        assert peer.ended() == "fin"
    close(peers)


def test_clients_that_go_meanwhile(server: Server) -> None:
    def sender(peer: Peer, number: int) -> None:
        peer.send(head(method="GET", target="/a"))
        if number % 3 == 0:
            peer.reset()
        elif number % 3 == 1:
            peer.close()

    peers = together(server, sender)
    for number, peer in enumerate(peers):
        if number % 3 == 2:
            assert peer.response().body == b"/a"
    close(peers)
    server.until(lambda: server.open == 0, "all are closed")


def test_applications_that_fail(server: Server) -> None:
    def sender(peer: Peer, number: int) -> None:
        peer.send(head(method="GET", target="/broken" if number % 2 else "/a"))

    peers = together(server, sender)
    for number, peer in enumerate(peers):
        if number % 2:
            data, _ = peer.drain()
            assert not data.endswith(b"0\r\n\r\n")
        else:
            assert peer.response().body == b"/a"
    close(peers)
    assert len(server.take_log()) == COUNT // 2


SIZES = [1, 100, 3000, *range(4040, 4110), 8191, 8192, 8193, 20_000, 70_000]


@pytest.mark.parametrize("start", range(0, len(SIZES), COUNT))
def test_requests_of_every_size(server: Server, start: int) -> None:
    """Those that are longer than what is read ahead of their turn, or as long."""
    sizes = (SIZES[start : start + COUNT] * COUNT)[:COUNT]

    def sender(peer: Peer, number: int) -> None:
        peer.send(echo(sizes[number]))

    peers = together(server, sender)
    for _ in range(2):
        for number, peer in enumerate(peers):
            assert peer.response().body == contents(sizes[number])
            peer.send(echo(sizes[number]))
    for number, peer in enumerate(peers):
        assert peer.response().body == contents(sizes[number])
    close(peers)


def contents(size: int) -> bytes:
    return b"".join(b"%7d " % number for number in range(size // 8 + 1))[:size]


def echo(size: int) -> bytes:
    return head(f"Content-Length: {size}", target="/echo") + contents(size)


@pytest.mark.parametrize("size", [60, 4096, 5000])
def test_requests_in_two_parts(server: Server, size: int) -> None:
    """One part before, one in the batch; in one half of them the cut is in the head."""
    request = echo(size)
    cuts = [(number * 7) % (len(request) - size) + 1 if number % 2 else len(request) - size + number % size for number in range(COUNT)]

    def before(peer: Peer, number: int) -> None:
        peer.send(request[: cuts[number]])

    def sender(peer: Peer, number: int) -> None:
        peer.send(request[cuts[number] :])

    peers = together(server, sender, before)
    for peer in peers:
        assert peer.response().body == contents(size)
    close(peers)


def test_requests_behind_one_that_waits(server: Server) -> None:
    """They are read, and kept until it is answered."""

    def before(peer: Peer, number: int) -> None:
        peer.send(head(method="GET", target="/wait"))

    def sender(peer: Peer, number: int) -> None:
        peer.send(head(method="GET", target=f"/{number}") + echo(30 * number)[: 5000 - number])

    peers = together(server, sender, before)
    server.until(lambda: server.active == COUNT, "all are waiting")
    assert server.get("/open").body == b"/open"
    for number, peer in enumerate(peers):
        assert peer.response().body == b"/wait"
        assert peer.response().body == f"/{number}".encode()
        assert peer.response().body == contents(30 * number)
    close(peers)


def test_one_that_has_to_give_way() -> None:
    """A new connection is in the batch, too, and takes the place of one that has been idle, and has just sent something."""
    with serve(limit_connections=COUNT + 1) as server:
        new: list[Peer] = []

        def sender(peer: Peer, number: int) -> None:
            peer.send(head(method="GET", target="/a"))
            if number % 8 == 0:
                new.append(server.raw().send(head(method="GET", target="/new")))

        peers = together(server, sender)
        for peer in peers:
            with suppress(OSError):  # it has been closed
                peer.finish()
        assert {peer.drain()[0].count(b"HTTP/1.1 200") for peer in peers} <= {0, 1}
        assert server.get("/a").body == b"/a"
        close(peers + new)


def test_websockets(server: Server) -> None:
    def sender(client: Peer, number: int) -> None:
        client.send(frame(2, contents(4060 + number)) + frame(2, b"a"))

    app = App()
    server.use(app)
    clients = [connect(server) for _ in range(COUNT)]
    for client in clients:
        assert client.send(frame(1, b"first")) and client.message() == "first"
    batch(server, app, [*clients], sender)
    for number, client in enumerate(clients):
        assert [client.message(), client.message()] == [contents(4060 + number), b"a"]
        client.leave()
    close([*clients])
