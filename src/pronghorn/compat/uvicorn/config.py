"""uvicorn.config."""

import ssl

from pronghorn.config import Config
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
    "TRACE_LOG_LEVEL",
    "WS_PROTOCOLS",
    "Config",
]

SSL_PROTOCOL_VERSION: int = ssl.PROTOCOL_TLS_SERVER

# Programs make choices of a command line of their own of these; what a choice leads to is Pronghorn's affair.
HTTP_PROTOCOLS: dict[str, str] = dict.fromkeys(["auto", "h11", "httptools"], "pronghorn._core.edge:Connection")
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
}
INTERFACES: list[str] = ["auto", *_ADAPTERS]
