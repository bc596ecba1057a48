"""A binary upgrade: another supervisor takes the place of the one that serves, and its sockets, without a client noticing."""

from __future__ import annotations

import http.client
import os
import shutil
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from ledger.load import APPLICATION, Load
from process.command import PATIENCE, Client, Command
from process.load import alive, children, until
from process.test_notify import Manager

if TYPE_CHECKING:
    from process.conftest import Workplace

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="what is asked of /proc is Linux's")

FULL = os.environ.get("PRONGHORN_CHAOS") == "full"
PARENT = """
import os

version = 1

async def app(scope, receive, send):
    assert scope["type"] == "http"
    body = b"%d %d" % (os.getppid(), version)
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(body))]})
    await send({"type": "http.response.body", "body": body})
"""


class Server:
    """One supervisor after the other, of which the first is the command that was started."""

    def __init__(self, command: Command) -> None:
        self.command = command
        self.pid = command.process.pid  # of the one in charge
        self.pids = [self.pid]

    def send(self, number: int) -> None:
        os.kill(self.pid, number)

    def begin(self) -> int:
        """Begin an upgrade: the process that is to take over."""
        self.send(signal.SIGUSR2)
        return self.successor(1)

    def successor(self, times: int) -> int:
        line = self.command.wait_for(f"is to take the place of [{self.pid}]", times)
        self.pids.append(int(line.partition("parent process [")[2].partition("]")[0]))
        return self.pids[-1]

    def upgrade(self) -> int:
        new = self.begin()
        self.command.wait_for(f"Parent process [{new}] has taken the place of [{self.pid}]")
        before, self.pid = self.pid, new
        until(lambda: not alive(before), "the old one leaves")
        if before == self.command.process.pid:
            assert self.command.process.wait(PATIENCE) == 0
        return new

    def stop(self) -> None:
        self.send(signal.SIGTERM)
        until(lambda: not any(map(alive, self.pids)), "all have ended")
        self.command.exit()
        self.command.clean()


@pytest.fixture
def serve(place: Workplace) -> Iterator[Callable[..., Server]]:
    servers = []
    place.write("parent", PARENT)

    def serve(*args: str, app: str = "parent:app", workers: int = 2, **options: object) -> Server:
        command = place.pronghorn(app, "--workers", str(workers), "--no-access-log", *args, **options)
        command.wait_for("running on")
        servers.append(Server(command))
        return servers[-1]

    yield serve
    for server in servers:
        for pid in server.pids[1:]:
            if alive(pid) and Path(f"/proc/{pid}/cwd").resolve() == place.path.resolve():
                os.kill(pid, signal.SIGKILL)


def ask(where: int | str) -> tuple[int, int]:
    """The supervisor of the process that answers, and the version of the application."""
    with Client(where) as client:
        client.request("/", "Connection: close")
        parent, version = client.rest().rpartition(b"\r\n\r\n")[2].split()
    return int(parent), int(version)


def of(pid: int) -> list[int]:
    """The processes that this one has started."""
    return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@pytest.mark.parametrize("way", ["fork", "spawn"])
