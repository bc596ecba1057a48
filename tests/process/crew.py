"""Workers that say who they are, as tests start them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest
from process.command import Command

if TYPE_CHECKING:
    from process.conftest import Workplace

__all__ = ["BOTH", "PID", "Start", "starter"]

Start = Callable[..., Command]
BOTH = pytest.mark.parametrize("crew", ["fork", "spawn"], indirect=True)
PID = """
import os
import resource
import time

async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})
        return
    if scope["path"] == "/block":
        print("blocking")
        time.sleep(60)
    body = b"%d" % os.getpid()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(body))]})
    await send({"type": "http.response.body", "body": body})
"""


def starter(place: Workplace, way: str = "fork") -> Start:
    """What starts two workers, and waits until they serve; ``way`` is that of ``--workers-start``."""

    def start(*args: str, workers: int = 2, app: str = PID) -> Command:
        place.write("pid", app)
        command = place.pronghorn(
            *("pid:app", "--workers", str(workers), "--no-access-log", "--workers-start", way), *args
        )
        command.wait_for("running on")
        return command

    return start
