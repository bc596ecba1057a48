"""The line that says what serves: version, interpreter, event loop, protocols and processes."""

from __future__ import annotations

import sys
from collections.abc import Iterable

import pronghorn
from pronghorn import descriptors, listeners
from pronghorn.config import Config
from pronghorn.listeners import Listener
from pronghorn.loggers import server_log

__all__ = ["show", "text"]


def show(config: Config, bound: Iterable[Listener]) -> None:
    """Log it, and where clients are served, and by how few connections."""
    server_log().info("%s", text(config))
    descriptors.tell_of_the_limit(config.limit_connections)
    listeners.announce(bound, config.is_ssl)


def text(config: Config) -> str:
    """``pronghorn 0.1.0, CPython 3.11.2, uvloop; http/1.1, websocket; 2 workers``."""
    version = ".".join(map(str, sys.version_info[:3]))
    python = "CPython" if sys.implementation.name == "cpython" else sys.implementation.name
    parts = [
        f"pronghorn {pronghorn.__version__}, {python} {version}, {loop(config)}",
        protocols(config),
        processes(config),
    ]
    return "; ".join(parts)


def loop(config: Config) -> str:
    if config.loop == "auto":
        return "uvloop" if is_installed("uvloop") else "asyncio"
    if isinstance(config.loop, str):
        return "the interpreter's event loop" if config.loop == "none" else config.loop
    return getattr(config.loop, "__name__", repr(config.loop))


def protocols(config: Config) -> str:
    names = ["http/1.1"] if config.ws == "none" else ["http/1.1", "websocket"]
    over = " over TLS" if config.is_ssl else ""
    behind = " behind the PROXY protocol" if config.proxy_protocol != "off" else ""
    return ", ".join(names) + over + behind


def processes(config: Config) -> str:
    if config.reload:
        watcher = "watchfiles" if is_installed("watchfiles") else f"looks every {config.reload_delay:g} s"
        return f"reloads ({watcher})"
    if not config.supervised:
        return "one process"
    return "1 worker" if config.processes == 1 else f"{config.processes} workers"


def is_installed(name: str) -> bool:
    if name in sys.modules:
        return True
    from importlib.util import find_spec  # slow to import, and of use in a supervisor only

    return find_spec(name) is not None
