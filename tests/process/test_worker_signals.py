"""Signals to supervisors and workers, of people, service managers and terminals."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from process.command import PATIENCE, Client
from process.crew import BOTH, PID, Start, starter
from process.load import ask, children, until
from serving import LOOPS

if TYPE_CHECKING:
    from process.conftest import Workplace

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork() here")


@BOTH
def test_rest(crew: Start, place: Workplace) -> None:
    """All workers stop, and connections wait until there are some again."""
    command = crew("--admin", "unix:admin.sock")
    command.wait_for("/readyz are answered")
    for again, count in ((signal.SIGHUP, 2), (signal.SIGTTIN, 1)):
        command.send(signal.SIGWINCH)
        until(lambda: len(children(command)) == 1, "all have stopped, and only health checks are answered")
        until(lambda: health(place, "/readyz") == "503 resting", "it does not take requests")
        assert health(place, "/livez") == "200 ok"
        with socket.create_connection(("127.0.0.1", command.port), timeout=PATIENCE) as early:
            early.sendall(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
            command.send(signal.SIGTTOU)  # nothing to take away
            command.send(again)
            assert early.recv(100).startswith(b"HTTP/1.1 200")
        until(lambda: len(children(command)) == count + 1, "as many as are wanted")  # noqa: B023
        until(lambda: health(place, "/readyz") == "200 ok", "it takes requests")
    assert not any("died" in line or "did not start" in line for line in command.lines)
    assert command.stop() == 0
    command.clean()


def health(place: Workplace, path: str) -> str:
    with Client(str(place.path / "admin.sock")) as client:
        client.request(path, "Connection: close")
        head, _, body = client.rest().partition(b"\r\n\r\n")
    return f"{head.split()[1].decode()} {body.decode().strip()}"


def test_rest_while_workers_start(place: Workplace) -> None:
    place.write("pid", PID + "\nprint('imported\\n', end='')\ntime.sleep(0.5)\n")
    command = place.pronghorn("pid:app", "--workers", "2", "--no-access-log")
    command.wait_for("imported", 2)
    command.send(signal.SIGWINCH)
    until(lambda: not children(command), "all have stopped")
    command.send(signal.SIGHUP)
    command.wait_for("running on")
    assert ask(command.port) in children(command)
    assert not any("died" in line or "did not start" in line for line in command.lines)
    assert command.stop() == 0


def test_stop_at_rest(crew: Start) -> None:
    command = crew()
    command.send(signal.SIGWINCH)
    until(lambda: not children(command), "all have stopped")
    assert command.stop() == 0
    command.clean()


# The server in the foreground of a terminal, until it serves.
TERMINAL = """
import fcntl, os, pty, signal, socket, struct, sys, termios

pid, terminal = pty.fork()
if pid == 0:
    os.execl(sys.executable, sys.executable, "-m", "pronghorn", "pid:app", "--workers", "2", "--port", "0", "--no-use-colors")
said = b""
while b"running on" not in said:
    said += os.read(terminal, 1000)
"""


def test_window_that_changes_its_size(place: Workplace) -> None:
    """A terminal sends the same signal to whoever is in its foreground."""
    place.write("pid", PID)
    source = TERMINAL + """
for rows in range(20, 30):
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", rows, 80, 0, 0))
os.kill(pid, signal.SIGTTIN)
while said.count(b"startup complete") < 3:
    said += os.read(terminal, 1000)
os.kill(pid, signal.SIGTERM)
status = os.waitpid(pid, 0)[1]
sys.stdout.write(said.decode().replace(chr(13), ""))
sys.exit(os.waitstatus_to_exitcode(status))
"""
    command = place.script(source)
    assert command.exit() == 0, command.lines
    assert not any("All workers stop" in line for line in command.out)


def test_worker_that_reads_from_the_terminal(place: Workplace) -> None:
    """It may not, as somebody in the background, and is told so: it does not try for ever."""
    place.write("pid", PID.replace("time.sleep(60)", "input()"))
    source = TERMINAL + """
