"""Stopping: in order, within its limit, and with exit status 0 once it is complete."""

from __future__ import annotations

import signal
import socket
import struct
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from process.command import Client, Command
from process.load import until

if TYPE_CHECKING:
    from process.conftest import Workplace

Start = Callable[..., Command]

# Answers by path, and says on standard output what happens to it; lifespan as well.
APP = """
import asyncio
import os
import sys

async def head(send, *headers):
    await send({"type": "http.response.start", "status": 200, "headers": list(headers)})

async def piece(send, body, more=True):
    await send({"type": "http.response.body", "body": body, "more_body": more})

async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        print("lifespan.shutdown")
        await send({"type": "lifespan.shutdown.complete"})
        return
    path = scope["path"]
    print("called", path)
    if path == "/slow":
        while not os.path.exists("go"):
            await asyncio.sleep(0.01)
        await head(send, (b"content-length", b"4"))
        await piece(send, b"slow", False)
    elif path == "/stream":
        await receive()
        await head(send)
        await piece(send, b"first")
        await receive()
        print("told")
        await piece(send, b"last", False)
    elif path in ("/poll", "/hears", "/after"):  # an answer that comes when something happens: never
        if path == "/after":
            await head(send, (b"content-length", b"5"))
            await piece(send, b"hello", False)
        try:
            if path == "/hears":
                while (await receive())["type"] != "http.disconnect":
                    pass
                print("told")
            await asyncio.sleep(2 if path != "/poll" else 3600)
            print("ended", path)
        except asyncio.CancelledError as error:
            print("cancelled", error)
            raise
    elif path in ("/long", "/steady"):
        if path == "/steady":
            await head(send, (b"content-length", b"8"))
            await piece(send, b"s")
        for _ in range(7):
            await asyncio.sleep(0.7)
            if path == "/steady":
                await piece(send, b"s")
        if path == "/long":
            await head(send, (b"content-length", b"4"))
        await piece(send, b"long" if path == "/long" else b"", False)
    elif path in ("/deaf", "/stubborn"):
        await head(send)
        await piece(send, b"first")
        while True:
            try:
                await asyncio.sleep(3600)
            except asyncio.CancelledError as error:
                print("cancelled", error)
                if path == "/deaf":
                    raise
    else:
        await head(send, (b"content-length", b"5"))
        await piece(send, b"hello", False)
"""

# The command, less patient with a process that does not end.
IMPATIENT = """
from pronghorn import cli
cli.EXIT_LIMIT = 0.5
cli.main([*{args}, "--port", "0"], prog_name="pronghorn")
"""


@pytest.fixture
def serving(start: Start, place: Workplace) -> Callable[..., Command]:
    """The application above, in each of the loops."""
    place.write("stops", APP)
    return lambda *args: start("stops:app", *args)


def times(command: Command, *texts: str) -> list[int]:
    """The positions of lines in the output."""
    return [next(number for number, line in enumerate(command.lines) if text in line) for text in texts]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_idle_server_stops_at_once(number: int, serving: Start) -> None:
    command = serving()
    assert command.port
    begun = time.monotonic()
    assert command.stop(number) == 0
    assert time.monotonic() - begun < 5
    assert command.err[-4:] == [
        "INFO:     Shutting down",
        "INFO:     Waiting for application shutdown.",
        "INFO:     Application shutdown complete.",
        f"INFO:     Finished server process [{command.process.pid}]",
    ]
    assert command.out == ["lifespan.shutdown"]
    command.clean()


def test_an_idle_connection_is_closed(serving: Start) -> None:
    command = serving()
    with Client(command.port) as client:
        client.request()
        client.until(b"hello")
        assert command.stop() == 0
        assert client.rest() == b""


def test_a_request_under_way_is_answered_and_its_connection_closed(place: Workplace, serving: Start) -> None:
    command = serving()
    port = command.port
    with Client(port) as client:
        client.request("/slow")
        command.wait_for("called /slow")
        command.send(signal.SIGTERM)
        command.wait_for("Waiting for connections to close. (CTRL+C to force quit)")
        with pytest.raises(ConnectionRefusedError):
            Client(port)
        (place.path / "go").touch()
        answer = client.rest()
    assert answer.endswith(b"slow")
    assert b"connection: close" in answer.lower()
    assert command.exit() == 0
    command.clean()


def test_a_stream_is_told_near_the_limit_and_may_end_well(serving: Start) -> None:
    command = serving("--timeout-graceful-shutdown", "1")
    with Client(command.port) as client:
        client.request("/stream")
        client.until(b"first")
        begun = time.monotonic()
        command.send(signal.SIGTERM)
        command.wait_for("told")
        assert time.monotonic() - begun < 5
        client.rest()
    assert command.exit() == 0
    assert "lifespan.shutdown" in command.out
    command.clean()


