"""Pronghorn, an ASGI server whose hot paths are compiled."""

from pronghorn.cli import main
from pronghorn.config import Config
from pronghorn.errors import ClientDisconnected, ConfigError, MessageError, StartupError
from pronghorn.server import Server, run

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