def test_under_load(serve: Callable[..., Server], place: Workplace, way: str) -> None:
    """Nothing is lost, broken, done twice or refused, whoever serves."""
    journal = place.path / "journal"
    place.write("served", APPLICATION.read_text())
    server = serve("--workers-start", way, app="served:app", env={"LEDGER": str(journal)})
    upgrades, requests = (20, 100_000) if FULL else (3, 1_500)
    with Load([("127.0.0.1", server.command.port)], journal, rate=3_300 if FULL else 500, lanes=64) as load:
        for _ in range(upgrades):
            server.upgrade()
            load.wait_for(requests // upgrades, within=600)
    server.stop()
    verdict = load.verdict()
    print(verdict)
    assert verdict.spotless, str(verdict)
    assert len(set(server.pids)) == upgrades + 1


@pytest.mark.parametrize("how", ["module", "console script", "script", "preload"])
def test_what_is_on_the_disk_now(place: Workplace, serve: Callable[..., Server], how: str) -> None:
    """The command is started again as it was: with its arguments, its directory and its environment."""
    pytest.importorskip("dotenv", reason="python-dotenv is not installed")
    place.write("parent", PARENT)
    (place.path / ".env").write_text("FROM_FILE=1\n")
    place.write(
        "seen", PARENT + "version = int(os.environ['FROM_FILE'])\nos.environ['FROM_FILE'] = '9'\nos.chdir('/')\n"
    )
    options = ("seen:app", "--port", "0", "--workers", "2", "--env-file", ".env")
    if how == "console script":
        script = shutil.which("pronghorn", path=str(Path(sys.executable).parent))
        if script is None:
            pytest.skip("the console script is not installed")
        command = place.run(script, *options)
    elif how == "script":
        command = place.script("import pronghorn\npronghorn.run('seen:app', port=0, workers=2, env_file='.env')\n")
    else:
        command = place.run(sys.executable, "-m", "pronghorn", *options, *(["--preload"] if how == "preload" else []))
    server = Server(command)
    port = command.port
    assert ask(port) == (server.pid, 1)
    (place.path / ".env").write_text("FROM_FILE=2\n")
    assert ask(port) == (server.pid, 1)
    server.upgrade()
    try:
        assert ask(port) == (server.pid, 2)
        assert Path(f"/proc/{server.pid}/environ").read_bytes().count(b"FROM_FILE") == 0
    finally:
        server.stop()


def test_directory_that_is_a_link(place: Workplace) -> None:
    """It is entered by its name again, and leads to another version by then."""
    for version in "1", "2":
        place.write(f"v{version}/seen", PARENT.replace("version = 1", f"version = {version}"))
    link = place.path / "current"
    link.symlink_to("v1")
    command = Command(
        [sys.executable, "-m", "pronghorn", "seen:app", "--port", "0", "--workers", "2"], link, env={"PWD": str(link)}
    )
    place.started.append(command)
    server = Server(command)
    assert ask(command.port) == (server.pid, 1)
    link.unlink()
    link.symlink_to("v2")
    server.upgrade()
    assert ask(command.port) == (server.pid, 2)
    server.stop()


def inodes(pid: int) -> set[str]:
    """The sockets that a process holds open."""
    found = set()
    for one in Path(f"/proc/{pid}/fd").iterdir():
        try:
            found.add(os.readlink(one))  # noqa: PTH115
        except OSError:
            continue
    return {name for name in found if name.startswith("socket:")}


def test_other_addresses(serve: Callable[..., Server], place: Workplace) -> None:
    """What is asked for as before is kept, what is new is bound, and what nobody asks for any more is closed."""
    first, second, third = free_port(), free_port(), free_port()
    kept, dropped, fresh = (str(place.path / name) for name in ("kept.sock", "dropped.sock", "fresh.sock"))
    conf = place.path / "conf.toml"
    conf.write_text(f'bind = ["127.0.0.1:{first}", "127.0.0.1:{second}", "unix:{kept}", "unix:dropped.sock"]\n')
    server = serve("--config", "conf.toml")
    inode = Path(kept).stat().st_ino
    conf.write_text(f'bind = ["localhost:{first}", "127.0.0.1:{third}", "unix:kept.sock", "unix:fresh.sock"]\n')
    server.upgrade()
    for where in first, third, kept, fresh:
        assert ask(where)[0] == server.pid
    assert Path(kept).stat().st_ino == inode
    assert not Path(dropped).exists()
    with pytest.raises(ConnectionRefusedError):
        Client(second)
    server.upgrade()
    for where in first, third, kept, fresh:
        assert ask(where)[0] == server.pid
    server.stop()
    assert not any(Path(path).exists() for path in (kept, dropped, fresh))


@pytest.mark.parametrize("how", ["host", "uds", "fd", "activated"])
def test_every_way_to_name_an_address(serve: Callable[..., Server], place: Workplace, how: str) -> None:
    where: int | str
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        sock.listen()
        where = sock.getsockname()[1]
        if how == "host":
            server = serve()
            where = server.command.port
        elif how == "uds":
            where = str(place.path / "server.sock")
            server = serve("--uds", "server.sock")
        elif how == "fd":
            server = serve("--fd", str(sock.fileno()), pass_fds=[sock.fileno()])
        else:
            source = f"import os, sys\nos.dup2({sock.fileno()}, 3)\nos.environ |= {{'LISTEN_PID': str(os.getpid()), 'LISTEN_FDS': '1'}}\n"
            source += "os.execl(sys.executable, sys.executable, '-m', 'pronghorn', 'parent:app', '--workers', '2')\n"
            place.write("activate", source)
            server = Server(place.run(sys.executable, "activate.py", pass_fds=[sock.fileno()]))
            server.command.wait_for("running on")
    for _ in range(2):
        server.upgrade()
        assert ask(where)[0] == server.pid
    server.stop()
    if isinstance(where, str):
        assert not Path(where).exists()
    else:
        with pytest.raises(ConnectionRefusedError):
            Client(where)


def test_nothing_piles_up(serve: Callable[..., Server]) -> None:
    """A supervisor after many has as many descriptors open as the first, and its workers, too."""

    def opened(server: Server) -> list[int]:
        return [len(inodes(pid)) for pid in [server.pid, *of(server.pid)]]

    server = serve("--admin", "127.0.0.1:0")
    until(lambda: len(of(server.pid)) == 3, "all of its processes are there")
    before = opened(server)
    for _ in range(3):
        server.upgrade()
        until(lambda: len(of(server.pid)) == 3, "all of its processes are there")
    assert sorted(opened(server)) == sorted(before)
    server.stop()


def test_new_version_that_does_not_start(serve: Callable[..., Server], place: Workplace) -> None:
    """The old one goes on serving, with everything that is its own, and the next upgrade may do."""
    server = serve("--pid", "server.pid", "--bind", "unix:server.sock", "--bind", "127.0.0.1:0")
    before = children(server.command)
    place.write("parent", "raise ValueError('broken')")
    new = server.begin()
    server.command.wait_for(f"The upgrade has failed: parent process [{new}]: exit status 3")
    server.command.wait_for("ValueError: broken")
    assert (place.path / "server.pid").read_text() == f"{server.pid}\n"
    assert ask(str(place.path / "server.sock")) == (server.pid, 1)
    assert children(server.command) == before
    place.write("parent", PARENT)
    server.send(signal.SIGUSR2)
    new = server.successor(2)
    server.command.wait_for(f"Parent process [{new}] has taken the place")
    server.pid = new
    until(lambda: not alive(server.pids[0]), "the old one leaves")
    until(lambda: (place.path / "server.pid").read_text() == f"{new}\n", "the pid file names it")
    assert ask(str(place.path / "server.sock")) == (new, 1)
    server.send(signal.SIGTERM)
    until(lambda: not any(map(alive, server.pids)), "all have ended")
    assert not (place.path / "server.pid").exists() and not (place.path / "server.sock").exists()


def test_command_that_is_gone(place: Workplace) -> None:
    """Not even the interpreter is there any more."""
    place.write("parent", PARENT)
    python = place.path / "python"
    python.symlink_to(sys.executable)
    source = (
        "import sys\nsys.executable = sys.argv[1]\nimport pronghorn\npronghorn.run('parent:app', port=0, workers=2)\n"
    )
    place.write("script", source)
    command = place.run(sys.executable, "script.py", str(python))
    server = Server(command)
    port = command.port
    python.unlink()
    server.begin()
    command.wait_for("cannot start")
    command.wait_for("The upgrade has failed")
    assert ask(port) == (server.pid, 1)
    assert command.stop() == 0


def test_new_version_that_is_not_ready_in_time(serve: Callable[..., Server], place: Workplace) -> None:
    server = serve("--timeout-worker-startup", "1")
    place.write("parent", "import time\ntime.sleep(60)\n")
    new = server.begin()
    server.send(signal.SIGUSR2)
    server.command.wait_for(f"No upgrade: one is under way already, to parent process [{new}]")
    server.command.wait_for(f"Parent process [{new}] has not become ready (timeout_worker_startup)")
    server.command.wait_for("The upgrade has failed")
    assert not alive(new)
    assert ask(server.command.port) == (server.pid, 1)
    server.stop()


SLOW = "import time\nfrom pathlib import Path\nwhile not Path('go').exists():\n    time.sleep(0.01)\n"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGQUIT])
def test_stop_while_it_is_under_way(serve: Callable[..., Server], place: Workplace, number: int) -> None:
    """Both of them stop, and nothing is left behind."""
    server = serve("--pid", "server.pid", "--uds", "server.sock")
    place.write("parent", SLOW + PARENT)
    new = server.begin()
    server.command.wait_for(f"Started parent process [{new}]")
    assert server.command.stop(number) == 0
    assert not alive(new)
    assert not any("upgrade has failed" in line for line in server.command.lines)
    assert not (place.path / "server.pid").exists() and not (place.path / "server.sock").exists()
    server.command.clean()


