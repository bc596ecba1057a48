"""uvicorn.middleware.proxy_headers: for applications that are wrapped by hand."""

from typing import Any

from pronghorn.proxies import TrustedHosts
from pronghorn.types import Receive, Scope, Send

__all__ = ["ProxyHeadersMiddleware"]

SCHEMES = {"http", "https", "ws", "wss"}
OF_WEBSOCKETS = {"http": "ws", "https": "wss"}


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
        self.trusted_hosts = TrustedHosts("trusted_hosts", trusted_hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if (
            scope["type"] != "lifespan"
            and (scope["client"][0] if scope.get("client") else "unix") in self.trusted_hosts
        ):
            self.apply(scope)
        await self.app(scope, receive, send)

    def apply(self, scope: Scope) -> None:
        """Change the scope as the headers say."""
        scheme, hops = None, []
        for name, value in scope["headers"]:
            if name == b"x-forwarded-proto":
                scheme = value.decode("latin-1").strip().lower()
            elif name == b"x-forwarded-for":
                hops += [split(hop) for part in value.decode("latin-1").split(",") if (hop := part.strip())]
        if scheme in SCHEMES:
            scope["scheme"] = OF_WEBSOCKETS.get(scheme, scheme) if scope["type"] == "websocket" else scheme
        if hops:
            scope["client"] = next((hop for hop in reversed(hops) if hop[0] not in self.trusted_hosts), hops[0])
