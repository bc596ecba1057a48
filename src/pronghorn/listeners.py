"""The sockets a server listens on: TCP, unix, or inherited."""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
import select
import socket
import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Protocol

from pronghorn import addresses, unixsocket
from pronghorn._core.poll import deafen
from pronghorn.accepting import Accepting
from pronghorn.addresses import Descriptor, Tcp, Unix
from pronghorn.errors import StartupError
from pronghorn.loggers import root, server_log

if TYPE_CHECKING:
    from pronghorn._core.edge import Connections
    from pronghorn._core.sockets import Sockets

__all__ = ["Estate", "Listener", "adopt", "announce", "bind", "bind_place"]

ASKED = itertools.count(1)
NOT_ON_THIS_MACHINE = {errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT}


class Address(Protocol):
    """The settings that say where to listen."""

    host: str | None
    port: int
    uds: str | None
    fd: int | None
    bind: list[str]
    uds_mode: int | None
    uds_owner: str | None


class Estate(Protocol):
    """Sockets that are bound already, each to be claimed once; see estate.py."""

    def claim(self, written: str) -> list[Listener]: ...
    def claim_address(self, family: int, place: tuple[object, ...]) -> Listener | None: ...


class Listener:
    """A bound socket, the name it goes by in the log, and the unix path that goes when it does.

    ``own``: it is closed when we close it, since nobody else serves from it.
    """

    def __init__(self, sock: socket.socket, name: str, path: str | None = None, own: bool = False) -> None:
        self.socket = sock
        self.name = name
        self.path = path
        self.own = own
        self.inode = os.stat(path).st_ino if path else None
        self.written = ""  # where it was asked for, as --bind has it
        self.asked = 0  # a number for those that were bound because of the same place

    @property
    def server(self) -> tuple[str, int] | tuple[str, None] | None:
        """What ``scope["server"]`` says."""
        if self.socket.family in (socket.AF_INET, socket.AF_INET6):
            host, port = self.socket.getsockname()[:2]
            return host, port
        if self.socket.family == unixsocket.FAMILY and (name := unixsocket.name(self.socket)):
            return name, None
        return None

    @property
    def port(self) -> int | None:
        """The TCP port, which is the kernel's choice when port 0 was asked for."""
        return self.server[1] if self.server else None

    def announced(self, secure: bool) -> str:
        """The name, with the scheme that clients are to use."""
        return "https" + self.name.removeprefix("http") if secure and self.name.startswith("http:") else self.name

    def has_waiting(self) -> bool:
        """Whether the kernel holds connections that nobody has accepted yet."""
        if self.socket.fileno() < 0:
            return False
        if not hasattr(select, "poll"):
            return bool(select.select([self.socket], [], [], 0)[0])
        poll = select.poll()
        poll.register(self.socket, select.POLLIN)
        return any(event & select.POLLIN for _, event in poll.poll(0))

    async def serve(
        self, connections: Connections, sockets: Sockets | None, backlog: int, certificates: object = None
    ) -> Accepting:
        """Listen, and accept connections, over TLS where there are certificates; OSError when somebody was faster.

        They are on sockets of our own where there are any, and on the event loop's transports otherwise.
        """
        entrance = connections.entrance(self.server, certificates)
        self.socket.listen(backlog)  # here, as uvloop's own call does not tell that it failed
        if sockets is not None:
            self.socket.setblocking(False)
            return Accepting(self.socket, sockets.accept(self.socket.fileno(), entrance))
        loop, factory = connections.loop, connections.listener(entrance)
        if self.socket.family != unixsocket.FAMILY:
            return Accepting(self.socket, await loop.create_server(factory, sock=self.socket, backlog=backlog))
        ours: dict[str, Any] = {"cleanup_socket": False} if sys.version_info >= (3, 13) else {}
        server = await loop.create_unix_server(factory, sock=self.socket, backlog=backlog, **ours)
        return Accepting(self.socket, server)

    def hand_over(self) -> None:
        """Somebody else serves from it now, and has its path."""
        self.path, self.own = None, False

    def deafen(self) -> None:
        """Begin no further handshake, where nobody else does it for us."""
        if self.own and self.socket.fileno() >= 0:
            deafen(self.socket.fileno())

    def close(self) -> None:
        """Close the socket and remove its path."""
        self.socket.close()
        self.remove_path()

    def remove_path(self) -> None:
        """Unless another server has put its own socket there meanwhile."""
        if self.path:
            with contextlib.suppress(OSError):
                if os.stat(self.path).st_ino == self.inode:
                    os.unlink(self.path)


def bind(address: Address, estate: Estate | None = None) -> list[Listener]:
    """Bind, without listening yet, what the settings ask for: ``bind``, else ``fd``, else ``uds``, else ``host``."""
    bound: list[Listener] = []
    try:
        for place in places(address):
            bound += bind_place(place, address, estate)
    except StartupError:
        for listener in bound:
            listener.close()
        raise
    return bound


