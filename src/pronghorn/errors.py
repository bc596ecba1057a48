"""What can go wrong, by name. Imported by both layers; imports nothing of the package."""

from __future__ import annotations

__all__ = ["STARTUP_FAILURE", "ClientDisconnected", "ConfigError", "MessageError", "StartupError"]

STARTUP_FAILURE = 3  # exit status; a supervisor does not try again after it


class ClientDisconnected(OSError):
    """The client has gone: raised by ``send()`` inside the application, and never logged by the server."""


class MessageError(RuntimeError):
    """The application broke the ASGI specification; the text names the message and the rule."""


class ConfigError(ValueError):
    """A setting, or the application string, is not usable; the text is one line that says which and why."""


class StartupError(RuntimeError):
    """The server could not start, such as when its port is in use; the text is one line."""
