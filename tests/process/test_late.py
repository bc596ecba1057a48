"""Who connects while a server stops: answered or refused, and never left without an answer."""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
import time
from typing import TYPE_CHECKING

import pytest
from process.command import PATIENCE, Client

if TYPE_CHECKING:
    from process.conftest import Workplace

WORKERS = ["1", "2"] if hasattr(os, "fork") else ["1"]
REQUEST = b"GET / HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n"


def ask(port: int) -> str:
    """What becomes of a client: answered, refused, or why it is lost."""
    try:
        connection = socket.create_connection(("127.0.0.1", port), PATIENCE)
    except ConnectionRefusedError:
        return "refused"
    with connection:
        try:
            connection.sendall(REQUEST)
            answer = connection.recv(65536)
        except OSError as error:
            return f"lost: {error!r}"
    return "answered" if answer.startswith(b"HTTP/1.1 200") else f"lost: {answer!r}"


def crowd(port: int, became: list[str]) -> None:
    while not became or became[-1] == "answered":
        became.append(ask(port))


@pytest.mark.parametrize("workers", WORKERS)
@pytest.mark.parametrize("admin", [(), ("--admin", "127.0.0.1:0")], ids=["", "admin"])
def test_refused_while_others_are_waited_for(place: Workplace, workers: str, admin: tuple[str, ...]) -> None:
    """No process keeps the socket open: the kernel would go on accepting for nobody until the end."""
    command = place.pronghorn("hello:app", "--workers", workers, "--timeout-linger", "60", *admin)
    with Client(command.port) as idle:
        idle.request()
        idle.until(b"hello")
        command.send(signal.SIGTERM)
        deadline = time.monotonic() + PATIENCE
        while (became := ask(command.port)) == "answered":
            assert time.monotonic() < deadline
        assert became == "refused"
        assert command.process.poll() is None
        idle.request()
        idle.until(b"hello")
    assert command.exit() == 0
    command.clean()


def test_unix_socket_goes_at_once(place: Workplace) -> None:
    """And what another server puts in its place stays."""
    command = place.pronghorn("hello:app", "--uds", "late.sock", "--workers", WORKERS[-1], "--timeout-linger", "60")
    command.wait_for("running on")
    path = place.path / "late.sock"
    with Client(str(path)) as idle:
        idle.request()
        idle.until(b"hello")
        command.send(signal.SIGTERM)
        deadline = time.monotonic() + PATIENCE
        while path.exists():
            assert time.monotonic() < deadline
            time.sleep(0.01)
        second = place.pronghorn("hello:app", "--uds", "late.sock")
        second.wait_for("running on")
        idle.request()
        idle.until(b"hello")
    assert command.exit() == 0
    with Client(str(path)) as client:
        client.request()
        client.until(b"hello")
    assert second.stop() == 0
    assert not path.exists()


@pytest.mark.skipif(sys.platform != "linux", reason="only there a socket can be closed without a loss")
@pytest.mark.parametrize("workers", WORKERS)
@pytest.mark.parametrize("loop", ["uvloop", "asyncio"])
def test_crowd(place: Workplace, workers: str, loop: str) -> None:
    """Clients that connect without a pause: a handshake that has ended is a connection that is served."""
    for _ in range(8 if os.environ.get("PRONGHORN_CHAOS") == "full" else 3):
        command = place.pronghorn("hello:app", "--workers", workers, "--loop", loop, "--no-access-log")
        port, became = command.port, list[str]()
        clients = [threading.Thread(target=crowd, args=(port, became)) for _ in range(8)]
        for client in clients:
            client.start()
        while len(became) < 500:
            time.sleep(0.01)
        assert command.stop() == 0
        for client in clients:
            client.join(PATIENCE)
        assert set(became) == {"answered", "refused"}, [one for one in became if one.startswith("lost")]
        command.clean()
