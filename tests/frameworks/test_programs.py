"""Small programs, run as they stand by the command."""

from __future__ import annotations

import contextlib
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from peer import Peer

HELLO = '''
async def app(scope, receive, send):
    assert scope["type"] == "http"
    await send(
        {
            "type": "http.response.start",
            "status": 200,
            "headers": [
                (b"content-type", b"text/plain"),
                (b"content-length", b"12"),
            ],
        }
    )
    await send({"type": "http.response.body", "body": b"Hello, ASGI!"})
'''

FORGETFUL = '''
async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        message = await receive()
        if message["type"] == "lifespan.startup":
            print("starting up", flush=True)
        await receive()
    else:
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body", "body": b"ok"})
'''

REMEMBERING = '''
async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        while True:
            message = await receive()
            print(message["type"], flush=True)
            await send({"type": message["type"] + ".complete"})
            if message["type"] == "lifespan.shutdown":
                return
    await send({"type": "http.response.start", "status": 200})
    await send({"type": "http.response.body", "body": b"ok"})
'''

LOOPS = pytest.mark.parametrize("loop", ["uvloop", "asyncio"])


def command(folder: Path, source: str, *options: str) -> list[str]:
    (folder / "program.py").write_text(source)
    return [sys.executable, "-m", "pronghorn", "program:app", "--app-dir", str(folder), "--port", "0", *options]


class Running:
    """The command, its port, and what it has written."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.lines: list[str] = []
        self.port = 0
        self.listening = threading.Event()
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()

    def read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line)
            if found := re.search(r"http://127\.0\.0\.1:(\d+)", line):
                self.port = int(found[1])
                self.listening.set()
        self.listening.set()

    @property
    def output(self) -> str:
        return "".join(self.lines)


@contextlib.contextmanager
def running(folder: Path, source: str, *options: str) -> Iterator[Running]:
    arguments = command(folder, source, *options)
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        program = Running(process)
        try:
            assert program.listening.wait(20), "the command did not say that it listens"
            assert program.port, program.output
            yield program
        finally:
            if process.poll() is None:
                process.kill()
            process.wait(10)
            program.reader.join(10)


@LOOPS
def test_hello(tmp_path: Path, loop: str) -> None:
    """It knows nothing of lifespan and says so with an assertion; that is no reason for a traceback."""
    with running(tmp_path, HELLO, "--loop", loop) as program:
        with Peer(("127.0.0.1", program.port)) as peer:
            peer.send(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
            response = peer.response()
            assert (response.status, response.body) == (200, b"Hello, ASGI!")
            assert response.header("content-type") == "text/plain"
        program.process.send_signal(signal.SIGTERM)
        program.process.wait(10)
        program.reader.join(10)
        assert "Traceback" not in program.output
        assert '"GET / HTTP/1.1" 200' in program.output


@LOOPS
def test_startup_that_is_never_complete(tmp_path: Path, loop: str) -> None:
    """Never a silent hang: the message names what is missing, and the exit status is that of a failed start."""
    arguments = command(tmp_path, FORGETFUL, "--loop", loop, "--timeout-lifespan-startup", "1")
    done = subprocess.run(arguments, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=20)
    assert done.returncode == 3, done.stdout
    assert "starting up" in done.stdout
    assert "lifespan.startup.complete" in done.stdout
    assert "Traceback" not in done.stdout
    assert "running on" not in done.stdout


def test_warning_before_the_limit(tmp_path: Path) -> None:
    """With a long limit the warning does not wait for it."""
    arguments = command(tmp_path, FORGETFUL, "--timeout-lifespan-startup", "600")
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        program = Running(process)
        try:
            for _ in range(150):
                program.listening.wait(0.1)
                if "lifespan.startup.complete" in program.output:
                    break
            assert "lifespan.startup.complete" in program.output
            assert process.poll() is None, "it still waits"
        finally:
            process.kill()
            process.wait(10)
            program.reader.join(10)


@LOOPS
def test_lifespan(tmp_path: Path, loop: str) -> None:
    with running(tmp_path, REMEMBERING, "--loop", loop) as program:
        with Peer(("127.0.0.1", program.port)) as peer:
            peer.send(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
            assert peer.response().body == b"ok"
        program.process.send_signal(signal.SIGINT)
        assert program.process.wait(10) == 0
        program.reader.join(10)
        assert program.output.index("lifespan.startup\n") < program.output.index("lifespan.shutdown\n")
        assert "Traceback" not in program.output
