"""--reload: back with the new code at once, whatever the old worker is still at."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from process.command import PATIENCE, Client, Command

from pronghorn.reloader import Watch

if TYPE_CHECKING:
    from process.conftest import Workplace

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork() here")

APP = """
import asyncio
TEXT = b"one"

async def app(scope, receive, send):
    assert scope["type"] == "http"
    await send({"type": "http.response.start", "status": 200, "headers": []})
    if scope["path"] == "/stream":
        await send({"type": "http.response.body", "body": b"first", "more_body": True})
        await asyncio.sleep(3600)
    await send({"type": "http.response.body", "body": TEXT})
"""


@pytest.fixture(params=["fork", "spawn"])
def command(request: pytest.FixtureRequest, place: Workplace) -> Command:
    place.write("text", APP)
    way = ("--workers-start", request.param)
    command = place.pronghorn("text:app", "--reload", "--reload-delay", "0.05", "--no-access-log", *way)
    command.wait_for("running on")
    return command


def answer(port: int) -> bytes:
    with Client(port) as client:
        client.request("/", "Connection: close")
        return client.rest()


def until(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.01)


def test_change(command: Command, place: Workplace) -> None:
    assert b"one" in answer(command.port)
    place.write("text", APP.replace("one", "two"))
    until(lambda: b"two" in answer(command.port), "the new code answers")
    command.wait_for("Reloader detected changes in 'text.py'. Reloading...")
    assert command.stop() == 0
    command.clean()


def test_open_stream_does_not_hold_it_up(command: Command, place: Workplace) -> None:
    with Client(command.port) as client:
        client.request("/stream")
        client.until(b"first")
        place.write("text", APP.replace("one", "two"))
        until(lambda: b"two" in answer(command.port), "the new code answers")
        client.rest()  # the old worker leaves
    assert command.stop() == 0


def test_broken_and_mended(command: Command, place: Workplace) -> None:
    place.write("text", "syntax error(")
    command.wait_for("The application did not start; waiting for a change of its files.")
    place.write("text", APP.replace("one", "three"))
    until(lambda: b"three" in answer(command.port), "the mended code answers")
    assert command.stop() == 0


def test_a_module_that_nobody_has_imported_does_not_matter(command: Command, place: Workplace) -> None:
    place.write("other", "x = 1")
    place.write("text", APP.replace("one", "two"))
    until(lambda: b"two" in answer(command.port), "the new code answers")
    assert not any("other.py" in line for line in command.lines)
    assert command.stop() == 0


def test_module_that_is_imported_late(place: Workplace) -> None:
    place.write("late", "TEXT = b'late one'")
    place.write(
        "text",
        APP.replace('assert scope["type"] == "http"', 'assert scope["type"] == "http"\n    from late import TEXT'),
    )
    command = place.pronghorn("text:app", "--reload", "--reload-delay", "0.05", "--no-access-log")
    command.wait_for("running on")
    assert b"late one" in answer(command.port)
    number = 1

    def changed() -> bool:  # the supervisor hears of the import within a second
        nonlocal number
        number += 1
        place.write("late", f"TEXT = b'late {number}'")
        return any("Reloader detected changes in 'late.py'" in line for line in command.lines)

    until(changed, "the change counts")
    until(lambda: b"late %d" % number in answer(command.port), "the new code answers")
    assert command.stop() == 0


@pytest.mark.parametrize("option", ["reload=True, reload_delay=0.05", "workers=2"])
def test_modules_that_the_script_has_imported(place: Workplace, option: str) -> None:
    """Workers are forked from it, but import everything as it is now."""
    place.write("parts/__init__", "")
    place.write("parts/part", "TEXT = b'one'")
    place.write("text", APP.replace('TEXT = b"one"', "from parts.part import TEXT"))
    command = place.script(
        f"import pronghorn, text\nif __name__ == '__main__': pronghorn.run('text:app', port=0, {option})\n"
    )
    command.wait_for("running on")
    assert b"one" in answer(command.port)
    place.write("parts/part", "TEXT = b'other'")
    if "workers" in option:
        command.send(signal.SIGHUP)
    until(lambda: b"other" in answer(command.port), "the new code answers")
    assert command.stop() == 0
    command.clean()


def test_one_worker_is_enough(command: Command) -> None:
    """A terminal sends the same signals to those in the background that use it."""
    for number, text in ((signal.SIGTTIN, "Not more workers"), (signal.SIGTTOU, "Not fewer workers")):
        command.send(number)
        command.wait_for(text)
    assert sum("Started server process" in line for line in command.lines) == 1
    assert b"one" in answer(command.port)
    command.send(signal.SIGWINCH)
    command.wait_for("Finished server process")
    command.send(signal.SIGTTIN)
    command.wait_for("Started server process", 2)
    assert b"one" in answer(command.port)
    assert command.stop() == 0
    assert sum("Started server process" in line for line in command.lines) == 2
    command.clean()


def test_watching_process_that_ends(command: Command) -> None:
    pid = command.process.pid
    (watching, *_) = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    os.kill(int(watching), signal.SIGKILL)
    command.wait_for("changes are not noticed any more")
    assert b"one" in answer(command.port)
    assert command.stop() == 0
    command.clean()


def test_system_that_does_not_tell(place: Workplace) -> None:
    """Then the files are looked at."""
    place.write("watchfiles", "def watch(*_, **__):\n    raise OSError('OS file watch limit reached')\n")
    place.write("text", APP)
    command = place.pronghorn("text:app", "--reload", "--reload-delay", "0.05", "--no-access-log")
    command.wait_for("OS file watch limit reached")
    command.wait_for("running on")
    place.write("text", APP.replace("one", "two"))
    until(lambda: b"two" in answer(command.port), "the new code answers")
    assert command.stop() == 0


def test_reading_from_the_terminal(place: Workplace) -> None:
    """As a debugger does. A Ctrl-C, which the terminal sends to all of the processes, still stops them once."""
    place.write("text", APP.replace('"body": TEXT', '"body": input("which? ").encode()'))
    ours, theirs = os.openpty()
    take = (
        "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); os.execv(sys.executable, sys.argv[1:])"
    )
    line = [sys.executable, "-m", "pronghorn", "text:app", "--reload", "--port", "0", "--no-use-colors"]
    process = subprocess.Popen(
        [sys.executable, "-c", take, *line],
        cwd=place.path,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    )
    os.close(theirs)
    shown = b""

    def reads(text: bytes) -> bool:
        nonlocal shown
        if select.select([ours], [], [], 0)[0]:
            shown += os.read(ours, 4096)
        return text in shown

    try:
        until(lambda: reads(b"(Press CTRL+C"), "it runs")
        port = int(shown.partition(b"127.0.0.1:")[2].partition(b" ")[0])
        with Client(port) as client:
            client.request("/", "Connection: close")
            until(lambda: reads(b"which? "), "the application asks")
            os.write(ours, b"typed\n")
            assert b"typed" in client.rest()
        with Client(port) as client:
            client.request("/stream")
            client.until(b"first")
            os.write(ours, b"\x03")
            client.rest()
        until(lambda: reads(b"Stopped parent process"), "it stops")
        assert process.wait(PATIENCE) == 0
        assert shown.count(b"Shutting down") == 1
    finally:
        process.kill()
        process.wait()
        os.close(ours)


def test_workers_are_not_restarted_by_what_is_excluded(place: Workplace) -> None:
    place.write("text", APP)
    (place.path / "data.txt").write_text("a")
    command = place.pronghorn("text:app", "--reload", "--reload-delay", "0.05", "--reload-include", "*.txt")
    command.wait_for("running on")
    (place.path / "data.txt").write_text("b")
    command.wait_for("Reloader detected changes in 'data.txt'")
    assert command.stop() == 0


@pytest.fixture(params=["watchfiles", "times"])
def watch(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Watch]:
    if request.param == "times":
        monkeypatch.setitem(__import__("sys").modules, "watchfiles", None)
    else:
        pytest.importorskip("watchfiles", reason="watchfiles is not installed")
    (tmp_path / "a.py").write_text("a")
    (tmp_path / "folder").mkdir()
    watch = Watch([str(tmp_path)], ["*.html"], ["b.py", str(tmp_path / "folder")], 0.05)
    watch.start()
    yield watch
    watch.close()


def test_watch(watch: Watch, tmp_path: Path) -> None:
    (tmp_path / "c.py").write_text("c")
    seen: set[str] = set()

    def look() -> set[str]:
        seen.update(path.name for path in watch.taken())
        return seen

    number = 0

    def changed() -> bool:  # the first changes may come before it looks
        nonlocal number
        number += 1
        for name in ("a.py", "b.py", "d.html", ".hidden.py", "e.txt", "folder/f.py"):
            (tmp_path / name).write_text("x" * number)
        return {"a.py", "d.html"} <= look()

    until(changed, "changes are seen")
    assert look() <= {"a.py", "c.py", "d.html"}


def test_patterns_below_a_directory_that_is_skipped(tmp_path: Path) -> None:
    """What is to be watched is watched, wherever that is."""
    folder = tmp_path / "venv" / "project"
    folder.mkdir(parents=True)
    watch = Watch([str(folder)], [], [], 0.1)
    try:
        assert watch.wants(folder / "a.py")
        assert not watch.wants(folder / "venv" / "a.py")
    finally:
        watch.close()
        watch.into.close()


def test_patterns(tmp_path: Path) -> None:
    watch = Watch([str(tmp_path)], ["*.html", ".env"], ["gone", "tests/*"], 0.1)
    try:
        assert watch.wants(tmp_path / "a.py")
        assert watch.wants(tmp_path / "a.html")
        assert not watch.wants(tmp_path / "a.txt")
        assert not watch.wants(tmp_path / "a.pyc")
        assert not watch.wants(tmp_path / ".a.py.swp")
        assert not watch.wants(tmp_path / "node_modules" / "a.py")
        assert not watch.wants(tmp_path / "gone")
        assert watch.wants(tmp_path / ".env")
        assert not watch.wants(tmp_path / ".envrc")
        assert not watch.wants(tmp_path / "tests" / "a.py")
        assert watch.wants(tmp_path / "tests" / "more" / "a.py")
    finally:
        watch.close()
        watch.into.close()