def test_stop_of_the_new_one_while_it_is_under_way(serve: Callable[..., Server], place: Workplace) -> None:
    server = serve("--uds", "server.sock")
    place.write("parent", SLOW + PARENT)
    new = server.begin()
    server.command.wait_for(f"Started parent process [{new}]")
    os.kill(new, signal.SIGUSR2)
    server.command.wait_for("No upgrade: the workers are not ready yet")
    os.kill(new, signal.SIGTERM)
    server.command.wait_for(f"The upgrade has failed: parent process [{new}]")
    assert ask(str(place.path / "server.sock")) == (server.pid, 1)
    server.stop()


def test_stop_of_the_new_one_does_not_wait(serve: Callable[..., Server], place: Workplace) -> None:
    """It is not in charge: nobody has to hear of it, and meanwhile it could become ready, and take over to stop then."""
    server = serve("--shutdown-delay", "60")
    place.write("parent", SLOW + PARENT)
    new = server.begin()
    server.command.wait_for(f"Started parent process [{new}]")
    os.kill(new, signal.SIGTERM)
    server.command.wait_for(f"The upgrade has failed: parent process [{new}]")
    assert ask(server.command.port) == (server.pid, 1)
    server.send(signal.SIGINT)
    server.command.exit()


def test_old_one_that_is_killed_while_it_is_under_way(serve: Callable[..., Server], place: Workplace) -> None:
    """The new one is in charge then, as soon as it can be."""
    server = serve("--pid", "server.pid", "--uds", "server.sock")
    place.write("parent", SLOW + PARENT.replace("version = 1", "version = 2"))
    new = server.begin()
    server.command.wait_for(f"Started parent process [{new}]")
    server.command.process.kill()
    until(lambda: (place.path / "server.pid").read_text() == f"{new}\n", "the pid file names the new one")
    server.pid = new
    (place.path / "go").touch()
    server.command.wait_for("running on", 2)
    assert ask(str(place.path / "server.sock")) == (new, 2)
    server.send(signal.SIGTERM)
    until(lambda: not alive(new), "it ends")
    assert not (place.path / "server.pid").exists() and not (place.path / "server.sock").exists()


