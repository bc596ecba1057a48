"""uvicorn.protocols.utils."""

import asyncio
from typing import Any
from urllib.parse import quote

from pronghorn.errors import ClientDisconnected

__all__ = [
    "ClientDisconnected",
    "get_client_addr",
    "get_local_addr",
    "get_path_with_query_string",
    "get_remote_addr",
    "is_ssl",
]


def get_remote_addr(transport: asyncio.BaseTransport) -> tuple[str, int] | None:
    """The peer of a transport, as ``scope["client"]``; None on a unix socket."""
    found = address(transport, "getpeername", "peername")
    return None if found is None or found[1] is None else (found[0], found[1])


def get_local_addr(transport: asyncio.BaseTransport) -> tuple[str, int | None] | None:
    """Where a transport was accepted, as ``scope["server"]``; on a unix socket its path and None."""
    return address(transport, "getsockname", "sockname")


def address(transport: asyncio.BaseTransport, method: str, key: str) -> tuple[str, int | None] | None:
    """What the socket says, or, where there is none, the transport."""
    sock = transport.get_extra_info("socket")
    try:
        found = transport.get_extra_info(key) if sock is None else getattr(sock, method)()
    except OSError:  # it is not connected any more
        return None
    if isinstance(found, str):
        return found, None
    if isinstance(found, (tuple, list)) and len(found) >= 2:
        return str(found[0]), int(found[1])
    return None


def is_ssl(transport: asyncio.BaseTransport) -> bool:
    """Whether a transport speaks TLS."""
    return bool(transport.get_extra_info("sslcontext"))


def get_client_addr(scope: Any) -> str:
    """The client of a request as the access log shows it."""
    client = scope.get("client")
    return f"{client[0]}:{client[1]}" if client else ""


def get_path_with_query_string(scope: Any) -> str:
    """The target of a request as the access log shows it."""
    path, query = quote(scope["path"]), scope["query_string"].decode("ascii")
    return f"{path}?{query}" if query else path
