"""How a server as a whole is getting on, for those outside who ask or are to be told."""

from __future__ import annotations

import enum

from pronghorn.notify import Manager

__all__ = ["Standing", "follow"]


class Standing(enum.Enum):
    """starting -> ready <-> reloading; each of them -> stopping. The values are what is shown."""

    STARTING = "starting"
    READY = "ready"
    RELOADING = "reloading"
    STOPPING = "stopping"


def follow(manager: Manager, before: Standing, now: Standing, status: str) -> None:
    """Tell a service manager of a change."""
    if now is before:
        return
    if now is Standing.READY:
        manager.ready(status)
    elif now is Standing.RELOADING:
        manager.reloading()
    elif now is Standing.STOPPING:
        manager.stopping()
