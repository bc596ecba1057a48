"""Running a server as the program: until it is told to stop, and with an exit status."""

from __future__ import annotations

import contextlib
import faulthandler
import os
import sys
from typing import Any

from pronghorn.config import Config
from pronghorn.errors import ConfigError
from pronghorn.loggers import server_log
from pronghorn.notify import Manager
from pronghorn.server import Server

__all__ = ["STARTUP_FAILURE", "run", "run_until_stopped"]

STARTUP_FAILURE = 3  # a supervisor does not try again after it


def run(app: Any, *, app_dir: str | None = None, **settings: Any) -> None:
    """Serve an application, given as it is or as ``module:attribute``, until the process is told to stop.

    Takes every setting of `Config` by name. Exits with status 3 when the server could not start.
    """
    if app_dir is not None:
        sys.path.insert(0, app_dir)
    run_until_stopped(Server(Config(app, **settings)))


def run_until_stopped(server: Server) -> None:
    """Run a server, or as many as are asked for, until told to stop; a failed start-up exits with status 3."""
    config = server.config
    if (config.reload or (config.workers or 1) > 1) and not isinstance(config.app, str):
        server_log().warning("reload and workers need the application by name, as in 'main:app'.")
        sys.exit(STARTUP_FAILURE)
    manager = Manager.take(os.environ)
    manager.status("Starting")
    if config.reload or (config.workers or 1) > 1:
        sys.exit(supervise(config, manager))
    if manager.interval:
        with contextlib.suppress(ValueError, OSError, AttributeError):  # standard error may have no file behind it
            faulthandler.enable()  # a watchdog ends us by SIGABRT: show where we were
    server.companions.manager = manager
    try:
        with contextlib.suppress(KeyboardInterrupt):
            server.run()
    finally:
        manager.close()
    if server.failure is not None:
        sys.exit(STARTUP_FAILURE)


def supervise(config: Config, manager: Manager) -> int:
    """Serve from processes of their own; the exit status."""
    if not hasattr(os, "fork"):
        named = "reload" if config.reload else "workers"
        raise ConfigError(f"{named}: expected a system with fork(), which this is not")
    from pronghorn.reloader import Reloader  # a server alone needs neither
    from pronghorn.supervisor import Supervisor

    supervisor = (Reloader if config.reload else Supervisor)(config)
    supervisor.manager = manager
    return supervisor.run()
