"""Several workers behind one socket: started, replaced and stopped without a client noticing."""

from __future__ import annotations

import json
import os
import resource
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest
from process.command import PATIENCE, Client, Command
from process.load import Load, alive, ask, children, until

if TYPE_CHECKING:
    from process.conftest import Workplace

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork() here")

PID = """
import os
import resource
import time

async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})
        return
    if scope["path"] == "/block":
        time.sleep(60)
    body = b"%d" % os.getpid()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(body))]})
    await send({"type": "http.response.body", "body": body})
"""


BOTH = pytest.mark.parametrize("start", ["fork", "spawn"], indirect=True)


@pytest.fixture
def start(request: pytest.FixtureRequest, place: Workplace) -> Callable[..., Command]:
    """Start two workers, by the way that the test names."""
    place.write("pid", PID)
    way = ("--workers-start", getattr(request, "param", "fork"))

    def start(*args: str, workers: int = 2) -> Command:
        command = place.pronghorn("pid:app", "--workers", str(workers), "--no-access-log", *way, *args)
        command.wait_for("running on")
        return command

    return start


@BOTH
def test_each_of_them_serves(start: Callable[..., Command]) -> None:
    command = start()
    pids = children(command)
    assert len(pids) == 2
    seen: set[int] = set()
    until(lambda: bool(seen.add(ask(command.port)) or seen == pids), "both answer")
    assert command.stop() == 0
    assert not any(alive(pid) for pid in pids)
    assert sum("running on" in line for line in command.lines) == 1
    assert sum("Finished server process" in line for line in command.lines) == 2
    command.clean()


@BOTH
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGQUIT])
def test_stop(start: Callable[..., Command], number: int) -> None:
    command = start()
    assert command.stop(number) == 0
    command.clean()


@BOTH
def test_reload_under_load(start: Callable[..., Command]) -> None:
    """The new worker is there before the old one goes: nobody is refused, and nobody loses an answer."""
    command = start()
    with Load(command.port) as load:
        for _ in range(3):
            before = children(command)
            command.send(signal.SIGHUP)
            until(lambda: not before & children(command) and len(children(command)) == 2, "both are replaced")  # noqa: B023
    assert load.errors == []
    assert load.answered > 20
    assert len(load.pids) > 2
    assert command.stop() == 0
    command.clean()


@BOTH
def test_application_that_cannot_be_imported_any_more(start: Callable[..., Command], place: Workplace) -> None:
    command = start()
    before = children(command)
    place.write("pid", "raise ValueError('broken')")
    command.send(signal.SIGHUP)
    command.wait_for("The workers that are there go on serving")
    command.wait_for("ValueError: broken")
    assert ask(command.port) in before
    assert children(command) >= before
    place.write("pid", PID)
    command.send(signal.SIGHUP)
    until(lambda: not before & children(command) and len(children(command)) == 2, "both are replaced")
    assert ask(command.port) not in before
    assert command.stop() == 0


def test_application_that_cannot_be_imported_at_all(place: Workplace) -> None:
    place.write("broken", "raise ValueError('broken')")
    command = place.pronghorn("broken:app", "--workers", "2")
    assert command.exit() == 3
    assert not any("running on" in line for line in command.lines)


@BOTH
@pytest.mark.parametrize("attempt", range(10))
def test_connections_are_shared_out(start: Callable[..., Command], attempt: int) -> None:
    """Those that stay open, as of browsers and WebSockets, are spread evenly, however fast they come."""
    command = start()
    sockets = [socket.create_connection(("127.0.0.1", command.port), timeout=PATIENCE) for _ in range(64)]
    counts: dict[bytes, int] = {}
    for one in sockets:
        one.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    for one in sockets:
        pid = one.recv(65536).rpartition(b"\r\n\r\n")[2]
        counts[pid] = counts.get(pid, 0) + 1
    for one in sockets:
        one.close()
    assert min(counts.values()) >= 26, counts
    assert command.stop() == 0


