"""What service scripts ask for: a pid file, another user, a umask."""

from __future__ import annotations

import json
import os
import shutil
import signal
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from process.command import Client, Command
from process.conftest import Workplace

if TYPE_CHECKING:
    Start = Callable[..., Command]

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="there are no users here")

# It imports nothing further: this interpreter's files may not be open to another user.
WHO = """
import os

who = [os.getuid(), os.geteuid(), os.getgid(), os.getgroups()]
mask = os.umask(0)
os.umask(mask)

async def app(scope, receive, send):
    assert scope["type"] == "http"
    body = f'{{"who": {who}, "umask": {mask}}}'.encode()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(body))]})
    await send({"type": "http.response.body", "body": body})
"""


def ask(where: int | str) -> dict[str, object]:
    with Client(where) as client:
        client.request("/", "Connection: close")
        found: dict[str, object] = json.loads(client.rest().partition(b"\r\n\r\n")[2])
        return found


@pytest.mark.parametrize("workers", ["1", "2"])
def test_pid_file(place: Workplace, workers: str) -> None:
    file = place.path / "server.pid"
    file.write_text("999999999\n")  # of a process that has gone
    command = place.pronghorn("hello:app", "--workers", workers, "--pid", "server.pid")
    command.wait_for("running on")
    assert file.read_text() == f"{command.process.pid}\n"
    second = place.pronghorn("hello:app", "--workers", workers, "--pid", "server.pid")
    assert second.exit() == 3
    assert f"process {command.process.pid}, which it names, is running" in "\n".join(second.err)
    assert file.read_text() == f"{command.process.pid}\n"
    assert command.stop() == 0
    assert [path.name for path in place.path.iterdir() if "pid" in path.name] == []
    command.clean()
    second.clean()


def test_pid_file_of_another_stays(place: Workplace) -> None:
    command = place.pronghorn("hello:app", "--pid", "server.pid")
    command.wait_for("running on")
    (place.path / "server.pid").write_text("1\n")
    assert command.stop() == 0
    assert (place.path / "server.pid").read_text() == "1\n"


@pytest.mark.parametrize("workers", ["1", "2"])
def test_pid_file_that_cannot_be_written(place: Workplace, workers: str) -> None:
    command = place.pronghorn("hello:app", "--workers", workers, "--pid", "absent/server.pid")
    assert command.exit() == 3
    assert "cannot write the pid file" in "\n".join(command.err)
    command.clean()


@pytest.mark.parametrize("workers", ["1", "2"])
def test_umask(place: Workplace, workers: str) -> None:
    place.write("who", WHO)
    command = place.pronghorn("who:app", "--workers", workers, "--umask", "027")
    assert ask(command.port)["umask"] == 0o027
    assert command.stop() == 0


@pytest.fixture
def open_place() -> Iterator[Workplace]:
    """A workplace that everybody may enter."""
    if os.geteuid() != 0:
        pytest.skip("only root can become somebody else")
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    place = Workplace(folder)
    yield place
    for command in place.started:
        command.kill()
    shutil.rmtree(folder)


@pytest.mark.parametrize("workers", ["1", "2"])
@pytest.mark.parametrize(("user", "group"), [("65534", None), ("65534", "12345"), ("54321", "12345"), (None, "12345")])
def test_another_user(open_place: Workplace, workers: str, user: str | None, group: str | None) -> None:
    """The application is imported by nobody but that user, and the supervisor keeps its rights."""
    open_place.write("who", WHO)
    named = [*(["--user", user] if user else []), *(["--group", group] if group else [])]
    command = open_place.pronghorn("who:app", "--workers", workers, "--pid", "server.pid", *named)
    answer = ask(command.port)
    who = answer["who"]
    assert isinstance(who, list)
    uid = int(user or 0)
    assert who[:2] == [uid, uid]
    assert who[2] == int(group or 65534)
    assert who[3] == [who[2]]
    if workers == "2":
        assert Path(f"/proc/{command.process.pid}").stat().st_uid == 0
        command.send(signal.SIGHUP)
        command.wait_for("is replaced", times=2)
        assert ask(command.port)["who"] == who
    assert command.stop() == 0
    assert (open_place.path / "server.pid").exists() == (workers == "1" and user is not None)
    command.clean()


@pytest.mark.parametrize(
    ("option", "name"), [("--user", "no-such-user"), ("--group", "no-such-group"), ("--user", "54321")]
)
def test_nobody_of_that_name(place: Workplace, option: str, name: str) -> None:
    command = place.pronghorn("hello:app", option, name)
    assert command.exit() == 2
    assert f"there is no {option[2:]} '{name}'" in "\n".join(command.err)
    command.clean()


def test_without_the_right_to(open_place: Workplace) -> None:
    """Who is not root can only stay who it is."""
    source = """
import os
from pronghorn.errors import StartupError
from pronghorn.privileges import Identity
os.setgroups([])
os.setgid(65534)
os.setuid(65534)
Identity(65534, 65534, None).assume()
try:
    Identity(None, 12345, None).assume()
except StartupError as error:
    print(error)
"""
    command = open_place.script(source)
    assert command.exit() == 0
    assert command.out == ["cannot become user None and group 12345: Operation not permitted"]
