"""pronghorn.unixsocket: beyond what test_listeners sees, permissions and owner."""

import os
import socket
import stat
import sys
from pathlib import Path

import pytest

from pronghorn import unixsocket
from pronghorn.errors import StartupError


@pytest.mark.parametrize(("mode", "former", "expected"), [(None, None, 0o666), (0o600, None, 0o600), (None, 0o640, 0o640), (0o660, 0o640, 0o660)])
def test_mode(mode: int | None, former: int | None, expected: int, tmp_path: Path) -> None:
    path = tmp_path / "s"
    if former is not None:
        with socket.socket(socket.AF_UNIX) as old:
            old.bind(str(path))
        path.chmod(former)
    with unixsocket.bind(str(path), mode) as sock:
        assert stat.S_IMODE(path.stat().st_mode) == expected
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN) == 0  # nobody got in before


@pytest.mark.parametrize("owner", ["no-such-user", ":no-such-group", "99999999999"])
def test_an_owner_that_is_none_leaves_nothing(owner: str, tmp_path: Path) -> None:
    with pytest.raises(StartupError, match=f"^cannot listen on unix socket .*: owner {owner}: "):
        unixsocket.bind(str(tmp_path / "s"), None, owner)
    assert not (tmp_path / "s").exists()


def test_numbers() -> None:
    assert unixsocket.numbers(f"{os.getuid()}") == (os.getuid(), -1)
    assert unixsocket.numbers(":7") == (-1, 7)
    assert unixsocket.numbers("root") == (0, -1)


@pytest.mark.skipif(sys.platform != "linux", reason="abstract sockets are Linux's")
def test_abstract() -> None:
    with unixsocket.bind(f"@pronghorn-unit-{os.getpid()}", 0o600) as sock:
        assert unixsocket.name(sock) == f"@pronghorn-unit-{os.getpid()}"
    with socket.socket(socket.AF_UNIX) as nameless:
        assert unixsocket.name(nameless) is None
