"""Health checks on an address of their own: /livez and /readyz, whatever the application does."""

from __future__ import annotations

import http.client
import os
import re
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from process.command import PATIENCE, Client, Command

if TYPE_CHECKING:
    from process.conftest import Workplace

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork() here")

# Starts, and ends its start, when the test says so.
SLOW = """
import asyncio
import time
from pathlib import Path

async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        await receive()
        print("starting\\n", end="")
        while not Path("go").exists():
            await asyncio.sleep(0.01)
        await send({"type": "lifespan.startup.complete"})
        await receive()
        while Path("stay").exists():
            await asyncio.sleep(0.01)
        await send({"type": "lifespan.shutdown.complete"})
        return
    if scope["path"] == "/block":
        print("blocked")
        while not Path("release").exists():
            time.sleep(0.01)
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"5")]})
    await send({"type": "http.response.body", "body": b"hello"})
"""


def until(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.01)


class Admin:
    """What the command answers on its other address."""

    def __init__(self, command: Command) -> None:
        line = command.wait_for("/livez and /readyz are answered on http://127.0.0.1:")
        found = re.search(r":(\d+)$", line)
        assert found
        self.port = int(found[1])

    def ask(self, path: str, method: str = "GET") -> tuple[int, str]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        try:
            connection.request(method, path)
            response = connection.getresponse()
            return response.status, response.read().decode().rstrip("\n")
        finally:
            connection.close()

    def becomes(self, path: str, status: int, text: str) -> None:
        until(lambda: self.ask(path) == (status, text), f"{path} is {status} {text}, not {self.ask(path)}")


@pytest.fixture(params=["1", "2"])
def workers(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.mark.parametrize("loop", ["uvloop", "asyncio"])
def test_whole_life(place: Workplace, workers: str, loop: str) -> None:
    place.write("slow", SLOW)
    (place.path / "stay").touch()
    command = place.pronghorn(
        "slow:app", "--workers", workers, "--loop", loop, "--admin", "127.0.0.1:0", "--shutdown-delay", "60"
    )
    admin = Admin(command)
    command.wait_for("starting", times=int(workers))
    assert admin.ask("/livez") == (200, "ok")
    assert admin.ask("/readyz") == (503, "starting")
    (place.path / "go").touch()
    command.wait_for("running on")
    admin.becomes("/readyz", 200, "ok")
    assert admin.ask("/readyz", "HEAD") == (200, "")
    assert admin.ask("/readyz", "POST") == (405, "only GET and HEAD")
    assert admin.ask("/")[0] == 404
    assert admin.ask("/livez") == (200, "ok")
    command.send(signal.SIGTERM)
    command.wait_for("Shutting down in 60 seconds (shutdown_delay)")
    admin.becomes("/readyz", 503, "stopping")
    assert admin.ask("/livez") == (200, "ok")
    for _ in range(3):  # it goes on serving, new connections, too
        with Client(command.port) as client:
            client.request("/")
            client.until(b"hello")
    command.send(signal.SIGINT)
    command.wait_for("Waiting for application shutdown", times=int(workers))
    assert admin.ask("/readyz") == (503, "stopping")
    (place.path / "stay").unlink()
    assert command.exit() == 0
    assert not any("readyz" in line for line in command.out)  # no line in the access log
    command.clean()


def test_delay_ends(place: Workplace, workers: str) -> None:
    command = place.pronghorn("hello:app", "--workers", workers, "--shutdown-delay", "0.5")
    command.wait_for("running on")
    before = time.monotonic()
    assert command.stop() == 0
    assert time.monotonic() - before > 0.5
    command.clean()


def test_ctrl_c_does_not_wait(place: Workplace, workers: str) -> None:
    command = place.pronghorn("hello:app", "--workers", workers, "--shutdown-delay", "60")
    command.wait_for("running on")
    assert command.stop(signal.SIGINT) == 0


def test_every_worker_is_blocked(place: Workplace) -> None:
    place.write("slow", SLOW)
    (place.path / "go").touch()
    command = place.pronghorn("slow:app", "--workers", "2", "--admin", "127.0.0.1:0")
    admin = Admin(command)
    admin.becomes("/readyz", 200, "ok")
    clients = []
    for number in (1, 2):  # one after the other: who is blocked accepts nobody
        clients.append(Client(command.port))
        clients[-1].request("/block")
        command.wait_for("blocked", times=number)
    admin.becomes("/livez", 503, "no worker serves")
    assert admin.ask("/readyz") == (503, "no worker serves")
    (place.path / "release").touch()
    admin.becomes("/livez", 200, "ok")
    for client in clients:
        client.until(b"hello")
        client.socket.close()
    assert command.stop() == 0


def test_process_that_answers(place: Workplace) -> None:
    """Another one takes its place, and none outlives the supervisor."""
    place.write("slow", SLOW)
    (place.path / "go").touch()
    command = place.pronghorn("slow:app", "--workers", "2", "--admin", "127.0.0.1:0")
    admin = Admin(command)
    admin.becomes("/readyz", 200, "ok")
    pid = command.process.pid
    children = sorted(map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split()))
    assert len(children) == 3
    os.kill(children[0], signal.SIGKILL)
    command.wait_for("are answered on", times=2)
    admin.becomes("/readyz", 200, "ok")
    command.process.kill()
    command.exit()  # which reads to the end of what all of them may write

    def refused() -> bool:
        try:
            admin.ask("/livez")
        except ConnectionRefusedError:
            return True
        return False

    until(refused, "the address is free")


def test_unix_socket(place: Workplace, workers: str) -> None:
    command = place.pronghorn("hello:app", "--workers", workers, "--admin", "unix:admin.sock")
    command.wait_for("running on")
    command.wait_for("are answered on unix socket admin.sock")
    before = Path.cwd()
    os.chdir(place.path)
    try:

        def ready() -> bool:
            with Client("admin.sock") as client:
                client.request("/readyz", "Connection: close")
                return client.rest().startswith(b"HTTP/1.1 200")

        until(ready, "it is ready")
    finally:
        os.chdir(before)
    assert command.stop() == 0
    assert not (place.path / "admin.sock").exists()
    command.clean()


def test_address_in_use(place: Workplace, workers: str) -> None:
    first = place.pronghorn("hello:app", "--admin", "127.0.0.1:0")
    second = place.pronghorn("hello:app", "--workers", workers, "--admin", f"127.0.0.1:{Admin(first).port}")
    assert second.exit() == 3
    assert "cannot listen on http://127.0.0.1" in "\n".join(second.err)
    assert first.stop() == 0
    second.clean()


def test_no_address(place: Workplace) -> None:
    command = place.pronghorn("hello:app", "--admin", "9000")
    assert command.exit() == 2
    assert "9000 may be a host or a port" in "\n".join(command.err)