@BOTH
def test_crash(start: Callable[..., Command]) -> None:
    command = start()
    before = children(command)
    victim = min(before)
    os.kill(victim, signal.SIGKILL)
    command.wait_for(f"Worker [{victim}] died: ended by SIGKILL")
    until(lambda: len(children(command)) == 2 and victim not in children(command), "there is another one")
    (new,) = children(command) - before
    until(lambda: ask(command.port) == new, "it serves")
    assert command.stop() == 0
    command.clean()


@BOTH
def test_more_and_fewer(start: Callable[..., Command]) -> None:
    command = start()
    command.send(signal.SIGTTIN)
    until(lambda: len(children(command)) == 3, "one more")
    for count in (2, 1, 1):
        command.send(signal.SIGTTOU)
        until(lambda: len(children(command)) == count, "one fewer")  # noqa: B023
    assert ask(command.port) in children(command)
    assert command.stop() == 0
    command.clean()


@BOTH
def test_limit_of_requests_under_load(start: Callable[..., Command]) -> None:
    command = start("--limit-max-requests", "20")
    with Load(command.port) as load:
        until(lambda: len(load.pids) > 4, "workers are replaced")
    assert load.errors == []
    command.wait_for("is replaced: it has served as many requests as limit_max_requests allows")
    assert command.stop() == 0
    command.clean()


def test_age(start: Callable[..., Command]) -> None:
    command = start("--workers-lifetime", "0.5", workers=2)
    before = children(command)
    until(lambda: len(children(command)) >= 2 and not before & children(command), "both are replaced")
    command.wait_for("is replaced: it is as old as workers_lifetime allows")
    assert command.stop() == 0


def test_memory(start: Callable[..., Command]) -> None:
    command = start("--workers-max-rss", "1000000")
    command.wait_for("more than workers_max_rss allows")
    assert command.stop() == 0


@BOTH
def test_blocked_worker(start: Callable[..., Command]) -> None:
    """It is aborted, and shows where it was; the others serve meanwhile."""
    command = start("--timeout-worker-healthcheck", "2")
    before = children(command)
    with socket.create_connection(("127.0.0.1", command.port), timeout=PATIENCE) as blocked:
        blocked.sendall(b"GET /block HTTP/1.1\r\nHost: a\r\n\r\n")
        command.wait_for("shows no sign of life")
        command.wait_for("in app")  # of the dump
        command.wait_for("ended by SIGABRT")
        assert blocked.recv(100) == b""
    until(lambda: len(children(command)) == 2 and children(command) != before, "there is another one")
    ask(command.port)
    assert command.stop() == 0


@BOTH
def test_supervisor_that_is_killed(start: Callable[..., Command]) -> None:
    """Its workers end, and the port is free."""
    command = start()
    pids, port = children(command), command.port
    command.process.kill()
    until(lambda: not any(alive(pid) for pid in pids), "the workers end")
    with socket.socket() as again:
        again.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        again.bind(("127.0.0.1", port))


def test_preload(place: Workplace) -> None:
    place.write("pid", "import os\nprint('imported by', os.getpid())\n" + PID)
    command = place.pronghorn("pid:app", "--workers", "2", "--preload")
    command.wait_for("running on")
    assert ask(command.port) in children(command)
    assert command.stop() == 0
    assert [line for line in command.lines if "imported by" in line] == [f"imported by {command.process.pid}"]


def test_needs_a_name(place: Workplace) -> None:
    command = place.script("import pronghorn\nasync def app(*_): ...\npronghorn.run(app, workers=2)\n")
    assert command.exit() == 3
    assert "need the application by name" in "\n".join(command.lines)


def test_reload_while_workers_start(place: Workplace) -> None:
    """Whoever imported the application before the signal came is replaced as well."""
    slow = PID + "\nprint('imported 1')\ntime.sleep(0.5)\n"
    place.write("pid", slow)
    command = place.pronghorn("pid:app", "--workers", "2", "--no-access-log")
    command.wait_for("imported 1", 2)
    before = children(command)
    place.write("pid", slow.replace("imported 1", "imported 2"))
    command.send(signal.SIGHUP)
    command.wait_for("running on")
    until(lambda: not before & children(command) and len(children(command)) == 2, "both are replaced")
    command.wait_for("imported 2", 2)
    assert command.stop() == 0


