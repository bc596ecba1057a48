"""What is going on in a server, under the names that uvicorn gives it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Iterator, Set
from typing import TYPE_CHECKING, Any, TypeVar

from pronghorn._core.response import date_of

if TYPE_CHECKING:
    from pronghorn._core.edge import Connection
    from pronghorn.server import Server

__all__ = ["ServerState"]

Item = TypeVar("Item")


class View(Set[Item]):
    """A set that is looked up anew each time; its size costs nothing."""

    def __init__(self, size: Callable[[], int], items: Callable[[], Iterable[Item]]) -> None:
        self._size = size
        self._items = items

    @classmethod
    def _from_iterable(cls, items: Iterable[Any]) -> frozenset[Any]:
        return frozenset(items)

    def __len__(self) -> int:
        return self._size()

    def __iter__(self) -> Iterator[Item]:
        return iter(self._items())

    def __contains__(self, item: object) -> bool:
        return any(item is other for other in self._items())

    def __repr__(self) -> str:
        return repr(set(self))


class ServerState:
    """Counts, and live views of what is open and running; to be read, not to be changed."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self.connections: Set[Connection] = View(self._open, self._every_connection)
        self.tasks: Set[asyncio.Task[Any]] = View(self._active, self._every_task)

    @property
    def total_requests(self) -> int:
        """Responses completed."""
        connections = self._server.connections
        return self._server.requests_before + (0 if connections is None else connections.total_requests)

    @property
    def default_headers(self) -> list[tuple[bytes, bytes]]:
        """What every response has, in the order in which it is sent."""
        config = self._server.config
        headers = []
        if config.date_header:
            headers.append((b"date", date_of(time.time())))
        if config.server_header:
            headers.append((b"server", b"pronghorn"))
        return [*headers, *config.encoded_headers]

    def _open(self) -> int:
        return self._server.connections.open if self._server.connections else 0

    def _active(self) -> int:
        return self._server.connections.active if self._server.connections else 0

    def _every_connection(self) -> Iterable[Connection]:
        return self._server.connections or ()

    def _every_task(self) -> Iterable[asyncio.Task[Any]]:
        return self._server.connections.tasks() if self._server.connections else ()
