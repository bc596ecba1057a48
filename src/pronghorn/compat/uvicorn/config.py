"""uvicorn.config."""

import os
import ssl
from typing import Literal

from pronghorn.config import Config
from pronghorn.errors import STARTUP_FAILURE
from pronghorn.interfaces import INTERFACES as _ADAPTERS
from pronghorn.logs import LOG_LEVELS, LOGGING_CONFIG, TRACE_LOG_LEVEL

__all__ = [
    "HTTP_PROTOCOLS",
    "INTERFACES",
    "LIFESPAN",
    "LOGGING_CONFIG",
    "LOG_LEVELS",
    "LOOP_FACTORIES",
    "SSL_PROTOCOL_VERSION",
    "STARTUP_FAILURE",
    "TRACE_LOG_LEVEL",
    "WS_PROTOCOLS",
    "Config",
    "HTTPProtocolType",
    "InterfaceType",
    "LifespanType",
    "LoopFactoryType",
    "UvicornDeprecationWarning",
    "WSProtocolType",
    "create_ssl_context",
]

HTTPProtocolType = Literal["auto", "h11", "httptools", "zttp"]
WSProtocolType = Literal["auto", "none", "websockets", "websockets-sansio", "wsproto"]
LifespanType = Literal["auto", "on", "off"]
LoopFactoryType = Literal["none", "auto", "asyncio", "uvloop", "zuvloop"]
InterfaceType = Literal["auto", "asgi3", "asgi2", "wsgi"]

SSL_PROTOCOL_VERSION: int = ssl.PROTOCOL_TLS_SERVER

# Programs make choices of a command line of their own of these; what a choice leads to is Pronghorn's affair.
HTTP_PROTOCOLS: dict[str, str] = dict.fromkeys(["auto", "h11", "httptools", "zttp"], "pronghorn._core.edge:Connection")
WS_PROTOCOLS: dict[str, str | None] = {
    **dict.fromkeys(["auto", "websockets", "websockets-sansio", "wsproto"], "pronghorn._core.websocket:WebSocket"),
    "none": None,
}
LIFESPAN: dict[str, str] = dict.fromkeys(["auto", "on", "off"], "pronghorn.lifespan:Lifespan")
LOOP_FACTORIES: dict[str, str | None] = {
    "none": None,
    "auto": "uvicorn.loops.auto:auto_loop_factory",
    "asyncio": "uvicorn.loops.asyncio:asyncio_loop_factory",
    "uvloop": "uvicorn.loops.uvloop:uvloop_loop_factory",
    "zuvloop": "uvicorn.loops.uvloop:uvloop_loop_factory",
}
INTERFACES: list[str] = ["auto", *_ADAPTERS]


class UvicornDeprecationWarning(UserWarning):
    """For filters of warnings: nothing here issues it."""


def create_ssl_context(
    certfile: str | os.PathLike[str],
    keyfile: str | os.PathLike[str] | None,
    password: str | None,
    ssl_version: int,
    cert_reqs: int,
    ca_certs: str | os.PathLike[str] | None,
    ciphers: str | None,
    alpn_protocols: list[str] | None = None,
) -> ssl.SSLContext:
    """A context for programs that make their own, as for ``ssl_context_factory``."""
    context = ssl.SSLContext(ssl_version)
    context.load_cert_chain(certfile, keyfile, (lambda: password) if password else None)
    context.verify_mode = ssl.VerifyMode(cert_reqs)
    if ca_certs:
        context.load_verify_locations(ca_certs)
    if ciphers:
        context.set_ciphers(ciphers)
    if alpn_protocols:
        context.set_alpn_protocols(alpn_protocols)
    return context
