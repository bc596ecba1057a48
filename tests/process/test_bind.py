"""Where the real command listens: several addresses, unix sockets with a mode and an owner, sockets of a service manager."""

from __future__ import annotations

import contextlib
import grp
import json
import os
import pwd
import socket
import stat
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from process.command import Client, Command

if TYPE_CHECKING:
    from process.conftest import Workplace

Start = Callable[..., Command]

WHERE = """
import json, os
async def app(scope, receive, send):
    assert scope["type"] == "http"
    listen = [name for name in os.environ if name.startswith("LISTEN_")]
    body = json.dumps([scope["server"], listen]).encode()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(body))]})
    await send({"type": "http.response.body", "body": body})
"""


def where(address: int | str) -> list[object]:
    """scope["server"], and the variables of the service manager that are still there."""
    with Client(address) as client:
        client.request("/", "Connection: close")
        answer = client.rest()
    found: list[object] = json.loads(answer.partition(b"\r\n\r\n")[2])
    return found


def has_ipv6() -> bool:
    with contextlib.suppress(OSError), socket.socket(socket.AF_INET6) as probe:
        probe.bind(("::1", 0))
        return True
    return False


def refused(command: Command, status: int = 3) -> str:
    assert command.exit() == status
    [line] = command.lines
    return line


def test_addresses_of_every_kind(start: Start, place: Workplace) -> None:
    """Each announces itself, and is the scope's server of its requests."""
    place.write("where", WHERE)
    path, abstract = str(place.path / "s"), f"@pronghorn-{os.getpid()}"
    with socket.socket() as handed:
        handed.bind(("127.0.0.1", 0))
        binds = ["127.0.0.1:0", ":0", f"unix:{path}", f"unix:{abstract}", f"fd://{handed.fileno()}"]
        binds += ["[::1]:0"] if has_ipv6() else []
        args = [word for bind in binds for word in ("--bind", bind)]
        command = start("where:app", *args, pass_fds=[handed.fileno()])
        lines = [command.wait_for("running on", times=number + 1) for number in range(len(binds))]
        named = [line.removeprefix("INFO:     Pronghorn running on ").removesuffix(" (Press CTRL+C to quit)") for line in lines]
        ports = [int(name.rpartition(":")[2]) for name in named if name.startswith("http")]
        assert named[0] == f"http://127.0.0.1:{ports[0]}" and named[1] == f"http://0.0.0.0:{ports[1]}"
        assert named[2:4] == [f"unix socket {path}", f"unix socket {abstract}"]
        assert named[4] == f"http://127.0.0.1:{handed.getsockname()[1]}"
        for host, port in (("127.0.0.1", ports[0]), ("127.0.0.1", ports[1]), ("127.0.0.1", handed.getsockname()[1])):
            assert where(port)[0] == [host, port]
        assert where(path)[0] == [path, None]
        assert where("\0" + abstract[1:])[0] == [abstract, None]
        if has_ipv6():
            assert named[5] == f"http://[::1]:{ports[-1]}"
        assert command.stop() == 0
    assert not Path(path).exists()
    command.clean()


def test_one_that_cannot_be_bound_leaves_nothing(start: Start, place: Workplace) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        command = start("hello:app", "--bind", f"unix:{place.path / 's'}", "--bind", f"127.0.0.1:{port}")
        assert refused(command) == f"ERROR:    cannot listen on http://127.0.0.1:{port}: address already in use"
    assert not (place.path / "s").exists()


@pytest.mark.parametrize("other", [["--host", "::"], ["--port", "8000"], ["--uds", "s"], ["--fd", "3"]])
def test_bind_goes_with_no_other_address(other: list[str], place: Workplace) -> None:
    line = refused(place.pronghorn("hello:app", "--bind", ":0", *other), 2)
    assert line == f"pronghorn: error: bind: cannot be combined with {other[0][2:]} (command line)"