def test_a_call_that_goes_on_is_cancelled_at_the_limit(serving: Start) -> None:
    command = serving("--timeout-graceful-shutdown", "1")
    with Client(command.port) as client:
        client.request("/deaf")
        client.until(b"first")
        begun = time.monotonic()
        assert command.stop() == 0
        assert 0.5 < time.monotonic() - begun < 8
        client.rest()
    assert "cancelled Task cancelled, timeout graceful shutdown exceeded" in command.out
    assert "ERROR:    Cancel 1 running task(s), timeout graceful shutdown exceeded" in command.err
    assert "lifespan.shutdown" in command.out
    command.clean()


def test_a_call_that_ignores_its_cancellation_is_left_behind(place: Workplace) -> None:
    place.write("stops", APP)
    command = place.script(IMPATIENT.format(args=["stops:app", "--timeout-graceful-shutdown", "1"]))
    with Client(command.port) as client:
        client.request("/stubborn")
        client.until(b"first")
        begun = time.monotonic()
        command.send(signal.SIGTERM)
        client.rest()
        command.wait_for("1 task(s) ignore their cancellation and are left behind")
        command.wait_for("Application shutdown complete.")
        # The loop waits for every task when it is closed, so this one keeps the process until it is ended.
        assert command.exit() == 1
        assert time.monotonic() - begun < 8
    assert "lifespan.shutdown" in command.out


def test_without_patience_nothing_is_waited_for(serving: Start) -> None:
    command = serving("--timeout-graceful-shutdown", "0")
    with Client(command.port) as client:
        client.request("/deaf")
        client.until(b"first")
        begun = time.monotonic()
        assert command.stop() == 0
        assert time.monotonic() - begun < 5
    assert "lifespan.shutdown" in command.out


def test_a_second_interrupt_cancels_and_still_runs_the_lifespan(serving: Start) -> None:
    command = serving()
    with Client(command.port) as client:
        client.request("/deaf")
        client.until(b"first")
        begun = time.monotonic()
        command.send(signal.SIGINT)
        command.wait_for("Waiting for connections to close.")
        assert command.stop(signal.SIGINT) == 0
        assert time.monotonic() - begun < 5
    assert "lifespan.shutdown" in command.out
    assert "cancelled Task cancelled, the stop was cut short" in command.out
    assert "ERROR:    Cancel 1 running task(s), the stop was cut short" in command.err
    command.clean()


@pytest.mark.parametrize("gone", ["reset", "closed"])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_call_whose_client_has_gone_holds_up_nothing(number: int, gone: str, serving: Start) -> None:
    """As that of a long poll, which waits for something to happen and asks nothing of its client."""
    command = serving()
    with Client(command.port) as client:
        client.request("/poll")
        command.wait_for("called /poll")
        if gone == "reset":
            client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    command.send(number)
    command.wait_for("Cancel 1 running task(s) whose client has gone")
    assert command.exit() == 0
    assert "cancelled Task cancelled, the server stops, and the client has gone" in command.out
    assert "lifespan.shutdown" in command.out
    assert not any("ERROR" in line for line in command.err)
    command.clean()


def test_a_client_that_goes_while_the_server_stops(serving: Start) -> None:
    command = serving()
    with Client(command.port) as client:
        client.request("/poll")
        command.wait_for("called /poll")
        command.send(signal.SIGTERM)
        command.wait_for("Waiting for connections to close.")
    command.wait_for("Cancel 1 running task(s) whose client has gone")
    assert command.exit() == 0
    command.clean()


@pytest.mark.parametrize("path", ["/hears", "/after"])
def test_a_call_that_knows_of_its_client_may_end(path: str, serving: Start) -> None:
    """What it does after the response, or after it was told, is finished within the limit."""
    command = serving()
    with Client(command.port) as client:
        client.request(path)
        command.wait_for(f"called {path}")
        if path == "/after":
            client.until(b"hello")
    if path == "/hears":
        command.wait_for("told")
    assert command.stop() == 0
    assert f"ended {path}" in command.out
    command.clean()


@pytest.mark.parametrize("path", ["/long", "/steady"])
def test_an_interrupt_lets_what_has_an_end_come_to_it(path: str, serving: Start) -> None:
    """Within the limit of the stop: a request that is not answered yet, and a response whose length is known."""
    command = serving()
    with Client(command.port) as client:
        client.request(path)
        command.wait_for(f"called {path}")
        command.send(signal.SIGINT)
        answer = client.rest()
    assert answer.startswith(b"HTTP/1.1 200 OK") and answer.endswith(b"long" if path == "/long" else b"s" * 8)
    assert command.exit() == 0
    assert not any("Cancel" in line for line in command.err)
    command.clean()


@pytest.mark.parametrize("path", ["/stream", "/deaf"])
def test_an_interrupt_ends_streams_soon(path: str, serving: Start) -> None:
    """Where somebody waits at a terminal, a response without a length is not waited for: it may go on for ever."""
    command = serving("--timeout-graceful-shutdown", "3600")
    with Client(command.port) as client:
        client.request(path)
        client.until(b"first")
        command.send(signal.SIGINT)
        client.rest()
    assert command.exit() == 0
    if path == "/stream":
        assert "told" in command.out
        assert not any("Cancel" in line for line in command.err)
    else:
        assert "cancelled Task cancelled, the server stops, and the stream has no end" in command.out
        assert "ERROR:    Cancel 1 open stream(s), 2.5 seconds after they were told" in command.err
    command.clean()