@BOTH
def test_worker_that_is_held(start: Callable[..., Command]) -> None:
    """It cannot even abort: it is killed, and the log tells of it once."""
    command = start("--timeout-worker-healthcheck", "1")
    victim = min(children(command))
    os.kill(victim, signal.SIGSTOP)
    command.wait_for(f"Worker [{victim}] died: ended by SIGKILL")
    assert sum(f"Worker [{victim}] shows no sign of life" in line for line in command.lines) == 1
    assert sum(f"Worker [{victim}] does not stop, and is killed" in line for line in command.lines) == 1
    assert command.stop() == 0


def test_more_than_there_is_room_for(place: Workplace) -> None:
    command = place.pronghorn("hello:app", "--workers", "201")
    assert command.exit() == 2
    assert "--workers" in command.lines[-1]
    assert "from 0 to 200" in command.lines[-1]


@pytest.mark.skipif(not hasattr(resource, "prlimit"), reason="prlimit() is not there")
def test_system_that_refuses_a_process(start: Callable[..., Command]) -> None:
    """What is there goes on, and the next attempt may do."""
    command = start()
    before, pid = children(command), command.process.pid
    usual = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (5, usual[1]))
    command.send(signal.SIGHUP)
    command.wait_for("Cannot start a worker: too many open files")
    assert ask(command.port) in before
    resource.prlimit(pid, resource.RLIMIT_NOFILE, usual)
    until(lambda: not before & children(command) and len(children(command)) == 2, "both are replaced")
    assert command.stop() == 0
    command.clean()


def test_signals_of_a_preloaded_application(place: Workplace) -> None:
    place.write("pid", "import signal\nsignal.signal(signal.SIGALRM, lambda *_: print('alarm'))\n" + PID)
    command = place.pronghorn("pid:app", "--workers", "2", "--preload")
    command.wait_for("running on")
    command.send(signal.SIGALRM)
    command.wait_for("alarm")
    assert ask(command.port) in children(command)
    assert command.stop() == 0
    command.clean()


def test_certificates_of_a_preloaded_application(place: Workplace) -> None:
    """A reload reads them again, although nobody else looks at them."""
    trustme = pytest.importorskip("trustme", reason="trustme is not installed")
    authority = trustme.CA()

    def put(name: str) -> None:
        authority.issue_cert(name).private_key_and_cert_chain_pem.write_to_path(place.path / "fresh.pem")
        (place.path / "fresh.pem").replace(place.path / "both.pem")

    def names(port: int) -> str:
        context = ssl.create_default_context()
        context.check_hostname = False
        authority.configure_trust(context)
        plain = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)
        with context.wrap_socket(plain) as encrypted:
            return str(encrypted.getpeercert())

    put("one.test")
    place.write("pid", PID)
    command = place.pronghorn(
        "pid:app", "--workers", "2", "--preload", "--ssl-certfile", "both.pem", "--ssl-reload-interval", "0"
    )
    command.wait_for("running on")
    port = int(command.wait_for("running on").partition("127.0.0.1:")[2].partition(" ")[0])
    assert "one.test" in names(port)
    before = children(command)
    put("two.test")
    command.send(signal.SIGHUP)
    until(lambda: not before & children(command) and len(children(command)) == 2, "both are replaced")
    assert "two.test" in names(port)
    assert command.stop() == 0
    command.clean()


def test_run_returns(place: Workplace) -> None:
    """As it does for a server alone: a script may have something left to do."""
    place.write("pid", PID)
    command = place.script("import pronghorn\npronghorn.run('pid:app', port=0, workers=2)\nprint('and then')\n")
    command.wait_for("running on")
    assert command.stop() == 0
    assert command.out[-1] == "and then"
    command.clean()


def test_threads_of_the_application(place: Workplace) -> None:
    """Those that are to be waited for are, and functions registered for the exit run, as in any program."""
    place.write(
        "pid",
        "import atexit, threading\natexit.register(print, 'at exit')\n"
        + PID.replace(
            '        await send({"type": "lifespan.shutdown.complete"})',
            "        threading.Timer(0.5, print, ['thread done']).start()\n"
            '        await send({"type": "lifespan.shutdown.complete"})',
        ),
    )
    command = place.pronghorn("pid:app", "--workers", "2", "--no-access-log")
    command.wait_for("running on")
    assert command.stop() == 0
    text = "".join(command.out)  # print() writes its line break by itself: lines of two processes mix
    assert [text.count(said) for said in ("thread done", "at exit")] == [2, 2]
    command.clean()


