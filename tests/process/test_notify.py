"""Under a service manager: it hears when the server is ready, reloaded, stopped, and that it lives."""

from __future__ import annotations

import os
import secrets
import signal
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from process.command import PATIENCE, Client

if TYPE_CHECKING:
    from process.conftest import Workplace

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="there are no service managers here")

SHOWS = """
import os
import sys
import time
from pathlib import Path

left = sorted({"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"} & os.environ.keys())
print(f"environment {left}\\n", end="")  # one write: lines of two processes do not mix

async def app(scope, receive, send):
    assert scope["type"] == "http"
    if scope["path"] == "/block":
        print("blocked")
        while not Path("release").exists():
            time.sleep(0.01)
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
    await send({"type": "http.response.body"})
"""


class Manager:
    """A service manager's socket, and what it is told."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind("\0" + address[1:] if address.startswith("@") else address)
        self.socket.settimeout(PATIENCE)
        self.heard: list[dict[str, str]] = []

    def next(self, key: str) -> dict[str, str]:
        """The next message that has this key; those before it are kept in ``heard``."""
        while True:
            lines = self.socket.recv(4096).decode().split("\n")
            self.heard.append(dict(line.split("=", 1) for line in lines))
            if key in self.heard[-1]:
                return self.heard[-1]

    def drain(self) -> None:
        """What is on its way has arrived; forget it."""
        self.socket.setblocking(False)
        try:
            while True:
                self.socket.recv(4096)
        except BlockingIOError:
            self.socket.settimeout(PATIENCE)


@pytest.fixture(params=["path", "abstract"])
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Manager]:
    if request.param == "abstract" and sys.platform != "linux":
        pytest.skip("abstract sockets are Linux's")
    address = str(tmp_path / "notify") if request.param == "path" else f"@pronghorn-{secrets.token_hex(8)}"
    manager = Manager(address)
    yield manager
    manager.socket.close()


def test_server_alone(place: Workplace, manager: Manager) -> None:
    place.write("shows", SHOWS)
    command = place.pronghorn("shows:app", env={"NOTIFY_SOCKET": manager.address})
    ready = manager.next("READY")
    assert ready["MAINPID"] == str(command.process.pid)
    with Client(command.port) as client:
        client.request("/")
        client.until(b"\r\n\r\n")
    command.send(signal.SIGTERM)
    manager.next("STOPPING")
    assert command.exit() == 0
    assert "environment []" in command.out
    assert not any("WATCHDOG" in message for message in manager.heard)
    command.clean()


def test_workers(place: Workplace, manager: Manager) -> None:
    """The supervisor speaks for all of them: once each of them is ready, and when each of them has been replaced."""
    place.write("shows", SHOWS)
    command = place.pronghorn("shows:app", "--workers", "2", env={"NOTIFY_SOCKET": manager.address})
    ready = manager.next("READY")
    assert ready["MAINPID"] == str(command.process.pid)
    assert ready["STATUS"] == "Serving from 2 processes"
    command.wait_for("running on")
    before = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    command.send(signal.SIGHUP)
    reloading = manager.next("RELOADING")
    assert before < int(reloading["MONOTONIC_USEC"]) < time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    manager.next("READY")
    assert len([line for line in command.err if "is replaced: the server is reloaded" in line]) == 2
    command.send(signal.SIGTERM)
    manager.next("STOPPING")
    assert command.exit() == 0
    assert "".join(command.out).count("environment []") == 4
    assert sum("READY" in message for message in manager.heard) == 2
    command.clean()


def test_reload_that_fails_ends(place: Workplace, manager: Manager) -> None:
    place.write("shows", SHOWS)
    command = place.pronghorn("shows:app", "--workers", "2", env={"NOTIFY_SOCKET": manager.address})
    manager.next("READY")
    place.write("shows", "raise ValueError('broken')")
    command.send(signal.SIGHUP)
    manager.next("RELOADING")
    manager.next("READY")
    assert command.stop() == 0


def test_start_that_fails(place: Workplace, manager: Manager) -> None:
    place.write("broken", "raise ValueError('broken')")
    command = place.pronghorn("broken:app", env={"NOTIFY_SOCKET": manager.address})
    assert command.exit() == 3
    manager.next("STOPPING")
    assert not any("READY" in message for message in manager.heard)


@pytest.mark.parametrize("workers", ["1", "2"])
def test_watchdog(place: Workplace, manager: Manager, workers: str) -> None:
    """It hears nothing while all that serve are blocked."""
    place.write("shows", SHOWS)
    settings = {"NOTIFY_SOCKET": manager.address, "WATCHDOG_USEC": "600000"}
    command = place.pronghorn("shows:app", "--workers", workers, env=settings)
    for _ in range(3):
        manager.next("WATCHDOG")
    clients = []
    for number in range(1, int(workers) + 1):  # one after the other: who is blocked accepts nobody
        clients.append(Client(command.port))
        clients[-1].request("/block")
        command.wait_for("blocked", times=number)
    manager.socket.settimeout(1.5)
    with pytest.raises(TimeoutError):
        for _ in range(50):
            manager.next("WATCHDOG")
    manager.socket.settimeout(PATIENCE)
    (place.path / "release").touch()
    manager.next("WATCHDOG")
    for client in clients:
        client.until(b"\r\n\r\n")
        client.socket.close()
    assert command.stop() == 0


def test_manager_that_is_not_there(place: Workplace, tmp_path: Path) -> None:
    command = place.pronghorn("hello:app", env={"NOTIFY_SOCKET": str(tmp_path / "absent"), "WATCHDOG_USEC": "100000"})
    with Client(command.port) as client:
        client.request("/")
        client.until(b"hello")
    assert command.stop() == 0
    command.clean()
