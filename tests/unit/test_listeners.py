"""pronghorn.listeners: the sockets, bound but not yet listening."""

import asyncio
import os
import socket
import stat
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pronghorn.errors import StartupError
from pronghorn.listeners import Listener, adopt, bind


def address(**given: object) -> SimpleNamespace:
    usual = {"host": "127.0.0.1", "port": 0, "uds": None, "fd": None, "bind": [], "uds_mode": None, "uds_owner": None}
    return SimpleNamespace(**usual | given)


def bound(**given: object) -> list[Listener]:
    return bind(address(**given))


def has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


needs_ipv6 = pytest.mark.skipif(not has_ipv6(), reason="no IPv6 on this machine")


def test_tcp() -> None:
    [listener] = bound()
    try:
        host, port = listener.socket.getsockname()
        assert listener.server == (host, port) == ("127.0.0.1", listener.port)
        assert port > 0
        assert listener.name == f"http://127.0.0.1:{port}"
        assert listener.socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        assert listener.socket.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR)
    finally:
        listener.close()
    assert listener.socket.fileno() == -1


def test_connections_inherit_nodelay() -> None:
    [listener] = bound()
    listener.socket.listen()
    with socket.create_connection(("127.0.0.1", listener.port or 0)):
        accepted, _ = listener.socket.accept()
        with accepted:
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
    listener.close()


@needs_ipv6
def test_ipv6() -> None:
    [listener] = bound(host="::1")
    assert listener.name == f"http://[::1]:{listener.port}"
    assert listener.server == ("::1", listener.port)
    listener.close()


@needs_ipv6
@pytest.mark.parametrize("host", ["", None])
def test_an_empty_host_is_every_address_on_one_port(host: str | None) -> None:
    listeners = bound(host=host)
    assert {listener.socket.family for listener in listeners} == {socket.AF_INET, socket.AF_INET6}
    assert len({listener.port for listener in listeners}) == 1
    for listener in listeners:
        listener.close()


@pytest.mark.parametrize(
    ("host", "why"), [("bad..name", "name or service not known"), ("b\u00e4d..name", "not a host name"), ("192.0.2.1", "cannot assign requested address")]
)
def test_a_host_that_is_not_here_is_one_line(host: str, why: str) -> None:
    with pytest.raises(StartupError, match=f"^cannot listen on http://{host}:0: {why}$"):
        bound(host=host)


def test_a_port_in_use_is_one_line_and_leaves_nothing_open() -> None:
    [first] = bound()
    first.socket.listen()
    before = len(os.listdir("/proc/self/fd")) if Path("/proc").exists() else 0
    with pytest.raises(StartupError, match=f"^cannot listen on http://127.0.0.1:{first.port}: address already in use$"):
        bound(port=first.port)
    assert before == (len(os.listdir("/proc/self/fd")) if Path("/proc").exists() else 0)
    first.close()


def test_unix(tmp_path: Path) -> None:
    path = tmp_path / "s"
    [listener] = bound(uds=str(path))
    assert listener.name == f"unix socket {path}"
    assert listener.server == (str(path), None)
    assert listener.port is None
    assert stat.S_IMODE(path.stat().st_mode) == 0o666
    listener.close()
    assert not path.exists()


def test_a_stale_unix_socket_is_replaced_and_keeps_its_permissions(tmp_path: Path) -> None:
    path = tmp_path / "s"
    with socket.socket(socket.AF_UNIX) as old:
        old.bind(str(path))
    path.chmod(0o600)
    [listener] = bound(uds=str(path))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    listener.socket.listen()
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))
    listener.close()


def test_a_live_unix_socket_is_never_taken_away(tmp_path: Path) -> None:
    path = tmp_path / "s"
    with socket.socket(socket.AF_UNIX) as live:
        live.bind(str(path))
        live.listen()
        with pytest.raises(StartupError, match="another server is listening on it$"):
            bound(uds=str(path))
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(path))


def test_a_live_unix_socket_with_a_full_backlog_is_still_live(tmp_path: Path) -> None:
    path = tmp_path / "s"
    with socket.socket(socket.AF_UNIX) as live:
        live.bind(str(path))
        live.listen(0)
        waiting = []
        for _ in range(3):
            client = socket.socket(socket.AF_UNIX)
            client.setblocking(False)
            client.connect_ex(str(path))
            waiting.append(client)
        with pytest.raises(StartupError, match="another server is listening on it$"):
            bound(uds=str(path))
        for client in waiting:
            client.close()
    assert path.exists()