def test_limit_of_requests_while_the_application_is_broken(start: Callable[..., Command], place: Workplace) -> None:
    """A worker whose time is over stays, and is replaced as soon as that works."""
    command = start("--limit-max-requests", "3")
    place.write("pid", "raise ValueError('broken')")
    before = children(command)
    while not any("go on serving" in line for line in command.lines):
        assert ask(command.port) in before
    place.write("pid", PID)
    until(lambda: bool(children(command) - before), "one is replaced")
    assert command.stop() == 0


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="processes cannot be held to a CPU here")
@pytest.mark.parametrize("given", ["option", "variable", "file", "python"])
def test_as_many_as_there_are_cpus(place: Workplace, given: str) -> None:
    """Held to one CPU it is one worker, which has a supervisor as several would."""
    place.write("pid", PID)
    (place.path / "conf.toml").write_text('workers = "auto"\nport = 0\n')
    how = {
        "option": "os.environ, ['pid:app', '--port', '0', '--workers', 'auto']",
        "variable": "os.environ | {'WEB_CONCURRENCY': 'auto'}, ['pid:app', '--port', '0']",
        "file": "os.environ, ['pid:app', '--config', 'conf.toml']",
    }
    held = f"import os, sys\nos.sched_setaffinity(0, {{{min(os.sched_getaffinity(0))}}})\n"
    if given == "python":
        command = place.script(held + "import pronghorn\npronghorn.run('pid:app', port=0, workers='auto')\n")
    else:
        environ, arguments = how[given].split(", ", 1)
        start = f"os.execve(sys.executable, [sys.executable, '-m', 'pronghorn', *{arguments}], {environ})\n"
        command = place.script(held + start)
    command.wait_for("workers: auto is 1 here")
    assert {ask(command.port)} == children(command)
    assert command.stop() == 0
    command.clean()


def test_settings_that_are_printed_keep_auto(place: Workplace) -> None:
    command = place.pronghorn("hello:app", "--workers", "auto", "--print-config")
    assert command.exit() == 0
    (line,) = [line for line in command.out if line.startswith("workers = ")]
    assert line.startswith('workers = "auto"  # command line, ') and line.endswith(" here")
    (place.path / "conf.toml").write_text(line + "\n")
    again = place.pronghorn("hello:app", "--config", "conf.toml", "--check")
    assert again.exit() == 0, again.lines


@BOTH
def test_rest(start: Callable[..., Command], place: Workplace) -> None:
    """All workers stop, and connections wait until there are some again."""
    command = start("--admin", "unix:admin.sock")
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


def test_stop_at_rest(start: Callable[..., Command]) -> None:
    command = start()
    command.send(signal.SIGWINCH)
    until(lambda: not children(command), "all have stopped")
    assert command.stop() == 0
    command.clean()


def test_window_that_changes_its_size(place: Workplace) -> None:
    """A terminal sends the same signal to whoever is in its foreground."""
    place.write("pid", PID)
    source = """
import fcntl, os, pty, signal, struct, sys, termios, time

pid, terminal = pty.fork()
if pid == 0:
    os.execl(sys.executable, sys.executable, "-m", "pronghorn", "pid:app", "--workers", "2", "--port", "0", "--no-use-colors")
said = b""
while b"running on" not in said:
    said += os.read(terminal, 1000)
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
    source = """
import os, pty, signal, socket, sys

pid, terminal = pty.fork()
if pid == 0:
    os.execl(sys.executable, sys.executable, "-m", "pronghorn", "pid:app", "--workers", "2", "--port", "0", "--no-use-colors")
said = b""
while b"running on" not in said:
    said += os.read(terminal, 1000)
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
    assert command.out.count("made") == 2
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