def test_service_manager(serve: Callable[..., Server], tmp_path: Path) -> None:
    """It hears from the old one who the main process is from now on, then from the new one that it is ready; nobody says that
    the service stops."""
    manager = Manager(str(tmp_path / "notify"))
    manager.socket.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
    server = serve(env={"NOTIFY_SOCKET": manager.address, "WATCHDOG_USEC": "600000"})
    said: list[tuple[int, str]] = []

    def hear(key: str) -> dict[str, str]:
        while True:
            data, ancillary, *_ = manager.socket.recvmsg(4096, socket.CMSG_SPACE(12))
            sender = int.from_bytes(ancillary[0][2][:4], sys.byteorder)
            message = dict(line.split("=", 1) for line in data.decode().split("\n"))
            said.extend((sender, name) for name in message)
            if key in message:
                return message

    assert hear("READY")["MAINPID"] == str(server.pid)
    old = server.pid
    said.clear()
    new = server.upgrade()
    assert hear("MAINPID") == {"MAINPID": str(new)}
    assert said[-1] == (old, "MAINPID")
    assert hear("READY")["MAINPID"] == str(new)
    assert {sender for sender, name in said if name == "READY"} == {new}
    while said[-1] != (new, "WATCHDOG"):
        hear("WATCHDOG")
    assert "STOPPING" not in {name for _, name in said}
    server.send(signal.SIGTERM)
    hear("STOPPING")
    manager.socket.close()
    server.stop()


