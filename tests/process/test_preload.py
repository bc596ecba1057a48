"""An application that is imported once, in the supervisor."""

from __future__ import annotations

import os
import signal
import socket
import ssl
from typing import TYPE_CHECKING

import pytest
from process.command import PATIENCE
from process.crew import PID
from process.load import ask, children, until

if TYPE_CHECKING:
    from process.conftest import Workplace

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork() here")


def test_preload(place: Workplace) -> None:
    place.write("pid", "import os\nprint('imported by', os.getpid())\n" + PID)
    command = place.pronghorn("pid:app", "--workers", "2", "--preload")
    command.wait_for("running on")
    assert ask(command.port) in children(command)
    assert command.stop() == 0
    assert [line for line in command.lines if "imported by" in line] == [f"imported by {command.process.pid}"]


def test_signals_of_a_preloaded_application(place: Workplace) -> None:
    place.write("pid", "import signal\nsignal.signal(signal.SIGALRM, lambda *_: print('alarm'))\n" + PID)
    command = place.pronghorn("pid:app", "--workers", "2", "--preload")
    command.wait_for("running on")
    command.send(signal.SIGALRM)
    command.wait_for("alarm")
    assert ask(command.port) in children(command)
    assert command.stop() == 0
    command.clean()


def test_certificates_of_a_preloaded_application(place: Workplace) -> None:
    """A reload reads them again, although nobody else looks at them."""
    trustme = pytest.importorskip("trustme", reason="trustme is not installed")
    authority = trustme.CA()

    def put(name: str) -> None:
        authority.issue_cert(name).private_key_and_cert_chain_pem.write_to_path(place.path / "fresh.pem")
        (place.path / "fresh.pem").replace(place.path / "both.pem")

    def names(port: int) -> str:
        context = ssl.create_default_context()
        context.check_hostname = False
        authority.configure_trust(context)
        plain = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)
        with context.wrap_socket(plain) as encrypted:
            return str(encrypted.getpeercert())

    put("one.test")
    place.write("pid", PID)
    command = place.pronghorn(
        "pid:app", "--workers", "2", "--preload", "--ssl-certfile", "both.pem", "--ssl-reload-interval", "0"
    )
    command.wait_for("running on")
    port = int(command.wait_for("running on").partition("127.0.0.1:")[2].partition(" ")[0])
    assert "one.test" in names(port)
    before = children(command)
    put("two.test")
    command.send(signal.SIGHUP)
    until(lambda: not before & children(command) and len(children(command)) == 2, "both are replaced")
    assert "two.test" in names(port)
    assert command.stop() == 0
    command.clean()


def test_application_that_ends_the_process_while_it_is_imported(place: Workplace) -> None:
    place.write("leaves", "import sys\nsys.exit('no database')\n")
    command = place.pronghorn("leaves:app", "--workers", "2")
    assert command.exit() == 3
    assert any("no database" in line for line in command.err)
    command.clean()


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2, signal.SIGTTIN])
def test_signals_while_the_application_is_preloaded(place: Workplace, number: int) -> None:
    """Nobody is there yet whom they could mean, and nobody must end of them: the pid file is there."""
    wait = "import time\nfrom pathlib import Path\nprint('imports')\nwhile not Path('go').exists(): time.sleep(0.01)\n"
    place.write("pid", wait + PID)
    command = place.pronghorn("pid:app", "--workers", "2", "--no-access-log", "--preload", "--pid", "server.pid")
    command.wait_for("imports")
    os.kill(int((place.path / "server.pid").read_text()), number)
    (place.path / "go").touch()
    command.wait_for("running on")
    assert ask(command.port) in children(command)
    assert command.stop() == 0
    command.clean()


@pytest.mark.parametrize(("number", "status"), [(None, 7), (signal.SIGINT, 130), (signal.SIGTERM, 0)])
def test_preloading_that_ends(place: Workplace, number: int | None, status: int) -> None:
    """By a signal, or by the application itself: nothing is left behind."""
    end = "sys.exit(7)" if number is None else "time.sleep(60)"
    place.write("pid", f"import sys, time\nprint('imports')\n{end}\n")
    command = place.pronghorn("pid:app", "--workers", "2", "--preload", "--uds", "server.sock", "--pid", "server.pid")
    command.wait_for("imports")
    if number is not None:
        command.send(number)
    assert command.exit() == status
    assert not (place.path / "server.sock").exists() and not (place.path / "server.pid").exists()
    command.clean()


def test_preloading_that_catches_the_end(place: Workplace) -> None:
    """What keeps SIGTERM for itself has not kept the server alive."""
    catch = "try:\n    time.sleep(60)\nexcept BaseException:\n    pass\n"
    place.write("pid", f"import time\nprint('imports')\n{catch}{PID}")
    command = place.pronghorn("pid:app", "--workers", "2", "--preload", "--pid", "server.pid")
    command.wait_for("imports")
    command.send(signal.SIGTERM)
    assert command.exit() == 0
    assert not (place.path / "server.pid").exists()
    command.clean()
