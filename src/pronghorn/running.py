"""Running a server as the program: until it is told to stop, and with an exit status."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Unpack

from pronghorn import listeners, loggers
from pronghorn.config import Config
from pronghorn.deadline import Deadline
from pronghorn.errors import STARTUP_FAILURE, ConfigError, StartupError
from pronghorn.estate import Estate
from pronghorn.listeners import Listener
from pronghorn.loggers import server_log
from pronghorn.logstream import drain, nonblocking
from pronghorn.notify import Manager
from pronghorn.origin import Origin
from pronghorn.pidfile import PidFile
from pronghorn.privileges import Identity
from pronghorn.server import Server
from pronghorn.signals import handled, show_faults
from pronghorn.terminal import GONE, Terminal

if TYPE_CHECKING:
    from pronghorn.keywords import Keywords

__all__ = ["open_standard_descriptors", "run", "run_until_stopped"]

ORIGIN = Origin()  # when the package is imported


def run(app: Any, *, app_dir: str | None = None, **settings: Unpack[Keywords]) -> None:
    """Serve an application, given as it is or as ``module:attribute``, until the process is told to stop.

    Takes every setting of `Config` by name. Exits with status 3 when the server could not start.
    """
    if app_dir is not None:
        sys.path.insert(0, app_dir)
    values: dict[str, Any] = {**settings}  # wider than the attributes that they become when they are checked
    run_until_stopped(Server(Config(app, **values)))


def open_standard_descriptors() -> None:
    """Put the null device where a parent closed 0, 1 or 2: a loop's own descriptor must not become one of them."""
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)


def run_until_stopped(server: Server) -> None:
    """Run a server, or as many as are asked for, until told to stop; a failed start-up exits with status 3."""
    open_standard_descriptors()
    streams = nonblocking(loggers.every())
    try:
        run_supervised_or_alone(server)
    finally:
        drain()
        streams.close()


def run_supervised_or_alone(server: Server) -> None:
    config, estate = server.config, Estate.take(os.environ)
    supervised = config.supervised or estate is not None  # whoever takes a supervisor's place is one
    if supervised and not isinstance(config.app, str):
        server_log().warning("reload and workers need the application by name, as in 'main:app'.")
        sys.exit(STARTUP_FAILURE)
    identity = Identity.of(config)
    if config.umask is not None:
        os.umask(config.umask)
    manager, pid_file = Manager.take(os.environ), PidFile(config.pid)
    if estate is None:
        manager.status("Starting")
    try:
        if supervised:
            if status := supervise(config, manager, pid_file, estate):
                sys.exit(status)
        else:
            serve_alone(server, identity, manager, pid_file)
    finally:
        pid_file.remove()
        manager.close()
        if estate is not None:
            estate.close()
    if server.failure is not None:
        sys.exit(STARTUP_FAILURE)


def serve_alone(server: Server, identity: Identity | None, manager: Manager, pid_file: PidFile) -> None:
    """Serve from this process."""
    if manager.interval:
        show_faults()  # a watchdog ends us by SIGABRT
    server.companions.manager = manager
    server.companions.pid_file = pid_file
    bound: list[Listener] = []
    try:
        if identity is not None:  # the application is imported only afterwards
            bound = listeners.bind(server.config)
            pid_file.write()
            identity.assume()
    except StartupError as error:
        for listener in bound:
            listener.close()
        server_log().error("%s", error)
        sys.exit(STARTUP_FAILURE)
    server.companions.deadline = Deadline(server.config)
    try:
        with contextlib.suppress(KeyboardInterrupt), refreshing(server):
            server.run([listener.socket for listener in bound] or None)
    finally:
        server.companions.deadline.over()


@contextlib.contextmanager
def refreshing(server: Server) -> Iterator[None]:
    """Let signals that would end a program that does not care do meanwhile what they can do here."""
    if not hasattr(signal, "SIGHUP") or threading.current_thread() is not threading.main_thread():
        yield
        return
    terminal = server.companions.terminal = Terminal()

    def hang_up() -> None:
        if not terminal.has_just_gone():
            server.soon(server.refresh)
        elif not server.should_exit and not terminal.ignored:
            server.soon(lambda: server_log().info(GONE))
            signal.raise_signal(signal.SIGINT)

    actions: dict[int, Callable[[], None]] = {
        signal.SIGHUP: hang_up,
        signal.SIGUSR1: lambda: server.soon(server.reopen_logs),
        signal.SIGUSR2: lambda: server.soon(refuse_upgrade),
    }
    with handled(dict.fromkeys(actions, lambda number, _: actions[number]())):
        yield


def refuse_upgrade() -> None:
    server_log().error("No upgrade: it takes a supervisor (--workers 2, or auto)")


def supervise(config: Config, manager: Manager, pid_file: PidFile, estate: Estate | None) -> int:
    """Serve from processes of their own; the exit status."""
    if not hasattr(os, "fork"):
        named = "reload" if config.reload else "workers"
        raise ConfigError(f"{named}: expected a system with fork(), which this is not")
    from pronghorn.reloader import Reloader  # a server alone needs neither
    from pronghorn.supervisor import Supervisor

    supervisor = (Reloader if config.reload else Supervisor)(config, estate=estate)
    supervisor.manager = manager
    supervisor.succession.origin = ORIGIN
    supervisor.pid_file = pid_file
    return supervisor.run()
