"""uvicorn._subprocess: a process of its own for a server, by multiprocessing."""

import contextlib
import multiprocessing
import os
import socket
import sys
from collections.abc import Callable, Sequence
from multiprocessing.context import SpawnProcess
from typing import Any

from pronghorn.config import Config

__all__ = ["get_subprocess", "subprocess_started"]

multiprocessing.allow_connection_pickling()
spawn = multiprocessing.get_context("spawn")


def get_subprocess(config: Config, target: Callable[..., Any], sockets: Sequence[socket.socket]) -> SpawnProcess:
    """A process that is not started yet, which calls ``target(sockets=...)``."""
    stdin = None
    with contextlib.suppress(AttributeError, OSError, ValueError):
        stdin = sys.stdin.fileno()
    told = {"config": config, "target": target, "sockets": list(sockets), "stdin_fileno": stdin}
    return spawn.Process(target=subprocess_started, kwargs=told)


def subprocess_started(
    config: Config, target: Callable[..., Any], sockets: list[socket.socket], stdin_fileno: int | None
) -> None:
    """What that process does."""
    if stdin_fileno is not None:
        with contextlib.suppress(OSError):  # multiprocessing has closed it
            sys.stdin = os.fdopen(stdin_fileno, closefd=False)
    config.configure_logging()
    with contextlib.suppress(KeyboardInterrupt):
        target(sockets=sockets)