def test_workers_that_die_again_and_again(place: Workplace) -> None:
    """The pauses become longer also when each of them has become ready before."""
    ready = '        await send({"type": "lifespan.startup.complete"})\n'
    place.write("pid", PID.replace(ready, ready + "        threading.Timer(0.05, os._exit, [7]).start()\n"))
    place.write("pid", "import threading\n" + (place.path / "pid.py").read_text())
    command = place.pronghorn("pid:app", "--workers", "2", "--no-access-log")
    command.wait_for("died: exit status 7. Another one is started in 2 seconds.")
    assert command.stop() == 0
    command.clean()


ENDS = '        await send({"type": "lifespan.shutdown.complete"})'


@pytest.mark.parametrize(
    ("limit", "last"),
    [
        ("0", "        import asyncio; await asyncio.sleep(6)\n        print('done\\n', end='')\n" + ENDS),
        ("0.5", ENDS + "\n        import threading; threading.Timer(6, print, ['done\\n'], {'end': ''}).start()"),
    ],
    ids=["lifespan", "thread"],
)
def test_long_end(place: Workplace, limit: str, last: str) -> None:
    """A worker has as long for it as it may have in a server alone."""
    place.write("pid", PID.replace(ENDS, last))
    command = place.pronghorn(
        *("pid:app", "--workers", "2", "--no-access-log", "--timeout-graceful-shutdown", "0"),
        *("--timeout-lifespan-shutdown", limit),
    )
    command.wait_for("running on")
    assert command.stop() == 0
    assert command.out.count("done") == 2, command.lines
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


def test_application_that_ends_the_process_while_it_is_imported(place: Workplace) -> None:
    place.write("leaves", "import sys\nsys.exit('no database')\n")
    command = place.pronghorn("leaves:app", "--workers", "2")
    assert command.exit() == 3
    assert any("no database" in line for line in command.err)
    command.clean()


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2, signal.SIGTTIN])
def test_signals_while_the_application_is_preloaded(place: Workplace, number: int) -> None:
    """Nobody is there yet whom they could mean, and nobody must end of them: the pid file is there."""
    wait = "import time\nfrom pathlib import Path\nprint('imports')\nwhile not Path('go').exists(): time.sleep(0.01)\n"
    place.write("pid", wait + PID)
    command = place.pronghorn("pid:app", "--workers", "2", "--no-access-log", "--preload", "--pid", "server.pid")
    command.wait_for("imports")
    os.kill(int((place.path / "server.pid").read_text()), number)
    (place.path / "go").touch()
    command.wait_for("running on")
    assert ask(command.port) in children(command)
    assert command.stop() == 0
    command.clean()


@pytest.mark.parametrize("exits", [False, True])
def test_preloading_that_ends(place: Workplace, exits: bool) -> None:
    """By Ctrl-C, or by the application itself: nothing is left behind."""
    place.write("pid", "import sys, time\nprint('imports')\n" + ("sys.exit(7)\n" if exits else "time.sleep(60)\n"))
    command = place.pronghorn("pid:app", "--workers", "2", "--preload", "--uds", "server.sock", "--pid", "server.pid")
    command.wait_for("imports")
    if not exits:
        command.send(signal.SIGINT)
    assert command.exit() == (7 if exits else 130)
    assert not (place.path / "server.sock").exists() and not (place.path / "server.pid").exists()
    command.clean()


def test_machine_that_was_held(start: Callable[..., Command]) -> None:
    """All its processes stood still, as of a container that is paused: none of them is to blame."""
    command = start("--timeout-worker-healthcheck", "3")
    before = children(command)
    for pid in (command.process.pid, *before):
        os.kill(pid, signal.SIGSTOP)
    held = time.monotonic()
    until(lambda: time.monotonic() - held > 4, "time passes")
    os.kill(command.process.pid, signal.SIGCONT)
    command.send(signal.SIGTTIN)  # when this has been done, it has looked at the others
    until(lambda: len(children(command)) == 3, "it goes on")
    for pid in before:
        os.kill(pid, signal.SIGCONT)
    assert ask(command.port) in children(command)
    assert children(command) >= before
    assert command.stop() == 0
    assert not any("no sign of life" in line for line in command.lines)
