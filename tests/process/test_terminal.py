"""A server that was started from a terminal, and what becomes of it when that is closed."""

from __future__ import annotations

import os
import shlex
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from process.command import Client, Command
from process.load import alive, until

if TYPE_CHECKING:
    from process.conftest import Workplace

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="what is asked of /proc is Linux's")

# Runs a command of the shell in a terminal of its own, which is closed when there is a file "close".
TERMINAL = """
import os, pty, select, sys

pid, terminal = pty.fork()
if pid == 0:
    os.execl("/bin/sh", "sh", "-c", sys.argv[1])
while not os.path.exists("close"):
    if select.select([terminal], [], [], 0.01)[0]:
        try:
            os.write(1, os.read(terminal, 1000))
        except OSError:  # nobody is there any more
            break
"""
GONE = "The terminal has been closed"


class Session:
    """A server in it; ``line`` is what the shell is told, with the server's command in place of SERVER."""

    def __init__(self, place: Workplace, line: str, *args: str) -> None:
        self.place = place
        self.file = place.path / "server.pid"
        self.log = place.path / "log"
        place.write("terminal", TERMINAL)
        server = [sys.executable, "-m", "pronghorn", "hello:app", "--port", "0", "--pid", "server.pid", *args]
        server += ["--no-use-colors", "--no-access-log"]
        line = line.replace("SERVER", f"{shlex.join(server)} 2>log")
        self.terminal: Command = place.run(sys.executable, "terminal.py", line)
        self.wait_for("running on")
        self.pid = int(self.file.read_text())

    def wait_for(self, text: str, times: int = 1) -> None:
        until(lambda: self.log.exists() and self.log.read_text().count(text) >= times, f"{text}, {times} times")

    def close(self) -> None:
        (self.place.path / "close").touch()
        self.terminal.exit()

    def reload(self) -> None:
        os.kill(self.pid, signal.SIGHUP)

    def upgrade(self) -> None:
        os.kill(self.pid, signal.SIGUSR2)
        self.wait_for("has taken the place of")
        until(lambda: not alive(self.pid), "the old one leaves")
        self.pid = int(self.file.read_text())

    def answers(self) -> bool:
        port = self.log.read_text().partition("http://127.0.0.1:")[2].split()[0]
        with Client(int(port)) as client:
            client.request("/", "Connection: close")
            return client.rest().endswith(b"hello")

    def kill(self) -> None:
        """End it whatever it does; for the end of a test."""
        if alive(self.pid) and Path(f"/proc/{self.pid}/cwd").resolve() == self.place.path.resolve():
            os.kill(self.pid, signal.SIGKILL)


ALONE: tuple[str, ...] = ()
WORKERS = ("--workers", "2")


@pytest.mark.parametrize("line", ["exec SERVER", "SERVER; true"], ids=["leader", "foreground"])
@pytest.mark.parametrize("args", [ALONE, WORKERS, ("--reload",)], ids=["alone", "workers", "reload"])
def test_terminal_that_is_closed(place: Workplace, args: tuple[str, ...], line: str) -> None:
    """The server stops gracefully; a SIGHUP before that reloads it."""
    session = Session(place, line, *args)
    try:
        session.reload()
        if args:
            session.wait_for("Application startup complete", 4 if args == WORKERS else 2)
        assert session.answers()
        session.close()
        until(lambda: not alive(session.pid), "it stops")
        assert not session.file.exists()
        assert session.log.read_text().count(GONE) == 1
        assert session.log.read_text().count("Reloading") == bool(args)
        assert "Traceback" not in session.log.read_text()
    finally:
        session.kill()


NOHUP = 'trap "" HUP; exec SERVER'


@pytest.mark.parametrize(
    "line", [NOHUP, "set -m; SERVER & while ! grep -q running log; do :; done"], ids=["nohup", "logout"]
)
@pytest.mark.parametrize("args", [ALONE, WORKERS], ids=["alone", "workers"])
def test_server_that_outlives_its_terminal(place: Workplace, args: tuple[str, ...], line: str) -> None:
    """Under nohup, or in the background when its user logs out: SIGHUP reloads it then, and nothing else does."""
    session = Session(place, line, *args)
    try:
        session.close()
        closed = time.monotonic()
        until(lambda: time.monotonic() > closed + 3, "time passes")
        assert session.answers()
        assert "Reloading" not in session.log.read_text()
        session.reload()
        if args:
            session.wait_for("Application startup complete", 4)
        assert session.answers()
        os.kill(session.pid, signal.SIGTERM)
        until(lambda: not alive(session.pid), "it stops")
        assert not session.file.exists()
        assert GONE not in session.log.read_text()
    finally:
        session.kill()


def test_upgrade_under_nohup(place: Workplace) -> None:
    """It holds for the new supervisor, too."""
    session = Session(place, NOHUP, *WORKERS)
    try:
        session.upgrade()
        session.close()
        session.wait_for("Application startup complete", 4)
        assert session.answers()
        os.kill(session.pid, signal.SIGTERM)
        until(lambda: not alive(session.pid), "it stops")
        assert GONE not in session.log.read_text()
    finally:
        session.kill()