@pytest.mark.parametrize("bind", ["", ":", "localhost:http", "::1", "8080", "[::1", "a:70000", "http://a:80", "unix:", "unix:@", "fd://", "fd://x", "fd://-1"])
def test_a_bind_that_is_none_is_one_line(bind: str, place: Workplace) -> None:
    assert refused(place.pronghorn("hello:app", "--bind", bind), 2).startswith("pronghorn: error: Invalid value for '--bind': ")


@pytest.mark.parametrize("way", [("--uds", "s"), ("--bind", "unix:s"), ("--bind", "unix:///{path}/s")])
def test_the_mode_of_a_unix_socket(way: tuple[str, str], place: Workplace) -> None:
    option, value = way
    for mode in ("600", "0660", "0o606"):
        command = place.pronghorn("hello:app", option, value.format(path=str(place.path)[1:]), "--uds-mode", mode)
        command.wait_for("running on")
        assert stat.S_IMODE((place.path / "s").stat().st_mode) == int(mode.removeprefix("0o"), 8)
        command.kill()  # the next one replaces it, with the mode that it is told


def test_the_owner_of_a_unix_socket(place: Workplace) -> None:
    user, group = pwd.getpwuid(os.getuid()).pw_name, grp.getgrgid(os.getgid()).gr_name
    cases = {user: (os.getuid(), os.getgid()), f"{user}:{group}": (os.getuid(), os.getgid()), f":{os.getgid()}": (os.getuid(), os.getgid())}
    if os.getuid() == 0:
        cases["12345:54321"] = (12345, 54321)
    for owner, ids in cases.items():
        command = place.pronghorn("hello:app", "--uds", "s", "--uds-owner", owner)
        command.wait_for("running on")
        found = (place.path / "s").stat()
        assert (found.st_uid, found.st_gid) == ids
        assert command.stop() == 0
        command.clean()


@pytest.mark.parametrize(
    ("args", "status", "words"),
    [
        (["--uds-mode", "rw"], 2, "'--uds-mode': expected permissions in octal, as 660, got 'rw'"),
        (["--uds-mode", "999"], 2, "'--uds-mode': expected permissions in octal"),
        (["--uds-mode", "1777"], 2, "'--uds-mode': expected permissions in octal"),
        (["--uds-owner", ""], 2, "'--uds-owner': expected USER, USER:GROUP or :GROUP, got ''"),
        (["--uds-owner", "a:b:c"], 2, "'--uds-owner': expected USER, USER:GROUP or :GROUP"),
        (["--uds-owner", "no-such-user"], 3, "cannot listen on unix socket s: owner no-such-user: no such user: no-such-user"),
        (["--uds-owner", ":no-such-group"], 3, "no such group: no-such-group"),
        (["--uds-owner", "99999999999"], 3, "cannot listen on unix socket s: owner 99999999999"),
    ],
)  # fmt: skip
def test_a_mode_or_an_owner_that_is_none_is_one_line(args: list[str], status: int, words: str, place: Workplace) -> None:
    assert words in refused(place.pronghorn("hello:app", "--uds", "s", *args), status)
    assert not (place.path / "s").exists()


def activated(place: Workplace, *args: str, fds: list[int], count: str | None = None, pid: str = "") -> Command:
    """The server as systemd starts it: descriptors from 3, and its own process in LISTEN_PID."""
    line = [sys.executable, "-m", "pronghorn", "where:app", *args]
    # Above the place they go to, so that none is overwritten before it is moved.
    source = (
        "import fcntl, os\n"
        f"high = [fcntl.fcntl(fd, fcntl.F_DUPFD, 100) for fd in {fds}]\n"
        "for place, fd in enumerate(high, 3):\n    os.dup2(fd, place)\n"
        f"os.environ.update(LISTEN_PID={pid!r} or str(os.getpid()), LISTEN_FDS={count or str(len(fds))!r}, LISTEN_FDNAMES='a')\n"
        f"os.execv({sys.executable!r}, {line!r})\n"
    )
    place.write("where", WHERE)
    return place.run(sys.executable, "-c", source, pass_fds=fds)


