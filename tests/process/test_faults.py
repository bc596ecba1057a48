"""Faults under load, and what becomes of every request meanwhile. `ci/chaos` runs the same at full length."""

from __future__ import annotations

import os
import re
import resource
import shutil
import signal
import socket
import struct
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from frames import CLOSE, frame, upgrade
from ledger.load import APPLICATION, Load
from process.command import PATIENCE, Client, Command
from process.load import alive, children, until

if TYPE_CHECKING:
    from ledger.book import Verdict
    from process.conftest import Workplace

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork() here")

FULL = os.environ.get("PRONGHORN_CHAOS") == "full"  # and then times count as well


class Ledger:
    """The ledger's application in two workers, and loads on it."""

    def __init__(self, place: Workplace) -> None:
        self.place = place
        self.journal = place.path / "journal"
        self.source = APPLICATION.read_text()
        self.write(self.source)

    def write(self, source: str) -> None:
        self.place.write("served", source)

    def start(self, *args: str, workers: int = 2) -> Command:
        self.command = self.place.pronghorn(
            *("served:app", "--workers", str(workers), "--no-access-log", *args), env={"LEDGER": str(self.journal)}
        )
        self.command.wait_for("running on")
        return self.command

    def load(self, rate: float = 400, lanes: int = 32) -> Load:
        return Load([("127.0.0.1", self.command.port)], self.journal, rate=rate, lanes=lanes)

    def reload(self) -> None:
        """Replace both workers."""
        before = children(self.command)
        self.command.send(signal.SIGHUP)
        until(lambda: not before & children(self.command) and len(children(self.command)) == 2, "both are replaced")

    def stop(self, load: Load) -> Verdict:
        """Stop the server; the verdict on the load."""
        assert self.command.stop() == 0
        self.command.clean()
        verdict = load.verdict()
        print(verdict)
        return verdict


@pytest.fixture
def ledger(place: Workplace) -> Ledger:
    return Ledger(place)


@pytest.fixture
def opened() -> Iterator[ExitStack]:
    """For clients that are many."""
    with ExitStack() as stack:
        yield stack


def within(limit: float, condition: Callable[[], bool], what: str) -> float:
    """Wait for something; how long it took, which counts at full length only."""
    begun = time.monotonic()
    until(condition, what)
    took = time.monotonic() - begun
    print(f"{what}: {took:.2f} s")
    assert not FULL or took <= limit, f"{what} took {took:.2f} s"
    return took


