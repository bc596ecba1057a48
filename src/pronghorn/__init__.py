"""Pronghorn, an ASGI server whose hot paths are compiled."""

import gc

# Importing makes many objects and no garbage: looking for some in between takes a twentieth of a start.
collecting = gc.isenabled()
gc.disable()
try:
    from pronghorn.cli import main
    from pronghorn.config import Config
    from pronghorn.errors import ClientDisconnected, ConfigError, MessageError, StartupError
    from pronghorn.running import run
    from pronghorn.server import Server
finally:
    if collecting:
        gc.enable()
del collecting, gc

__version__ = "0.1.0"

__all__ = [
    "ClientDisconnected",
    "Config",
    "ConfigError",
    "MessageError",
    "Server",
    "StartupError",
    "__version__",
    "main",
    "run",
]
