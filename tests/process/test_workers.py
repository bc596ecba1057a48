"""Several workers behind one socket: started, replaced and stopped without a client noticing."""

from __future__ import annotations

import os
import resource
import signal
import socket
import sys
import time
from typing import TYPE_CHECKING

import pytest
from process.command import PATIENCE, Client
from process.crew import BOTH, PID, Start
from process.load import Load, alive, ask, children, until
from process.test_faults import processor_time

if TYPE_CHECKING:
    from process.conftest import Workplace

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork() here")


@BOTH
def test_each_of_them_serves(crew: Start) -> None:
    command = crew()
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
def test_stop(crew: Start, number: int) -> None:
    command = crew()
    assert command.stop(number) == 0
    command.clean()


@BOTH
def test_reload_under_load(crew: Start) -> None:
    """The new worker is there before the old one goes: nobody is refused, and nobody loses an answer."""
    command = crew()
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
def test_application_that_cannot_be_imported_any_more(crew: Start, place: Workplace) -> None:
    command = crew()
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
@pytest.mark.parametrize("attempt", range(10 if os.environ.get("PRONGHORN_TEST_ALL") else 2))
def test_connections_are_shared_out(crew: Start, attempt: int) -> None:
    """Those that stay open, as of browsers and WebSockets, are spread evenly, however fast they come."""
    command = crew()
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
def test_crash(crew: Start) -> None:
    command = crew()
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
def test_more_and_fewer(crew: Start) -> None:
    command = crew()
    command.send(signal.SIGTTIN)
    until(lambda: len(children(command)) == 3, "one more")
    for count in (2, 1, 1):
        command.send(signal.SIGTTOU)
        until(lambda: len(children(command)) == count, "one fewer")  # noqa: B023
    assert ask(command.port) in children(command)
    assert command.stop() == 0
    command.clean()


@BOTH
def test_limit_of_requests_under_load(crew: Start) -> None:
    command = crew("--limit-max-requests", "20")
    with Load(command.port) as load:
        until(lambda: len(load.pids) > 4, "workers are replaced")
    assert load.errors == []
    command.wait_for("is replaced: it has served as many requests as limit_max_requests allows")
    assert command.stop() == 0
    command.clean()


def test_age(crew: Start) -> None:
    command = crew("--workers-lifetime", "0.5", workers=2)
    before = children(command)
    until(lambda: len(children(command)) >= 2 and not before & children(command), "both are replaced")
    command.wait_for("is replaced: it is as old as workers_lifetime allows")
    assert command.stop() == 0


def test_memory(crew: Start) -> None:
    command = crew("--workers-max-rss", "1000000")
    command.wait_for("more than workers_max_rss allows")
    assert command.stop() == 0


@BOTH
def test_blocked_worker(crew: Start) -> None:
    """It is aborted, and shows where it was; the others serve meanwhile."""
    command = crew("--timeout-worker-healthcheck", "2")
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
def test_supervisor_that_is_killed(crew: Start) -> None:
    """Its workers end, and the port is free."""
    command = crew()
    pids, port = children(command), command.port
    command.process.kill()
    until(lambda: not any(alive(pid) for pid in pids), "the workers end")
    with socket.socket() as again:
        again.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        again.bind(("127.0.0.1", port))


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
def test_worker_that_is_held(crew: Start) -> None:
    """It cannot even abort: it is killed, and the log tells of it once."""
    command = crew("--timeout-worker-healthcheck", "1")
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
    assert "from 1 to 200" in command.lines[-1]


@pytest.mark.skipif(not hasattr(resource, "prlimit"), reason="prlimit() is not there")
def test_system_that_refuses_a_process(crew: Start) -> None:
    """What is there goes on, and the next attempt may do."""
    command = crew()
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


def test_limit_of_requests_while_the_application_is_broken(crew: Start, place: Workplace) -> None:
    """A worker whose time is over stays, and is replaced as soon as that works."""
    command = crew("--limit-max-requests", "3")
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
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_blocked_worker_that_shall_stop(crew: Start, number: int) -> None:
    """It is looked after until its end."""
    command = crew("--timeout-worker-healthcheck", "2")
    with Client(command.port) as blocked:
        blocked.request("/block")
        command.wait_for("blocking")
        command.send(number)
        command.wait_for("shows no sign of life")
        command.wait_for("in app")  # of the dump
        assert blocked.rest() == b""
    if number == signal.SIGTERM:
        assert command.exit() == 0
    else:
        until(lambda: len(children(command)) == 2, "both are replaced")
        assert command.stop() == 0
    assert not any("does not stop, and is killed" in line for line in command.lines)


