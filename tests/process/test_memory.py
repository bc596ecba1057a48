"""What a peak of memory has taken goes back to the system once there is little to do, whatever stands in the way."""

from __future__ import annotations

import platform
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from process.command import Client

if TYPE_CHECKING:
    from process.conftest import Workplace

pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or platform.libc_ver()[0] != "glibc", reason="it is about glibc's allocator"
)

MEGABYTE = 1_000_000
PEAK = 200 * MEGABYTE
APP = f"""
kept = []

async def app(scope, receive, send):
    if scope["path"] == "/peak":
        blocks = [bytes(20_000) for _ in range({PEAK} // 20_000)]
        kept.append(bytes(20_000))      # behind them: the heap's end stays where it is
        del blocks
    await send({{"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]}})
    await send({{"type": "http.response.body"}})
"""


def resident(process: int) -> int:
    (line,) = [one for one in Path(f"/proc/{process}/status").read_text().splitlines() if one.startswith("VmRSS:")]
    return int(line.split()[1]) * 1024


@pytest.mark.parametrize("loop", ["uvloop", "asyncio"])
def test_peak(place: Workplace, loop: str) -> None:
    place.write("peaks", APP)
    command = place.pronghorn("peaks:app", "--loop", loop, "--no-access-log")
    with Client(command.port) as client:
        client.request("/")
        client.until(b"\r\n\r\n")
        before = resident(command.process.pid)
        client.request("/peak")
        client.until(b"\r\n\r\n")
    # The client has gone: nothing keeps the server at work any more.
    deadline = time.monotonic() + 60
    while (after := resident(command.process.pid)) > before + 50 * MEGABYTE:
        assert time.monotonic() < deadline, f"{before} bytes before, {after} a minute later"
        time.sleep(0.2)
    assert command.stop() == 0
    command.clean()
