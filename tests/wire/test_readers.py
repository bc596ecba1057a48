"""Clients that read slowly, and clients that read nothing (B04, E06): what counts as progress is what they take.

All scenarios of a server run at the same time, one thread each, and each of them ends by an event or at its ceiling.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from encrypted import SERVERS
from frames import Client, binary, switched, upgrade
from peer import Peer
from probes import head
from serving import LOOPS, Server, serve

from pronghorn.errors import ClientDisconnected

STALL = 3.0  # long enough for a client's thread on a busy machine to take something within it
SLOW = 2.5 * STALL  # for which slow clients read
CEILING = 8 * STALL
SETTINGS = {"timeout_write_stall": STALL, "ws_ping_interval": 1.0, "ws_ping_timeout": None}


@dataclass
class Outcome:
    read: int = 0
    how: str | None = None
    told: list[str] = field(default_factory=list)


class App:
    """Sends without an end, and notes by the path how that ended."""

    def __init__(self) -> None:
        self.told: dict[str, list[str]] = {}

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        told = self.told[scope["path"]] = []
        if scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.accept"})
            message = {"type": "websocket.send", "bytes": bytes(20_000)}
        else:
            await send({"type": "http.response.start", "status": 200})
            message = {"type": "http.response.body", "body": bytes(20_000), "more_body": True}
        try:
            while True:
                if "impatient" in scope["path"]:
                    with contextlib.suppress(TimeoutError):
                        await asyncio.wait_for(send(message), 0.05)
                else:
                    await send(message)
        except ClientDisconnected:
            told.append("raised")
            raise

    def ended(self, path: str) -> bool:
        return bool(self.told.get(path))


def fill(peer: Peer) -> None:
    """Read fast at first: the server's system then keeps megabytes for this client, whose own keeps little."""
    peer.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 32768)
    peer.exactly(4_000_000)


def slow(peer: Peer, outcome: Outcome, app: App, path: str) -> None:
    """Less than the system's buffer holds within the limit, all the time."""
    peer.send(head(method="GET", target=path))
    fill(peer)
    raw = getattr(peer.socket, "raw", peer.socket)  # records need not be understood to be read
    began = time.monotonic()
    while time.monotonic() - began < SLOW and not app.ended(path):
        outcome.read += len(raw.recv(8192))
        threading.Event().wait(0.1)
    outcome.told = list(app.told[path])
    peer.reset()


def bursts(peer: Peer, outcome: Outcome, app: App, path: str) -> None:
    """As curl keeps to a rate: megabytes at once, then nothing for much longer than the limit, then megabytes again."""
    peer.send(head(method="GET", target=path))
    peer.exactly(8_000_000)
    began = time.monotonic()
    while time.monotonic() - began < SLOW and not app.ended(path):
        threading.Event().wait(0.1)
    outcome.told = list(app.told[path])
    if not outcome.told:
        outcome.read = len(peer.exactly(4_000_000))
    peer.reset()


def nothing(peer: Peer, outcome: Outcome, app: App, path: str) -> None:
    """The application goes on to send, whether it may or not: what gathers is no progress."""
    peer.send(head(method="GET", target=path))
    await_end(peer, outcome, app, path, b"")


def websocket(peer: Peer, outcome: Outcome, app: App, path: str) -> None:
    """The client sends byte after byte of a message and takes nothing. The server's own pings are no progress either."""
    peer.send(upgrade(target=path))
    switched(peer.head())
    await_end(peer, outcome, app, path, b"x")


def await_end(peer: Peer, outcome: Outcome, app: App, path: str, byte: bytes) -> None:
    began = time.monotonic()
    message = iter(binary(bytes(10_000)))
    while time.monotonic() - began < CEILING and not app.ended(path):
        if byte and not peer.offer(bytes([next(message)])):
            outcome.how = "reset"
            break
        threading.Event().wait(0.1)
    outcome.told = list(app.told[path])
    if not outcome.told:
        peer.reset()
        return
    with contextlib.suppress(AssertionError):  # on a unix socket, where the end is an ordinary one
        outcome.how = outcome.how or peer.drain(CEILING)[1]


SCENARIOS = {
    "/slow": slow,
    "/unix-slow": slow,
    "/slow-bursts": bursts,
    "/bursts-impatient": bursts,
    "/nothing": nothing,
    "/unix-nothing": nothing,
    "/impatient": nothing,
    "/socket": websocket,
    "/socket-impatient": websocket,
}


@pytest.fixture(scope="module", params=LOOPS)
def outcomes(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Outcome]]:
    app = App()
    found = {path: Outcome() for path in SCENARIOS}
    errors: list[str] = []
    place = str(tmp_path_factory.mktemp("readers") / "s")

    def run(path: str, server: Server) -> None:
        address = place if path.startswith("/unix") else ("127.0.0.1", server.port)
        with (Client if "socket" in path else Peer)(address, CEILING) as peer:
            try:
                SCENARIOS[path](peer, found[path], app, path)
            except Exception as error:
                errors.append(f"{path}: {error!r}")

    with serve(app, loop=request.param, bind=["127.0.0.1:0", f"unix:{place}"], **SETTINGS) as server:
        if server.context:
            SERVERS[place] = server.context
        threads = [threading.Thread(target=run, args=(path, server)) for path in SCENARIOS]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(3 * CEILING)
            assert not thread.is_alive()
        SERVERS.pop(place, None)
        Path(place).unlink(missing_ok=True)
        assert not errors, errors
    yield found


@pytest.mark.parametrize("path", ["/slow", "/unix-slow", "/slow-bursts"])
def test_slow_reader_is_served(outcomes: dict[str, Outcome], path: str) -> None:
    assert outcomes[path].told == [] and outcomes[path].read > 0


def test_what_piles_up_is_given_no_time(outcomes: dict[str, Outcome]) -> None:
    """The application sends on where it should wait, to a client that has read before: not for longer than the limit."""
    assert outcomes["/bursts-impatient"].told == ["raised"]


@pytest.mark.parametrize("path", [path for path in SCENARIOS if "slow" not in path and "bursts" not in path])
def test_reader_of_nothing_is_reset(outcomes: dict[str, Outcome], path: str) -> None:
    """send() raises, so that the application ends, too; the client can tell that what it has is not all."""
    assert outcomes[path].told == ["raised"] and (outcomes[path].how == "reset" or path.startswith("/unix"))