def test_a_file_of_another_kind_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "s"
    path.write_text("precious")
    with pytest.raises(StartupError, match="a file of another kind is there$"):
        bound(uds=str(path))
    assert path.read_text() == "precious"


def test_a_unix_path_that_cannot_be_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(StartupError, match="no such file or directory$"):
        bound(uds=str(tmp_path / "no" / "s"))


def test_closing_leaves_the_path_of_a_successor(tmp_path: Path) -> None:
    path = tmp_path / "s"
    [old] = bound(uds=str(path))
    path.rename(tmp_path / "moved")
    [new] = bound(uds=str(path))
    old.close()
    assert path.exists()
    new.close()


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_UNIX])
def test_a_file_descriptor_of_any_family(family: int, tmp_path: Path) -> None:
    sock = socket.socket(family)
    sock.bind(("127.0.0.1", 0) if family == socket.AF_INET else str(tmp_path / "s"))
    [listener] = bound(fd=sock.detach())
    assert listener.socket.family == family
    if family == socket.AF_INET:
        assert listener.server == ("127.0.0.1", listener.port)
    else:
        assert listener.server == (str(tmp_path / "s"), None)
    listener.close()
    assert family == socket.AF_INET or (tmp_path / "s").exists()  # whoever bound it removes it


def test_descriptor_zero_is_a_descriptor_and_is_moved_out_of_the_way() -> None:
    saved = os.dup(0)
    try:
        with socket.socket() as sock:
            sock.bind(("127.0.0.1", 0))
            os.dup2(sock.fileno(), 0)
        [listener] = bound(fd=0)
        assert listener.port
        assert listener.socket.fileno() > 2
        assert stat.S_ISCHR(os.fstat(0).st_mode)  # the null device
        listener.close()
    finally:
        os.dup2(saved, 0)
        os.close(saved)


def test_a_descriptor_that_is_no_stream_socket_is_one_line() -> None:
    with pytest.raises(StartupError, match="^cannot listen on file descriptor 9999: bad file descriptor$"):
        bound(fd=9999)
    with socket.socket(type=socket.SOCK_DGRAM) as datagrams:
        with pytest.raises(StartupError, match="not a stream socket$"):
            bound(fd=datagrams.fileno())
        assert datagrams.getsockname()  # still open


def test_adopted_sockets_go_by_their_own_names(tmp_path: Path) -> None:
    with socket.socket() as tcp, socket.socket(socket.AF_UNIX) as unix, socket.socket(socket.AF_UNIX) as nameless:
        tcp.bind(("127.0.0.1", 0))
        unix.bind(str(tmp_path / "s"))
        names = [listener.name for listener in adopt([tcp, unix, nameless])]
        assert names == [f"http://127.0.0.1:{tcp.getsockname()[1]}", f"unix socket {tmp_path / 's'}", "socket ''"]
        assert adopt([nameless])[0].server is None


def test_has_waiting_tells_connections_nobody_accepted() -> None:
    [listener] = bound()
    listener.socket.listen()
    assert not listener.has_waiting()
    with socket.create_connection(("127.0.0.1", listener.port or 0)):
        assert listener.has_waiting()
        listener.socket.accept()[0].close()
        assert not listener.has_waiting()
    listener.close()


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
@pytest.mark.parametrize("kind", ["tcp", "unix"])
def test_serve_makes_a_protocol_for_each_connection(loop: str, kind: str, tmp_path: Path) -> None:
    factory = pytest.importorskip(loop).new_event_loop

    class Greeter(asyncio.Protocol):
        def connection_made(self, transport: Any) -> None:
            transport.write(b"hello")
            transport.close()

    async def main() -> None:
        path = str(tmp_path / "s")
        [listener] = bound(uds=path) if kind == "unix" else bound()
        connections = SimpleNamespace(loop=asyncio.get_running_loop(), listener=lambda _: Greeter)
        connections.entrance = lambda server, certificates: None
        server = await listener.serve(connections, None, 16)
        if kind == "unix":
            reader, writer = await asyncio.open_unix_connection(path)
        else:
            reader, writer = await asyncio.open_connection("127.0.0.1", listener.port)
        assert await reader.read() == b"hello"
        writer.close()
        await writer.wait_closed()
        server.close()
        listener.close()
        await server.wait_closed()
        assert not Path(path).exists()

    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(main())
