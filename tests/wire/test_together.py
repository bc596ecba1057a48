"""Many connections that are ready at once: what they are sent may be held for a moment, and nobody can tell but by the clock.

A request to /block stops the loop until all others have been sent, so that they are one batch.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from peer import Peer
from probes import head
from serving import Server

COUNT = 40
SETTINGS = {"write_high_water": 65_536}


class App:
    """Takes a while for each request, as a framework does."""

    def __init__(self) -> None:
        self.go = threading.Event()
        self.blocked = threading.Event()

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        path = scope["path"]
        if path == "/block":
            self.blocked.set()
            self.go.wait(5)
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
        await send({"type": "http.response.body", "body": path.encode()})


def together(server: Server, sender: Callable[[Peer, int], None]) -> list[Peer]:
    """Connections whose requests are all read in one turn of the loop."""
    app = App()
    server.use(app)
    peers = [server.raw() for _ in range(COUNT)]
    for peer in peers:  # they are accepted, and their handshakes are over
        assert peer.send(head(method="GET", target="/first")).response().body == b"/first"
    with server.raw() as blocker:
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
    peers = together(server, lambda peer, number: peer.send(head(method="GET", target=path)) and None)
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
    peers = together(server, lambda peer, number: peer.send(data) and None)
    for peer in peers:
        for path in paths:
            assert peer.response().header("x-path") == path
    close(peers)


def test_last_answers(server: Server) -> None:
    """A connection that is to be closed is closed behind what was held."""
    peers = together(server, lambda peer, number: peer.send(head(method="GET", target="/close")) and None)
    for peer in peers:
        assert peer.response().body == b"/close"
        assert peer.ended() == "fin"
    close(peers)


def test_half_closed(server: Server) -> None:
    peers = together(server, lambda peer, number: peer.send(head(method="GET", target="/a")).finish() and None)
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
