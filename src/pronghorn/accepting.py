"""A listening socket while connections are accepted from it."""

from __future__ import annotations

import asyncio
import socket
from typing import Protocol

__all__ = ["Accepting", "Acceptor"]


class Acceptor(Protocol):
    """What accepts connections until it is closed."""

    def close(self) -> object: ...


class Accepting:
    """A listening socket and what accepts its connections; looks like an asyncio.Server as far as that is of use."""

    def __init__(self, sock: socket.socket, acceptor: Acceptor) -> None:
        self.sockets: tuple[socket.socket, ...] = (sock,)
        self._acceptor = acceptor

    def is_serving(self) -> bool:
        """Whether connections are accepted."""
        return bool(self.sockets)

    def hold(self) -> None:
        """Accept nothing more, and let what has been accepted become connections: an asyncio.Server that is closed
        meanwhile takes them for an error, and drops them."""
        loop = asyncio.get_running_loop()
        if self.sockets and isinstance(loop, asyncio.SelectorEventLoop):
            loop.remove_reader(self.sockets[0])

    def close(self) -> None:
        """Accept nothing more, and close the socket."""
        if self.sockets:
            self._acceptor.close()
            self.sockets[0].close()
            self.sockets = ()

    async def wait_closed(self) -> None:
        """Return at once: what a connection does has nothing to do with where it was accepted."""
