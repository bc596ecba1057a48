"""Another process of the same program: how it begins, and how it ends."""

from __future__ import annotations

import atexit
import contextlib
import faulthandler
import os
import signal
import sys
import threading
from typing import Any, NoReturn

__all__ = ["ALL", "NOT_OURS", "TOLD", "finish", "flush", "fork"]

OURS = ("SIGINT", "SIGTERM", "SIGUSR1", "SIGCHLD")
NOT_OURS = ("SIGHUP", "SIGTTIN", "SIGTTOU", "SIGUSR2", "SIGWINCH")  # but the supervisor's
ALL = (*OURS, *NOT_OURS, "SIGQUIT")  # that a supervisor has handlers for
TOLD = signal.SIGQUIT if os.name == "posix" else signal.SIGINT  # what a supervisor sends for a Ctrl-C; see Worker
EXIT_LIMIT = 10.0  # seconds for the application's threads to end after the server has


def fork(own_group: bool = True) -> int:
    """As os.fork(), into a process with no handler of ours that is, in a group of its own, no part of what a terminal
    sends signals to. Whoever shall be able to read from the terminal, as a debugger does, has to stay in the group.

    A signal that comes meanwhile waits: in the child ours would swallow it, and tell the parent of it.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    try:
        pid = os.fork()
        if pid == 0:
            if own_group:
                os.setpgid(0, 0)
            signal.set_wakeup_fd(-1)
            for name in ALL:
                signal.signal(getattr(signal, name), signal.SIG_DFL)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    return pid


def finish(code: int) -> NoReturn:
    """End the process as the interpreter does: os._exit() by itself waits for no thread, and calls nothing."""
    signal.signal(TOLD, lambda *_: os._exit(code))  # a further Ctrl-C does not wait
    with contextlib.suppress(ValueError, OSError, AttributeError):  # standard error may have no file behind it
        faulthandler.dump_traceback_later(EXIT_LIMIT, exit=True)
    for module, name in ((threading, "_shutdown"), (atexit, "_run_exitfuncs")):
        end: Any = getattr(module, name, None)
        if end is not None:
            end()
    flush()
    os._exit(code)


def flush() -> None:
    """Nothing that one process has buffered may be written by two."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(Exception):
            stream.flush()
