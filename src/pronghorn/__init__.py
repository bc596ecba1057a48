"""Pronghorn, an ASGI server whose hot paths are compiled."""

from pronghorn.cli import main
from pronghorn.config import Config
from pronghorn.errors import ClientDisconnected, ConfigError, MessageError, StartupError
from pronghorn.running import run
from pronghorn.server import Server

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
