"""Serving until told to stop, and the exit status."""

from __future__ import annotations

import contextlib
import sys
from typing import Any

from pronghorn.config import Config
from pronghorn.errors import ConfigError
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
    """Run a server until a Ctrl-C at the latest; a start-up that failed exits with status 3. A supervisor goes here."""
    if server.config.reload:
        raise ConfigError("reload: this version does not watch files")
    if (server.config.workers or 1) > 1:
        raise ConfigError(f"workers: this version serves from one process, got {server.config.workers}")
    with contextlib.suppress(KeyboardInterrupt):
        server.run()
    if server.failure is not None:
        sys.exit(STARTUP_FAILURE)
