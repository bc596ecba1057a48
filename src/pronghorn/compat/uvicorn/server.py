"""uvicorn.server."""

from pronghorn.config import Config
from pronghorn.server import HANDLED_SIGNALS, Server
from pronghorn.state import ServerState

__all__ = ["HANDLED_SIGNALS", "Config", "Server", "ServerState"]