with socket.create_connection(("127.0.0.1", int(said.partition(b"127.0.0.1:")[2].split()[0]))) as client:
    client.sendall(b"GET /block HTTP/1.1\\r\\nHost: a\\r\\n\\r\\n")
    client.settimeout(10)
    try:
        print(client.recv(100).split()[1].decode())
    except TimeoutError:
        os.kill(pid, signal.SIGKILL)
while b"EOFError" not in said:
    said += os.read(terminal, 1000)
os.kill(pid, signal.SIGTERM)
while b"Stopped parent" not in said:
    said += os.read(terminal, 1000)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
"""
    command = place.script(source)
    assert command.exit() == 0, command.lines
    assert command.out == ["500"]


SHOWS_SIGNALS = """
import signal, subprocess, sys

ask = "import signal; print([one for one in signal.Signals if signal.getsignal(one) is signal.SIG_IGN])"
found = [subprocess.check_output([sys.executable, "-c", ask])]

async def app(scope, receive, send):
    assert scope["type"] == "http"
    body = found[0] + subprocess.check_output([sys.executable, "-c", ask])
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": body})
"""


def test_signals_of_the_processes_of_an_application(place: Workplace) -> None:
    """They are as in any program: what a worker does not listen to is not ignored by what it starts."""
    place.write("shows", SHOWS_SIGNALS)
    command = place.pronghorn("shows:app", "--workers", "2", "--no-access-log")
    with Client(command.port) as client:
        client.request("/", "Connection: close")
        *_, first, second, end = client.rest().rpartition(b"\r\n\r\n")[2].split(b"\n")
    plain = subprocess.run(
        [sys.executable, "-c", SHOWS_SIGNALS + "print(found[0].decode())"], capture_output=True, text=True, check=True
    )
    assert [first.decode(), second.decode()] == [plain.stdout.splitlines()[0]] * 2
    assert end == b""
    assert command.stop() == 0


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2, signal.SIGWINCH, signal.SIGINT])
def test_signals_that_are_not_for_workers(place: Workplace, number: int) -> None:
    """They do nothing there, not even while it starts; USR1 is passed on to all of them."""
    place.write("pid", PID + "\nprint('imported\\n', end='')\ntime.sleep(0.5)\n")
    command = place.pronghorn("pid:app", "--workers", "2", "--no-access-log")
    command.wait_for("imported", 2)
    before = children(command)
    for pid in before:
        os.kill(pid, number)
    command.wait_for("running on")
    for pid in before:
        os.kill(pid, number)
    if number == signal.SIGUSR1:
        command.send(number)
    assert ask(command.port) in before
    assert children(command) == before
    assert command.stop() == 0
    command.clean()


TOGETHER = [signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2, signal.SIGWINCH, signal.SIGINT, signal.SIGTTIN, signal.SIGTTOU]


@pytest.mark.parametrize("way", ["fork", "spawn"])
def test_signals_that_arrive_together(place: Workplace, way: str) -> None:
    """They nest, and there is room for all of them on the stack that faulthandler gives a worker's handlers."""
    command = starter(place, way)()
    workers = children(command)
    for pid in workers:
        os.kill(pid, signal.SIGSTOP)
        until(lambda: state(pid) == "T", "it is stopped, so that signals gather")  # noqa: B023
        for number in TOGETHER:
            os.kill(pid, number)
        os.kill(pid, signal.SIGCONT)
        until(lambda: state(pid) in "RS", "it goes on, if it is alive")  # noqa: B023
    assert ask(command.port) in workers
    assert children(command) == workers
    assert command.stop() == 0
    command.clean()


def state(pid: int) -> str:
    """A process's state as the system shows it: T while it is stopped, empty when it is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][:1]
    except FileNotFoundError:
        return ""


# Enables faulthandler itself, and takes every signal that it may.
FAULTS = """
import faulthandler, os, signal, sys

