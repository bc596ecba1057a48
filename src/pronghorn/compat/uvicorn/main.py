"""uvicorn.main."""

from pronghorn import Config, Server, main, run
from pronghorn.running import STARTUP_FAILURE

__all__ = ["STARTUP_FAILURE", "Config", "Server", "main", "run"]
