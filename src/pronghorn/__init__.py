"""Pronghorn, an ASGI server whose hot paths are compiled."""

from pronghorn.errors import ClientDisconnected, ConfigError, MessageError, StartupError

__version__ = "0.1.0"

__all__ = ["ClientDisconnected", "ConfigError", "MessageError", "StartupError", "__version__"]
