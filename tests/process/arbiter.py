"""The real gunicorn with our worker class, started by a test, and the application it serves."""

from __future__ import annotations

import json
import re
import signal
import sysconfig
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from process.command import Client, Command
from process.load import ask, children, until

if TYPE_CHECKING:
    from process.conftest import Workplace

__all__ = ["APP", "COMMAND", "LISTENING", "Gunicorn", "Start", "surroundings"]

APP = """
import asyncio
import json
import os
import time

def say(text):
    print(text + "\\n", end="")  # one write: lines of two workers do not mix

say(f"imported by {os.getpid()}")

async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        say("lifespan ends")
        await send({"type": "lifespan.shutdown.complete"})
        return
    if scope["type"] == "websocket":
        await receive()
        if scope["path"] == "/deny":
            return await send({"type": "websocket.close"})
        await send({"type": "websocket.accept"})
        while (message := await receive())["type"] == "websocket.receive":
            await send({"type": "websocket.send", "text": message["text"]})
        return
    path = scope["path"].removeprefix("/under")
    body = b"%d" % os.getpid()
    if path == "/block":
        time.sleep(60)
    elif path == "/wait":
        await asyncio.sleep(2.5)
    elif path == "/endless":
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"begun", "more_body": True})
        while (await receive())["type"] != "http.disconnect":
            pass
        say("told of the end")
        return
    elif path == "/scope":
        seen = {key: scope[key] for key in ("client", "scheme", "root_path", "path")}
        body = json.dumps(seen | {"names": [name.decode() for name, _ in scope["headers"]]}).encode()
    elif path == "/stubborn":
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"begun", "more_body": True})
        while True:
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                pass
    elif path == "/raise":
        raise ValueError("on purpose")
    elif path == "/nothing":
        return
    elif path == "/body":
        await receive()
    headers = [(b"content-length", b"%d" % len(body)), (b"x-kind", b"plain")]
    if path == "/iterator":
        headers = iter(headers)
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})
"""

Start = Callable[..., "Gunicorn"]
COMMAND = str(Path(sysconfig.get_path("scripts"), "gunicorn"))
LISTENING = re.compile(r"Listening at: \w+://[^:]+:(\d+)")


class Gunicorn:
    """A started gunicorn."""

    def __init__(self, command: Command) -> None:
        self.command = command

    @property
    def port(self) -> int:
        found = LISTENING.search(self.command.wait_for("Listening at"))
        assert found
        return int(found[1])

    def serving(self, workers: int = 1) -> Gunicorn:
        """Wait until so many workers have started."""
        self.command.wait_for("Application startup complete", workers)
        return self

    def all_answer(self) -> None:
        """Wait until each of them has accepted a connection."""
        seen: set[int] = set()
        until(lambda: bool(seen.add(ask(self.port)) or seen == children(self.command)), "all answer")

    def stop(self, number: int = signal.SIGTERM) -> list[str]:
        """Stop it; the lines of its log."""
        assert self.command.stop(number) == 0, "\n".join(self.command.lines)
        self.command.clean()
        return self.command.lines

    def scope(self, *headers: str, target: str = "/scope") -> dict[str, Any]:
        with Client(self.port) as client:
            client.request(target, "Connection: close", *headers)
            found: dict[str, Any] = json.loads(client.rest().partition(b"\r\n\r\n")[2])
        return found

    def status(self, raw: bytes) -> int:
        """The status of the answer to these bytes, after which the server closes."""
        with Client(self.port) as client:
            client.socket.sendall(raw)
            return int(client.rest().split()[1])


def surroundings(place: Workplace) -> dict[str, str]:
    """Its control socket is not for the home directory; and it leaves it to the interpreter to close its sockets."""
    home = str(place.path)
    return {"HOME": home, "XDG_RUNTIME_DIR": home, "PYTHONWARNINGS": "error,ignore::ResourceWarning"}