def test_new_one_that_is_killed_when_it_is_about_to_be_in_charge(
    serve: Callable[..., Server], place: Workplace, tmp_path: Path
) -> None:
    """The old one goes on, is the main process again, and the pid file names it."""
    manager = Manager(str(tmp_path / "notify"))
    server = serve("--pid", "server.pid", env={"NOTIFY_SOCKET": manager.address})
    assert manager.next("READY")["MAINPID"] == str(server.pid)
    place.write("parent", SLOW + PARENT)
    new = server.begin()
    os.mkfifo(place.path / f"server.pid.{new}")  # where it begins to write the pid file: it waits for somebody who reads
    (place.path / "go").touch()
    assert manager.next("MAINPID")["MAINPID"] == str(new)  # and it is told so
    (place.path / "server.pid").write_text(f"{new}\n")
    os.kill(new, signal.SIGKILL)
    server.command.wait_for(f"The upgrade has failed: parent process [{new}]: ended by SIGKILL")
    assert manager.next("MAINPID")["MAINPID"] == str(server.pid)
    until(lambda: (place.path / "server.pid").read_text() == f"{server.pid}\n", "the pid file names it")
    until(lambda: ask(server.command.port)[0] == server.pid, "the workers of the other one have gone")
    manager.socket.close()
    server.stop()


def is_ready(port: int) -> bool:
    with Client(port) as client:
        client.request("/readyz", "Connection: close")
        return client.rest().startswith(b"HTTP/1.1 200")


def test_health_checks(serve: Callable[..., Server]) -> None:
    """They are answered all the time, and always well."""
    port = free_port()
    server = serve("--admin", f"127.0.0.1:{port}")
    server.command.wait_for("/readyz are answered")
    until(lambda: is_ready(port), "it says so")
    over, failures, answered = threading.Event(), [], [0]

    def check() -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
        while not over.is_set():
            try:
                connection.request("GET", "/readyz")
                response = connection.getresponse()
                text = response.read().decode()
                if response.status != 200:
                    failures.append(text)
                answered[0] += 1
            except Exception as error:
                failures.append(repr(error))
            if answered[0] % 3 == 0:
                connection.close()
        connection.close()

    checks = [threading.Thread(target=check) for _ in range(2)]
    for one in checks:
        one.start()
    try:
        for _ in range(2):
            server.upgrade()
    finally:
        over.set()
        for one in checks:
            one.join(PATIENCE)
    assert failures == []
    assert answered[0] > 20
    server.stop()


def test_rest_before_an_upgrade_and_meanwhile(serve: Callable[..., Server], place: Workplace) -> None:
    """Who stops the old workers by hand has new ones serve, and the clients wait for these."""
    server = serve()
    for meanwhile in (False, True):
        if meanwhile:
            place.write("parent", SLOW + PARENT)
            new = server.begin()
        server.send(signal.SIGWINCH)
        server.command.wait_for("All workers stop", 1 + meanwhile)
        until(lambda: not set(of(server.pid)) - set(server.pids), "all stop")
        with Client(server.command.port) as client:
            client.request("/", "Connection: close")
            if meanwhile:
                (place.path / "go").touch()
                server.command.wait_for(f"Parent process [{new}] has taken the place")
                server.pid = new
            else:
                server.upgrade()
            assert client.rest().split()[-2] == str(server.pid).encode()
    server.stop()


@pytest.mark.parametrize(
    ("args", "why"),
    [
        ((), "it takes a supervisor (--workers 2, or auto)"),
        (("--reload",), "that is for production, and not for --reload"),
    ],
)
def test_who_cannot_be_upgraded(place: Workplace, args: tuple[str, ...], why: str) -> None:
    command = place.pronghorn("hello:app", *args)
    command.wait_for("running on")
    command.send(signal.SIGUSR2)
    command.wait_for(f"No upgrade: {why}")
    with Client(command.port) as client:
        client.request()
        client.until(b"hello")
    assert command.stop() == 0
    command.clean()


def test_from_many_to_one(serve: Callable[..., Server], place: Workplace) -> None:
    """Also who would serve alone otherwise has a supervisor, when it takes the place of one."""
    conf = place.path / "conf.toml"
    conf.write_text("workers = 2\nport = 0\n")
    place.write("parent", PARENT)
    command = place.run(sys.executable, "-m", "pronghorn", "parent:app", "--config", "conf.toml")
    server = Server(command)
    port = command.port
    conf.write_text("workers = 1\nport = 0\n")
    server.upgrade()
    assert ask(port) == (server.pid, 1)
    assert len(of(server.pid)) == 1
    server.stop()
