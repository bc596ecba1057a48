"""Another process of the same program: how it begins, and how it ends."""

from __future__ import annotations

import atexit
import contextlib
import os
import signal
import socket
import sys
import threading
import warnings
from collections.abc import Callable, Collection, Mapping
from typing import Any, NoReturn

from pronghorn.logstream import drain, draining
from pronghorn.signals import end_within

__all__ = ["ALL", "EXIT_LIMIT", "NOT_OURS", "TOLD", "execute", "finish", "flush", "fork", "inherited"]

OURS = ("SIGINT", "SIGTERM", "SIGUSR1", "SIGCHLD")
NOT_OURS = ("SIGHUP", "SIGTTIN", "SIGTTOU", "SIGUSR2", "SIGWINCH")  # but the supervisor's
ALL = (*OURS, *NOT_OURS, "SIGQUIT")  # that a supervisor has handlers for
TOLD = signal.SIGQUIT if os.name == "posix" else signal.SIGINT  # what a supervisor sends for a Ctrl-C; see Worker
NOT_STARTED = 127  # exit status where the program could not be started, as of shells
EXIT_LIMIT = 10.0  # seconds for the application's threads to end after the server has; they may never


def fork(own_group: bool = True, held: bool = False) -> int:
    """As os.fork(), into a process with no handler of ours that is, in a group of its own, no part of what a terminal
    sends signals to. Whoever shall be able to read from the terminal, as a debugger does, has to stay in the group.

    A signal that comes meanwhile waits: in the child ours would swallow it, and tell the parent of it. With ``held`` it
    waits there until the child itself takes signals.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    pid = -1
    try:
        with warnings.catch_warnings():
            if draining():  # a thread that only writes bytes, and whose locks are made anew in the child
                warnings.simplefilter("ignore", DeprecationWarning)
            pid = os.fork()
        if pid == 0:
            if own_group:
                os.setpgid(0, 0)
            signal.set_wakeup_fd(-1)
            for name in ALL:
                signal.signal(getattr(signal, name), signal.SIG_DFL)
    finally:
        if pid or not held:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
    return pid


def execute(
    command: list[str],
    environment: Callable[[], Mapping[str, str]],
    folder: str,
    descriptors: Collection[int],
    own_group: bool = False,
    held: bool = False,
) -> int:
    """Start a program in another process, which inherits these descriptors under the numbers they have, the standard
    ones, and no others. ``environment`` is called in that process; for the rest see ``fork()``."""
    flush()
    pid = fork(own_group, held)
    if pid:
        return pid
    try:
        if folder:
            os.chdir(folder)
        keep_only(descriptors)
        os.execve(command[0], command, environment())
    except BaseException as error:
        os.write(2, f"cannot start {command[0]}: {error}\n".encode(errors="replace"))
    finally:
        os._exit(NOT_STARTED)


def keep_only(descriptors: Collection[int]) -> None:
    """Close all others, also those that an extension module has not marked as its own."""
    for descriptor in open_descriptors():
        if descriptor > 2 and descriptor not in descriptors:
            with contextlib.suppress(OSError):
                os.close(descriptor)
    for descriptor in descriptors:
        os.set_inheritable(descriptor, True)


def inherited(descriptor: int) -> socket.socket:
    """In the program that was started: a socket that it was given, and does not pass on in turn."""
    sock = socket.socket(fileno=descriptor)
    sock.set_inheritable(False)
    return sock


def open_descriptors() -> Collection[int]:
    for folder in ("/proc/self/fd", "/dev/fd"):
        with contextlib.suppress(OSError):
            return [int(name) for name in os.listdir(folder)]
    return range(min(os.sysconf("SC_OPEN_MAX"), 65_536))


def finish(code: int) -> NoReturn:
    """End the process as the interpreter does: os._exit() by itself waits for no thread, and calls nothing."""
    signal.signal(TOLD, lambda *_: os._exit(code))  # a further Ctrl-C does not wait
    end_within(EXIT_LIMIT)
    for module, name in ((threading, "_shutdown"), (atexit, "_run_exitfuncs")):
        end: Any = getattr(module, name, None)
        if end is not None:
            end()
    flush()
    drain()
    os._exit(code)


def flush() -> None:
    """Nothing that one process has buffered may be written by two."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(Exception):
            stream.flush()