def test_end_that_shows_no_life(crew: Start) -> None:
    """A worker whose loop has ended waits for its threads: it is not taken for a blocked one."""
    late = "        import threading; threading.Timer(4, print, ['done\\n'], {'end': ''}).start()\n        return"
    command = crew("--timeout-worker-healthcheck", "1", app=PID.replace("        return", late, 1))
    assert command.stop() == 0
    assert command.out.count("done") == 2
    assert not any("no sign of life" in line for line in command.lines)
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
    assert "".join(command.out).count("done") == 2, command.lines
    command.clean()


def test_machine_that_was_held(crew: Start) -> None:
    """All its processes stood still, as of a container that is paused: none of them is to blame."""
    command = crew("--timeout-worker-healthcheck", "3")
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


SILENT = """
    if scope["path"] == "/silent":
        import gc, socket
        from pronghorn.worker import Worker
        (worker,) = [one for one in gc.get_objects() if isinstance(one, Worker)]
        worker.line.shutdown(socket.SHUT_WR)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="what is asked of /proc is Linux's")
def test_worker_that_can_say_no_more(place: Workplace) -> None:
    """The supervisor does not listen to it all the time, and lets it serve."""
    place.write("pid", PID.replace("    body = ", SILENT + "    body = "))
    command = place.pronghorn("pid:app", "--workers", "2", "--no-access-log")
    worker = ask(command.port, "/silent")
    before, begun = processor_time(command.process.pid), time.monotonic()
    until(lambda: time.monotonic() > begun + 1, "time passes")
    assert processor_time(command.process.pid) - before < 0.5
    assert worker in children(command)
    assert command.stop() == 0
    command.clean()


FRAIL = PID.replace('if scope["path"] == "/block"', 'if scope["path"] == "/crash":\n        os._exit(1)\n    if scope["path"] == "/block"')


@BOTH
def test_clients_that_end_workers(crew: Start, place: Workplace) -> None:
    """There is no pause before the next one, however often that happens: others are answered meanwhile."""
    command = crew(app=FRAIL)
    for round_ in range(1, 9):
        with Client(command.port) as client:
            client.request("/crash")
            assert client.rest() == b""
        command.wait_for("died: exit status 1. Another one is started.", round_)
    with Client(command.port) as client:
        client.request("/")
        assert client.until(b"\r\n\r\n").startswith(b"HTTP/1.1 200 OK")
    until(lambda: len(children(command)) == 2, "there are two again")
    assert not any("next attempt" in line or "did not start" in line for line in command.lines)
    assert command.stop() == 0
    command.clean()


FATES = {
    "exits": ("os._exit(7)", "exit status 7"),
    "leaves": ("os._exit(0)", "exit status 0"),
    "dies": ("os.kill(os.getpid(), signal.SIGKILL)", "ended by SIGKILL"),
    "hangs": ("time.sleep(60)", "ended by SIGKILL"),
}


@BOTH
@pytest.mark.parametrize("end", FATES)
def test_workers_that_never_become_ready(place: Workplace, crew: Start, end: str, request: pytest.FixtureRequest) -> None:
    """They are given up: a service manager hears of it, whatever keeps them from starting."""
    what, how = FATES[end]
    way = request.node.callspec.params["crew"]
    place.write("frail", f"import os, signal, time\n{what}\n")
    limit = "0.5" if end == "hangs" else "300"
    command = place.pronghorn(
        *("frail:app", "--workers", "2", "--workers-start", way, "--timeout-worker-startup", limit)
    )
    assert command.exit() == 3
    assert not any("running on" in line for line in command.lines)
    failures = sum(f"did not start: {how}" in line for line in command.lines)
    assert 5 <= failures <= 10, "\n".join(command.lines)
    command.wait_for("No worker became ready in any of 5 attempts to start them.")


def test_worker_that_cannot_be_replaced_is_tried_again(crew: Start, place: Workplace) -> None:
    """Where some have served, the server never gives up: what ends it may pass."""
    command = crew()
    place.write("pid", "import os\nos._exit(7)\n")
    for pid in children(command):
        os.kill(pid, signal.SIGKILL)
    command.wait_for("did not start: exit status 7", 6)
    command.wait_for("The next attempt is made in 1 s.")
    place.write("pid", PID)
    until(lambda: len(children(command)) == 2 and bool(ask(command.port)), "two serve")
    assert command.stop() == 0
