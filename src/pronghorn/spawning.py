"""Workers that are new interpreters: nothing of the supervisor's memory is theirs, and of its descriptors only those
that they serve with. They are told of the rest in a file without a name."""

from __future__ import annotations

import os
import pickle
import signal
import socket
import subprocess
import sys
from collections.abc import Iterable
from typing import IO, Any, NoReturn

from pronghorn import loggers, logs
from pronghorn.board import Board, anonymous_file
from pronghorn.config import Config
from pronghorn.errors import STARTUP_FAILURE, StartupError
from pronghorn.forking import execute, inherited
from pronghorn.listeners import Listener
from pronghorn.loggers import server_log
from pronghorn.worker import Child, Closable, Worker, be_a_worker, end_with_the_supervisor, take_signals

__all__ = ["check", "main", "start"]

# Where to look for modules comes first: also the package may have been found in a place that the program added.
PROGRAM = "; ".join([
    "import os, sys",
    "file = os.fdopen(int(sys.argv[1]), 'rb')",
    "sys.path[:] = os.fsdecode(file.read(int(file.readline()))).split('\\0')",
    "from pronghorn.spawning import main",
    "main(file)",
])  # fmt: skip


def check(config: Config) -> None:
    """StartupError when the settings cannot be told to another interpreter."""
    if not sys.executable:
        raise StartupError("workers_start: nobody knows which interpreter to spawn")
    try:
        pickle.dumps(config)
    except Exception as error:  # whatever an object of somebody else's own runs into
        raise StartupError(f"workers_start: spawn needs settings that can be pickled: {error}") from None


def start(config: Config, listeners: Iterable[Listener], board: Board, others: Iterable[Closable]) -> Child:
    """As ``worker.start()``; ``others`` need not be closed, as nothing is inherited."""
    ours, theirs = socket.socketpair()
    slot = board.take()
    sockets = [listener.socket.fileno() for listener in listeners]
    told = {
        "root": loggers.root(),
        "config": config,
        "arguments": sys.argv,
        "board": board.file,
        "slot": slot,
        "sockets": sockets,
        "blocked": [int(number) for number in signal.pthread_sigmask(signal.SIG_BLOCK, [])],
    }
    try:
        with os.fdopen(anonymous_file(0), "w+b") as file:
            path = os.fsencode("\0".join(sys.path))
            file.write(b"%d\n%b%b" % (len(path), path, pickle.dumps(told)))
            file.seek(0)
            numbers = str(file.fileno()), str(theirs.fileno())
            command = [sys.executable, *flags(), "-c", PROGRAM, *numbers, str(config.app)]
            descriptors = {*sockets, theirs.fileno(), board.file, file.fileno()}
            own_group = not config.reload
            pid = execute(command, lambda: dict(os.environ), "", descriptors, own_group, held=True)
    except OSError:
        ours.close()
        board.free(slot)
        raise
    finally:
        theirs.close()
    return Child(pid, ours, slot)


def flags() -> list[str]:
    """The interpreter's own options."""
    found: list[str] = getattr(subprocess, "_args_from_interpreter_flags", list)()
    return found


def main(file: IO[bytes]) -> NoReturn:
    """What a worker does that is a new interpreter. Until it takes signals, they wait."""
    code = 1
    try:
        line = inherited(int(sys.argv[2]))
        end_with_the_supervisor(line)
        with file:
            told = understood(file)
        take_signals()
        signal.pthread_sigmask(signal.SIG_SETMASK, told["blocked"])
        sockets = [inherited(descriptor) for descriptor in told["sockets"]]
        board = Board(told["board"], fresh=False)
        os.close(told["board"])
        be_a_worker(Worker(told["config"], line, board, told["slot"]), sockets)
    except StartupError as error:
        server_log().error("%s", error)
        code = STARTUP_FAILURE
    except BaseException as error:
        server_log().critical("Exception in a worker\n", exc_info=error)
    finally:
        os._exit(code)


def understood(file: IO[bytes]) -> dict[str, Any]:
    """What the supervisor tells; logging is as there from then on."""
    try:
        told: dict[str, Any] = pickle.load(file)
    except Exception as error:
        raise StartupError(f"workers_start: spawn needs settings that can be imported: {error}") from None
    sys.argv = told["arguments"]
    if told["root"] != loggers.root():
        logs.rename(told["root"])
    told["config"].configure_logging()
    return told
