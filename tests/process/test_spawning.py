"""Workers that are new interpreters."""

from __future__ import annotations

import json
import os
import signal
import socket
import ssl
import sys
from typing import TYPE_CHECKING

import pytest
from process.command import PATIENCE, Client
from process.crew import PID

if TYPE_CHECKING:
    from process.conftest import Workplace

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork() here")


SEES = """
import asyncio, json, os, signal, sys, threading
from pathlib import Path

seen = {
    "argv": sys.argv, "path": sys.path, "flags": list(sys.flags), "cwd": os.getcwd(), "environment": dict(os.environ),
    "umask": os.umask(0o22), "blocked": sorted(signal.pthread_sigmask(signal.SIG_BLOCK, [])),
    "open": sorted(one.name for one in Path("/proc/self/fd").iterdir() if str(one.resolve()) == os.environ["SECRET"]),
    "inherited": sorted(one.name for one in Path("/proc/self/fd").iterdir() if one.exists() and os.get_inheritable(int(one.name))),
    "group": os.getpgrp() == os.getpid(), "threads": threading.active_count(), "supervisor": "pronghorn.supervisor" in sys.modules,
}

async def app(scope, receive, send):
    assert scope["type"] == "http"
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": json.dumps(seen).encode()})
"""


@pytest.mark.skipif(sys.platform != "linux", reason="what is asked of /proc is Linux's")
def test_what_a_spawned_worker_has(place: Workplace) -> None:
    """All that a forked one has, except for the memory and the open files of the supervisor."""
    pytest.importorskip("dotenv", reason="python-dotenv is not installed")
    place.write("sees", SEES)
    secret = place.path / "secret"
    secret.touch()
    found = {}
    for way in ("fork", "spawn"):
        source = f"""
import os, sys
sys.path.append("/nowhere")
kept = os.open("secret", os.O_RDONLY)
os.set_inheritable(kept, True)
import pronghorn
pronghorn.run("sees:app", port=0, workers=2, umask=0o27, workers_start="{way}", env_file=".env")
"""
        (place.path / ".env").write_text("FROM_FILE=1\n")
        place.write("script", source)
        command = place.run(
            sys.executable,
            "-W",
            "error",
            "-X",
            "utf8",
            "script.py",
            "an argument",
            env={"SECRET": str(secret.resolve())},
        )
        with Client(command.port) as client:
            client.request("/", "Connection: close")
            found[way] = json.loads(client.rest().partition(b"\r\n\r\n")[2])
        assert command.stop() == 0
        command.clean()
    forked, spawned = found["fork"], found["spawn"]
    assert (len(forked.pop("open")), len(spawned.pop("open"))) == (1, 0)
    assert (forked.pop("supervisor"), spawned.pop("supervisor")) == (True, False)
    assert spawned["inherited"] == ["0", "1", "2"]
    del forked["inherited"], spawned["inherited"]
    assert spawned == forked
    assert spawned["environment"]["FROM_FILE"] == "1" and spawned["argv"] == ["script.py", "an argument"]
    assert spawned["umask"] == 0o27 and spawned["path"][-1] == "/nowhere"


@pytest.mark.parametrize("way", ["fork", "spawn"])
def test_logging_of_a_worker(place: Workplace, way: str) -> None:
    """It is set up as in the supervisor, also from a dictionary of the program."""
    place.write("hello", "import logging\nlogging.getLogger('pronghorn.error').warning('imported')\n" + PID)
    source = f"""
import pronghorn
logging = pronghorn.config.LOGGING_CONFIG
logging["formatters"]["default"]["fmt"] = "mine %(message)s"
pronghorn.run("hello:app", port=0, workers=2, workers_start="{way}", log_config=logging, log_level="warning")
"""
    command = place.script(source)
    command.wait_for("mine imported", 2)
    command.send(signal.SIGTERM)
    assert command.exit() == 0
    assert command.err == ["mine imported"] * 2


def test_settings_that_cannot_be_spawned(place: Workplace) -> None:
    run = "import pronghorn\npronghorn.run('pid:app', port=0, workers=2, workers_start='spawn', callback_notify={})\n"
    command = place.script(run.format("lambda: None"))
    assert command.exit() == 3
    assert any("workers_start: spawn needs settings that can be pickled" in line for line in command.err)
    command = place.script("async def notify(): ...\n" + run.format("notify"))
    assert command.exit() == 3
    assert any("workers_start: spawn needs settings that can be imported" in line for line in command.err)
    command = place.pronghorn("hello:app", "--workers", "2", "--workers-start", "spawn", "--preload")
    assert command.exit() == 2
    assert command.err[-1].endswith("preload: cannot be combined with workers_start spawn, where nothing is shared")


def test_settings_that_can_be_spawned(place: Workplace) -> None:
    """Functions of modules, TLS, hosts, headers: whatever has a value elsewhere."""
    trustme = pytest.importorskip("trustme", reason="trustme is not installed")
    authority = trustme.CA()
    authority.issue_cert("one.test").private_key_and_cert_chain_pem.write_to_path(place.path / "both.pem")
    place.write("own", "def context(config, default):\n    print('made')\n    return default()\n")
    place.write("pid", PID)
    source = """
import pronghorn
from own import context
pronghorn.run("pid:app", port=0, workers=2, workers_start="spawn", ssl_certfile="both.pem", ssl_context_factory=context,
              forwarded_allow_ips="10.0.0.0/8", headers=[("x-a", "b")], access_log_format="json", loop="asyncio")
"""
    command = place.script(source)
    port = int(command.wait_for("running on").partition("127.0.0.1:")[2].partition(" ")[0])
    context = ssl.create_default_context()
    context.check_hostname = False
    authority.configure_trust(context)
    with context.wrap_socket(socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)) as client:
        client.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        assert b"x-a: b" in client.recv(65536)
    assert command.stop() == 0
    assert "".join(command.out).count("made") == 2  # two workers' print() may end in one line
    command.clean()
