"""A blocked event loop: one warning that says where and by which request, and one line when it is over."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest
from process.command import Client, Command

if TYPE_CHECKING:
    from process.conftest import Workplace

APP = """
import asyncio
import os
import time

def stand_still():
    while not os.path.exists("go"):
        time.sleep(0.01)

async def app(scope, receive, send):
    assert scope["type"] == "http"
    if scope["path"] == "/later":
        await asyncio.sleep(0)
    if scope["path"] == "/child":
        await asyncio.create_task(child(scope))
    elif scope["path"] != "/":
        stand_still()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
    await send({"type": "http.response.body"})

async def child(scope):
    stand_still()
"""

TASKS = ["lazy", "task", *(["eager"] if sys.version_info >= (3, 12) else [])]


LIMIT = "0.4"  # of --loop-stall-log; a busy machine may have a loop stand still for that long by itself


def block(place: Workplace, command: Command, path: str) -> None:
    """A request that blocks its loop until the log has said so."""
    with Client(command.port) as client:
        client.request("/")
        client.until(b"\r\n\r\n")
        client.request(path)
        command.wait_for(f"by GET {path} (loop_stall_log)")
        (place.path / "go").touch()
        client.until(b"\r\n\r\n")
    command.wait_for("The event loop turns again, after")


@pytest.mark.parametrize("loop", ["uvloop", "asyncio"])
@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("path", ["/now", "/later", "/child"])
def test_blocked_loop(place: Workplace, loop: str, task: str, path: str) -> None:
    place.write("blocks", APP)
    command = place.pronghorn("blocks:app", "--loop", loop, "--task", task, "--loop-stall-log", LIMIT)
    block(place, command, path)
    assert command.stop() == 0
    warnings = [line for line in command.err if "has been blocked" in line]
    (warning,) = [line for line in warnings if "GET" in line]
    assert f"by GET {path} (loop_stall_log)" in warning
    shown = command.err[command.err.index(warning) + 1 :]
    shown = shown[: next(number for number, line in enumerate(shown) if not line.startswith("  "))]
    assert any("in stand_still" in line for line in shown)
    assert not any("runners.py" in line or "in serve" in line for line in shown)  # only the application's part
    assert len([line for line in command.err if "turns again" in line]) == len(warnings)


def test_worker(place: Workplace) -> None:
    place.write("blocks", APP)
    command = place.pronghorn("blocks:app", "--workers", "2", "--loop-stall-log", LIMIT)
    block(place, command, "/now")
    assert command.stop() == 0
    command.clean()


def test_path_stays_in_its_line(place: Workplace) -> None:
    place.write("blocks", APP)
    command = place.pronghorn("blocks:app", "--loop-stall-log", LIMIT)
    block(place, command, "/a%0Aforged")
    assert command.stop() == 0


def test_switched_off(place: Workplace) -> None:
    place.write("blocks", APP.replace('while not os.path.exists("go")', "for _ in range(120)"))
    command = place.pronghorn("blocks:app", "--loop-stall-log", "0")
    with Client(command.port) as client:
        client.request("/now")
        client.until(b"\r\n\r\n")
    assert command.stop() == 0
    assert not any("blocked" in line or "turns again" in line for line in command.err)
    command.clean()


def test_idle_server_is_not_blocked(place: Workplace) -> None:
    """Its loop waits in the kernel; nothing is said of that. A busy machine may stand still once, but not five times."""
    for _ in range(5):
        command = place.pronghorn("hello:app", "--loop-stall-log", "1")
        with Client(command.port) as client:
            client.socket.settimeout(2.5)
            with pytest.raises(TimeoutError):
                client.socket.recv(1)
        assert command.stop() == 0
        if not any("has been blocked" in line or "stood still" in line for line in command.err):
            return
    raise AssertionError("\n".join(command.err))