def test_rolling_reloads(ledger: Ledger) -> None:
    """Nothing is lost, broken, done twice or refused."""
    ledger.start()
    reloads, requests = (20, 200_000) if FULL else (3, 1_500)
    with ledger.load(rate=3_300 if FULL else 500, lanes=64) as load:
        for _ in range(reloads):
            ledger.reload()
            load.wait_for(requests // reloads, within=600)
        load.until(lambda: load.book.answered >= requests, "all requests", within=600)
    assert (verdict := ledger.stop(load)).spotless, str(verdict)


def test_reload_of_a_slow_application(ledger: Ledger) -> None:
    ledger.start()
    ledger.write(f"import time\ntime.sleep({5 if FULL else 1})\n{ledger.source}")
    with ledger.load() as load:
        ledger.reload()
    assert (verdict := ledger.stop(load)).spotless, str(verdict)


def test_reload_of_a_broken_application(ledger: Ledger) -> None:
    """The workers that are there go on serving, and the log says why."""
    command = ledger.start()
    before = children(command)
    with ledger.load() as load:
        for attempt in range(5 if FULL else 1):
            ledger.write(f"raise ValueError('broken {attempt}')")
            command.send(signal.SIGHUP)
            command.wait_for(f"ValueError: broken {attempt}")
            command.wait_for("The workers that are there go on serving", attempt + 1)
            load.wait_for(100)
        assert before <= children(command)
    verdict = load.verdict()
    print(verdict)
    assert verdict.spotless, str(verdict)
    assert command.stop() == 0


def test_killed_workers(ledger: Ledger) -> None:
    """Only what was open in the killed worker is lost, and another one serves within a second."""
    command = ledger.start()
    killed: list[int] = []
    with ledger.load() as load:
        for count in range(1, (10 if FULL else 2) + 1):
            load.wait_for(800 if FULL else 100)  # two seconds
            killed.append(sorted(children(command))[count % 2])
            os.kill(killed[-1], signal.SIGKILL)
            started = "Application startup complete"
            within(1.0, lambda: sum(started in line for line in command.lines) == 2 + count, "another one")  # noqa: B023
    verdict = ledger.stop(load)
    assert (rest := verdict.without(killed)).spotless, str(rest)
    assert len(verdict.lost) <= len(killed) * len(load.lanes)
    assert sum(f"Worker [{pid}] died: ended by SIGKILL" in line for line in command.lines for pid in killed) == len(
        killed
    )


@pytest.mark.parametrize("delay", [0, 0.05, 0.2, 1, 1.9] if FULL else [0, 0.5])
def test_every_state_at_the_stop(ledger: Ledger, delay: float, opened: ExitStack) -> None:
    """Who has connected, or begun to ask, or asked, is answered; who waits is told that it is over."""
    command = ledger.start()
    port, count = command.port, 200 if FULL else 6
    silent, idle, half, busy, streams, sockets = (
        [opened.enter_context(Client(port)) for _ in range(count)] for _ in range(6)
    )
    for number, one in enumerate(idle):
        one.request(f"/small/before{number}")
        one.until(b"before%d" % number)
    for number, one in enumerate(half):
        one.socket.sendall(b"GET /small/half%d HTTP/1.1\r\nHo" % number)
    for number, one in enumerate(streams):
        one.request(f"/drip/stream{number}")
        one.until(b"drop")
    for one in sockets:
        one.socket.sendall(upgrade(target="/socket/all"))
        one.until(b"\r\n\r\n")
    for number, one in enumerate(busy):
        one.request(f"/slow/busy{number}")
    until(lambda: ledger.journal.read_text().count("busy") == count, "the requests are being served")
    command.send(signal.SIGTERM)
    begun = time.monotonic()
    until(lambda: time.monotonic() > begun + delay, "the moment")
    for number, one in enumerate([*silent, *idle]):
        one.request(f"/small/late{number}")
    for one in half:
        one.socket.sendall(b"st: a\r\n\r\n")
    expected = [(silent, "late", 0), (idle, "late", count), (half, "half", 0), (busy, "busy", 0)]
    for clients, name, first in expected:
        for number, one in enumerate(clients, first):
            head, _, body = one.rest().partition(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200") and body == b"%b%d" % (name.encode(), number), (name, number, head)
            assert b"connection: close" in head.lower() or not delay, (name, number, head)
    for number, one in enumerate(streams):
        assert one.rest().endswith(b"%x\r\nstream%d\r\n0\r\n\r\n" % (len(f"stream{number}"), number))
    for one in sockets:
        assert one.socket.recv(2) == bytes([0x80 | CLOSE, 2])
        code = one.socket.recv(2)
        assert struct.unpack("!H", code) == (1012,)
        one.socket.sendall(frame(CLOSE, code))
        assert one.rest() == b""
    assert command.exit() == 0
    command.clean()


def test_blocked_worker(ledger: Ledger) -> None:
    """Its stack is logged, it is aborted, and the other one serves all the time."""
    command = ledger.start(*([] if FULL else ["--loop-stall-log", "1", "--timeout-worker-healthcheck", "3"]))
    stall, health = (5.0, 30.0) if FULL else (1.0, 3.0)
    with Client(command.port) as blocked, ledger.load() as load:
        blocked.request("/block/60")
        begun = time.monotonic()
        until(lambda: any("by GET /block/60" in line for line in command.lines), "the warning")
        logged = time.monotonic() - begun
        begin, patience = load.book.answered, begun + health + 10
        found = None
        while found is None and time.monotonic() < patience:
            found = re.search(r"Worker \[(\d+)\] shows no sign of life", "\n".join(command.lines))
            load.wait_for(10)
        assert found
        aborted = time.monotonic() - begun
        print(
            f"stack after {logged:.1f} s, aborted after {aborted:.1f} s, {load.book.answered - begin} served meanwhile"
        )
        assert not FULL or (stall <= logged <= stall + 2 and health - 1 <= aborted <= health + 3)
        command.wait_for("ended by SIGABRT")
        command.wait_for("in app")
        load.wait_for(100)
    assert command.stop() == 0
    verdict = load.verdict()
    print(verdict)
    assert (rest := verdict.without([int(found[1])])).spotless, str(rest)


def test_supervisor_that_is_killed(ledger: Ledger) -> None:
    """Its workers end, and the port is free."""
    command = ledger.start()
    pids, port = children(command), command.port
    with ledger.load() as load:
        load.wait_for(50)
        command.process.kill()
        within(5.0, lambda: not any(alive(pid) for pid in pids), "the workers have gone")
    with socket.socket() as again:
        again.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        again.bind(("127.0.0.1", port))


def processor_time(pid: int) -> float:
    """Seconds that a process has computed."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_no_descriptors_left(ledger: Ledger, opened: ExitStack) -> None:
    """The listener is left alone for a while instead of being asked in vain all the time; then it goes on."""
    command = ledger.start(workers=1)
    worker = command.process.pid
    with Client(command.port) as bystander:
        bystander.request("/small/first")
        bystander.until(b"first")
        resource.prlimit(worker, resource.RLIMIT_NOFILE, (48, resource.prlimit(worker, resource.RLIMIT_NOFILE)[1]))
        flood = [opened.enter_context(Client(command.port)) for _ in range(500 if FULL else 100)]
        command.wait_for("open files")
        span, before, begun = 10.0 if FULL else 1.0, processor_time(worker), time.monotonic()
        counter = count_accepts(worker, span)
        served = 0
        while time.monotonic() < begun + span:
            bystander.request(f"/small/by{served}")
            bystander.until(b"by%d" % served)
            served += 1
            until(lambda: time.monotonic() > begun + served / 20, "the next")  # noqa: B023
        share = (processor_time(worker) - before) / (time.monotonic() - begun)
        accepts = counter()
        print(f"{served} served, {share:.1%} of a processor, {accepts} accepts a second")
        assert share < 0.2 and (not FULL or (share <= 0.05 and (accepts is None or accepts <= 20)))
        for one in flood:
            one.socket.close()
        within(1.0, lambda: ask_any(command.port), "it recovers")
    assert command.stop() == 0
    command.clean()
    assert sum("open files" in line for line in command.lines) <= 1 + span / 5


def ask_any(port: int) -> bool:
    with Client(port) as client:
        client.request("/small/after")
        client.until(b"after")
    return True


def count_accepts(pid: int, span: float) -> Callable[[], float | None]:
    """Begin to count; what is returned ends it, and says how many there were in a second, if strace is there."""
    if not FULL or shutil.which("strace") is None:
        return lambda: None
    command = [
        "timeout",
        "-s",
        "INT",
        str(span - 1),
        "strace",
        "-f",
        "-c",
        "-e",
        "trace=accept,accept4",
        "-p",
        str(pid),
    ]
    tracer = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)

    def end() -> float:
        _, table = tracer.communicate(timeout=PATIENCE)
        calls = [int(line.split()[3]) for line in table.splitlines() if line.split()[-1:] in (["accept"], ["accept4"])]
        return sum(calls) / (span - 1)

    return end
