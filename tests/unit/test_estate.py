"""pronghorn.estate: sockets that one supervisor leaves to another."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from pronghorn import listeners
from pronghorn.config import Config
from pronghorn.errors import ConfigError
from pronghorn.estate import VARIABLE, Estate, described
from pronghorn.listeners import Listener

LOCAL = "127.0.0.1:0"


@pytest.fixture
def line() -> Iterator[socket.socket]:
    ours, theirs = socket.socketpair()
    yield theirs
    ours.close()
    theirs.close()


def handed(bound: list[Listener], line: socket.socket) -> Estate:
    """As another process would have it: the same sockets under other numbers."""
    said = json.loads(described(bound, line, os.getpid()))
    for one in [*said["sockets"]]:
        one["fd"] = os.dup(one["fd"])
    said["line"] = os.dup(said["line"])
    environ = {VARIABLE: json.dumps(said), "OTHER": "1"}
    estate = Estate.take(environ)
    assert estate is not None and environ == {"OTHER": "1"}
    return estate


def bind(*places: str, estate: Estate | None = None) -> list[Listener]:
    return listeners.bind(Config(None, bind=[*places], log_config=None), estate)


def close(*several: list[Listener]) -> None:
    for bound in several:
        for listener in bound:
            listener.close()


def test_nothing_is_left() -> None:
    assert Estate.take({}) is None


def test_somebody_else_is_meant(line: socket.socket) -> None:
    environ = {VARIABLE: described([], line, os.getpid() + 1)}
    assert Estate.take(environ) is None
    assert environ == {}


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"pid": %d}', '{"pid": %d, "line": 9999, "sockets": []}'])
def test_what_cannot_be_read(text: str) -> None:
    with pytest.raises(ConfigError, match=VARIABLE):
        Estate.take({VARIABLE: text.replace("%d", str(os.getpid()))})


def test_sockets_are_matched_with_what_is_asked_for(line: socket.socket, tmp_path: Path) -> None:
    """Each is claimed once, also where the same was asked for twice."""
    path = f"unix:{tmp_path}/a.sock"
    old = bind(LOCAL, path, LOCAL)
    estate = handed(old, line)
    new = bind(path, LOCAL, LOCAL, LOCAL, estate=estate)
    assert [one.server for one in new[:3]] == [old[1].server, old[0].server, old[2].server]
    assert new[3].server not in [one.server for one in old]
    assert not any(one.socket.get_inheritable() for one in new)
    close(old, new)
    estate.close()


def test_an_address_by_another_name(line: socket.socket) -> None:
    old = bind(LOCAL)
    estate = handed(old, line)
    new = bind(f"localhost:{old[0].port}", estate=estate)
    (same,) = [one for one in new if one.socket.family == socket.AF_INET]
    assert same.server == old[0].server
    assert same.name == f"http://localhost:{old[0].port}"
    close(old, new)
    estate.close()


def test_paths_change_hands_when_the_other_one_gives_way(line: socket.socket, tmp_path: Path) -> None:
    kept, left = tmp_path / "kept.sock", tmp_path / "left.sock"
    old = bind(f"unix:{kept}", f"unix:{left}")
    estate = handed(old, line)
    failed = bind(f"unix:{kept}", estate=estate)
    close(failed)
    assert kept.exists() and left.exists()
    estate.close()

    estate = handed(old, line)
    new = bind(f"unix:{kept}", estate=estate)
    for one in old:
        one.path = None
    estate.settle()
    close(old)
    assert kept.exists() and not left.exists()
    close(new)
    assert not kept.exists()
    estate.close()


def test_a_path_that_somebody_else_has_taken_stays(line: socket.socket, tmp_path: Path) -> None:
    path = tmp_path / "a.sock"
    old = bind(f"unix:{path}")
    estate = handed(old, line)
    new = bind(f"unix:{path}", estate=estate)
    (tmp_path / "other").touch()
    (tmp_path / "other").replace(path)
    estate.settle()
    close(new, old)
    assert path.exists()
    estate.close()