kinds = [number for number in signal.valid_signals() if 1 < number < 32 or number > 34]
kinds = [number for number in kinds if number not in (9, 11, 19) and signal.getsignal(number) is not None]
for number in kinds:
    signal.signal(number, lambda *_: None)
faulthandler.enable()

async def app(scope, receive, send):
    assert scope["type"] == "http"
    before = signal.pthread_sigmask(signal.SIG_BLOCK, kinds)
    for number in kinds:
        os.kill(os.getpid(), number)
    signal.pthread_sigmask(signal.SIG_SETMASK, before)
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"%d" % len(kinds)})
"""


@pytest.mark.parametrize("options", [(), ("--workers", "2"), ("--workers", "2", "--workers-start", "spawn")])
def test_signals_that_arrive_together_in_an_application_with_handlers(place: Workplace, options: tuple[str, ...]) -> None:
    """The application may have enabled faulthandler, which gives its handlers a stack for one signal."""
    place.write("faults", FAULTS)
    command = place.pronghorn("faults:app", "--lifespan", "off", "--no-access-log", *options)
    with Client(command.port) as client:
        client.request("/", "Connection: close")
        assert int(client.rest().rpartition(b"\r\n\r\n")[2]) > 20
    command.kill()


LASTS = """
        import asyncio, threading
        from pathlib import Path
        loop = asyncio.get_running_loop()
        def last():
            while not loop.is_closed():
                time.sleep(0.01)
            print("the loop is closed\\n", end="")
            while not Path("go").exists():
                time.sleep(0.01)
            print("thread done\\n", end="")
        threading.Thread(target=last).start()
"""


@pytest.mark.parametrize("loop", [loop for loop in ("uvloop", "asyncio") if loop in LOOPS])
def test_log_that_is_opened_again_while_workers_wait_for_their_threads(place: Workplace, loop: str) -> None:
    """They are sent USR1 as well, and do not end of it."""
    end = '        await send({"type": "lifespan.shutdown.complete"})'
    place.write("pid", PID.replace(end, LASTS + end))
    command = place.pronghorn("pid:app", "--workers", "2", "--no-access-log", "--loop", loop)
    command.wait_for("running on")
    command.send(signal.SIGTERM)
    command.wait_for("the loop is closed", 2)
    for pid in children(command):
        os.kill(pid, signal.SIGUSR1)
    command.send(signal.SIGUSR1)
    (place.path / "go").touch()
    assert command.exit() == 0
    assert "".join(command.out).count("thread done") == 2
    command.clean()


def test_signals_while_a_spawned_worker_starts(place: Workplace) -> None:
    """Not even the first moments of an interpreter, which knows nothing of us yet, end it."""
    place.write("pid", PID)
    command = place.pronghorn("pid:app", "--workers", "2", "--no-access-log", "--workers-start", "spawn")
    until(lambda: len(children(command)) == 2, "they have been started")
    while not any("running on" in line for line in command.lines):
        for pid in children(command):
            for number in (signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2, signal.SIGWINCH, signal.SIGINT):
                os.kill(pid, number)
        command.send(signal.SIGUSR1)
    assert not any("did not start" in line for line in command.lines)
    assert command.stop() == 0
    command.clean()


WAITS = """
    if scope["path"] == "/wait":
        print("waits")
        while (await receive())["type"] != "http.disconnect":
            pass
        await asyncio.sleep(1)
        print("had time")
"""


@pytest.mark.parametrize("attempt", range(3))
def test_quit(place: Workplace, attempt: int) -> None:
    """It does not wait for a request, nor for the limits of a graceful stop."""
    place.write("pid", "import asyncio\n" + PID.replace("    body = ", WAITS + "    body = "))
    command = place.pronghorn("pid:app", "--workers", "2", "--no-access-log")
    with Client(command.port) as client:
        client.request("/wait")
        command.wait_for("waits")
        assert command.stop(signal.SIGQUIT) == 0
    assert "had time" not in command.out
