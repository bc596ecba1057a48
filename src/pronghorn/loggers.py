"""The server's loggers, by what they are for; their common name stands here and nowhere else."""

from __future__ import annotations

import logging

__all__ = ["access_log", "asgi_log", "every", "name", "rename", "root", "server_log"]

_root = "pronghorn"


def root() -> str:
    """The name that all of them begin with; that of the program, as the log shows it."""
    return _root


def rename(root: str) -> None:
    """Give all of them another name; the drop-in for uvicorn does, before the first server is made."""
    global _root
    _root = root


def name(part: str) -> str:
    """The full name of one of them: error, access or asgi."""
    return f"{_root}.{part}"


def every() -> list[logging.Logger]:
    """All of them, the common parent first."""
    return [logging.getLogger(part) for part in (_root, *map(name, ("error", "access", "asgi")))]


def server_log() -> logging.Logger:
    """What the server says, on standard error."""
    return logging.getLogger(name("error"))


def asgi_log() -> logging.Logger:
    """The application's calls, at debug and trace; on standard error."""
    return logging.getLogger(name("asgi"))


def access_log() -> logging.Logger:
    """One line for each response, on standard output."""
    return logging.getLogger(name("access"))
