import asyncio
from typing import Any

from pronghorn._core.edge import Connection, Connections
from pronghorn._core.entrance import Entrance
from pronghorn._core.poll import Acceptor, Poll
from pronghorn._core.poll import available as available

HIGH_WATER: int
enabled: bool

def usable(loop: asyncio.AbstractEventLoop) -> bool: ...

class Sockets(Poll):
    def __init__(self, connections: Connections, page: Any = None, slot: int = 0) -> None: ...
    def accept(self, fd: int, entrance: Entrance) -> SocketAcceptor: ...
    def settle_now(self) -> None: ...

class SocketAcceptor(Acceptor):
    def __init__(self, sockets: Sockets, fd: int, entrance: Entrance) -> None: ...

class SocketConnection(Connection): ...