def test_sockets_of_the_service_manager(place: Workplace) -> None:
    path = str(place.path / "s")
    with socket.socket() as tcp, socket.socket(socket.AF_UNIX) as unix:
        tcp.bind(("127.0.0.1", 0))
        unix.bind(path)
        unix.listen()  # as a service manager has it
        command = activated(place, fds=[tcp.fileno(), unix.fileno()])
        port = tcp.getsockname()[1]
        assert command.wait_for("running on", 2).endswith(f"unix socket {path} (Press CTRL+C to quit)")
        assert where(port) == [["127.0.0.1", port], []]  # no child shall take the variables for its own
        assert where(path) == [[path, None], []]
        assert command.stop() == 0
        command.clean()
    assert Path(path).exists()  # whoever bound it removes it


def test_an_address_that_was_given_goes_before_them(place: Workplace) -> None:
    with socket.socket() as tcp:
        tcp.bind(("127.0.0.1", 0))
        command = activated(place, "--port", "0", fds=[tcp.fileno()])
        assert command.port != tcp.getsockname()[1]
        assert command.stop() == 0


def test_sockets_for_another_process_are_not_taken(place: Workplace) -> None:
    with socket.socket() as tcp:
        tcp.bind(("127.0.0.1", 0))
        command = activated(place, "--print-config", fds=[tcp.fileno()], pid="1")
        assert command.exit() == 0
        assert "bind = []  # default" in command.out
        command = activated(place, "--print-config", fds=[tcp.fileno()])
        assert command.exit() == 0
        assert 'bind = ["fd://3"]  # LISTEN_FDS' in command.out


@pytest.mark.parametrize(
    ("count", "status", "words"),
    [
        ("many", 2, "pronghorn: error: LISTEN_FDS: expected a number of descriptors from 0 to 1024, got 'many'"),
        ("99999", 2, "pronghorn: error: LISTEN_FDS: expected a number of descriptors"),
        ("2", 2, "pronghorn: error: LISTEN_FDS: descriptor 4 is not open"),
    ],
)
def test_a_wrong_number_of_sockets_is_one_line(count: str, status: int, words: str, place: Workplace) -> None:
    with socket.socket() as tcp:
        tcp.bind(("127.0.0.1", 0))
        assert refused(activated(place, fds=[tcp.fileno()], count=count), status).startswith(words)


@pytest.mark.parametrize("kind", ["datagrams", "file", "connected"])
def test_a_descriptor_that_nobody_can_listen_on_is_one_line(kind: str, start: Start, place: Workplace) -> None:
    with contextlib.ExitStack() as stack:
        if kind == "datagrams":
            opened = stack.enter_context(socket.socket(type=socket.SOCK_DGRAM)).fileno()
        elif kind == "file":
            opened = stack.enter_context((place.path / "hello.py").open()).fileno()
        else:
            one, other = socket.socketpair()
            stack.enter_context(one)
            opened = stack.enter_context(other).fileno()
        command = start("hello:app", "--bind", f"fd://{opened}", pass_fds=[opened])
        assert command.exit() == 3
        [line] = [line for line in command.lines if line.startswith("ERROR:")]
        assert line.startswith("ERROR:    cannot listen on ")
        command.clean()


def test_tcp_sockets_that_were_handed_over_do_not_delay(place: Workplace) -> None:
    """Nagle's algorithm off, as on sockets of our own: the accepted ones inherit it."""
    with socket.socket() as tcp:
        tcp.bind(("127.0.0.1", 0))
        command = place.pronghorn("hello:app", "--fd", str(tcp.fileno()), pass_fds=[tcp.fileno()])
        assert command.port
        assert tcp.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        assert command.stop() == 0
