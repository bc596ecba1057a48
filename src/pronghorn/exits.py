"""Asking for the end of a server, from wherever: its loop, another thread, a signal handler."""

from __future__ import annotations

import asyncio
import contextlib

__all__ = ["Exits"]


class Exits:
    """The two wishes a server listens to, as attributes that anybody may set and as events for its own loop."""

    def __init__(self) -> None:
        self._should_exit = self._force_exit = False
        self._loop: asyncio.AbstractEventLoop | None = None

    @property
    def should_exit(self) -> bool:
        """Set it, from any thread or from a signal handler, to stop gracefully."""
        return self._should_exit

    @should_exit.setter
    def should_exit(self, value: bool) -> None:
        self._should_exit = value
        self._wake()

    @property
    def force_exit(self) -> bool:
        """Set it, from any thread or from a signal handler, to cut a graceful stop short."""
        return self._force_exit

    @force_exit.setter
    def force_exit(self, value: bool) -> None:
        self._force_exit = value
        self._wake()

    def _renew_events(self) -> None:
        self._stop = asyncio.Event()
        self._force = asyncio.Event()
        self._notice()

    def _wake(self) -> None:
        loop = self._loop
        if loop is None:
            return
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody is left to be told
            loop.call_soon_threadsafe(self._notice)

    def _notice(self) -> None:
        if self._should_exit:
            self._stop.set()
        if self._force_exit:
            self._stop.set()
            self._force.set()
