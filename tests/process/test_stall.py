"""A blocked event loop: one warning that says where and by which request, and one line when it is over."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest
from process.command import Client

if TYPE_CHECKING:
    from process.conftest import Workplace

APP = """
import asyncio
import time

def stand_still(seconds):
    time.sleep(seconds)

async def app(scope, receive, send):
    assert scope["type"] == "http"
    if scope["path"] == "/later":
        await asyncio.sleep(0)
    if scope["path"] == "/child":
        await asyncio.create_task(child(scope))
    elif scope["path"] != "/":
        stand_still(1.2)
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
    await send({"type": "http.response.body"})

async def child(scope):
    stand_still(1.2)
"""

TASKS = ["lazy", "task", *(["eager"] if sys.version_info >= (3, 12) else [])]


@pytest.mark.parametrize("loop", ["uvloop", "asyncio"])
@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("path", ["/now", "/later", "/child"])
def test_blocked_loop(place: Workplace, loop: str, task: str, path: str) -> None:
    place.write("blocks", APP)
    command = place.pronghorn("blocks:app", "--loop", loop, "--task", task, "--loop-stall-log", "0.4")
    with Client(command.port) as client:
        client.request("/")
        client.until(b"\r\n\r\n")
        client.request(path)
        client.until(b"\r\n\r\n")
    command.wait_for("The event loop turns again, after")
    assert command.stop() == 0
    (warning,) = [line for line in command.err if "has been blocked" in line]
    assert f"by GET {path} (loop_stall_log)" in warning
    assert any("in stand_still" in line for line in command.err)
    assert not any("runners.py" in line or "in serve" in line for line in command.err)  # only the application's part
    assert len([line for line in command.err if "turns again" in line]) == 1


def test_worker(place: Workplace) -> None:
    place.write("blocks", APP)
    command = place.pronghorn("blocks:app", "--workers", "2", "--loop-stall-log", "0.4")
    with Client(command.port) as client:
        client.request("/now")
        client.until(b"\r\n\r\n")
    command.wait_for("by GET /now")
    command.wait_for("turns again")
    assert command.stop() == 0
    command.clean()


def test_path_stays_in_its_line(place: Workplace) -> None:
    place.write("blocks", APP)
    command = place.pronghorn("blocks:app", "--loop-stall-log", "0.4")
    with Client(command.port) as client:
        client.request("/a%0Aforged")
        client.until(b"\r\n\r\n")
    command.wait_for("by GET /a%0Aforged (loop_stall_log)")
    assert command.stop() == 0


def test_switched_off(place: Workplace) -> None:
    place.write("blocks", APP)
    command = place.pronghorn("blocks:app", "--loop-stall-log", "0")
    with Client(command.port) as client:
        client.request("/now")
        client.until(b"\r\n\r\n")
    assert command.stop() == 0
    assert not any("blocked" in line or "turns again" in line for line in command.err)
    command.clean()


def test_idle_server_is_not_blocked(place: Workplace) -> None:
    """Its loop waits in the kernel; nothing is said of that."""
    command = place.pronghorn("hello:app", "--loop-stall-log", "1")
    with Client(command.port) as client:
        client.socket.settimeout(2.5)
        with pytest.raises(TimeoutError):
            client.socket.recv(1)
    assert command.stop() == 0
    assert not any("blocked" in line for line in command.err)
