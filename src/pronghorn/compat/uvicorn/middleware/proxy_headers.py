"""uvicorn.middleware.proxy_headers: for applications that are wrapped by hand."""

import ipaddress
from collections.abc import Iterable
from typing import Any

from pronghorn.types import Receive, Scope, Send

__all__ = ["ProxyHeadersMiddleware"]

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
SCHEMES = {"http", "https", "ws", "wss"}
OF_WEBSOCKETS = {"http": "ws", "https": "wss"}


class Trusted:
    """The hosts whose headers are believed: addresses, networks, names of other kinds, or ``*`` for everybody."""

    def __init__(self, hosts: Iterable[str] | str) -> None:
        named = hosts.split(",") if isinstance(hosts, str) else hosts
        self.names = {name.strip() for name in named} - {""}
        self.everybody = "*" in self.names
        self.networks: list[Network] = []
        for name in self.names:
            try:
                self.networks.append(ipaddress.ip_network(name))
            except ValueError:
                pass  # it is compared as text

    def __contains__(self, host: str | None) -> bool:
        if self.everybody:
            return True
        if not host:
            return False
        if host in self.names:
            return True
        try:
            address = ipaddress.ip_address(host)
        except ValueError:
            return False
        return any(address in network for network in self.networks)

    def client(self, forwarded: str) -> tuple[str, int] | None:
        """The last of X-Forwarded-For that is not one of these hosts, the first where all are; port 0 if unknown."""
        hops = [split(hop) for part in forwarded.split(",") if (hop := part.strip())]
        if not hops:
            return None
        if self.everybody:
            return hops[0]
        return next((hop for hop in reversed(hops) if hop[0] not in self), hops[0])


def split(hop: str) -> tuple[str, int]:
    """Host and port of an entry of X-Forwarded-For: an address, which may be in brackets, and maybe a port."""
    host, port = hop, ""
    if hop.startswith("["):
        host, _, port = hop[1:].partition("]")
        port = port.removeprefix(":")
    elif hop.count(":") == 1:
        host, _, port = hop.partition(":")
    return host, int(port) if port.isascii() and port.isdigit() and int(port) < 65536 else 0


class ProxyHeadersMiddleware:
    """Puts client and scheme of X-Forwarded-For and X-Forwarded-Proto into the scope when the peer is trusted."""

    def __init__(self, app: Any, trusted_hosts: list[str] | str = "127.0.0.1") -> None:
        self.app = app
        self.trusted_hosts = Trusted(trusted_hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "lifespan":
            client = scope.get("client")
            if (client[0] if client else None) in self.trusted_hosts:
                self.apply(scope)
        await self.app(scope, receive, send)

    def apply(self, scope: Scope) -> None:
        """Change the scope as the headers say."""
        scheme, hops = None, []
        for name, value in scope["headers"]:
            if name == b"x-forwarded-proto":
                scheme = value.decode("latin-1").strip().lower()
            elif name == b"x-forwarded-for":
                hops.append(value.decode("latin-1"))
        if scheme in SCHEMES:
            scope["scheme"] = OF_WEBSOCKETS.get(scheme, scheme) if scope["type"] == "websocket" else scheme
        client = self.trusted_hosts.client(",".join(hops))
        if client is not None:
            scope["client"] = client
