"""The worker class for gunicorn: starting, stopping, hanging and being replaced under its arbiter."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from process.arbiter import APP, Start
from process.command import PATIENCE, Client
from process.load import Load, alive, ask, children, until

if TYPE_CHECKING:
    from process.conftest import Workplace

pytest.importorskip("gunicorn", reason="gunicorn is not installed")
pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork() here")


def test_blocked_worker(gunicorn: Start) -> None:
    """It says nothing any more, so it is ended, and shows where it was."""
    server = gunicorn("timeout = 2\ndef worker_abort(worker):\n    print('aborted', worker.pid)").serving()
    (blocked,) = children(server.command)
    with Client(server.port) as client:
        client.request("/block")
        server.command.wait_for(f"WORKER TIMEOUT (pid:{blocked})")
        server.command.wait_for("in app")
        server.command.wait_for(f"aborted {blocked}")
        until(lambda: not alive(blocked), "it ends")
        client.rest()
    assert ask(server.port) != blocked
    assert server.command.stop() == 0


def test_worker_that_waits_is_not_blocked(gunicorn: Start) -> None:
    server = gunicorn("timeout = 1").serving()
    assert ask(server.port, "/wait") in children(server.command)
    assert not any("WORKER TIMEOUT" in line for line in server.stop())


def test_graceful_stop(gunicorn: Start) -> None:
    """What is under way is finished."""
    server = gunicorn().serving()
    with Client(server.port) as client:
        client.request("/wait")
        client.socket.setblocking(False)
        with pytest.raises(BlockingIOError):
            client.socket.recv(1)
        client.socket.settimeout(PATIENCE)
        until(lambda: ask(server.port) > 0, "the request has been read")
        server.command.send(signal.SIGTERM)
        assert b"200 OK" in client.rest()
    assert server.command.exit() == 0
    server.command.clean()


def test_application_that_ignores_the_stop(gunicorn: Start) -> None:
    """The lifespan ends before gunicorn kills what is left."""
    server = gunicorn("graceful_timeout = 4").serving()
    with Client(server.port) as client:
        client.request("/stubborn")
        client.until(b"begun")
        server.command.send(signal.SIGTERM)
        client.rest()
    server.command.wait_for("1 task(s) ignore their cancellation")
    assert server.command.exit() == 0
    assert "lifespan ends" in server.command.out


def test_graceful_timeout(gunicorn: Start) -> None:
    """A stream is told before the limit."""
    server = gunicorn("graceful_timeout = 4").serving()
    with Client(server.port) as client:
        client.request("/endless")
        client.until(b"begun")
        server.command.send(signal.SIGTERM)
        client.rest()
    assert server.command.exit() == 0
    assert [line for line in server.command.out if "imported" not in line] == ["told of the end", "lifespan ends"]
    assert not any("SIGKILL" in line for line in server.command.lines)
    server.command.clean()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGQUIT])
def test_quick_stop(gunicorn: Start, number: int) -> None:
    server = gunicorn("graceful_timeout = 60\ndef worker_int(worker):\n    print('interrupted')").serving()
    with Client(server.port) as client:
        client.request("/endless")
        client.until(b"begun")
        server.command.send(number)
        client.rest()
    assert server.command.exit() == 0
    assert {"interrupted", "lifespan ends"} <= set(server.command.out)


@pytest.mark.parametrize("workers", [1, 2])
def test_max_requests_under_load(gunicorn: Start, workers: int) -> None:
    """Nobody is refused, although a new worker is only started when the old one has gone: who comes waits."""
    server = gunicorn(f"max_requests = 30\nmax_requests_jitter = 20\nworkers = {workers}").serving(workers)
    with Load(server.port) as load:
        until(lambda: len(load.pids) > 5, "workers are replaced")
    assert load.errors == []
    server.stop()


def test_reload_under_load(gunicorn: Start, place: Workplace) -> None:
    server = gunicorn("workers = 2").serving(2)
    with Load(server.port) as load:
        for _ in range(2):
            before = children(server.command)
            server.command.send(signal.SIGHUP)
            until(lambda: not before & children(server.command) and len(children(server.command)) == 2, "both are new")  # noqa: B023
    assert load.errors == []
    assert len(load.pids) > 2
    server.stop()


def test_more_and_fewer(gunicorn: Start) -> None:
    server = gunicorn().serving()
    server.command.send(signal.SIGTTIN)
    until(lambda: len(children(server.command)) == 2, "one more")
    server.serving(2)
    server.command.send(signal.SIGTTOU)
    until(lambda: len(children(server.command)) == 1, "one fewer")
    assert ask(server.port) in children(server.command)
    server.stop()


def test_upgrade(gunicorn: Start, place: Workplace) -> None:
    """SIGUSR2 starts another gunicorn on the same socket; the first one can go, and nobody notices."""
    server = gunicorn("", "--pid", "pid").serving()
    old = children(server.command)
    with Load(server.port) as load:
        server.command.send(signal.SIGUSR2)
        until(lambda: Path(place.path, "pid.2").exists() and bool(load.pids - old), "the second one serves")
        second = int(Path(place.path, "pid.2").read_text())
        server.command.send(signal.SIGTERM)
        until(lambda: server.command.process.poll() is not None, "the first one has gone")
        until(lambda: ask(server.port) not in old, "the second one is alone")
    assert load.errors == []
    os.kill(second, signal.SIGTERM)
    until(lambda: not alive(second), "the second one has gone")
    assert server.command.exit() == 0
    server.command.clean()


def test_arbiter_that_is_killed(gunicorn: Start) -> None:
    server = gunicorn().serving()
    (worker,) = children(server.command)
    server.command.process.kill()
    until(lambda: not alive(worker), "the worker ends")


def test_reload_of_a_file(gunicorn: Start, place: Workplace) -> None:
    """The new code serves soon, also with a stream open; one with a syntax error says so, until it is repaired."""
    server = gunicorn("reload = True\nreload_engine = 'poll'").serving()
    other = APP.replace("b'plain'", "b'other'").replace('b"plain"', 'b"other"') + "\n"
    versions = {"x-kind: other": other, "SyntaxError": "async def app(\n", "x-kind: plain": APP}
    with Client(server.port) as client:
        client.request("/endless")
        client.until(b"begun")
        for sign, source in versions.items():
            for attempt in range(8):  # gunicorn does not see a change that comes before its first look at a new worker's files
                place.write("served", source + "\n" * attempt)
                if shows(server.port, sign.encode()):
                    break
            else:
                raise AssertionError(f"never {sign}")
        client.rest()
    assert server.command.stop() == 0


def shows(port: int, sign: bytes, within: float = 4.0) -> bool:
    deadline = time.monotonic() + within
    while time.monotonic() < deadline:
        if sign in answer(port):
            return True
    return False


def answer(port: int) -> bytes:
    try:
        with Client(port) as client:
            client.request("/", "Connection: close")
            return client.rest()
    except OSError:
        return b""
