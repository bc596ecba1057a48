"""uvicorn.main."""

from pronghorn import Config, Server, main, run
from pronghorn.errors import STARTUP_FAILURE

__all__ = ["STARTUP_FAILURE", "Config", "Server", "main", "run"]
