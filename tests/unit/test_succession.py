"""The old supervisor's side of an upgrade, with a process at the other end of the line."""

from __future__ import annotations

import selectors
import socket
import subprocess
import sys

import pytest

from pronghorn.board import Board
from pronghorn.config import Config
from pronghorn.standing import Report
from pronghorn.succession import Succession, Successor

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there are no supervisors here")


def test_time_is_up_when_it_has_been_put_in_charge() -> None:
    """It must not be stopped then: the old one does as soon as it hears of it, and nobody would serve."""
    ours, theirs = socket.socketpair()
    with (
        theirs,
        selectors.DefaultSelector() as selector,
        subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process,
    ):
        succession = Succession(Config("a:b", log_config=None, timeout_worker_startup=1), Report(Board()), selector)
        succession.successor = successor = Successor(process.pid, ours)
        selector.register(successor, selectors.EVENT_READ)
        successor.born -= 2
        theirs.sendall(b"ready\n")
        for _ in range(2):
            assert not succession.look()
            assert not successor.kill_at
        assert theirs.recv(100) == b"yours\n"
        theirs.sendall(b"taken\n")
        assert succession.look()
        assert not succession.under_way
        process.communicate(b"\n")
        assert process.returncode == 0
