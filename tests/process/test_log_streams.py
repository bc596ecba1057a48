"""Standard error that nobody reads: the server serves on, stops in time, and says what it could not write."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from typing import IO, TYPE_CHECKING

import pytest
from process.command import PATIENCE, Client
from process.load import children_of, until

from pronghorn import logstream

if TYPE_CHECKING:
    from process.conftest import Workplace

APP = """
import os

async def app(scope, receive, send):
    assert scope["type"] == "http"
    if scope["path"] == "/fail":
        raise RuntimeError("x" * 4000)
    body = b"%d" % os.getpid()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(body))]})
    await send({"type": "http.response.body", "body": body})
"""
ROOM = 65_536  # bytes that a pipe of Linux takes, and more than a socket's or a terminal's buffer
FAILURES = 150  # whose tracebacks are more than LIMIT and ROOM together


class Unread:
    """The command with standard error in something that is read only when the test says so."""

    def __init__(self, place: Workplace, kind: str, *options: str) -> None:
        self.kind = kind
        if kind == "pipe":
            self.end, other = os.pipe()
        elif kind == "socket":
            pair = socket.socketpair()
            self.end, other = pair[0].detach(), pair[1].detach()
        else:
            self.end, other = os.openpty()
        with socket.create_server(("127.0.0.1", 0)) as probe:
            self.port = probe.getsockname()[1]
        place.write("fails", APP)
        command = [sys.executable, "-m", "pronghorn", "fails:app", "--port", str(self.port), "--lifespan", "off"]
        environment = os.environ | {"PYTHONWARNINGS": "error"}
        with open(other, "wb") as stream:  # noqa: PTH123
            self.process = subprocess.Popen(
                [*command, "--no-access-log", "--no-use-colors", *options], cwd=place.path, env=environment,
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=stream,
            )  # fmt: skip
        until(self.answers, "it serves")

    def answers(self) -> bool:
        try:
            return self.ask("/").startswith(b"HTTP/1.1 200")
        except OSError:
            return False

    def ask(self, path: str) -> bytes:
        with Client(self.port) as client:
            client.request(path, "Connection: close")
            return client.rest()

    def close(self) -> None:
        if self.process.poll() is None:
            for pid in children_of(self.process.pid):
                os.kill(pid, signal.SIGKILL)
            self.process.kill()
            self.process.wait(PATIENCE)


@pytest.fixture(params=["pipe", "socket", "terminal"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def closing() -> Iterator[list[Unread]]:
    made: list[Unread] = []
    yield made
    for each in made:
        each.close()


@pytest.mark.parametrize("options", [(), ("--loop", "asyncio"), ("--workers", "2")], ids=["alone", "asyncio", "workers"])
def test_nobody_reads_the_log(place: Workplace, kind: str, options: tuple[str, ...], closing: list[Unread]) -> None:
    server = Unread(place, kind, *options)
    closing.append(server)
    for _ in range(FAILURES):
        assert server.ask("/fail").startswith(b"HTTP/1.1 500")
    assert server.ask("/").startswith(b"HTTP/1.1 200")
    server.process.send_signal(signal.SIGTERM)
    assert server.process.wait(PATIENCE) == 0


def test_reader_comes_back(place: Workplace, kind: str, closing: list[Unread]) -> None:
    """What was kept is whole, in order and comes first; then the log says how much is missing."""
    server = Unread(place, kind)
    closing.append(server)
    for _ in range(FAILURES):
        assert server.ask("/fail").startswith(b"HTTP/1.1 500")
    reader = Reader(server.end)
    reader.wait_for("were dropped")
    assert server.ask("/fail").startswith(b"HTTP/1.1 500")
    server.process.send_signal(signal.SIGTERM)
    assert server.process.wait(PATIENCE) == 0
    text = reader.rest()
    dropped = int(re.findall(r"(\d+) record\(s\) of the log were dropped", text)[0])
    assert text.count("RuntimeError: " + "x" * 4000 + "\n") == FAILURES + 1 - dropped
    assert text.count("ERROR:    Exception in ASGI application\n") == FAILURES + 1 - dropped
    assert 0 < dropped < FAILURES
    assert text.rstrip().splitlines()[-1].startswith("INFO:     Finished server process")


def test_refusals_of_the_last_second_are_counted(place: Workplace) -> None:
    command = place.pronghorn("hello:app", "--limit-refusal-log", "1")
    for _ in range(3):
        with Client(command.port) as client:
            client.socket.sendall(b"nonsense\r\n\r\n")
            assert client.rest().startswith(b"HTTP/1.1 400")
    assert command.stop() == 0
    lines = len([line for line in command.err if "Invalid HTTP request received: 400" in line])
    counted = [int(line.split()[1]) for line in command.err if "refused, without a line each" in line]
    assert lines + sum(counted) == 3


def test_time_out_of_the_application_for_sockets() -> None:
    """The log does not wait for so long, and standard error stays as others have it."""
    reader, writer = socket.socketpair()
    with reader, open(writer.detach(), "w", encoding="utf-8") as under:  # noqa: PTH123
        before = socket.getdefaulttimeout()
        socket.setdefaulttimeout(PATIENCE)
        try:
            stream = logstream.NonBlockingStream(under)
        finally:
            socket.setdefaulttimeout(before)
        assert os.get_blocking(under.fileno())
        for number in range(250):
            stream.write(f"{number} {'x' * 1000}\n")
        assert stream.draining
        expected = "".join(f"{number} {'x' * 1000}\n" for number in range(250)).encode()
        data = b""
        while len(data) < len(expected) and (part := reader.recv(65_536)):
            data += part
        assert data == expected


class Reader:
    """Reads a descriptor until its end, as far as it is asked to."""

    def __init__(self, descriptor: int) -> None:
        self.stream: IO[bytes] = open(descriptor, "rb", buffering=0)  # noqa: SIM115
        self.data = b""

    def more(self) -> bool:
        try:
            part = self.stream.read(65_536)
        except OSError:  # a terminal whose other side is closed
            part = b""
        self.data += part
        return bool(part)

    def wait_for(self, text: str) -> None:
        while text.encode() not in self.data:
            assert self.more(), self.data[-1000:]

    def rest(self) -> str:
        while self.more():
            pass
        self.stream.close()
        return self.data.replace(b"\r\n", b"\n").decode()