def places(address: Address) -> list[Tcp | Unix | Descriptor]:
    if address.bind:
        return [addresses.parse(text) for text in address.bind]
    if address.fd is not None:
        return [Descriptor(address.fd)]
    if address.uds:
        return [Unix(address.uds)]
    return [Tcp(address.host, address.port)]


def bind_place(place: Tcp | Unix | Descriptor, address: Address, estate: Estate | None = None) -> list[Listener]:
    """What is bound already is taken from the ``estate``."""
    written, number = addresses.written(place), next(ASKED)
    bound = (estate.claim(written) if estate is not None else []) or make(place, address, estate)
    for listener in bound:
        listener.written, listener.asked = written, number
    return bound


def make(place: Tcp | Unix | Descriptor, address: Address, estate: Estate | None) -> list[Listener]:
    match place:
        case Descriptor(fd):
            return [bind_fd(fd)]
        case Unix(path):
            sock = unixsocket.bind(path, address.uds_mode, address.uds_owner)
            return [Listener(sock, f"unix socket {path}", None if path.startswith("@") else path)]
        case Tcp(host, port):
            return bind_tcp(host, port, estate)


def adopt(sockets: Iterable[socket.socket]) -> list[Listener]:
    """Listeners for sockets that somebody else has bound."""
    return [Listener(sock, describe(sock)) for sock in sockets]


def leave(bound: list[Listener]) -> None:
    """Let those who hold the same sockets accept who is connected by now, and then close them."""
    for listener in bound:
        listener.deafen()
    close(bound)


def close(bound: list[Listener]) -> None:
    """Close all of them, once: a path may be that of another server's socket later, even by its inode."""
    while bound:
        bound.pop().close()


def announce(bound: Iterable[Listener], secure: bool) -> None:
    """Say where clients are served."""
    for name in dict.fromkeys(listener.announced(secure) for listener in bound):
        server_log().info("%s running on %s (Press CTRL+C to quit)", root().capitalize(), name)


def describe(sock: socket.socket) -> str:
    if sock.family in (socket.AF_INET, socket.AF_INET6):
        return url(*sock.getsockname()[:2])
    if sock.family == unixsocket.FAMILY and (name := unixsocket.name(sock)):
        return f"unix socket {name}"
    return f"socket {sock.getsockname()!r}"


def url(host: str, port: int) -> str:
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def reason(error: OSError) -> str:
    return (error.strerror or str(error)).lower()


def bind_fd(fd: int) -> Listener:
    try:
        sock = socket.socket(fileno=fd)
    except OSError as error:
        raise StartupError(f"cannot listen on file descriptor {fd}: {reason(error)}") from None
    if sock.type != socket.SOCK_STREAM:
        sock.detach()
        raise StartupError(f"cannot listen on file descriptor {fd}: not a stream socket")
    if fd <= 2:  # libuv aborts the process when it is to close a standard descriptor
        sock.detach()
        sock = socket.socket(fileno=os.dup(fd))
        null = os.open(os.devnull, os.O_RDWR)
        os.dup2(null, fd)
        os.close(null)
    if sock.family in (socket.AF_INET, socket.AF_INET6):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # as for one of our own
    return Listener(sock, describe(sock))


def bind_tcp(host: str | None, port: int, estate: Estate | None = None) -> list[Listener]:
    """One socket for each address that ``host`` stands for, all on the same port."""
    name = host or "0.0.0.0"
    asked = host.encode("ascii") if host and host.isascii() else host or None  # text would load the tables of IDNA
    try:
        found = socket.getaddrinfo(asked, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError as error:
        raise cannot_listen(name, port, reason(error)) from None
    except UnicodeError:
        raise cannot_listen(name, port, "not a host name") from None
    bound: list[Listener] = []
    absent = "it stands for no address"
    for family, place in dict.fromkeys((family, place) for family, _, _, _, place in found):
        wanted = (place[0], (bound[0].port if bound else None) or port, *place[2:])
        try:
            listener = estate.claim_address(family, wanted) if estate is not None else None
            listener = listener or Listener(tcp_socket(family, wanted), "", own=True)
        except OSError as error:
            absent = reason(error)
            if error.errno in NOT_ON_THIS_MACHINE:
                continue  # a name may stand for addresses of a family that is switched off here
            close(bound)
            raise cannot_listen(name, port, absent) from None
        listener.name = url(name, listener.socket.getsockname()[1])
        bound.append(listener)
    if not bound:
        raise cannot_listen(name, port, absent)
    return bound


def cannot_listen(host: str, port: int, why: str) -> StartupError:
    return StartupError(f"cannot listen on {url(host, port)}: {why}")


def tcp_socket(family: int, place: tuple[object, ...]) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        if sys.platform != "win32":  # there it would let a second server take the port over
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # accepted connections inherit it
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind(place)
    except OSError:
        sock.close()
        raise
    return sock
