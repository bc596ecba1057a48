"""The supervisor as the first process of a container, in a PID namespace of its own."""

from __future__ import annotations

import shutil
import subprocess
import sys
from functools import cache
from typing import TYPE_CHECKING

import pytest
from process.command import Client
from process.load import until

if TYPE_CHECKING:
    from process.conftest import Workplace

CONTAINER = ["unshare", "--user", "--map-root-user", "--pid", "--fork", "--kill-child", "--mount-proc"]
LEAVES = """
import os
import signal
import subprocess
from pathlib import Path

def state(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return "gone"

async def app(scope, receive, send):
    assert scope["type"] == "http"
    _, what, *pid = scope["path"].split("/")
    if what == "leave":
        body = subprocess.run(["sh", "-c", "sleep 0.2 >/dev/null & echo $!"], capture_output=True).stdout.strip()
    elif what == "state":
        body = state(pid[0]).encode()
    else:
        body = b"stops"
        os.kill(1, signal.SIGTERM)
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": body})
"""
SCRIPT = """
import os, subprocess, pronghorn

helper = subprocess.Popen(["sh", "-c", "exit 7"])
os.waitid(os.P_PID, helper.pid, os.WEXITED | os.WNOWAIT)
pronghorn.run("leaves:app", port=0, workers=2, access_log=False, workers_start="WAY")
print("helper:", helper.wait())
"""


@cache
def refused() -> str:
    """Why there can be no such namespace here, if so."""
    if shutil.which(CONTAINER[0]) is None:
        return "unshare is not installed"
    return subprocess.run([*CONTAINER, "true"], capture_output=True, text=True, timeout=60, check=False).stderr.strip()


@pytest.mark.parametrize("way", ["fork", "spawn"])
def test_processes_that_are_left_behind(place: Workplace, way: str) -> None:
    """They do not stay as zombies; whoever has started one here itself still gets its exit status."""
    if why := refused():
        pytest.skip(f"no PID namespace: {why}")
    place.write("leaves", LEAVES)
    place.write("script", SCRIPT.replace("WAY", way))
    command = place.run(*CONTAINER, sys.executable, "script.py")
    port = command.port

    def ask(path: str) -> str:
        with Client(port) as client:
            client.request(path, "Connection: close")
            return client.rest().rpartition(b"\r\n\r\n")[2].decode()

    left = [ask("/leave") for _ in range(3)]
    until(lambda: {ask(f"/state/{pid}") for pid in left} == {"gone"}, "none is left")
    ask("/stop")
    assert command.exit() == 0
    assert command.out[-1] == "helper: 7"
    command.clean()
