"""Fixtures for tests that start the real command."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from process.arbiter import APP, COMMAND, Gunicorn, Start, surroundings
from process.command import Command
from process.crew import starter
from serving import LOOPS

HELLO = """
async def app(scope, receive, send):
    assert scope["type"] == "http"
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"5")]})
    await send({"type": "http.response.body", "body": b"hello"})
"""


class Workplace:
    """A directory with modules in it, and the commands that were started there."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.started: list[Command] = []
        self.write("hello", HELLO)

    def write(self, module: str, source: str) -> None:
        """Put a module there."""
        file = self.path / f"{module.replace('.', '/')}.py"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(source)

    def run(self, *args: str, **options: Any) -> Command:
        """Start a command of any kind."""
        command = Command(args, self.path, **options)
        self.started.append(command)
        return command

    def pronghorn(self, *args: str, **options: Any) -> Command:
        """Start the server on a free port."""
        port = (
            () if {"--uds", "--fd", "--port", "--bind", "--config", "--print-config"} & set(args) else ("--port", "0")
        )
        return self.run(sys.executable, "-m", "pronghorn", *args, *port, **options)

    def script(self, source: str) -> Command:
        """Start a script."""
        self.write("script", source)
        return self.run(sys.executable, "script.py")

    def end(self) -> None:
        """End whatever still runs."""
        for command in self.started:
            command.kill()


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Workplace]:
    """A workplace whose commands are all ended afterwards."""
    place = Workplace(tmp_path)
    yield place
    place.end()


@pytest.fixture(params=[loop for loop in ("uvloop", "asyncio") if loop in LOOPS])
def start(request: pytest.FixtureRequest, place: Workplace) -> Callable[..., Command]:
    """Start the server in each of the loops."""

    def start(*args: str, **options: Any) -> Command:
        return place.pronghorn(*args, "--loop", request.param, **options)

    return start


@pytest.fixture
def crew(request: pytest.FixtureRequest, place: Workplace) -> Callable[..., Command]:
    """Start two workers, by the way that the test names."""
    return starter(place, getattr(request, "param", "fork"))


@pytest.fixture
def gunicorn(place: Workplace) -> Start:
    """Start gunicorn with the text of a configuration file, and arguments."""
    place.write("served", APP)

    def start(conf: str = "", *args: str, app: str = "served:app", kind: str = "pronghorn.gunicorn.Worker") -> Gunicorn:
        place.write("conf", conf)
        bind = () if "-b" in args else ("-b", "127.0.0.1:0")
        command = place.run(
            *(COMMAND, "-c", "conf.py", "-k", kind, *bind, *args, app),
            env=surroundings(place),
        )
        return Gunicorn(command)

    return start