BLOCKED = """
import ctypes
import signal
import time

async def app(scope, receive, send):
    assert scope["type"] == "http"
    print("called", scope["path"])
    while True:
        if scope["path"] == "/python":
            time.sleep(60)
        elif scope["path"] == "/library":  # as in an extension module that never looks for signals
            signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM, signal.SIGINT])
            ctypes.CDLL(None).sleep(60)
        else:  # as in one that keeps the interpreter's lock as well
            signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM, signal.SIGINT])
            ctypes.PyDLL(None).sleep(60)
"""


def none_pending(pid: int) -> bool:
    """Whether a process has taken all signals that it was sent."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return all(int(line.split()[1], 16) == 0 for line in lines if line.startswith("ShdPnd:"))


@pytest.mark.skipif(sys.platform != "linux", reason="there may be no timers of the system's")
@pytest.mark.parametrize("numbers", [[signal.SIGTERM], [signal.SIGINT, signal.SIGINT]], ids=["once", "twice"])
@pytest.mark.parametrize("path", ["/python", "/library", "/lock"])
def test_a_blocked_loop_is_ended(path: str, numbers: list[int], start: Start, place: Workplace) -> None:
    """At the limit of the stop, or soon after a second Ctrl-C, and it shows where it was."""
    place.write("blocked", BLOCKED)
    command = start("blocked:app", *(["--timeout-graceful-shutdown", "1"] if len(numbers) == 1 else []))
    with Client(command.port) as client:
        client.request(path)
        command.wait_for(f"called {path}")
        for number in numbers:
            command.send(number)
            until(lambda: none_pending(command.process.pid), "it is taken")  # two of a kind that wait are one
        assert command.exit() == -signal.SIGABRT
    command.wait_for("The stop has taken longer than its limits allow: this process is ended.")
    command.wait_for("in app")


def test_a_second_termination_changes_nothing(place: Workplace, serving: Start) -> None:
    command = serving()
    with Client(command.port) as client:
        client.request("/slow")
        command.wait_for("called /slow")
        command.send(signal.SIGTERM)
        command.wait_for("Waiting for connections to close.")
        command.send(signal.SIGTERM)
        (place.path / "go").touch()
        assert client.rest().endswith(b"slow")
    assert command.exit() == 0
    command.clean()


def test_the_limit_of_requests_ends_the_process_well(serving: Start) -> None:
    command = serving("--limit-max-requests", "2")
    port = command.port
    for _ in range(2):
        with Client(port) as client:
            client.request("/", "Connection: close")
            assert client.rest().endswith(b"hello")
    assert command.exit() == 0
    assert "WARNING:  Maximum request limit of 2 exceeded. Terminating process." in command.err
    assert command.out[-1] == "lifespan.shutdown"
    command.clean()


def test_a_thread_that_never_ends_does_not_keep_the_process(place: Workplace) -> None:
    place.write(
        "stuck",
        "import asyncio, time\nfrom hello import app as hello\n"
        "async def app(scope, receive, send):\n"
        "    if scope['type'] == 'http':\n"
        "        asyncio.get_running_loop().run_in_executor(None, time.sleep, 3600)\n"
        "    await hello(scope, receive, send)\n",
    )
    command = place.script(IMPATIENT.format(args=["stuck:app"]))
    with Client(command.port) as client:
        client.request("/", "Connection: close")
        client.rest()
    begun = time.monotonic()
    assert command.stop() == 1
    assert time.monotonic() - begun < 5
    assert [line for line in command.err if line.startswith("Timeout")]
    assert [line for line in command.err if "in worker" in line or "thread.py" in line or "_worker" in line]


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&- >&- 2>&-"], ids=["output", "error", "all"])
@pytest.mark.parametrize("program", ["-m pronghorn hello:app --uds here.sock --workers {}", "script.py {}"])
def test_without_standard_descriptors_it_serves_and_stops(
    place: Workplace, program: str, closed: str, workers: int
) -> None:
    place.write("script", "import sys, pronghorn\npronghorn.run('hello:app', uds='here.sock', workers=int(sys.argv[1]))")
    command = place.run("sh", "-c", f"exec {sys.executable} {program.format(workers)} {closed}")
    until((place.path / "here.sock").exists, "it is bound")
    until(lambda: serves(place.path / "here.sock"), "it serves")
    assert command.stop() == 0


def serves(path: Path) -> bool:
    try:
        with Client(str(path)) as client:
            client.request("/", "Connection: close")
            return client.rest().endswith(b"hello")
    except ConnectionRefusedError:  # it is bound, and does not listen yet
        return False


def test_python_is_ended_with_status_0_by_a_termination(place: Workplace) -> None:
    # Not by the signal, as with uvicorn: service managers read 0 as "stopped as asked".
    command = place.run(sys.executable, "-c", "import pronghorn; pronghorn.run('hello:app', port=0); print('after')")
    assert command.port
    assert command.stop(signal.SIGTERM) == 0
    assert command.out == ["after"]
