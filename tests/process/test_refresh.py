"""SIGHUP and SIGUSR1 to a server that is alone: the log is opened again, the certificates are read again, nobody notices."""

from __future__ import annotations

import os
import signal
import ssl
from collections.abc import Callable
from pathlib import Path

import pytest
from encrypted import authority
from process.command import Client, Command

pytestmark = pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="there is no SIGHUP here")
Start = Callable[..., Command]


def until_served(command: Command, condition: Callable[[], bool]) -> None:
    for _ in range(1000):
        with Client(command.port) as client:
            client.request("/", "Connection: close")
            assert client.rest().endswith(b"hello")
        if condition():
            return
    raise AssertionError("\n".join(command.lines))


@pytest.mark.parametrize("number", ["SIGHUP", "SIGUSR1"])
def test_the_log_is_opened_again(start: Start, tmp_path: Path, number: str) -> None:
    log = tmp_path / "access.log"
    command = start("hello:app", "--access-log-file", str(log))
    with Client(command.port) as kept:
        kept.request("/kept")
        kept.until(b"hello")
        until_served(command, lambda: log.exists() and "/kept" in log.read_text())
        log.rename(tmp_path / "access.log.1")
        command.send(getattr(signal, number))
        until_served(command, log.exists)
        kept.request("/still")
        kept.until(b"hello")
    assert command.stop() == 0
    assert "/still" in log.read_text()
    command.clean()


def test_the_certificates_are_read_again(start: Start, tmp_path: Path) -> None:
    path = tmp_path / "server.pem"
    path.write_text(Path(authority().issue("localhost", "127.0.0.1")).read_text())
    command = start("hello:app", "--ssl-certfile", str(path), "--ssl-reload-interval", "0")
    command.wait_for("running on https://")
    before = ssl.get_server_certificate(("127.0.0.1", port(command)))
    new = tmp_path / "new.pem"
    new.write_text(Path(authority().issue("localhost", "127.0.0.1")).read_text())
    os.replace(new, path)  # noqa: PTH105
    command.send(signal.SIGHUP)
    command.wait_for("The certificates have been read again.")
    assert ssl.get_server_certificate(("127.0.0.1", port(command))) != before
    assert command.stop() == 0
    command.clean()


def port(command: Command) -> int:
    return int(command.wait_for("running on").rpartition(" (")[0].rpartition(":")[2])
