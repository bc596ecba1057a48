"""A supervisor that is killed: everything it has started ends with it, and its addresses are free."""

from __future__ import annotations

import signal
import socket
import sys
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest
from process.command import Client
from process.load import alive, children, until

if TYPE_CHECKING:
    from process.conftest import Workplace

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="what is asked of /proc is Linux's")

BLOCKS = """
import ctypes
import threading
import time

async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        if late:
            threading.Timer(60, print).start()
        await send({"type": "lifespan.shutdown.complete"})
        return
    print("blocked by", scope["path"], end="\\n", flush=True)
    if scope["path"] == "/sleep":
        time.sleep(60)
    if scope["path"] == "/lock":
        ctypes.PyDLL(None).sleep(60)  # keeps the interpreter's lock
    late.append(scope["path"])
    await send({"type": "http.response.start", "status": 204, "headers": []})
    await send({"type": "http.response.body"})

late = []
"""


def is_free(port: int) -> bool:
    with socket.socket() as again:
        again.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            again.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


@pytest.mark.parametrize(
    ("args", "blocked"),
    [
        (("--workers", "3"), ("/sleep", "/lock", "/thread")),
        (("--workers", "3", "--workers-start", "spawn"), ("/sleep", "/lock", "/thread")),
        (("--workers", "2", "--preload", "--admin", "unix:admin.sock"), ("/lock",)),
        (("--reload",), ("/lock",)),
    ],
    ids=["fork", "spawn", "preload", "reload"],
)
def test_workers_that_are_blocked(place: Workplace, args: tuple[str, ...], blocked: tuple[str, ...]) -> None:
    """Those that wait, those that keep the interpreter's lock, those that wait for a thread when they end, and those
    that import the application; as does whatever else the supervisor has started."""
    place.write("blocks", BLOCKS)
    command = place.pronghorn("blocks:app", *args, "--no-access-log", "--timeout-worker-healthcheck", "100")
    port = command.port
    with ExitStack() as stack:
        for path in blocked:
            stack.enter_context(Client(port)).request(path)
            command.wait_for(f"blocked by {path}")
        if "--preload" not in args:
            place.write("blocks", BLOCKS + "print('imports', end='\\n', flush=True)\ntime.sleep(60)\n")
            if "--reload" not in args:
                command.send(signal.SIGHUP)
            command.wait_for("imports")
        pids = children(command)
        assert len(pids) >= len(blocked) + 1
        command.process.kill()
        until(lambda: not any(alive(pid) for pid in pids), "they end")
    until(lambda: is_free(port), "the port is free")  # the last thread of a process lets go of it
    command.exit()
    assert any("Fatal Python error: Aborted" in line for line in command.lines)
